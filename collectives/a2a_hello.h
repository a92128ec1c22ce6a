/*
 * What a rank tells each other before tokens move: how many come, and what the ranks must agree on.
 * Pure. Ranks of a job run one build on machines of one kind, so that it travels as it lies in
 * memory; a rank that differs is found by the first word.
 */
#ifndef LINA_COLLECTIVES_A2A_HELLO_H
#define LINA_COLLECTIVES_A2A_HELLO_H

#include "collectives/a2a_arrive.h"

#define LINA_HELLO_MAGIC UINT64_C(0x3161326e696c0100) /* "lina2a1", and the order of bytes */

struct lina_hello {
	uint64_t magic;
	uint64_t table;      /* id of the table that the sender follows (a2a_table.h) */
	uint64_t next_table; /* that it has read since; 0: none */
	int32_t err;         /* 0, or why the sender sends nothing */
	int32_t layer;
	uint32_t nrows, npairs;
	uint32_t slot_pairs[]; /* [slots_per_device] of the receiver; npairs is their sum */
};

/* Bytes of one, a multiple of 8. */
size_t lina_hello_bytes(int slots_per_device);

/* The hello of rank r in a row of them. */
static inline struct lina_hello *lina_hello_at(void *row, int slots_per_device, int r)
{
	return (struct lina_hello *)((char *)row + (size_t)r * lina_hello_bytes(slots_per_device));
}

/* What all ranks have agreed on before they meet. */
struct lina_hello_shape {
	int nranks, own, nslots;      /* own: this rank; nslots: of each device */
	uint32_t max_rows, max_pairs; /* that a rank sends to one other */
	bool spread; /* rows of rank r lie from r * max_rows on; else one rank's after the other's
		      */
};

/* What the hellos of all ranks, this one's own among them, say of the call. 0: all send; else the
 * error of this rank and who it is because of (*rank_p):
 *   its own error         where own has one
 *   -EPROTO               a hello that is none, whose sums are wrong, of more than may come, or of
 *                         another layer
 *   -ESTALE               another table
 *   -ECANCELED            that rank refuses the call
 * Where one rank comes to 0, all do, since what is compared must be equal on all. */
int lina_hello_check(const void *row, const struct lina_hello_shape *shape, int *rank_p);

/* Of hellos that were found right: what comes from each rank, but for its pairs (NULL), in
 * parcel_p [nranks], which refers to the hellos; and slot_begin_p [nslots + 1], the pairs of each
 * slot. -EOVERFLOW: more pairs, or rows, than 32 bits count. */
int lina_hello_read(const void *row, const struct lina_hello_shape *shape,
	struct lina_parcel *parcel_p, uint32_t *slot_begin_p);

#endif
