/*
 * The rank program of perf/play: gives NCCL the collectives of an order (order.h) as the framework
 * it is taken from does, over several networks in one process, alternating between them step by
 * step. Each group has a communicator, which has the group's name, and a stream; compute is a host
 * function that sleeps.
 */
#include "perf/job.h"
#include "perf/options.h"
#include "perf/order.h"
#include "perf/result_file.h"
#include "perf/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NETS_MAX = 4, ROUNDS_MAX = 10000 };

/* Of a step, of the slowest rank, in ms: all of it; all its all-to-alls, one after the other. */
enum play_time { PLAY_STEP, PLAY_ALLTOALLS, PLAY_NTIMES };

struct settings {
	const char *path;
	const char *nets[NETS_MAX];
	int nnets, rounds;
	double scale; /* 0: not asked for */
	uint32_t rate_mbps;
	const char *output;
};

struct play {
	struct job job;
	const struct settings *settings;
	struct order *order;
	double scale;
	ncclComm_t comm[NETS_MAX][ORDER_GROUPS_MAX];
	cudaStream_t compute, stream[ORDER_GROUPS_MAX];
	cudaEvent_t reached, done[ORDER_GROUPS_MAX]; /* each is recorded on one stream only */
	float *from[ORDER_GROUPS_MAX], *to[ORDER_GROUPS_MAX];
	struct timespec *sleep; /* [nops] */
	struct span {
		cudaEvent_t start, end;
	} * span;                                /* [nops], of all-to-alls */
	double *times_ms[NETS_MAX][PLAY_NTIMES]; /* [rounds], rank 0 only */
};

