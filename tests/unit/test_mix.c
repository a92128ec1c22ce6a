#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf/mix_figures.h"
#include "perf/mix_times.h"

#include <math.h>

enum { RANKS = 3, STRIDE = 2 };

/* Of each rank: an operation, then the one beside it. */
static const struct mix_span seen[RANKS * STRIDE] = {
	{ 110, 150 }, { 100, 200 }, /* rank 0 */
	{ 120, 170 }, { 105, 195 }, /* rank 1 */
	{ 115, 190 }, { 108, 210 }, /* rank 2 */
};

static void a_span_runs_from_the_last_start_to_the_last_end(void **state)
{
	struct mix_span all = mix_span_of_all(seen, RANKS, STRIDE);

	(void)state;
	assert_float_equal(all.start_us, 120, 0);
	assert_float_equal(all.end_us, 190, 0);
}

static void inside_means_on_every_rank(void **state)
{
	struct mix_span spans[RANKS * STRIDE];

	(void)state;
	assert_true(mix_span_inside(seen, seen + 1, RANKS, STRIDE));
	for (size_t r = 0; r < RANKS; r++) {
		/* One rank begins before another's allreduce has, or ends after another's. */
		for (int i = 0; i < RANKS * STRIDE; i++)
			spans[i] = seen[i];
		spans[r * STRIDE].start_us = 107;
		assert_false(mix_span_inside(spans, spans + 1, RANKS, STRIDE));
		spans[r * STRIDE] = (struct mix_span){ 110, 196 };
		assert_false(mix_span_inside(spans, spans + 1, RANKS, STRIDE));
	}
}

static void gaps_are_needed_where_no_allreduce_fills_them(void **state)
{
	(void)state;
	assert_float_equal(mix_need_us(10, 7, 5, 100), 170, 1e-9);
	assert_float_equal(mix_need_us(10, 7, 5, 50), 120, 1e-9);
	assert_float_equal(mix_need_us(10, 7, 5, 30), 120, 1e-9);
	assert_float_equal(mix_need_us(10, 7, 0, 30), 100, 1e-9);
}

static void add(struct mix_samples *samples, enum mix_kind kind, const double *times_us, size_t n)
{
	for (size_t i = 0; i < n; i++)
		assert_int_equal(mix_samples_add(samples, kind, times_us[i]), 0);
}

static void figures_compare_with_the_median_alone_and_the_reference(void **state)
{
	const struct mix_setting setting = { .count = 4, .gap_us = 2, .line_us = 8 };
	const double alone_us[] = { 12, 10, 9 }, under_us[] = { 30, 20, 25, 20, 15 };
	const double allreduce_us[] = { 100, 400, 120 }, slower_us[] = { 110, 200, 240 };
	const double both_us[] = { 200, 160, 150 };
	struct mix_samples samples = { 0 }, reference = { 0 };
	struct mix_figures f;

	(void)state;
	add(&samples, MIX_ALONE, alone_us, 3);
	add(&samples, MIX_UNDER, under_us, 5);
	add(&samples, MIX_ALLREDUCE, allreduce_us, 3);
	add(&samples, MIX_BOTH, both_us, 3);
	add(&reference, MIX_ALLREDUCE, slower_us, 3);
	assert_int_equal(mix_figure(&samples, &reference, &setting, &f), 0);
	assert_float_equal(f.of[MIX_ALONE].p50_us, 10, 1e-9);
	assert_float_equal(f.line_share, 0.8, 1e-9);
	assert_float_equal(f.slowdown, 2.0, 1e-9);
	assert_float_equal(f.slowdown_p95, 2.9, 1e-9);
	/* Round by round 1.1, 0.5 and 2: not the ratio of the medians, which is 200 / 120. */
	assert_float_equal(f.allreduce_rate, 1.1, 1e-9);
	assert_float_equal(f.need_us, 160, 1e-9);
	assert_float_equal(f.both_share, 1.0, 1e-9);
	assert_true(isnan(f.of[MIX_AFTER].p50_us));
	mix_samples_free(&samples);
	mix_samples_free(&reference);
}

static void samples_stay_in_the_order_they_came(void **state)
{
	struct mix_samples samples = { 0 };

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(mix_samples_add(&samples, MIX_UNDER, 1000 - i), 0);
	assert_int_equal(samples.of[MIX_UNDER].n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_float_equal(samples.of[MIX_UNDER].time_us[i], (double)(1000 - i), 0);
	mix_samples_free(&samples);
	assert_int_equal(samples.of[MIX_UNDER].n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_span_runs_from_the_last_start_to_the_last_end),
		cmocka_unit_test(inside_means_on_every_rank),
		cmocka_unit_test(gaps_are_needed_where_no_allreduce_fills_them),
		cmocka_unit_test(figures_compare_with_the_median_alone_and_the_reference),
		cmocka_unit_test(samples_stay_in_the_order_they_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
