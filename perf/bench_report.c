#include "perf/bench_report.h"

#include "perf/job.h"
#include "perf/result_file.h"
#include "perf/stats.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1024 };

struct bench_report {
	const char *const *nets;
	int nnets;
	uint32_t rate_mbps;
	FILE *summary, *samples; /* NULL: no files */
	int nrows;
	struct {
		const char *op;
		double ratio[BENCH_NETS_MAX];
	} row[ROWS_MAX];
};

/* Of one network in one row. */
struct figures {
	double p10_us, p50_us, p90_us;
	double cpu_us;
	double bus_gbps;
	double ratio, ratio_p10, ratio_p90; /* bus bandwidth over the first network's */
};

struct bench_report *bench_report_open(
	const char *title, const char *const *nets, int nnets, uint32_t rate_mbps, const char *path)
{
	struct bench_report *report = calloc(1, sizeof(*report));

	if (report == NULL)
		die("no memory for a report");
	report->nets = nets;
	report->nnets = nnets;
	report->rate_mbps = rate_mbps;
	if (path != NULL) {
		report->summary = result_file_open(path, ".tsv");
		report->samples = result_file_open(path, ".samples.tsv");
		fprintf(report->summary,
			"# "
			"%s\nop\tbytes\tnet\titers\trounds\tp10_us\tp50_us\tp90_us\tcpu_us\tbus_"
			"gbps"
			"\tline_share\tratio\tratio_p10\tratio_p90\n",
			title);
		fprintf(report->samples, "# %s\nop\tbytes\tnet\tround\titers\ttime_us\tcpu_us\n",
			title);
	}
	printf("%s\n", title);
	printf("%-14s %9s %-8s %36s %9s %10s %5s %s\n", "operation", "bytes", "network",
		"time, median (p10 .. p90), us", "cpu, us", "bus Gbit/s", "line",
		"ratio to first (p10 .. p90)");
	return report;
}

/* Rounds are paired: the ratio of one round compares neighbours in time. */
static struct figures figure(const struct bench_row *row, int net)
{
	double sorted[BENCH_ROUNDS_MAX], cpu[BENCH_ROUNDS_MAX], ratio[BENCH_ROUNDS_MAX];
	size_t n = (size_t)row->nrounds;
	struct figures f;

	for (size_t i = 0; i < n; i++) {
		sorted[i] = row->time_us[net][i];
		cpu[i] = row->cpu_us[net][i];
	}
	stats_sort(sorted, n);
	stats_sort(cpu, n);
	stats_ratios(row->time_us[0], row->time_us[net], n, ratio);
	f.p10_us = stats_quantile(sorted, n, 0.1);
	f.p50_us = stats_quantile(sorted, n, 0.5);
	f.p90_us = stats_quantile(sorted, n, 0.9);
	f.cpu_us = stats_quantile(cpu, n, 0.5);
	f.bus_gbps = row->link_bytes * 8e-3 / f.p50_us;
	f.ratio = stats_quantile(ratio, n, 0.5);
	f.ratio_p10 = stats_quantile(ratio, n, 0.1);
	f.ratio_p90 = stats_quantile(ratio, n, 0.9);
	return f;
}

static void print_figures(const struct bench_report *report, const struct bench_row *row, int net,
	const struct figures *f)
{
	printf("%-14s %9llu %-8s %12.1f (%9.1f .. %9.1f) %9.1f %10.4f ", row->op,
		(unsigned long long)row->size_bytes, report->nets[net], f->p50_us, f->p10_us,
		f->p90_us, f->cpu_us, f->bus_gbps);
	if (report->rate_mbps > 0)
		printf("%5.3f", f->bus_gbps * 1e3 / report->rate_mbps);
	else
		printf("%5s", "-");
	if (net > 0)
		printf(" %.3f (%.3f .. %.3f)", f->ratio, f->ratio_p10, f->ratio_p90);
	printf("\n");
}

static void write_figures(const struct bench_report *report, const struct bench_row *row, int net,
	const struct figures *f)
{
	fprintf(report->summary,
		"%s\t%llu\t%s\t%d\t%d\t%.2f\t%.2f\t%.2f\t%.2f\t%.5f\t%.4f\t%.4f\t%.4f\t%.4f\n",
		row->op, (unsigned long long)row->size_bytes, report->nets[net], row->iters,
		row->nrounds, f->p10_us, f->p50_us, f->p90_us, f->cpu_us, f->bus_gbps,
		report->rate_mbps > 0 ? f->bus_gbps * 1e3 / report->rate_mbps : 0, f->ratio,
		f->ratio_p10, f->ratio_p90);
	for (int i = 0; i < row->nrounds; i++)
		fprintf(report->samples, "%s\t%llu\t%s\t%d\t%d\t%.2f\t%.2f\n", row->op,
			(unsigned long long)row->size_bytes, report->nets[net], i, row->iters,
			row->time_us[net][i], row->cpu_us[net][i]);
}

void bench_report_add(struct bench_report *report, const struct bench_row *row)
{
	if (report->nrows == ROWS_MAX)
		die("more than %d rows in one report", (int)ROWS_MAX);
	report->row[report->nrows].op = row->op;
	for (int net = 0; net < report->nnets; net++) {
		struct figures f = figure(row, net);
		report->row[report->nrows].ratio[net] = f.ratio;
		print_figures(report, row, net, &f);
		if (report->summary != NULL)
			write_figures(report, row, net, &f);
	}
	report->nrows++;
	fflush(stdout);
}

/* Over the rows of one operation; all of them where op is NULL. */
static void print_mean(const struct bench_report *report, const char *op, int net)
{
	double ratio[ROWS_MAX];
	size_t n = 0;

	for (int i = 0; i < report->nrows; i++)
		if (op == NULL || strcmp(op, report->row[i].op) == 0)
			ratio[n++] = report->row[i].ratio[net];
	printf("geometric mean of %zu ratios, %s, %s / %s: %.3f\n", n,
		op == NULL ? "all operations" : op, report->nets[net], report->nets[0],
		stats_geomean(ratio, n));
}

void bench_report_close(struct bench_report *report)
{
	for (int net = 1; net < report->nnets && report->nrows > 0; net++) {
		for (int i = 0; i < report->nrows; i++)
			if (i == 0 || strcmp(report->row[i].op, report->row[i - 1].op) != 0)
				print_mean(report, report->row[i].op, net);
		print_mean(report, NULL, net);
	}
	if (report->summary != NULL) {
		result_file_close(report->summary);
		result_file_close(report->samples);
	}
	free(report);
}
