/* Routing for bench_a2a: how often each expert is chosen, from a file or made up, and tokens drawn
 * from that. */
#ifndef LINA_PERF_A2A_COUNTS_H
#define LINA_PERF_A2A_COUNTS_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/counts.h"

/* Reads a CSV file with a header: a column layer or layer_slot, a column expert, and a column of
 * counts, the first after these. With a task, only lines whose first column is it. Layers are
 * numbered in the order in which they come. Ends the program where the file is not so. */
struct lina_counts *a2a_counts_read(const char *path, const char *task);

/* Expert of rank i in popularity: 1 / (i + 1)^exponent (Zipf), in another order in each layer. */
struct lina_counts *a2a_counts_zipf(int nlayers, int nexperts, double exponent);

/* The largest over the mean. */
double a2a_counts_skew(const struct lina_counts *counts, int layer);

/* Experts [n][k] of n tokens, each with k different ones, drawn one after the other in proportion
 * to counts; weights [n][k] with a sum of 1 for each token. */
void a2a_counts_draw(const struct lina_counts *counts, int layer, uint64_t seed, size_t n, int k,
	int32_t *experts_p, float *weights_p);

#endif
