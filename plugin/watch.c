#include "plugin/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugin/log.h"
#include "plugin/stats_read.h"
#include "plugin/trace.h"
#include "plugin/writer.h"

enum { LINK_TELL_NS = 1000000 }; /* how old the row of a link that moves may be */

/* Changed only while nothing is open that is watched. */
static struct {
	struct lina_stats *stats;   /* NULL: not asked for, or not to be had */
	struct lina_trace *trace;   /* the same */
	struct lina_writer *writer; /* the same */
	pid_t pid; /* who opened it: a forked child has copies, but they are not its own */
	bool knows_of_exit;
} watch;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- open and close --- */

/* See process_net.c for why not atexit(). Runs when the library is unloaded too, perhaps while
 * something is open: then no thread may be left in code that is no longer there. */
extern void *__dso_handle __attribute__((visibility("hidden")));
int __cxa_atexit(void (*fn)(void *), void *arg, void *library);

/* A program may end without closing what it opened. NCCL's threads may be in here still, so that
 * nothing is taken away from them but the thread that writes. */
static void exit_note(void *arg)
{
	(void)arg;
	if (watch.pid != getpid())
		return;
	if (watch.writer)
		lina_writer_stop(watch.writer);
	if (watch.stats)
		lina_stats_unlink(watch.stats);
}

static void stats_open(const struct lina_config *config)
{
	int nremoved, err = 0;

	if (config->stats) {
		(void)lina_stats_find(LINA_STATS_DIRECTORY, NULL, 0, &nremoved);
		err = lina_stats_open(LINA_STATS_DIRECTORY, &watch.stats);
	}
	if (err)
		lina_info("no counters in " LINA_STATS_DIRECTORY ", so lina-top does not see this "
			  "process: %s",
			strerror(-err));
	if (!watch.stats && config->metrics[0])
		err = lina_stats_open(NULL, &watch.stats);
	if (!watch.stats && config->metrics[0])
		lina_warn("LINA_METRICS: no memory for counters: %s", strerror(-err));
}

static void trace_open(const struct lina_config *config)
{
	int err = config->trace[0] ? lina_trace_open(config->trace, &watch.trace) : 0;

	if (err)
		lina_warn("LINA_TRACE=%s: cannot make the file: %s; nothing is traced",
			config->trace, strerror(-err));
	if (watch.trace)
		lina_info("trace in %s", lina_trace_file(watch.trace));
}

void lina_watch_open(const struct lina_config *config)
{
	bool metrics = config->metrics[0] != '\0';
	int err = 0;

	watch.pid = getpid();
	stats_open(config);
	trace_open(config);
	if (watch.trace || (metrics && watch.stats))
		err = lina_writer_open(watch.trace, watch.stats ? config->metrics : "", watch.stats,
			&watch.writer);
	if (err)
		lina_warn("LINA_TRACE, LINA_METRICS: no thread to write them: %s", strerror(-err));
	if (!watch.knows_of_exit)
		watch.knows_of_exit = __cxa_atexit(exit_note, NULL, &__dso_handle) == 0;
}

static void dropped_say(const struct lina_trace *trace)
{
	uint64_t n = lina_trace_dropped(trace);

	if (n)
		lina_warn("LINA_TRACE: %" PRIu64 " events found no room and are not in %s", n,
			lina_trace_file(trace));
}

void lina_watch_close(void)
{
	lina_writer_close(watch.writer);
	if (watch.trace)
		dropped_say(watch.trace);
	lina_trace_close(watch.trace);
	lina_stats_close(watch.stats);
	watch.writer = NULL;
	watch.trace = NULL;
	watch.stats = NULL;
}

/* --- connections and requests --- */

static void conn_names(struct lina_watch_conn *conn, const char *peer, uint64_t comm)
{
	char track[LINA_TRACE_NAME_BYTES];

	(void)snprintf(track, sizeof(track), "communicator %" PRIx64, comm);
	conn->track = lina_trace_name(watch.trace, track);
	conn->peer = lina_trace_name(watch.trace, peer);
}

void lina_watch_conn_open(struct lina_watch_conn *conn, const char *link, enum lina_dir dir,
	const char *peer, uint64_t comm)
{
	*conn = (struct lina_watch_conn){ .dir = (uint8_t)dir };
	if (watch.stats) {
		const struct lina_stats_link *row = lina_stats_link(watch.stats, link, dir);
		for (int cls = 0; cls < LINA_NCLASSES; cls++)
			conn->row[cls] =
				lina_stats_row(watch.stats, row, (enum lina_class)cls, peer);
	}
	if (watch.trace)
		conn_names(conn, peer, comm);
	conn->on = watch.stats || watch.trace;
}

