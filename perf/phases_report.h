/* What bench_phases has found out, as text. */
#ifndef LINA_PERF_PHASES_REPORT_H
#define LINA_PERF_PHASES_REPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "collectives/lina_sched.h"

enum phases_method {
	PHASES_UNIFORM, /* experts in order, no replicas */
	PHASES_ORACLE,  /* placed for the real counts, beforehand */
	PHASES_TWO,     /* for the estimate, and again where it misses */
	PHASES_LATE,    /* for the real counts, when the gate has chosen */
	PHASES_NMETHODS
};

/* A layer of a batch. */
struct phases_point {
	int layer;
	bool hit;
	double skew; /* tokens of the busiest expert over the mean */
	double time_ms[PHASES_NMETHODS];
	double busiest[PHASES_NMETHODS]; /* choices of the busiest device by the table; 0: uniform
					  */
	/* Of two phases: placing for the estimate, which is not in the time; counts of all ranks;
	 * comparing, and placing again; experts and table. */
	double expect_us, check_us, plan_us, fetch_us;
};

double phases_skew(const double *load, int nexperts);

/* points [n], n > 0. */
void phases_report(
	const struct phases_point *points, size_t n, const struct lina_sched_stats *stats);

#endif
