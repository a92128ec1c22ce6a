/* Our own method and the lower bound: against every plan there is at small sizes, against the other
 * methods at all, and within the limits that it is given. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "collectives/plan_bound.h"
#include "plan/cases.h"

static struct lina_plan *best_of(const struct lina_place *place, long trials)
{
	struct lina_best_settings settings = lina_best_settings_default();
	struct lina_plan *plan;

	settings.trials = trials;
	assert_int_equal(lina_place_best(place, &settings, &plan), 0);
	return plan;
}

static double bound_of(const struct lina_place *place)
{
	double bound;

	assert_int_equal(lina_plan_bound(place, NULL, &bound), 0);
	return bound;
}

/* --- against all plans --- */

/* The least score of all ways to fill the slots of one layer, replicas with even shares. */
static double least_of_all(const struct lina_place *place, struct lina_plan *plan, int slot)
{
	struct lina_plan_fault fault;
	struct lina_plan_score score;
	double least = INFINITY;

	if (slot == lina_plan_nslots(&place->shape)) {
		lina_plan_share_evenly(plan, 0);
		if (lina_plan_check(plan, &fault))
			return INFINITY;
		assert_int_equal(lina_plan_score(plan, &place->score, NULL, &score), 0);
		return score.total_ns;
	}
	for (int e = 0; e < place->shape.nexperts; e++) {
		plan->expert[slot] = e;
		least = fmin(least, least_of_all(place, plan, slot + 1));
	}
	return least;
}

static const struct {
	int nexperts, ndevices, per_node, slots;
} small[] = { { 4, 2, 2, 2 }, { 4, 2, 1, 2 }, { 3, 2, 1, 2 }, { 4, 4, 2, 1 }, { 2, 4, 2, 1 },
	{ 3, 3, 3, 2 }, { 4, 2, 1, 3 }, { 3, 4, 2, 2 }, { 6, 3, 3, 2 } };

/* The bound is below all plans, and the search is no worse than the best with even shares. */
static void search_finds_the_best_of_all(void **state)
{
	struct random_source r = { 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(small) / sizeof(*small); i++)
		for (int again = 0; again < 4; again++) {
			struct lina_place place = case_open(counts_skewed(&r, 1, small[i].nexperts),
				small[i].ndevices, small[i].per_node, small[i].slots);
			struct lina_plan *plan = best_of(&place, 20000), *all;
			double found = score_of(&place, plan).total_ns, least;

			assert_int_equal(lina_plan_create(&place.shape, &all), 0);
			least = least_of_all(&place, all, 0);
			assert_true(bound_of(&place) <= least * (1 + 1e-9));
			assert_true(bound_of(&place) <= found * (1 + 1e-9));
			assert_true(found <= least * 1.01);
			lina_plan_destroy(all);
			lina_plan_destroy(plan);
			case_close(&place);
		}
}

/* --- against other methods --- */

static struct lina_transitions *transitions_random(struct random_source *r, int npairs, int n)
{
	struct lina_transitions *t;

	assert_int_equal(lina_transitions_create(npairs, n, &t), 0);
	for (int i = 0; i < npairs * n * n; i++)
		t->tokens[i] = random_below(r, 10) == 0 ? 100 + random_below(r, 400) : 1;
	return t;
}

static void never_worse_than_another_method(void **state)
{
	struct random_source r = { 4 };

	(void)state;
	for (int i = 0; i < 40; i++) {
		int nexperts = 4 + random_below(&r, 28), nnodes = 1 + random_below(&r, 3);
		int per_node = 1 + random_below(&r, 4), ndevices = nnodes * per_node;
		int slots = (nexperts + ndevices - 1) / ndevices + random_below(&r, 3);
		struct lina_place place =
			case_open(counts_skewed(&r, 2, nexperts), ndevices, per_node, slots);
		struct lina_transitions *transitions =
			i % 4 == 0 ? transitions_random(&r, 1, nexperts) : NULL;
		struct lina_plan *plan;
		double found;

		place.score.transitions = transitions;
		plan = best_of(&place, 300);
		found = score_of(&place, plan).total_ns;
		assert_true(found <= least_of_others(&place) * (1 + 1e-9));
		assert_true(found >= bound_of(&place) * (1 - 1e-9));
		lina_plan_destroy(plan);
		lina_transitions_destroy(transitions);
		case_close(&place);
	}
}

/* --- limits --- */

static void moves_stay_within_their_limit(void **state)
{
	struct random_source r = { 5 };

	(void)state;
	for (int limit = 0; limit <= 6; limit += 2) {
		struct lina_place place = case_open(counts_skewed(&r, 3, 16), 8, 4, 3);
		struct lina_counts *later = counts_skewed(&r, 3, 16);
		struct lina_counts *before = (struct lina_counts *)place.score.counts;
		struct lina_plan *current, *plan;
		double stale;

		assert_int_equal(lina_place_eplb(&place, &current), 0);
		place.score.counts = later;
		place.score.current = current;
		place.max_moves = limit;
		stale = score_of(&place, current).total_ns;
		plan = best_of(&place, 2000);
		for (int l = 0; l < 3; l++) {
			int moves;

			assert_int_equal(lina_plan_moves(current, plan, l, &moves), 0);
			assert_true(moves <= limit);
		}
		assert_true(score_of(&place, plan).total_ns <= stale * (1 + 1e-9));
		assert_int_equal(plan->generation, current->generation + 1);
		lina_counts_destroy(before);
		lina_plan_destroy(current);
		lina_plan_destroy(plan);
		case_close(&place);
	}
}

