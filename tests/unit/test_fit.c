/* The sentences of priority/fit.h, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "priority/fit.h"

enum { MEMORY = 64 };

/* Alpha and the time of a byte of a link. */
struct link {
	uint64_t alpha_ns, byte_ps;
};

static const struct link gigabit = { 6000, 8000 };

static struct lina_fit fit;

static int begin(void **state)
{
	(void)state;
	lina_fit_init(&fit, MEMORY);
	return 0;
}

static uint64_t time_ns(struct link link, uint64_t bytes)
{
	return link.alpha_ns + bytes * link.byte_ps / 1000;
}

/* n samples of sizes between 1000 and 64000. */
static void learn(struct link link, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t bytes = (uint64_t)(1 + i * 29 % 64) * 1000;
		lina_fit_add(&fit, bytes, time_ns(link, bytes));
	}
}

static void learn_size(struct link link, uint64_t bytes, int n)
{
	for (int i = 0; i < n; i++)
		lina_fit_add(&fit, bytes, time_ns(link, bytes));
}

/* In percent of the link's. */
static void expect_line(struct link link, uint64_t percent)
{
	struct lina_line line = { 0, 0 };
	uint64_t alpha_off = link.alpha_ns * percent / 100 + 1;
	uint64_t byte_off = link.byte_ps * percent / 100 + 1;

	assert_int_equal(lina_fit_line(&fit, &line), 0);
	assert_in_range(line.alpha_ns + alpha_off, link.alpha_ns, link.alpha_ns + 2 * alpha_off);
	assert_in_range(line.byte_ps + byte_off, link.byte_ps, link.byte_ps + 2 * byte_off);
}

static void a_line_is_found(void **state)
{
	(void)state;
	learn(gigabit, 10);
	expect_line(gigabit, 0);
	learn(gigabit, 100 * MEMORY);
	expect_line(gigabit, 0);
}

static void nothing_is_known_from_few_samples(void **state)
{
	struct lina_line line = { 1, 2 };

	(void)state;
	assert_int_equal(lina_fit_line(&fit, &line), -EAGAIN);
	learn(gigabit, 6);
	assert_int_equal(lina_fit_line(&fit, &line), -EAGAIN);
	assert_int_equal(line.alpha_ns, 1);
	assert_int_equal(line.byte_ps, 2);
}

static void sizes_that_are_alike_do_not_tell(void **state)
{
	struct lina_line line;

	(void)state;
	learn_size(gigabit, 65536, 1000);
	assert_int_equal(lina_fit_line(&fit, &line), -EAGAIN);
	learn_size(gigabit, 65537, 20);
	assert_int_equal(lina_fit_line(&fit, &line), -EAGAIN);
}

static void times_that_do_not_follow_sizes_do_not_tell(void **state)
{
	struct lina_line line;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		lina_fit_add(&fit, 1000 + i * 7919 % 1000, 1000 + i * 104729 % 997);
	assert_int_equal(lina_fit_line(&fit, &line), -EAGAIN);
	lina_fit_init(&fit, MEMORY);
	for (uint64_t i = 0; i < 1000; i++)
		lina_fit_add(&fit, 0, i);
	assert_int_equal(lina_fit_line(&fit, &line), -EAGAIN);
}

/* As they are once the chunk follows from the fit. */
static void alpha_stays_and_the_rate_follows_where_sizes_are_alike(void **state)
{
	struct link slower = gigabit;

	(void)state;
	learn(gigabit, MEMORY);
	learn_size(gigabit, 32000, 100 * MEMORY);
	expect_line(gigabit, 1);
	slower.byte_ps = 16000;
	learn_size(slower, 32000, 100 * MEMORY);
	expect_line(slower, 1);
}

static void what_is_old_is_forgotten(void **state)
{
	static const struct link links[] = { { 2000, 800 }, { 20000, 80000 }, { 500, 80 } };

	(void)state;
	for (int i = 0; i < 3; i++) {
		learn(links[i], 20 * MEMORY);
		expect_line(links[i], 2);
	}
}

/* One sample of a memory's worth takes a hundred times as long, as if its thread had not run. */
static void outliers_move_the_line_a_little(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		learn(gigabit, MEMORY - 1);
		lina_fit_add(&fit, 30000, 100 * time_ns(gigabit, 30000));
		expect_line(gigabit, 10);
	}
}

static void alpha_is_not_below_0(void **state)
{
	struct lina_line line;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++)
		lina_fit_add(&fit, 10000 + i % 64 * 1000, (10000 + i % 64 * 1000) * 8 - 50000);
	assert_int_equal(lina_fit_line(&fit, &line), 0);
	assert_int_equal(line.alpha_ns, 0);
	assert_in_range(line.byte_ps, 5000, 8000);
}

static void the_largest_samples_fit(void **state)
{
	const uint64_t hour_ns = UINT64_C(3600000000000), tib = UINT64_C(1) << 40;
	struct lina_line line;

	(void)state;
	for (uint64_t i = 1; i <= 1000; i++)
		lina_fit_add(&fit, tib / 16 * (i % 16 + 1), hour_ns / 16 * (i % 16 + 1));
	assert_int_equal(lina_fit_line(&fit, &line), 0);
	assert_in_range(line.byte_ps, 3274, 3275);
	for (int i = 0; i < 100 * MEMORY; i++)
		lina_fit_add(&fit, 1, i % 2 ? hour_ns : 0);
	assert_int_equal(lina_fit_line(&fit, &line), 0);
	line = (struct lina_line){ hour_ns, 1 };
	assert_int_equal(lina_line_chunk_bytes(&line, 1), hour_ns * 1000 * 999);
}

static double overhead(struct lina_line line, uint64_t bytes)
{
	double alpha_ps = (double)line.alpha_ns * 1000;

	return alpha_ps / (alpha_ps + (double)bytes * line.byte_ps);
}

static void a_chunk_is_the_smallest_that_keeps_its_overhead(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct lina_line line = { i * 7919 % 20011, 1 + i * 104729 % 20011 };
		uint32_t permille = 1 + i * 31 % 999;
		uint64_t bytes = lina_line_chunk_bytes(&line, permille);

		assert_true(overhead(line, bytes) <= permille * 1e-3 * (1 + 1e-12));
		if (bytes > 1)
			assert_true(overhead(line, bytes - 1) > permille * 1e-3 * (1 - 1e-12));
		assert_true(bytes > 0);
	}
	/* 6 us, 2 %, 1 Gbit/s: 294 us for the bytes. */
	assert_int_equal(lina_line_chunk_bytes(&(struct lina_line){ 6000, 8000 }, 20), 294000 / 8);
	assert_int_equal(lina_line_chunk_bytes(&(struct lina_line){ 6000, 8000 }, 1000), 1);
}

#define EACH(test) cmocka_unit_test_setup(test, begin)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_line_is_found),
		EACH(nothing_is_known_from_few_samples),
		EACH(sizes_that_are_alike_do_not_tell),
		EACH(times_that_do_not_follow_sizes_do_not_tell),
		EACH(alpha_stays_and_the_rate_follows_where_sizes_are_alike),
		EACH(what_is_old_is_forgotten),
		EACH(outliers_move_the_line_a_little),
		EACH(alpha_is_not_below_0),
		EACH(the_largest_samples_fit),
		EACH(a_chunk_is_the_smallest_that_keeps_its_overhead),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
