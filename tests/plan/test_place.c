/* The published methods: their own examples, and what holds for every plan that they make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <string.h>

#include "plan/cases.h"

/* The example of EPLB's README: 2 layers of 12 experts in 4 groups, 16 replicas on 2 nodes of 4
 * devices. Row 7 of what is to be reproduced. */
static void eplb_makes_the_plan_of_its_readme(void **state)
{
	static const double weights[] = { 90, 132, 40, 61, 104, 165, 39, 4, 73, 56, 183, 86, 20,
		107, 104, 64, 19, 197, 187, 157, 172, 86, 16, 27 };
	static const int expected[] = { 5, 6, 5, 7, 8, 4, 3, 4, 10, 9, 10, 2, 0, 1, 11, 1, 7, 10, 6,
		8, 6, 11, 8, 9, 2, 4, 5, 1, 5, 0, 3, 1 };
	struct lina_place place = case_open(counts_of(weights, 2, 12), 8, 4, 2);
	struct lina_plan *plan;

	(void)state;
	place.ngroups = 4;
	assert_int_equal(lina_place_eplb(&place, &plan), 0);
	assert_memory_equal(plan->expert, expected, sizeof(expected));
	(void)score_of(&place, plan);
	lina_plan_destroy(plan);
	case_close(&place);
}

typedef int method_fn(const struct lina_place *place, struct lina_plan **plan_p);

static int proportional(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_proportional_settings settings = lina_proportional_settings_default();

	return lina_place_proportional(place, &settings, plan_p);
}

static int hecate(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_hecate_settings settings = lina_hecate_settings_default();

	return lina_place_hecate(place, &settings, plan_p);
}

static method_fn *const methods[] = { lina_place_uniform, lina_place_eplb, proportional, hecate };

enum { NMETHODS = sizeof(methods) / sizeof(*methods) };

/* score_of ends the program when a plan is not right. */
static void every_plan_is_right(void **state)
{
	struct random_source r = { 1 };

	(void)state;
	for (int i = 0; i < 300; i++) {
		int nexperts = 1 + random_below(&r, 40), nnodes = 1 + random_below(&r, 3);
		int per_node = 1 + random_below(&r, 4), ndevices = nnodes * per_node;
		int slots = (nexperts + ndevices - 1) / ndevices + random_below(&r, 3);
		struct lina_place place =
			case_open(counts_skewed(&r, 3, nexperts), ndevices, per_node, slots);

		for (int m = 0; m < NMETHODS; m++) {
			struct lina_plan *plan;
			struct lina_plan_score score;

			assert_int_equal(methods[m](&place, &plan), 0);
			score = score_of(&place, plan);
			assert_true(score.balance >= 1 - 1e-9);
			lina_plan_destroy(plan);
		}
		case_close(&place);
	}
}

static void proportional_follows_popularity(void **state)
{
	/* n_e = 2.5, 1.25, 0.25 for one expert, 0 for the last four, of 4 devices. */
	static const double weights[] = { 10, 5, 1, 0, 0, 0, 0 };
	struct lina_place place = case_open(counts_of(weights, 1, 7), 4, 4, 4);
	struct lina_replicas *replicas;
	struct lina_plan *plan;

	(void)state;
	assert_int_equal(proportional(&place, &plan), 0);
	assert_int_equal(lina_replicas_create(plan, &replicas), 0);
	assert_int_equal(replicas->first[1] - replicas->first[0], 3);
	assert_int_equal(replicas->first[2] - replicas->first[1], 2);
	for (int e = 2; e < 7; e++)
		assert_int_equal(replicas->first[e + 1] - replicas->first[e], 1);
	lina_replicas_destroy(replicas);
	lina_plan_destroy(plan);
	case_close(&place);
}

