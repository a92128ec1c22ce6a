/*
 * What a rank tells each other before tokens move: how many come, and what the ranks must agree on.
 * Pure. Ranks of a job run one build on machines of one kind, so that it travels as it lies in
 * memory; a rank that differs is found by the first word.
 */
#ifndef LINA_COLLECTIVES_A2A_HELLO_H
#define LINA_COLLECTIVES_A2A_HELLO_H

#include <stddef.h>
#include <stdint.h>

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

/* What the hellos of all ranks, this one's own among them, say of the call. 0: all send; else the
 * error of this rank and who it is because of (*rank_p):
 *   its own error         where own has one
 *   -EPROTO               a hello that is none, whose sums are wrong, or of another layer
 *   -ESTALE               another table
 *   -ECANCELED            that rank refuses the call
 * Where one rank comes to 0, all do, since what is compared must be equal on all. */
int lina_hello_check(const void *row, int slots_per_device, int nranks, int own, int *rank_p);

#endif
