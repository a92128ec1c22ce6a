/* Starting points for place_best.c: replicas near to where tokens begin, nodes and devices level.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collectives/place_parts.h"

struct spread {
	const struct lina_plan_shape *shape;
	const double *tokens;
	int *experts; /* [nslots] */
	int nexperts;
	int left;                     /* slots that no replica has been promised */
	double *node, *device, *size; /* [nnodes], [ndevices] loads; [nexperts] of a replica */
	int *room, *replicas, *order; /* [ndevices] free slots; [nexperts], [nexperts] */
};

static int spread_create(struct spread *s)
{
	size_t nnodes = (size_t)lina_plan_nnodes(s->shape), ndevices = (size_t)s->shape->ndevices;
	size_t nexperts = (size_t)s->nexperts;

	s->node = calloc(nnodes + ndevices + nexperts, sizeof(*s->node));
	s->room = calloc(ndevices + 2 * nexperts, sizeof(*s->room));
	if (!s->node || !s->room) {
		free(s->node);
		free(s->room);
		return -ENOMEM;
	}
	s->device = s->node + nnodes;
	s->size = s->device + ndevices;
	s->replicas = s->room + ndevices;
	s->order = s->replicas + nexperts;
	for (size_t d = 0; d < ndevices; d++)
		s->room[d] = s->shape->slots_per_device;
	return 0;
}

/* One replica each, and what an expert needs to have no more than an even load at each. */
static void promise_needed(struct spread *s, double mean)
{
	s->left = lina_plan_nslots(s->shape) - s->nexperts;
	for (int i = 0; i < s->nexperts; i++) {
		int e = s->order[i];
		int more = mean > 0 ? (int)ceil(s->tokens[e] / mean * (1 - 1e-9)) - 1 : 0;

		more = more < 0 ? 0 : more;
		more = more < s->left ? more : s->left;
		s->replicas[e] = 1 + more;
		s->left -= more;
	}
}

/* The rest: to the heaviest in turn until each is in so many places. */
static void promise_everywhere(struct spread *s, int nplaces)
{
	for (int i = 0; i < s->nexperts && s->left > 0; i++) {
		int e = s->order[i], more = nplaces - s->replicas[e];

		more = more < s->left ? more : s->left;
		if (more <= 0)
			continue;
		s->replicas[e] += more;
		s->left -= more;
	}
}

/* The rest, one by one, to the expert with the most load for each replica. */
static void promise_heaviest(struct spread *s)
{
	while (s->left > 0) {
		int best = -1;

		for (int e = 0; e < s->nexperts; e++)
			if (s->replicas[e] < s->shape->ndevices &&
				(best < 0 || s->tokens[e] / s->replicas[e] >
						     s->tokens[best] / s->replicas[best]))
				best = e;
		if (best < 0)
			return;
		s->replicas[best]++;
		s->left--;
	}
}

static bool node_has(const struct spread *s, int node, int expert)
{
	int n = s->shape->devices_per_node * s->shape->slots_per_device;

	return lina_plan_has(s->experts + (size_t)node * (size_t)n, n, expert);
}

/* Where a replica goes: to a node that has none yet, to the lightest; there to the lightest device
 * that has none. -1: every device with room has one. */
static int find_device(const struct spread *s, int expert)
{
	int best = -1, per_device = s->shape->slots_per_device;
	bool best_has = false;

	for (int d = 0; d < s->shape->ndevices; d++) {
		int node = lina_plan_node_of(s->shape, d);
		int other = best < 0 ? -1 : lina_plan_node_of(s->shape, best);
		bool has;

		if (s->room[d] == 0 || lina_plan_has(s->experts + (size_t)d * (size_t)per_device,
					       per_device, expert))
			continue;
		has = node == other ? best_has : node_has(s, node, expert);
		if (best < 0 || (best_has && !has) ||
			(has == best_has && (node == other ? s->device[d] < s->device[best]
							   : s->node[node] < s->node[other]))) {
			best = d;
			best_has = has;
		}
	}
	return best;
}

static void put_replicas(struct spread *s, int expert)
{
	for (int r = 0; r < s->replicas[expert]; r++) {
		int d = find_device(s, expert);

		if (d < 0)
			return;
		(void)lina_device_put(s->shape, s->experts, d, expert);
		s->room[d]--;
		s->device[d] += s->size[expert];
		s->node[lina_plan_node_of(s->shape, d)] += s->size[expert];
	}
}

int lina_spread_layer(
	const struct lina_place *place, const void *settings, int layer, struct lina_plan *plan)
{
	const struct lina_spread_settings *how = settings;
	int nnodes = lina_plan_nnodes(&place->shape);
	struct spread s = { .shape = &place->shape,
		.tokens = lina_counts_layer(place->score.counts, layer),
		.experts = lina_plan_experts(plan, layer),
		.nexperts = place->shape.nexperts };
	int err = spread_create(&s);

	if (err)
		return err;
	lina_layer_clear(plan, layer);
	err = lina_order_descending(s.tokens, s.nexperts, s.order);
	if (!err) {
		promise_needed(
			&s, lina_counts_sum(place->score.counts, layer) / place->shape.ndevices);
		if (how->everywhere)
			promise_everywhere(&s, nnodes > 1 ? nnodes : place->shape.ndevices);
		promise_heaviest(&s);
		for (int e = 0; e < s.nexperts; e++)
			s.size[e] = s.tokens[e] / s.replicas[e];
		err = lina_order_descending(s.size, s.nexperts, s.order);
	}
	for (int i = 0; i < s.nexperts && !err; i++)
		put_replicas(&s, s.order[i]);
	lina_plan_share_evenly(plan, layer);
	free(s.node);
	free(s.room);
	return err;
}