void lina_watch_conn_close(struct lina_watch_conn *conn)
{
	for (int cls = 0; cls < LINA_NCLASSES && conn->on; cls++)
		if (conn->row[cls])
			lina_stats_add(&conn->row[cls]->queued_bytes, 0 - conn->queued_bytes[cls]);
	conn->on = false;
}

uint64_t lina_watch_begin(struct lina_watch_conn *conn)
{
	if (!conn->on)
		return 0;
	if (watch.trace)
		return now_ns();
	if (conn->untimed) {
		conn->untimed--;
		return LINA_WATCH_UNTIMED;
	}
	conn->untimed = LINA_WATCH_TIMED_OF - 1;
	return now_ns();
}

void lina_watch_post(struct lina_watch_conn *conn, struct lina_watch_request *request,
	uint64_t since_ns, enum lina_class cls, int op, int n, uint64_t bytes)
{
	if (!conn->on)
		return;
	*request = (struct lina_watch_request){ .since_ns = since_ns,
		.bytes = bytes,
		.cls = (uint8_t)cls,
		.n = (uint8_t)n,
		.op = (int8_t)op };
	conn->queued_bytes[cls] += bytes;
	if (conn->row[cls])
		lina_stats_add(&conn->row[cls]->queued_bytes, bytes);
}

static void trace_request(const struct lina_watch_conn *conn,
	const struct lina_watch_request *request, uint64_t bytes, uint64_t end_ns)
{
	const struct lina_trace_event event = { .kind = LINA_TRACE_REQUEST,
		.begin_ns = request->since_ns,
		.end_ns = end_ns,
		.bytes = bytes,
		.track = conn->track,
		.peer = conn->peer,
		.dir = conn->dir,
		.cls = request->cls,
		.what = request->op };

	lina_trace_add(watch.trace, &event);
}

static void row_end(
	struct lina_stats_row *row, const struct lina_watch_request *request, uint64_t bytes)
{
	lina_stats_add(&row->queued_bytes, 0 - request->bytes);
	lina_stats_add(&row->bytes, bytes);
	lina_stats_add(&row->messages, 1);
}

static void wait_end(const struct lina_watch_conn *conn, const struct lina_watch_request *request,
	uint64_t bytes)
{
	struct lina_stats_row *row = conn->row[request->cls];
	uint64_t end_ns = now_ns(), wait_ns = end_ns - request->since_ns;

	if (row) {
		lina_stats_add(&row->wait_ns, wait_ns);
		lina_stats_add(&row->wait[lina_stats_bucket(wait_ns)], 1);
	}
	if (watch.trace)
		trace_request(conn, request, bytes, end_ns);
}

void lina_watch_end(
	struct lina_watch_conn *conn, struct lina_watch_request *request, const int *bytes)
{
	uint64_t sum = 0;

	if (!conn->on || !request->since_ns)
		return;
	for (int i = 0; i < request->n; i++)
		sum += (uint64_t)bytes[i];
	conn->queued_bytes[request->cls] -= request->bytes;
	if (conn->row[request->cls])
		row_end(conn->row[request->cls], request, sum);
	if (request->since_ns != LINA_WATCH_UNTIMED)
		wait_end(conn, request, sum);
	request->since_ns = 0;
}

/* --- links --- */

void lina_watch_link_open(struct lina_watch_link *link, const char *name, enum lina_dir dir)
{
	char track[LINA_TRACE_NAME_BYTES];

	*link = (struct lina_watch_link){ .dir = (uint8_t)dir };
	if (watch.stats)
		link->row = lina_stats_link(watch.stats, name, dir);
	if (watch.trace) {
		(void)snprintf(track, sizeof(track), "link %s %s", name,
			dir == LINA_DIR_SEND ? "sending" : "receiving");
		link->track = lina_trace_name(watch.trace, track);
	}
	link->on = link->row || watch.trace;
}

