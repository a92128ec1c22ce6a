/*
 * The rank program of perf/bench_mix: all-to-alls beside an allreduce, over several networks in one
 * process, alternating between the networks round by round.
 */
#include "perf/mix_report.h"
#include "perf/mix_work.h"
#include "perf/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_MAX = 1000 };

struct settings {
	const char *nets[MIX_NETS_MAX];
	int nnets;
	struct mix_shape shape;
	int alone, count; /* all-to-alls in one round: alone, beside an allreduce */
	int rounds;
	int reopen; /* rounds on the same connections; 0: all */
	uint32_t rate_mbps;
	int per_host;
	const char *output;
};

/* ---- the command line ------------------------------------------------------------------------ */

enum { KEY_GAP = 256, KEY_UNEVEN, KEY_ALONE, KEY_PER_HOST };

static const struct argp_option options[] = {
	{ "nets", 'a', "NET[,NET...]", 0,
		"Networks: the name of NCCL's own or of a plugin, or fifo, the plugin with all its "
		"traffic in one class (default: Socket,fifo,lina)",
		0 },
	{ "peer-bytes", 'p', "BYTES", 0, "What an all-to-all sends to each rank (default: 256K)",
		0 },
	{ "uneven", KEY_UNEVEN, NULL, 0, "Send four times as much to rank 0", 0 },
	{ "allreduce-bytes", 'b', "BYTES", 0, "Size of the allreduce (default: 32M)", 0 },
	{ "gap-ms", KEY_GAP, "MS", 0,
		"Compute before each all-to-all beside an allreduce (default: 5)", 0 },
	{ "count", 'n', "N", 0, "All-to-alls beside an allreduce (default: 24)", 0 },
	{ "alone", KEY_ALONE, "N", 0, "All-to-alls alone in each round (default: 8)", 0 },
	{ "rounds", 'r', "N", 0, "Rounds on each network (default: 8)", 0 },
	{ "reopen", 'k', "N", 0,
		"Open new connections after every N rounds, 0 for never (default: 4)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s, 0 where it has none", 0 },
	{ "per-host", KEY_PER_HOST, "N", 0, "Ranks in a row that share a link (default: 1)", 0 },
	{ "output", 'o', "PATH", 0, "Write PATH.tsv and PATH.samples.tsv", 0 },
	{ 0 },
};

static error_t parse_work(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'p':
		s->shape.peer_bytes = options_number(state, "peer-bytes", text, 4, 1 << 30);
		break;
	case KEY_UNEVEN:
		s->shape.uneven = true;
		break;
	case 'b':
		s->shape.allreduce_bytes =
			options_number(state, "allreduce-bytes", text, 4, UINT64_C(1) << 34);
		break;
	case KEY_GAP:
		s->shape.gap_ms = options_real(state, "gap-ms", text, 0, 1e5);
		break;
	case 'n':
		s->count = (int)options_number(state, "count", text, 1, COUNT_MAX);
		break;
	case KEY_ALONE:
		s->alone = (int)options_number(state, "alone", text, 1, COUNT_MAX);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'a':
		s->nnets = options_words(state, "nets", text, s->nets, MIX_NETS_MAX);
		break;
	case 'r':
		s->rounds = (int)options_number(state, "rounds", text, 1, 100000);
		break;
	case 'k':
		s->reopen = (int)options_number(state, "reopen", text, 0, 100000);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	case KEY_PER_HOST:
		s->per_host = (int)options_number(state, "per-host", text, 1, 64);
		break;
	case 'o':
		s->output = text;
		break;
	default:
		return parse_work(key, text, state);
	}
	return 0;
}

/* ---- timing ---------------------------------------------------------------------------------- */

struct bench {
	struct job job;
	const struct settings *settings;
	struct mix_comms comms[MIX_NETS_MAX];
	struct mix_work *work;
	cudaStream_t control;
	/* Of one round: the all-to-alls alone, the allreduce alone, the allreduce beside
	 * all-to-alls, those. This rank's, every rank's. */
	struct mix_span *spans, *all_spans;
	struct mix_samples samples[MIX_NETS_MAX]; /* rank 0 only */
	int nopened;                              /* sets of communicators so far */
};

static size_t nspans(const struct settings *s)
{
	return (size_t)s->alone + 2 + (size_t)s->count;
}

/* Opens communicators on each network, then closes those that there were. Not the other way round:
 * NCCL 2.29 unloads a plugin with its last communicator and has forgotten its name by then. New
 * connections each time, because one keeps what TCP has learnt as long as it lives. */
static void open_comms(struct bench *bench)
{
	char expert[32], data[32];

	(void)snprintf(expert, sizeof(expert), "expert%d", bench->nopened);
	(void)snprintf(data, sizeof(data), "data%d", bench->nopened++);
	for (int i = 0; i < bench->settings->nnets; i++) {
		const char *net = bench->settings->nets[i];
		struct mix_comms old = bench->comms[i];
		bench->comms[i].expert = job_comm_open(&bench->job, expert, net);
		bench->comms[i].data = job_comm_open(&bench->job, data, net);
		if (old.expert != NULL)
			must_nccl(ncclCommDestroy(old.expert), "ncclCommDestroy");
		if (old.data != NULL)
			must_nccl(ncclCommDestroy(old.data), "ncclCommDestroy");
		mix_check(bench->work, &bench->comms[i]);
	}
}

