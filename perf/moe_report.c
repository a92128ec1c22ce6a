#include "perf/moe_report.h"

#include "collectives/cost.h"
#include "perf/result_file.h"
#include "perf/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct step_result {
	double times_ms[MOE_NTIMES];
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
	struct spread {
		double p10, p50, p90;
	} times_ms[MOE_NTIMES], backward_ratio;
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

void moe_report_add(struct moe_report *report, int net, int repeat, const double *times_ms,
	const struct moe_alltoall *alltoalls, const struct moe_span *spans)
{
	struct step_result *result = &report->result[net][repeat];
	size_t nalltoalls = (size_t)moe_nalltoalls(report->model) * (size_t)report->job->nranks;
	size_t nspans = (size_t)moe_nspans(report->model);

	memcpy(result->times_ms, times_ms, sizeof(result->times_ms));
	result->alltoalls = alloc(nalltoalls, sizeof(*alltoalls));
	memcpy(result->alltoalls, alltoalls, nalltoalls * sizeof(*alltoalls));
	result->spans = alloc(nspans, sizeof(*spans));
	memcpy(result->spans, spans, nspans * sizeof(*spans));
}

/* ---- figures --------------------------------------------------------------------------------- */

static double *sorted_times(const struct moe_report *report, int net, enum moe_time which)
{
	size_t n = (size_t)report->repeats;
	double *sorted = alloc(n, sizeof(*sorted));

	for (size_t i = 0; i < n; i++)
		sorted[i] = report->result[net][i].times_ms[which];
	stats_sort(sorted, n);
	return sorted;
}

static struct spread spread(const double *sorted, size_t n)
{
	return (struct spread){
		.p10 = stats_quantile(sorted, n, 0.1),
		.p50 = stats_quantile(sorted, n, 0.5),
		.p90 = stats_quantile(sorted, n, 0.9),
	};
}

/* Of the backward pass over the same without gradients and one bucket after it, round by round. */
static struct spread backward_ratio(const struct moe_report *report, int net)
{
	size_t n = (size_t)report->repeats;
	double *with_ms = alloc(3 * n, sizeof(*with_ms)), *without_ms = with_ms + n;
	double *ratios = without_ms + n;

	for (size_t i = 0; i < n; i++) {
		const double *times_ms = report->result[net][i].times_ms;
		with_ms[i] = times_ms[MOE_BACKWARD];
		without_ms[i] = times_ms[MOE_PLAIN_BACKWARD] + times_ms[MOE_BUCKET];
	}
	stats_ratios(with_ms, without_ms, n, ratios);
	struct spread ratio = spread(ratios, n);
	free(with_ms);
	return ratio;
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

