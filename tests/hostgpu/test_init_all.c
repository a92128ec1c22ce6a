/*
 * One process, several devices: ncclCommInitAll, an allreduce and an all-to-all with every element
 * checked, on 52 communicators that come and go without leaving threads, descriptors or memory.
 */
#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <nccl.h>

#ifdef __SANITIZE_ADDRESS__
enum { MEMORY_IS_KEPT = 1 }; /* the sanitizer holds freed memory back, and finds leaks itself */
#else
enum { MEMORY_IS_KEPT = 0 };
#endif
enum { DEVICES = 4, COUNT = 40000, ROUNDS = 13 };

#define CHECK(call) expect_success((int)(call), #call)

static void expect_success(int result, const char *call)
{
	if (!result)
		return;
	fprintf(stderr, "%s: result %d\n", call, result);
	exit(1);
}

static ncclComm_t comms[DEVICES];
static cudaStream_t streams[DEVICES];
static float *buffers[DEVICES], *results[DEVICES];
static float expected[COUNT], host[COUNT];

static float value(int rank, int peer, int i)
{
	return (float)(rank * 1000 + peer * 100 + i % 97);
}

static void open_all(void)
{
	CHECK(ncclCommInitAll(comms, DEVICES, NULL));
	for (int d = 0; d < DEVICES; d++) {
		CHECK(cudaSetDevice(d));
		CHECK(cudaStreamCreate(&streams[d]));
		CHECK(cudaMalloc((void **)&buffers[d], sizeof host));
		CHECK(cudaMalloc((void **)&results[d], sizeof host));
	}
}

static void close_all(void)
{
	for (int d = 0; d < DEVICES; d++) {
		CHECK(cudaSetDevice(d));
		CHECK(cudaFree(buffers[d]));
		CHECK(cudaFree(results[d]));
		CHECK(cudaStreamDestroy(streams[d]));
		CHECK(ncclCommDestroy(comms[d]));
	}
}

static void check(const char *what, int rank)
{
	CHECK(cudaSetDevice(rank));
	CHECK(cudaStreamSynchronize(streams[rank]));
	CHECK(cudaMemcpy(host, results[rank], sizeof host, cudaMemcpyDeviceToHost));
	for (int i = 0; i < COUNT; i++)
		if (host[i] != expected[i]) {
			fprintf(stderr, "%s: rank %d element %d is %f, not %f\n", what, rank, i,
				(double)host[i], (double)expected[i]);
			exit(1);
		}
}

static void allreduce(void)
{
	for (int d = 0; d < DEVICES; d++) {
		for (int i = 0; i < COUNT; i++)
			host[i] = value(d, 0, i);
		CHECK(cudaSetDevice(d));
		CHECK(cudaMemcpy(buffers[d], host, sizeof host, cudaMemcpyHostToDevice));
	}
	CHECK(ncclGroupStart());
	for (int d = 0; d < DEVICES; d++)
		CHECK(ncclAllReduce(
			buffers[d], results[d], COUNT, ncclFloat, ncclSum, comms[d], streams[d]));
	CHECK(ncclGroupEnd());
	for (int i = 0; i < COUNT; i++) {
		expected[i] = 0;
		for (int d = 0; d < DEVICES; d++)
			expected[i] += value(d, 0, i);
	}
	for (int d = 0; d < DEVICES; d++)
		check("allreduce", d);
}

static void alltoall(void)
{
	enum { PART = COUNT / DEVICES };
	for (int d = 0; d < DEVICES; d++) {
		for (int i = 0; i < COUNT; i++)
			host[i] = value(d, i / PART, i % PART);
		CHECK(cudaSetDevice(d));
		CHECK(cudaMemcpy(buffers[d], host, sizeof host, cudaMemcpyHostToDevice));
	}
	CHECK(ncclGroupStart());
	for (int d = 0; d < DEVICES; d++)
		for (int peer = 0; peer < DEVICES; peer++) {
			CHECK(ncclSend(buffers[d] + (size_t)peer * PART, PART, ncclFloat, peer,
				comms[d], streams[d]));
			CHECK(ncclRecv(results[d] + (size_t)peer * PART, PART, ncclFloat, peer,
				comms[d], streams[d]));
		}
	CHECK(ncclGroupEnd());
	for (int d = 0; d < DEVICES; d++) {
		for (int i = 0; i < COUNT; i++)
			expected[i] = value(i / PART, d, i % PART);
		check("all-to-all", d);
	}
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;
	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Of memory that malloc keeps although it is free, none. */
static long resident_kib(void)
{
	long pages = 0;
	malloc_trim(0);
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		exit(1);
	fclose(f);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Threads that were told to end may take a moment. */
static int threads(int expect)
{
	for (int tries = 0; tries < 100 && entries("/proc/self/task") > expect; tries++)
		usleep(10000);
	return entries("/proc/self/task");
}

int main(void)
{
	mallopt(M_ARENA_MAX, 1); /* else each new thread may keep what others gave back */
	setenv("HOSTGPU_DEVICES", "4", 1);
	setenv("NCCL_SOCKET_IFNAME", "lo", 1);
	setenv("NCCL_IB_DISABLE", "1", 1);
	int first_threads = 0, first_files = 0;
	long first_kib = 0;
	for (int round = 0; round < ROUNDS; round++) {
		open_all();
		allreduce();
		alltoall();
		close_all();
		if (round == 1) { /* what is made once is there now */
			first_threads = threads(0);
			first_files = entries("/proc/self/fd");
			first_kib = resident_kib();
		}
	}
	int last_threads = threads(first_threads), last_files = entries("/proc/self/fd");
	long last_kib = resident_kib();
	printf("after round 2 and %d: threads %d, %d; descriptors %d, %d; resident %ld, %ld KiB\n",
		ROUNDS, first_threads, last_threads, first_files, last_files, first_kib, last_kib);
	if (last_threads > first_threads || last_files > first_files ||
		(!MEMORY_IS_KEPT && last_kib > first_kib + 8192)) {
		fprintf(stderr, "communicators leave something behind\n");
		return 1;
	}
	return 0;
}
