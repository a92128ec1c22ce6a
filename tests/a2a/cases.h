/* Random plans and routing for the tests of the all-to-all: the same for the same seed. */
#ifndef LINA_TESTS_A2A_CASES_H
#define LINA_TESTS_A2A_CASES_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/plan.h"

/* splitmix64 (Steele, Lea and Flood 2014): the next number, below n. */
uint64_t case_below(uint64_t *random, uint64_t n);

/* Every expert has a slot at least, the other slots hold any or none; shares are even or random. */
struct lina_plan *case_plan(uint64_t *random, const struct lina_plan_shape *shape);

/* A shape of at most this many devices and layers. */
struct lina_plan_shape case_shape(uint64_t *random, int ndevices, int nlayers);

/* Experts [n][k] in which a token has none twice where k allows, and weights. */
enum case_skew { CASE_EVEN, CASE_SKEWED, CASE_ONE, CASE_NSKEWS };
void case_routing(uint64_t *random, enum case_skew skew, int nexperts, size_t n, int k,
	int32_t *experts_p, float *weights_p);

#endif
