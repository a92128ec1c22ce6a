/*
 * NCCL's proxy threads ask again and again, and a thread whose bulk is held takes the processor
 * from those that move what it is held for. So it rests, for less time than it would take to
 * notice: once in each of its rounds through its requests, and only while it has no latency request
 * of its own.
 *
 * All state is the calling thread's. A request is posted and tested by one thread.
 */
#ifndef LINA_PLUGIN_REST_H
#define LINA_PLUGIN_REST_H

#include <stdint.h>

#include "priority/class.h"

/* A request of this thread has been posted, or has ended. One that goes with its connection never
 * ends, so that the thread may not rest any more. */
void lina_rest_posted(enum lina_class cls);
void lina_rest_ended(enum lina_class cls);

/* Bulk of this thread was held just now, and ns more would do no harm. 0: it was not. */
void lina_rest_offer(uint64_t ns);

/* After a test of request (only looked at as a name) that did not end it: rests if there is an
 * offer and the thread's turn has come. */
void lina_rest_take(const void *request);

#endif
