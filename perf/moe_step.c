/*
 * The rank program of perf/demo: runs training steps of a mixture-of-experts model through NCCL on
 * several networks in one process, alternating between the networks step by step.
 *
 * The defaults are a GPT-2-like model of 12 layers, width 768 and 16 experts at batch 8 x 1024,
 * top-2, fp16 (25.2 MB of tokens per all-to-all and rank; 67.8 M shared parameters, 136 MB of
 * gradient; DistributedDataParallel's 25 MB buckets) on GPUs with 25 Gbit/s each, with every size
 * divided by 25 for links of 1 Gbit/s and every time kept: 1 MiB per rank, 256 KiB for each of 4
 * peers, 453 KB of gradient a layer, buckets of 1 MB.
 */
#include "perf/moe_report.h"
#include "perf/moe_workload.h"
#include "perf/options.h"

#include <stdio.h>
#include <stdlib.h>

struct settings {
	struct moe_model
		model; /* what is not asked for is UNSET until the number of ranks is known */
	const struct moe_preset *preset;
	double scale; /* 0: not asked for */
	const char *nets[MOE_NETS_MAX];
	int nnets;
	int repeats, warmup;
	uint32_t rate_mbps;
	const char *output;
};

enum { KEY_ATTENTION = 256, KEY_EXPERTS, KEY_WARMUP, KEY_SCALE };

#define UNSET_BYTES SIZE_MAX
enum { UNSET = -1 };

static const struct moe_model default_model = { .nlayers = 12,
	.peer_bytes = 256 << 10,
	.gradient_bytes = 453000,
	.bucket_bytes = 1000000,
	.attention_ms = 1.6,
	.experts_ms = 2 };

static const struct argp_option options[] = {
	{ "nets", 'a', "NET[,NET...]", 0,
		"Networks: the name of NCCL's own or of a plugin, or fifo, the plugin with all its "
		"traffic in one class; the first is what the others are compared with (default: "
		"Socket,fifo,lina)",
		0 },
	{ "preset", 'm', "NAME", 0, "A published model, listed below; options change it", 0 },
	{ "scale", KEY_SCALE, "N", 0,
		"Divide the preset's sizes by N (default: the network of its GPUs by --rate)", 0 },
	{ "layers", 'l', "N", 0, "Layers (default: 12)", 0 },
	{ "peer-bytes", 'p', "BYTES", 0, "What an all-to-all sends to each rank (default: 256K)",
		0 },
	{ "gradient-bytes", 'g', "BYTES", 0,
		"Gradient of a layer, 0 for no allreduce (default: 453000)", 0 },
	{ "bucket-bytes", 'b', "BYTES", 0, "Gradient in one allreduce (default: 1000000)", 0 },
	{ "attention-ms", KEY_ATTENTION, "MS", 0, "A layer's attention, forward (default: 1.6)",
		0 },
	{ "experts-ms", KEY_EXPERTS, "MS", 0, "A layer's experts, forward (default: 2)", 0 },
	{ "repeats", 'r', "N", 0, "Steps on each network (default: 9)", 0 },
	{ "warmup", KEY_WARMUP, "N", 0, "Steps before that (default: 1)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s, 0 where it has none", 0 },
	{ "output", 'o', "PATH", 0, "Write PATH.tsv, PATH.steps.tsv and PATH.spans.tsv", 0 },
	{ 0 },
};

