/*
 * A timeline of what the plugin does, in the Chrome trace event format, which Perfetto
 * (ui.perfetto.dev) and chrome://tracing open: one file per process, times of CLOCK_MONOTONIC.
 *
 * What happens goes to a ring of fixed size, without a lock; what finds it full is counted and left
 * out. A thread that exists only while something is traced (watch.h) writes the ring to the file, a
 * whole event at a time: the format needs no closing bracket, so the file of a process that was
 * killed is as good as any.
 *
 * Threads: events from any; drain from one at a time; names under a lock.
 */
#ifndef LINA_PLUGIN_TRACE_H
#define LINA_PLUGIN_TRACE_H

#include <stddef.h>
#include <stdint.h>

#include "priority/class.h"

enum {
	LINA_TRACE_EVENTS = 1 << 16, /* in the ring, a power of 2: 3.5 MiB */
	LINA_TRACE_NAMES = 1 << 12,
	LINA_TRACE_NAME_BYTES = 96,
	LINA_TRACE_EVENT_BYTES = 1024, /* of text at most */
};

enum lina_trace_kind {
	LINA_TRACE_REQUEST, /* from begin_ns to end_ns; may overlap others of its track */
	LINA_TRACE_HOLD,    /* the same, but does not overlap */
	LINA_TRACE_GRANT,   /* at begin_ns: bulk handed down (sending) or granted (receiving) */
	LINA_TRACE_BOUND,   /* at begin_ns: a bound let bulk through; what: lina_trace_bound */
	LINA_TRACE_LEVEL,   /* from begin_ns on: of a link, bytes of latency class queued or of bulk
			       below */
	LINA_TRACE_NKINDS
};

enum lina_trace_bound { LINA_BOUND_SHARE, LINA_BOUND_HOLD, LINA_BOUND_STALL, LINA_NBOUNDS };

struct lina_trace_event {
	uint64_t begin_ns, end_ns;
	uint64_t bytes;
	uint16_t track, peer; /* names; 0: none */
	uint8_t kind;         /* lina_trace_kind */
	uint8_t dir;          /* lina_dir */
	uint8_t cls;          /* lina_class */
	int8_t what;          /* lina_op, negative: NCCL did not say; or lina_trace_bound */
};

struct lina_trace;

/* A path with "%p" as the process's number and "%h" as the host's name ("%%": a percent sign);
 * where it has neither, ".HOST.PID" is added. -ENAMETOOLONG. */
int lina_trace_path(const char *pattern, char *path, size_t path_bytes);

/* Makes the file; where there is one of that name already ".1", ".2", ... is added. -errno. */
int lina_trace_open(const char *pattern, struct lina_trace **trace_p);

/* Writes what is left and the end. Nobody adds any more. NULL is allowed. */
void lina_trace_close(struct lina_trace *trace);

const char *lina_trace_file(const struct lina_trace *trace);

/* The number of a name, for events; 0: there are too many names. */
uint16_t lina_trace_name(struct lina_trace *trace, const char *name);

void lina_trace_add(struct lina_trace *trace, const struct lina_trace_event *event);

/* Writes what is in the ring. -errno of the file, the first time; from then on events are dropped.
 */
int lina_trace_drain(struct lina_trace *trace);

/* Events that found no room, or no file. */
uint64_t lina_trace_dropped(const struct lina_trace *trace);

/* --- the format, pure --- */

struct lina_trace_names {
	const char *track, *peer; /* NULL: none */
	int pid;
	uint64_t id; /* of a request: no other has it */
};

/* Writes the event as JSON objects separated by ",\n", without one at the end, and returns the
 * length; 0 for an event that makes no sense. */
size_t lina_trace_format(const struct lina_trace_event *event, const struct lina_trace_names *names,
	char text[LINA_TRACE_EVENT_BYTES]);

/* The same for the name of a track: what the viewer calls it. */
size_t lina_trace_format_track(
	int pid, uint16_t track, const char *name, char text[LINA_TRACE_EVENT_BYTES]);

/* text as the inside of a JSON string, cut to room bytes with its end; returns to. */
char *lina_trace_escape(const char *text, char *to, size_t room);

#endif
