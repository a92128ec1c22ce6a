/* What bench_mix found, as a table for people and as files for programs. */
#ifndef LINA_PERF_MIX_REPORT_H
#define LINA_PERF_MIX_REPORT_H

#include "perf/mix_figures.h"

#include <stdint.h>

enum { MIX_NETS_MAX = 8 };

/* What was asked for; the report says it beside the results. */
struct mix_case {
	const char *const *nets;
	int nnets, reference; /* the network that the rate of the allreduce is compared with */
	int nranks, per_host, rounds;
	uint64_t peer_bytes, allreduce_bytes;
	const char *shape;  /* "even", "uneven" */
	uint32_t rate_mbps; /* of each link in one direction, 0: not limited */
	struct mix_setting setting;
};

/* Prints the table. samples: of each network. */
void mix_report_print(const struct mix_case *c, const struct mix_samples *samples);

/* Writes path.tsv (one line a network) and path.samples.tsv (one a sample). */
void mix_report_write(
	const struct mix_case *c, const struct mix_samples *samples, const char *path);

#endif
