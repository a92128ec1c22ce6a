/* The all-to-all through real NCCL, one rank of a job: random routing against a plain reference,
 * and what must be refused. */
#include "a2a/a2a_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORLDS = 30, CALLS = 3, BFLOAT16 = 9 };

enum lina_packing check_packing = LINA_PACKING_HOST;

struct lina_a2a_settings check_settings(
	const struct lina_plan *plan, size_t hidden, int type, int max_choices)
{
	struct lina_a2a_settings s;

	lina_a2a_settings_default(&s);
	s.plan = plan;
	s.hidden = hidden;
	s.type = (ncclDataType_t)type;
	s.max_tokens = CHECK_TOKENS;
	s.max_choices = max_choices;
	s.packing = check_packing;
	return s;
}

struct lina_plan *check_plan(int ndevices, uint64_t seed)
{
	struct lina_plan_shape shape = { 2, 8, ndevices, 1, 8 / ndevices + 2 };

	return case_plan(&seed, &shape);
}

struct lina_plan *check_turned(int ndevices, int nexperts, int turn, bool all)
{
	struct lina_plan_shape shape = { 1, nexperts, ndevices, 1, nexperts };
	struct lina_plan *plan;

	LINA(lina_plan_create(&shape, &plan));
	for (int d = 0; d < ndevices; d++)
		for (int e = 0; e < nexperts; e++)
			if (all || (e + turn) % ndevices == d)
				lina_plan_experts(plan, 0)[d * nexperts + e] = e;
	lina_plan_share_evenly(plan, 0);
	return plan;
}

const struct routed_shape check_shape = { .hidden = 64,
	.n = CHECK_TOKENS,
	.type = ncclFloat32,
	.nchoices = 2,
	.nexperts = 8,
	.layer = 1,
	.weighted = true,
	.skew = CASE_SKEWED };

void need_error(const char *what, int err, int wanted, const char *says)
{
	if (err != wanted)
		FAIL("%s: %s and not %s (%s)", what, strerror(-err), strerror(-wanted),
			lina_last_error());
	if (strstr(lina_last_error(), says) == NULL)
		FAIL("%s: '%s' does not say '%s'", what, lina_last_error(), says);
}

/* ---- random routing -------------------------------------------------------------------------- */

struct kind {
	int type;
	double tolerance; /* rounding once here and, without duplicates, once on each device */
};
static const struct kind kinds[] = { { ncclFloat32, 0 }, { ncclFloat64, 0 },
	{ ncclFloat16, 0x1p-8 }, { BFLOAT16, 0x1p-5 }, { ncclInt32, 0 }, { ncclInt8, 0 },
	{ ncclUint64, 0 } };
enum { NKINDS = sizeof(kinds) / sizeof(*kinds), NSUMMED = 4 };

struct world {
	struct lina_plan *plan;
	struct lina_a2a_settings settings;
	struct routed_shape shape;
	double tolerance;
};

/* The same on all ranks but for how many tokens there are, and which experts they choose. */
static void world_open(struct world *w, struct test *test, uint64_t *random)
{
	struct lina_plan_shape shape = case_shape(random, test->job.nranks, 3);
	const struct kind *kind = &kinds[case_below(random, NKINDS)];
	bool summed = kind - kinds < NSUMMED;

	w->plan = case_plan(random, &shape);
	w->shape = (struct routed_shape){ .hidden = 1 + case_below(random, 200),
		.type = kind->type,
		.nchoices = summed ? 1 + (int)case_below(random, 8) : 1,
		.nexperts = shape.nexperts,
		.weighted = summed && case_below(random, 4) };
	w->tolerance = kind->tolerance;
	w->settings = check_settings(w->plan, w->shape.hidden, kind->type, w->shape.nchoices);
	w->settings.dedup = case_below(random, 2);
	w->settings.depth = 1 + (int)case_below(random, 3);
	if (case_below(random, 3) == 0)
		w->settings.bound = (uint32_t)(CHECK_TOKENS * w->shape.nchoices);
}

