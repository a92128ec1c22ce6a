#ifndef HOSTGPU_WAIT_H
#define HOSTGPU_WAIT_H

#include <stdint.h>

/*
 * Back-off for a thread that polls. One per waiting loop, used by one thread:
 *
 *	hostgpu_wait_reset(&w);
 *	while (!ready())
 *		hostgpu_wait_step(&w);
 *
 * Right after a reset a step only gives the processor away; the longer nothing happens, the longer
 *a step sleeps. Reset again on every progress. A zeroed struct is one that was just reset.
 */
struct hostgpu_wait {
	uint64_t since_ns; /* CLOCK_MONOTONIC at the first step after the reset; 0: no step yet */
};

void hostgpu_wait_reset(struct hostgpu_wait *wait);
void hostgpu_wait_step(struct hostgpu_wait *wait);

#endif
