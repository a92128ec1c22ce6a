#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf/stats.h"

static void quantiles_interpolate_between_neighbours(void **state)
{
	double values[] = { 40, 10, 30, 20, 50 };

	(void)state;
	stats_sort(values, 5);
	assert_float_equal(stats_quantile(values, 5, 0), 10.0, 1e-9);
	assert_float_equal(stats_quantile(values, 5, 0.5), 30.0, 1e-9);
	assert_float_equal(stats_quantile(values, 5, 0.1), 14.0, 1e-9);
	assert_float_equal(stats_quantile(values, 5, 0.9), 46.0, 1e-9);
	assert_float_equal(stats_quantile(values, 5, 1), 50.0, 1e-9);
}

static void an_even_count_has_its_median_between_two(void **state)
{
	double values[] = { 4, 1, 3, 2 };

	(void)state;
	stats_sort(values, 4);
	assert_float_equal(stats_quantile(values, 4, 0.5), 2.5, 1e-9);
}

static void one_value_is_each_of_its_quantiles(void **state)
{
	double value = 7;

	(void)state;
	stats_sort(&value, 1);
	for (int i = 0; i <= 10; i++)
		assert_float_equal(stats_quantile(&value, 1, i / 10.0), 7.0, 0.0);
}

static void the_geometric_mean_of_a_ratio_and_its_inverse_is_one(void **state)
{
	const double ratios[] = { 0.5, 2.0 }, cube[] = { 1, 10, 100 };

	(void)state;
	assert_float_equal(stats_geomean(ratios, 2), 1.0, 1e-9);
	assert_float_equal(stats_geomean(cube, 3), 10.0, 1e-9);
}

static void ratios_are_of_pairs_and_sorted(void **state)
{
	const double above[] = { 4, 1, 9 }, below[] = { 2, 4, 3 };
	double ratios[3];

	(void)state;
	stats_ratios(above, below, 3, ratios);
	assert_float_equal(ratios[0], 0.25, 1e-9);
	assert_float_equal(ratios[1], 2.0, 1e-9);
	assert_float_equal(ratios[2], 3.0, 1e-9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quantiles_interpolate_between_neighbours),
		cmocka_unit_test(an_even_count_has_its_median_between_two),
		cmocka_unit_test(one_value_is_each_of_its_quantiles),
		cmocka_unit_test(ratios_are_of_pairs_and_sorted),
		cmocka_unit_test(the_geometric_mean_of_a_ratio_and_its_inverse_is_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
