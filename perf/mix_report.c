#include "perf/mix_report.h"

#include "perf/die.h"
#include "perf/result_file.h"

#include <inttypes.h>

static struct mix_figures figures_of(
	const struct mix_case *c, const struct mix_samples *samples, int net)
{
	struct mix_figures figures;

	if (mix_figure(&samples[net], &samples[c->reference], &c->setting, &figures) != 0)
		die("no memory for the figures of %s", c->nets[net]);
	return figures;
}

static void print_head(const struct mix_case *c)
{
	printf("%" PRIu64 " bytes to each rank (%s), allreduce of %" PRIu64
	       " bytes; %d all-to-alls beside it, %.1f ms before each; at line rate an all-to-all "
	       "takes %.2f ms\n",
		c->peer_bytes, c->shape, c->allreduce_bytes, c->setting.count,
		c->setting.gap_us / 1e3, c->setting.line_us / 1e3);
	printf("%-8s %35s %35s %29s %17s\n", "", "all-to-all alone, ms", "under an allreduce, ms",
		"allreduce alone, ms", "both, ms");
	printf("%-8s %29s %5s %8s %8s %5s %5s %5s %23s %5s %9s %9s %5s\n", "network",
		"median (p10 .. p90)", "line", "median", "p95", "slow", "p95", "n",
		"median (p10 .. p90)", "rate", "median", "need", "share");
}

static void print_net(const struct mix_case *c, const struct mix_samples *samples, int net)
{
	struct mix_figures f = figures_of(c, samples, net);
	const struct mix_quantiles *alone = &f.of[MIX_ALONE], *under = &f.of[MIX_UNDER];
	const struct mix_quantiles *allreduce = &f.of[MIX_ALLREDUCE];

	printf("%-8s %8.2f (%7.2f .. %7.2f) %5.3f ", c->nets[net], alone->p50_us / 1e3,
		alone->p10_us / 1e3, alone->p90_us / 1e3, f.line_share);
	printf("%8.2f %8.2f %5.2f %5.2f %5zu ", under->p50_us / 1e3, under->p95_us / 1e3,
		f.slowdown, f.slowdown_p95, samples[net].of[MIX_UNDER].n);
	printf("%7.1f (%6.1f .. %6.1f) %5.3f ", allreduce->p50_us / 1e3, allreduce->p10_us / 1e3,
		allreduce->p90_us / 1e3, f.allreduce_rate);
	printf("%9.1f %9.1f %5.3f\n", f.of[MIX_BOTH].p50_us / 1e3, f.need_us / 1e3, f.both_share);
}

void mix_report_print(const struct mix_case *c, const struct mix_samples *samples)
{
	print_head(c);
	for (int net = 0; net < c->nnets; net++)
		print_net(c, samples, net);
	fflush(stdout);
}

static void write_net(
	const struct mix_case *c, const struct mix_samples *samples, int net, FILE *file)
{
	struct mix_figures f = figures_of(c, samples, net);

	fprintf(file, "%s\t%d\t%d\t%" PRIu32 "\t%" PRIu64 "\t%s\t%" PRIu64 "\t%.3f\t%d\t%d\t%.2f",
		c->nets[net], c->nranks, c->per_host, c->rate_mbps, c->peer_bytes, c->shape,
		c->allreduce_bytes, c->setting.gap_us / 1e3, c->setting.count, c->rounds,
		c->setting.line_us);
	for (int kind = 0; kind < MIX_NKINDS; kind++)
		fprintf(file, "\t%zu\t%.2f\t%.2f\t%.2f\t%.2f", samples[net].of[kind].n,
			f.of[kind].p10_us, f.of[kind].p50_us, f.of[kind].p90_us, f.of[kind].p95_us);
	fprintf(file, "\t%.4f\t%.4f\t%.4f\t%.4f\t%.2f\t%.4f\n", f.line_share, f.slowdown,
		f.slowdown_p95, f.allreduce_rate, f.need_us, f.both_share);
}

static void write_table(
	const struct mix_case *c, const struct mix_samples *samples, const char *path)
{
	FILE *file = result_file_open(path, ".tsv");

	fprintf(file, "net\tranks\tper_host\trate_mbps\tpeer_bytes\tshape\tallreduce_bytes\tgap_ms"
		      "\tcount\trounds\tline_us");
	for (int kind = 0; kind < MIX_NKINDS; kind++) {
		const char *name = mix_kind_name((enum mix_kind)kind);
		fprintf(file, "\t%s_n\t%s_p10_us\t%s_p50_us\t%s_p90_us\t%s_p95_us", name, name,
			name, name, name);
	}
	fprintf(file, "\tline_share\tslowdown\tslowdown_p95\tallreduce_rate\tneed_us"
		      "\tboth_share\n");
	for (int net = 0; net < c->nnets; net++)
		write_net(c, samples, net, file);
	result_file_close(file);
}

static void write_samples(
	const struct mix_case *c, const struct mix_samples *samples, const char *path)
{
	FILE *file = result_file_open(path, ".samples.tsv");

	fprintf(file, "net\tkind\tindex\ttime_us\n");
	for (int net = 0; net < c->nnets; net++)
		for (int kind = 0; kind < MIX_NKINDS; kind++)
			for (size_t i = 0; i < samples[net].of[kind].n; i++)
				fprintf(file, "%s\t%s\t%zu\t%.2f\n", c->nets[net],
					mix_kind_name((enum mix_kind)kind), i,
					samples[net].of[kind].time_us[i]);
	result_file_close(file);
}

void mix_report_write(const struct mix_case *c, const struct mix_samples *samples, const char *path)
{
	write_table(c, samples, path);
	write_samples(c, samples, path);
}
