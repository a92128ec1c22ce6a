/* The sentences of priority/rate.h, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "priority/rate.h"

#define MS UINT64_C(1000000)

/* Bytes of a sample of 20 ms at 1 GB/s. */
#define SAMPLE_BYTES UINT64_C(20000000)

static const uint64_t gb_per_s = 1000000000;

static struct rate_case {
	struct lina_rate rate;
	uint64_t now_ns;
} c;

static int begin(void **state)
{
	(void)state;
	c = (struct rate_case){ .now_ns = 5000 * MS };
	return 0;
}

static void left(uint64_t bytes, uint64_t ns)
{
	c.now_ns += ns;
	lina_rate_left(&c.rate, bytes, true, c.now_ns);
}

/* All first samples, of a rate that is a multiple of 1 GB/s. */
static void learn(uint64_t gbs)
{
	left(0, 0);
	for (int i = 0; i < LINA_RATE_FIRST_SAMPLES; i++)
		left(gbs * SAMPLE_BYTES, 20 * MS);
}

static uint64_t answer(void)
{
	return lina_rate_bytes_per_s(&c.rate);
}

static void nothing_is_known_at_first(void **state)
{
	(void)state;
	assert_int_equal(answer(), 0);
}

static void there_is_an_answer_after_some_samples(void **state)
{
	(void)state;
	left(0, 0);
	for (int i = 0; i < LINA_RATE_SAMPLES; i++) {
		assert_int_equal(answer(), 0);
		left(SAMPLE_BYTES, 20 * MS);
	}
	assert_int_equal(answer(), gb_per_s);
}

/* What left before anybody looked says nothing of how long it took. */
static void the_first_call_only_begins_a_sample(void **state)
{
	(void)state;
	left(1000 * SAMPLE_BYTES, 20 * MS);
	for (int i = 0; i < LINA_RATE_SAMPLES; i++)
		left(SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), gb_per_s);
}

static void a_sample_is_made_of_calls_that_come_often(void **state)
{
	(void)state;
	left(0, 0);
	for (int i = 0; i < 10 * LINA_RATE_SAMPLES; i++) {
		assert_int_equal(answer(), 0);
		left(SAMPLE_BYTES / 10, 2 * MS);
	}
	assert_int_equal(answer(), gb_per_s);
}

static void a_sample_takes_a_least_time(void **state)
{
	(void)state;
	learn(1);
	left(SAMPLE_BYTES * 100, LINA_RATE_SAMPLE_NS - 1);
	assert_int_equal(answer(), gb_per_s);
	left(0, 1);
	assert_true(answer() > gb_per_s);
}

static void a_sample_after_the_longest_gap_counts(void **state)
{
	(void)state;
	learn(1);
	left(27 * SAMPLE_BYTES / 2, LINA_RATE_GAP_MAX_NS);
	assert_int_equal(answer(), 3 * gb_per_s);
}

/* 40 ms for the least bytes: the sample goes on until it has them. */
static void a_sample_has_a_least_size(void **state)
{
	const uint64_t part = LINA_RATE_SAMPLE_BYTES / 4;

	(void)state;
	left(0, 0);
	for (int i = 0; i < 4 * LINA_RATE_SAMPLES; i++) {
		assert_int_equal(answer(), 0);
		left(part, 10 * MS);
	}
	assert_int_equal(answer(), part * 100);
}

/* One that takes too long for them is given up, however often somebody looks. */
static void a_sample_takes_a_longest_time(void **state)
{
	(void)state;
	left(0, 0);
	for (int i = 0; i < 1000; i++)
		left(LINA_RATE_SAMPLE_BYTES / 100, 10 * MS);
	assert_int_equal(answer(), 0);
}

static void a_longer_one_says_nothing(void **state)
{
	(void)state;
	learn(1);
	left(100 * SAMPLE_BYTES, LINA_RATE_GAP_MAX_NS + 1);
	assert_int_equal(answer(), gb_per_s);
	left(5 * SAMPLE_BYTES, 20 * MS); /* and the next begins there */
	assert_int_equal(answer(), 2 * gb_per_s);
}

