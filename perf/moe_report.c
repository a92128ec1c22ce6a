#include "perf/moe_report.h"

#include "collectives/cost.h"
#include "perf/result_file.h"
#include "perf/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step_result {
	double step_ms;
	struct moe_alltoall *alltoalls;
	struct moe_span *spans;
};

struct moe_report {
	const struct job *job;
	const struct moe_model *model;
	const char *const *nets;
	int nnets, repeats;
	struct step_result *result[MOE_NETS_MAX]; /* [repeats] each */
};

/* Of one network. */
struct figures {
	double step_p10_ms, step_ms, step_p90_ms;
	/* Of one all-to-all while no allreduce runs, and while one runs for most of it. */
	double alone_ms, beside_ms, beside_p95_ms;
	double beside_share; /* of all all-to-alls */
};

static void *alloc(size_t n, size_t size)
{
	void *memory = calloc(n, size);

	if (memory == NULL)
		die("no memory for %zu results", n);
	return memory;
}

struct moe_report *moe_report_open(const struct job *job, const struct moe_model *model,
	const char *const *nets, int nnets, int repeats)
{
	struct moe_report *report = alloc(1, sizeof(*report));

	report->job = job;
	report->model = model;
	report->nets = nets;
	report->nnets = nnets;
	report->repeats = repeats;
	for (int net = 0; net < nnets; net++)
		report->result[net] = alloc((size_t)repeats, sizeof(*report->result[net]));
	return report;
}

void moe_report_close(struct moe_report *report)
{
	for (int net = 0; net < report->nnets; net++) {
		for (int i = 0; i < report->repeats; i++) {
			free(report->result[net][i].alltoalls);
			free(report->result[net][i].spans);
		}
		free(report->result[net]);
	}
	free(report);
}

void moe_report_add(struct moe_report *report, int net, int repeat, double step_ms,
	const struct moe_alltoall *alltoalls, const struct moe_span *spans)
{
	struct step_result *result = &report->result[net][repeat];
	size_t nalltoalls = (size_t)moe_nalltoalls(report->model) * (size_t)report->job->nranks;
	size_t nspans = (size_t)moe_nspans(report->model);

	result->step_ms = step_ms;
	result->alltoalls = alloc(nalltoalls, sizeof(*alltoalls));
	memcpy(result->alltoalls, alltoalls, nalltoalls * sizeof(*alltoalls));
	result->spans = alloc(nspans, sizeof(*spans));
	memcpy(result->spans, spans, nspans * sizeof(*spans));
}

/* ---- figures --------------------------------------------------------------------------------- */

static double *sorted_steps(const struct moe_report *report, int net)
{
	size_t n = (size_t)report->repeats;
	double *sorted = alloc(n, sizeof(*sorted));

	for (size_t i = 0; i < n; i++)
		sorted[i] = report->result[net][i].step_ms;
	stats_sort(sorted, n);
	return sorted;
}

static bool runs_alone(const struct moe_alltoall *alltoall)
{
	return alltoall->beside_ms == 0;
}

static bool runs_beside(const struct moe_alltoall *alltoall)
{
	return alltoall->beside_ms > alltoall->time_ms / 2;
}

/* The all-to-alls that are `chosen`, of all ranks and repeats, sorted; *n_p of *all_p. */
static double *sorted_alltoalls(const struct moe_report *report, int net,
	bool (*chosen)(const struct moe_alltoall *), size_t *n_p, size_t *all_p)
{
	size_t per_step = (size_t)moe_nalltoalls(report->model) * (size_t)report->job->nranks,
	       n = 0;
	double *sorted = alloc((size_t)report->repeats * per_step, sizeof(*sorted));

	for (int i = 0; i < report->repeats; i++)
		for (size_t k = 0; k < per_step; k++)
			if (chosen(&report->result[net][i].alltoalls[k]))
				sorted[n++] = report->result[net][i].alltoalls[k].time_ms;
	stats_sort(sorted, n);
	*n_p = n;
	*all_p = (size_t)report->repeats * per_step;
	return sorted;
}

static double quantile_or_nan(const double *sorted, size_t n, double q)
{
	return n > 0 ? stats_quantile(sorted, n, q) : (double)NAN;
}

static struct figures figure(const struct moe_report *report, int net)
{
	struct figures f;
	size_t n = (size_t)report->repeats, nall;

	double *sorted = sorted_steps(report, net);
	f.step_p10_ms = stats_quantile(sorted, n, 0.1);
	f.step_ms = stats_quantile(sorted, n, 0.5);
	f.step_p90_ms = stats_quantile(sorted, n, 0.9);
	free(sorted);
	sorted = sorted_alltoalls(report, net, runs_alone, &n, &nall);
	f.alone_ms = quantile_or_nan(sorted, n, 0.5);
	free(sorted);
	sorted = sorted_alltoalls(report, net, runs_beside, &n, &nall);
	f.beside_ms = quantile_or_nan(sorted, n, 0.5);
	f.beside_p95_ms = quantile_or_nan(sorted, n, 0.95);
	f.beside_share = (double)n / (double)nall;
	free(sorted);
	return f;
}

