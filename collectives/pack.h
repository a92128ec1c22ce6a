/*
 * Lina's expert packing (USENIX ATC 2023, section 4): while the experts of a micro-batch take less
 * time than the all-to-all that feeds them, the number of experts on each device is doubled; the
 * all-to-all then stays within fewer devices, and more of it within a node. First decision after 10
 * steps, revised every 4.
 *
 * A controller: it is told what each step measured and says how many experts are to be on a device.
 * Pure, constant time; callers serialise.
 */
#ifndef LINA_COLLECTIVES_PACK_H
#define LINA_COLLECTIVES_PACK_H

#include <stdbool.h>

#include "collectives/plan.h"

enum { LINA_PACK_FIRST_STEPS = 10, LINA_PACK_NEXT_STEPS = 4 };

struct lina_pack {
	int nexperts, ndevices;
	int per_device;         /* experts on a device now */
	int steps, due;         /* since the last decision; how many until the next */
	double expert_s, a2a_s; /* sums over those steps */
};

/* Starts with as few experts on a device as hold all of them. -EINVAL: the smaller of the two
 * numbers does not divide the larger, or one is below 1. */
int lina_pack_init(struct lina_pack *pack, int nexperts, int ndevices);

/* A step in which an expert micro-batch took expert_s and an all-to-all micro-op a2a_s, on average.
 * True: per_device has doubled. It goes no further than all experts on each device. */
bool lina_pack_step(struct lina_pack *pack, double expert_s, double a2a_s);

/* How many devices an all-to-all is among: each such group of neighbours has every expert. */
int lina_pack_group(const struct lina_pack *pack);

/* The placement: device d has experts (d mod group) * per_device and the following ones, the same
 * in all layers; replicas share evenly. As lina_plan_create. */
int lina_pack_plan(
	const struct lina_pack *pack, int nlayers, int devices_per_node, struct lina_plan **plan_p);

#endif
