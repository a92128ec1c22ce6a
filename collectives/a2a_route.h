/*
 * Where one device sends the tokens of each expert at one layer: the placement table as seen from
 * that device.
 *
 * A plan's shares say what part of an expert's tokens each replica serves; that a token should stay
 * near says who serves whom. Both hold at once where every device has equally many tokens of an
 * expert, which is what is assumed here: each device brings 1/D of them, a replica takes its share,
 * and what lies on a device serves that device first, then its node, then the others. What is left
 * over at a step is divided in proportion to what is left on the other side. So every device's ways
 * have a sum of 1, and over all devices every replica gets D times its share.
 *
 * Pure; a route refers to nothing of the plan it was made from. Nobody writes to one after it was
 * made, so any number of threads may read it.
 */
#ifndef LINA_COLLECTIVES_A2A_ROUTE_H
#define LINA_COLLECTIVES_A2A_ROUTE_H

#include "collectives/plan.h"

enum lina_distance { LINA_SAME_DEVICE, LINA_SAME_NODE, LINA_REMOTE };

/* One replica that a device uses. */
struct lina_way {
	int slot;   /* of the layer: on device slot / slots_per_device */
	int device; /* that it is on */
	enum lina_distance distance;
	double until; /* part of the tokens that go here or to a way before: ascending, the last 1
		       */
};

struct lina_route {
	int nexperts, ndevices, slots_per_device;
	int device;           /* whose route it is */
	int *first;           /* [nexperts + 1] */
	struct lina_way *way; /* of expert e: way[first[e]] to way[first[e + 1] - 1], nearest first,
			       * then by slot; at least one, each with a part above 0 */
};

/* -EINVAL: no such layer or device, or an expert without a slot or share; -ENOMEM. */
int lina_route_create(
	const struct lina_plan *plan, int layer, int device, struct lina_route **route_p);
void lina_route_destroy(struct lina_route *route);

/* Divides n tokens of an expert among its ways: quota_p[i] for way first[expert] + i. Their sum is
 * n and each is within 1 of its part. Devices round differently, so that a share below one token a
 * device still comes out over all of them. */
void lina_route_divide(const struct lina_route *route, int expert, uint32_t n, uint32_t *quota_p);

#endif