static error_t parse_model(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;
	struct moe_model *model = &s->model;

	switch (key) {
	case 'm':
		s->preset = moe_preset_find(text);
		if (s->preset == NULL)
			argp_error(state, "--preset: there is no '%s'", text);
		break;
	case KEY_SCALE:
		s->scale = options_real(state, "scale", text, 1e-3, 1e9);
		break;
	case 'l':
		model->nlayers = (int)options_number(state, "layers", text, 1, 1000);
		break;
	case 'p':
		model->peer_bytes = options_number(state, "peer-bytes", text, 4, 1 << 30);
		break;
	case 'g':
		model->gradient_bytes = options_number(state, "gradient-bytes", text, 0, 1 << 30);
		break;
	case 'b':
		model->bucket_bytes = options_number(state, "bucket-bytes", text, 4, 1 << 30);
		break;
	case KEY_ATTENTION:
		model->attention_ms = options_real(state, "attention-ms", text, 0, 1e5);
		break;
	case KEY_EXPERTS:
		model->experts_ms = options_real(state, "experts-ms", text, 0, 1e5);
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
		s->nnets = options_words(state, "nets", text, s->nets, MOE_NETS_MAX);
		break;
	case 'r':
		s->repeats = (int)options_number(state, "repeats", text, 1, 10000);
		break;
	case KEY_WARMUP:
		s->warmup = (int)options_number(state, "warmup", text, 0, 10000);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	case 'o':
		s->output = text;
		break;
	case ARGP_KEY_SUCCESS:
		if (s->preset != NULL && s->scale == 0 && s->rate_mbps == 0)
			argp_error(state, "--preset needs --scale or --rate");
		break;
	default:
		return parse_model(key, text, state);
	}
	return 0;
}

/* --help: the presets after the options. argp frees the text. */
static char *list_presets(int key, const char *text, void *input)
{
	size_t npresets, used = 0;
	const struct moe_preset *presets = moe_presets(&npresets);
	enum { LINE_BYTES = 160 };
	char *list = key == ARGP_KEY_HELP_POST_DOC ? malloc((npresets + 1) * LINE_BYTES) : NULL;

	(void)input;
	if (list == NULL)
		return (char *)text;
	used += (size_t)sprintf(list,
		"Presets: network of each GPU; layers with experts, tokens, experts of a token:\n");
	for (size_t i = 0; i < npresets; i++)
		used += (size_t)snprintf(list + used, LINE_BYTES, "  %-14s %3u Gbit/s; %s\n",
			presets[i].name, presets[i].gpu_mbps / 1000, presets[i].what);
	return list;
}

/* Fills in what was not asked for. */
static void settle_model(struct settings *s, int nranks)
{
	struct moe_model *model = &s->model, base = default_model;

	if (s->preset != NULL)
		base = moe_preset_model(s->preset,
			s->scale > 0 ? s->scale : (double)s->preset->gpu_mbps / s->rate_mbps,
			nranks);
	if (model->nlayers == UNSET)
		model->nlayers = base.nlayers;
	if (model->peer_bytes == UNSET_BYTES)
		model->peer_bytes = base.peer_bytes;
	if (model->gradient_bytes == UNSET_BYTES)
		model->gradient_bytes = base.gradient_bytes;
	if (model->bucket_bytes == UNSET_BYTES)
		model->bucket_bytes = base.bucket_bytes;
	if (model->attention_ms < 0)
		model->attention_ms = base.attention_ms;
	if (model->experts_ms < 0)
		model->experts_ms = base.experts_ms;
}

/* ---- the steps ------------------------------------------------------------------------------- */

struct bench {
	struct job job;
	const struct settings *settings;
	struct moe_comms comms[MOE_NETS_MAX];
	struct moe_model plain_model; /* without gradients */
	struct moe_step *step, *plain_step;
	cudaStream_t control;
	struct moe_report *report; /* rank 0 only */
	struct moe_span *spans;
	struct moe_alltoall *alltoalls, *all_alltoalls; /* this rank's, every rank's */
};

static void gather_alltoalls(struct bench *bench, int net)
{
	const struct moe_model *model = &bench->settings->model;
	size_t doubles = sizeof(struct moe_alltoall) / sizeof(double);

	moe_alltoalls_find(model, bench->spans, bench->alltoalls);
	job_gather(&bench->job, &bench->alltoalls->time_ms, doubles * (size_t)moe_nalltoalls(model),
		&bench->all_alltoalls->time_ms, bench->comms[net].expert, bench->control);
}