static void fixed_experts_stay(void **state)
{
	enum { NSLOTS = 24 };
	struct random_source r = { 6 };

	(void)state;
	for (int again = 0; again < 20; again++) {
		struct lina_place place = case_open(counts_skewed(&r, 2, 16), 8, 4, 3);
		int fixed[NSLOTS];
		struct lina_plan *plan;

		for (int s = 0; s < NSLOTS; s++)
			fixed[s] = LINA_SLOT_EMPTY;
		for (int i = 0; i < 5; i++)
			fixed[(size_t)random_below(&r, 8) * 3] = random_below(&r, 16);
		place.fixed = fixed;
		plan = best_of(&place, 300);
		(void)score_of(&place, plan);
		for (int l = 0; l < 2; l++)
			for (int s = 0; s < NSLOTS; s++)
				if (fixed[s] != LINA_SLOT_EMPTY)
					assert_int_equal(lina_plan_experts(plan, l)[s], fixed[s]);
		lina_plan_destroy(plan);
		case_close(&place);
	}
}

/* All slots are taken by one expert: the others have no place. */
static void fixed_experts_may_leave_no_room(void **state)
{
	static const double weights[] = { 1, 2, 3 };
	static const int fixed[] = { 0, 1, 0, LINA_SLOT_EMPTY };
	static const int twice[] = { 0, 0, LINA_SLOT_EMPTY, LINA_SLOT_EMPTY };
	const struct lina_best_settings settings = lina_best_settings_default();
	struct lina_place place = case_open(counts_of(weights, 1, 3), 2, 2, 2);
	struct lina_plan *plan = NULL;
	int full[] = { 0, 1, 0, 1 };

	(void)state;
	place.fixed = fixed;
	assert_int_equal(lina_place_best(&place, &settings, &plan), 0);
	lina_plan_destroy(plan);
	plan = NULL;
	place.fixed = full;
	assert_int_equal(lina_place_best(&place, &settings, &plan), -EINVAL);
	place.fixed = twice;
	assert_int_equal(lina_place_best(&place, &settings, &plan), -EINVAL);
	assert_null(plan);
	case_close(&place);
}

static int node_of_expert(const struct lina_plan *plan, int layer, int expert)
{
	const int *experts = lina_plan_experts(plan, layer);
	int node = -1;

	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++)
		if (experts[s] == expert) {
			int n = lina_plan_node_of(
				&plan->shape, lina_plan_device_of(&plan->shape, s));

			assert_true(node < 0 || n == node);
			node = n;
		}
	return node;
}

static void groups_stay_within_a_node(void **state)
{
	struct random_source r = { 7 };
	struct lina_place place = case_open(counts_skewed(&r, 3, 16), 8, 4, 3);
	struct lina_plan *plan;

	(void)state;
	place.ngroups = 4;
	plan = best_of(&place, 2000);
	for (int l = 0; l < 3; l++)
		for (int e = 0; e < 16; e++)
			assert_int_equal(
				node_of_expert(plan, l, e), node_of_expert(plan, l, e / 4 * 4));
	lina_plan_destroy(plan);
	case_close(&place);
}

/* Beside 10^15 tokens one is lost in rounding, but a table must have shares for it too. */
static void next_to_nothing_has_shares(void **state)
{
	const double few[] = { 1e-300, 1e-9, 1e-3, 1, 1e3 };
	const struct lina_plan_shape shape = { 1, 2, 4, 2, 2 };
	struct lina_fabric *fabric;
	struct lina_counts *counts;
	struct lina_plan_fault fault;

	(void)state;
	assert_int_equal(lina_fabric_even(4, 300, 50, &fabric), 0);
	assert_int_equal(lina_counts_create(1, 2, &counts), 0);
	for (size_t i = 0; i < sizeof(few) / sizeof(*few); i++) {
		counts->tokens[0] = 1e15;
		counts->tokens[1] = few[i];
		struct lina_place place = { .shape = shape,
			.ngroups = 1,
			.max_moves = -1,
			.score = { .counts = counts,
				.fabric = fabric,
				.model = lina_score_model_default() } };
		struct lina_plan *plan = best_of(&place, 1000);
		assert_int_equal(lina_plan_check(plan, &fault), 0);
		lina_plan_destroy(plan);
	}
	lina_counts_destroy(counts);
	lina_fabric_destroy(fabric);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(search_finds_the_best_of_all),
		cmocka_unit_test(never_worse_than_another_method),
		cmocka_unit_test(moves_stay_within_their_limit),
		cmocka_unit_test(fixed_experts_stay),
		cmocka_unit_test(fixed_experts_may_leave_no_room),
		cmocka_unit_test(groups_stay_within_a_node),
		cmocka_unit_test(next_to_nothing_has_shares),
	};

	return cmocka_run_group_tests_name("best", tests, NULL, NULL);
}