static void link_tell(struct lina_stats_link *row, const struct lina_sched *sched)
{
	const struct lina_sched_counts *c = &sched->counts;

	lina_stats_set(&row->holds, c->holds);
	lina_stats_set(&row->held_ns, c->held_ns);
	lina_stats_set(&row->longest_hold_ns, c->longest_hold_ns);
	lina_stats_set(&row->share_fired, c->share_fired);
	lina_stats_set(&row->hold_fired, c->hold_fired);
	lina_stats_set(&row->stall_fired, c->stall_fired);
	lina_stats_set(&row->asks, c->asks);
	lina_stats_set(&row->full, c->full);
	lina_stats_set(&row->chunk_bytes, sched->params.chunk_bytes);
	lina_stats_set(&row->window_bytes, sched->params.window_bytes);
	lina_stats_set(&row->byte_ps, sched->params.byte_ps);
	lina_stats_set(&row->latency_queued_bytes, sched->latency_queued_bytes);
	lina_stats_set(&row->bulk_flows, sched->nbulk);
}

/* An event at at_ns; those that last overwrite begin_ns. */
static struct lina_trace_event link_event(
	const struct lina_watch_link *link, enum lina_trace_kind kind, uint64_t at_ns)
{
	return (struct lina_trace_event){ .kind = (uint8_t)kind,
		.begin_ns = at_ns,
		.end_ns = at_ns,
		.track = link->track,
		.dir = link->dir,
		.cls = LINA_CLASS_BULK };
}

static void hold_trace(
	struct lina_watch_link *link, const struct lina_sched *sched, uint64_t now_ns)
{
	if (sched->held && !link->held)
		link->held_since_ns = sched->held_since_ns;
	if (!sched->held && link->held) {
		struct lina_trace_event event = link_event(link, LINA_TRACE_HOLD, now_ns);
		event.begin_ns = link->held_since_ns;
		lina_trace_add(watch.trace, &event);
	}
	link->held = sched->held;
}

static void bound_trace(struct lina_watch_link *link, uint64_t *known, uint64_t fired,
	enum lina_trace_bound bound, uint64_t now_ns)
{
	if (*known == fired)
		return;
	struct lina_trace_event event = link_event(link, LINA_TRACE_BOUND, now_ns);
	event.what = (int8_t)bound;
	lina_trace_add(watch.trace, &event);
	*known = fired;
}

static void level_trace(struct lina_watch_link *link, uint64_t *known, uint64_t bytes,
	enum lina_class cls, uint64_t now_ns)
{
	if (*known == bytes)
		return;
	struct lina_trace_event event = link_event(link, LINA_TRACE_LEVEL, now_ns);
	event.cls = (uint8_t)cls;
	event.bytes = bytes;
	lina_trace_add(watch.trace, &event);
	*known = bytes;
}

static void sent_trace(const struct lina_watch_link *link, uint64_t bytes, uint64_t now_ns)
{
	struct lina_trace_event event = link_event(link, LINA_TRACE_GRANT, now_ns);

	event.bytes = bytes;
	lina_trace_add(watch.trace, &event);
}

static __attribute__((noinline)) void link_trace(struct lina_watch_link *link,
	const struct lina_sched *sched, uint64_t sent_bytes, uint64_t now_ns)
{
	const struct lina_sched_counts *c = &sched->counts;

	if (sent_bytes)
		sent_trace(link, sent_bytes, now_ns);
	hold_trace(link, sched, now_ns);
	bound_trace(link, &link->share_fired, c->share_fired, LINA_BOUND_SHARE, now_ns);
	bound_trace(link, &link->hold_fired, c->hold_fired, LINA_BOUND_HOLD, now_ns);
	bound_trace(link, &link->stall_fired, c->stall_fired, LINA_BOUND_STALL, now_ns);
	level_trace(link, &link->latency_queued_bytes, sched->latency_queued_bytes,
		LINA_CLASS_LATENCY, now_ns);
	level_trace(link, &link->bulk_below_bytes, sched->below_bytes[LINA_CLASS_BULK],
		LINA_CLASS_BULK, now_ns);
}

void lina_watch_link_look(struct lina_watch_link *link, const struct lina_sched *sched,
	uint64_t sent_bytes, uint64_t now_ns)
{
	link->look_ns = UINT64_MAX;
	if (!link->on)
		return;
	if (link->row && now_ns >= link->tell_ns) {
		link->tell_ns = now_ns + LINK_TELL_NS;
		link_tell(link->row, sched);
	}
	link->look_ns = watch.trace ? 0 : link->tell_ns;
	if (watch.trace)
		link_trace(link, sched, sent_bytes, now_ns);
}

void lina_watch_link_close(struct lina_watch_link *link, const struct lina_sched *sched)
{
	if (link->row)
		link_tell(link->row, sched);
	link->on = false;
}
