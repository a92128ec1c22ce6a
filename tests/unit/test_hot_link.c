/* The peers of a link: who counts for how long over a kernel and over a device, what a drop takes
 * back, and the lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "plugin/hot.h"

enum { NTHREADS = 3, ROUNDS = 20000, KERNEL_BYTES = 256 << 10, LINGER_NS = 200000 };

static const uint64_t kernel_linger_ns = 2000000;

static struct lina_hot hot_;
static struct lina_hot_flow hot, cold;

/* Two peers, of which one gets four times as much as the other. */
static void begin(uint64_t hottest_bytes)
{
	lina_hot_init(&hot_, hottest_bytes);
	hot = cold = (struct lina_hot_flow){ .hot = &hot_ };
	lina_hot_flow_peer(&hot, 1, 0.8);
	lina_hot_flow_peer(&cold, 2, 0.2);
}

static void end(void)
{
	lina_hot_destroy(&hot_);
}

static bool is_free(uint64_t now_ns)
{
	return lina_hot_most_bytes(&cold, now_ns) == UINT64_MAX;
}

static void what_a_kernel_takes_counts_as_sent(void **state)
{
	(void)state;
	begin(KERNEL_BYTES);
	assert_true(is_free(1));
	lina_hot_post(&hot, 1000, 1);
	assert_int_equal(lina_hot_most_bytes(&cold, 1), KERNEL_BYTES / 4);
	assert_true(lina_hot_most_bytes(&hot, 1) == UINT64_MAX);
	lina_hot_sent(&hot, 1000, 5);
	assert_int_equal(hot.peer->queued_bytes, 0);
	assert_false(is_free(5 + kernel_linger_ns - 1));
	assert_true(is_free(5 + kernel_linger_ns));
	end();
}

static void what_a_device_takes_counts_until_it_has_left(void **state)
{
	const uint64_t long_after_ns = 3 * kernel_linger_ns;

	(void)state;
	begin(KERNEL_BYTES);
	lina_hot_completes(&hot_, 100000, LINGER_NS);
	lina_hot_post(&hot, 1000, 1);
	lina_hot_sent(&hot, 1000, 1);
	assert_int_equal(lina_hot_most_bytes(&cold, long_after_ns), 625000 / 4);
	lina_hot_left(&hot, 1000, long_after_ns);
	assert_false(is_free(long_after_ns + LINGER_NS - 1));
	assert_true(is_free(long_after_ns + LINGER_NS));
	end();
}

/* A slow port, and one of which nothing is known, have use for as much as a kernel. */
static void a_slow_port_has_some_below_too(void **state)
{
	static const uint64_t mbps[] = { 0, 1, 10000 };

	(void)state;
	for (size_t i = 0; i < sizeof(mbps) / sizeof(*mbps); i++) {
		begin(0);
		lina_hot_completes(&hot_, mbps[i], LINGER_NS);
		lina_hot_post(&hot, 1000, 1);
		assert_int_equal(lina_hot_most_bytes(&cold, 1), (256 << 10) / 4);
		end();
	}
}

static void all_are_alike_where_what_is_below_is_not_known(void **state)
{
	(void)state;
	begin(0);
	lina_hot_post(&hot, 1000, 1);
	assert_true(is_free(1));
	end();
}

static void a_drop_takes_back_what_has_not_left(void **state)
{
	(void)state;
	begin(KERNEL_BYTES);
	lina_hot_completes(&hot_, 0, LINGER_NS);
	lina_hot_post(&hot, 1000, 1);
	lina_hot_sent(&hot, 1000, 1);
	lina_hot_left(&hot, 300, 2);
	lina_hot_drop(&hot);
	assert_int_equal(hot.peer->queued_bytes, 0);
	assert_true(is_free(2));
	lina_hot_drop(&hot); /* there is no more */
	assert_int_equal(hot.peer->queued_bytes, 0);
	lina_hot_post(&hot, 10, 3);
	assert_int_equal(hot.peer->queued_bytes, 10);
	assert_false(is_free(3));
	end();
}

/* A connection of a thread of its own. */
static void *work(void *arg)
{
	struct lina_hot_flow flow = { .hot = &hot_ };

	lina_hot_flow_peer(&flow, *(const uint64_t *)arg, 0);
	for (uint64_t i = 1; i <= ROUNDS; i++) {
		lina_hot_post(&flow, i, i);
		(void)lina_hot_most_bytes(&flow, i);
		lina_hot_left(&flow, i / 2, i);
		if (i % 2)
			lina_hot_drop(&flow);
		else
			lina_hot_left(&flow, i / 2, i);
	}
	return NULL;
}

static void threads_do_not_disturb_each_other(void **state)
{
	static uint64_t who[] = { 1, 2 };
	pthread_t thread[NTHREADS];

	(void)state;
	begin(KERNEL_BYTES);
	lina_hot_completes(&hot_, 0, LINGER_NS);
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, &who[i % 2]), 0);
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(hot_.peers.queued_bytes, 0);
	assert_int_equal(hot.peer->queued_bytes, 0);
	assert_int_equal(cold.peer->queued_bytes, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_kernel_takes_counts_as_sent),
		cmocka_unit_test(what_a_device_takes_counts_until_it_has_left),
		cmocka_unit_test(a_slow_port_has_some_below_too),
		cmocka_unit_test(all_are_alike_where_what_is_below_is_not_known),
		cmocka_unit_test(a_drop_takes_back_what_has_not_left),
		cmocka_unit_test(threads_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests_name("hot_link", tests, NULL, NULL);
}
