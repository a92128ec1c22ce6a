/*
 * Records of routing added up: loads, and transitions between layers that follow one another.
 *
 * Of a token that goes to k experts of a layer each counts once. Its transitions are all pairs of
 * one of its experts and one of the k' at the next layer of its record, 1/k' for each, so that the
 * transitions that begin at an expert have the sum of its load (and with k = k' those that end
 * there as well).
 *
 * Memory: 24 bytes for each layer and expert, the numbers of both as large as the largest that
 * came; with transitions 8 bytes for each pair of experts of each pair of layers.
 */
#ifndef LINA_COLLECTIVES_RECORDS_TALLY_H
#define LINA_COLLECTIVES_RECORDS_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#include "collectives/counts.h"
#include "collectives/records/records.h"

struct lina_tally;

/* -ENOMEM. */
int lina_tally_create(bool transitions, struct lina_tally **tally_p);
/* NULL is allowed. */
void lina_tally_destroy(struct lina_tally *tally);

/* -ENOMEM; -EDOM, and nothing is added: a transition skips a layer that others do not, so that
 * there is no order of layers in which all go from one to the next. */
int lina_tally_add(struct lina_tally *tally, const struct lina_record *record);

/* Forgets the loads and transitions, not which layers and experts there are. */
void lina_tally_clear(struct lina_tally *tally);

/* How many layers have come, and their numbers [LINA_LAYERS_MAX at most], ascending, to layers,
 * which may be NULL. */
int lina_tally_layers(const struct lina_tally *tally, int *layers);

/* The loads: layer i has number layers[i] above. nexperts: at least so many experts, for those that
 * no token went to; 0. -ENODATA: nothing was added; -ENOMEM. */
int lina_tally_counts(const struct lina_tally *tally, int nexperts, struct lina_counts **counts_p);

/* The transitions, of the same layers. -ENODATA: there are none; -EDOM: see above; -ENOMEM. */
int lina_tally_transitions(
	const struct lina_tally *tally, int nexperts, struct lina_transitions **transitions_p);

#endif
