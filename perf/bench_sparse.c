/*
 * The rank program of perf/bench_sparse: the sparse collectives, against the time that the busiest
 * link needs for its bytes, in two cases: the experts that are copied belong to all devices alike,
 * or to one of them.
 */
#include "collectives/lina_sparse.h"
#include "collectives/spread_plan.h"
#include "perf/job.h"
#include "perf/meeting.h"
#include "perf/must_lina.h"
#include "perf/options.h"
#include "perf/plain.h"
#include "perf/stats.h"
#include "perf/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS_MAX = 1000, FRAME_BYTES = 1514, FRAME_PAYLOAD = 1448 };

struct settings {
	const char *net;
	size_t elements;
	int experts, copied, rounds;
	size_t chunk_bytes;
	bool wire;
	double work_ms;
	uint32_t rate_mbps;
};

static const struct argp_option options[] = {
	{ "net", 'a', "NET", 0, "Network: the name of NCCL's own or of a plugin (default: lina)",
		0 },
	{ "elements", 'e', "N", 0, "Floats of an expert (default: 1M)", 0 },
	{ "experts", 'n', "N", 0, "Experts of the layer (default: 16)", 0 },
	{ "copied", 'c', "N", 0, "Of them, those that every device gets (default: 4)", 0 },
	{ "rounds", 'r', "N", 0, "Of each case and direction (default: 10)", 0 },
	{ "chunk-bytes", 'k', "N", 0, "Of a chain; 0: what is best by the model (default: 0)", 0 },
	{ "work-ms", 'm', "MS", 0,
		"Also an iteration with three times as much work beside (default: 0, none)", 0 },
	{ "wire", 'w', NULL, 0, "Count what interfaces carry: each rank has a host of its own", 0 },
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
	case 'k':
		s->chunk_bytes = options_number(state, "chunk-bytes", text, 0, 1 << 30);
		break;
	case 'm':
		s->work_ms = options_real(state, "work-ms", text, 0, 10000);
		break;
	case 'w':
		s->wire = true;
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
	cudaEvent_t event;
	struct meeting *meeting;
	struct plain *plain;
	void **expert; /* [experts], all of them on every device */
};

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

/* Of one collective, over its rounds. */
struct figures {
	double times_ms[ROUNDS_MAX];
	double sent_bytes, received_bytes; /* by this rank's interfaces */
	int n;
};

/* From the first rank's start to the last one's end. What interfaces carry has all been sent when
 * all ranks are done. */
static void run(struct bench *b, struct lina_sparse *sparse, bool reduce, struct figures *f)
{
	double times[2];
	struct wire before = wire_read(), after;

	meeting_wait(b->meeting);
	times[0] = -now_us();
	must(reduce ? lina_sparse_reduce_scatter(sparse, b->expert, b->stream)
		    : lina_sparse_all_gather(sparse, b->expert, b->stream),
		"sparse collective");
	must_cuda(cudaStreamSynchronize(b->stream), "sparse collective");
	times[1] = now_us();
	job_max(&b->job, times, 2, b->comm, b->stream);
	after = wire_read();
	f->times_ms[f->n++] = (times[1] + times[0]) / 1e3;
	f->sent_bytes += after.sent_bytes - before.sent_bytes;
	f->received_bytes += after.received_bytes - before.received_bytes;
}

/* The bytes of the busiest by plain TCP, in the same directions: round about where owners are
 * alike, from rank to rank where one has all. */
static void run_plain(struct bench *b, size_t bytes, bool one_owner, struct figures *f)
{
	double times[2];

	meeting_wait(b->meeting);
	times[0] = -now_us();
	if (one_owner)
		plain_chain(b->plain, bytes);
	else
		plain_ring(b->plain, bytes);
	times[1] = now_us();
	job_max(&b->job, times, 2, b->comm, b->stream);
	f->times_ms[f->n++] = (times[1] + times[0]) / 1e3;
}

/* What all ranks sent, and the busiest sent or received, in one round; beside what it should be.
 * Collective. */
