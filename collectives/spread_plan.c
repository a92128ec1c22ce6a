#include "collectives/spread_plan.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool has(const struct lina_plan *plan, int layer, int expert, int device)
{
	int n = plan->shape.slots_per_device;

	return lina_plan_has(
		lina_plan_experts(plan, layer) + (size_t)device * (size_t)n, n, expert);
}

static int items_open(const struct lina_plan *a, const struct lina_plan *b, int layer,
	struct lina_spread_items *items_p)
{
	size_t n = (size_t)a->shape.nexperts, ndevices = (size_t)a->shape.ndevices;

	if (a->shape.nexperts != b->shape.nexperts || a->shape.ndevices != b->shape.ndevices ||
		a->shape.devices_per_node != b->shape.devices_per_node || layer < 0 ||
		layer >= a->shape.nlayers || layer >= b->shape.nlayers)
		return -EINVAL;
	*items_p = (struct lina_spread_items){ .n = a->shape.nexperts };
	items_p->item = calloc(n, sizeof(*items_p->item));
	items_p->device = calloc(n * ndevices, sizeof(*items_p->device));
	if (items_p->item != NULL && items_p->device != NULL)
		return 0;
	lina_spread_items_free(items_p);
	return -ENOMEM;
}

void lina_spread_items_free(struct lina_spread_items *items)
{
	free(items->device);
	free(items->item);
}

/* Device number i from a device on: the rest of its node first, round about, then the nodes after
 * it. */
static int device_after(const struct lina_plan_shape *shape, int from, int i)
{
	int n = shape->devices_per_node, nnodes = lina_plan_nnodes(shape), node = from / n;

	assert(nnodes > 0);
	return (node + i / n) % nnodes * n + (from % n + i) % n;
}

/* Those that need the expert, in order from its owner on. */
static void list(struct lina_spread_item *item, int *device, const struct lina_plan *wanted,
	const struct lina_plan *there, int layer, int expert)
{
	item->device = device;
	for (int i = 1; i < wanted->shape.ndevices; i++) {
		int d = device_after(&wanted->shape, item->owner, i);
		if (has(wanted, layer, expert, d) &&
			!(there != NULL && has(there, layer, expert, d)))
			device[item->ndevices++] = d;
	}
}

static int find_owner(const struct lina_plan *owners, int layer, int expert)
{
	int owner = -1;

	for (int d = 0; d < owners->shape.ndevices; d++)
		if (has(owners, layer, expert, d)) {
			if (owner >= 0)
				return -EINVAL;
			owner = d;
		}
	return owner >= 0 ? owner : -EINVAL;
}

int lina_spread_items_share(const struct lina_plan *owners, const struct lina_plan *placed,
	int layer, size_t bytes, struct lina_spread_items *items_p, int *expert_p)
{
	struct lina_spread_items items;
	int err = items_open(owners, placed, layer, &items);

	*expert_p = -1;
	if (err)
		return err;
	for (int e = 0; e < items.n; e++) {
		int owner = find_owner(owners, layer, e);
		if (owner < 0) {
			*expert_p = e;
			lina_spread_items_free(&items);
			return owner;
		}
		items.item[e] = (struct lina_spread_item){ .bytes = bytes, .owner = owner };
		list(&items.item[e], &items.device[(size_t)e * (size_t)owners->shape.ndevices],
			placed, NULL, layer, e);
	}
	*items_p = items;
	return 0;
}

/* Whether a device of this node needs the expert and has it not. */
static bool node_needs(const struct lina_plan *before, const struct lina_plan *after, int layer,
	int expert, int node)
{
	int n = before->shape.devices_per_node;

	for (int d = node * n; d < (node + 1) * n; d++)
		if (has(after, layer, expert, d) && !has(before, layer, expert, d))
			return true;
	return false;
}

static int choose_source(const struct lina_plan *before, const struct lina_plan *after, int layer,
	int expert, const int *nsent)
{
	int best = -1;
	bool best_near = false;

	for (int d = 0; d < before->shape.ndevices; d++) {
		if (!has(before, layer, expert, d))
			continue;
		bool near = node_needs(
			before, after, layer, expert, lina_plan_node_of(&before->shape, d));
		if (best < 0 || (near && !best_near) ||
			(near == best_near && nsent[d] < nsent[best])) {
			best = d;
			best_near = near;
		}
	}
	return best;
}

int lina_spread_items_move(const struct lina_plan *before, const struct lina_plan *after, int layer,
	size_t bytes, struct lina_spread_items *items_p)
{
	struct lina_spread_items items;
	int err = items_open(before, after, layer, &items);

	if (err)
		return err;
	int *nsent = calloc((size_t)before->shape.ndevices, sizeof(*nsent));
	if (nsent == NULL)
		err = -ENOMEM;
	for (int e = 0; e < items.n && !err; e++) {
		int source = choose_source(before, after, layer, e, nsent);
		if (source < 0) {
			err = -EINVAL;
			break;
		}
		items.item[e] = (struct lina_spread_item){ .bytes = bytes, .owner = source };
		list(&items.item[e], &items.device[(size_t)e * (size_t)before->shape.ndevices],
			after, before, layer, e);
		nsent[source] += items.item[e].ndevices > 0;
	}
	free(nsent);
	if (err) {
		lina_spread_items_free(&items);
		return err;
	}
	*items_p = items;
	return 0;
}
