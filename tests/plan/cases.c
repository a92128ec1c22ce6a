#include "plan/cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int err, const char *what)
{
	if (err) {
		(void)fprintf(stderr, "%s: %s\n", what, strerror(-err));
		exit(EXIT_FAILURE);
	}
}

uint64_t random_next(struct random_source *r)
{
	/* splitmix64 (S. Vigna) */
	uint64_t z = r->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

int random_below(struct random_source *r, int n)
{
	return (int)(random_next(r) % (uint64_t)n);
}

struct lina_counts *counts_of(const double *values, int nlayers, int nexperts)
{
	struct lina_counts *counts;

	must(lina_counts_create(nlayers, nexperts, &counts), "counts");
	memcpy(counts->tokens, values, (size_t)(nlayers * nexperts) * sizeof(*values));
	return counts;
}

struct lina_counts *counts_skewed(struct random_source *r, int nlayers, int nexperts)
{
	struct lina_counts *counts;

	must(lina_counts_create(nlayers, nexperts, &counts), "counts");
	for (int i = 0; i < nlayers * nexperts; i++)
		counts->tokens[i] = floor(100000.0 / (1 + random_below(r, 2 * nexperts)));
	return counts;
}

struct lina_place case_open(
	struct lina_counts *counts, int ndevices, int devices_per_node, int slots_per_device)
{
	struct lina_fabric *fabric;

	must(lina_fabric_even(ndevices, 300, 50, &fabric), "fabric");
	return (struct lina_place){ .shape = { .nlayers = counts->nlayers,
					    .nexperts = counts->nexperts,
					    .ndevices = ndevices,
					    .devices_per_node = devices_per_node,
					    .slots_per_device = slots_per_device },
		.score = { .counts = counts,
			.fabric = fabric,
			.model = lina_score_model_default() },
		.ngroups = 1,
		.max_moves = -1 };
}

void case_close(struct lina_place *place)
{
	lina_counts_destroy((struct lina_counts *)place->score.counts);
	lina_fabric_destroy((struct lina_fabric *)place->score.fabric);
}

struct lina_plan_score score_of(const struct lina_place *place, const struct lina_plan *plan)
{
	struct lina_plan_fault fault;
	struct lina_plan_score score;
	int err = lina_plan_check(plan, &fault);

	if (err) {
		(void)fprintf(
			stderr, "layer %d, slot %d: %s\n", fault.layer, fault.slot, fault.text);
		must(err, "plan");
	}
	must(lina_plan_score(plan, &place->score, NULL, &score), "score");
	return score;
}

double least_of_others(const struct lina_place *place)
{
	const struct lina_proportional_settings proportional = lina_proportional_settings_default();
	const struct lina_hecate_settings hecate = lina_hecate_settings_default();
	struct lina_plan *plan[4];
	double least = INFINITY;

	must(lina_place_uniform(place, &plan[0]), "uniform");
	must(lina_place_eplb(place, &plan[1]), "eplb");
	must(lina_place_proportional(place, &proportional, &plan[2]), "proportional");
	must(lina_place_hecate(place, &hecate, &plan[3]), "hecate");
	for (int i = 0; i < 4; i++) {
		least = fmin(least, score_of(place, plan[i]).total_ns);
		lina_plan_destroy(plan[i]);
	}
	return least;
}
