/* What bench_a2a found, as a table for people and as files for programs. */
#ifndef LINA_PERF_A2A_REPORT_H
#define LINA_PERF_A2A_REPORT_H

#include <stddef.h>
#include <stdint.h>

enum { A2A_METHODS_MAX = 10, A2A_LAYERS_MAX = 16 };

/* One dispatch and combine on one rank; numbers as doubles, since spans of all ranks are gathered
 * as such. */
struct a2a_span {
	double method, layer;
	double start_us, end_us; /* CLOCK_MONOTONIC, one machine */
};

struct a2a_case {
	const char *name[A2A_METHODS_MAX]; /* the first is what others are compared with, and the
					    * second */
	double rows_sent[A2A_METHODS_MAX]; /* of rank 0 in a call, 0: not counted */
	int nmethods, nlayers, nranks, rounds, choices, spare;
	int layer[A2A_LAYERS_MAX];
	double skew[A2A_LAYERS_MAX];
	size_t tokens, hidden;
	uint32_t rate_mbps;
	const char *what;
};

/* spans: of each rank in turn, n of each. */
void a2a_report_print(const struct a2a_case *c, const struct a2a_span *spans, size_t n);
void a2a_report_write(
	const struct a2a_case *c, const struct a2a_span *spans, size_t n, const char *path);

#endif
