#include "plugin/rest.h"

#include <stddef.h>
#include <time.h>

enum { LEAST_NS = 20000, MOST_NS = 200000 }; /* the kernel's timers know no less than some us */

static _Thread_local struct {
	long latency;      /* requests that have not ended */
	uint64_t offer_ns; /* 0: none */
	const void *round; /* the request that a round begins with; NULL: none yet */
} rest;

void lina_rest_posted(enum lina_class cls)
{
	if (cls == LINA_CLASS_LATENCY) /* to find what is a thread's own takes a call */
		rest.latency++;
}

void lina_rest_ended(enum lina_class cls)
{
	rest.latency -= cls == LINA_CLASS_LATENCY;
	rest.round = NULL;
}

void lina_rest_offer(uint64_t ns)
{
	rest.offer_ns = ns;
}

void lina_rest_take(const void *request)
{
	uint64_t ns = rest.offer_ns < MOST_NS ? rest.offer_ns : MOST_NS;

	if (ns < LEAST_NS || rest.latency > 0 || (rest.round && rest.round != request))
		return;
	rest.round = request;
	rest.offer_ns = 0;
	nanosleep(&(struct timespec){ .tv_nsec = (long)ns }, NULL);
}
