/* The life of communicators: several at once, split, made and destroyed again, aborted, and cut off
 * by the death of a rank. Every one that works is made to prove it by results that are compared. */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	STREAM_ROUNDS = 12,
	CYCLES_WARM = 3, /* what NCCL and the runtime keep for good is there by then */
	CYCLES = 20,
	ABORT_LIMIT_S = 20, /* ncclCommAbort */
	LOSS_LIMIT_S = 30   /* from the loss of a rank to an error of the others */
};

/* ---- two communicators on two streams at once
 * ------------------------------------------------------ */

static size_t stream_bytes(unsigned round, size_t most_bytes)
{
	static const size_t sizes[] = { 4 << 20, 1000, 256 << 10, 16 << 20 };
	size_t bytes = sizes[round % 4];

	return bytes < most_bytes ? bytes : most_bytes;
}

static void streams(struct job *job, size_t most)
{
	struct bench a, b;
	ncclComm_t first = job_comm(job, "first"), second = job_comm(job, "second");

	job_check_network(job);
	bench_open(&a, job, first);
	bench_open(&b, job, second);
	for (unsigned round = 0; round < STREAM_ROUNDS; round++) {
		bench_launch(&a, "allreduce", stream_bytes(round, most));
		bench_launch(&b, round % 2 ? "alltoall-grouped" : "pairs",
			stream_bytes(round + 1, most));
		check_finish(round % 3 == 0 ? &a.check : &b.check);
		check_finish(round % 3 == 0 ? &b.check : &a.check);
	}
	bench_close(&a);
	bench_close(&b);
	NCCL(ncclCommDestroy(second));
	NCCL(ncclCommDestroy(first));
	printf("%lu and %lu operations right on two communicators\n", a.check.operations,
		b.check.operations);
}

static void run_streams(struct job *job)
{
	streams(job, SIZE_MAX);
}

/* Where the network is slow. */
static void run_small_streams(struct job *job)
{
	streams(job, 1 << 20);
}

/* ---- split
 * ------------------------------------------------------------------------------------------- */

static ncclComm_t split(ncclComm_t parent, int color, int key, int share)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	ncclComm_t child = NULL;

	config.splitShare = share;
	NCCL(ncclCommSplit(parent, color, key, &child, &config));
	if ((child == NULL) != (color == NCCL_SPLIT_NOCOLOR))
		FAIL("color %d made %s communicator", color, child == NULL ? "no" : "a");
	return child;
}

/* Halves with their ranks in reverse, in use at the same time as their parent. */
static void run_split_halves(struct job *job, ncclComm_t parent, int share)
{
	struct bench whole, half;
	ncclComm_t child = split(parent, job->rank % 2, -job->rank, share);
	int rank, wanted = (job->nranks - 1 - job->rank) / 2;

	NCCL(ncclCommUserRank(child, &rank));
	if (rank != wanted)
		FAIL("key %d made rank %d of its half, not %d", -job->rank, rank, wanted);
	bench_open(&whole, job, parent);
	bench_open(&half, job, child);
	for (int round = 0; round < 4; round++) {
		bench_launch(&whole, "allreduce", 1 << 20);
		bench_launch(&half, round % 2 ? "alltoall-grouped" : "allreduce", 300004);
		check_finish(&half.check);
		check_finish(&whole.check);
	}
	bench_close(&half);
	bench_close(&whole);
	NCCL(ncclCommDestroy(child));
}

/* All but the last rank; the child outlives its parent's use. */
static void run_split_without_last(struct job *job, ncclComm_t parent)
{
	bool last = job->rank == job->nranks - 1;
	ncclComm_t child = split(parent, last ? NCCL_SPLIT_NOCOLOR : 7, job->rank, 0);

	NCCL(ncclCommDestroy(parent));
	if (last)
		return;
	bench_prove_once(job, child);
	NCCL(ncclCommDestroy(child));
}

static void run_split(struct job *job)
{
	ncclComm_t parent = job_comm(job, "parent");

	job_check_network(job);
	run_split_halves(job, parent, 0);
	run_split_halves(job, parent, 1);
	bench_prove_once(job, parent);
	run_split_without_last(job, parent);
	printf("split communicators are right\n");
}

/* ---- made and destroyed, again and again
 * ---------------------------------------------------------------- */

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	if (dir == NULL)
		FAIL("cannot read %s", path);
	while (readdir(dir) != NULL)
		n++;
	closedir(dir);
	return n;
}

struct resources {
	int descriptors, threads;
};

