#include <errno.h>
#include <string.h>

#include "collectives/a2a.h"
#include "collectives/error.h"

/* ---- the index ------------------------------------------------------------------------------- */

static uint32_t *index_to(uint32_t *at)
{
	return at + 1;
}

static uint32_t *index_begin(uint32_t *at, size_t max)
{
	return at + 1 + max;
}

static uint32_t *index_row(uint32_t *at, size_t max)
{
	return at + 2 + 2 * max;
}

static float *index_weight(uint32_t *at, size_t max)
{
	return (float *)(void *)(at + 2 + 3 * max);
}

static size_t index_bytes(size_t max)
{
	return (2 + 4 * max) * sizeof(uint32_t);
}

int lina_index_reserve(struct lina_a2a *a2a, struct lina_index *index, size_t max)
{
	struct lina_buffer host = { NULL, 0, false }, device = { NULL, 0, true };

	if (a2a->cuda == NULL || max <= index->max)
		return 0;
	if (index->max > 0) { /* as a buffer */
		max += max / 2;
		a2a->stats.grown++;
	}
	int err = lina_buffer_reserve(a2a, &host, index_bytes(max));
	if (err)
		return err;
	err = lina_buffer_reserve(a2a, &device, index_bytes(max));
	if (err) {
		lina_buffer_free(a2a, &host);
		return err;
	}
	lina_index_free(a2a, index);
	*index = (struct lina_index){ max, (uint32_t *)(void *)host.at,
		(uint32_t *)(void *)device.at, 0 };
	return 0;
}

void lina_index_free(struct lina_a2a *a2a, struct lina_index *index)
{
	struct lina_buffer host = { (char *)index->host, index_bytes(index->max), false };
	struct lina_buffer device = { (char *)index->device, index_bytes(index->max), true };

	if (index->host == NULL)
		return;
	lina_buffer_free(a2a, &device);
	lina_buffer_free(a2a, &host);
	*index = (struct lina_index){ 0 };
}

/* ---- host functions -------------------------------------------------------------------------- */

void lina_stage_begin(struct lina_call *call, enum lina_stage stage)
{
	struct lina_index *index = &call->index[stage];

	if (call->a2a->cuda == NULL)
		return;
	index->host[0] = index->nterms = 0;
	index_begin(index->host, index->max)[0] = 0;
}

static char *row_of(const struct lina_call *call, void *rows, size_t i)
{
	return (char *)rows + i * call->a2a->row_bytes;
}

void lina_stage_gather(struct lina_call *call, enum lina_stage stage, void *dst, size_t first,
	const void *src, const uint32_t *row, size_t n)
{
	struct lina_index *index = &call->index[stage];

	if (call->a2a->cuda == NULL) {
		lina_pack_gather(row_of(call, dst, first), src, call->a2a->row_bytes, row, n);
		return;
	}
	uint32_t *to = index_to(index->host) + index->host[0];
	memcpy(index_row(index->host, index->max) + index->host[0], row, n * sizeof(*row));
	for (size_t i = 0; i < n; i++)
		to[i] = (uint32_t)(first + i);
	index->host[0] += (uint32_t)n;
}

void lina_stage_sum(struct lina_call *call, enum lina_stage stage, void *dst, size_t first,
	const void *src, const struct lina_terms *terms, size_t n)
{
	struct lina_index *index = &call->index[stage];

	if (call->a2a->cuda == NULL) {
		lina_pack_sum(row_of(call, dst, first), src, call->a2a->element,
			call->a2a->settings.hidden, terms, n);
		return;
	}
	uint32_t *to = index_to(index->host), *begin = index_begin(index->host, index->max);
	size_t at = terms->begin[0], nterms = terms->begin[n] - at;
	memcpy(index_row(index->host, index->max) + index->nterms, terms->row + at,
		nterms * sizeof(*terms->row));
	memcpy(index_weight(index->host, index->max) + index->nterms, terms->weight + at,
		nterms * sizeof(*terms->weight));
	for (size_t i = 0; i < n; i++) {
		to[index->host[0]++] = (uint32_t)(first + i);
		begin[index->host[0]] = index->nterms + (terms->begin[i + 1] - (uint32_t)at);
	}
	index->nterms += (uint32_t)nterms;
}

/* No row, and no terms: one of the two is looked at. */
void lina_stage_zero(struct lina_call *call, enum lina_stage stage, void *dst, size_t n)
{
	struct lina_index *index = &call->index[stage];

	if (call->a2a->cuda == NULL) {
		memset(dst, 0, n * call->a2a->row_bytes);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		index_to(index->host)[i] = (uint32_t)i;
		index_row(index->host, index->max)[i] = LINA_NO_ROW;
		index_begin(index->host, index->max)[i + 1] = 0;
	}
	index->host[0] = (uint32_t)n;
}

/* ---- on the stream --------------------------------------------------------------------------- */

int lina_stage_run(struct lina_call *call, enum lina_stage stage, void *dst, const void *src,
	bool summed, cudaStream_t stream)
{
	const struct lina_a2a *a2a = call->a2a;
	const struct lina_index *index = &call->index[stage];
	uint32_t *at = index->device;

	if (a2a->cuda == NULL)
		return 0;
	int err = lina_cuda(cudaMemcpyAsync(at, index->host, index_bytes(index->max),
				    cudaMemcpyHostToDevice, stream),
		"cudaMemcpyAsync");
	if (err)
		return err;
	struct lina_gather gather = { dst, src, a2a->row_bytes, at, index_to(at),
		index_row(at, index->max) };
	struct lina_sum sum = { dst, src, a2a->element, a2a->settings.hidden, at, index_to(at),
		index_begin(at, index->max), index_row(at, index->max),
		index_weight(at, index->max) };
	return lina_cuda((cudaError_t)(summed ? a2a->cuda->sum(&sum, index->max, stream)
					      : a2a->cuda->gather(&gather, index->max, stream)),
		"packing kernel");
}
