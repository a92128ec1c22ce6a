/*
 * Problems for the planner's tests: made-up loads, and short ways to what every test needs. A
 * failure to make one ends the program.
 */
#ifndef LINA_TESTS_PLAN_CASES_H
#define LINA_TESTS_PLAN_CASES_H

#include <stdint.h>

#include "collectives/place.h"

/* Numbers that are the same in each run. */
struct random_source {
	uint64_t state;
};
uint64_t random_next(struct random_source *r);
/* From 0 to below n. */
int random_below(struct random_source *r, int n);

/* Loads of one layer or more, from values [nlayers][nexperts]. */
struct lina_counts *counts_of(const double *values, int nlayers, int nexperts);

/* Skewed loads: few experts with much, many with little. */
struct lina_counts *counts_skewed(struct random_source *r, int nlayers, int nexperts);

/* A problem on even links, with the default model. Destroy it with case_close, which takes counts
 * as well. */
struct lina_place case_open(
	struct lina_counts *counts, int ndevices, int devices_per_node, int slots_per_device);
void case_close(struct lina_place *place);

/* The score of a plan; a plan that is not right, or cannot be scored, ends the program. */
struct lina_plan_score score_of(const struct lina_place *place, const struct lina_plan *plan);

/* The least total time of those by the methods other than best. */
double least_of_others(const struct lina_place *place);

#endif