static struct resources count_resources(void)
{
	return (struct resources){ count_entries("/proc/self/fd"),
		count_entries("/proc/self/task") };
}

/* A thread that was joined may still be listed for a moment. */
static void need_resources(struct resources wanted)
{
	struct resources now = count_resources();

	for (int i = 0;
		i < 100 && (now.threads > wanted.threads || now.descriptors > wanted.descriptors);
		i++) {
		usleep(20000);
		now = count_resources();
	}
	if (now.threads > wanted.threads || now.descriptors > wanted.descriptors)
		FAIL("%d cycles left %d descriptors and %d threads more than there were", CYCLES,
			now.descriptors - wanted.descriptors, now.threads - wanted.threads);
}

static void run_cycle(struct job *job, int i)
{
	char name[JOB_NAME_BYTES];

	snprintf(name, sizeof(name), "cycle.%d", i);
	ncclComm_t comm = job_comm(job, name);
	if (i == 0)
		job_check_network(job);
	bench_prove_once(job, comm);
	if (i % 2)
		NCCL(ncclCommFinalize(comm));
	NCCL(ncclCommDestroy(comm));
}

/* Each communicator was the last one, and NCCL unloads a plugin with the last. */
static void need_unloads(const struct job *job)
{
	const char *says = NCCL_VERSION_CODE < 22300 ? "Closing net plugin" : "Unloading plugin";
	int n = job_count_log(job, says);

	if (job->plugin != NULL && n < CYCLES_WARM + CYCLES)
		FAIL("the plugin was unloaded %d times, not %d", n, CYCLES_WARM + CYCLES);
}

static void run_again(struct job *job)
{
	struct resources before = { 0, 0 };

	for (int i = 0; i < CYCLES_WARM + CYCLES; i++) {
		if (i == CYCLES_WARM)
			before = count_resources();
		run_cycle(job, i);
	}
	need_resources(before);
	job_check_network(job);
	need_unloads(job);
	printf("%d communicators made and destroyed: %d descriptors and %d threads as before\n",
		CYCLES, before.descriptors - 2, before.threads - 2);
}

/* ---- abort
 * --------------------------------------------------------------------------------------------------
 */

static void abort_bounded(ncclComm_t comm, struct bench *bench)
{
	double start_s = job_now_s();

	NCCL(ncclCommAbort(comm));
	CUDA(cudaStreamSynchronize(bench->check.stream));
	double took_s = job_now_s() - start_s;
	if (took_s > ABORT_LIMIT_S)
		FAIL("abort took %.1f s", took_s);
}

/* Operations that the others never join: nothing of them can come to an end. */
static void abort_alone(struct job *job)
{
	struct bench bench;
	ncclComm_t comm = job_comm(job, "alone");

	job_check_network(job);
	bench_open(&bench, job, comm);
	bench_prove(&bench);
	if (job->rank == 0)
		bench_launch(&bench, "allreduce", 8 << 20);
	else if (job->rank == 1)
		bench_launch(&bench, "ring", 8 << 20);
	usleep(200000);
	if (job->rank <= 1 && cudaStreamQuery(bench.check.stream) != cudaErrorNotReady)
		FAIL("an operation that the others did not join is done");
	job_barrier(job, "alone");
	abort_bounded(comm, &bench);
	bench_close(&bench);
}

/* Data is on its way in all directions. */
static void abort_busy(struct job *job)
{
	struct bench first, second;
	ncclComm_t comm = job_comm(job, "busy");

	bench_open(&first, job, comm);
	bench_open(&second, job, comm);
	bench_prove(&first);
	job_barrier(job, "busy");
	bench_launch(&first, "allreduce", 64 << 20);
	bench_launch(&second, "alltoall-grouped", 64 << 20);
	job_barrier(job,
		"launched"); /* a launch that needs more connections would fail once one aborts */
	usleep((unsigned)(5000 * job->rank));
	abort_bounded(comm, &first);
	bench_close(&second);
	bench_close(&first);
}

static void run_abort(struct job *job)
{
	abort_alone(job);
	abort_busy(job);
	ncclComm_t comm = job_comm(job, "after");
	bench_prove_once(job, comm);
	NCCL(ncclCommDestroy(comm));
	printf("aborted twice in flight, and a new communicator is right\n");
}

/* ---- a rank dies
 * ---------------------------------------------------------------------------------------------- */

