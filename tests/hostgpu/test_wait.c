/* The back-off of polling threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>
#include <time.h>

#include "hostgpu/wait.h"

static uint64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Sleeps of the thread so far; giving the processor away is not one. */
static long sleeps(void)
{
	struct rusage usage;
	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void wait_for_ms(struct hostgpu_wait *wait, unsigned int ms)
{
	uint64_t until = now_ns(CLOCK_MONOTONIC) + ms * 1000000ull;
	while (now_ns(CLOCK_MONOTONIC) < until)
		hostgpu_wait_step(wait);
}

static void a_long_wait_sleeps(void **state)
{
	(void)state;
	struct hostgpu_wait wait = { 0 };
	uint64_t cpu = now_ns(CLOCK_THREAD_CPUTIME_ID);
	long slept = sleeps();
	wait_for_ms(&wait, 200);
	assert_true(sleeps() > slept);
	assert_in_range(now_ns(CLOCK_THREAD_CPUTIME_ID) - cpu, 0, 40 * 1000000);
}

/* The first 100 us after a reset are without sleep. On a busy machine the thread may lose the
 * processor for longer than that, so it may try again. */
static void a_reset_ends_the_sleeps(void **state)
{
	(void)state;
	struct hostgpu_wait wait = { 0 };
	for (int tries = 0; tries < 1000; tries++) {
		wait_for_ms(&wait, 2);
		hostgpu_wait_reset(&wait);
		uint64_t start = now_ns(CLOCK_MONOTONIC);
		long slept = sleeps();
		for (int i = 0; i < 10; i++)
			hostgpu_wait_step(&wait);
		slept = sleeps() - slept;
		if (now_ns(CLOCK_MONOTONIC) - start < 100000) {
			assert_int_equal(slept, 0);
			return;
		}
	}
	fail_msg("ten steps never took less than 100 us");
}

static void a_step_never_sleeps_for_long(void **state)
{
	(void)state;
	struct hostgpu_wait wait = { 0 };
	wait_for_ms(&wait, 100);
	uint64_t shortest =
		UINT64_MAX; /* what a step asks for; a busy machine only makes it longer */
	for (int i = 0; i < 20; i++) {
		uint64_t start = now_ns(CLOCK_MONOTONIC);
		hostgpu_wait_step(&wait);
		uint64_t took = now_ns(CLOCK_MONOTONIC) - start;
		shortest = took < shortest ? took : shortest;
	}
	assert_in_range(shortest, 20 * 1000, 2000 * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_wait_sleeps),
		cmocka_unit_test(a_reset_ends_the_sleeps),
		cmocka_unit_test(a_step_never_sleeps_for_long),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
