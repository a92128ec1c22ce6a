#include "perf/bench_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOT = 0 };
static const float nothing_said = -1;

/* ---- what is run --------------------------------------------------------------------------- */

static ncclResult_t run_allreduce(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	(void)job;
	return ncclAllReduce(b->send, b->recv, b->count, ncclFloat, ncclSum, comm, stream);
}

static ncclResult_t run_allgather(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	return ncclAllGather(
		b->send, b->recv, b->count / (size_t)job->nranks, ncclFloat, comm, stream);
}

static ncclResult_t run_reduce_scatter(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	return ncclReduceScatter(
		b->send, b->recv, b->count / (size_t)job->nranks, ncclFloat, ncclSum, comm, stream);
}

static ncclResult_t run_broadcast(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	(void)job;
	return ncclBroadcast(b->send, b->recv, b->count, ncclFloat, ROOT, comm, stream);
}

static ncclResult_t run_reduce(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	(void)job;
	return ncclReduce(b->send, b->recv, b->count, ncclFloat, ncclSum, ROOT, comm, stream);
}

static ncclResult_t run_alltoall(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	return job_alltoall(job, b->send, b->recv, b->count / (size_t)job->nranks, comm, stream);
}

/* As nccl-tests' sendrecv: each to the next in a ring. */
static ncclResult_t run_sendrecv(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	int next = (job->rank + 1) % job->nranks;
	int previous = (job->rank + job->nranks - 1) % job->nranks;

	ncclGroupStart();
	ncclSend(b->send, b->count, ncclFloat, next, comm, stream);
	ncclRecv(b->recv, b->count, ncclFloat, previous, comm, stream);
	return ncclGroupEnd();
}

/* There and back between ranks 2i and 2i+1: the way back starts when the way there has ended. */
static ncclResult_t run_pingpong(
	const struct job *job, const struct bench_buffers *b, ncclComm_t comm, cudaStream_t stream)
{
	int peer = job->rank ^ 1;
	ncclResult_t result;

	if (peer >= job->nranks)
		return ncclSuccess;
	if (job->rank > peer) {
		result = ncclRecv(b->recv, b->count, ncclFloat, peer, comm, stream);
		return result != ncclSuccess
			       ? result
			       : ncclSend(b->send, b->count, ncclFloat, peer, comm, stream);
	}
	result = ncclSend(b->send, b->count, ncclFloat, peer, comm, stream);
	return result != ncclSuccess ? result
				     : ncclRecv(b->recv, b->count, ncclFloat, peer, comm, stream);
}

/* ---- what must come out: every rank sends rank + 1 ----------------------------------------- */

static float expect_sum(const struct job *job, const struct bench_buffers *b, size_t i)
{
	(void)b;
	(void)i;
	int sum = job->nranks * (job->nranks + 1) / 2;

	return (float)sum;
}

static float expect_sum_at_root(const struct job *job, const struct bench_buffers *b, size_t i)
{
	return job->rank == ROOT ? expect_sum(job, b, i) : nothing_said;
}

static float expect_owner(const struct job *job, const struct bench_buffers *b, size_t i)
{
	size_t owner = i / (b->count / (size_t)job->nranks);

	return (float)owner + 1;
}

static float expect_root(const struct job *job, const struct bench_buffers *b, size_t i)
{
	(void)job;
	(void)b;
	(void)i;
	return ROOT + 1;
}

static float expect_previous(const struct job *job, const struct bench_buffers *b, size_t i)
{
	(void)b;
	(void)i;
	return (float)((job->rank + job->nranks - 1) % job->nranks) + 1;
}

static float expect_partner(const struct job *job, const struct bench_buffers *b, size_t i)
{
	int peer = job->rank ^ 1;

	(void)b;
	(void)i;
	return peer < job->nranks ? (float)(peer + 1) : nothing_said;
}

static const struct bench_op ops[] = {
	{ "allreduce", LINA_COLL_ALLREDUCE, 1, run_allreduce, expect_sum, false, false },
	{ "allgather", LINA_COLL_ALLGATHER, 1, run_allgather, expect_owner, true, false },
	{ "reduce_scatter", LINA_COLL_REDUCE_SCATTER, 1, run_reduce_scatter, expect_sum, true,
		true },
	{ "broadcast", LINA_COLL_BROADCAST, 1, run_broadcast, expect_root, false, false },
	{ "reduce", LINA_COLL_REDUCE, 1, run_reduce, expect_sum_at_root, false, false },
	{ "alltoall", LINA_COLL_ALLTOALL, 1, run_alltoall, expect_owner, true, false },
	{ "sendrecv", LINA_COLL_SENDRECV, 1, run_sendrecv, expect_previous, false, false },
	{ "pingpong", LINA_COLL_SENDRECV, 2, run_pingpong, expect_partner, false, false },
};
enum { NOPS = sizeof(ops) / sizeof(*ops) };

const struct bench_op *bench_op_find(const char *name)
{
	for (int i = 0; i < NOPS; i++)
		if (strcmp(ops[i].name, name) == 0)
			return &ops[i];
	return NULL;
}

const char *bench_op_names(void)
{
	static char names[16 * NOPS];
	size_t used = 0;

	for (int i = 0; i < NOPS; i++)
		used += (size_t)snprintf(
			names + used, sizeof(names) - used, "%s%s", i == 0 ? "" : " ", ops[i].name);
	return names;
}

uint64_t bench_op_size(const struct bench_op *op, int nranks, uint64_t size_bytes)
{
	uint64_t unit = (op->shared ? (uint64_t)nranks : 1) * sizeof(float);

	return size_bytes < unit ? unit : size_bytes / unit * unit;
}

void bench_op_check(const struct bench_op *op, const struct job *job,
	const struct bench_buffers *buffers, ncclComm_t comm, cudaStream_t stream)
{
	size_t n = op->receives_part ? buffers->count / (size_t)job->nranks : buffers->count;
	float *host = malloc(buffers->count * sizeof(float));

	if (host == NULL)
		die("no memory for %zu floats", buffers->count);
	for (size_t i = 0; i < buffers->count; i++)
		host[i] = (float)(job->rank + 1);
	size_t bytes = buffers->count * sizeof(float);
	must_cuda(cudaMemcpy(buffers->send, host, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
	must_cuda(cudaMemset(buffers->recv, 0, bytes), "cudaMemset");
	must_nccl(op->run(job, buffers, comm, stream), op->name);
	must_cuda(cudaStreamSynchronize(stream), op->name);
	must_cuda(cudaMemcpy(host, buffers->recv, bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
	for (size_t i = 0; i < n; i++) {
		float expected = op->expect(job, buffers, i);
		if (expected >= 0 && host[i] != expected)
			die("%s of %zu bytes: float %zu is %g, not %g", op->name, bytes, i,
				(double)host[i], (double)expected);
	}
	free(host);
}
