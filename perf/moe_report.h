/* What the steps of moe_step took, as a table for people and as files for plots. */
#ifndef LINA_PERF_MOE_REPORT_H
#define LINA_PERF_MOE_REPORT_H

#include "perf/moe_workload.h"

#include <stdint.h>

enum { MOE_NETS_MAX = 4 };

struct moe_report;

/* Results of `repeats` steps on each of nnets networks. What is passed must outlive the report. */
struct moe_report *moe_report_open(const struct job *job, const struct moe_model *model,
	const char *const *nets, int nnets, int repeats);

/* Adds one step: its time on the slowest rank, all its all-to-alls (moe_nalltoalls for each rank)
 * and this rank's spans. All are copied. */
void moe_report_add(struct moe_report *report, int net, int repeat, double step_ms,
	const struct moe_alltoall *alltoalls, const struct moe_span *spans);

/* Prints the table. rate_mbps: of each link in one direction, 0 where it is not limited. */
void moe_report_print(const struct moe_report *report, uint32_t rate_mbps);

/* Writes path.tsv (the table), path.steps.tsv (every step) and path.spans.tsv (this rank's spans
 * in each network's median step). */
void moe_report_write(const struct moe_report *report, const char *path);

void moe_report_close(struct moe_report *report);

#endif