static void run_call(struct world *w, struct test *test, struct lina_a2a *a2a, uint64_t *random)
{
	struct routed routed;
	uint64_t mine = case_below(random, UINT32_MAX) + (uint64_t)test->job.rank;

	w->shape.layer = (int)case_below(random, (uint64_t)w->plan->shape.nlayers);
	w->shape.n = case_below(&mine, 4) ? case_below(&mine, CHECK_TOKENS + 1) : 0;
	w->shape.skew = (enum case_skew)case_below(&mine, CASE_NSKEWS);
	routed_open(&routed, &test->job, mine, &w->shape);
	routed_run(&routed, a2a, test->stream, w->tolerance);
	routed_close(&routed);
}

static void run_random(struct test *test)
{
	uint64_t random = test->seed;
	struct lina_a2a_stats stats;
	uint64_t tokens = 0;

	for (int i = 0; i < test->nworlds; i++) {
		struct lina_a2a *a2a;
		struct world w;
		world_open(&w, test, &random);
		LINA(lina_a2a_create(test->comm, &w.settings, &a2a));
		for (int call = 0; call < CALLS; call++)
			run_call(&w, test, a2a, &random);
		lina_a2a_stats(a2a, &stats);
		tokens += stats.tokens;
		if (stats.calls != CALLS || stats.dropped != 0)
			FAIL("%d calls are counted as %lu, %lu pairs were dropped", CALLS,
				(unsigned long)stats.calls, (unsigned long)stats.dropped);
		lina_a2a_destroy(a2a);
		lina_plan_destroy(w.plan);
	}
	printf("%d placements, %lu tokens of this rank right\n", test->nworlds,
		(unsigned long)tokens);
}

/* ---- parts of a call ------------------------------------------------------------------------- */

static int part_experts(
	void *arg, int part, struct lina_batch *batch, cudaStream_t compute, const void **rows_p)
{
	(void)part;
	routed_experts(arg, batch, compute);
	*rows_p = batch->rows;
	return 0;
}

/* What ends a pipeline part way: an expert that does not exist, or the experts' own error, in part
 * `at` of three. All batches come back. */
struct broken {
	struct routed *routed;
	int fails_at;
};

static int broken_experts(
	void *arg, int part, struct lina_batch *batch, cudaStream_t compute, const void **rows_p)
{
	struct broken *broken = arg;

	return part == broken->fails_at
		       ? -EDOM
		       : part_experts(broken->routed, part, batch, compute, rows_p);
}

static void broken_pipeline(struct test *test, struct lina_a2a *a2a, cudaStream_t compute)
{
	struct routed routed;

	routed_open(&routed, &test->job, 7 + (uint64_t)test->job.rank, &check_shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	for (int at = 0; at < 3; at++) {
		struct broken broken = { &routed, at };
		struct lina_pipeline pipeline = { 3, broken_experts, &broken, test->stream,
			compute };
		int err = lina_a2a_pipeline(a2a, &tokens, routed.out, &pipeline);
		if (err != -EDOM)
			FAIL("experts that fail in part %d: %s", at, strerror(-err));
		broken.fails_at = -1;
		int32_t *choice = &routed.experts[(size_t)at * CHECK_TOKENS / 3 * 2],
			right = *choice;
		*choice = 8;
		err = lina_a2a_pipeline(a2a, &tokens, routed.out, &pipeline);
		if (err != -EINVAL)
			FAIL("no expert in part %d: %s", at, strerror(-err));
		*choice = right;
		LINA(lina_a2a_pipeline(a2a, &tokens, routed.out, &pipeline));
		CUDA(cudaStreamSynchronize(test->stream));
		routed_compare(&routed, 0);
	}
	routed_close(&routed);
}

static void run_pipeline(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 5);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclFloat32, 2);
	struct lina_a2a *a2a;
	struct routed routed;
	cudaStream_t compute;

	CUDA(cudaStreamCreateWithFlags(&compute, cudaStreamNonBlocking));
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	for (int nparts = 1; nparts <= 5; nparts++) {
		routed_open(&routed, &test->job, (uint64_t)nparts * 100 + (uint64_t)test->job.rank,
			&check_shape);
		struct lina_tokens tokens = routed_tokens(&routed);
		struct lina_pipeline pipeline = { nparts, part_experts, &routed, test->stream,
			compute };
		LINA(lina_a2a_pipeline(a2a, &tokens, routed.out, &pipeline));
		CUDA(cudaStreamSynchronize(test->stream));
		routed_compare(&routed, 0);
		routed_close(&routed);
	}
	broken_pipeline(test, a2a, compute);
	lina_a2a_destroy(a2a);
	lina_plan_destroy(plan);
	CUDA(cudaStreamDestroy(compute));
	printf("1 to 5 parts right\n");
}

