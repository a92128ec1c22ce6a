/*
 * EPLB as DeepSeek published it (deepseek-ai/EPLB), for one layer: the same choices, in the same
 * arithmetic (32 bits) and the same order, since plans are compared with those of others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/place_parts.h"

/* Arrays for one layer, n = max(nslots, nexperts) each. */
struct work {
	float *weight; /* of groups, of a node's experts, of its replicas */
	double *key;
	int *order, *pack, *rank, *count;
	int *expert;  /* [nexperts] experts in the order of the nodes that have them */
	int *replica; /* [nslots of a node] expert of each replica, as a number in the node */
};

static void work_destroy(struct work *w)
{
	free(w->weight);
	free(w->key);
	free(w->order);
}

static int work_create(int n, struct work *w)
{
	w->weight = calloc((size_t)n, sizeof(*w->weight));
	w->key = calloc((size_t)n, sizeof(*w->key));
	w->order = calloc(6 * (size_t)n, sizeof(*w->order));
	if (!w->weight || !w->key || !w->order) {
		work_destroy(w);
		return -ENOMEM;
	}
	w->pack = w->order + n;
	w->rank = w->pack + n;
	w->count = w->rank + n;
	w->expert = w->count + n;
	w->replica = w->expert + n;
	return 0;
}

/* The lightest pack with room; sum and used are [npacks]. */
static int lightest(const float *sum, const int *used, int npacks, int room)
{
	int best = -1;

	for (int p = 0; p < npacks; p++)
		if (used[p] < room && (best < 0 || sum[p] < sum[best]))
			best = p;
	return best;
}

/* n items of weight w->weight to npacks packs with n / npacks each: w->pack and w->rank say which
 * pack and which place in it. */
static int pack_evenly(const struct work *w, int n, int npacks)
{
	int room = n / npacks;
	float *sum = calloc((size_t)npacks, sizeof(*sum));
	int *used = calloc((size_t)npacks, sizeof(*used));
	int err = sum && used ? 0 : -ENOMEM;

	for (int i = 0; i < n; i++) {
		w->key[i] = (double)w->weight[i];
		w->pack[i] = i;
		w->rank[i] = 0;
	}
	if (!err && room > 1)
		err = lina_order_descending(w->key, n, w->order);
	for (int i = 0; !err && room > 1 && i < n; i++) {
		int item = w->order[i], p = lightest(sum, used, npacks, room);

		w->pack[item] = p;
		w->rank[item] = used[p]++;
		sum[p] += w->weight[item];
	}
	free(sum);
	free(used);
	return err;
}

/* Replicas of n experts with loads tokens: one each, then one by one to the heaviest. */
static void replicate(const struct work *w, const float *tokens, int n, int nreplicas)
{
	for (int e = 0; e < n; e++) {
		w->count[e] = 1;
		w->replica[e] = e;
	}
	for (int r = n; r < nreplicas && n > 0; r++) {
		int heaviest = 0;
		float most = tokens[0] / (float)w->count[0];

		for (int e = 1; e < n; e++)
			if (tokens[e] / (float)w->count[e] > most) {
				most = tokens[e] / (float)w->count[e];
				heaviest = e;
			}
		w->replica[r] = heaviest;
		w->count[heaviest]++;
	}
}

/* Experts in w->expert by the node that their group is packed to. */
static int pack_groups(
	const struct work *w, const double *tokens, int nexperts, int ngroups, int nnodes)
{
	int size = nexperts / ngroups, per_node = ngroups / nnodes, err;

	for (int g = 0; g < ngroups; g++) {
		w->weight[g] = 0;
		for (int e = g * size; e < (g + 1) * size; e++)
			w->weight[g] += (float)tokens[e];
	}
	err = pack_evenly(w, ngroups, nnodes);
	for (int g = 0; g < ngroups && !err; g++)
		for (int i = 0; i < size; i++)
			w->expert[(w->pack[g] * per_node + w->rank[g]) * size + i] = g * size + i;
	return err;
}

/* Fills the slots [nslots] of a node with its n experts. */
static int plan_node(const struct work *w, const double *tokens, const int *experts, int n,
	int *slots, int nslots, int ndevices)
{
	float *of_expert = malloc((size_t)n * sizeof(*of_expert));
	int err;

	if (!of_expert)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		of_expert[i] = (float)tokens[experts[i]];
	replicate(w, of_expert, n, nslots);
	for (int r = 0; r < nslots; r++)
		w->weight[r] = of_expert[w->replica[r]] / (float)w->count[w->replica[r]];
	free(of_expert);
	err = pack_evenly(w, nslots, ndevices);
	for (int r = 0; r < nslots && !err; r++)
		slots[w->pack[r] * (nslots / ndevices) + w->rank[r]] = experts[w->replica[r]];
	return err;
}

/* All parts of a layer, which are nodes or all devices together; w has room for nslots. */
static int plan_parts(const struct lina_place *place, const struct work *w, const double *tokens,
	int nparts, int ngroups, int *slots)
{
	const struct lina_plan_shape *shape = &place->shape;
	int n = shape->nexperts / nparts, nslots = lina_plan_nslots(shape) / nparts;
	int err = pack_groups(w, tokens, shape->nexperts, ngroups, nparts);
	const int *experts = w->expert;

	for (int p = 0; p < nparts && !err; p++) {
		err = plan_node(w, tokens, experts, n, slots, nslots, shape->ndevices / nparts);
		experts += n;
		slots += nslots;
	}
	return err;
}

int lina_eplb_layer(
	const struct lina_place *place, const void *settings, int layer, struct lina_plan *plan)
{
	int nnodes = lina_plan_nnodes(&place->shape);
	bool by_node = place->ngroups % nnodes == 0;
	struct work w;
	int err = work_create(lina_plan_nslots(&place->shape), &w);

	(void)settings;
	if (err)
		return err;
	err = plan_parts(place, &w, lina_counts_layer(place->score.counts, layer),
		by_node ? nnodes : 1, by_node ? place->ngroups : 1, lina_plan_experts(plan, layer));
	work_destroy(&w);
	lina_plan_share_evenly(plan, layer);
	return err;
}

int lina_place_eplb(const struct lina_place *place, struct lina_plan **plan_p)
{
	return lina_place_layers(place, lina_eplb_layer, NULL, plan_p);
}
