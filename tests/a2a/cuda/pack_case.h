/* Random rows for packing, and what the processor's packing makes of them. */
#ifndef LINA_TESTS_A2A_CUDA_PACK_CASE_H
#define LINA_TESTS_A2A_CUDA_PACK_CASE_H

#include "collectives/a2a_kernel.h"

enum {
	PACK_CASE_ROWS = 24,
	PACK_CASE_TERMS = 100,
	PACK_CASE_BYTES = 40000,
	PACK_CASE_NELEMENTS = LINA_ELEMENT_OTHER
};

/* All memory in one piece, so that it can be copied to a device and back. */
struct pack_case {
	_Alignas(16) char src[PACK_CASE_BYTES];
	_Alignas(16) char dst[PACK_CASE_BYTES];
	uint32_t n, to[PACK_CASE_ROWS], row[PACK_CASE_TERMS], begin[PACK_CASE_ROWS + 1];
	float weight[PACK_CASE_TERMS];
	enum lina_element element;
	size_t width, row_bytes; /* of the element's type; a gather's rows are as long */
	size_t at;               /* where rows begin in src and dst */
};

/* A width that vectors divide, or not. No NaN: its bits depend on the machine. */
void pack_case_make(struct pack_case *c, uint64_t *random);

/* Arguments that point into this memory, which is laid out as *c. */
struct lina_gather pack_case_gather(const struct pack_case *c, struct pack_case *memory);
struct lina_sum pack_case_sum(const struct pack_case *c, struct pack_case *memory);
struct lina_add pack_case_add(const struct pack_case *c, struct pack_case *memory);

/* What dst must be afterwards, by a2a_pack.h: copies of c with it. */
void pack_case_gathered(const struct pack_case *c, struct pack_case *out_p);
void pack_case_summed(const struct pack_case *c, struct pack_case *out_p);
void pack_case_added(const struct pack_case *c, struct pack_case *out_p);

#endif
