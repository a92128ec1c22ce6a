#include "perf/mix_work.h"

#include "perf/meeting.h"

#include <stdlib.h>
#include <time.h>

enum { HOT_RANK = 0, HOT_FACTOR = 4, CHECK_ALLTOALLS = 3 };

struct mix_work {
	const struct job *job;
	const struct mix_shape *shape;
	struct meeting *meeting;
	cudaStream_t expert, data;
	cudaEvent_t began; /* the latest allreduce */
	float *tokens, *tokens_back, *gradients, *sums;
	size_t ntokens, ntokens_back, ngradients; /* floats */
	struct timespec gap;
};

/* Floats that a rank sends to `to`. */
static size_t part(const struct mix_shape *shape, int to)
{
	size_t count = (size_t)shape->peer_bytes / sizeof(float);

	return shape->uneven && to == HOT_RANK ? HOT_FACTOR * count : count;
}

/* Where in a sender's buffer that begins. */
static size_t part_begin(const struct mix_shape *shape, int to)
{
	size_t at = 0;

	for (int r = 0; r < to; r++)
		at += part(shape, r);
	return at;
}

/* Over the link of the host whose first rank is `first`: to the others, and from them. */
static double host_link_bytes(const struct mix_shape *shape, int nranks, int first, int per_host)
{
	int end = first + per_host < nranks ? first + per_host : nranks;
	size_t in_host = part_begin(shape, end) - part_begin(shape, first);
	size_t out = (size_t)(end - first) * (part_begin(shape, nranks) - in_host);
	size_t in = (size_t)(nranks - (end - first)) * in_host;

	return (double)(out > in ? out : in) * (double)sizeof(float);
}

double mix_link_bytes(const struct mix_shape *shape, int nranks, int per_host)
{
	double most = 0;

	for (int first = 0; first < nranks; first += per_host) {
		double bytes = host_link_bytes(shape, nranks, first, per_host);
		most = bytes > most ? bytes : most;
	}
	return most;
}

/* ---- open and close -------------------------------------------------------------------------- */

static cudaStream_t open_stream(void)
{
	cudaStream_t stream;

	must_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	return stream;
}

struct mix_work *mix_work_open(const struct job *job, const struct mix_shape *shape)
{
	struct mix_work *work = calloc(1, sizeof(*work));

	if (work == NULL)
		die("no memory for streams and buffers");
	work->job = job;
	work->shape = shape;
	work->meeting = meeting_open(job);
	work->expert = open_stream();
	work->data = open_stream();
	must_cuda(cudaEventCreate(&work->began), "cudaEventCreate");
	work->ntokens = part_begin(shape, job->nranks);
	work->ntokens_back = (size_t)job->nranks * part(shape, job->rank);
	work->ngradients = (size_t)shape->allreduce_bytes / sizeof(float);
	work->tokens = job_alloc(work->ntokens * sizeof(float));
	work->tokens_back = job_alloc(work->ntokens_back * sizeof(float));
	work->gradients = job_alloc(work->ngradients * sizeof(float));
	work->sums = job_alloc(work->ngradients * sizeof(float));
	work->gap.tv_sec = (time_t)(shape->gap_ms / 1e3);
	work->gap.tv_nsec = (long)((shape->gap_ms - (double)work->gap.tv_sec * 1e3) * 1e6);
	return work;
}

void mix_work_close(struct mix_work *work)
{
	must_cuda(cudaFree(work->sums), "cudaFree");
	must_cuda(cudaFree(work->gradients), "cudaFree");
	must_cuda(cudaFree(work->tokens_back), "cudaFree");
	must_cuda(cudaFree(work->tokens), "cudaFree");
	must_cuda(cudaEventDestroy(work->began), "cudaEventDestroy");
	must_cuda(cudaStreamDestroy(work->data), "cudaStreamDestroy");
	must_cuda(cudaStreamDestroy(work->expert), "cudaStreamDestroy");
	meeting_close(work->meeting);
	free(work);
}

/* ---- on the streams -------------------------------------------------------------------------- */

static void take_time(void *at_us)
{
	*(double *)at_us = now_us();
}

static void on_stream(cudaStream_t stream, cudaHostFn_t fn, void *arg)
{
	must_cuda(cudaLaunchHostFunc(stream, fn, arg), "cudaLaunchHostFunc");
}

static void sleep_as_kernels(void *duration)
{
	struct timespec left = *(struct timespec *)duration;

	while (nanosleep(&left, &left) != 0)
		;
}

static void exchange_uneven(struct mix_work *work, ncclComm_t comm)
{
	size_t own = part(work->shape, work->job->rank);

	must_nccl(ncclGroupStart(), "ncclGroupStart");
	for (int peer = 0; peer < work->job->nranks; peer++) {
		must_nccl(ncclSend(work->tokens + part_begin(work->shape, peer),
				  part(work->shape, peer), ncclFloat, peer, comm, work->expert),
			"ncclSend");
		must_nccl(ncclRecv(work->tokens_back + (size_t)peer * own, own, ncclFloat, peer,
				  comm, work->expert),
			"ncclRecv");
	}
	must_nccl(ncclGroupEnd(), "uneven all-to-all");
}

