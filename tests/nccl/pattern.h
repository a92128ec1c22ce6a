/*
 * The inputs of every rank and what must come of them, as tables: element i of a rank's input is
 * entry i % PATTERN_PERIOD of its table. Whole buffers are filled and compared at memory speed that
 * way, and still each element is. The period is a prime, so that no block, chunk or slice of NCCL's
 * is a multiple of it: an element that comes from a wrong place has a wrong value.
 */
#ifndef LINA_TESTS_NCCL_PATTERN_H
#define LINA_TESTS_NCCL_PATTERN_H

#include "value.h"

enum { PATTERN_PERIOD = 10007, PATTERN_RANKS_MAX = 64 };

struct pattern {
	const struct value_type *type;
	enum value_op op;
	int nranks;
	void *input[PATTERN_RANKS_MAX]; /* by rank */
	void *reduced;                  /* NULL for OP_NONE */
	double *bound;                  /* by entry of reduced; NULL: all 0 */
};

/* Ends the process when there is no memory. The same arguments make the same pattern everywhere. */
struct pattern *pattern_create(
	const struct value_type *type, enum value_op op, int nranks, uint64_t seed);
void pattern_destroy(struct pattern *pattern);

/* Writes count elements of a table, from its element `first` on, to `at`. */
void pattern_put(
	const struct pattern *pattern, const void *table, size_t first, size_t count, void *at);

/* The index of the first element of `got` that differs from `want` by more than the bound of entry
 * (first + index) % PATTERN_PERIOD, or count if there is none. bound NULL: equal bits alone will
 * do. */
size_t pattern_compare(const struct pattern *pattern, const double *bound, size_t first,
	const void *got, const void *want, size_t count);

#endif
