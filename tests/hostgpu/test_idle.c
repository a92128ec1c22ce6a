/*
 * Waiting costs little: seven of eight ranks wait for the last, once in ncclCommInitRank and once
 * in an allreduce, and all eight processes together must leave the processors mostly free
 * meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <nccl.h>

enum { RANKS = 8, LATE_S = 5 };

/* Of one processor, by all ranks together. */
static const double allreduce_share = 0.30, init_share = 1.00;

static struct shared {
	ncclUniqueId id;
	int ready; /* atomic */
	double init_s[RANKS], idle_s[RANKS];
} * shared;

#define CHECK(call) expect_success((int)(call), #call)

static void expect_success(int result, const char *call)
{
	if (!result)
		return;
	fprintf(stderr, "%s: result %d\n", call, result);
	exit(1);
}

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void allreduce(ncclComm_t comm, cudaStream_t stream, int rank)
{
	float *buffer = NULL, mine = (float)rank, sum = 0;
	CHECK(cudaMalloc((void **)&buffer, sizeof *buffer));
	CHECK(cudaMemcpy(buffer, &mine, sizeof mine, cudaMemcpyHostToDevice));
	CHECK(ncclAllReduce(buffer, buffer, 1, ncclFloat, ncclSum, comm, stream));
	CHECK(cudaStreamSynchronize(stream));
	CHECK(cudaMemcpy(&sum, buffer, sizeof sum, cudaMemcpyDeviceToHost));
	CHECK(cudaFree(buffer));
	if ((int)sum != RANKS * (RANKS - 1) / 2) {
		fprintf(stderr, "rank %d: sum is %f\n", rank, (double)sum);
		exit(1);
	}
}

static void make_id(int rank)
{
	if (rank == 0) {
		CHECK(ncclGetUniqueId(&shared->id));
		__atomic_store_n(&shared->ready, 1, __ATOMIC_RELEASE);
	}
	while (!__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE))
		usleep(1000);
}

static void run_rank(int rank)
{
	char text[16];
	ncclComm_t comm;
	cudaStream_t stream;
	snprintf(text, sizeof text, "%d", rank);
	setenv("HOSTGPU_BUS", text, 1);
	setenv("NCCL_HOSTID", text, 1);
	make_id(rank);
	if (rank == RANKS - 1)
		sleep(LATE_S);
	double start = cpu_s();
	CHECK(ncclCommInitRank(&comm, RANKS, shared->id, rank));
	shared->init_s[rank] = cpu_s() - start;
	CHECK(cudaStreamCreate(&stream));
	allreduce(comm, stream, rank);
	start = cpu_s();
	if (rank == RANKS - 1)
		sleep(LATE_S);
	allreduce(comm, stream, rank);
	shared->idle_s[rank] = cpu_s() - start;
	CHECK(cudaStreamDestroy(stream));
	CHECK(ncclCommDestroy(comm));
	exit(0);
}

static int report(const char *what, const double *spent_s, double limit)
{
	double share = 0;
	for (int rank = 0; rank < RANKS; rank++)
		share += spent_s[rank] / LATE_S;
	printf("%s: %d ranks, %d s: %.0f %% of a processor (at most %.0f %%)\n", what, RANKS,
		LATE_S, 100 * share, 100 * limit);
	return share > limit;
}

int main(void)
{
	int failed = 0;
	shared = mmap(
		NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	setenv("NCCL_SOCKET_IFNAME", "lo", 1);
	setenv("NCCL_IB_DISABLE", "1", 1);
	for (int rank = 0; rank < RANKS; rank++)
		if (fork() == 0)
			run_rank(rank);
	for (int rank = 0; rank < RANKS; rank++) {
		int status = 0;
		wait(&status);
		failed |= status;
	}
	if (failed) {
		fprintf(stderr, "a rank failed\n");
		return 1;
	}
	failed = report("ncclCommInitRank", shared->init_s, init_share);
	failed |= report("allreduce", shared->idle_s, allreduce_share);
	return failed;
}
