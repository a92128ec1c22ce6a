/* What bench_coll found, as a table for people and as files for programs. */
#ifndef LINA_PERF_BENCH_REPORT_H
#define LINA_PERF_BENCH_REPORT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { BENCH_NETS_MAX = 4, BENCH_ROUNDS_MAX = 999 };

/* One operation of one size on every network. */
struct bench_row {
	const char *op;
	uint64_t size_bytes;
	double link_bytes; /* that the busiest rank sends over its link */
	int iters;         /* operations in one sample */
	int nrounds;
	/* Time of one operation, the slowest rank's, in the order of measurement. */
	double time_us[BENCH_NETS_MAX][BENCH_ROUNDS_MAX];
	/* What one operation takes of the processors, all ranks together. */
	double cpu_us[BENCH_NETS_MAX][BENCH_ROUNDS_MAX];
};

struct bench_report;

/* `nets`: names of the nnets networks; the first is what the others are compared with. rate_mbps:
 * of each link in one direction, 0 where it is not limited. path: where `path`.tsv (one line per
 * operation, size and network) and `path`.samples.tsv (one per sample) go; NULL: no files. */
struct bench_report *bench_report_open(const char *title, const char *const *nets, int nnets,
	uint32_t rate_mbps, const char *path);

/* Prints one row, at once, and keeps its ratios. */
void bench_report_add(struct bench_report *report, const struct bench_row *row);

/* Prints the geometric means and closes the files. */
void bench_report_close(struct bench_report *report);

#endif