static const struct argp_option options[] = {
	{ "nets", 'a', "NET[,NET...]", 0,
		"Networks: the name of NCCL's own or of a plugin, or fifo, the plugin with all its "
		"traffic in one class; the first is what the others are compared with (default: "
		"Socket,fifo,lina)",
		0 },
	{ "rounds", 'r', "N", 0, "Steps on each network (default: 9)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s, 0 where it has none", 0 },
	{ "scale", 's', "N", 0,
		"Divide sizes by N (default: the order's link by --rate, so that times stay)", 0 },
	{ "output", 'o', "PATH", 0, "Write PATH.tsv and PATH.samples.tsv", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'a':
		s->nnets = options_words(state, "nets", text, s->nets, NETS_MAX);
		break;
	case 'r':
		s->rounds = (int)options_number(state, "rounds", text, 1, ROUNDS_MAX);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	case 's':
		s->scale = options_real(state, "scale", text, 1e-3, 1e9);
		break;
	case 'o':
		s->output = text;
		break;
	case ARGP_KEY_ARG:
		if (s->path != NULL)
			argp_error(state, "two orders: '%s' and '%s'", s->path, text);
		s->path = text;
		break;
	case ARGP_KEY_SUCCESS:
		if (s->path == NULL)
			argp_error(state, "no order");
		if (s->scale == 0 && s->rate_mbps == 0)
			argp_error(state, "neither --rate nor --scale");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- open and close -------------------------------------------------------------------------- */

static struct order *read_order(const char *path)
{
	struct order_error error;
	struct order *order;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		die("cannot read %s: %s", path, strerror(errno));
	int err = order_read(file, &order, &error);
	fclose(file);
	if (err == -EINVAL)
		die("%s:%d:%d: %s", path, error.line, error.column, error.text);
	if (err)
		die("cannot read %s: %s", path, strerror(-err));
	return order;
}

/* Floats of an operation's share of one rank, at least one. */
static size_t share(const struct play *play, const struct order_op *op)
{
	double floats = (double)op->bytes / play->scale / sizeof(float) / play->job.nranks;

	return floats < 1 ? 1 : (size_t)floats;
}

static void open_group(struct play *play, int group)
{
	size_t largest = 1;

	for (int i = 0; i < play->order->nops; i++)
		if (play->order->op[i].group == group && share(play, &play->order->op[i]) > largest)
			largest = share(play, &play->order->op[i]);
	size_t bytes = largest * sizeof(float) * (size_t)play->job.nranks;
	play->from[group] = job_alloc(bytes);
	play->to[group] = job_alloc(bytes);
	must_cuda(cudaStreamCreateWithFlags(&play->stream[group], cudaStreamNonBlocking), "stream");
	must_cuda(cudaEventCreate(&play->done[group]), "event");
	for (int net = 0; net < play->settings->nnets; net++)
		play->comm[net][group] = job_comm_open(
			&play->job, play->order->group[group], play->settings->nets[net]);
}

static void *array(size_t n, size_t size)
{
	void *made = calloc(n, size);

	if (made == NULL)
		die("no memory");
	return made;
}

static void open_play(struct play *play)
{
	const struct settings *s = play->settings;
	size_t nops = (size_t)play->order->nops;

	play->scale = s->scale > 0 ? s->scale : (double)play->order->link_mbps / s->rate_mbps;
	must_cuda(cudaStreamCreateWithFlags(&play->compute, cudaStreamNonBlocking), "stream");
	must_cuda(cudaEventCreate(&play->reached), "event");
	for (int group = 0; group < play->order->ngroups; group++)
		open_group(play, group);
	play->sleep = array(nops, sizeof(*play->sleep));
	play->span = array(nops, sizeof(*play->span));
	for (size_t i = 0; i < nops; i++) {
		double ms = play->order->op[i].ms;
		play->sleep[i].tv_sec = (time_t)(ms / 1e3);
		play->sleep[i].tv_nsec = (long)((ms - (double)play->sleep[i].tv_sec * 1e3) * 1e6);
		must_cuda(cudaEventCreate(&play->span[i].start), "event");
		must_cuda(cudaEventCreate(&play->span[i].end), "event");
	}
	for (int net = 0; net < s->nnets; net++)
		for (int t = 0; t < PLAY_NTIMES; t++)
			play->times_ms[net][t] = array((size_t)s->rounds, sizeof(double));
}

static void close_play(struct play *play)
{
	for (int net = 0; net < play->settings->nnets; net++)
		for (int t = 0; t < PLAY_NTIMES; t++)
			free(play->times_ms[net][t]);
	for (int i = 0; i < play->order->nops; i++) {
		cudaEventDestroy(play->span[i].end);
		cudaEventDestroy(play->span[i].start);
	}
	free(play->span);
	free(play->sleep);
	for (int group = play->order->ngroups - 1; group >= 0; group--) {
		for (int net = 0; net < play->settings->nnets; net++)
			must_nccl(ncclCommDestroy(play->comm[net][group]), "ncclCommDestroy");
		cudaEventDestroy(play->done[group]);
		cudaStreamDestroy(play->stream[group]);
		must_cuda(cudaFree(play->to[group]), "cudaFree");
		must_cuda(cudaFree(play->from[group]), "cudaFree");
	}
	cudaEventDestroy(play->reached);
	cudaStreamDestroy(play->compute);
}

/* ---- one step -------------------------------------------------------------------------------- */

static void follow(cudaStream_t stream, cudaStream_t earlier, cudaEvent_t event)
{
	must_cuda(cudaEventRecord(event, earlier), "cudaEventRecord");
	must_cuda(cudaStreamWaitEvent(stream, event, 0), "cudaStreamWaitEvent");
}

static void sleep_as_kernels(void *duration)
{
	struct timespec left = *(struct timespec *)duration;

	while (nanosleep(&left, &left) != 0)
		;
}

static ncclResult_t call(
	struct play *play, const struct order_op *op, ncclComm_t comm, cudaStream_t stream)
{
	size_t each = share(play, op), all = each * (size_t)play->job.nranks;
	float *from = play->from[op->group], *to = play->to[op->group];

	switch (op->kind) {
	case ORDER_ALLTOALL:
		return job_alltoall(&play->job, from, to, each, comm, stream);
	case ORDER_ALL_GATHER:
		return ncclAllGather(from, to, each, ncclFloat, comm, stream);
	case ORDER_REDUCE_SCATTER:
		return ncclReduceScatter(from, to, each, ncclFloat, ncclSum, comm, stream);
	default:
		return ncclAllReduce(from, to, all, ncclFloat, ncclSum, comm, stream);
	}
}

static void collective(struct play *play, int net, int i)
{
	const struct order_op *op = &play->order->op[i];
	cudaStream_t stream = play->stream[op->group];

	follow(stream, play->compute, play->reached);
	must_cuda(cudaEventRecord(play->span[i].start, stream), "cudaEventRecord");
	must_nccl(
		call(play, op, play->comm[net][op->group], stream), play->order->group[op->group]);
	must_cuda(cudaEventRecord(play->span[i].end, stream), "cudaEventRecord");
	if (!op->beside)
		follow(play->compute, stream, play->done[op->group]);
}

static double alltoalls_ms(const struct play *play)
{
	double sum_ms = 0;

	for (int i = 0; i < play->order->nops; i++) {
		float ms = 0;
		if (play->order->op[i].kind == ORDER_ALLTOALL)
			must_cuda(cudaEventElapsedTime(&ms, play->span[i].start, play->span[i].end),
				"cudaEventElapsedTime");
		sum_ms += (double)ms;
	}
	return sum_ms;
}

/* round < 0: not counted. */
static void step(struct play *play, int net, int round)
{
	const struct order *order = play->order;
	double times_ms[PLAY_NTIMES];

	job_barrier(&play->job, play->comm[net][0], play->compute);
	double start_us = now_us();
	for (int i = 0; i < order->nops; i++) {
		if (order->op[i].kind == ORDER_COMPUTE)
			must_cuda(cudaLaunchHostFunc(
					  play->compute, sleep_as_kernels, &play->sleep[i]),
				"cudaLaunchHostFunc");
		else if (order->op[i].kind == ORDER_WAIT)
			follow(play->compute, play->stream[order->op[i].group],
				play->done[order->op[i].group]);
		else
			collective(play, net, i);
	}
	for (int group = 0; group < order->ngroups; group++)
		follow(play->compute, play->stream[group], play->done[group]);
	must_cuda(cudaStreamSynchronize(play->compute), "cudaStreamSynchronize");
	times_ms[PLAY_STEP] = (now_us() - start_us) / 1e3;
	times_ms[PLAY_ALLTOALLS] = alltoalls_ms(play);
	job_max(&play->job, times_ms, PLAY_NTIMES, play->comm[net][0], play->compute);
	for (int t = 0; round >= 0 && t < PLAY_NTIMES; t++)
		play->times_ms[net][t][round] = times_ms[t];
	if (play->job.rank == 0)
		printf("progress: %s %d: %.0f ms\n", play->settings->nets[net], round + 1,
			times_ms[PLAY_STEP]);
	fflush(stdout);
}

/* ---- what it took ---------------------------------------------------------------------------- */

static void write_samples(const struct play *play)
{
	const struct settings *s = play->settings;
	FILE *file = result_file_open(s->output, ".samples.tsv");

	fprintf(file, "net\tround\tstep_ms\talltoalls_ms\n");
	for (int net = 0; net < s->nnets; net++)
		for (int i = 0; i < s->rounds; i++)
			fprintf(file, "%s\t%d\t%.3f\t%.3f\n", s->nets[net], i,
				play->times_ms[net][PLAY_STEP][i],
				play->times_ms[net][PLAY_ALLTOALLS][i]);
	result_file_close(file);
}

/* Sorts the times, so comes last. */
static void report(struct play *play)
{
	const struct settings *s = play->settings;
	size_t n = (size_t)s->rounds;
	FILE *file = s->output != NULL ? result_file_open(s->output, ".tsv") : NULL;
	double *ratio = array((size_t)s->nnets * n, sizeof(*ratio));

	for (int net = 0; net < s->nnets; net++)
		stats_ratios(play->times_ms[net][PLAY_STEP], play->times_ms[0][PLAY_STEP], n,
			ratio + (size_t)net * n);
	printf("%-8s %28s  %14s  %s\n", "net", "step ms", "all-to-alls ms", "ratio");
	if (file != NULL)
		fprintf(file, "net\tstep_ms\tstep_p10\tstep_p90\talltoalls_ms\tratio\tratio_"
			      "p10\tratio_p90\n");
	for (int net = 0; net < s->nnets; net++) {
		double *steps = play->times_ms[net][PLAY_STEP], *r = ratio + (size_t)net * n;
		double *alltoalls = play->times_ms[net][PLAY_ALLTOALLS];
		stats_sort(steps, n);
		stats_sort(alltoalls, n);
		double v[] = { stats_quantile(steps, n, 0.5), stats_quantile(steps, n, 0.1),
			stats_quantile(steps, n, 0.9), stats_quantile(alltoalls, n, 0.5),
			stats_quantile(r, n, 0.5), stats_quantile(r, n, 0.1),
			stats_quantile(r, n, 0.9) };
		printf("%-8s %9.1f (%6.1f to %6.1f)  %14.1f  %.3f (%.3f to %.3f)\n", s->nets[net],
			v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
		if (file != NULL)
			fprintf(file, "%s\t%.3f\t%.3f\t%.3f\t%.3f\t%.4f\t%.4f\t%.4f\n",
				s->nets[net], v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
	}
	free(ratio);
	if (file != NULL)
		result_file_close(file);
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, "ORDER",
		"Times a training step's collectives in a given order over several networks side "
		"by "
		"side; run by lina-launch.",
		NULL, NULL, NULL };
	struct settings settings = {
		.nets = { "Socket", "fifo", "lina" }, .nnets = 3, .rounds = 9
	};
	struct play play = { .settings = &settings };

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	job_open(&play.job);
	play.order = read_order(settings.path);
	if (play.order->ngroups == 0)
		die("%s: no group", settings.path);
	open_play(&play);
	for (int round = -1; round < settings.rounds; round++)
		for (int i = 0; i < settings.nnets; i++)
			step(&play, round % 2 == 0 ? i : settings.nnets - 1 - i, round);
	if (play.job.rank == 0) {
		if (settings.output != NULL)
			write_samples(&play);
		report(&play);
	}
	close_play(&play);
	order_free(play.order);
	return 0;
}
