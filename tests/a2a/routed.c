#include "a2a/routed.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/a2a_pack.h"

enum { BFLOAT16 = 9 };

void routed_need(const char *file, int line, const char *call, int err)
{
	if (err)
		job_fail(file, line, "%s: %s: %s", call, strerror(-err), lina_last_error());
}

size_t routed_type_bytes(int type)
{
	switch (type) {
	case ncclInt8:
	case ncclUint8:
		return 1;
	case ncclFloat16:
	case BFLOAT16:
		return 2;
	case ncclInt64:
	case ncclUint64:
	case ncclFloat64:
		return 8;
	default:
		return 4;
	}
}

static void store(int type, void *array, size_t i, double value)
{
	switch (type) {
	case ncclFloat16:
		((uint16_t *)array)[i] = lina_half_of_float((float)value);
		break;
	case BFLOAT16:
		((uint16_t *)array)[i] = lina_bfloat_of_float((float)value);
		break;
	case ncclFloat32:
		((float *)array)[i] = (float)value;
		break;
	case ncclFloat64:
		((double *)array)[i] = value;
		break;
	case ncclInt8:
	case ncclUint8:
		((uint8_t *)array)[i] = (uint8_t)value;
		break;
	case ncclInt64:
	case ncclUint64:
		((int64_t *)array)[i] = (int64_t)value;
		break;
	default:
		((int32_t *)array)[i] = (int32_t)value;
	}
}

static double load(int type, const void *array, size_t i)
{
	switch (type) {
	case ncclFloat16:
		return (double)lina_float_of_half(((const uint16_t *)array)[i]);
	case BFLOAT16:
		return (double)lina_float_of_bfloat(((const uint16_t *)array)[i]);
	case ncclFloat32:
		return (double)((const float *)array)[i];
	case ncclFloat64:
		return ((const double *)array)[i];
	case ncclInt8:
	case ncclUint8:
		return ((const uint8_t *)array)[i];
	case ncclInt64:
	case ncclUint64:
		return (double)((const int64_t *)array)[i];
	default:
		return ((const int32_t *)array)[i];
	}
}

/* Small whole numbers, so that sums in float are exact. */
static double token_value(int rank, size_t t, size_t h)
{
	return (double)(((size_t)rank * 31 + t * 7 + h) % 13);
}

static double expert_factor(int e)
{
	return e % 4 + 1;
}

static void *device_array(size_t bytes)
{
	void *made;

	CUDA(cudaMalloc(&made, bytes + 1));
	return made;
}

void routed_open(
	struct routed *r, const struct job *job, uint64_t seed, const struct routed_shape *shape)
{
	size_t npairs = shape->n * (size_t)shape->nchoices;

	*r = (struct routed){ .job = job,
		.hidden = shape->hidden,
		.type = shape->type,
		.n = shape->n,
		.nchoices = shape->nchoices,
		.nexperts = shape->nexperts,
		.layer = shape->layer };
	r->row_bytes = shape->hidden * routed_type_bytes(shape->type);
	r->experts = device_array(npairs * sizeof(*r->experts));
	r->weights = device_array(npairs * sizeof(*r->weights));
	r->tokens = device_array(r->n * r->row_bytes);
	r->out = device_array(r->n * r->row_bytes);
	case_routing(
		&seed, shape->skew, shape->nexperts, r->n, r->nchoices, r->experts, r->weights);
	if (!shape->weighted) {
		CUDA(cudaFree(r->weights));
		r->weights = NULL;
	}
	for (size_t t = 0; t < r->n; t++)
		for (size_t h = 0; h < r->hidden; h++)
			store(r->type, r->tokens, t * r->hidden + h, token_value(job->rank, t, h));
	memset(r->out, 0x77, r->n * r->row_bytes);
}

void routed_close(struct routed *r)
{
	CUDA(cudaFree(r->out));
	CUDA(cudaFree(r->tokens));
	if (r->weights != NULL)
		CUDA(cudaFree(r->weights));
	CUDA(cudaFree(r->experts));
}

struct lina_tokens routed_tokens(const struct routed *r)
{
	return (struct lina_tokens){ r->tokens, r->experts, r->weights, r->n, r->nchoices,
		r->layer };
}

/* ---- the experts, as kernels would: on the stream -------------------------------------------- */

struct work {
	struct lina_batch batch;
	size_t hidden;
	int type;
};

static void multiply(void *arg)
{
	struct work *work = arg;
	const struct lina_batch *batch = &work->batch;

	for (int s = 0; s < batch->nslots; s++)
		for (uint32_t row = batch->slot_begin[s]; row < batch->slot_begin[s + 1]; row++)
			for (size_t h = 0; h < work->hidden; h++) {
				size_t i = row * work->hidden + h;
				store(work->type, batch->rows, i,
					load(work->type, batch->rows, i) *
						expert_factor(batch->expert[s]));
			}
	free(work);
}

void routed_experts(const struct routed *r, struct lina_batch *batch, cudaStream_t stream)
{
	struct work *work = malloc(sizeof(*work));

	if (work == NULL)
		FAIL("no memory");
	*work = (struct work){ *batch, r->hidden, r->type };
	CUDA(cudaLaunchHostFunc(stream, multiply, work));
}

/* ---- the reference --------------------------------------------------------------------------- */

static double expected(const struct routed *r, size_t t, size_t h)
{
	double sum = 0;

	for (int i = 0; i < r->nchoices; i++) {
		size_t at = t * (size_t)r->nchoices + (size_t)i;
		double weight = r->weights != NULL ? (double)r->weights[at] : 1;
		sum += weight * token_value(r->job->rank, t, h) * expert_factor(r->experts[at]);
	}
	return sum;
}

void routed_compare(const struct routed *r, double tolerance)
{
	for (size_t t = 0; t < r->n; t++)
		for (size_t h = 0; h < r->hidden; h++) {
			double is = load(r->type, r->out, t * r->hidden + h);
			double wanted = expected(r, t, h);
			if (!(fabs(is - wanted) <= tolerance * wanted))
				FAIL("token %zu, element %zu: %.9g, not %.9g", t, h, is, wanted);
		}
}

void routed_run(struct routed *r, struct lina_a2a *a2a, cudaStream_t stream, double tolerance)
{
	struct lina_tokens tokens = routed_tokens(r);
	struct lina_batch *batch;

	LINA(lina_a2a_dispatch(a2a, &tokens, stream, &batch));
	routed_experts(r, batch, stream);
	LINA(lina_a2a_combine(batch, batch->rows, r->out, stream));
	CUDA(cudaStreamSynchronize(stream));
	LINA(lina_a2a_status(a2a));
	routed_compare(r, tolerance);
}
