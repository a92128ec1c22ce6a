/*
 * The rank program of perf/bench_sparse: the sparse collectives, against the time that the busiest
 * link needs for its bytes, in two cases: the experts that are copied belong to all devices alike,
 * or to one of them.
 */
#include "collectives/lina_sparse.h"
#include "perf/job.h"
#include "perf/meeting.h"
#include "perf/options.h"
#include "perf/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS_MAX = 1000 };

struct settings {
	const char *net;
	size_t elements;
	int experts, copied, rounds;
	uint32_t rate_mbps;
};

static const struct argp_option options[] = {
	{ "net", 'a', "NET", 0, "Network: the name of NCCL's own or of a plugin (default: lina)",
		0 },
	{ "elements", 'e', "N", 0, "Floats of an expert (default: 1M)", 0 },
	{ "experts", 'n', "N", 0, "Experts of the layer (default: 16)", 0 },
	{ "copied", 'c', "N", 0, "Of them, those that every device gets (default: 4)", 0 },
	{ "rounds", 'r', "N", 0, "Of each case and direction (default: 10)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s, 0 where it has none", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'a':
		s->net = text;
		break;
	case 'e':
		s->elements = options_number(state, "elements", text, 1, 1 << 28);
		break;
	case 'n':
		s->experts = (int)options_number(state, "experts", text, 1, 1024);
		break;
	case 'c':
		s->copied = (int)options_number(state, "copied", text, 1, 1024);
		break;
	case 'r':
		s->rounds = (int)options_number(state, "rounds", text, 1, ROUNDS_MAX);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

struct bench {
	struct job job;
	const struct settings *settings;
	ncclComm_t comm;
	cudaStream_t stream;
	struct meeting *meeting;
	void **expert; /* [experts], all of them on every device */
};

static void must(int err, const char *what)
{
	if (err)
		die("%s: %s: %s", what, strerror(-err), lina_last_error());
}

/* Expert e on device e modulo the devices, or all on device 0; the first `copied` on all devices
 * too. */
static struct lina_plan *plan_of(const struct bench *b, bool one_owner, bool copied)
{
	int n = b->settings->experts, ndevices = b->job.nranks;
	struct lina_plan_shape shape = { 1, n, ndevices, 1, n };
	struct lina_plan *plan;

	must(lina_plan_create(&shape, &plan), "plan");
	for (int d = 0; d < ndevices; d++)
		for (int e = 0; e < n; e++)
			if (d == (one_owner ? 0 : e % ndevices) ||
				(copied && e < b->settings->copied))
				plan->expert[(size_t)d * (size_t)n + (size_t)e] = e;
	lina_plan_share_evenly(plan, 0);
	return plan;
}

/* From the first rank's start to the last one's end. */
static double run(struct bench *b, struct lina_sparse *sparse, bool reduce)
{
	double times[2];

	meeting_wait(b->meeting);
	times[0] = -now_us();
	must(reduce ? lina_sparse_reduce_scatter(sparse, b->expert, b->stream)
		    : lina_sparse_all_gather(sparse, b->expert, b->stream),
		"sparse collective");
	must_cuda(cudaStreamSynchronize(b->stream), "sparse collective");
	times[1] = now_us();
	job_max(&b->job, times, 2, b->comm, b->stream);
	return (times[1] + times[0]) / 1e3;
}

static void show(
	const struct bench *b, const char *name, double *times_ms, uint64_t total, uint64_t busiest)
{
	size_t n = (size_t)b->settings->rounds;
	double line_ms =
		b->settings->rate_mbps > 0 ? (double)busiest * 8e-3 / b->settings->rate_mbps : 0;

	if (b->job.rank != 0)
		return;
	stats_sort(times_ms, n);
	double median = stats_quantile(times_ms, n, 0.5);
	printf("%-34s %7.2f MB in all, busiest %6.2f MB  %7.1f ms (%.1f to %.1f)", name,
		(double)total / 1e6, (double)busiest / 1e6, median,
		stats_quantile(times_ms, n, 0.1), stats_quantile(times_ms, n, 0.9));
	if (line_ms > 0)
		printf("  %.2f of line", median / line_ms);
	printf("\n");
}

static void measure(struct bench *b, bool one_owner)
{
	struct lina_plan *owners = plan_of(b, one_owner, false),
			 *placed = plan_of(b, one_owner, true);
	double gather_ms[ROUNDS_MAX], reduce_ms[ROUNDS_MAX];
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	uint64_t total, busiest;

	lina_sparse_settings_default(&settings);
	settings.elements = b->settings->elements;
	must(lina_sparse_create(b->comm, owners, placed, 0, &settings, &sparse), "sparse");
	for (int i = -1; i < b->settings->rounds; i++) {
		double gather = run(b, sparse, false), reduce = run(b, sparse, true);
		if (i < 0)
			continue;
		gather_ms[i] = gather;
		reduce_ms[i] = reduce;
	}
	lina_sparse_volume(sparse, &total, &busiest);
	show(b, one_owner ? "all-gather, one owner" : "all-gather, owners alike", gather_ms, total,
		busiest);
	show(b, one_owner ? "reduce-scatter, one owner" : "reduce-scatter, owners alike", reduce_ms,
		total, busiest);
	lina_sparse_destroy(sparse);
	lina_plan_destroy(placed);
	lina_plan_destroy(owners);
}

static void open_bench(struct bench *b)
{
	const struct settings *s = b->settings;

	if (s->copied > s->experts)
		die("%d of %d experts", s->copied, s->experts);
	b->comm = job_comm_open(&b->job, "expert", s->net);
	b->meeting = meeting_open(&b->job);
	must_cuda(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	b->expert = calloc((size_t)s->experts, sizeof(*b->expert));
	if (b->expert == NULL)
		die("no memory");
	for (int e = 0; e < s->copied; e++)
		b->expert[e] = job_alloc(s->elements * sizeof(float));
}

static void close_bench(struct bench *b)
{
	for (int e = 0; e < b->settings->copied; e++)
		must_cuda(cudaFree(b->expert[e]), "cudaFree");
	free(b->expert);
	must_cuda(cudaStreamDestroy(b->stream), "cudaStreamDestroy");
	meeting_close(b->meeting);
	must_nccl(ncclCommDestroy(b->comm), "ncclCommDestroy");
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times the sparse collectives; run by lina-launch.", NULL, NULL, NULL };
	struct settings settings = {
		.net = "lina", .elements = 1 << 20, .experts = 16, .copied = 4, .rounds = 10
	};
	struct bench bench = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&bench.job);
	open_bench(&bench);
	measure(&bench, false);
	measure(&bench, true);
	close_bench(&bench);
	return 0;
}
