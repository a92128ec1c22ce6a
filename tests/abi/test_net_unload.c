/* The plugin is unloaded while connections are open, as when a job ends in disorder: nothing of it
 * runs any more. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#include "abi/pair.h"

enum { BYTES = 1 << 20, LATE_MS = 50 };

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

static int threads_settled(int wanted)
{
	int n = census_take().nthreads;

	for (int i = 0; i < 5000 && n != wanted; i++) {
		sleep_ms(1);
		n = census_take().nthreads;
	}
	return n;
}

/* Most of a bulk message is kept back, so that the link's thread is at work. */
static void no_thread_is_left(void **state)
{
	const int nthreads = census_take().nthreads;
	struct end end;
	struct pair pair;
	int tag = 7;

	(void)state;
	end_open(&end, 12);
	pair_open(&pair, &end, &end);
	struct buffer from = buffer_make(&end, pair.send_conn, BYTES);
	struct buffer to = buffer_make(&end, pair.recv_conn, BYTES);
	assert_non_null(pair_recv(&pair, 1, &to, &tag));
	sleep_ms(LATE_MS);
	assert_non_null(pair_send(&pair, &from, tag));
	assert_int_equal(census_take().nthreads, nthreads + 1);
	drive_close(&end.drive);
	assert_null(dlopen(PLUGIN, RTLD_NOW | RTLD_NOLOAD));
	assert_int_equal(threads_settled(nthreads), nthreads);
	sleep_ms(LATE_MS);
	free(from.data);
	free(to.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_thread_is_left) };

	setenv("LINA_IFNAME", "=lo", 1);
	setenv("LINA_TRANSPORT", "tcp", 1);
	setenv("LINA_SHARE", "0", 1);
	setenv("LINA_STATS", "0", 1);
	setenv("LINA_EARLY_BYTES", "0", 1);
	setenv("LINA_CHUNK_BYTES", "4096", 1);
	setenv("LINA_WINDOW_BYTES", "4096", 1);
	setenv("LINA_RELAX_MS", "3600000", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
