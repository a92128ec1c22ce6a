#include "a2a/cases.h"

#include <stdlib.h>

uint64_t case_below(uint64_t *random, uint64_t n)
{
	uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

struct lina_plan_shape case_shape(uint64_t *random, int ndevices, int nlayers)
{
	struct lina_plan_shape shape = { .nlayers = 1 + (int)case_below(random, (uint64_t)nlayers),
		.ndevices = ndevices,
		.devices_per_node = 1 };
	int least;

	for (int n = 2; n <= ndevices; n++)
		if (ndevices % n == 0 && case_below(random, 2) == 0)
			shape.devices_per_node = n;
	shape.nexperts = 1 + (int)case_below(random, 16);
	least = (shape.nexperts + ndevices - 1) / ndevices;
	shape.slots_per_device = least + (int)case_below(random, 4);
	return shape;
}

static void shares_random(uint64_t *random, struct lina_plan *plan, int layer)
{
	int *expert = lina_plan_experts(plan, layer), nslots = lina_plan_nslots(&plan->shape);
	double *share = lina_plan_shares(plan, layer);

	for (int s = 0; s < nslots; s++)
		share[s] = expert[s] < 0 ? 0 : 1 + (double)case_below(random, 100);
	for (int e = 0; e < plan->shape.nexperts; e++) {
		double sum = 0;
		for (int s = 0; s < nslots; s++)
			sum += expert[s] == e ? share[s] : 0;
		for (int s = 0; s < nslots; s++)
			share[s] /= expert[s] == e ? sum : 1;
	}
}

/* Experts 0, 1, ... in a random order of slots, then any in those that are left. */
static void place(uint64_t *random, struct lina_plan *plan, int layer)
{
	int *expert = lina_plan_experts(plan, layer), nslots = lina_plan_nslots(&plan->shape);
	uint64_t fill = case_below(random, 3);

	for (int s = 0; s < nslots; s++)
		expert[s] = LINA_SLOT_EMPTY;
	for (int e = 0; e < plan->shape.nexperts; e++) {
		int s = (int)case_below(random, (uint64_t)nslots);
		while (expert[s] != LINA_SLOT_EMPTY)
			s = (s + 1) % nslots;
		expert[s] = e;
	}
	for (int s = 0; s < nslots; s++)
		if (expert[s] == LINA_SLOT_EMPTY && case_below(random, 2) < fill)
			expert[s] = (int)case_below(random, (uint64_t)plan->shape.nexperts);
}

struct lina_plan *case_plan(uint64_t *random, const struct lina_plan_shape *shape)
{
	struct lina_plan *plan;

	if (lina_plan_create(shape, &plan) != 0)
		abort();
	for (int l = 0; l < shape->nlayers; l++) {
		place(random, plan, l);
		if (case_below(random, 2) == 0)
			shares_random(random, plan, l);
		else
			lina_plan_share_evenly(plan, l);
	}
	return plan;
}

static int32_t draw(uint64_t *random, enum case_skew skew, int nexperts)
{
	uint64_t e = case_below(random, (uint64_t)nexperts);

	if (skew == CASE_ONE)
		return (int32_t)(nexperts / 2);
	return (int32_t)(skew == CASE_SKEWED ? case_below(random, e + 1) : e);
}

void case_routing(uint64_t *random, enum case_skew skew, int nexperts, size_t n, int k,
	int32_t *experts_p, float *weights_p)
{
	for (size_t t = 0; t < n; t++)
		for (int i = 0; i < k; i++) {
			int32_t *token = &experts_p[t * (size_t)k],
				e = draw(random, skew, nexperts);
			for (int j = 0; j < i && i < nexperts; j++)
				if (token[j] == e) {
					e = (e + 1) % nexperts;
					j = -1;
				}
			token[i] = e;
			weights_p[t * (size_t)k + (size_t)i] =
				(float)(1 + case_below(random, 255)) / 256;
		}
}
