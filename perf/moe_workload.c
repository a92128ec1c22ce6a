#include "perf/moe_workload.h"

#include <stdlib.h>
#include <time.h>

enum { PHASES_PER_LAYER = 4, PASSES = 2 };

struct moe_step {
	const struct job *job;
	const struct moe_model *model;
	cudaStream_t compute, expert, data;
	cudaEvent_t origin, ready, done, reduced; /* each is recorded on one stream only */
	float *tokens, *tokens_back, *gradients;
	struct timespec sleep[MOE_NKINDS][PASSES];
	struct span_events {
		cudaEvent_t start, end;
	} * events;
	/* Of the step that is being issued. */
	const struct moe_comms *comms;
	struct moe_span *spans;
	int nspans;
	bool backward;
	int layer;
};

const char *moe_kind_name(enum moe_kind kind)
{
	static const char *const names[] = { "attention", "experts", "alltoall", "allreduce" };

	return names[kind];
}

static int nbuckets(const struct moe_model *model)
{
	size_t all_bytes = (size_t)model->nlayers * model->gradient_bytes;

	return (int)((all_bytes + model->bucket_bytes - 1) / model->bucket_bytes);
}

int moe_nspans(const struct moe_model *model)
{
	return PASSES * PHASES_PER_LAYER * model->nlayers + nbuckets(model);
}

int moe_nalltoalls(const struct moe_model *model)
{
	return PASSES * 2 * model->nlayers;
}

/* ---- open and close -------------------------------------------------------------------------- */

static cudaStream_t open_stream(void)
{
	cudaStream_t stream;

	must_cuda(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
		"cudaStreamCreateWithFlags");
	return stream;
}

static cudaEvent_t open_event(void)
{
	cudaEvent_t event;

	must_cuda(cudaEventCreate(&event), "cudaEventCreate");
	return event;
}

static struct timespec duration(double ms)
{
	struct timespec t = { (time_t)(ms / 1e3), 0 };

	t.tv_nsec = (long)((ms - (double)t.tv_sec * 1e3) * 1e6);
	return t;
}

struct moe_step *moe_step_open(const struct job *job, const struct moe_model *model)
{
	struct moe_step *step = calloc(1, sizeof(*step));
	int nspans = moe_nspans(model);

	if (step == NULL || (step->events = calloc((size_t)nspans, sizeof(*step->events))) == NULL)
		die("no memory for a step of %d layers", model->nlayers);
	step->job = job;
	step->model = model;
	step->compute = open_stream();
	step->expert = open_stream();
	step->data = open_stream();
	step->origin = open_event();
	step->ready = open_event();
	step->done = open_event();
	step->reduced = open_event();
	for (int i = 0; i < nspans; i++)
		step->events[i] = (struct span_events){ open_event(), open_event() };
	for (int pass = 0; pass < PASSES; pass++) {
		step->sleep[MOE_ATTENTION][pass] = duration(model->attention_ms * (1 + pass));
		step->sleep[MOE_EXPERTS][pass] = duration(model->experts_ms * (1 + pass));
	}
	step->tokens = job_alloc(model->peer_bytes * (size_t)job->nranks);
	step->tokens_back = job_alloc(model->peer_bytes * (size_t)job->nranks);
	step->gradients = job_alloc(model->bucket_bytes);
	return step;
}

