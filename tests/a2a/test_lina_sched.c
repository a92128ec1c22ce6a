/* Two phases: what was expected stays where it comes true, and what is found is planned for where
 * it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "a2a/cases.h"
#include "collectives/lina_sched.h"
#include "collectives/place.h"

enum { EXPERTS = 8, DEVICES = 4, SLOTS = 3, LAYERS = 3, RUNS = 300 };

static const struct lina_plan_shape shape = { LAYERS, EXPERTS, DEVICES, 1, SLOTS };
static const struct lina_sched_settings settings = { .top = 4 };

static struct lina_sched *open_sched(const struct lina_sched_settings *with)
{
	struct lina_counts *even;
	struct lina_sched *sched;
	struct lina_plan *plan;

	assert_int_equal(lina_counts_create(LAYERS, EXPERTS, &even), 0);
	struct lina_place place = { .shape = shape, .ngroups = 1, .max_moves = -1 };
	place.score.counts = even;
	assert_int_equal(lina_place_uniform(&place, &plan), 0);
	assert_int_equal(lina_sched_create(plan, with, &sched), 0);
	lina_plan_destroy(plan);
	lina_counts_destroy(even);
	return sched;
}

static bool has(const struct lina_plan *plan, int layer, int d, int e)
{
	for (int s = d * SLOTS; s < (d + 1) * SLOTS; s++)
		if (lina_plan_experts(plan, layer)[s] == e)
			return true;
	return false;
}

/* The layer is as the planner makes it from these loads. */
static void placed_for(const struct lina_sched *sched, int layer, const double *load)
{
	struct lina_counts *counts;
	struct lina_plan *plan;
	size_t bytes = sizeof(int) * DEVICES * SLOTS;

	assert_int_equal(lina_counts_create(LAYERS, EXPERTS, &counts), 0);
	memcpy(lina_counts_layer(counts, layer), load, EXPERTS * sizeof(*load));
	struct lina_place place = { .shape = shape, .ngroups = 1, .max_moves = -1 };
	struct lina_proportional_settings p = lina_proportional_settings_default();
	place.score.counts = counts;
	assert_int_equal(lina_place_proportional(&place, &p, &plan), 0);
	assert_memory_equal(lina_plan_experts(plan, layer),
		lina_plan_experts(lina_sched_plan(sched), layer), bytes);
	lina_plan_destroy(plan);
	lina_counts_destroy(counts);
}

static void an_estimate_that_comes_true_stays(void **state)
{
	const double expected[EXPERTS] = { 90, 5, 40, 5, 30, 5, 20, 5 };
	const double found[EXPERTS] = { 70, 6, 30, 6, 40, 6, 10, 6 }; /* the same four */
	struct lina_sched *sched = open_sched(&settings);
	struct lina_sched_stats stats;
	bool again = true;

	(void)state;
	assert_int_equal(lina_sched_expect(sched, 1, expected), 0);
	placed_for(sched, 1, expected);
	assert_int_equal(lina_sched_found(sched, 1, found, &again), 0);
	assert_false(again);
	placed_for(sched, 1, expected);
	lina_sched_took(sched, LINA_SCHED_CHECK, 30);
	lina_sched_took(sched, LINA_SCHED_CHECK, 12);
	lina_sched_stats(sched, &stats);
	assert_int_equal(stats.expected, 1);
	assert_int_equal(stats.hits, 1);
	assert_int_equal(stats.again, 0);
	assert_int_equal(stats.missed, 0);
	assert_int_equal(stats.ns[LINA_SCHED_CHECK], 42);
	lina_sched_destroy(sched);
}

static void a_miss_is_planned_anew(void **state)
{
	const double expected[EXPERTS] = { 90, 5, 40, 5, 30, 5, 20, 5 };
	const double found[EXPERTS] = { 5, 90, 40, 5, 30, 5, 20, 5 };
	struct lina_sched *sched = open_sched(&settings);
	struct lina_sched_stats stats;
	bool again = false;

	(void)state;
	assert_int_equal(lina_sched_expect(sched, 1, expected), 0);
	assert_int_equal(lina_sched_found(sched, 1, found, &again), 0);
	assert_true(again);
	placed_for(sched, 1, found);
	lina_sched_stats(sched, &stats);
	assert_int_equal(stats.again, 1);
	assert_int_equal(stats.missed, 1);
	/* An expectation serves once. */
	assert_int_equal(lina_sched_found(sched, 1, found, &again), 0);
	assert_true(again);
	lina_sched_destroy(sched);
}

static void order_counts_where_it_is_asked_for(void **state)
{
	const double expected[EXPERTS] = { 90, 5, 40, 5, 30, 5, 20, 5 };
	const double found[EXPERTS] = { 40, 5, 90, 5, 30, 5, 20, 5 };
	struct lina_sched_settings ordered = { .top = 4, .in_order = true };
	struct lina_sched *sched = open_sched(&ordered);
	struct lina_sched_stats stats;
	bool again = false;

	(void)state;
	assert_int_equal(lina_sched_expect(sched, 0, expected), 0);
	assert_int_equal(lina_sched_found(sched, 0, found, &again), 0);
	assert_true(again);
	lina_sched_stats(sched, &stats);
	assert_int_equal(stats.missed, 2);
	lina_sched_destroy(sched);
}

