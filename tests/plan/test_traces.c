/* Real loads (beside the repository, where they are): what is to hold on all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_bound.h"
#include "plan/cases.h"
#include "plan/traces.h"

static struct trace *traces;
static int ntraces;

/* Loads of a trace in whole tokens, of which the case takes possession; shares are of a million. */
static struct lina_counts *loads_of(const struct trace *trace)
{
	struct lina_counts *counts;

	assert_int_equal(
		lina_counts_create(trace->counts->nlayers, trace->counts->nexperts, &counts), 0);
	assert_int_equal(lina_counts_add(counts, trace->counts,
				 lina_counts_sum(trace->counts, 0) < 100 ? 1e6 : 1),
		0);
	return counts;
}

static struct lina_plan *best_of(const struct lina_place *place, long trials)
{
	struct lina_best_settings settings = lina_best_settings_default();
	struct lina_plan *plan;

	settings.trials = trials;
	assert_int_equal(lina_place_best(place, &settings, &plan), 0);
	return plan;
}

/* --- row 8: quality of EPLB, and what ours makes of the same --- */

static double balance_of_eplb(const struct trace *trace, int ndevices, int slots)
{
	struct lina_place place = case_open(loads_of(trace), ndevices, ndevices, slots);
	struct lina_plan *plan;
	double balance;

	assert_int_equal(lina_place_eplb(&place, &plan), 0);
	balance = score_of(&place, plan).balance;
	lina_plan_destroy(plan);
	case_close(&place);
	return balance;
}

/* Figures that were computed apart, with another program: EPLB on 8 devices with 0 and 8 more
 * slots, on 32 with 0 and 32. */
static void eplb_balances_as_published(void **state)
{
	static const struct {
		const char *name;
		double g8, g8_spare, g32, g32_spare;
	} expected[] = {
		{ "dsv2lite intent", 1.011, 1.008, 1.942, 1.074 },
		{ "dsv2lite translation", 1.018, 1.004, 2.846, 1.073 },
		{ "olmoe c4", 1.030, 1.011, 1.477, 1.024 },
		{ "olmoe arxiv", 1.097, 1.007, 3.642, 1.083 },
	};
	int found = 0;

	(void)state;
	for (int i = 0; i < ntraces; i++)
		for (size_t k = 0; k < sizeof(expected) / sizeof(*expected); k++) {
			if (strcmp(traces[i].name, expected[k].name) != 0)
				continue;
			found++;
			assert_true(
				fabs(balance_of_eplb(&traces[i], 8, 8) - expected[k].g8) < 1e-3);
			assert_true(fabs(balance_of_eplb(&traces[i], 8, 9) - expected[k].g8_spare) <
				    1e-3);
			assert_true(
				fabs(balance_of_eplb(&traces[i], 32, 2) - expected[k].g32) < 1e-3);
			assert_true(fabs(balance_of_eplb(&traces[i], 32, 3) -
					    expected[k].g32_spare) < 1e-3);
		}
	assert_int_equal(found, 4);
}

/* --- best --- */

/* The gap to the bound of one case; never worse than another method. */
static double gap_of(const struct trace *trace, int ndevices, int per_node, int slots)
{
	struct lina_place place = case_open(loads_of(trace), ndevices, per_node, slots);
	struct lina_plan *plan = best_of(&place, 200);
	double found = score_of(&place, plan).total_ns, bound;

	assert_int_equal(lina_plan_bound(&place, NULL, &bound), 0);
	assert_true(found <= least_of_others(&place) * (1 + 1e-9));
	assert_true(found >= bound * (1 - 1e-9));
	lina_plan_destroy(plan);
	case_close(&place);
	return found / bound - 1;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void best_is_never_worse_and_near_its_bound(void **state)
{
	enum { GAPS_MAX = 512 };
	double gaps[GAPS_MAX];
	int n = 0;

	(void)state;
	for (int i = 0; i < ntraces; i++)
		for (int ndevices = 8; ndevices <= 64; ndevices *= 4)
			for (int spare = 0; spare <= 64; spare += ndevices < 32 ? 32 : 64)
				for (int nodes = 1; nodes <= ndevices / 8; nodes += ndevices / 8) {
					int nexperts = traces[i].counts->nexperts;
					int slots = (nexperts + ndevices - 1) / ndevices +
						    spare / ndevices;

					gaps[n++] = gap_of(
						&traces[i], ndevices, ndevices / nodes, slots);
					if (ndevices == 8)
						break;
				}
	qsort(gaps, (size_t)n, sizeof(*gaps), by_value);
	(void)printf("%d cases: gap to the bound: median %.2f %%, at most %.2f %%\n", n,
		100 * gaps[n / 2], 100 * gaps[n - 1]);
	assert_true(gaps[n / 2] <= 0.02);
}

/* --- a placement that the load has left behind --- */

/* A plan for the mean of all tasks, and what 8 copies a layer make of it for each one. */
static void eight_moves_mend_a_mixed_profile(void **state)
{
	struct lina_counts *mixed = NULL;

	(void)state;
	for (int i = 0; i < ntraces; i++)
		if (strncmp(traces[i].name, "dsv2lite", 8) == 0) {
			struct lina_counts *loads = loads_of(&traces[i]);

			if (!mixed)
				assert_int_equal(
					lina_counts_create(loads->nlayers, loads->nexperts, &mixed),
					0);
			assert_int_equal(lina_counts_add(mixed, loads, 1), 0);
			lina_counts_destroy(loads);
		}
	assert_non_null(mixed);
	struct lina_place before = case_open(mixed, 8, 8, 9);
	struct lina_plan *current = best_of(&before, 500);
	for (int i = 0; i < ntraces; i++) {
		if (strncmp(traces[i].name, "dsv2lite", 8) != 0)
			continue;
		struct lina_place place = case_open(loads_of(&traces[i]), 8, 8, 9);
		double stale = score_of(&place, current).balance, mended;
		struct lina_plan *plan;

		place.score.current = current;
		place.max_moves = 8;
		plan = best_of(&place, 1000);
		mended = score_of(&place, plan).balance;
		(void)printf("%s: max/mean %.3f, with 8 copies a layer %.3f\n", traces[i].name,
			stale, mended);
		assert_true(mended <= 1.15);
		lina_plan_destroy(plan);
		case_close(&place);
	}
	lina_plan_destroy(current);
	case_close(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eplb_balances_as_published),
		cmocka_unit_test(best_is_never_worse_and_near_its_bound),
		cmocka_unit_test(eight_moves_mend_a_mixed_profile),
	};
	int failed;

	ntraces = traces_open(&traces);
	if (ntraces == 0)
		return 77;
	failed = cmocka_run_group_tests_name("traces", tests, NULL, NULL);
	traces_close(traces, ntraces);
	return failed;
}
