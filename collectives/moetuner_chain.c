/* Which device gets which cluster, layer after layer: exactly, and by swaps. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/moetuner.h"

/* The largest time between any two devices; stops at enough. */
static double pair_cost(
	const struct lina_chain *chain, int pair, const int *from, const int *to, double enough)
{
	int n = chain->n;
	const double *traffic = chain->traffic + (size_t)pair * (size_t)(n * n);
	double most = 0;

	for (int c = 0; c < n && most < enough; c++)
		for (int d = 0; d < n; d++)
			most = fmax(most, traffic[c * n + d] * chain->byte_ns[from[c] * n + to[d]]);
	return most;
}

/* Where a layer begins among the devices of clusters. */
static size_t at_layer(const struct lina_chain *chain, int layer)
{
	return (size_t)layer * (size_t)chain->n;
}

double lina_chain_cost(const struct lina_chain *chain, const int *device)
{
	double cost = 0;

	for (int p = 0; p < chain->npairs; p++)
		cost += pair_cost(chain, p, device + at_layer(chain, p),
			device + at_layer(chain, p + 1), INFINITY);
	return cost;
}

/* --- exact --- */

/* All ways to put n clusters on n devices, in lexicographic order, and their classes under the
 * symmetries of the links: way w is one of them applied to way first[class[w]]. */
struct ways {
	int n, nways, nclasses;
	int *way;   /* [nways][n] device of each cluster */
	int *class; /* [nways] */
	int *first; /* [nclasses] */
};

static int *way_of(const struct ways *w, int i)
{
	return w->way + (size_t)i * (size_t)w->n;
}

static int rank_of(const int *way, int n)
{
	int rank = 0;

	for (int i = 0; i < n; i++) {
		int smaller = 0;

		for (int j = i + 1; j < n; j++)
			smaller += way[j] < way[i];
		rank = rank * (n - i) + smaller;
	}
	return rank;
}

static void next_way(int *way, int n)
{
	int i = n - 2, j = n - 1;

	while (i >= 0 && way[i] > way[i + 1])
		i--;
	if (i < 0)
		return;
	while (way[j] < way[i])
		j--;
	int swap = way[i];
	way[i] = way[j];
	way[j] = swap;
	for (i++, j = n - 1; i < j; i++, j--) {
		swap = way[i];
		way[i] = way[j];
		way[j] = swap;
	}
}

/* Whether renaming the devices leaves all links as they are. */
static bool is_symmetry(const struct lina_chain *chain, const int *to)
{
	int n = chain->n;

	for (int g = 0; g < n; g++)
		for (int h = 0; h < n; h++)
			if (chain->byte_ns[to[g] * n + to[h]] != chain->byte_ns[g * n + h])
				return false;
	return true;
}

static void compose(const int *outer, const int *inner, int n, int *out)
{
	for (int i = 0; i < n; i++)
		out[i] = outer[inner[i]];
}

static void classify(const struct lina_chain *chain, struct ways *w)
{
	int n = w->n, renamed[LINA_CHAIN_MAX], nsymmetries = 0;
	/* The symmetries come first in a list of their own, at the end of which classes go. */
	int *symmetry = w->first;

	for (int i = 0; i < w->nways; i++) {
		w->class[i] = -1;
		if (is_symmetry(chain, way_of(w, i)))
			symmetry[nsymmetries++] = i;
	}
	for (int i = 0; i < w->nways; i++) {
		if (w->class[i] >= 0)
			continue;
		for (int k = 0; k < nsymmetries; k++) {
			compose(way_of(w, symmetry[k]), way_of(w, i), n, renamed);
			w->class[rank_of(renamed, n)] = w->nclasses;
		}
		w->nclasses++;
	}
	/* The list is done with: its place is for the first of each class. */
	for (int i = w->nways - 1; i >= 0; i--)
		w->first[w->class[i]] = i;
}

static int ways_create(const struct lina_chain *chain, struct ways *w)
{
	int n = chain->n, nways = 1;

	for (int i = 2; i <= n; i++)
		nways *= i;
	*w = (struct ways){ .n = n, .nways = nways };
	w->way = calloc((size_t)nways * (size_t)(n + 2), sizeof(*w->way));
	if (!w->way)
		return -ENOMEM;
	w->class = way_of(w, nways);
	w->first = w->class + nways;
	for (int i = 0; i < n; i++)
		w->way[i] = i;
	for (int i = 1; i < nways; i++) {
		memcpy(way_of(w, i), way_of(w, i - 1), (size_t)n * sizeof(*w->way));
		next_way(way_of(w, i), n);
	}
	classify(chain, w);
	return 0;
}