void moe_step_close(struct moe_step *step)
{
	must_cuda(cudaFree(step->gradients), "cudaFree");
	must_cuda(cudaFree(step->tokens_back), "cudaFree");
	must_cuda(cudaFree(step->tokens), "cudaFree");
	for (int i = 0; i < moe_nspans(step->model); i++) {
		cudaEventDestroy(step->events[i].end);
		cudaEventDestroy(step->events[i].start);
	}
	cudaEventDestroy(step->reduced);
	cudaEventDestroy(step->done);
	cudaEventDestroy(step->ready);
	cudaEventDestroy(step->origin);
	cudaStreamDestroy(step->data);
	cudaStreamDestroy(step->expert);
	cudaStreamDestroy(step->compute);
	free(step->events);
	free(step);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static void record(cudaEvent_t event, cudaStream_t stream)
{
	must_cuda(cudaEventRecord(event, stream), "cudaEventRecord");
}

/* What is issued on `stream` from now on starts when all issued on `earlier` so far has ended. */
static void follow(cudaStream_t stream, cudaStream_t earlier, cudaEvent_t event)
{
	record(event, earlier);
	must_cuda(cudaStreamWaitEvent(stream, event, 0), "cudaStreamWaitEvent");
}

static cudaEvent_t span_begin(struct moe_step *step, enum moe_kind kind, cudaStream_t stream)
{
	int i = step->nspans++;

	step->spans[i] = (struct moe_span){ kind, step->backward, step->layer, 0, 0 };
	record(step->events[i].start, stream);
	return step->events[i].end;
}

static void sleep_as_kernels(void *duration)
{
	struct timespec left = *(struct timespec *)duration;

	while (nanosleep(&left, &left) != 0)
		;
}

static void compute(struct moe_step *step, enum moe_kind kind)
{
	cudaEvent_t end = span_begin(step, kind, step->compute);

	must_cuda(cudaLaunchHostFunc(
			  step->compute, sleep_as_kernels, &step->sleep[kind][step->backward]),
		"cudaLaunchHostFunc");
	record(end, step->compute);
}

static void alltoall(struct moe_step *step)
{
	follow(step->expert, step->compute, step->ready);
	cudaEvent_t end = span_begin(step, MOE_ALLTOALL, step->expert);
	must_nccl(
		job_alltoall(step->job, step->tokens, step->tokens_back,
			step->model->peer_bytes / sizeof(float), step->comms->expert, step->expert),
		"all-to-all");
	record(end, step->expert);
	follow(step->compute, step->expert, step->done);
}

static void allreduce(struct moe_step *step, size_t bytes)
{
	follow(step->data, step->compute, step->ready);
	cudaEvent_t end = span_begin(step, MOE_ALLREDUCE, step->data);
	must_nccl(ncclAllReduce(step->gradients, step->gradients, bytes / sizeof(float), ncclFloat,
			  ncclSum, step->comms->data, step->data),
		"allreduce");
	record(end, step->data);
}

/* ---- the step -------------------------------------------------------------------------------- */

static void forward(struct moe_step *step)
{
	step->backward = false;
	for (step->layer = 0; step->layer < step->model->nlayers; step->layer++) {
		compute(step, MOE_ATTENTION);
		alltoall(step);
		compute(step, MOE_EXPERTS);
		alltoall(step);
	}
}

static void backward(struct moe_step *step)
{
	const struct moe_model *model = step->model;
	size_t waiting_bytes = 0;

	step->backward = true;
	for (step->layer = model->nlayers - 1; step->layer >= 0; step->layer--) {
		alltoall(step);
		compute(step, MOE_EXPERTS);
		alltoall(step);
		compute(step, MOE_ATTENTION);
		waiting_bytes += model->gradient_bytes;
		for (; waiting_bytes >= model->bucket_bytes; waiting_bytes -= model->bucket_bytes)
			allreduce(step, model->bucket_bytes);
	}
	step->layer = 0;
	if (waiting_bytes > 0)
		allreduce(step, waiting_bytes);
}

static double since_origin_ms(const struct moe_step *step, cudaEvent_t event)
{
	float ms;

	must_cuda(cudaEventElapsedTime(&ms, step->origin, event), "cudaEventElapsedTime");
	return (double)ms;
}

double moe_step_run(struct moe_step *step, const struct moe_comms *comms, struct moe_span *spans_p)
{
	step->comms = comms;
	step->spans = spans_p;
	step->nspans = 0;
	job_barrier(step->job, comms->expert, step->compute);
	double start_us = now_us();
	record(step->origin, step->compute);
	forward(step);
	backward(step);
	follow(step->compute, step->data, step->reduced);
	must_cuda(cudaStreamSynchronize(step->compute), "cudaStreamSynchronize");
	double time_ms = (now_us() - start_us) / 1e3;
	for (int i = 0; i < step->nspans; i++) {
		spans_p[i].start_ms = since_origin_ms(step, step->events[i].start);
		spans_p[i].end_ms = since_origin_ms(step, step->events[i].end);
	}
	return time_ms;
}

double moe_bucket_run(struct moe_step *step, const struct moe_comms *comms)
{
	const struct moe_model *model = step->model;
	size_t all_bytes = (size_t)model->nlayers * model->gradient_bytes;
	size_t bytes = all_bytes < model->bucket_bytes ? all_bytes : model->bucket_bytes;

	if (bytes < sizeof(float))
		return 0;
	job_barrier(step->job, comms->data, step->data);
	double start_us = now_us();
	must_nccl(ncclAllReduce(step->gradients, step->gradients, bytes / sizeof(float), ncclFloat,
			  ncclSum, comms->data, step->data),
		"allreduce");
	must_cuda(cudaStreamSynchronize(step->data), "cudaStreamSynchronize");
	return (now_us() - start_us) / 1e3;
}

double moe_backward_ms(const struct moe_model *model, const struct moe_span *spans)
{
	int nspans = moe_nspans(model), first = 0;
	double end_ms = 0;

	while (!spans[first].backward)
		first++;
	for (int i = first; i < nspans; i++)
		end_ms = spans[i].end_ms > end_ms ? spans[i].end_ms : end_ms;
	return end_ms - spans[first].start_ms;
}

static double overlap_ms(const struct moe_span *a, const struct moe_span *b)
{
	double start_ms = a->start_ms > b->start_ms ? a->start_ms : b->start_ms;
	double end_ms = a->end_ms < b->end_ms ? a->end_ms : b->end_ms;

	return end_ms > start_ms ? end_ms - start_ms : 0;
}

void moe_alltoalls_find(const struct moe_model *model, const struct moe_span *spans,
	struct moe_alltoall *alltoalls_p)
{
	int nspans = moe_nspans(model);

	for (int i = 0; i < nspans; i++) {
		if (spans[i].kind != MOE_ALLTOALL)
			continue;
		alltoalls_p->time_ms = spans[i].end_ms - spans[i].start_ms;
		alltoalls_p->beside_ms = 0;
		for (int k = 0; k < nspans; k++)
			if (spans[k].kind == MOE_ALLREDUCE)
				alltoalls_p->beside_ms += overlap_ms(&spans[i], &spans[k]);
		alltoalls_p++;
	}
}
