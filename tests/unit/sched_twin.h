/*
 * The scheduler's twin: it keeps what happened and works out every answer from all of it, by the
 * sentences of priority/sched.h and with no other state. As slow as it is plain; time and memory
 * grow with what happened.
 */
#ifndef LINA_TESTS_UNIT_SCHED_TWIN_H
#define LINA_TESTS_UNIT_SCHED_TWIN_H

#include <stdbool.h>
#include <stdint.h>

#include "priority/sched.h"

enum { TWIN_FLOWS = 6, TWIN_EVENTS = 256 };

enum twin_kind { TWIN_TUNE, TWIN_OUTSIDE, TWIN_POST, TWIN_SENT, TWIN_BELOW, TWIN_DROP, TWIN_ASK };

struct twin_event {
	enum twin_kind kind;
	int flow;
	uint64_t bytes, now_ns; /* TWIN_OUTSIDE: bytes is until when, as far as it counts */
	struct lina_sched_params params;
	/* Of bulk that asked and had something queued: */
	bool asked, held, stalled, share_fired, hold_fired, full;
	/* Of bulk that was sent: it took of what a bound had let through. */
	bool took;
	/* After it: */
	uint64_t latency_queued, latency_below, bulk_below;
	int nbulk;
};

struct twin {
	enum lina_class cls[TWIN_FLOWS];
	int n;
	struct twin_event event[TWIN_EVENTS];
};

/* Flow i is of class cls[i]. */
void twin_init(struct twin *t, const struct lina_sched_params *params, const enum lina_class *cls);

/* Each as its namesake in priority/sched.h. At most TWIN_EVENTS in all. */
void twin_tune(struct twin *t, const struct lina_sched_params *params);
void twin_outside(struct twin *t, uint64_t until_ns, uint64_t now_ns);
uint64_t twin_pending_until(const struct twin *t, uint64_t now_ns);
void twin_drop(struct twin *t, int flow);
void twin_post(struct twin *t, int flow, uint64_t bytes, uint64_t now_ns);
uint64_t twin_ask(struct twin *t, int flow, uint64_t now_ns);
void twin_sent(struct twin *t, int flow, uint64_t bytes, uint64_t now_ns);
uint64_t twin_take(struct twin *t, int flow, uint64_t most_bytes, uint64_t now_ns);
void twin_below(struct twin *t, int flow, uint64_t bytes);

uint64_t twin_queued(const struct twin *t, int flow);
struct lina_sched_counts twin_counts(const struct twin *t);

#endif