static void issue_alltoall(struct mix_work *work, ncclComm_t comm, struct mix_span *span_p)
{
	on_stream(work->expert, meeting_wait, work->meeting);
	on_stream(work->expert, take_time, &span_p->start_us);
	if (work->shape->uneven)
		exchange_uneven(work, comm);
	else
		must_nccl(job_alltoall(work->job, work->tokens, work->tokens_back,
				  part(work->shape, 0), comm, work->expert),
			"all-to-all");
	on_stream(work->expert, take_time, &span_p->end_us);
}

static void issue_allreduce(struct mix_work *work, ncclComm_t comm, struct mix_span *span_p)
{
	on_stream(work->data, meeting_wait, work->meeting);
	on_stream(work->data, take_time, &span_p->start_us);
	must_cuda(cudaEventRecord(work->began, work->data), "cudaEventRecord");
	must_nccl(ncclAllReduce(work->gradients, work->sums, work->ngradients, ncclFloat, ncclSum,
			  comm, work->data),
		"allreduce");
	on_stream(work->data, take_time, &span_p->end_us);
}

/* ---- what is timed --------------------------------------------------------------------------- */

void mix_alltoall(struct mix_work *work, const struct mix_comms *comms, struct mix_span *span_p)
{
	issue_alltoall(work, comms->expert, span_p);
	must_cuda(cudaStreamSynchronize(work->expert), "all-to-all");
}

void mix_allreduce(struct mix_work *work, const struct mix_comms *comms, struct mix_span *span_p)
{
	issue_allreduce(work, comms->data, span_p);
	must_cuda(cudaStreamSynchronize(work->data), "allreduce");
}

void mix_both(struct mix_work *work, const struct mix_comms *comms, int count,
	struct mix_span *allreduce_p, struct mix_span *alltoalls_p)
{
	issue_allreduce(work, comms->data, allreduce_p);
	/* The two streams must not come to a meeting at once. */
	must_cuda(cudaStreamWaitEvent(work->expert, work->began, 0), "cudaStreamWaitEvent");
	for (int i = 0; i < count; i++) {
		on_stream(work->expert, sleep_as_kernels, &work->gap);
		issue_alltoall(work, comms->expert, &alltoalls_p[i]);
	}
	must_cuda(cudaStreamSynchronize(work->expert), "all-to-all beside an allreduce");
	must_cuda(cudaStreamSynchronize(work->data), "allreduce beside all-to-alls");
}

/* ---- what must come out ---------------------------------------------------------------------- */

/* Float i of what `from` sends to `to`, and float i of a rank's gradients: small whole numbers, so
 * that sums are exact. */
static float token(int from, int to, size_t i)
{
	return (float)((size_t)from * 131 + (size_t)to * 17 + i % 1021);
}

static float gradient(int rank, size_t i)
{
	return (float)((size_t)rank + i % 997);
}

static float *host_floats(size_t n)
{
	float *floats = malloc(n * sizeof(*floats));

	if (floats == NULL)
		die("no memory for %zu floats", n);
	return floats;
}

static void fill(struct mix_work *work)
{
	float *tokens = host_floats(work->ntokens), *gradients = host_floats(work->ngradients);

	for (int to = 0; to < work->job->nranks; to++) {
		float *first = tokens + part_begin(work->shape, to);
		for (size_t i = 0; i < part(work->shape, to); i++)
			first[i] = token(work->job->rank, to, i);
	}
	for (size_t i = 0; i < work->ngradients; i++)
		gradients[i] = gradient(work->job->rank, i);
	must_cuda(cudaMemcpy(work->tokens, tokens, work->ntokens * sizeof(float),
			  cudaMemcpyHostToDevice),
		"cudaMemcpy");
	must_cuda(cudaMemcpy(work->gradients, gradients, work->ngradients * sizeof(float),
			  cudaMemcpyHostToDevice),
		"cudaMemcpy");
	must_cuda(
		cudaMemset(work->tokens_back, 0, work->ntokens_back * sizeof(float)), "cudaMemset");
	must_cuda(cudaMemset(work->sums, 0, work->ngradients * sizeof(float)), "cudaMemset");
	free(gradients);
	free(tokens);
}

static void must_equal(const char *what, size_t i, float is, float expected)
{
	if (is != expected)
		die("%s beside the other: float %zu is %g, not %g", what, i, (double)is,
			(double)expected);
}

static void compare(struct mix_work *work)
{
	float *back = host_floats(work->ntokens_back), *sums = host_floats(work->ngradients);
	int n = work->job->nranks;
	size_t own = part(work->shape, work->job->rank);

	must_cuda(cudaMemcpy(back, work->tokens_back, work->ntokens_back * sizeof(float),
			  cudaMemcpyDeviceToHost),
		"cudaMemcpy");
	must_cuda(cudaMemcpy(sums, work->sums, work->ngradients * sizeof(float),
			  cudaMemcpyDeviceToHost),
		"cudaMemcpy");
	for (size_t i = 0; i < work->ntokens_back; i++)
		must_equal(
			"all-to-all", i, back[i], token((int)(i / own), work->job->rank, i % own));
	for (size_t i = 0; i < work->ngradients; i++)
		must_equal("allreduce", i, sums[i],
			(float)n * gradient(0, i) + (float)(n * (n - 1)) / 2);
	free(sums);
	free(back);
}

void mix_check(struct mix_work *work, const struct mix_comms *comms)
{
	struct mix_span unused, unused_too[CHECK_ALLTOALLS];

	fill(work);
	mix_both(work, comms, CHECK_ALLTOALLS, &unused, unused_too);
	compare(work);
}
