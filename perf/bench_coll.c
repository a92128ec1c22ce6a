/*
 * The rank program of perf/bench_coll: times NCCL's operations over several networks in one
 * process, alternating between the networks sample by sample, so that whatever else the machine
 * does falls on all of them alike.
 */
#include "perf/bench_ops.h"
#include "perf/bench_report.h"
#include "perf/job.h"
#include "perf/options.h"

enum { OPS_MAX = 16, ITERS_MAX = 1000, WARMUP_ITERS = 2 };

struct settings {
	const struct bench_op *ops[OPS_MAX];
	int nops;
	const char *nets[BENCH_NETS_MAX];
	int nnets;
	uint64_t min_bytes, max_bytes;
	unsigned int factor;
	int iters; /* 0: as many as fill sample_ms */
	double sample_ms;
	int rounds;
	int reopen; /* rounds on the same connections; 0: all */
	uint32_t rate_mbps;
	const char *output;
};

/* ---- the command line ------------------------------------------------------------------------ */

static void parse_ops(struct argp_state *state, char *text, struct settings *s)
{
	const char *names[OPS_MAX];

	s->nops = options_words(state, "coll", text, names, OPS_MAX);
	for (int i = 0; i < s->nops; i++) {
		s->ops[i] = bench_op_find(names[i]);
		if (s->ops[i] == NULL)
			argp_error(state, "--coll: no operation '%s'; there are: %s", names[i],
				bench_op_names());
	}
}

