/* MoETuner: both problems against all their solutions at small sizes, and what comes out on real
 * transitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "collectives/moetuner.h"
#include "plan/cases.h"
#include "plan/traces.h"

/* --- experts to clusters (row 10) --- */

enum { NE = 8, NC = 4 };

static double deviation(const double *tokens, const int *cluster)
{
	double load[NC] = { 0 }, mean = 0, sum = 0;

	for (int e = 0; e < NE; e++) {
		load[cluster[e]] += tokens[e];
		mean += tokens[e] / NC;
	}
	for (int c = 0; c < NC; c++)
		sum += fabs(load[c] - mean);
	return sum;
}

static bool sizes_fit(const int *cluster, int capacity)
{
	int size[NC] = { 0 };

	for (int e = 0; e < NE; e++)
		size[cluster[e]]++;
	for (int c = 0; c < NC; c++)
		if (size[c] < 1 || size[c] > capacity)
			return false;
	return true;
}

/* The least of all 4^8 ways; how many keep to the sizes in *nways_p. */
static double least_deviation(const double *tokens, int capacity, int *nways_p)
{
	double least = INFINITY;

	*nways_p = 0;
	for (int way = 0; way < 1 << (2 * NE); way++) {
		int cluster[NE];

		for (int e = 0; e < NE; e++)
			cluster[e] = way >> (2 * e) & 3;
		if (!sizes_fit(cluster, capacity))
			continue;
		++*nways_p;
		least = fmin(least, deviation(tokens, cluster));
	}
	return least;
}

static void clusters_are_the_best_of_all(void **state)
{
	struct lina_moetuner_settings settings = lina_moetuner_settings_default();
	struct random_source r = { 11 };

	(void)state;
	if (!lina_moetuner_available())
		skip();
	settings.gap = 0;
	for (int i = 0; i < 4; i++) {
		int capacity = i % 2 ? NE : 2, cluster[NE], nways;
		double tokens[NE], least, gap;

		for (int e = 0; e < NE; e++)
			tokens[e] = random_below(&r, 1000);
		least = least_deviation(tokens, capacity, &nways);
		assert_int_equal(nways, capacity == 2 ? 2520 : 40824);
		assert_int_equal(
			lina_moetuner_clusters(tokens, NE, NC, capacity, &settings, cluster, &gap),
			0);
		assert_true(sizes_fit(cluster, capacity));
		assert_true(fabs(deviation(tokens, cluster) - least) <= 1e-6 * 8000);
	}
}

/* --- clusters to devices --- */

struct links {
	double byte_ns[LINA_CHAIN_MAX * LINA_CHAIN_MAX];
	double traffic[2 * LINA_CHAIN_MAX * LINA_CHAIN_MAX];
	struct lina_chain chain;
};

/* Two layers' pairs of n devices in nodes of two; uneven: no two links are alike. */
static void links_make(struct links *l, int n, bool uneven, struct random_source *r)
{
	for (int i = 0; i < 2 * n * n; i++)
		l->traffic[i] = random_below(r, 1000);
	for (int g = 0; g < n; g++)
		for (int h = 0; h < n; h++)
			l->byte_ns[g * n + h] = g == h           ? 0
						: uneven         ? 1 + random_below(r, 1000) / 100.0
						: g / 2 == h / 2 ? 1
								 : 6;
	l->chain = (struct lina_chain){
		.npairs = 2, .n = n, .traffic = l->traffic, .byte_ns = l->byte_ns
	};
}

/* The least cost of all ways that put clusters from at on to devices not used yet. */
static double least_of_ways(const struct lina_chain *chain, int *device, int at)
{
	int n = chain->n, layer = at / n;
	double least = INFINITY;

	if (at == 3 * n)
		return lina_chain_cost(chain, device);
	for (int g = 0; g < n; g++) {
		bool used = false;

		for (int i = layer * n; i < at; i++)
			used = used || device[i] == g;
		if (used)
			continue;
		device[at] = g;
		least = fmin(least, least_of_ways(chain, device, at + 1));
	}
	return least;
}

static void check_one_to_one(const struct lina_chain *chain, const int *device)
{
	for (int l = 0; l <= chain->npairs; l++) {
		unsigned seen = 0;

		for (int c = 0; c < chain->n; c++)
			seen |= 1u << device[l * chain->n + c];
		assert_int_equal(seen, (1u << chain->n) - 1);
	}
}

