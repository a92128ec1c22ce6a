/* Ours: experts change nodes where more tokens then stay within one. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/moetuner.h"

/* One layer: what each expert exchanges with each node of the layers before and after it. */
struct polish {
	const struct lina_place *place;
	int n, nnodes;
	int *device;      /* [nlayers][n] */
	double *affinity; /* [n][nnodes] tokens */
	double *load;     /* [ndevices] tokens */
	double limit;     /* of a device's load */
};

static int node_of(const struct polish *p, int layer, int expert)
{
	return lina_plan_node_of(&p->place->shape, p->device[layer * p->n + expert]);
}

static void take_up(struct polish *p, int layer, double slack)
{
	const struct lina_transitions *t = p->place->score.transitions;
	const double *tokens = lina_counts_layer(p->place->score.counts, layer);
	size_t n = (size_t)p->n;
	double sum = 0;

	memset(p->affinity, 0, n * (size_t)p->nnodes * sizeof(double));
	memset(p->load, 0, (size_t)p->place->shape.ndevices * sizeof(double));
	for (size_t e = 0; e < n; e++) {
		p->load[p->device[(size_t)layer * n + e]] += tokens[e];
		sum += tokens[e];
		for (size_t o = 0; o < n; o++) {
			double *affinity = p->affinity + e * (size_t)p->nnodes;

			if (layer > 0)
				affinity[node_of(p, layer - 1, (int)o)] +=
					lina_transitions_pair(t, layer - 1)[o * n + e];
			if (layer < t->npairs)
				affinity[node_of(p, layer + 1, (int)o)] +=
					lina_transitions_pair(t, layer)[e * n + o];
		}
	}
	p->limit = sum / p->place->shape.ndevices * (1 + slack);
	for (int d = 0; d < p->place->shape.ndevices; d++)
		p->limit = fmax(p->limit, p->load[d]);
}

/* Swaps two experts of different nodes if that keeps more tokens and the loads allow. */
static bool swap_experts(struct polish *p, int layer, int a, int b)
{
	const double *tokens = lina_counts_layer(p->place->score.counts, layer);
	int *at = p->device + (size_t)layer * (size_t)p->n, i = at[a], j = at[b];
	int m = node_of(p, layer, a), n = node_of(p, layer, b);
	const double *of_a = p->affinity + (size_t)a * (size_t)p->nnodes,
		     *of_b = p->affinity + (size_t)b * (size_t)p->nnodes;
	double more = tokens[a] - tokens[b];

	if (m == n || !(of_a[n] + of_b[m] > (of_a[m] + of_b[n]) * (1 + 1e-9)))
		return false;
	if (p->load[i] - more > p->limit || p->load[j] + more > p->limit)
		return false;
	p->load[i] -= more;
	p->load[j] += more;
	at[a] = j;
	at[b] = i;
	return true;
}

static bool polish_layer(struct polish *p, int layer, double slack)
{
	bool better = true, any = false;

	take_up(p, layer, slack);
	while (better) {
		better = false;
		for (int a = 0; a < p->n; a++)
			for (int b = a + 1; b < p->n; b++)
				better = swap_experts(p, layer, a, b) || better;
		any = any || better;
	}
	return any;
}

int lina_moetuner_polish(const struct lina_place *place, double slack, int *device)
{
	struct polish p = { .place = place,
		.n = place->shape.nexperts,
		.nnodes = lina_plan_nnodes(&place->shape),
		.device = device };
	size_t n = (size_t)p.n * (size_t)p.nnodes;
	bool better = true;

	p.affinity = malloc((n + (size_t)place->shape.ndevices) * sizeof(double));
	if (!p.affinity)
		return -ENOMEM;
	p.load = p.affinity + n;
	while (better) {
		better = false;
		for (int l = 0; l < place->shape.nlayers; l++)
			better = polish_layer(&p, l, slack) || better;
	}
	free(p.affinity);
	return 0;
}
