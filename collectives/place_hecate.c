/* Hecate's two algorithms: which device owns an expert, and who else gets a copy. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collectives/place_parts.h"

struct lina_hecate_settings lina_hecate_settings_default(void)
{
	return (struct lina_hecate_settings){ .overlap = -1, .reserve = -1 };
}

double lina_hecate_volume_bytes(const int *copies, int nexperts, double expert_bytes)
{
	int materialised = 0;

	for (int e = 0; e < nexperts; e++)
		materialised += copies[e] > 0;
	return 2 * (double)materialised * expert_bytes;
}

/* order: experts by load. */
static void count_copies(const double *tokens, const int *order, int nexperts, int ndevices,
	int overlap, int reserve, int *copies)
{
	int t = overlap < nexperts ? overlap : nexperts, m = reserve < t ? reserve : t;
	int left = ndevices * m;
	double sum = 0;

	for (int e = 0; e < nexperts; e++) {
		sum += tokens[e];
		copies[e] = 0;
	}
	for (int i = 0; i < nexperts && left > 0; i++) {
		int e = order[i], n = ndevices - 1;

		if (t <= m && i >= t)
			break;
		if (t > m)
			n = sum > 0 ? (int)fmin(n, ceil(ndevices * m * tokens[e] / sum)) : 0;
		copies[e] = n < left ? n : left;
		left -= copies[e];
	}
}

void lina_hecate_copies(
	const double *tokens, int nexperts, int ndevices, int overlap, int reserve, int *copies)
{
	int *order = malloc((size_t)nexperts * sizeof(*order));

	for (int e = 0; e < nexperts; e++)
		copies[e] = 0;
	if (order && !lina_order_descending(tokens, nexperts, order))
		count_copies(tokens, order, nexperts, ndevices, overlap, reserve, copies);
	free(order);
}

/* --- algorithm 2 --- */

struct sharding {
	const struct lina_place *place;
	struct lina_plan *plan;
	int overlap, room;     /* room: slots of a device in a layer for experts of its own */
	int all;               /* slots of a device over all layers for experts of its own */
	double *node, *device; /* [nnodes], [ndevices] loads of all layers so far */
	int *used;             /* [ndevices] over all layers */
	int *order, *copies;   /* [nexperts] */
	double *peak;          /* [nlayers] largest load */
	int *layers;           /* [nlayers] in order */
};

static int used_in_layer(const struct sharding *s, int layer, int device)
{
	int per_device = s->plan->shape.slots_per_device, n = 0;
	const int *slots = lina_plan_experts(s->plan, layer) + (size_t)device * (size_t)per_device;

	while (n < per_device && slots[n] != LINA_SLOT_EMPTY)
		n++;
	return n;
}

/* Slots that a device has left for an expert of its own: none when the layer has used up its
 * room. */
static int free_slots(const struct sharding *s, int layer, int device)
{
	int left = s->all - s->used[device];

	if (used_in_layer(s, layer, device) >= s->room)
		return 0;
	return left > 0 ? left : 0;
}

/* Least loaded node, of equals the one with fewer free slots; in it the least loaded device.
 * strict: only devices that have slots left over all layers. */
static int find_owner(const struct sharding *s, int layer, bool strict)
{
	const struct lina_plan_shape *shape = &s->plan->shape;
	int best = -1, best_free = 0;

	for (int d = 0; d < shape->ndevices; d++) {
		int node = lina_plan_node_of(shape, d), has = free_slots(s, layer, d);

		if (used_in_layer(s, layer, d) >= s->room || (strict && has == 0))
			continue;
		int other = best < 0 ? -1 : lina_plan_node_of(shape, best);
		if (best < 0 || s->node[node] < s->node[other] ||
			(node == other && s->device[d] < s->device[best]) ||
			(node != other && s->node[node] == s->node[other] && has < best_free)) {
			best = d;
			best_free = has;
		}
	}
	return best;
}

/* The device with the most free slots, for experts whose load will be spread anyway. */
static int find_room(const struct sharding *s, int layer)
{
	int best = -1;

	for (int d = 0; d < s->plan->shape.ndevices; d++)
		if (used_in_layer(s, layer, d) < s->room &&
			(best < 0 || s->used[d] < s->used[best]))
			best = d;
	return best;
}

static void own(struct sharding *s, int layer, int expert, int device, double load)
{
	(void)lina_device_put(&s->plan->shape, lina_plan_experts(s->plan, layer), device, expert);
	s->used[device]++;
	s->device[device] += load;
	s->node[lina_plan_node_of(&s->plan->shape, device)] += load;
}

static int shard_layer(struct sharding *s, int layer)
{
	const double *tokens = lina_counts_layer(s->place->score.counts, layer);
	int nexperts = s->plan->shape.nexperts;
	int err = lina_order_descending(tokens, nexperts, s->order);

	for (int i = s->overlap; i < nexperts && !err; i++) {
		int d = find_owner(s, layer, true);

		own(s, layer, s->order[i], d >= 0 ? d : find_owner(s, layer, false),
			tokens[s->order[i]]);
	}
	for (int i = 0; i < s->overlap && i < nexperts && !err; i++)
		own(s, layer, s->order[i], find_room(s, layer), 0);
	return err;
}

/* --- algorithm 1, into the slots that are left --- */

/* Free slots of a node's devices that do not have the expert; *device_p is the one of them with the
 * most. */
