#include "collectives/lina_sched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/place.h"

struct lina_sched {
	struct lina_sched_settings settings;
	struct lina_plan *plan,
		*before;           /* before: each layer as it was before it was placed last */
	struct lina_counts *loads; /* that the plan was made from */
	bool *expected;            /* [nlayers] since the layer was found last */
	bool *one;                 /* [nlayers] scratch: the layer to be placed */
	int *top, *other_top;      /* scratch, [nexperts] */
	struct lina_sched_stats stats;
};

static int open_sched(struct lina_sched *sched, const struct lina_plan *plan)
{
	size_t nlayers = (size_t)plan->shape.nlayers, nexperts = (size_t)plan->shape.nexperts;
	int err = lina_plan_copy(plan, &sched->plan);

	if (!err)
		err = lina_plan_copy(plan, &sched->before);
	if (!err)
		err = lina_counts_create(plan->shape.nlayers, plan->shape.nexperts, &sched->loads);
	if (err)
		return err;
	sched->expected = calloc(nlayers, sizeof(*sched->expected));
	sched->one = calloc(nlayers, sizeof(*sched->one));
	sched->top = calloc(nexperts, sizeof(*sched->top));
	sched->other_top = calloc(nexperts, sizeof(*sched->other_top));
	return sched->expected && sched->one && sched->top && sched->other_top ? 0 : -ENOMEM;
}

int lina_sched_create(const struct lina_plan *plan, const struct lina_sched_settings *settings,
	struct lina_sched **sched_p)
{
	struct lina_plan_fault fault;
	struct lina_sched *sched;
	int err = lina_plan_check(plan, &fault);

	if (err)
		return err;
	if (settings->top < 1 || settings->top > plan->shape.nexperts)
		return -EINVAL;
	sched = calloc(1, sizeof(*sched));
	if (sched == NULL)
		return -ENOMEM;
	sched->settings = *settings;
	err = open_sched(sched, plan);
	if (err) {
		lina_sched_destroy(sched);
		return err;
	}
	*sched_p = sched;
	return 0;
}

void lina_sched_destroy(struct lina_sched *sched)
{
	if (sched == NULL)
		return;
	free(sched->other_top);
	free(sched->top);
	free(sched->one);
	free(sched->expected);
	lina_counts_destroy(sched->loads);
	lina_plan_destroy(sched->before);
	lina_plan_destroy(sched->plan);
	free(sched);
}

const struct lina_plan *lina_sched_plan(const struct lina_sched *sched)
{
	return sched->plan;
}

static int check(const struct lina_sched *sched, int layer, const double *load)
{
	if (layer < 0 || layer >= sched->plan->shape.nlayers)
		return -EINVAL;
	for (int e = 0; load != NULL && e < sched->plan->shape.nexperts; e++)
		if (!(load[e] >= 0 && load[e] <= LINA_LOAD_MAX))
			return -EINVAL;
	return 0;
}

int lina_sched_fetch(
	const struct lina_sched *sched, int layer, int device, int *experts_p, int *n_p)
{
	int n = sched->plan->shape.slots_per_device, found = 0;
	size_t first = (size_t)device * (size_t)n;

	if (check(sched, layer, NULL) != 0 || device < 0 || device >= sched->plan->shape.ndevices)
		return -EINVAL;
	const int *slot = lina_plan_experts(sched->plan, layer) + first;
	const int *old = lina_plan_experts(sched->before, layer) + first;
	for (int s = 0; s < n; s++)
		if (slot[s] != LINA_SLOT_EMPTY && !lina_plan_has(experts_p, found, slot[s]) &&
			!lina_plan_has(old, n, slot[s]))
			experts_p[found++] = slot[s];
	*n_p = found;
	return 0;
}

static int place(struct lina_sched *sched, int layer, const double *load)
{
	const struct lina_plan_shape *shape = &sched->plan->shape;
	size_t nslots = (size_t)lina_plan_nslots(shape);
	struct lina_place problem = { .shape = *shape, .ngroups = 1, .max_moves = -1 };
	int moves = 0;

	if (sched->plan->generation == UINT64_MAX)
		return -EOVERFLOW;
	memcpy(lina_plan_experts(sched->before, layer), lina_plan_experts(sched->plan, layer),
		nslots * sizeof(int));
	memcpy(lina_plan_shares(sched->before, layer), lina_plan_shares(sched->plan, layer),
		nslots * sizeof(double));
	memcpy(lina_counts_layer(sched->loads, layer), load,
		(size_t)shape->nexperts * sizeof(*load));
	problem.score.counts = sched->loads;
	memset(sched->one, 0, (size_t)shape->nlayers * sizeof(*sched->one));
	sched->one[layer] = true;
	int err = lina_place_again(&problem, LINA_PLACE_PROPORTIONAL, sched->one, sched->plan);
	if (!err)
		err = lina_plan_moves(sched->before, sched->plan, layer, &moves);
	if (err)
		return err;
	sched->plan->generation++;
	sched->stats.fetched += (uint64_t)moves;
	return 0;
}

int lina_sched_expect(struct lina_sched *sched, int layer, const double *load)
{
	int err = check(sched, layer, load);

	if (!err)
		err = place(sched, layer, load);
	if (err)
		return err;
	sched->expected[layer] = true;
	sched->stats.expected++;
	return 0;
}

/* The n most popular experts, the most popular first; of equal ones the lower number. */
static void find_top(const double *load, int nexperts, int n, int *top_p)
{
	for (int i = 0; i < n; i++) {
		int best = -1;
		for (int e = 0; e < nexperts; e++) {
			bool taken = false;
			for (int j = 0; j < i && !taken; j++)
				taken = top_p[j] == e;
			if (!taken && (best < 0 || load[e] > load[best]))
				best = e;
		}
		top_p[i] = best;
	}
}

/* How many of the experts at the top were not expected there, or not at this place. */
static int count_missed(struct lina_sched *sched, int layer, const double *load)
{
	int nexperts = sched->plan->shape.nexperts, n = sched->settings.top, missed = 0;

	find_top(lina_counts_layer(sched->loads, layer), nexperts, n, sched->top);
	find_top(load, nexperts, n, sched->other_top);
	for (int i = 0; i < n; i++) {
		bool seen = false;
		for (int j = 0; j < n; j++)
			seen = seen || (sched->top[j] == sched->other_top[i] &&
					       (!sched->settings.in_order || i == j));
		missed += !seen;
	}
	return missed;
}

int lina_sched_found(struct lina_sched *sched, int layer, const double *load, bool *again_p)
{
	int err = check(sched, layer, load);

	if (err)
		return err;
	int missed =
		sched->expected[layer] ? count_missed(sched, layer, load) : sched->settings.top;
	if (missed > 0)
		err = place(sched, layer, load);
	if (err)
		return err;
	sched->expected[layer] = false;
	sched->stats.missed += (uint64_t)missed;
	sched->stats.hits += missed == 0;
	sched->stats.again += missed > 0;
	*again_p = missed > 0;
	return 0;
}

void lina_sched_took(struct lina_sched *sched, enum lina_sched_phase phase, uint64_t ns)
{
	if ((unsigned int)phase < LINA_SCHED_NPHASES)
		sched->stats.ns[phase] += ns;
}

void lina_sched_stats(const struct lina_sched *sched, struct lina_sched_stats *stats_p)
{
	*stats_p = sched->stats;
}