/* The least cost up to a way of layer p + 1, and the way of layer p that leads there; before
 * [nclasses]: least costs up to layer p. */
static double reach(const struct lina_chain *chain, const struct ways *w, int pair,
	const double *before, const int *to, int *from_p)
{
	double least = INFINITY;

	for (int i = 0; i < w->nways; i++) {
		double cost = before[w->class[i]];

		if (cost >= least)
			continue;
		cost += pair_cost(chain, pair, way_of(w, i), to, least - cost);
		if (cost < least) {
			least = cost;
			*from_p = i;
		}
	}
	return least;
}

/* From the last layer back: each step is known for the first way of a class, and holds for the
 * others after the renaming that leads to them. */
static void trace_back(const struct lina_chain *chain, const struct ways *w, int class,
	const int *from, int *device)
{
	int n = w->n, rename[LINA_CHAIN_MAX], renamed[LINA_CHAIN_MAX] = { 0 };

	for (int i = 0; i < n; i++)
		rename[i] = i;
	memcpy(device + at_layer(chain, chain->npairs), way_of(w, w->first[class]),
		(size_t)n * sizeof(int));
	for (int p = chain->npairs - 1; p >= 0; p--) {
		int i = from[p * w->nclasses + class];
		const int *first;

		compose(rename, way_of(w, i), n, renamed);
		memcpy(device + at_layer(chain, p), renamed, (size_t)n * sizeof(int));
		class = w->class[i];
		first = way_of(w, w->first[class]);
		for (int c = 0; c < n; c++)
			rename[first[c]] = renamed[c];
	}
}

int lina_chain_solve(const struct lina_chain *chain, int *device)
{
	static const double steps_max = 1e8;
	struct ways w;
	int err = chain->n > LINA_CHAIN_MAX ? -E2BIG : ways_create(chain, &w);

	if (err)
		return err;
	double *cost = calloc(2 * (size_t)w.nclasses + 1, sizeof(*cost));
	int *from = calloc(1 + (size_t)chain->npairs * (size_t)w.nclasses, sizeof(*from));
	if (!cost || !from)
		err = -ENOMEM;
	else if ((double)w.nclasses * w.nways > steps_max)
		err = -E2BIG;
	for (int p = 0; p < chain->npairs && !err; p++) {
		for (int c = 0; c < w.nclasses; c++)
			cost[w.nclasses + c] = reach(chain, &w, p, cost, way_of(&w, w.first[c]),
				&from[p * w.nclasses + c]);
		memcpy(cost, cost + w.nclasses, (size_t)w.nclasses * sizeof(*cost));
	}
	if (!err) {
		int best = 0;

		for (int c = 1; c < w.nclasses; c++)
			if (cost[c] < cost[best])
				best = c;
		trace_back(chain, &w, best, from, device);
	}
	free(cost);
	free(from);
	free(w.way);
	return err;
}

/* --- by swaps --- */

static double around(const struct lina_chain *chain, const int *device, int layer)
{
	int n = chain->n;
	const int *at = device + at_layer(chain, layer);
	double cost = 0;

	if (layer > 0)
		cost += pair_cost(chain, layer - 1, at - n, at, INFINITY);
	if (layer < chain->npairs)
		cost += pair_cost(chain, layer, at, at + n, INFINITY);
	return cost;
}

static bool fits(
	const struct lina_chain *chain, const int *sizes, int per_device, const int *device)
{
	int n = chain->n;

	for (int g = 0; sizes && g < n; g++) {
		int used = 0;

		for (int i = 0; i < (chain->npairs + 1) * n; i++)
			used += device[i] == g ? sizes[i] : 0;
		if (used > per_device)
			return false;
	}
	return true;
}

static bool swap_pays(const struct lina_chain *chain, const int *sizes, int per_device, int *device,
	int layer, int c, int d)
{
	int *at = device + at_layer(chain, layer), kept = at[c];
	double before = around(chain, device, layer);

	at[c] = at[d];
	at[d] = kept;
	if (around(chain, device, layer) < before * (1 - 1e-12) &&
		fits(chain, sizes, per_device, device))
		return true;
	at[d] = at[c];
	at[c] = kept;
	return false;
}

void lina_chain_swap(const struct lina_chain *chain, const int *sizes, int per_device, int *device)
{
	bool better = true;

	while (better) {
		better = false;
		for (int l = 0; l <= chain->npairs; l++)
			for (int c = 0; c < chain->n; c++)
				for (int d = c + 1; d < chain->n; d++)
					if (swap_pays(chain, sizes, per_device, device, l, c, d))
						better = true;
	}
}
