/*
 * Two-phase scheduling for inference (Lina, ATC'23, section 5): while a layer runs, the next one is
 * placed for the popularity that is expected of its experts, and replicas can be fetched; when its
 * gate has chosen, the placement stays if the experts that are popular are those that were expected
 * to be, and is made anew from the real counts if not.
 *
 * A pure controller: it decides and counts. Where an estimate comes from, how counts of all ranks
 * come together, who moves experts (lina_experts_move) and dispatches (lina_a2a_table_set) is the
 * caller's, and so is time. Given the same loads, all ranks come to the same placement.
 *
 * One thread at a time. -EINVAL, -ENOMEM; -EOVERFLOW: the plan has the last generation there is.
 */
#ifndef LINA_COLLECTIVES_LINA_SCHED_H
#define LINA_COLLECTIVES_LINA_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "collectives/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lina_sched_settings {
	int top;       /* experts that are compared: 2k in the paper */
	bool in_order; /* whether their order must be the same too */
};

struct lina_sched;

/* Begins with a copy of plan, which says what every device has at first; its shape stays. top: 1 to
 * the experts there are. */
int lina_sched_create(const struct lina_plan *plan, const struct lina_sched_settings *settings,
	struct lina_sched **sched_p);
void lina_sched_destroy(struct lina_sched *sched);

/* The placement as it now is, all layers. Changed by the calls below; its generation grows with
 * each change. */
const struct lina_plan *lina_sched_plan(const struct lina_sched *sched);

/* Phase 1, while the layer before runs: load [nexperts], 0 to LINA_LOAD_MAX each, is what is
 * expected of this layer. Places it in proportion to load (lina_place_proportional). */
int lina_sched_expect(struct lina_sched *sched, int layer, const double *load);

/* What a device has to fetch for that: experts [up to slots_per_device] that it has now at this
 * layer and did not have before lina_sched_expect. */
int lina_sched_fetch(
	const struct lina_sched *sched, int layer, int device, int *experts_p, int *n_p);

/* Phase 2, when the gate has chosen: load [nexperts] of all ranks together. 0 in *again_p: the
 * placement stays; 1: it has been made anew, and lina_sched_fetch says what has to be fetched since
 * then. Without an expectation of this layer it is made anew. */
int lina_sched_found(struct lina_sched *sched, int layer, const double *load, bool *again_p);

/* Time that the caller took for a phase. */
enum lina_sched_phase { LINA_SCHED_EXPECT, LINA_SCHED_CHECK, LINA_SCHED_AGAIN, LINA_SCHED_NPHASES };
void lina_sched_took(struct lina_sched *sched, enum lina_sched_phase phase, uint64_t ns);

struct lina_sched_stats {
	uint64_t expected; /* calls of lina_sched_expect */
	uint64_t hits;     /* of lina_sched_found, that kept the placement */
	uint64_t again;    /* that made it anew: hits / (hits + again) is the hit rate */
	uint64_t missed;   /* popular experts that were not expected, over all of these */
	uint64_t fetched;  /* experts that devices had to fetch, in both phases */
	uint64_t ns[LINA_SCHED_NPHASES];
};
void lina_sched_stats(const struct lina_sched *sched, struct lina_sched_stats *stats_p);

#ifdef __cplusplus
}
#endif
#endif
