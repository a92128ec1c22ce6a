/*
 * What one device receives at one layer: how the rows of all sources are brought into the order of
 * its experts, and the experts' results back into rows.
 *
 * The rows of a source lie one after the other from its base on, in its order (a2a_layout.h). What
 * the experts see has one row for each pair, grouped by local slot, in each by source in ascending
 * order, and in each of these in the source's order.
 *
 * Pure, as a2a_layout.h. Sources are other processes of the job: what they say is checked.
 */
#ifndef LINA_COLLECTIVES_A2A_ARRIVE_H
#define LINA_COLLECTIVES_A2A_ARRIVE_H

#include "collectives/a2a_layout.h"

/* What one source sends. */
struct lina_parcel {
	uint32_t nrows;
	uint32_t base;                /* of its rows; rows of different sources do not overlap */
	const uint32_t *slot_pairs;   /* [slots_per_device] */
	const struct lina_pair *pair; /* [sum of slot_pairs], grouped by slot. NULL: a row for each
				       * pair, in this order */
};

struct lina_arrival {
	int nsources, nslots;
	size_t npairs, nrows, max_pairs, max_rows; /* rows up to the end of the last source */
	uint32_t *slot_next;
	uint32_t *slot_begin; /* [nslots + 1]: the pairs of local slot s, s to s + 1 */
	uint32_t *pair_row;   /* [npairs] row (base included) whose values a pair has */
	/* Row r goes back as the sum over i from term_begin[r] to term_begin[r + 1] - 1 of
	 * term_weight[i] times the result of pair term_pair[i]; in the order of slots. */
	uint32_t *term_begin; /* [nrows + 1] */
	uint32_t *term_pair;
	float *term_weight;
};

int lina_arrival_create(int nsources, int nslots, struct lina_arrival **arrival_p);
void lina_arrival_destroy(struct lina_arrival *arrival);

/* Makes room for so many pairs and rows (bases included), where there is less. -ENOMEM: nothing
 * changed. */
int lina_arrival_reserve(struct lina_arrival *arrival, size_t npairs, size_t nrows);

/* parcel: [nsources]. -ENOSPC: more than there is room for; -EPROTO: a pair of a row that is not of
 * its source, or not as many rows as pairs where they are the same. *source_p has the source. */
int lina_arrival_build(
	struct lina_arrival *arrival, const struct lina_parcel *parcel, int *source_p);

#endif
