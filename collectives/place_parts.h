/*
 * What the placement methods share. Internal to them.
 */
#ifndef LINA_COLLECTIVES_PLACE_PARTS_H
#define LINA_COLLECTIVES_PLACE_PARTS_H

#include "collectives/place.h"

/* -EINVAL: counts, transitions, fabric, current, groups or fixed experts do not fit the shape. */
int lina_place_check(const struct lina_place *place);

/* An empty plan for place with its generation. */
int lina_place_begin(const struct lina_place *place, struct lina_plan **plan_p);

/* Plans one layer of an empty or an older plan. settings: of the method. */
typedef int lina_place_layer_fn(
	const struct lina_place *place, const void *settings, int layer, struct lina_plan *plan);

lina_place_layer_fn lina_uniform_layer, lina_eplb_layer, lina_proportional_layer;

/* For place_best.c: as many replicas as the balance needs, then the slots that are left to the
 * heaviest experts, so that tokens find them near. settings: a struct lina_spread_settings. */
struct lina_spread_settings {
	bool everywhere; /* the heaviest in all nodes (all devices of a single node) before the
			  * next; else always to the expert with the most load for each replica */
};
lina_place_layer_fn lina_spread_layer;

/* A plan made layer by layer. */
int lina_place_layers(const struct lina_place *place, lina_place_layer_fn *fn, const void *settings,
	struct lina_plan **plan_p);

/* Numbers 0 to n - 1 in order [n] by descending key, equal ones in ascending order.
 * -ENOMEM. */
int lina_order_descending(const double *key, int n, int *order);

/* Puts an expert into the first free slot of a device. -ENOSPC: there is none. */
int lina_device_put(const struct lina_plan_shape *shape, int *experts, int device, int expert);

void lina_layer_clear(struct lina_plan *plan, int layer);

#endif
