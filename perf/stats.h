/* Order statistics of samples. Pure: any thread, no state. */
#ifndef LINA_PERF_STATS_H
#define LINA_PERF_STATS_H

#include <stddef.h>

/* Sorts in place, ascending. */
void stats_sort(double *values, size_t n);

/* The q-quantile, 0 <= q <= 1, of n > 0 sorted values, interpolated linearly between neighbours
 * (Hyndman and Fan 1996, type 7). */
double stats_quantile(const double *sorted, size_t n, double q);

/* above[i] / below[i] of n pairs, sorted, in ratios_p. */
void stats_ratios(const double *above, const double *below, size_t n, double *ratios_p);

/* The geometric mean of n > 0 values, each > 0. */
double stats_geomean(const double *values, size_t n);

#endif
