/*
 * A plan: which expert lies in which slot of which device, and what part of its tokens each replica
 * serves. What lina-plan makes, what the placement table (plan_io.h) holds, what the all-to-all
 * follows.
 *
 * Every device has the same number of slots in every layer, and every node the same number of
 * devices: slot s is on device s / slots_per_device, device d on node d / devices_per_node. A slot
 * holds one expert (its number in the layer) or none. An expert is in one slot at least; in each
 * further one it has a replica. Two replicas of an expert may share a device (EPLB makes such
 * plans). Shares say how the tokens of an expert divide among its replicas; by default evenly.
 *
 * Needs libc alone. A plan owns its arrays, from create until destroy; whoever has one may write to
 * it. No state: different objects may be used by different threads, one that nobody writes to by
 * all.
 */
#ifndef LINA_COLLECTIVES_PLAN_H
#define LINA_COLLECTIVES_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/counts.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { LINA_DEVICES_MAX = 65536, LINA_SLOTS_PER_DEVICE_MAX = 4096 };

struct lina_plan_shape {
	int nlayers, nexperts;
	int ndevices;
	int devices_per_node; /* divides ndevices */
	int slots_per_device; /* ndevices * slots_per_device >= nexperts */
};

enum { LINA_SLOT_EMPTY = -1 };

struct lina_plan {
	struct lina_plan_shape shape;
	uint64_t generation; /* of the tables of a job: a later one has a larger number */
	int *expert;         /* [nlayers][nslots], LINA_SLOT_EMPTY or 0 to nexperts - 1 */
	double *share;       /* [nlayers][nslots], of the expert's tokens; 0 in an empty slot */
};

/* Slots of a layer, all devices together. */
static inline int lina_plan_nslots(const struct lina_plan_shape *shape)
{
	return shape->ndevices * shape->slots_per_device;
}
static inline int lina_plan_device_of(const struct lina_plan_shape *shape, int slot)
{
	return slot / shape->slots_per_device;
}
static inline int lina_plan_node_of(const struct lina_plan_shape *shape, int device)
{
	return device / shape->devices_per_node;
}
static inline int lina_plan_nnodes(const struct lina_plan_shape *shape)
{
	return shape->ndevices / shape->devices_per_node;
}
/* Experts and shares [nslots] of one layer. */
static inline int *lina_plan_experts(const struct lina_plan *plan, int layer)
{
	return plan->expert + (size_t)layer * (size_t)lina_plan_nslots(&plan->shape);
}
static inline double *lina_plan_shares(const struct lina_plan *plan, int layer)
{
	return plan->share + (size_t)layer * (size_t)lina_plan_nslots(&plan->shape);
}

/* All slots empty, generation 0. -EINVAL: a shape that cannot be, or beyond the limits; -ENOMEM. */
int lina_plan_create(const struct lina_plan_shape *shape, struct lina_plan **plan_p);
void lina_plan_destroy(struct lina_plan *plan);
int lina_plan_copy(const struct lina_plan *plan, struct lina_plan **copy_p);

/* -EINVAL: as for lina_plan_create. */
int lina_plan_shape_check(const struct lina_plan_shape *shape);

/* Gives every replica of a layer the same share of its expert: 1 / n, the nearest double. */
void lina_plan_share_evenly(struct lina_plan *plan, int layer);

/* What is wrong with a plan. */
struct lina_plan_fault {
	int layer, slot; /* slot -1: of no slot in particular */
	char text[120];  /* "expert 3 has no slot", ... */
};

enum { LINA_SHARE_PPM = 1 }; /* how far shares of an expert may be from a sum of 1, in millionths */

/* 0: experts are in range, each has a slot in each layer, shares are not negative (nor larger than
 * 1), those of each expert have a sum of 1, and empty slots have none. -EINVAL: *fault_p has the
 * first that is not so. -ENOMEM. */
int lina_plan_check(const struct lina_plan *plan, struct lina_plan_fault *fault_p);

/* The other way round: the slots of each expert, in ascending order. Those of expert e at layer l
 * are slot[first[i]] to slot[first[i + 1] - 1] with i = l * nexperts + e; slots count from 0 in
 * each layer. */
struct lina_replicas {
	int nlayers, nexperts;
	int *first; /* [nlayers * nexperts + 1] */
	int *slot;  /* [first[nlayers * nexperts]] */
};

/* Of a plan that lina_plan_check accepts. The result refers to nothing of it. -ENOMEM. */
int lina_replicas_create(const struct lina_plan *plan, struct lina_replicas **replicas_p);
void lina_replicas_destroy(struct lina_replicas *replicas);

/* Whether an expert is in one of n slots. */
bool lina_plan_has(const int *experts, int n, int expert);

/* How many experts have to be copied to some device, at one layer, for plan to follow before:
 * those that a device has and had not. -EINVAL: the two differ in experts, devices or layers. */
int lina_plan_moves(
	const struct lina_plan *before, const struct lina_plan *plan, int layer, int *moves_p);

#ifdef __cplusplus
}
#endif
#endif
