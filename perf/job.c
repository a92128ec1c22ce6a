#include "perf/job.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RENDEZVOUS_TIMEOUT_S = 60, RENDEZVOUS_POLL_US = 5000 };

void must_nccl(ncclResult_t result, const char *what)
{
	if (result != ncclSuccess)
		die("%s: %s: %s", what, ncclGetErrorString(result), ncclGetLastError(NULL));
}

void must_cuda(cudaError_t result, const char *what)
{
	if (result != cudaSuccess)
		die("%s: %s", what, cudaGetErrorString(result));
}

double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int number_from(const char *name, int least, int most)
{
	const char *text = getenv(name);
	char *end;

	if (text == NULL)
		die("%s is not set: start this program with lina-launch", name);
	long value = strtol(text, &end, 10);
	if (end == text || *end != '\0' || value < least || value > most)
		die("%s='%s' is not a number from %d to %d", name, text, least, most);
	return (int)value;
}

void job_open(struct job *job_p)
{
	job_p->nranks = number_from("LINA_NRANKS", 1, INT_MAX);
	job_p->rank = number_from("LINA_RANK", 0, job_p->nranks - 1);
	job_p->dir = getenv("LINA_RENDEZVOUS");
	if (job_p->dir == NULL)
		die("LINA_RENDEZVOUS is not set: start this program with lina-launch");
	must_cuda(cudaSetDevice(0), "cudaSetDevice");
}

/* ---- communicators: rank 0 leaves the id in a file, whole or not at all -------------------- */

static void id_publish(const char *path, const ncclUniqueId *id)
{
	char part[PATH_MAX + 8];

	snprintf(part, sizeof(part), "%s.part", path);
	FILE *file = fopen(part, "wb");
	if (file == NULL || fwrite(id, sizeof(*id), 1, file) != 1 || fclose(file) != 0 ||
		rename(part, path) != 0)
		die("cannot write %s: %s", path, strerror(errno));
}

static void id_await(const char *path, ncclUniqueId *id_p)
{
	double end_us = now_us() + RENDEZVOUS_TIMEOUT_S * 1e6;
	FILE *file;

	while ((file = fopen(path, "rb")) == NULL) {
		if (now_us() > end_us)
			die("rank 0 did not write %s in %d s", path, (int)RENDEZVOUS_TIMEOUT_S);
		usleep(RENDEZVOUS_POLL_US);
	}
	if (fread(id_p, sizeof(*id_p), 1, file) != 1)
		die("%s is too short", path);
	fclose(file);
}

/* A network as it is spoken of here, by NCCL, and what of its communicators says so to a plugin. */
static const struct net {
	const char *word, *name;
	int traffic_class;
	const char
		*rule; /* in LINA_CLASSES, without which the plugin cannot tell it from another */
} plugin_fifo = { "fifo", "lina", 1, "traffic:1=latency" };

static void choose_net(ncclConfig_t *config, const char *net)
{
	const char *rules = getenv("LINA_CLASSES");

	config->netName = net;
	if (strcmp(net, plugin_fifo.word) != 0)
		return;
	if (rules == NULL || strstr(rules, plugin_fifo.rule) == NULL)
		die("network '%s' needs LINA_CLASSES=%s", net, plugin_fifo.rule);
	config->netName = plugin_fifo.name;
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 26, 0)
	config->trafficClass = plugin_fifo.traffic_class;
#else
	die("network '%s' needs NCCL 2.26 or later, which knows traffic classes", net);
#endif
}

ncclComm_t job_comm_open(const struct job *job, const char *name, const char *net)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	char path[PATH_MAX];
	ncclUniqueId id;
	ncclComm_t comm;

	snprintf(path, sizeof(path), "%s/%s.%s.id", job->dir, name, net);
	if (job->rank == 0) {
		must_nccl(ncclGetUniqueId(&id), "ncclGetUniqueId");
		id_publish(path, &id);
	} else {
		id_await(path, &id);
	}
	choose_net(&config, net);
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
	config.commName = name;
#endif
	ncclResult_t result = ncclCommInitRankConfig(&comm, job->nranks, id, job->rank, &config);
	if (result != ncclSuccess)
		die("communicator '%s' on network '%s': %s: %s", name, net,
			ncclGetErrorString(result), ncclGetLastError(NULL));
	/* Asked after NCCL has read its configuration files, which set the environment. */
	if (getenv("NCCL_NET") != NULL)
		die("NCCL_NET=%s overrides the choice of network '%s': unset it",
			getenv("NCCL_NET"), net);
	return comm;
}

/* ---- collectives --------------------------------------------------------------------------- */

ncclResult_t job_alltoall(const struct job *job, const float *from, float *to, size_t count,
	ncclComm_t comm, cudaStream_t stream)
{
#if NCCL_VERSION_CODE >= NCCL_VERSION(2, 28, 0)
	(void)job;
	return ncclAlltoAll(from, to, count, ncclFloat, comm, stream);
#else
	ncclGroupStart();
	for (int peer = 0; peer < job->nranks; peer++) {
		size_t at = (size_t)peer * count;
		ncclSend(from + at, count, ncclFloat, peer, comm, stream);
		ncclRecv(to + at, count, ncclFloat, peer, comm, stream);
	}
	return ncclGroupEnd();
#endif
}

void job_barrier(const struct job *job, ncclComm_t comm, cudaStream_t stream)
{
	double none = 0;

	job_max(job, &none, 1, comm, stream);
}

void job_gather(const struct job *job, const double *values, size_t n, double *all_p,
	ncclComm_t comm, cudaStream_t stream)
{
	size_t bytes = n * sizeof(*values), all_bytes = bytes * (size_t)job->nranks;
	double *device = job_alloc(all_bytes), *own = device + n * (size_t)job->rank;

	must_cuda(cudaMemcpy(own, values, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
	must_nccl(ncclAllGather(own, device, bytes, ncclChar, comm, stream), "ncclAllGather");
	must_cuda(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
	must_cuda(cudaMemcpy(all_p, device, all_bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
	must_cuda(cudaFree(device), "cudaFree");
}

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static double sum(double a, double b)
{
	return a + b;
}

static void combine(const struct job *job, double *values, size_t n, double (*with)(double, double),
	ncclComm_t comm, cudaStream_t stream)
{
	double *all = calloc(n * (size_t)job->nranks, sizeof(*all));

	if (all == NULL)
		die("no memory for %zu values of each rank", n);
	job_gather(job, values, n, all, comm, stream);
	memcpy(values, all, n * sizeof(*values));
	for (size_t i = n; i < n * (size_t)job->nranks; i++)
		values[i % n] = with(values[i % n], all[i]);
	free(all);
}

void job_max(const struct job *job, double *values, size_t n, ncclComm_t comm, cudaStream_t stream)
{
	combine(job, values, n, larger, comm, stream);
}

void job_sum(const struct job *job, double *values, size_t n, ncclComm_t comm, cudaStream_t stream)
{
	combine(job, values, n, sum, comm, stream);
}

void *job_alloc(size_t bytes)
{
	void *memory;

	must_cuda(cudaMalloc(&memory, bytes == 0 ? 1 : bytes), "cudaMalloc");
	must_cuda(cudaMemset(memory, 0, bytes == 0 ? 1 : bytes), "cudaMemset");
	return memory;
}