/* Of one all-to-all, at the link's rate. */
static double alltoall_line_ms(const struct moe_report *report, uint32_t rate_mbps)
{
	int nranks = report->job->nranks;
	uint64_t size_bytes = report->model->peer_bytes * (uint64_t)nranks;

	return lina_cost_line_time_ns(LINA_COLL_ALLTOALL, nranks, size_bytes, rate_mbps) / 1e6;
}

/* The step with every all-to-all at line rate and every allreduce hidden: 3 times the forward
 * compute, since backward takes twice as long. */
static double step_line_ms(const struct moe_report *report, uint32_t rate_mbps)
{
	const struct moe_model *model = report->model;

	return 3 * model->nlayers * (model->attention_ms + model->experts_ms) +
	       moe_nalltoalls(model) * alltoall_line_ms(report, rate_mbps);
}

/* ---- output ---------------------------------------------------------------------------------- */

void moe_report_print(const struct moe_report *report, uint32_t rate_mbps)
{
	double first_ms = 0, line_ms = alltoall_line_ms(report, rate_mbps);

	printf("%-12s %28s %8s   all-to-all, ms: median %27s\n", "", "step, ms", "", "");
	printf("%-12s %28s %8s %8s %16s %8s %9s %7s\n", "network", "median (p10 .. p90)",
		"speed-up", "alone", "beside allreduce", "its p95", "slow-down", "beside");
	for (int net = 0; net < report->nnets; net++) {
		struct figures f = figure(report, net);
		if (net == 0)
			first_ms = f.step_ms;
		printf("%-12s %8.1f (%7.1f .. %7.1f) %8.3f %8.2f %16.2f %8.2f %9.2f %6.0f%%\n",
			report->nets[net], f.step_ms, f.step_p10_ms, f.step_p90_ms,
			first_ms / f.step_ms, f.alone_ms, f.beside_ms, f.beside_p95_ms,
			f.beside_ms / f.alone_ms, f.beside_share * 100);
	}
	if (rate_mbps > 0)
		printf("%-12s %8.1f %19s %8s %8.2f %16.2f\n", "at line rate",
			step_line_ms(report, rate_mbps), "", "", line_ms, line_ms);
}

static void write_figures(const struct moe_report *report, FILE *file)
{
	fprintf(file, "net\trepeats\tstep_p10_ms\tstep_ms\tstep_p90_ms\talltoall_alone_ms"
		      "\talltoall_beside_ms\talltoall_beside_p95_ms\tbeside_share\n");
	for (int net = 0; net < report->nnets; net++) {
		struct figures f = figure(report, net);
		fprintf(file, "%s\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.4f\n",
			report->nets[net], report->repeats, f.step_p10_ms, f.step_ms, f.step_p90_ms,
			f.alone_ms, f.beside_ms, f.beside_p95_ms, f.beside_share);
	}
}

static void write_steps(const struct moe_report *report, FILE *file)
{
	fprintf(file, "net\trepeat\tstep_ms\n");
	for (int net = 0; net < report->nnets; net++)
		for (int i = 0; i < report->repeats; i++)
			fprintf(file, "%s\t%d\t%.3f\n", report->nets[net], i,
				report->result[net][i].step_ms);
}

/* The step whose time is the lower median. */
static const struct step_result *median_step(const struct moe_report *report, int net)
{
	double *sorted = sorted_steps(report, net);
	double median_ms = sorted[(report->repeats - 1) / 2];
	const struct step_result *result = report->result[net];

	free(sorted);
	while (result->step_ms != median_ms)
		result++;
	return result;
}

static void write_spans(const struct moe_report *report, FILE *file)
{
	fprintf(file, "net\tkind\tpass\tlayer\tstart_ms\tend_ms\n");
	for (int net = 0; net < report->nnets; net++) {
		const struct step_result *result = median_step(report, net);
		for (int i = 0; i < moe_nspans(report->model); i++) {
			const struct moe_span *span = &result->spans[i];
			fprintf(file, "%s\t%s\t%s\t%d\t%.3f\t%.3f\n", report->nets[net],
				moe_kind_name(span->kind), span->backward ? "backward" : "forward",
				span->layer, span->start_ms, span->end_ms);
		}
	}
}

void moe_report_write(const struct moe_report *report, const char *path)
{
	static const struct {
		const char *suffix;
		void (*write)(const struct moe_report *report, FILE *file);
	} files[] = {
		{ ".tsv", write_figures },
		{ ".steps.tsv", write_steps },
		{ ".spans.tsv", write_spans },
	};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *file = result_file_open(path, files[i].suffix);
		files[i].write(report, file);
		result_file_close(file);
	}
}