	for (enum moe_time which = 0; which < MOE_NTIMES; which++) {
		double *times_ms = sorted_times(report, net, which);
		f.times_ms[which] = spread(times_ms, n);
		free(times_ms);
	}
	f.backward_ratio = backward_ratio(report, net);
	double *sorted = sorted_alltoalls(report, net, runs_alone, &n, &nall);
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

/* The backward pass with every all-to-all at line rate, and gradients too, which fill the time that
 * compute leaves the link: twice the forward compute. */
static double backward_line_ms(const struct moe_report *report, uint32_t rate_mbps)
{
	const struct moe_model *model = report->model;
	uint64_t gradient_bytes = (uint64_t)model->nlayers * model->gradient_bytes;
	double compute_ms = 2 * model->nlayers * (model->attention_ms + model->experts_ms);
	double gradient_ms = lina_cost_line_time_ns(LINA_COLL_ALLREDUCE, report->job->nranks,
				     gradient_bytes, rate_mbps) /
			     1e6;

	return 0.5 * moe_nalltoalls(model) * alltoall_line_ms(report, rate_mbps) +
	       (compute_ms > gradient_ms ? compute_ms : gradient_ms);
}

static double step_line_ms(const struct moe_report *report, uint32_t rate_mbps)
{
	const struct moe_model *model = report->model;

	return model->nlayers * (model->attention_ms + model->experts_ms) +
	       0.5 * moe_nalltoalls(model) * alltoall_line_ms(report, rate_mbps) +
	       backward_line_ms(report, rate_mbps);
}

/* ---- output ---------------------------------------------------------------------------------- */

static void print_steps(const struct moe_report *report, uint32_t rate_mbps)
{
	double first_ms = 0, line_ms = alltoall_line_ms(report, rate_mbps);

	printf("%-12s %28s %8s   all-to-all, ms: median %27s\n", "", "step, ms", "", "");
	printf("%-12s %28s %8s %8s %16s %8s %9s %7s\n", "network", "median (p10 .. p90)",
		"speed-up", "alone", "beside allreduce", "its p95", "slow-down", "beside");
	for (int net = 0; net < report->nnets; net++) {
		struct figures f = figure(report, net);
		if (net == 0)
			first_ms = f.times_ms[MOE_STEP].p50;
		printf("%-12s %8.1f (%7.1f .. %7.1f) %8.3f %8.2f %16.2f %8.2f %9.2f %6.0f%%\n",
			report->nets[net], f.times_ms[MOE_STEP].p50, f.times_ms[MOE_STEP].p10,
			f.times_ms[MOE_STEP].p90, first_ms / f.times_ms[MOE_STEP].p50, f.alone_ms,
			f.beside_ms, f.beside_p95_ms, f.beside_ms / f.alone_ms,
			f.beside_share * 100);
	}
	if (rate_mbps > 0)
		printf("%-12s %8.1f %19s %8s %8.2f %16.2f\n", "at line rate",
			step_line_ms(report, rate_mbps), "", "", line_ms, line_ms);
}

static void print_backward(const struct moe_report *report, uint32_t rate_mbps)
{
	printf("%-12s %28s %9s %9s %28s\n", "", "backward pass, ms", "without", "a bucket",
		"with gradients over without");
	printf("%-12s %28s %9s %9s %28s\n", "network", "median (p10 .. p90)", "gradients", "alone",
		"and a bucket (p10 .. p90)");
	for (int net = 0; net < report->nnets; net++) {
		struct figures f = figure(report, net);
		const struct spread *backward = &f.times_ms[MOE_BACKWARD];
		printf("%-12s %8.1f (%7.1f .. %7.1f) %9.1f %9.2f %11.3f (%5.3f .. %5.3f)\n",
			report->nets[net], backward->p50, backward->p10, backward->p90,
			f.times_ms[MOE_PLAIN_BACKWARD].p50, f.times_ms[MOE_BUCKET].p50,
			f.backward_ratio.p50, f.backward_ratio.p10, f.backward_ratio.p90);
	}
	if (rate_mbps > 0)
		printf("%-12s %8.1f\n", "at line rate", backward_line_ms(report, rate_mbps));
}

void moe_report_print(const struct moe_report *report, uint32_t rate_mbps)
{
	print_steps(report, rate_mbps);
	print_backward(report, rate_mbps);
}

static void write_figures(const struct moe_report *report, FILE *file)
{
	fprintf(file, "net\trepeats\tstep_p10_ms\tstep_ms\tstep_p90_ms\talltoall_alone_ms"
		      "\talltoall_beside_ms\talltoall_beside_p95_ms\tbeside_share\tbackward_p10_ms"
		      "\tbackward_ms\tbackward_p90_ms\tplain_step_ms\tplain_backward_ms\tbucket_ms"
		      "\tbackward_ratio_p10\tbackward_ratio\tbackward_ratio_p90\n");
	for (int net = 0; net < report->nnets; net++) {
		struct figures f = figure(report, net);
		const struct spread *step = &f.times_ms[MOE_STEP];
		const struct spread *backward = &f.times_ms[MOE_BACKWARD];
		fprintf(file, "%s\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.4f", report->nets[net],
			report->repeats, step->p10, step->p50, step->p90, f.alone_ms, f.beside_ms,
			f.beside_p95_ms, f.beside_share);
		fprintf(file, "\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.4f\t%.4f\t%.4f\n",
			backward->p10, backward->p50, backward->p90, f.times_ms[MOE_PLAIN_STEP].p50,
			f.times_ms[MOE_PLAIN_BACKWARD].p50, f.times_ms[MOE_BUCKET].p50,
			f.backward_ratio.p10, f.backward_ratio.p50, f.backward_ratio.p90);
	}
}

static void write_steps(const struct moe_report *report, FILE *file)
{
	fprintf(file, "net\trepeat\tstep_ms\tbackward_ms\tplain_step_ms\tplain_backward_ms"
		      "\tbucket_ms\n");
	for (int net = 0; net < report->nnets; net++)
		for (int i = 0; i < report->repeats; i++) {
			fprintf(file, "%s\t%d", report->nets[net], i);
			for (int which = 0; which < MOE_NTIMES; which++)
				fprintf(file, "\t%.3f", report->result[net][i].times_ms[which]);
			fprintf(file, "\n");
		}
}

/* The step whose time is the lower median. */
static const struct step_result *median_step(const struct moe_report *report, int net)
{
	double *sorted = sorted_times(report, net, MOE_STEP);
	double median_ms = sorted[(report->repeats - 1) / 2];
	const struct step_result *result = report->result[net];

	free(sorted);
	while (result->times_ms[MOE_STEP] != median_ms)
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