/* ---- the program ----------------------------------------------------------------------------- */

static const struct scenario {
	const char *name;
	void (*run)(struct test *test);
} scenarios[] = {
	{ "random", run_random },
	{ "pipeline", run_pipeline },
	{ "refuse", run_refuse },
	{ "table", run_table },
	{ "experts", run_experts },
	{ "absent", run_absent },
	{ "killed", run_killed },
	{ "killed-experts", run_killed_experts },
};

/* With --nonblocking its calls come back before anything is on the stream. */
static void open_comm(struct test *test)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;

	config.blocking = !test->nonblocking;
	NCCL(job_try_comm_config(&test->job, "a2a", &config, &test->comm));
}

static void close_comm(struct test *test)
{
	ncclResult_t state = ncclCommFinalize(test->comm);

	while (state == ncclInProgress)
		NCCL(ncclCommGetAsyncError(test->comm, &state));
	NCCL(state);
	NCCL(ncclCommDestroy(test->comm));
}

struct options {
	struct test test;
	const struct scenario *scenario[8];
	int nscenarios;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->test.job;
		return 0;
	case 'n':
		options->test.nworlds = atoi(text);
		return 0;
	case 'N':
		options->test.nonblocking = true;
		return 0;
	case 'p':
		if (strcmp(text, "host") != 0 && strcmp(text, "cuda") != 0)
			argp_error(state, "packing is by 'host' or 'cuda', not by '%s'", text);
		check_packing = text[0] == 'c' ? LINA_PACKING_CUDA : LINA_PACKING_HOST;
		return 0;
	case 's':
		options->test.seed = strtoull(text, NULL, 0);
		return 0;
	case ARGP_KEY_ARG:
		for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
			if (strcmp(text, scenarios[i].name) == 0 && options->nscenarios < 8) {
				options->scenario[options->nscenarios++] = &scenarios[i];
				return 0;
			}
		argp_error(state, "there is no scenario '%s'", text);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	const struct argp_option own[] = {
		{ "worlds", 'n', "N", 0, "Random placements (default: 30)", 0 },
		{ "nonblocking", 'N', 0, 0, "A communicator whose calls do not wait", 0 },
		{ "packing", 'p', "WHO", 0, "host or cuda (default: host)", 0 },
		{ "seed", 's', "N", 0, "Of what is random (default: 1)", 0 },
		{ 0 },
	};
	struct argp_child children[] = { { &job_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { own, parse, "SCENARIO...",
		"The all-to-all of liblina, with results compared.", children, NULL, NULL };
	struct options options = { .test = { .nworlds = WORLDS, .seed = 1 } };
	struct test *test = &options.test;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	job_start(&test->job);
	open_comm(test);
	job_check_network(&test->job);
	CUDA(cudaStreamCreateWithFlags(&test->stream, cudaStreamNonBlocking));
	for (int i = 0; i < options.nscenarios; i++)
		options.scenario[i]->run(test);
	CUDA(cudaStreamDestroy(test->stream));
	if (test->comm != NULL)
		close_comm(test);
	return 0;
}