/* repeat < 0: a warm-up. */
static void run_step(struct bench *bench, int net, int repeat)
{
	const struct moe_comms *comms = &bench->comms[net];
	double times_ms[MOE_NTIMES];

	times_ms[MOE_PLAIN_STEP] = moe_step_run(bench->plain_step, comms, bench->spans);
	times_ms[MOE_PLAIN_BACKWARD] = moe_backward_ms(&bench->plain_model, bench->spans);
	times_ms[MOE_BUCKET] = moe_bucket_run(bench->step, comms);
	times_ms[MOE_STEP] = moe_step_run(bench->step, comms, bench->spans);
	times_ms[MOE_BACKWARD] = moe_backward_ms(&bench->settings->model, bench->spans);
	job_max(&bench->job, times_ms, MOE_NTIMES, comms->expert, bench->control);
	gather_alltoalls(bench, net);
	if (bench->report == NULL)
		return;
	if (repeat >= 0)
		moe_report_add(
			bench->report, net, repeat, times_ms, bench->all_alltoalls, bench->spans);
	printf("progress: %s %d of %d, %s: %.0f ms\n", repeat < 0 ? "warm-up" : "step",
		repeat < 0 ? repeat + bench->settings->warmup + 1 : repeat + 1,
		repeat < 0 ? bench->settings->warmup : bench->settings->repeats,
		bench->settings->nets[net], times_ms[MOE_STEP]);
	fflush(stdout);
}

/* Every other round goes through the networks backwards, so that none is always first. */
static void run_steps(struct bench *bench)
{
	const struct settings *s = bench->settings;

	for (int repeat = -s->warmup; repeat < s->repeats; repeat++)
		for (int i = 0; i < s->nnets; i++)
			run_step(bench, repeat % 2 == 0 ? i : s->nnets - 1 - i, repeat);
}

/* ---- the process ----------------------------------------------------------------------------- */

static void open_bench(struct bench *bench)
{
	const struct settings *s = bench->settings;
	size_t nalltoalls = (size_t)moe_nalltoalls(&s->model);

	for (int net = 0; net < s->nnets; net++) {
		struct moe_comms *comms = &bench->comms[net];
		comms->net = s->nets[net];
		comms->expert = job_comm_open(&bench->job, "expert", s->nets[net]);
		comms->data = job_comm_open(&bench->job, "data", s->nets[net]);
	}
	must_cuda(cudaStreamCreateWithFlags(&bench->control, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	bench->plain_model = s->model;
	bench->plain_model.gradient_bytes = 0;
	bench->step = moe_step_open(&bench->job, &s->model);
	bench->plain_step = moe_step_open(&bench->job, &bench->plain_model);
	bench->spans = calloc((size_t)moe_nspans(&s->model), sizeof(*bench->spans));
	bench->alltoalls = calloc(nalltoalls, sizeof(*bench->alltoalls));
	bench->all_alltoalls =
		calloc(nalltoalls * (size_t)bench->job.nranks, sizeof(*bench->alltoalls));
	if (bench->spans == NULL || bench->alltoalls == NULL || bench->all_alltoalls == NULL)
		die("no memory for %zu all-to-alls", nalltoalls);
	if (bench->job.rank == 0)
		bench->report =
			moe_report_open(&bench->job, &s->model, s->nets, s->nnets, s->repeats);
}

static void close_bench(struct bench *bench)
{
	if (bench->report != NULL)
		moe_report_close(bench->report);
	free(bench->all_alltoalls);
	free(bench->alltoalls);
	free(bench->spans);
	moe_step_close(bench->plain_step);
	moe_step_close(bench->step);
	must_cuda(cudaStreamDestroy(bench->control), "cudaStreamDestroy");
	for (int net = bench->settings->nnets - 1; net >= 0; net--) {
		must_nccl(ncclCommDestroy(bench->comms[net].data), "ncclCommDestroy");
		must_nccl(ncclCommDestroy(bench->comms[net].expert), "ncclCommDestroy");
	}
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times training steps of a mixture-of-experts model over several networks side by "
		"side; run by lina-launch.\v",
		NULL, list_presets, NULL };
	struct settings settings = {
		.model = { UNSET, UNSET_BYTES, UNSET_BYTES, UNSET_BYTES, UNSET, UNSET },
		.nets = { "Socket", "fifo", "lina" },
		.nnets = 3,
		.repeats = 9,
		.warmup = 1,
	};
	struct bench bench = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&bench.job);
	settle_model(&settings, bench.job.nranks);
	open_bench(&bench);
	run_steps(&bench);
	if (bench.report != NULL)
		moe_report_print(bench.report, settings.rate_mbps);
	if (bench.report != NULL && settings.output != NULL)
		moe_report_write(bench.report, settings.output);
	close_bench(&bench);
	return 0;
}