static void keep(struct bench *bench, int net, enum mix_kind kind, struct mix_span span)
{
	if (mix_samples_add(&bench->samples[net], kind, span.end_us - span.start_us) != 0)
		die("no memory for samples");
}

/* Rank 0: makes samples of what every rank saw in a round. */
static void evaluate(struct bench *bench, int net)
{
	const struct settings *s = bench->settings;
	int n = bench->job.nranks;
	size_t stride = nspans(s);
	const struct mix_span *alone = bench->all_spans, *allreduce = alone + s->alone;
	const struct mix_span *beside = allreduce + 1, *under = beside + 1;
	struct mix_span both = mix_span_of_all(beside, n, stride);

	for (int i = 0; i < s->alone; i++)
		keep(bench, net, MIX_ALONE, mix_span_of_all(&alone[i], n, stride));
	keep(bench, net, MIX_ALLREDUCE, mix_span_of_all(allreduce, n, stride));
	for (int i = 0; i < s->count; i++) {
		struct mix_span span = mix_span_of_all(&under[i], n, stride);
		bool inside = mix_span_inside(&under[i], beside, n, stride);
		keep(bench, net, inside ? MIX_UNDER : MIX_AFTER, span);
		if (span.end_us > both.end_us)
			both.end_us = span.end_us;
	}
	keep(bench, net, MIX_BOTH, both);
}

static void measure(struct bench *bench, int net)
{
	const struct settings *s = bench->settings;
	const struct mix_comms *comms = &bench->comms[net];
	struct mix_span *span = bench->spans;

	for (int i = 0; i < s->alone; i++)
		mix_alltoall(bench->work, comms, span++);
	mix_allreduce(bench->work, comms, span++);
	mix_both(bench->work, comms, s->count, span, span + 1);
	job_gather(&bench->job, &bench->spans->start_us, nspans(s) * sizeof(*span) / sizeof(double),
		&bench->all_spans->start_us, comms->expert, bench->control);
	if (bench->job.rank == 0)
		evaluate(bench, net);
}

/* Every other round goes through the networks backwards, so that none is always first. */
static void measure_all(struct bench *bench)
{
	const struct settings *s = bench->settings;

	for (int round = 0; round < s->rounds; round++) {
		if (round == 0 || (s->reopen > 0 && round % s->reopen == 0))
			open_comms(bench);
		for (int i = 0; i < s->nnets; i++)
			measure(bench, round % 2 == 0 ? i : s->nnets - 1 - i);
		if (bench->job.rank != 0)
			continue;
		printf("progress: round %d of %d\n", round + 1, s->rounds);
		fflush(stdout);
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

static void report(struct bench *bench)
{
	const struct settings *s = bench->settings;
	double link_bytes = mix_link_bytes(&s->shape, bench->job.nranks, s->per_host);
	struct mix_case c = {
		.nets = s->nets,
		.nnets = s->nnets,
		.nranks = bench->job.nranks,
		.per_host = s->per_host,
		.rounds = s->rounds,
		.peer_bytes = s->shape.peer_bytes,
		.allreduce_bytes = s->shape.allreduce_bytes,
		.shape = s->shape.uneven ? "uneven" : "even",
		.rate_mbps = s->rate_mbps,
		.setting = { s->count, s->shape.gap_ms * 1e3,
			s->rate_mbps > 0 ? link_bytes * 8 / s->rate_mbps : 0 },
	};

	for (int net = 0; net < s->nnets; net++)
		if (strcmp(s->nets[net], "fifo") == 0)
			c.reference = net;
	mix_report_print(&c, bench->samples);
	if (s->output != NULL)
		mix_report_write(&c, bench->samples, s->output);
}

static void open_bench(struct bench *bench)
{
	size_t n = nspans(bench->settings);

	must_cuda(cudaStreamCreateWithFlags(&bench->control, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	bench->work = mix_work_open(&bench->job, &bench->settings->shape);
	bench->spans = calloc(n, sizeof(*bench->spans));
	bench->all_spans = calloc(n * (size_t)bench->job.nranks, sizeof(*bench->all_spans));
	if (bench->spans == NULL || bench->all_spans == NULL)
		die("no memory for %zu times of each rank", n);
}

static void close_bench(struct bench *bench)
{
	for (int net = bench->settings->nnets - 1; net >= 0; net--) {
		mix_samples_free(&bench->samples[net]);
		must_nccl(ncclCommDestroy(bench->comms[net].data), "ncclCommDestroy");
		must_nccl(ncclCommDestroy(bench->comms[net].expert), "ncclCommDestroy");
	}
	free(bench->all_spans);
	free(bench->spans);
	mix_work_close(bench->work);
	must_cuda(cudaStreamDestroy(bench->control), "cudaStreamDestroy");
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times all-to-alls beside an allreduce over several networks side by side; run by "
		"lina-launch.",
		NULL, NULL, NULL };
	struct settings settings = {
		.nets = { "Socket", "fifo", "lina" },
		.nnets = 3,
		.shape = { .peer_bytes = 256 << 10, .allreduce_bytes = 32 << 20, .gap_ms = 5 },
		.alone = 8,
		.count = 24,
		.rounds = 8,
		.reopen = 4,
		.per_host = 1,
	};
	struct bench bench = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&bench.job);
	open_bench(&bench);
	measure_all(&bench);
	if (bench.job.rank == 0)
		report(&bench);
	close_bench(&bench);
	return 0;
}
