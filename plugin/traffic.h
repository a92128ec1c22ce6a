/*
 * What a context has sent, or received, by operation and class. Of a receive the bytes are the room
 * that it gave. Threads: adding from any, at the cost of two
 * relaxed atomic additions.
 */
#ifndef LINA_PLUGIN_TRAFFIC_H
#define LINA_PLUGIN_TRAFFIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "priority/class.h"

/* Row LINA_NOPS counts what NCCL did not name. */
struct lina_traffic {
	struct {
		_Atomic uint64_t messages, bytes;
	} cell[LINA_NOPS + 1][LINA_NCLASSES];
};

/* op: a lina_op, or anything else where NCCL did not say. cls: as it was decided. */
void lina_traffic_add(struct lina_traffic *traffic, int op, enum lina_class cls, size_t bytes);

bool lina_traffic_is_none(const struct lina_traffic *traffic);
/* Nothing was sent. What is added meanwhile may be lost. */
void lina_traffic_clear(struct lina_traffic *traffic);

/* "alltoall 12 messages 393216 bytes (latency), ..." of all that is not zero, in text, which is
 * returned; cut where it does not fit; "nothing" if all is zero. */
const char *lina_traffic_text(const struct lina_traffic *traffic, char *text, size_t text_bytes);

#endif
