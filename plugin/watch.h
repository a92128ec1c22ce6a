/*
 * What the core and the links call so that the process can be seen from outside: counters
 * (stats.h), the timeline (trace.h) and the metrics file (metrics.h), each as far as the user asked
 * for it. Nothing here can fail in a way that concerns a transfer.
 *
 * Threads: open and close under the core's process lock; those of a connection or request as its
 * caller; those of a link under the lock of its direction. No lock is taken, no memory allocated
 * and no system call made but for the clock by post, end and link.
 */
#ifndef LINA_PLUGIN_WATCH_H
#define LINA_PLUGIN_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/config.h"
#include "plugin/stats.h"
#include "priority/sched.h"

/* Where nothing is traced one message of so many is timed. A prime: NCCL's messages come in groups,
 * and each of a group is to have its turn. */
enum { LINA_WATCH_TIMED_OF = 7 };
#define LINA_WATCH_UNTIMED UINT64_C(1)

/* Of a connection. All zero: nothing watches it. */
struct lina_watch_conn {
	bool on;
	uint8_t dir;          /* lina_dir */
	uint8_t untimed;      /* messages until one is timed */
	uint16_t track, peer; /* names in the trace */
	struct lina_stats_row *row[LINA_NCLASSES];
	uint64_t queued_bytes[LINA_NCLASSES]; /* of its own requests */
};

/* Of a request. */
struct lina_watch_request {
	uint64_t since_ns; /* 0: not posted; or LINA_WATCH_UNTIMED */
	uint64_t bytes;
	uint8_t cls, n;
	int8_t op;
};

/* Of a direction of a link. All zero: nothing watches it. */
struct lina_watch_link {
	uint64_t look_ns; /* when it is looked at next; 0 where it is traced: at each call */
	bool on;
	uint8_t dir;
	uint16_t track;
	struct lina_stats_link *row;
	uint64_t tell_ns; /* the row, next */
	bool held;
	/* As the trace knows them. */
	uint64_t held_since_ns, latency_queued_bytes, bulk_below_bytes;
	uint64_t share_fired, hold_fired, stall_fired;
};

/* Starts what config asks for; what cannot be had is warned of, and the rest goes on without it. */
void lina_watch_open(const struct lina_config *config);
/* When no connection and no link is left. */
void lina_watch_close(void);

/* comm: the communicator's number, for the trace. */
void lina_watch_conn_open(struct lina_watch_conn *conn, const char *link, enum lina_dir dir,
	const char *peer, uint64_t comm);
/* Its requests are gone with it. */
void lina_watch_conn_close(struct lina_watch_conn *conn);

/* When a transfer begins, for lina_watch_post, or LINA_WATCH_UNTIMED; 0 when nothing watches. */
uint64_t lina_watch_begin(struct lina_watch_conn *conn);
/* Of n messages with bytes in all; op: a lina_op; negative where NCCL did not say. */
void lina_watch_post(struct lina_watch_conn *conn, struct lina_watch_request *request,
	uint64_t since_ns, enum lina_class cls, int op, int n, uint64_t bytes);
/* bytes: what really moved, [n]. Does nothing for a request that was not posted. */
void lina_watch_end(
	struct lina_watch_conn *conn, struct lina_watch_request *request, const int *bytes);

void lina_watch_link_open(struct lina_watch_link *link, const char *name, enum lina_dir dir);
/* When it is time; sent_bytes of bulk were handed down just now. */
void lina_watch_link_look(struct lina_watch_link *link, const struct lina_sched *sched,
	uint64_t sent_bytes, uint64_t now_ns);

/* After any call on the scheduler. */
static inline void lina_watch_link(
	struct lina_watch_link *link, const struct lina_sched *sched, uint64_t now_ns)
{
	if (now_ns >= link->look_ns)
		lina_watch_link_look(link, sched, 0, now_ns);
}

/* The same after lina_flow_sent. */
static inline void lina_watch_sent(
	struct lina_watch_link *link, const struct lina_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	if (now_ns >= link->look_ns)
		lina_watch_link_look(
			link, flow->sched, flow->cls == LINA_CLASS_BULK ? bytes : 0, now_ns);
}

/* The counts as they are in the end. */
void lina_watch_link_close(struct lina_watch_link *link, const struct lina_sched *sched);

#endif