/* Where nothing was waiting the link had nothing to do for a part of the time. */
static void a_sample_in_which_nothing_was_waiting_says_nothing(void **state)
{
	(void)state;
	learn(1);
	c.now_ns += 20 * MS;
	lina_rate_left(&c.rate, 100 * SAMPLE_BYTES, false, c.now_ns);
	assert_int_equal(answer(), gb_per_s);
	left(100 * SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), gb_per_s);
	left(5 * SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), 2 * gb_per_s);
}

/* Where bulk comes in short runs no sample is ever complete. */
static void a_short_run_of_several_lumps_counts_when_it_ends(void **state)
{
	(void)state;
	for (int run = 0; run < LINA_RATE_SAMPLES; run++) {
		assert_int_equal(answer(), 0);
		left(0, 50 * MS);
		for (int lump = 0; lump < LINA_RATE_SHORT_LUMPS; lump++)
			left(SAMPLE_BYTES / 40, MS / 2);
		c.now_ns += 5 * MS; /* it may have wanted for data since */
		lina_rate_left(&c.rate, 0, false, c.now_ns);
	}
	assert_int_equal(answer(), gb_per_s);
}

static void a_shorter_run_or_one_of_fewer_lumps_says_nothing(void **state)
{
	(void)state;
	for (int run = 0; run < 100; run++) {
		left(0, 50 * MS);
		for (int lump = 0; lump < LINA_RATE_SHORT_LUMPS - 1; lump++)
			left(SAMPLE_BYTES / 40, MS);
		lina_rate_left(&c.rate, 0, false, c.now_ns);
		left(0, 50 * MS);
		for (int lump = 0; lump < LINA_RATE_SHORT_LUMPS; lump++)
			left(SAMPLE_BYTES / 40, MS / 4);
		lina_rate_left(&c.rate, 0, false, c.now_ns);
	}
	assert_int_equal(answer(), 0);
}

static void nothing_waiting_in_the_middle_ends_a_sample(void **state)
{
	(void)state;
	learn(1);
	c.now_ns += 10 * MS;
	lina_rate_left(&c.rate, SAMPLE_BYTES, false, c.now_ns);
	left(100 * SAMPLE_BYTES, 10 * MS);
	assert_int_equal(answer(), gb_per_s);
}

static void a_faster_sample_draws_the_answer_a_quarter_of_the_way(void **state)
{
	(void)state;
	learn(1);
	left(9 * SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), 3 * gb_per_s);
	left(7 * SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), 4 * gb_per_s);
}

static void a_slower_sample_draws_it_a_sixteenth(void **state)
{
	(void)state;
	learn(17);
	left(SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), 16 * gb_per_s);
}

static void of_the_first_samples_the_fastest_counts(void **state)
{
	(void)state;
	left(0, 0);
	for (int i = 0; i < LINA_RATE_FIRST_SAMPLES; i++)
		left((i == 1 ? 9 : 1) * SAMPLE_BYTES, 20 * MS);
	assert_int_equal(answer(), 9 * gb_per_s);
	left(25 * SAMPLE_BYTES, 20 * MS); /* no longer one of the first */
	assert_int_equal(answer(), 13 * gb_per_s);
}

/* A link that is shared half of the time is still found to be as fast as it is when it is not: the
 * answer stays in the upper half. */
static void the_answer_is_a_high_quantile(void **state)
{
	(void)state;
	learn(100);
	for (int i = 0; i < 1000; i++)
		left((i % 2 ? 100 : 50) * SAMPLE_BYTES, 20 * MS);
	assert_in_range(answer(), 85 * gb_per_s, 100 * gb_per_s);
}

static void what_is_forgotten_is_learned_anew(void **state)
{
	(void)state;
	learn(100);
	lina_rate_forget(&c.rate);
	assert_int_equal(answer(), 0);
	learn(1);
	assert_int_equal(answer(), gb_per_s);
}

