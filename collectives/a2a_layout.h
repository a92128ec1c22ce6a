/*
 * What one device sends at one layer: which rows to which device, in what order, and how they are
 * summed when they come back.
 *
 * A pair is a token and one of its k choices. Its replica is one of its expert's ways
 * (a2a_route.h), as many pairs to each as the route's parts say; the nearest come first. Pairs are
 * grouped by device, then by slot of that device, then in the order of tokens. A row is what is
 * sent: a token's values once for each pair, or, without duplicates, once for each device that it
 * goes to. Equal input gives an equal layout.
 *
 * Pure: no state but the layout's own, which one thread at a time may use. It is made once for the
 * largest call and used again for each; nothing is allocated after that.
 */
#ifndef LINA_COLLECTIVES_A2A_LAYOUT_H
#define LINA_COLLECTIVES_A2A_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/a2a_pack.h"
#include "collectives/a2a_route.h"

struct lina_layout_shape {
	size_t max_tokens; /* max_tokens * max_choices < 2^32 - 1 */
	int max_choices;   /* k */
	int nexperts, ndevices, slots_per_device;
};

/* As it travels to the device that has the expert. */
struct lina_pair {
	uint32_t row; /* counted from the first row of its source for its destination */
	float weight;
};

struct lina_layout {
	struct lina_layout_shape shape;
	size_t ntokens, npairs, nrows;
	uint64_t ndropped; /* pairs that a capacity left out */
	/* Of the rows and pairs to device d: begin[d] to begin[d + 1] - 1. [ndevices + 1] */
	uint32_t *row_begin, *pair_begin;
	uint32_t *slot_pairs;   /* [ndevices][slots_per_device] */
	uint32_t *row_token;    /* [nrows] whose values a row has */
	struct lina_pair *pair; /* [npairs] */
	/* Token t's result is the sum over i from term_begin[t] to term_begin[t + 1] - 1 of
	 * term_weight[i] times what comes back for row term_row[i]. In the order of its choices.
	 * Without duplicates there is one for each device, which sends the weighted sum of its own:
	 * of weight 1, in the order in which the choices first come to the devices. */
	uint32_t *term_begin; /* [ntokens + 1] */
	uint32_t *term_row;
	float *term_weight;
	struct lina_layout_work *work;
};

struct lina_layout_in {
	const struct lina_route *route; /* of the layout's shape */
	const int32_t *experts;         /* [ntokens][nchoices] */
	const float *weights;           /* [ntokens][nchoices]; NULL: all 1 */
	size_t ntokens;
	int nchoices;
	bool dedup; /* a token's values go once to a device, whatever number of its experts is there
		     */
	uint32_t capacity; /* pairs of one expert that this device may send; 0: any. The first stay
			    */
	uint32_t bound;    /* rows that may go to one device; 0: any number */
};

/* Why a layout cannot be made. */
struct lina_layout_fault {
	enum { LINA_LAYOUT_EXPERT, LINA_LAYOUT_SIZE, LINA_LAYOUT_BOUND } kind;
	size_t token; /* EXPERT: its choice is no expert */
	int choice;
	int32_t expert;
	int device; /* BOUND: to which more rows would go */
	uint32_t nrows;
};

/* -EINVAL: a number below 1, or pairs that 32 bits do not count; -ENOMEM. */
int lina_layout_create(const struct lina_layout_shape *shape, struct lina_layout **layout_p);
void lina_layout_destroy(struct lina_layout *layout);

/* Makes the layout of one call, valid until the next. -EINVAL: *fault_p says why (an expert that
 * there is not, more tokens or choices than the shape has); -EOVERFLOW: more rows to a device than
 * the bound. The layout then sends nothing: it has no tokens. */
int lina_layout_build(struct lina_layout *layout, const struct lina_layout_in *in,
	struct lina_layout_fault *fault_p);

/* No tokens, nothing to send. */
void lina_layout_clear(struct lina_layout *layout);

/* A device's local slot of a slot of the layer. */
static inline int lina_layout_local_slot(const struct lina_layout *layout, int slot)
{
	return slot % layout->shape.slots_per_device;
}

#endif
