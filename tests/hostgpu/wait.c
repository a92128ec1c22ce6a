#include "wait.h"

#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
	YIELD_NS = 200 * 1000,    /* below this a step yields: an 8-byte message takes less */
	SLEEP_MIN_NS = 20 * 1000, /* the first sleep */
	SLEEP_MAX_NS =
		1000 * 1000, /* the longest: what a waiter can lose once it has waited long */
	SLEEP_SHARE = 16,    /* a sleep is at most 1/16 of the time waited so far */
};

static uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The kernel may add its timer slack (50 us by default) to every sleep of the thread. */
static void slack_remove(void)
{
	static _Thread_local int removed;
	if (!removed)
		prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	removed = 1;
}

void hostgpu_wait_reset(struct hostgpu_wait *wait)
{
	wait->since_ns = 0;
}

void hostgpu_wait_step(struct hostgpu_wait *wait)
{
	uint64_t now = now_ns();
	if (!wait->since_ns)
		wait->since_ns = now;
	uint64_t waited = now - wait->since_ns;
	if (waited < YIELD_NS) {
		syscall(SYS_sched_yield); /* the C library's name leads back here in libnccl.so.2 */
		return;
	}
	uint64_t sleep_ns = waited / SLEEP_SHARE;
	if (sleep_ns < SLEEP_MIN_NS)
		sleep_ns = SLEEP_MIN_NS;
	if (sleep_ns > SLEEP_MAX_NS)
		sleep_ns = SLEEP_MAX_NS;
	slack_remove();
	nanosleep(&(struct timespec){ .tv_nsec = (long)sleep_ns }, NULL);
}