/* Until it is killed, or an error comes, or the time is up. */
static ncclResult_t work_on(struct bench *bench, double limit_s)
{
	ncclResult_t state = ncclSuccess;
	double end_s = job_now_s() + limit_s;

	while (state == ncclSuccess && job_now_s() < end_s) {
		/* NCCL may see the loss between two operations, and start none. */
		state = bench_try_launch(bench, "allreduce", 4 << 20);
		if (state == ncclSuccess)
			state = job_wait(bench->check.comm, bench->check.stream, LOSS_LIMIT_S);
		if (state == ncclSuccess)
			check_finish(&bench->check);
	}
	return state;
}

static void work_until_error(struct bench *bench)
{
	double start_s = job_now_s();
	ncclResult_t state = work_on(bench, LOSS_LIMIT_S);

	if (state == ncclSuccess)
		FAIL("%d s of work without the loss that was announced", LOSS_LIMIT_S);
	if (state == JOB_TIMED_OUT)
		FAIL("no error %d s after the loss of a rank", LOSS_LIMIT_S);
	printf("error after %.1f s: %s\n", job_now_s() - start_s, ncclGetErrorString(state));
}

/* With lina-launch --kill RANK:+MS. */
static void run_killed(struct job *job)
{
	struct bench bench;
	char ready[JOB_NAME_BYTES];
	ncclComm_t comm = job_comm(job, "killed");

	job_check_network(job);
	bench_open(&bench, job, comm);
	bench_prove(&bench);
	job_barrier(job, "killed");
	snprintf(ready, sizeof(ready), "ready.%d", job->rank);
	job_tell(job, ready, "", 0);
	work_until_error(&bench);
	abort_bounded(comm, &bench);
	bench_close(&bench);
}

/* This machine's own link must never be: only one in the namespace that the launcher says we are
 * in. */
static void need_test_host(void)
{
	const char *host = getenv("LINA_HOST");
	char path[PATH_MAX];
	struct stat here, there;

	snprintf(path, sizeof(path), "/run/netns/%s", host != NULL ? host : "");
	if (host == NULL || stat("/proc/self/ns/net", &here) < 0 || stat(path, &there) < 0 ||
		here.st_ino != there.st_ino)
		FAIL("this is no test host: start this with lina-launch --hosts");
}

static void cut_own_link(void)
{
	struct ifreq request = { .ifr_name = "eth0" };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	need_test_host();
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		FAIL("no eth0: %s", strerror(errno));
	request.ifr_flags = (short)(request.ifr_flags & ~IFF_UP);
	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		FAIL("cannot cut eth0: %s", strerror(errno));
	close(fd);
}

/* A rank that nobody hears from again, and that hears nobody: no reset, no end of a stream. Its own
 * communicator must come to an error as well. */
static void run_cut(struct job *job)
{
	struct bench bench;
	ncclComm_t comm = job_comm(job, "cut");

	job_check_network(job);
	bench_open(&bench, job, comm);
	bench_prove(&bench);
	job_barrier(job, "cut");
	if (job->rank == 1)
		cut_own_link();
	work_until_error(&bench);
	abort_bounded(comm, &bench);
	bench_close(&bench);
}

/* -------------------------------------------------------------------------------------------------------------
 */

static const struct scenario {
	const char *name;
	void (*run)(struct job *job);
} scenarios[] = {
	{ "streams", run_streams },
	{ "small-streams", run_small_streams },
	{ "split", run_split },
	{ "again", run_again },
	{ "abort", run_abort },
	{ "fork", run_fork },
	{ "killed", run_killed },
	{ "cut", run_cut },
};

enum { SCENARIOS_MAX = 8 };

struct options {
	struct job job;
	const struct scenario *scenario[SCENARIOS_MAX];
};

static const struct scenario *scenario_named(const char *name)
{
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (strcmp(name, scenarios[i].name) == 0)
			return &scenarios[i];
	return NULL;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->job;
		return 0;
	case ARGP_KEY_ARG:
		if (state->arg_num >= SCENARIOS_MAX)
			argp_error(state, "more than %d scenarios", SCENARIOS_MAX);
		else if ((options->scenario[state->arg_num] = scenario_named(text)) == NULL)
			argp_error(state, "there is no scenario '%s'", text);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which scenario?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	struct argp_child children[] = { { &job_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { NULL, parse,
		"streams|small-streams|split|again|abort|fork|killed|cut...",
		"The life of NCCL's communicators, with results compared: one scenario after the "
		"other.",
		children, NULL, NULL };
	struct options options = { 0 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	job_start(&options.job);
	for (int i = 0; i < SCENARIOS_MAX && options.scenario[i] != NULL; i++)
		options.scenario[i]->run(&options.job);
	return 0;
}