static double show_wire(struct bench *b, const struct figures *f, uint64_t total, uint64_t busiest)
{
	double most = f->sent_bytes > f->received_bytes ? f->sent_bytes : f->received_bytes;
	double all = f->sent_bytes;

	job_sum(&b->job, &all, 1, b->comm, b->stream);
	job_max(&b->job, &most, 1, b->comm, b->stream);
	all /= f->n;
	most /= f->n;
	if (b->job.rank == 0)
		printf("%34s %7.2f MB sent, %.4f of it; busiest %6.2f MB, %.4f of it\n",
			"interfaces:", all / 1e6, all / (double)total, most / 1e6,
			most / (double)busiest);
	return most;
}

/* What the schedule alone lets expect: its rounds one after the other, in whole Ethernet frames. */
static void show_schedule(const struct bench *b, const struct lina_plan *owners,
	const struct lina_plan *placed, const struct lina_sparse_settings *settings)
{
	const struct lina_spread_params params = { sizeof(float), settings->tree_bytes,
		settings->chunk_bytes };
	struct lina_spread_items items;
	struct lina_spread *spread;
	int expert;

	must(lina_spread_items_share(
		     owners, placed, 0, settings->elements * sizeof(float), &items, &expert),
		"items");
	must(lina_spread_create(items.item, items.n, b->job.nranks, &params, &spread), "schedule");
	double rounds = (double)spread->rounds_bytes / (double)spread->busiest_bytes;
	if (b->job.rank == 0)
		printf("%34s %d rounds, %.3f of line one after the other, %.3f with frames' "
		       "headers\n",
			"schedule:", spread->nrounds, rounds, rounds * FRAME_BYTES / FRAME_PAYLOAD);
	lina_spread_destroy(spread);
	lina_spread_items_free(&items);
}

