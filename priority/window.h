/*
 * The smallest window of bulk below that keeps a link busy, found by what is seen: it grows when
 * the link ran dry though there was more to send, and shrinks when something was always left over,
 * as the kernel's dynamic queue limits do for a NIC (Linux, lib/dynamic_queue_limits.c). Pure;
 * constant time. Callers serialise.
 */
#ifndef LINA_PRIORITY_WINDOW_H
#define LINA_PRIORITY_WINDOW_H

#include <stdint.h>

enum { LINA_WINDOW_CALM_NS = 50000000 }; /* between two steps down */

struct lina_window {
	uint64_t bytes;
	uint64_t least_bytes, most_bytes;
	uint64_t left_bytes; /* the least that was left over since since_ns */
	uint64_t since_ns;
};

/* least_bytes <= bytes <= most_bytes. */
void lina_window_init(struct lina_window *window, uint64_t bytes);

/* New bounds, which bytes is brought into. least_bytes > 0. */
void lina_window_bound(struct lina_window *window, uint64_t least_bytes, uint64_t most_bytes);

/* left_bytes of bulk are below, at a moment when there is more to send and the window was what
 * kept it back. 0: the link has run dry. Times as in priority/sched.h: they may come late. */
void lina_window_seen(struct lina_window *window, uint64_t left_bytes, uint64_t now_ns);

#endif
