/* What the steps of moe_step took, as a table for people and as files for plots. */
#ifndef LINA_PERF_MOE_REPORT_H
#define LINA_PERF_MOE_REPORT_H

#include "perf/moe_workload.h"

#include <stdint.h>

enum { MOE_NETS_MAX = 4 };

/* Times of one round on one network, of the slowest rank, in ms: a step, its backward pass, both
 * without gradients, and the allreduce of one bucket with nothing beside it. */
enum moe_time {
	MOE_STEP,
	MOE_BACKWARD,
	MOE_PLAIN_STEP,
	MOE_PLAIN_BACKWARD,
	MOE_BUCKET,
	MOE_NTIMES
};

struct moe_report;

/* Results of `repeats` rounds on each of nnets networks. What is passed must outlive the report. */
struct moe_report *moe_report_open(const struct job *job, const struct moe_model *model,
	const char *const *nets, int nnets, int repeats);

/* Adds one round: its MOE_NTIMES times, and of its step all all-to-alls (moe_nalltoalls for each
 * rank) and this rank's spans. All are copied. */
void moe_report_add(struct moe_report *report, int net, int repeat, const double *times_ms,
	const struct moe_alltoall *alltoalls, const struct moe_span *spans);

/* Prints two tables: steps and their all-to-alls; the backward pass against the same without
 * gradients and one bucket's allreduce after it, which is all that a backward pass with nothing
 * lost would take. rate_mbps: of each link in one direction, 0 where it is not limited. */
void moe_report_print(const struct moe_report *report, uint32_t rate_mbps);

/* Writes path.tsv (the tables), path.steps.tsv (every round) and path.spans.tsv (this rank's spans
 * in each network's median step). */
void moe_report_write(const struct moe_report *report, const char *path);

void moe_report_close(struct moe_report *report);

#endif