/* Callers read the clock before they wait for a lock. */
static void a_time_that_comes_late_is_that_of_the_call_before(void **state)
{
	(void)state;
	left(0, 0);
	for (int i = 0; i < 10 * LINA_RATE_SAMPLES; i++) {
		assert_int_equal(answer(), 0);
		left(SAMPLE_BYTES / 20, 2 * MS);
		lina_rate_left(&c.rate, SAMPLE_BYTES / 20, true, c.now_ns - MS);
	}
	assert_int_equal(answer(), gb_per_s);
}

/* 400 Gbit/s, and a petabyte that has left before. */
static void a_fast_link_is_counted_rightly(void **state)
{
	(void)state;
	left(UINT64_C(1000000000000000), 0);
	for (int i = 0; i < LINA_RATE_SAMPLES; i++)
		left(UINT64_C(1500000000), 30 * MS);
	assert_int_equal(answer(), UINT64_C(50000000000));
}

/* 20 of 30 bytes may have left at any time since the flow had nothing more to send. */
static void what_may_have_left_before_the_sample_is_not_sure_to_be_of_it(void **state)
{
	struct lina_rate_flow flow = { .seen_ns = c.now_ns };

	(void)state;
	left(0, MS);
	lina_rate_back(&flow, 20);
	assert_int_equal(lina_rate_sure(&c.rate, &flow, 30, c.now_ns + MS), 10);
	lina_rate_back(&flow, 20); /* who was seen since is known */
	assert_int_equal(lina_rate_sure(&c.rate, &flow, 30, c.now_ns + 2 * MS), 30);
}

static void what_left_of_a_flow_that_always_had_more_is_sure(void **state)
{
	struct lina_rate_flow flow = { .seen_ns = c.now_ns };

	(void)state;
	left(0, MS);
	assert_int_equal(lina_rate_sure(&c.rate, &flow, 30, c.now_ns), 30);
}

static void a_flow_that_comes_back_has_left_no_less_than_nothing(void **state)
{
	struct lina_rate_flow flow = { .seen_ns = c.now_ns };

	(void)state;
	left(0, MS);
	lina_rate_back(&flow, 20);
	assert_int_equal(lina_rate_sure(&c.rate, &flow, 5, c.now_ns), 0);
	assert_int_equal(lina_rate_sure(&c.rate, &flow, 5, c.now_ns), 5);
}

#define EACH(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(nothing_is_known_at_first),
		EACH(there_is_an_answer_after_some_samples),
		EACH(the_first_call_only_begins_a_sample),
		EACH(a_sample_is_made_of_calls_that_come_often),
		EACH(a_sample_takes_a_least_time),
		EACH(a_sample_after_the_longest_gap_counts),
		EACH(a_sample_has_a_least_size),
		EACH(a_sample_takes_a_longest_time),
		EACH(a_longer_one_says_nothing),
		EACH(a_sample_in_which_nothing_was_waiting_says_nothing),
		EACH(a_short_run_of_several_lumps_counts_when_it_ends),
		EACH(a_shorter_run_or_one_of_fewer_lumps_says_nothing),
		EACH(nothing_waiting_in_the_middle_ends_a_sample),
		EACH(a_faster_sample_draws_the_answer_a_quarter_of_the_way),
		EACH(a_slower_sample_draws_it_a_sixteenth),
		EACH(of_the_first_samples_the_fastest_counts),
		EACH(the_answer_is_a_high_quantile),
		EACH(what_is_forgotten_is_learned_anew),
		EACH(a_time_that_comes_late_is_that_of_the_call_before),
		EACH(a_fast_link_is_counted_rightly),
		EACH(what_may_have_left_before_the_sample_is_not_sure_to_be_of_it),
		EACH(what_left_of_a_flow_that_always_had_more_is_sure),
		EACH(a_flow_that_comes_back_has_left_no_less_than_nothing),
	};

	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