static int node_room(const struct sharding *s, int layer, int node, int expert, int *device_p)
{
	const struct lina_plan_shape *shape = &s->plan->shape;
	const int *experts = lina_plan_experts(s->plan, layer);
	int room = 0, most = 0;

	for (int i = 0; i < shape->devices_per_node; i++) {
		int d = node * shape->devices_per_node + i, used = used_in_layer(s, layer, d);
		int left = shape->slots_per_device - used;

		if (lina_plan_has(
			    experts + (size_t)d * (size_t)shape->slots_per_device, used, expert))
			continue;
		room += left;
		if (left > most) {
			most = left;
			*device_p = d;
		}
	}
	return room;
}

/* Nodes that have no copy of this round yet come first, then those with more free slots. */
static void copy_once(struct sharding *s, int layer, int expert, int *taken)
{
	int nnodes = lina_plan_nnodes(&s->plan->shape), best = -1, best_room = 0, device = -1;

	for (int n = 0; n < nnodes; n++) {
		int d = -1, room = node_room(s, layer, n, expert, &d);

		if (room > 0 && (best < 0 || taken[n] < taken[best] ||
					(taken[n] == taken[best] && room > best_room))) {
			best = n;
			best_room = room;
			device = d;
		}
	}
	if (best < 0)
		return;
	taken[best]++;
	(void)lina_device_put(&s->plan->shape, lina_plan_experts(s->plan, layer), device, expert);
}

static int materialise_layer(struct sharding *s, int layer, int reserve)
{
	const double *tokens = lina_counts_layer(s->place->score.counts, layer);
	const struct lina_plan_shape *shape = &s->plan->shape;
	int *taken = calloc((size_t)lina_plan_nnodes(shape), sizeof(*taken));
	int err = taken ? lina_order_descending(tokens, shape->nexperts, s->order) : -ENOMEM;

	if (!err)
		count_copies(tokens, s->order, shape->nexperts, shape->ndevices, s->overlap,
			reserve, s->copies);
	for (int i = 0; i < shape->nexperts && !err; i++) {
		int e = s->order[i];

		for (int n = 0; n < lina_plan_nnodes(shape); n++)
			taken[n] = 0;
		for (int c = 0; c < s->copies[e]; c++)
			copy_once(s, layer, e, taken);
	}
	free(taken);
	return err;
}

static int sharding_create(struct sharding *s)
{
	const struct lina_plan_shape *shape = &s->plan->shape;
	size_t nnodes = (size_t)lina_plan_nnodes(shape), ndevices = (size_t)shape->ndevices;
	size_t nexperts = (size_t)shape->nexperts, nlayers = (size_t)shape->nlayers;

	s->node = calloc(nnodes + ndevices + nlayers, sizeof(*s->node));
	s->used = calloc(ndevices + 2 * nexperts + nlayers, sizeof(*s->used));
	if (!s->node || !s->used) {
		free(s->node);
		free(s->used);
		return -ENOMEM;
	}
	s->device = s->node + nnodes;
	s->peak = s->device + ndevices;
	s->order = s->used + ndevices;
	s->copies = s->order + nexperts;
	s->layers = s->copies + nexperts;
	for (size_t l = 0; l < nlayers; l++)
		for (size_t e = 0; e < nexperts; e++)
			s->peak[l] = fmax(
				s->peak[l], lina_counts_layer(s->place->score.counts, (int)l)[e]);
	return 0;
}

/* Spare slots of a device: all beyond those that its own experts need, or fewer. */
static int reserve_of(
	const struct lina_plan_shape *shape, const struct lina_hecate_settings *settings)
{
	int needed = (shape->nexperts + shape->ndevices - 1) / shape->ndevices;
	int spare = shape->slots_per_device - needed;

	return settings->reserve >= 0 && settings->reserve < spare ? settings->reserve : spare;
}

/* Experts that are taken for moved in time: with copies to make, more than a device has slots for
 * them, so that slots follow load. */
static int overlap_of(const struct lina_plan_shape *shape,
	const struct lina_hecate_settings *settings, int reserve)
{
	int eighth = shape->nexperts / 8;

	if (settings->overlap >= 0)
		return settings->overlap;
	if (reserve == 0)
		return 0;
	return eighth > reserve ? eighth : reserve + 1;
}

static int plan_layers(struct sharding *s, int reserve)
{
	int nlayers = s->plan->shape.nlayers;
	int err = lina_order_descending(s->peak, nlayers, s->layers);

	for (int i = 0; i < nlayers && !err; i++)
		err = shard_layer(s, s->layers[i]);
	for (int l = 0; l < nlayers && !err; l++) {
		err = materialise_layer(s, l, reserve);
		lina_plan_share_evenly(s->plan, l);
	}
	return err;
}

int lina_place_hecate(const struct lina_place *place, const struct lina_hecate_settings *settings,
	struct lina_plan **plan_p)
{
	const struct lina_plan_shape *shape = &place->shape;
	int reserve = lina_place_check(place) ? 0 : reserve_of(shape, settings);
	struct sharding s = { .place = place,
		.overlap = overlap_of(shape, settings, reserve),
		.room = shape->slots_per_device - reserve };
	int err = lina_place_begin(place, &s.plan);

	if (err)
		return err;
	s.all = (shape->nexperts * shape->nlayers + shape->ndevices - 1) / shape->ndevices;
	err = sharding_create(&s);
	if (!err) {
		err = plan_layers(&s, reserve);
		free(s.node);
		free(s.used);
	}
	if (err)
		lina_plan_destroy(s.plan);
	else
		*plan_p = s.plan;
	return err;
}
