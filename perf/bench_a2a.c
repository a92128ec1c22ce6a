/*
 * The rank program of perf/bench_a2a: dispatch and combine of the same tokens by several layouts,
 * in one process over one network, alternating from call to call.
 */
#include "collectives/lina.h"
#include "collectives/place.h"
#include "collectives/plan_bound.h"
#include "perf/a2a_counts.h"
#include "perf/a2a_padded.h"
#include "perf/a2a_report.h"
#include "perf/meeting.h"
#include "perf/must_lina.h"
#include "perf/options.h"

#include "collectives/a2a_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_BFLOAT16 = 9, METHODS_MAX = A2A_METHODS_MAX, LAYERS_MAX = 16 };

struct settings {
	const char *net, *counts, *task;
	double zipf;
	size_t tokens, hidden;
	int choices, spare, rounds, nlayers;
	uint32_t rate_mbps;
	const char *output;
};

static const struct argp_option options[] = {
	{ "net", 'a', "NET", 0, "Network: the name of NCCL's own or of a plugin (default: lina)",
		0 },
	{ "counts", 'c', "FILE", 0, "How often experts are chosen, CSV (default: made up)", 0 },
	{ "task", 'T', "NAME", 0, "Only lines that begin with NAME", 0 },
	{ "zipf", 'z', "X", 0,
		"Without --counts: 4 layers of 64 experts by Zipf's law (default: 1)", 0 },
	{ "tokens", 't', "N", 0, "Tokens of each rank (default: 128)", 0 },
	{ "hidden", 'd', "N", 0, "Elements of a token, bfloat16 (default: 2048)", 0 },
	{ "choices", 'k', "N", 0, "Experts of a token (default: 8)", 0 },
	{ "spare", 's', "N", 0, "Slots of a device for replicas (default: 2)", 0 },
	{ "rounds", 'r', "N", 0, "Calls of each layout for each layer (default: 10)", 0 },
	{ "layers", 'l', "N", 0, "Layers, evenly from those there are (default: 3)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s, 0 where it has none", 0 },
	{ "output", 'o', "PATH", 0, "Write PATH.tsv and PATH.samples.tsv", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'a':
		s->net = text;
		break;
	case 'c':
		s->counts = text;
		break;
	case 'T':
		s->task = text;
		break;
	case 'z':
		s->zipf = options_real(state, "zipf", text, 0, 10);
		break;
	case 't':
		s->tokens = options_number(state, "tokens", text, 1, 1 << 20);
		break;
	case 'd':
		s->hidden = options_number(state, "hidden", text, 2, 1 << 20);
		break;
	case 'k':
		s->choices = (int)options_number(state, "choices", text, 1, 64);
		break;
	case 's':
		s->spare = (int)options_number(state, "spare", text, 0, 1024);
		break;
	case 'r':
		s->rounds = (int)options_number(state, "rounds", text, 1, 10000);
		break;
	case 'l':
		s->nlayers = (int)options_number(state, "layers", text, 1, LAYERS_MAX);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	case 'o':
		s->output = text;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- layouts --------------------------------------------------------------------------------- */

struct method {
	const char *name;
	struct lina_plan *plan; /* NULL: padded */
	struct lina_a2a *a2a;
};

struct bench {
	struct job job;
	const struct settings *settings;
	struct lina_counts *counts; /* of the layers that are measured */
	int layer[LAYERS_MAX];      /* what the file calls them */
	struct lina_fabric *fabric;
	ncclComm_t comm;
	cudaStream_t stream;
	struct meeting *meeting;
	struct a2a_padded *padded;
	struct method method[METHODS_MAX];
	int nmethods;
	struct lina_tokens tokens;
	int32_t *experts;
	float *weights;
	uint16_t *rows, *out;
	struct a2a_span *spans; /* this rank's, in the order in which they were measured */
	size_t nspans;
};

static struct lina_place place_for(const struct bench *b, int spare)
{
	int ndevices = b->job.nranks, nexperts = b->counts->nexperts;
	struct lina_place place = { .shape = { b->counts->nlayers, nexperts, ndevices, 1,
					    (nexperts + ndevices - 1) / ndevices + spare },
		.ngroups = 1,
		.max_moves = -1 };

	place.score.counts = b->counts;
	place.score.fabric = b->fabric;
	place.score.model = lina_score_model_default();
	return place;
}

static void add_method(struct bench *b, const char *name, struct lina_plan *plan, bool dedup)
{
	struct method *method = &b->method[b->nmethods++];
	struct lina_a2a_settings s;

	*method = (struct method){ name, plan, NULL };
	if (plan == NULL)
		return;
	lina_a2a_settings_default(&s);
	s.plan = plan;
	s.hidden = b->settings->hidden;
	s.type = (ncclDataType_t)TYPE_BFLOAT16;
	s.max_tokens = b->settings->tokens;
	s.max_choices = b->settings->choices;
	s.dedup = dedup;
	must(lina_a2a_create(b->comm, &s, &method->a2a), name);
}

/* A placement twice: every pair sent, and every token once to a device. */
static void add_both(
	struct bench *b, const char *name, const char *name_dedup, struct lina_plan *plan)
{
	struct lina_plan *copy;

	must(lina_plan_copy(plan, &copy), name);
	add_method(b, name, plan, false);
	add_method(b, name_dedup, copy, true);
}

static void open_methods(struct bench *b)
{
	struct lina_place uniform = place_for(b, 0), spare = place_for(b, b->settings->spare);
	struct lina_proportional_settings proportional = lina_proportional_settings_default();
	struct lina_best_settings best = lina_best_settings_default();
	struct lina_plan *plan;

	proportional.max_per_device = spare.shape.slots_per_device;
	add_method(b, "padded", NULL, false);
	must(lina_place_uniform(&uniform, &plan), "uniform");
	add_both(b, "uniform", "uniform-dedup", plan);
	must(lina_place_eplb(&spare, &plan), "eplb");
	add_both(b, "eplb", "eplb-dedup", plan);
	must(lina_place_proportional(&spare, &proportional, &plan), "lina");
	add_both(b, "lina", "lina-dedup", plan);
	must(lina_place_best(&spare, &best, &plan), "best");
	add_both(b, "best", "best-dedup", plan);
	b->padded = a2a_padded_open(&b->job, b->comm, b->counts->nexperts, b->settings->hidden);
}

/* ---- timing ---------------------------------------------------------------------------------- */

static void run(struct bench *b, const struct method *method)
{
	struct lina_batch *batch;

	if (method->a2a == NULL) {
		a2a_padded_run(b->padded, &b->tokens, b->out, b->stream);
		return;
	}
	must(lina_a2a_dispatch(method->a2a, &b->tokens, b->stream, &batch), "dispatch");
	must(lina_a2a_combine(batch, batch->rows, b->out, b->stream), "combine");
	must_cuda(cudaStreamSynchronize(b->stream), "combine");
}

/* Experts return what they get and weights have a sum of 1, so each token comes back as it was, but
 * for what bfloat16 rounds away. */
static void must_be_back(const struct bench *b, const char *name)
{
	for (size_t i = 0; i < b->settings->tokens * b->settings->hidden; i++) {
		float is = lina_float_of_bfloat(b->out[i]);
		float was = lina_float_of_bfloat(b->rows[i]);
		if (!(is >= was * 0.98f && is <= was * 1.02f))
			die("%s: element %zu came back as %g, not %g", name, i, (double)is,
				(double)was);
	}
}

static void measure(struct bench *b, int method, int layer, bool keep)
{
	struct a2a_span span = { .method = method, .layer = layer };

	meeting_wait(b->meeting);
	span.start_us = now_us();
	run(b, &b->method[method]);
	span.end_us = now_us();
	must_be_back(b, b->method[method].name);
	memset(b->out, 0, b->settings->tokens * b->settings->hidden * sizeof(*b->out));
	if (keep)
		b->spans[b->nspans++] = span;
}

/* New tokens in each round, the same for every layout; every other round goes backwards. Round -1
 * is a warm-up. */
static void measure_all(struct bench *b)
{
	const struct settings *s = b->settings;

	for (int round = -1; round < s->rounds; round++) {
		for (int l = 0; l < s->nlayers; l++) {
			uint64_t seed = ((uint64_t)(round + 1) * LAYERS_MAX + (uint64_t)l) * 4096 +
					(uint64_t)b->job.rank;
			a2a_counts_draw(b->counts, l, seed << 20, s->tokens, s->choices, b->experts,
				b->weights);
			b->tokens.layer = l;
			for (int i = 0; i < b->nmethods; i++)
				measure(b, round % 2 ? b->nmethods - 1 - i : i, l, round >= 0);
		}
		if (b->job.rank == 0)
			printf("progress: round %d of %d\n", round + 1, s->rounds);
		fflush(stdout);
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

static void open_tokens(struct bench *b)
{
	const struct settings *s = b->settings;
	size_t npairs = s->tokens * (size_t)s->choices, n = s->tokens * s->hidden;

	b->experts = job_alloc(npairs * sizeof(*b->experts));
	b->weights = job_alloc(npairs * sizeof(*b->weights));
	b->rows = job_alloc(n * sizeof(*b->rows));
	b->out = job_alloc(n * sizeof(*b->out));
	for (size_t i = 0; i < n; i++)
		b->rows[i] = lina_bfloat_of_float(1 + (float)(i % 128) / 128);
	b->tokens =
		(struct lina_tokens){ b->rows, b->experts, b->weights, s->tokens, s->choices, 0 };
}

/* Evenly from those there are. */
static void choose_layers(struct bench *b, struct settings *s, struct lina_counts *all)
{
	if (s->nlayers > all->nlayers)
		s->nlayers = all->nlayers;
	if (lina_counts_create(s->nlayers, all->nexperts, &b->counts) != 0)
		die("no memory for counts");
	for (int l = 0; l < s->nlayers; l++) {
		b->layer[l] = s->nlayers == 1 ? 0 : l * (all->nlayers - 1) / (s->nlayers - 1);
		memcpy(lina_counts_layer(b->counts, l), lina_counts_layer(all, b->layer[l]),
			(size_t)all->nexperts * sizeof(double));
	}
	lina_counts_destroy(all);
}

static void open_bench(struct bench *b, struct settings *s)
{
	choose_layers(b, s,
		s->counts != NULL ? a2a_counts_read(s->counts, s->task)
				  : a2a_counts_zipf(4, 64, s->zipf));
	if (s->choices > b->counts->nexperts)
		die("%d choices of %d experts", s->choices, b->counts->nexperts);
	/* Within a host nothing is in the way. */
	if (lina_fabric_even(
		    b->job.nranks, 100, s->rate_mbps > 0 ? s->rate_mbps / 8e3 : 1, &b->fabric) != 0)
		die("no memory for the fabric");
	b->comm = job_comm_open(&b->job, "expert", s->net);
	b->meeting = meeting_open(&b->job);
	must_cuda(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	open_tokens(b);
	open_methods(b);
	b->spans = calloc(
		(size_t)s->rounds * (size_t)s->nlayers * (size_t)b->nmethods, sizeof(*b->spans));
	if (b->spans == NULL)
		die("no memory for times");
}

/* ---- what the model says --------------------------------------------------------------------- */

/* One layer alone, with hardly any compute, so that its score is the time of the busiest link. */
static struct lina_place layer_for(const struct bench *b, int layer, struct lina_counts **one_p)
{
	struct lina_place place = place_for(b, b->settings->spare);
	size_t n = (size_t)b->counts->nexperts;

	must(lina_counts_create(1, b->counts->nexperts, one_p), "counts");
	memcpy(lina_counts_layer(*one_p, 0), lina_counts_layer(b->counts, layer),
		n * sizeof(double));
	place.shape.nlayers = 1;
	place.score.counts = *one_p;
	place.score.model.token_ns = 1e-3;
	return place;
}

static double comm_ns(const struct bench *b, const struct lina_plan *plan, int layer)
{
	const struct lina_place place = place_for(b, 0);
	struct lina_layer_score of[LAYERS_MAX];
	struct lina_plan_score sum;

	must(lina_plan_score(plan, &place.score, of, &sum), "score");
	return of[layer].comm_ns;
}

/* Every pair sent: how much less than uniform the busiest link has to carry, where tokens come as
 * the counts say; and what no placement can exceed. */
static void show_model(const struct bench *b)
{
	for (int l = 0; l < b->counts->nlayers; l++) {
		struct lina_counts *one;
		const struct lina_place place = layer_for(b, l, &one);
		double uniform_ns = 0, bound_ns;
		must(lina_plan_bound(&place, NULL, &bound_ns), "bound");
		printf("layer %d by the model, x uniform:", b->layer[l]);
		for (int m = 1; m < b->nmethods; m += 2) {
			double ns = comm_ns(b, b->method[m].plan, l);
			if (m == 1)
				uniform_ns = ns;
			else
				printf(" %s %.2f,", b->method[m].name, uniform_ns / ns);
		}
		printf(" at most %.2f\n", uniform_ns / bound_ns);
		lina_counts_destroy(one);
	}
}

static void report(struct bench *b, const struct a2a_span *all)
{
	const struct settings *s = b->settings;
	struct a2a_case c = { .nmethods = b->nmethods,
		.nlayers = s->nlayers,
		.nranks = b->job.nranks,
		.rounds = s->rounds,
		.tokens = s->tokens,
		.hidden = s->hidden,
		.choices = s->choices,
		.spare = s->spare,
		.rate_mbps = s->rate_mbps,
		.what = s->counts != NULL ? s->counts : "Zipf" };

	for (int m = 0; m < b->nmethods; m++) {
		c.name[m] = b->method[m].name;
		if (b->method[m].a2a != NULL) {
			struct lina_a2a_stats stats;
			lina_a2a_stats(b->method[m].a2a, &stats);
			c.rows_sent[m] = (double)stats.rows_sent / (double)stats.calls;
		}
	}
	for (int l = 0; l < s->nlayers; l++) {
		c.layer[l] = b->layer[l];
		c.skew[l] = a2a_counts_skew(b->counts, l);
	}
	a2a_report_print(&c, all, b->nspans);
	show_model(b);
	if (s->output != NULL)
		a2a_report_write(&c, all, b->nspans, s->output);
}

static void close_bench(struct bench *b)
{
	free(b->spans);
	a2a_padded_close(b->padded);
	for (int m = 0; m < b->nmethods; m++) {
		lina_a2a_destroy(b->method[m].a2a);
		lina_plan_destroy(b->method[m].plan);
	}
	must_cuda(cudaFree(b->out), "cudaFree");
	must_cuda(cudaFree(b->rows), "cudaFree");
	must_cuda(cudaFree(b->weights), "cudaFree");
	must_cuda(cudaFree(b->experts), "cudaFree");
	must_cuda(cudaStreamDestroy(b->stream), "cudaStreamDestroy");
	meeting_close(b->meeting);
	must_nccl(ncclCommDestroy(b->comm), "ncclCommDestroy");
	lina_fabric_destroy(b->fabric);
	lina_counts_destroy(b->counts);
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times dispatch and combine by several layouts side by side; run by lina-launch.",
		NULL, NULL, NULL };
	struct settings settings = { .net = "lina",
		.zipf = 1,
		.tokens = 128,
		.hidden = 2048,
		.choices = 8,
		.spare = 2,
		.rounds = 10,
		.nlayers = 3 };
	struct bench bench = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&bench.job);
	open_bench(&bench, &settings);
	measure_all(&bench);
	size_t doubles = bench.nspans * sizeof(struct a2a_span) / sizeof(double);
	struct a2a_span *all = calloc(bench.nspans * (size_t)bench.job.nranks, sizeof(*all));
	if (all == NULL)
		die("no memory for times");
	job_gather(
		&bench.job, &bench.spans->method, doubles, &all->method, bench.comm, bench.stream);
	if (bench.job.rank == 0)
		report(&bench, all);
	free(all);
	close_bench(&bench);
	return 0;
}
