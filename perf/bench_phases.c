/*
 * The rank program of perf/bench_phases: dispatch and combine of one layer after the other, placed
 * in two phases (lina_sched.h) for what the paths of its tokens let expect, beside a placement by
 * one who knows the counts beforehand, by one who begins when the gate has chosen, and by none.
 */
#include "collectives/lina.h"
#include "collectives/lina_sched.h"
#include "collectives/lina_sparse.h"
#include "collectives/place.h"
#include "perf/meeting.h"
#include "perf/must_lina.h"
#include "perf/options.h"
#include "perf/phases_report.h"
#include "perf/phases_tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPE_BFLOAT16 = 9, CHOICES_MAX = 16 };

struct settings {
	const char *net, *records;
	size_t tokens, hidden, expert_bytes;
	int spare, rounds, top;
	uint32_t rate_mbps;
};

static const struct argp_option options[] = {
	{ "net", 'a', "NET", 0, "Network: the name of NCCL's own or of a plugin (default: lina)",
		0 },
	{ "records", 'f', "FILE", 0,
		"Experts of tokens at every layer (default: tests/data/routing/held-00600.npy.gz)",
		0 },
	{ "tokens", 't', "N", 0, "Tokens of each rank in a batch (default: 512)", 0 },
	{ "hidden", 'd', "N", 0, "Elements of a token, bfloat16 (default: 2048)", 0 },
	{ "expert-bytes", 'e', "N", 0, "Bytes of an expert that is fetched (default: 1M)", 0 },
	{ "spare", 's', "N", 0, "Slots of a device for replicas (default: 2)", 0 },
	{ "top", 'p', "N", 0, "Experts that are compared (default: 2 for each choice)", 0 },
	{ "rounds", 'r', "N", 0, "Times that all batches are taken (default: 2)", 0 },
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
	case 'f':
		s->records = text;
		break;
	case 't':
		s->tokens = options_number(state, "tokens", text, 1, 1 << 20);
		break;
	case 'd':
		s->hidden = options_number(state, "hidden", text, 2, 1 << 20);
		break;
	case 'e':
		s->expert_bytes = options_number(state, "expert-bytes", text, 1, 1 << 30);
		break;
	case 's':
		s->spare = (int)options_number(state, "spare", text, 0, 1024);
		break;
	case 'p':
		s->top = (int)options_number(state, "top", text, 1, 1024);
		break;
	case 'r':
		s->rounds = (int)options_number(state, "rounds", text, 1, 1000);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- who places ------------------------------------------------------------------------------ */

struct method {
	struct lina_sched *sched; /* NULL: nobody */
	struct lina_a2a *a2a;
	char *slots; /* this rank's experts, those of the layer that is run */
};

struct bench {
	struct job job;
	const struct settings *settings;
	struct phases_tokens all;
	ncclComm_t comm;
	cudaStream_t stream;
	struct meeting *meeting;
	struct method method[PHASES_NMETHODS];
	struct lina_tokens tokens;
	int32_t *experts;
	uint16_t *rows, *out;
	float *counts; /* [nranks][nexperts] */
	double *load, *estimate;
	struct phases_point *points;
	size_t npoints;
};

static struct lina_plan *even_plan(const struct bench *b, int spare)
{
	int ndevices = b->job.nranks, n = b->all.nexperts;
	struct lina_place place = { .shape = { b->all.nlayers, n, ndevices, 1,
					    (n + ndevices - 1) / ndevices + spare },
		.ngroups = 1,
		.max_moves = -1 };
	struct lina_counts *even;
	struct lina_plan *plan;

	must(lina_counts_create(b->all.nlayers, n, &even), "counts");
	place.score.counts = even;
	must(lina_place_uniform(&place, &plan), "uniform");
	lina_counts_destroy(even);
	return plan;
}

static void open_method(struct bench *b, enum phases_method method)
{
	struct method *m = &b->method[method];
	struct lina_plan *plan = even_plan(b, method == PHASES_UNIFORM ? 0 : b->settings->spare);
	struct lina_sched_settings sched = { b->settings->top, false };
	struct lina_a2a_settings s;

	lina_a2a_settings_default(&s);
	s.plan = plan;
	s.hidden = b->settings->hidden;
	s.type = (ncclDataType_t)TYPE_BFLOAT16;
	s.max_tokens = b->settings->tokens;
	s.max_choices = b->all.topk;
	must(lina_a2a_create(b->comm, &s, &m->a2a), "create");
	if (method != PHASES_UNIFORM)
		must(lina_sched_create(plan, &sched, &m->sched), "schedule");
	m->slots = job_alloc((size_t)plan->shape.slots_per_device * b->settings->expert_bytes);
	lina_plan_destroy(plan);
}

static void close_method(struct method *m)
{
	must_cuda(cudaFree(m->slots), "cudaFree");
	lina_sched_destroy(m->sched);
	lina_a2a_destroy(m->a2a);
}

/* ---- steps that are timed -------------------------------------------------------------------- */

/* Where this rank has each expert of a plan's layer: in its slot. */
static void **places(
	const struct bench *b, const struct method *m, const struct lina_plan *plan, int layer)
{
	int n = plan->shape.slots_per_device;
	void **at = calloc((size_t)b->all.nexperts, sizeof(*at));

	if (at == NULL)
		die("no memory for experts");
	for (int s = 0; s < n; s++) {
		int e = lina_plan_experts(plan, layer)[b->job.rank * n + s];
		if (e != LINA_SLOT_EMPTY)
			at[e] = m->slots + (size_t)s * b->settings->expert_bytes;
	}
	return at;
}

/* From the placement before to the scheduler's, experts and table. */
static void follow(struct bench *b, struct method *m, const struct lina_plan *before, int layer)
{
	const struct lina_plan *after = lina_sched_plan(m->sched);
	void **from = places(b, m, before, layer), **to = places(b, m, after, layer);

	must(lina_experts_move(
		     b->comm, before, after, layer, b->settings->expert_bytes, from, to, b->stream),
		"move");
	must(lina_a2a_table_set(m->a2a, after), "table");
	free(to);
	free(from);
}

/* What all ranks' gates have chosen, together: each sends its counts to each, one hop and not the
 * several of an allreduce. */
static void count_all(struct bench *b)
{
	size_t n = (size_t)b->all.nexperts;

	float *own = b->counts + (size_t)b->job.rank * n;

	memset(own, 0, n * sizeof(*own));
	for (size_t i = 0; i < b->tokens.n * (size_t)b->all.topk; i++)
		own[b->experts[i]]++;
	must_nccl(ncclGroupStart(), "ncclGroupStart");
	for (int r = 0; r < b->job.nranks; r++) {
		if (r == b->job.rank)
			continue;
		must_nccl(ncclSend(own, n, ncclFloat32, r, b->comm, b->stream), "ncclSend");
		must_nccl(
			ncclRecv(b->counts + (size_t)r * n, n, ncclFloat32, r, b->comm, b->stream),
			"ncclRecv");
	}
	must_nccl(ncclGroupEnd(), "counts");
	must_cuda(cudaStreamSynchronize(b->stream), "counts");
	memset(b->load, 0, n * sizeof(*b->load));
	for (size_t i = 0; i < (size_t)b->job.nranks * n; i++)
		b->load[i % n] += (double)b->counts[i];
}

static void send(struct bench *b, struct method *m)
{
	struct lina_batch *batch;

	must(lina_a2a_dispatch(m->a2a, &b->tokens, b->stream, &batch), "dispatch");
	must(lina_a2a_combine(batch, batch->rows, b->out, b->stream), "combine");
	must_cuda(cudaStreamSynchronize(b->stream), "combine");
}

/* When the gate has chosen: what is still to be done before tokens go. */
static bool after_gate(struct bench *b, struct method *m, int layer, struct phases_point *p)
{
	struct lina_plan *before;
	double start = now_us();
	bool again;

	must(lina_plan_copy(lina_sched_plan(m->sched), &before), "copy");
	count_all(b);
	double counted = now_us();
	must(lina_sched_found(m->sched, layer, b->load, &again), "found");
	double found = now_us();
	lina_sched_took(m->sched, again ? LINA_SCHED_AGAIN : LINA_SCHED_CHECK,
		(uint64_t)((found - start) * 1e3));
	if (again)
		follow(b, m, before, layer);
	p->check_us = counted - start;
	p->plan_us = found - counted;
	p->fetch_us = now_us() - found;
	lina_plan_destroy(before);
	return again;
}

/* ---- and that are not ------------------------------------------------------------------------ */

/* While the layer before runs, or, of the oracle, at any time. */
static void before_gate(
	struct bench *b, struct method *m, int layer, const double *load, struct phases_point *p)
{
	struct lina_plan *before;

	must(lina_plan_copy(lina_sched_plan(m->sched), &before), "copy");
	double start = now_us();
	must(lina_sched_expect(m->sched, layer, load), "expect");
	p->expect_us = now_us() - start;
	lina_sched_took(m->sched, LINA_SCHED_EXPECT, (uint64_t)(p->expect_us * 1e3));
	follow(b, m, before, layer);
	lina_plan_destroy(before);
}

/* Choices that the busiest device takes, by shares. */
static double busiest_of(const struct bench *b, const struct lina_plan *plan, int layer)
{
	const int *expert = lina_plan_experts(plan, layer);
	const double *share = lina_plan_shares(plan, layer);
	int n = plan->shape.slots_per_device;
	double most = 0;

	for (int d = 0; d < plan->shape.ndevices; d++) {
		double sum = 0;
		for (int s = d * n; s < (d + 1) * n; s++)
			if (expert[s] != LINA_SLOT_EMPTY)
				sum += b->load[expert[s]] * share[s];
		most = sum > most ? sum : most;
	}
	return most;
}

static void measure(struct bench *b, enum phases_method method, int layer, struct phases_point *p)
{
	struct method *m = &b->method[method];
	double times[2];

	if (method == PHASES_ORACLE)
		before_gate(b, m, layer, b->load, p);
	if (method == PHASES_TWO)
		before_gate(b, m, layer, b->estimate, p);
	meeting_wait(b->meeting);
	times[0] = -now_us();
	if (method == PHASES_TWO)
		p->hit = !after_gate(b, m, layer, p);
	if (method == PHASES_LATE) {
		struct phases_point unused = { 0 };
		(void)after_gate(b, m, layer, &unused);
	}
	send(b, m);
	times[1] = now_us();
	job_max(&b->job, times, 2, b->comm, b->stream);
	p->time_ms[method] = (times[1] + times[0]) / 1e3;
	if (m->sched != NULL)
		p->busiest[method] = busiest_of(b, lina_sched_plan(m->sched), layer);
}

/* The batch's tokens are divided among the ranks in order. */
static void take_tokens(struct bench *b, int batch, int layer)
{
	size_t n = b->settings->tokens, ranks = (size_t)b->job.nranks;
	size_t first = ((size_t)batch * ranks + (size_t)b->job.rank) * n;

	for (size_t t = 0; t < n; t++)
		phases_tokens_at(&b->all, b->all.ntokens / 2 + first + t, layer,
			&b->experts[t * (size_t)b->all.topk]);
	b->tokens.layer = layer;
	count_all(b);
	phases_tokens_estimate(&b->all, b->all.ntokens / 2 + (size_t)batch * ranks * n, ranks * n,
		layer, b->estimate);
}

static void measure_all(struct bench *b, int nbatches)
{
	for (int round = -1; round < b->settings->rounds; round++) {
		for (int batch = 0; batch < (round < 0 ? 1 : nbatches); batch++)
			for (int layer = 1; layer < b->all.nlayers; layer++) {
				struct phases_point p = { .layer = layer };
				take_tokens(b, batch, layer);
				p.skew = phases_skew(b->load, b->all.nexperts);
				for (int i = 0; i < PHASES_NMETHODS; i++)
					measure(b,
						(enum phases_method)(
							round % 2 ? PHASES_NMETHODS - 1 - i : i),
						layer, &p);
				if (round >= 0)
					b->points[b->npoints++] = p;
			}
		if (b->job.rank == 0)
			printf("progress: round %d of %d\n", round + 1, b->settings->rounds);
		fflush(stdout);
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

static int open_bench(struct bench *b, struct settings *s)
{
	size_t batch = s->tokens * (size_t)b->job.nranks;

	phases_tokens_open(&b->all, s->records);
	if (b->all.topk > CHOICES_MAX || s->top > b->all.nexperts)
		die("%s: %d choices, or less than %d experts", s->records, b->all.topk, s->top);
	if (s->top == 0)
		s->top = 2 * b->all.topk < b->all.nexperts ? 2 * b->all.topk : b->all.nexperts;
	if (b->all.ntokens / 2 < batch)
		die("%s: half of %zu tokens is less than a batch of %zu", s->records,
			b->all.ntokens, batch);
	b->comm = job_comm_open(&b->job, "expert", s->net);
	b->meeting = meeting_open(&b->job);
	must_cuda(cudaStreamCreateWithFlags(&b->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	b->experts = job_alloc(s->tokens * (size_t)b->all.topk * sizeof(*b->experts));
	b->rows = job_alloc(s->tokens * s->hidden * sizeof(*b->rows));
	b->out = job_alloc(s->tokens * s->hidden * sizeof(*b->out));
	b->counts = job_alloc((size_t)b->job.nranks * (size_t)b->all.nexperts * sizeof(*b->counts));
	b->load = calloc((size_t)b->all.nexperts, sizeof(*b->load));
	b->estimate = calloc((size_t)b->all.nexperts, sizeof(*b->estimate));
	b->tokens = (struct lina_tokens){ b->rows, b->experts, NULL, s->tokens, b->all.topk, 0 };
	int nbatches = (int)(b->all.ntokens / 2 / batch);
	b->points = calloc(
		(size_t)nbatches * (size_t)b->all.nlayers * (size_t)s->rounds, sizeof(*b->points));
	if (b->load == NULL || b->estimate == NULL || b->points == NULL)
		die("no memory for %d batches", nbatches);
	for (int m = 0; m < PHASES_NMETHODS; m++)
		open_method(b, (enum phases_method)m);
	return nbatches;
}

static void report(const struct bench *b, int nbatches)
{
	const struct settings *s = b->settings;
	struct lina_sched_stats stats;

	lina_sched_stats(b->method[PHASES_TWO].sched, &stats);
	printf("%s: %d layers of %d experts, %d choices; %d batches of %zu tokens on each of %d "
	       "ranks, %zu elements; experts of %zu bytes, %d spare slots; the %d first experts "
	       "are compared\n",
		s->records, b->all.nlayers, b->all.nexperts, b->all.topk, nbatches, s->tokens,
		b->job.nranks, s->hidden, s->expert_bytes, s->spare, s->top);
	phases_report(b->points, b->npoints, &stats);
}

static void close_bench(struct bench *b)
{
	for (int m = 0; m < PHASES_NMETHODS; m++)
		close_method(&b->method[m]);
	free(b->points);
	free(b->estimate);
	free(b->load);
	must_cuda(cudaFree(b->counts), "cudaFree");
	must_cuda(cudaFree(b->out), "cudaFree");
	must_cuda(cudaFree(b->rows), "cudaFree");
	must_cuda(cudaFree(b->experts), "cudaFree");
	must_cuda(cudaStreamDestroy(b->stream), "cudaStreamDestroy");
	meeting_close(b->meeting);
	must_nccl(ncclCommDestroy(b->comm), "ncclCommDestroy");
	phases_tokens_close(&b->all);
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times layers that are placed in two phases; run by lina-launch.", NULL, NULL,
		NULL };
	struct settings settings = { .net = "lina",
		.records = "tests/data/routing/held-00600.npy.gz",
		.tokens = 512,
		.hidden = 2048,
		.expert_bytes = 1 << 20,
		.spare = 2,
		.rounds = 2 };
	struct bench bench = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&bench.job);
	int nbatches = open_bench(&bench, &settings);
	measure_all(&bench, nbatches);
	if (bench.job.rank == 0)
		report(&bench, nbatches);
	close_bench(&bench);
	return 0;
}
