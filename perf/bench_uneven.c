/*
 * The rank program of perf/bench_uneven: all-to-alls in which some pairs of ranks have more to say
 * than others, by several patterns, one after the other. Prints one line for each all-to-all:
 *
 *     sample PATTERN MICROSECONDS MICROSECONDS-OF-THE-BUSIEST-LINK
 *
 * Every all-to-all is checked once for what came.
 */
#include "perf/job.h"
#include "perf/meeting.h"
#include "perf/mix_times.h"
#include "perf/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 8 };

struct settings {
	const char *pattern[PATTERNS_MAX];
	int npatterns;
	uint64_t unit_bytes;
	int count, warm;
	uint32_t rate_mbps;
};

static const struct argp_option options[] = {
	{ "patterns", 'p', "NAME[,NAME...]", 0,
		"even; hot: four times as much to rank 0; few: ranks 1 and 2 send rank 0 as much "
		"as "
		"all others, which send it nothing; back: the same the other way round, in turns "
		"with "
		"few; random: another one each time (default: all)",
		0 },
	{ "unit-bytes", 'b', "BYTES", 0, "What an ordinary pair sends (default: 1M)", 0 },
	{ "count", 'n', "N", 0, "All-to-alls of a pattern (default: 16)", 0 },
	{ "warm", 'w', "N", 0, "And before them, not counted (default: 12)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'p':
		s->npatterns = options_words(state, "patterns", text, s->pattern, PATTERNS_MAX);
		break;
	case 'b':
		s->unit_bytes = options_number(state, "unit-bytes", text, 4, 1 << 28);
		break;
	case 'n':
		s->count = (int)options_number(state, "count", text, 1, 100000);
		break;
	case 'w':
		s->warm = (int)options_number(state, "warm", text, 0, 100000);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 1, 1000000);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- what is sent ---------------------------------------------------------------------------- */

enum { UNIT = 16, HOT = 4 * UNIT }; /* sixteenths of the unit */

typedef int amount(int from, int to, int nranks, int i);

static int even(int from, int to, int nranks, int i)
{
	(void)from, (void)to, (void)nranks, (void)i;
	return UNIT;
}

static int hot(int from, int to, int nranks, int i)
{
	(void)from, (void)nranks, (void)i;
	return to == 0 ? HOT : UNIT;
}

static int few(int from, int to, int nranks, int i)
{
	(void)i;
	if (to != 0)
		return UNIT;
	return from == 1 || from == 2 ? (nranks - 2) * UNIT : 0;
}

static int back(int from, int to, int nranks, int i)
{
	return i % 2 ? few(to, from, nranks, i) : few(from, to, nranks, i);
}

/* 1 to 64 sixteenths, the logarithm even. */
static int any(int from, int to, int nranks, int i)
{
	unsigned seed =
		((unsigned)i * (unsigned)nranks + (unsigned)from) * (unsigned)nranks + (unsigned)to;

	return 1 << (rand_r(&seed) % 7); /* NOLINT(concurrency-mt-unsafe): no secret, no state */
}

static const struct pattern {
	const char *name;
	amount *amount;
} patterns[] = { { "even", even }, { "hot", hot }, { "few", few }, { "back", back },
	{ "random", any } };
enum { NPATTERNS = sizeof(patterns) / sizeof(patterns[0]) };

static const struct pattern *pattern_named(const char *name)
{
	for (int i = 0; i < NPATTERNS; i++)
		if (strcmp(patterns[i].name, name) == 0)
			return &patterns[i];
	die("there is no pattern '%s'", name);
}

struct bench {
	struct job job;
	const struct settings *settings;
	ncclComm_t comm;
	cudaStream_t stream;
	struct meeting *meeting;
	float *from, *to; /* the same room for each rank */
	size_t room;      /* floats */
	struct mix_span *all;
};

static size_t floats(const struct bench *b, const struct pattern *p, int from, int to, int i)
{
	size_t unit = (size_t)b->settings->unit_bytes / sizeof(float);

	if (from == to)
		return 0;
	return unit * (size_t)p->amount(from, to, b->job.nranks, i) / UNIT;
}

/* Of the busiest link in its busier direction. */
static double line_us(const struct bench *b, const struct pattern *p, int i)
{
	size_t most = 0;

	for (int r = 0; r < b->job.nranks; r++) {
		size_t out = 0, in = 0;
		for (int k = 0; k < b->job.nranks; k++) {
			out += floats(b, p, r, k, i);
			in += floats(b, p, k, r, i);
		}
		most = out > most ? out : most;
		most = in > most ? in : most;
	}
	return (double)(most * sizeof(float)) * 8 / b->settings->rate_mbps;
}

/* ---- the all-to-all -------------------------------------------------------------------------- */

static void exchange(struct bench *b, const struct pattern *p, int i)
{
	int me = b->job.rank;

	must_nccl(ncclGroupStart(), "ncclGroupStart");
	for (int peer = 0; peer < b->job.nranks; peer++) {
		size_t out = floats(b, p, me, peer, i), in = floats(b, p, peer, me, i);
		if (out)
			must_nccl(ncclSend(b->from + (size_t)peer * b->room, out, ncclFloat, peer,
					  b->comm, b->stream),
				"ncclSend");
		if (in)
			must_nccl(ncclRecv(b->to + (size_t)peer * b->room, in, ncclFloat, peer,
					  b->comm, b->stream),
				"ncclRecv");
	}
	must_nccl(ncclGroupEnd(), "uneven all-to-all");
	must_cuda(cudaStreamSynchronize(b->stream), "uneven all-to-all");
}

static float value(int from, int to, size_t at)
{
	return (float)((size_t)from * 131 + (size_t)to * 17 + at % 1021);
}

static void check(struct bench *b, const struct pattern *p, int i)
{
	int me = b->job.rank;

	must_cuda(cudaMemset(b->to, 0, b->room * (size_t)b->job.nranks * sizeof(float)), "memset");
	exchange(b, p, i);
	for (int peer = 0; peer < b->job.nranks; peer++)
		for (size_t at = 0; at < floats(b, p, peer, me, i); at++)
			if (b->to[(size_t)peer * b->room + at] != value(peer, me, at))
				die("%s: float %zu from rank %d is wrong", p->name, at, peer);
}

static void measure(struct bench *b, const struct pattern *p)
{
	const struct settings *s = b->settings;

	check(b, p, 0);
	for (int i = 0; i < s->warm + s->count; i++) {
		struct mix_span span;
		meeting_wait(b->meeting);
		span.start_us = now_us();
		exchange(b, p, i);
		span.end_us = now_us();
		job_gather(&b->job, &span.start_us, 2, &b->all->start_us, b->comm, b->stream);
		if (b->job.rank != 0 || i < s->warm)
			continue;
		span = mix_span_of_all(b->all, b->job.nranks, 1);
		printf("sample %s %.1f %.1f\n", p->name, span.end_us - span.start_us,
			line_us(b, p, i));
	}
	fflush(stdout);
}

static void open_bench(struct bench *b)
{
	int n = b->job.nranks;

	if (n < 3)
		die("%d ranks: at least 3", n);
	b->comm = job_comm_open(&b->job, "expert", "lina");
	b->meeting = meeting_open(&b->job);
	must_cuda(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	b->room = (size_t)b->settings->unit_bytes / sizeof(float) * (size_t)(n > 6 ? n - 2 : 4);
	b->from = job_alloc(b->room * (size_t)n * sizeof(float));
	b->to = job_alloc(b->room * (size_t)n * sizeof(float));
	b->all = calloc((size_t)n, sizeof(*b->all));
	if (b->all == NULL)
		die("no memory for the times of %d ranks", n);
	for (int to = 0; to < n; to++)
		for (size_t at = 0; at < b->room; at++)
			b->from[(size_t)to * b->room + at] = value(b->job.rank, to, at);
}

static void close_bench(struct bench *b)
{
	free(b->all);
	must_cuda(cudaFree(b->to), "cudaFree");
	must_cuda(cudaFree(b->from), "cudaFree");
	must_cuda(cudaStreamDestroy(b->stream), "cudaStreamDestroy");
	meeting_close(b->meeting);
	must_nccl(ncclCommDestroy(b->comm), "ncclCommDestroy");
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times uneven all-to-alls; run by lina-launch.", NULL, NULL, NULL };
	struct settings settings = {
		.pattern = { "even", "hot", "few", "back", "random" },
		.npatterns = NPATTERNS,
		.unit_bytes = 1 << 20,
		.count = 16,
		.warm = 12,
		.rate_mbps = 1000,
	};
	struct bench bench = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&bench.job);
	open_bench(&bench);
	for (int i = 0; i < settings.npatterns; i++)
		measure(&bench, pattern_named(settings.pattern[i]));
	close_bench(&bench);
	return 0;
}
