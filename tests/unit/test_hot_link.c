/* The peers of a link: who counts for how long over a kernel and over a device, what a drop takes
 * back, and the lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "plugin/hot.h"

enum { NTHREADS = 3, ROUNDS = 20000, KERNEL_BYTES = 256 << 10 };

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
	lina_hot_completes(&hot_, 0);
	lina_hot_post(&hot, 1000, 1);
	lina_hot_sent(&hot, 1000, 1);
	assert_int_equal(lina_hot_most_bytes(&cold, long_after_ns), LINA_PEERS_WORTH_BYTES);
	lina_hot_left(&hot, 1000, long_after_ns);
	assert_true(is_free(long_after_ns));
	end();
}

/* Queues of a device take turns: what a colder peer may have there follows from what each got, and
 * the hottest is likely to have got what a port carries in 20 us more. */
static void a_device_has_more_of_who_is_behind(void **state)
{
	const uint64_t mbps = 400, lead = 1000;

	(void)state;
	begin(KERNEL_BYTES);
	lina_hot_completes(&hot_, mbps);
	lina_hot_post(&hot, 100000, 1);
	lina_hot_post(&cold, 20000, 1);
	lina_hot_left(&hot, 40000, 1);
	assert_int_equal(
		lina_hot_most_bytes(&cold, 1), LINA_PEERS_WORTH_BYTES + (40000 + lead) / 4);
	lina_hot_left(&cold, 8000, 1);
	assert_int_equal(
		lina_hot_most_bytes(&cold, 1), LINA_PEERS_WORTH_BYTES + (40000 + lead) / 4 - 8000);
	lina_hot_left(&cold, 8000, 1);
	assert_int_equal(lina_hot_most_bytes(&cold, 1), LINA_PEERS_WORTH_BYTES);
	end();
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
	lina_hot_completes(&hot_, 0);
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
	lina_hot_completes(&hot_, 0);
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
		cmocka_unit_test(a_device_has_more_of_who_is_behind),
		cmocka_unit_test(all_are_alike_where_what_is_below_is_not_known),
		cmocka_unit_test(a_drop_takes_back_what_has_not_left),
		cmocka_unit_test(threads_do_not_disturb_each_other),
	};

	return cmocka_run_group_tests_name("hot_link", tests, NULL, NULL);
}