static void show(const struct bench *b, const char *name, struct figures *f, uint64_t total,
	uint64_t busiest)
{
	size_t n = (size_t)f->n;
	double *times_ms = f->times_ms;
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

/* Hecate's volume (arXiv 2502.02581): 2 lambda S, S the bytes of all experts, lambda the part of
 * them that is copied; what a device carries that owns none of these. */
static void show_volume(const struct bench *b, double most)
{
	double bytes = 2.0 * b->settings->copied * (double)b->settings->elements * sizeof(float);

	if (b->job.rank == 0)
		printf("%34s both %6.2f MB, %.4f of 2 lambda S\n", "busiest:", most / 1e6,
			most / bytes);
}

static void measure(struct bench *b, bool one_owner)
{
	struct lina_plan *owners = plan_of(b, one_owner, false),
			 *placed = plan_of(b, one_owner, true);
	struct figures gather = { .n = 0 }, reduce = { .n = 0 }, plain = { .n = 0 },
		       unused = { .n = 0 };
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	uint64_t total, busiest;

	lina_sparse_settings_default(&settings);
	settings.elements = b->settings->elements;
	settings.chunk_bytes = b->settings->chunk_bytes;
	must(lina_sparse_create(b->comm, owners, placed, 0, &settings, &sparse), "sparse");
	lina_sparse_volume(sparse, &total, &busiest);
	for (int i = -1; i < b->settings->rounds; i++) {
		unused.n = 0;
		run(b, sparse, false, i < 0 ? &unused : &gather);
		run(b, sparse, true, i < 0 ? &unused : &reduce);
		run_plain(b, (size_t)busiest, one_owner, i < 0 ? &unused : &plain);
	}
	show(b, one_owner ? "all-gather, one owner" : "all-gather, owners alike", &gather, total,
		busiest);
	show(b, one_owner ? "reduce-scatter, one owner" : "reduce-scatter, owners alike", &reduce,
		total, busiest);
	show(b, one_owner ? "plain TCP, rank to rank" : "plain TCP, round about", &plain, total,
		busiest);
	show_schedule(b, owners, placed, &settings);
	if (b->settings->wire) {
		double most = show_wire(b, &gather, total, busiest) +
			      show_wire(b, &reduce, total, busiest);
		if (one_owner)
			show_volume(b, most);
	}
	lina_sparse_destroy(sparse);
	lina_plan_destroy(placed);
	lina_plan_destroy(owners);
}

/* ---- an iteration, with work ----------------------------------------------------------------- */

/* A device that computes: it takes its time, and none of the processor's. */
static void work(void *arg)
{
	double ms = *(const double *)arg;
	const struct timespec t = { (time_t)(ms / 1e3), (long)(ms * 1e6) % 1000000000L };

	(void)nanosleep(&t, NULL);
}

/* After is on the stream when before has come so far. */
static void follow(struct bench *b, cudaStream_t after, cudaStream_t before)
{
	must_cuda(cudaEventRecord(b->event, before), "cudaEventRecord");
	must_cuda(cudaStreamWaitEvent(after, b->event, 0), "cudaStreamWaitEvent");
}

/* Parameters come before the forward and again before the backward pass, gradients go afterwards;
 * each beside work on what needs none of them, or before it. */
static double iterate(struct bench *b, struct lina_sparse *sparse, cudaStream_t side)
{
	double times[2], ms = b->settings->work_ms;

	meeting_wait(b->meeting);
	times[0] = -now_us();
	for (int pass = 0; pass < 3; pass++) {
		must(pass < 2 ? lina_sparse_all_gather(sparse, b->expert, side)
			      : lina_sparse_reduce_scatter(sparse, b->expert, side),
			"sparse collective");
		must_cuda(cudaLaunchHostFunc(b->stream, work, &ms), "cudaLaunchHostFunc");
		if (side != b->stream)
			follow(b, b->stream, side);
		must_cuda(cudaStreamSynchronize(b->stream), "iteration");
	}
	times[1] = now_us();
	job_max(&b->job, times, 2, b->comm, b->stream);
	return (times[1] + times[0]) / 1e3;
}

static void measure_overlap(struct bench *b)
{
	struct lina_plan *owners = plan_of(b, false, false), *placed = plan_of(b, false, true);
	static double after_ms[ROUNDS_MAX], beside_ms[ROUNDS_MAX];
	size_t n = (size_t)b->settings->rounds;
	struct lina_sparse_settings settings;
	struct lina_sparse *sparse;
	cudaStream_t side;

	lina_sparse_settings_default(&settings);
	settings.elements = b->settings->elements;
	must_cuda(cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	must(lina_sparse_create(b->comm, owners, placed, 0, &settings, &sparse), "sparse");
	(void)iterate(b, sparse, side);
	for (size_t i = 0; i < n; i++) {
		after_ms[i] = iterate(b, sparse, b->stream);
		beside_ms[i] = iterate(b, sparse, side);
	}
	stats_sort(after_ms, n);
	stats_sort(beside_ms, n);
	double after = stats_quantile(after_ms, n, 0.5), beside = stats_quantile(beside_ms, n, 0.5);
	double alone = 3 * b->settings->work_ms;
	if (b->job.rank == 0)
		printf("iteration: work alone %.1f ms; all-gather, all-gather, reduce-scatter "
		       "before it %.1f ms, beside it %.1f ms: %.3f of them hidden\n",
			alone, after, beside, (after - beside) / (after - alone));
	lina_sparse_destroy(sparse);
	must_cuda(cudaStreamDestroy(side), "cudaStreamDestroy");
	lina_plan_destroy(placed);
	lina_plan_destroy(owners);
}

/* ---- the process ----------------------------------------------------------------------------- */

static void open_bench(struct bench *b)
{
	const struct settings *s = b->settings;

	if (s->copied > s->experts)
		die("%d of %d experts", s->copied, s->experts);
	b->comm = job_comm_open(&b->job, "expert", s->net);
	b->meeting = meeting_open(&b->job);
	must_cuda(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	b->plain = plain_open(&b->job, b->comm, b->stream);
	must_cuda(cudaEventCreateWithFlags(&b->event, cudaEventDisableTiming),
		"cudaEventCreateWithFlags");
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
	must_cuda(cudaEventDestroy(b->event), "cudaEventDestroy");
	must_cuda(cudaStreamDestroy(b->stream), "cudaStreamDestroy");
	plain_close(b->plain);
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
	if (settings.work_ms > 0)
		measure_overlap(&bench);
	close_bench(&bench);
	return 0;
}