static const struct argp_option options[] = {
	{ "coll", 'c', "OP[,OP...]", 0, "Operations to time (default: allreduce,alltoall)", 0 },
	{ "nets", 'a', "NET[,NET...]", 0,
		"Networks by the name they give themselves; the first is what the others are "
		"compared with (default: Socket,lina)",
		0 },
	{ "minbytes", 'b', "BYTES", 0, "Smallest size (default: 64K)", 0 },
	{ "maxbytes", 'e', "BYTES", 0, "Largest size (default: 64M)", 0 },
	{ "stepfactor", 'f', "N", 0, "Factor between sizes (default: 4)", 0 },
	{ "iters", 'n', "N", 0, "Operations in one sample (default: 0, as many as fill it)", 0 },
	{ "sample-ms", 's', "MS", 0, "How long a sample should take (default: 50)", 0 },
	{ "rounds", 'r', "N", 0, "Samples of each size and network (default: 12)", 0 },
	{ "reopen", 'p', "N", 0,
		"Open new connections after every N rounds, 0 for never (default: 4)", 0 },
	{ "rate", 'R', "MBPS", 0, "Rate of each link in Mbit/s, 0 where it has none", 0 },
	{ "output", 'o', "PATH", 0, "Write PATH.tsv and PATH.samples.tsv", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct settings *s = state->input;

	switch (key) {
	case 'c':
		parse_ops(state, text, s);
		break;
	case 'a':
		s->nnets = options_words(state, "nets", text, s->nets, BENCH_NETS_MAX);
		break;
	case 'b':
		s->min_bytes = options_number(state, "minbytes", text, 4, UINT64_C(1) << 34);
		break;
	case 'e':
		s->max_bytes = options_number(state, "maxbytes", text, 4, UINT64_C(1) << 34);
		break;
	case 'f':
		s->factor = (unsigned int)options_number(state, "stepfactor", text, 2, 1024);
		break;
	case 'n':
		s->iters = (int)options_number(state, "iters", text, 0, ITERS_MAX);
		break;
	case 's':
		s->sample_ms = (double)options_number(state, "sample-ms", text, 1, 60000);
		break;
	case 'r':
		s->rounds = (int)options_number(state, "rounds", text, 1, BENCH_ROUNDS_MAX);
		break;
	case 'p':
		s->reopen = (int)options_number(state, "reopen", text, 0, BENCH_ROUNDS_MAX);
		break;
	case 'R':
		s->rate_mbps = (uint32_t)options_number(state, "rate", text, 0, 1000000);
		break;
	case 'o':
		s->output = text;
		break;
	case ARGP_KEY_SUCCESS:
		if (s->min_bytes > s->max_bytes)
			argp_error(state, "--minbytes is above --maxbytes");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- timing ---------------------------------------------------------------------------------- */

struct bench {
	struct job job;
	const struct settings *settings;
	ncclComm_t comm[BENCH_NETS_MAX];
	cudaStream_t stream;
	struct bench_buffers buffers;
	struct bench_report *report; /* rank 0 only */
	struct bench_row row;
	int nopened; /* sets of communicators so far */
};

/* Opens a communicator on each network, then closes those that there were. Not the other way round:
 * NCCL 2.29 unloads a plugin with its last communicator and has forgotten its name by then. */
static void open_comms(struct bench *bench)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "bench%d", bench->nopened++);
	for (int net = 0; net < bench->settings->nnets; net++) {
		ncclComm_t old = bench->comm[net];
		bench->comm[net] = job_comm_open(&bench->job, name, bench->settings->nets[net]);
		if (old != NULL)
			must_nccl(ncclCommDestroy(old), "ncclCommDestroy");
	}
}

/* Time of one one-way operation on this rank, and what it used of the processors. The operations of
 * a sample follow each other on the stream without waiting in between, as in nccl-tests. */
static void sample(struct bench *bench, const struct bench_op *op, int net, int iters,
	double *time_us_p, double *cpu_us_p)
{
	job_barrier(&bench->job, bench->comm[net], bench->stream);
	double start_us = now_us(), start_cpu_us = cpu_us();
	for (int i = 0; i < iters; i++)
		must_nccl(op->run(&bench->job, &bench->buffers, bench->comm[net], bench->stream),
			op->name);
	must_cuda(cudaStreamSynchronize(bench->stream), "cudaStreamSynchronize");
	*time_us_p = (now_us() - start_us) / iters / op->trips;
	*cpu_us_p = (cpu_us() - start_cpu_us) / iters / op->trips;
}

/* Checks the operation on every network, which also makes its connections, and finds how many
 * fill a sample: the same number on all ranks and networks. */
static int warm_up(struct bench *bench, const struct bench_op *op)
{
	const struct settings *s = bench->settings;
	double longest_us = 0;

	for (int net = 0; net < s->nnets; net++) {
		bench_op_check(op, &bench->job, &bench->buffers, bench->comm[net], bench->stream);
		double time_us, unused;
		sample(bench, op, net, WARMUP_ITERS, &time_us, &unused);
		if (time_us * op->trips > longest_us)
			longest_us = time_us * op->trips;
	}
	job_max(&bench->job, &longest_us, 1, bench->comm[0], bench->stream);
	if (s->iters > 0)
		return s->iters;
	double iters = s->sample_ms * 1e3 / longest_us;
	return iters < 1 ? 1 : iters > ITERS_MAX ? ITERS_MAX : (int)iters;
}

/* A connection keeps what TCP has learnt: windows that once came out uneven stay so and slow or
 * speed one network up for as long as it lives. So each set of rounds has connections of its own.
 */
static void renew(struct bench *bench, const struct bench_op *op)
{
	open_comms(bench);
	for (int net = 0; net < bench->settings->nnets; net++)
		bench_op_check(op, &bench->job, &bench->buffers, bench->comm[net], bench->stream);
}

/* Every other round goes through the networks backwards, so that none is always first. */
static void measure_round(struct bench *bench, const struct bench_op *op, int round)
{
	const struct settings *s = bench->settings;
	struct bench_row *row = &bench->row;

	if (s->reopen > 0 && round > 0 && round % s->reopen == 0)
		renew(bench, op);
	for (int i = 0; i < s->nnets; i++) {
		int net = round % 2 == 0 ? i : s->nnets - 1 - i;
		sample(bench, op, net, row->iters, &row->time_us[net][round],
			&row->cpu_us[net][round]);
	}
}

static void measure(struct bench *bench, const struct bench_op *op, uint64_t size_bytes)
{
	const struct settings *s = bench->settings;
	struct bench_row *row = &bench->row;

	bench->buffers.count = size_bytes / sizeof(float);
	row->op = op->name;
	row->size_bytes = size_bytes;
	row->link_bytes = lina_cost_link_bytes(op->coll, bench->job.nranks, size_bytes);
	row->nrounds = s->rounds;
	row->iters = warm_up(bench, op);
	for (int round = 0; round < s->rounds; round++)
		measure_round(bench, op, round);
	for (int net = 0; net < s->nnets; net++) {
		job_max(&bench->job, row->time_us[net], (size_t)s->rounds, bench->comm[0],
			bench->stream);
		job_sum(&bench->job, row->cpu_us[net], (size_t)s->rounds, bench->comm[0],
			bench->stream);
	}
	if (bench->report != NULL)
		bench_report_add(bench->report, row);
}

static void measure_all(struct bench *bench)
{
	const struct settings *s = bench->settings;

	for (int i = 0; i < s->nops; i++) {
		uint64_t last_bytes = 0;
		for (uint64_t want = s->min_bytes; want <= s->max_bytes; want *= s->factor) {
			uint64_t bytes = bench_op_size(s->ops[i], bench->job.nranks, want);
			if (bytes != last_bytes)
				measure(bench, s->ops[i], bytes);
			last_bytes = bytes;
		}
	}
}

/* ---- the process ----------------------------------------------------------------------------- */

static void open_report(struct bench *bench)
{
	const struct settings *s = bench->settings;
	int version;
	char title[200];

	must_nccl(ncclGetVersion(&version), "ncclGetVersion");
	snprintf(title, sizeof(title),
		"NCCL %d.%d.%d, %d ranks, links of %u Mbit/s (0: not limited), %d rounds, "
		"new connections every %d",
		version / 10000, version / 100 % 100, version % 100, bench->job.nranks,
		s->rate_mbps, s->rounds, s->reopen);
	bench->report = bench_report_open(title, s->nets, s->nnets, s->rate_mbps, s->output);
}

static void open_bench(struct bench *bench)
{
	const struct settings *s = bench->settings;
	/* Sizes below one float for each rank are rounded up to that. */
	size_t bytes = s->max_bytes + (size_t)bench->job.nranks * sizeof(float);

	must_cuda(cudaStreamCreateWithFlags(&bench->stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	open_comms(bench);
	bench->buffers.send = job_alloc(bytes);
	bench->buffers.recv = job_alloc(bytes);
}

static void close_bench(struct bench *bench)
{
	must_cuda(cudaFree(bench->buffers.recv), "cudaFree");
	must_cuda(cudaFree(bench->buffers.send), "cudaFree");
	for (int net = bench->settings->nnets - 1; net >= 0; net--)
		must_nccl(ncclCommDestroy(bench->comm[net]), "ncclCommDestroy");
	must_cuda(cudaStreamDestroy(bench->stream), "cudaStreamDestroy");
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, NULL,
		"Times NCCL operations over several networks side by side; run by lina-launch.",
		NULL, NULL, NULL };
	struct settings settings = {
		.ops = { bench_op_find("allreduce"), bench_op_find("alltoall") },
		.nops = 2,
		.nets = { "Socket", "lina" },
		.nnets = 2,
		.min_bytes = 64 << 10,
		.max_bytes = 64 << 20,
		.factor = 4,
		.sample_ms = 50,
		.rounds = 12,
		.reopen = 4,
	};
	static struct bench bench; /* a row is large */

	argp_parse(&argp, argc, argv, 0, NULL, &settings);
	bench.settings = &settings;
	job_open(&bench.job);
	open_bench(&bench);
	if (bench.job.rank == 0)
		open_report(&bench);
	measure_all(&bench);
	if (bench.report != NULL)
		bench_report_close(bench.report);
	close_bench(&bench);
	return 0;
}
