#include "perf/a2a_padded.h"

#include "collectives/a2a_layout.h"
#include "collectives/a2a_pack.h"

#include <stdlib.h>
#include <string.h>

struct a2a_padded {
	const struct job *job;
	ncclComm_t comm;
	int nexperts;
	size_t hidden, row_bytes;
	int *capacity;         /* on the device */
	uint32_t *filled;      /* [nexperts] */
	uint32_t *row_token;   /* [nexperts * capacity] */
	uint32_t *begin, *row; /* terms of each token */
	float *weight;
	size_t nrows; /* room for */
	size_t npairs;
	char *send, *recv;
};

struct a2a_padded *a2a_padded_open(
	const struct job *job, ncclComm_t comm, int nexperts, size_t hidden)
{
	struct a2a_padded *p = calloc(1, sizeof(*p));

	if (p == NULL || nexperts % job->nranks != 0)
		die("%d ranks do not divide %d experts", job->nranks, nexperts);
	*p = (struct a2a_padded){ .job = job,
		.comm = comm,
		.nexperts = nexperts,
		.hidden = hidden,
		.row_bytes = hidden * 2 };
	p->capacity = job_alloc(sizeof(*p->capacity));
	p->filled = job_alloc((size_t)nexperts * sizeof(*p->filled));
	return p;
}

static void free_rows(struct a2a_padded *p)
{
	free(p->row_token);
	if (p->send != NULL)
		must_cuda(cudaFree(p->send), "cudaFree");
	if (p->recv != NULL)
		must_cuda(cudaFree(p->recv), "cudaFree");
}

static void free_pairs(struct a2a_padded *p)
{
	free(p->begin);
	free(p->row);
	free(p->weight);
}

void a2a_padded_close(struct a2a_padded *p)
{
	free_pairs(p);
	free_rows(p);
	must_cuda(cudaFree(p->filled), "cudaFree");
	must_cuda(cudaFree(p->capacity), "cudaFree");
	free(p);
}

static void reserve(struct a2a_padded *p, size_t nrows, size_t npairs)
{
	if (nrows > p->nrows) {
		free_rows(p);
		p->nrows = nrows * 3 / 2;
		p->row_token = calloc(p->nrows, sizeof(*p->row_token));
		p->send = job_alloc(p->nrows * p->row_bytes);
		p->recv = job_alloc(p->nrows * p->row_bytes);
	}
	if (npairs > p->npairs) {
		free_pairs(p);
		p->npairs = npairs;
		p->begin = calloc(npairs + 1, sizeof(*p->begin));
		p->row = calloc(npairs, sizeof(*p->row));
		p->weight = calloc(npairs, sizeof(*p->weight));
	}
	if (!p->row_token || !p->begin || !p->row || !p->weight)
		die("no memory for %zu rows", nrows);
}

/* The most tokens of an expert on any rank: an allreduce, and a wait for it. */
static size_t agree_on_capacity(
	struct a2a_padded *p, const struct lina_tokens *tokens, cudaStream_t stream)
{
	memset(p->filled, 0, (size_t)p->nexperts * sizeof(*p->filled));
	for (size_t i = 0; i < tokens->n * (size_t)tokens->nchoices; i++)
		p->filled[tokens->experts[i]]++;
	*p->capacity = 1;
	for (int e = 0; e < p->nexperts; e++)
		if ((int)p->filled[e] > *p->capacity)
			*p->capacity = (int)p->filled[e];
	must_nccl(ncclAllReduce(p->capacity, p->capacity, 1, ncclInt32, ncclMax, p->comm, stream),
		"ncclAllReduce");
	must_cuda(cudaStreamSynchronize(stream), "capacity");
	return (size_t)*p->capacity;
}

static void place(struct a2a_padded *p, const struct lina_tokens *tokens, size_t capacity)
{
	size_t k = (size_t)tokens->nchoices, nrows = capacity * (size_t)p->nexperts;

	for (size_t r = 0; r < nrows; r++)
		p->row_token[r] = LINA_NO_ROW;
	memset(p->filled, 0, (size_t)p->nexperts * sizeof(*p->filled));
	for (size_t i = 0; i < tokens->n * k; i++) {
		size_t e = (size_t)tokens->experts[i], row = e * capacity + p->filled[e]++;
		p->row_token[row] = (uint32_t)(i / k);
		p->begin[i / k + 1] = (uint32_t)(i + 1);
		p->row[i] = (uint32_t)row;
		p->weight[i] = tokens->weights[i];
	}
}

void a2a_padded_run(
	struct a2a_padded *p, const struct lina_tokens *tokens, void *out, cudaStream_t stream)
{
	size_t capacity = agree_on_capacity(p, tokens, stream);
	size_t nrows = capacity * (size_t)p->nexperts;
	size_t floats = nrows / (size_t)p->job->nranks * p->row_bytes / sizeof(float);

	reserve(p, nrows, tokens->n * (size_t)tokens->nchoices);
	place(p, tokens, capacity);
	lina_pack_gather(p->send, tokens->rows, p->row_bytes, p->row_token, nrows);
	must_nccl(job_alltoall(p->job, (const float *)(void *)p->send, (float *)(void *)p->recv,
			  floats, p->comm, stream),
		"dispatch");
	must_nccl(job_alltoall(p->job, (const float *)(void *)p->recv, (float *)(void *)p->send,
			  floats, p->comm, stream),
		"combine");
	must_cuda(cudaStreamSynchronize(stream), "combine");
	struct lina_terms terms = { p->begin, p->row, p->weight };
	lina_pack_sum(out, p->send, LINA_ELEMENT_BF16, p->hidden, &terms, tokens->n);
}