/* GPT-MoE-S: 64 experts, of which each device of 16 keeps 4. Row 11. */
static void hecate_copies_and_their_volume(void **state)
{
	enum { NEXPERTS = 64, NDEVICES = 16 };
	double tokens[NEXPERTS];
	int copies[NEXPERTS], n = 0;

	(void)state;
	for (int e = 0; e < NEXPERTS; e++)
		tokens[e] = e < 8 ? 800 : 100;
	/* All of the t most loaded on all devices, where they have room for t. */
	lina_hecate_copies(tokens, NEXPERTS, NDEVICES, 4, 4, copies);
	for (int e = 0; e < NEXPERTS; e++)
		assert_int_equal(copies[e], e < 4 ? NDEVICES - 1 : 0);
	/* lambda = 4 / 64, S = 64 experts of 1000 bytes. */
	assert_true(lina_hecate_volume_bytes(copies, NEXPERTS, 1000) == 2 * (4.0 / 64) * 64000);
	/* In proportion to load, where they do not: 32 slots, 800 of 12000 each for the first. */
	lina_hecate_copies(tokens, NEXPERTS, NDEVICES, 8, 2, copies);
	for (int e = 0; e < NEXPERTS; e++)
		n += copies[e];
	assert_int_equal(n, 2 * NDEVICES);
	assert_int_equal(copies[0], 3);
	assert_int_equal(copies[7], 3);
	assert_int_equal(copies[8], 1);
	assert_int_equal(copies[16], 0);
}

static void what_does_not_fit_is_refused(void **state)
{
	static const double weights[] = { 1, 2, 3, 4 };
	struct lina_place place = case_open(counts_of(weights, 1, 4), 2, 2, 2);
	struct lina_plan *plan = NULL;

	(void)state;
	for (int m = 0; m < NMETHODS; m++) {
		struct lina_place wrong = place;

		wrong.shape.nexperts = 5;
		assert_int_equal(methods[m](&wrong, &plan), -EINVAL);
		wrong = place;
		wrong.ngroups = 3;
		assert_int_equal(methods[m](&wrong, &plan), -EINVAL);
		wrong = place;
		wrong.shape.slots_per_device = 1;
		assert_int_equal(methods[m](&wrong, &plan), -EINVAL);
	}
	static const double no_loads[] = { NAN, INFINITY, 1e308, -1 };
	for (int i = 0; i < 4; i++) {
		((double *)place.score.counts->tokens)[2] = no_loads[i];
		for (int m = 0; m < NMETHODS; m++)
			assert_int_equal(methods[m](&place, &plan), -EINVAL);
	}
	assert_null(plan);
	case_close(&place);
}

/* Only layers whose counts changed are planned again, and come out as if all were. */
static void planning_again_is_planning(void **state)
{
	struct random_source r = { 2 };
	struct lina_place place = case_open(counts_skewed(&r, 4, 16), 8, 4, 3);
	const bool changed[] = { false, true, false, true };
	struct lina_plan *plan, *old, *all;

	(void)state;
	assert_int_equal(lina_place_eplb(&place, &plan), 0);
	assert_int_equal(lina_plan_copy(plan, &old), 0);
	for (int e = 0; e < 16; e++) {
		lina_counts_layer(place.score.counts, 1)[e] = 16 - e;
		lina_counts_layer(place.score.counts, 2)[e] = e * e;
		lina_counts_layer(place.score.counts, 3)[e] = e;
	}
	assert_int_equal(lina_place_again(&place, LINA_PLACE_EPLB, changed, plan), 0);
	assert_int_equal(lina_place_eplb(&place, &all), 0);
	for (int l = 0; l < 4; l++)
		assert_memory_equal(lina_plan_experts(plan, l),
			lina_plan_experts(changed[l] ? all : old, l), 24 * sizeof(int));
	lina_plan_destroy(plan);
	lina_plan_destroy(old);
	lina_plan_destroy(all);
	case_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(eplb_makes_the_plan_of_its_readme),
		cmocka_unit_test(every_plan_is_right),
		cmocka_unit_test(proportional_follows_popularity),
		cmocka_unit_test(hecate_copies_and_their_volume),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(planning_again_is_planning),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}
