/* The plugin is unloaded while connections are open, as when a job ends in disorder: nothing of it
 * runs any more. */
#include <dlfcn.h>
#include <stdio.h>
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

/* Most of a bulk message is kept back, so that the link's thread is at work, as are nmore. */
static void no_thread_is_left_of(int nmore)
{
	const int nthreads = census_take().nthreads;
	struct end end;
	struct pair pair;
	int tag = 7;

	end_open(&end, 12);
	pair_open(&pair, &end, &end);
	struct buffer from = buffer_make(&end, pair.send_conn, BYTES);
	struct buffer to = buffer_make(&end, pair.recv_conn, BYTES);
	assert_non_null(pair_recv(&pair, 1, &to, &tag));
	sleep_ms(LATE_MS);
	assert_non_null(pair_send(&pair, &from, tag));
	assert_int_equal(census_take().nthreads, nthreads + 1 + nmore);
	drive_close(&end.drive);
	assert_null(dlopen(PLUGIN, RTLD_NOW | RTLD_NOLOAD));
	assert_int_equal(threads_settled(nthreads), nthreads);
	sleep_ms(LATE_MS);
	free(from.data);
	free(to.data);
}

static void no_thread_of_a_link_is_left(void **state)
{
	(void)state;
	no_thread_is_left_of(0);
}

static void no_thread_that_writes_is_left(void **state)
{
	char directory[] = "/tmp/lina-unload-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/%s", directory, "trace-%h");
	setenv("LINA_TRACE", path, 1);
	no_thread_is_left_of(1);
	unsetenv("LINA_TRACE");
	(void)snprintf(path, sizeof(path), "rm -r %s", directory);
	assert_int_equal(system(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_thread_of_a_link_is_left),
		cmocka_unit_test(no_thread_that_writes_is_left),
	};

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