static void chain_is_the_best_of_all(void **state)
{
	struct random_source r = { 12 };
	int device[3 * LINA_CHAIN_MAX] = { 0 }, all[3 * LINA_CHAIN_MAX] = { 0 };
	struct links l;

	(void)state;
	for (int i = 0; i < 8; i++) {
		double least, found;

		links_make(&l, 2 + i % 3, i % 2, &r);
		least = least_of_ways(&l.chain, all, 0);
		assert_int_equal(lina_chain_solve(&l.chain, device), 0);
		check_one_to_one(&l.chain, device);
		found = lina_chain_cost(&l.chain, device);
		assert_true(fabs(found - least) <= 1e-9 * least);
		lina_chain_swap(&l.chain, NULL, 0, device);
		assert_true(lina_chain_cost(&l.chain, device) >= least * (1 - 1e-9));
	}
}

static void program_agrees_with_the_chain(void **state)
{
	struct lina_moetuner_settings settings = lina_moetuner_settings_default();
	struct random_source r = { 13 };
	int exact[3 * LINA_CHAIN_MAX], device[3 * LINA_CHAIN_MAX];
	struct links l;
	double gap;

	(void)state;
	if (!lina_moetuner_available())
		skip();
	settings.gap = 0;
	settings.time_limit_s = 60;
	links_make(&l, 3, false, &r);
	assert_int_equal(lina_chain_solve(&l.chain, exact), 0);
	assert_int_equal(lina_chain_program(&l.chain, NULL, 0, &settings, device, &gap), 0);
	check_one_to_one(&l.chain, device);
	assert_true(fabs(lina_chain_cost(&l.chain, device) - lina_chain_cost(&l.chain, exact)) <=
		    1e-6 * lina_chain_cost(&l.chain, exact));
}

static void eight_devices_are_still_exact(void **state)
{
	struct random_source r = { 14 };
	int device[3 * LINA_CHAIN_MAX], swapped[3 * LINA_CHAIN_MAX];
	struct links l;

	(void)state;
	links_make(&l, 8, false, &r);
	for (int g = 0; g < 8; g++)
		for (int h = 0; h < 8; h++)
			l.byte_ns[g * 8 + h] = g == h ? 0 : g / 4 == h / 4 ? 1 : 6;
	assert_int_equal(lina_chain_solve(&l.chain, device), 0);
	check_one_to_one(&l.chain, device);
	for (int i = 0; i < 24; i++)
		swapped[i] = i % 8;
	lina_chain_swap(&l.chain, NULL, 0, swapped);
	assert_true(lina_chain_cost(&l.chain, device) <= lina_chain_cost(&l.chain, swapped));
	links_make(&l, 8, true, &r);
	assert_int_equal(lina_chain_solve(&l.chain, device), -E2BIG);
}

/* --- real transitions --- */

/* Bytes between nodes over the layers that follow another one; those of the first layer come from
 * wherever its tokens began. */
static double between_bytes(const struct lina_place *place, const struct lina_plan *plan)
{
	struct lina_layer_score layers[3];
	struct lina_plan_score score;

	assert_int_equal(lina_plan_score(plan, &place->score, layers, &score), 0);
	return layers[1].between_bytes + layers[2].between_bytes;
}

/* 2 nodes of 4 devices: 30 % fewer bytes between nodes than in order, at no worse balance. */
static void thirty_percent_fewer_bytes_between_nodes(void **state)
{
	struct lina_moetuner_settings settings = lina_moetuner_settings_default();
	struct lina_transitions *transitions = trace_transitions("olmoe", "wikipedia", 64);
	struct lina_counts *counts;
	struct lina_plan *plan, *uniform;

	(void)state;
	if (!transitions)
		(void)printf("the traces are not here\n");
	if (!transitions || !lina_moetuner_available()) {
		lina_transitions_destroy(transitions);
		skip();
	}
	settings.time_limit_s = 1;
	assert_int_equal(lina_transitions_counts(transitions, &counts), 0);
	struct lina_place place = case_open(counts, 8, 4, 8);
	place.score.transitions = transitions;
	assert_int_equal(lina_place_moetuner(&place, &settings, &plan, NULL), 0);
	assert_int_equal(lina_place_uniform(&place, &uniform), 0);
	assert_true(score_of(&place, plan).balance <= score_of(&place, uniform).balance);
	assert_true(between_bytes(&place, plan) <= 0.7 * between_bytes(&place, uniform));
	lina_plan_destroy(plan);
	lina_plan_destroy(uniform);
	lina_transitions_destroy(transitions);
	case_close(&place);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clusters_are_the_best_of_all),
		cmocka_unit_test(chain_is_the_best_of_all),
		cmocka_unit_test(program_agrees_with_the_chain),
		cmocka_unit_test(eight_devices_are_still_exact),
		cmocka_unit_test(thirty_percent_fewer_bytes_between_nodes),
	};

	return cmocka_run_group_tests_name("moetuner", tests, NULL, NULL);
}
