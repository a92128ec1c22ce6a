/* What must be sent for one layer, from placements: the items of a spread. Pure. */
#ifndef LINA_COLLECTIVES_SPREAD_PLAN_H
#define LINA_COLLECTIVES_SPREAD_PLAN_H

#include "collectives/plan.h"
#include "collectives/spread.h"

struct lina_spread_items {
	int n; /* the layer's experts: item e is expert e */
	struct lina_spread_item *item;
	int *device; /* that the items refer to */
};

/* From the one device that has each expert in owners to all that have it in placed. Devices of the
 * owner's node come first, then node by node, so that an expert enters a node once. -EINVAL: not of
 * the same experts and devices, no such layer, or an expert on several devices in owners
 * (*expert_p); -ENOMEM. */
int lina_spread_items_share(const struct lina_plan *owners, const struct lina_plan *placed,
	int layer, size_t bytes, struct lina_spread_items *items_p, int *expert_p);

/* From a device that has each expert in before to those that have it in after and had it not. Of
 * several that have it, one on a node where it is needed, and of these the one that sends least so
 * far. */
int lina_spread_items_move(const struct lina_plan *before, const struct lina_plan *after, int layer,
	size_t bytes, struct lina_spread_items *items_p);

void lina_spread_items_free(struct lina_spread_items *items);

#endif