/* What devices are told to fetch is what they have now and had not. */
static void what_is_fetched_is_the_difference(void **state)
{
	struct lina_sched *sched = open_sched(&settings);
	struct lina_sched_stats stats;
	uint64_t random = 1, fetched = 0;
	double load[EXPERTS];
	int experts[SLOTS], n;

	(void)state;
	for (int run = 0; run < RUNS; run++) {
		int layer = (int)case_below(&random, LAYERS);
		struct lina_plan *before;
		assert_int_equal(lina_plan_copy(lina_sched_plan(sched), &before), 0);
		for (int e = 0; e < EXPERTS; e++)
			load[e] = (double)case_below(&random, run % 2 ? 10 : 1000);
		load[0]++;
		assert_int_equal(lina_sched_expect(sched, layer, load), 0);
		assert_true(lina_sched_plan(sched)->generation > before->generation);
		for (int d = 0; d < DEVICES; d++) {
			int wanted = 0;
			assert_int_equal(lina_sched_fetch(sched, layer, d, experts, &n), 0);
			for (int e = 0; e < EXPERTS; e++)
				wanted += has(lina_sched_plan(sched), layer, d, e) &&
					  !has(before, layer, d, e);
			assert_int_equal(n, wanted);
			for (int i = 0; i < n; i++)
				assert_true(has(lina_sched_plan(sched), layer, d, experts[i]) &&
					    !has(before, layer, d, experts[i]));
			fetched += (uint64_t)n;
		}
		lina_plan_destroy(before);
	}
	lina_sched_stats(sched, &stats);
	assert_int_equal(stats.fetched, fetched);
	lina_sched_destroy(sched);
}

/* A table that follows it would be an earlier one. */
static void the_last_generation_is_the_last(void **state)
{
	double load[EXPERTS] = { 1 };
	struct lina_plan *last;
	struct lina_sched *sched = open_sched(&settings), *other;
	bool again;

	(void)state;
	assert_int_equal(lina_plan_copy(lina_sched_plan(sched), &last), 0);
	last->generation = UINT64_MAX - 1;
	assert_int_equal(lina_sched_create(last, &settings, &other), 0);
	assert_int_equal(lina_sched_expect(other, 0, load), 0);
	assert_true(lina_sched_plan(other)->generation == UINT64_MAX);
	assert_int_equal(lina_sched_expect(other, 0, load), -EOVERFLOW);
	assert_int_equal(lina_sched_found(other, 1, load, &again), -EOVERFLOW);
	assert_true(lina_sched_plan(other)->generation == UINT64_MAX);
	lina_sched_destroy(other);
	lina_plan_destroy(last);
	lina_sched_destroy(sched);
}

/* What was refused at one layer is nothing to the others, nor is it placed. */
static void a_load_beyond_the_limit_changes_nothing(void **state)
{
	const double huge[EXPERTS] = { 2 * LINA_LOAD_MAX }, right[EXPERTS] = { 1 };
	struct lina_sched *sched = open_sched(&settings);
	bool again;

	(void)state;
	assert_int_equal(lina_sched_expect(sched, 0, huge), -EINVAL);
	assert_int_equal(lina_sched_found(sched, 0, huge, &again), -EINVAL);
	assert_int_equal(lina_sched_expect(sched, 1, right), 0);
	lina_sched_destroy(sched);
}

static void what_cannot_be_is_refused(void **state)
{
	double load[EXPERTS] = { 1 };
	struct lina_sched *sched = open_sched(&settings), *other = NULL;
	struct lina_sched_settings wrong = { .top = EXPERTS + 1 };
	struct lina_plan *empty;
	int experts[SLOTS], n;
	bool again;

	(void)state;
	assert_int_equal(lina_sched_create(lina_sched_plan(sched), &wrong, &other), -EINVAL);
	wrong.top = 0;
	assert_int_equal(lina_sched_create(lina_sched_plan(sched), &wrong, &other), -EINVAL);
	assert_int_equal(lina_plan_create(&shape, &empty), 0);
	assert_int_equal(lina_sched_create(empty, &settings, &other), -EINVAL);
	assert_null(other);
	assert_int_equal(lina_sched_expect(sched, LAYERS, load), -EINVAL);
	assert_int_equal(lina_sched_found(sched, -1, load, &again), -EINVAL);
	load[3] = -1;
	assert_int_equal(lina_sched_expect(sched, 0, load), -EINVAL);
	load[3] = NAN;
	assert_int_equal(lina_sched_found(sched, 0, load, &again), -EINVAL);
	assert_int_equal(lina_sched_fetch(sched, 0, DEVICES, experts, &n), -EINVAL);
	lina_plan_destroy(empty);
	lina_sched_destroy(sched);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_estimate_that_comes_true_stays),
		cmocka_unit_test(a_miss_is_planned_anew),
		cmocka_unit_test(order_counts_where_it_is_asked_for),
		cmocka_unit_test(what_is_fetched_is_the_difference),
		cmocka_unit_test(the_last_generation_is_the_last),
		cmocka_unit_test(a_load_beyond_the_limit_changes_nothing),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
