/*
 * Ways to place experts: from loads to a plan. Each is a pure function of its arguments, gives the
 * same plan for the same arguments, and says nothing. Settings begin with defaults
 * (lina_*_settings_default) and are for the caller to change.
 *
 * All return 0 and a plan that lina_plan_check accepts, owned by the caller; -EINVAL where the
 * problem does not fit the method (each says when) or its parts do not fit one another; -ENOMEM.
 * Only where a method says so does it look at transitions, fabric, current or fixed.
 *
 * Plans have generation 0, or one more than that of current; -EOVERFLOW where there is none.
 */
#ifndef LINA_COLLECTIVES_PLACE_H
#define LINA_COLLECTIVES_PLACE_H

#include "collectives/plan_score.h"

/* What is to be placed, on what. Refers to the objects of the caller, who keeps them. */
struct lina_place {
	struct lina_plan_shape shape;
	struct lina_score_input score; /* counts: must be there */
	int ngroups;                   /* of experts, in order; divides nexperts. 1: no groups */
	int max_moves; /* copies per layer against score.current; negative: any number */
	const int
		*fixed; /* [nslots] experts that must be in slots, LINA_SLOT_EMPTY: free; or NULL */
};

/* Experts in order, an even number on each device, without replicas; where there are fewer experts
 * than devices, each is on as many devices as others, to within one. */
int lina_place_uniform(const struct lina_place *place, struct lina_plan **plan_p);

/* EPLB (deepseek-ai/EPLB, as published): extra replicas one by one to the expert with the most
 * load for each replica, replicas heaviest first to the lightest device with room. Where the nodes
 * divide ngroups: groups are packed to nodes first and nodes planned apart; else over all devices
 * at once. Computes in 32 bits and breaks ties by number, as the original does, and fills every
 * slot. -EINVAL: ngroups does not divide nexperts. */
int lina_place_eplb(const struct lina_place *place, struct lina_plan **plan_p);

/* Lina (ATC'23, section 5): n_e = share of the load x devices. Above 1 the expert is replicated,
 * on ceil(n_e) devices where slots allow, else on fewer; below 1 it shares a device. First-fit
 * decreasing to devices of capacity 1, then to the lightest; experts without load go evenly to the
 * devices with the fewest. */
struct lina_proportional_settings {
	int max_per_device; /* experts; more only where experts would find no place. 4 in the paper
			     */
};
struct lina_proportional_settings lina_proportional_settings_default(void);
int lina_place_proportional(const struct lina_place *place,
	const struct lina_proportional_settings *settings, struct lina_plan **plan_p);

/* Hecate (arXiv 2502.02581): algorithm 2 shards the experts of all layers, algorithm 1 materialises
 * copies of the most loaded ones in the slots that are left. */
struct lina_hecate_settings {
	int overlap; /* t: experts that can be moved under other computation; negative: an eighth of
		      * all, but more than m; none where m is 0 */
	int reserve; /* m: spare slots of a device for copies; negative: all that are left */
};
struct lina_hecate_settings lina_hecate_settings_default(void);
int lina_place_hecate(const struct lina_place *place, const struct lina_hecate_settings *settings,
	struct lina_plan **plan_p);

/* Algorithm 1 by itself: how many slots each expert gets beside its own, copies [nexperts], for
 * loads [nexperts]. */
void lina_hecate_copies(
	const double *tokens, int nexperts, int ndevices, int overlap, int reserve, int *copies);

/* What materialising costs: lambda = experts that have copies / experts; SparseAllGather and
 * SparseReduceScatter move 2 lambda S together, S = bytes of all experts of a layer. */
double lina_hecate_volume_bytes(const int *copies, int nexperts, double expert_bytes);

/* Our own: the plan of least total_ns on the common score that a local search finds, beginning with
 * what the other methods make and with the current placement, layer by layer. Needs the fabric. Of
 * all plans it saw it returns the best, so it is never worse than those methods where they keep to
 * fixed, groups and max_moves; lina_plan_bound says what is left.
 *
 * Keeps experts where fixed has them, and those of a group within a node where ngroups > 1. With
 * max_moves >= 0 and a current placement of the same shape, no layer has more copies against it
 * than that. -EINVAL: no fabric; max_moves with a current placement of another shape, or that has
 * not what is fixed; experts cannot all be placed beside what is fixed. */
struct lina_moetuner_settings;
struct lina_best_settings {
	long trials; /* changes tried per layer and starting point, at most */
	/* Begin with MoETuner's plan as well (moetuner.h), where there are transitions; NULL: not.
	 */
	const struct lina_moetuner_settings *moetuner;
	void (*step)(void *of, int done, int all); /* called now and then; may be NULL */
	void *of;
};
struct lina_best_settings lina_best_settings_default(void);
int lina_place_best(const struct lina_place *place, const struct lina_best_settings *settings,
	struct lina_plan **plan_p);

/* --- of one layer: to plan again where counts changed --- */

enum lina_place_method { LINA_PLACE_UNIFORM, LINA_PLACE_EPLB, LINA_PLACE_PROPORTIONAL };

/* Plans some layers of a plan anew, those for which changed [nlayers] is true (all: NULL), and
 * leaves the others. The plan has place's shape; of a failure it keeps the layers before it. */
int lina_place_again(const struct lina_place *place, enum lina_place_method method,
	const bool *changed, struct lina_plan *plan);

#endif
