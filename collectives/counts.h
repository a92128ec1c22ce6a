/*
 * How many tokens go to which expert: the load that a placement is made for.
 *
 * Loads are doubles: records of routers give whole numbers (exact up to 2^53, more tokens than any
 * run has), decayed counts, means, shares and predictions do not.
 *
 * Layers are numbered 0 to nlayers - 1 in the model's order, mixture-of-experts layers only; what
 * the model itself calls them is for the readers of files. A token that goes to k experts of a
 * layer counts k times there, once for each.
 *
 * The objects own their arrays, from create until destroy; whoever has one may write to it. Nothing
 * here has state of its own: different objects may be used by different threads.
 */
#ifndef LINA_COLLECTIVES_COUNTS_H
#define LINA_COLLECTIVES_COUNTS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Largest numbers of layers and experts anywhere in the planner and in its files. */
enum { LINA_LAYERS_MAX = 4096, LINA_EXPERTS_MAX = 16384 };

/* Largest count in a file, and largest load that is planned with, which may be a sum of many: what
 * is computed of them stays finite. */
#define LINA_TOKENS_MAX 0x1p53
#define LINA_LOAD_MAX   0x1p100

struct lina_counts {
	int nlayers, nexperts;
	double *tokens; /* [nlayers][nexperts], 0 to LINA_LOAD_MAX */
};

/* What goes from the experts of a layer to those of the next one: tokens[pair][from][to], where
 * pair p lies between layers p and p + 1. Joint counts: the sum over a pair is the number of tokens
 * times the number of pairs of experts that each counts for. */
struct lina_transitions {
	int npairs; /* one less than the layers, at least 1 */
	int nexperts;
	double *tokens; /* [npairs][nexperts][nexperts], finite and >= 0 */
};

/* All 0. -EINVAL: a number below 1 or above its maximum; -ENOMEM. */
int lina_counts_create(int nlayers, int nexperts, struct lina_counts **counts_p);
/* NULL is allowed, in each destroy of this part. */
void lina_counts_destroy(struct lina_counts *counts);
int lina_transitions_create(int npairs, int nexperts, struct lina_transitions **transitions_p);
void lina_transitions_destroy(struct lina_transitions *transitions);

/* The loads [nexperts] of one layer; of one pair [nexperts][nexperts]. */
static inline double *lina_counts_layer(const struct lina_counts *counts, int layer)
{
	return counts->tokens + (size_t)layer * (size_t)counts->nexperts;
}
static inline double *lina_transitions_pair(const struct lina_transitions *transitions, int pair)
{
	size_t n = (size_t)transitions->nexperts;

	return transitions->tokens + (size_t)pair * n * n;
}

/* Sum of a layer's loads. */
double lina_counts_sum(const struct lina_counts *counts, int layer);

/* sum += weight * counts, for loads mixed from several sources or that fade. -EINVAL: the two
 * differ in shape. */
int lina_counts_add(struct lina_counts *sum, const struct lina_counts *counts, double weight);

/* -EINVAL: some load is negative, above LINA_LOAD_MAX or no number; where says which (its index).
 */
int lina_counts_check(const struct lina_counts *counts, size_t *where_p);

/* The loads that transitions imply: layer p has the sums over to, the last layer those over from.
 * Layers between two pairs take them from the pair that follows. -ENOMEM. */
int lina_transitions_counts(
	const struct lina_transitions *transitions, struct lina_counts **counts_p);

#ifdef __cplusplus
}
#endif
#endif
