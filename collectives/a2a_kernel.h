/*
 * Moving and summing rows by many threads: what each of them does. Compiled for GPUs, where
 * a2a_pack.cu makes kernels of it, and for the processor, where tests run the same threads one
 * after the other. The results are those of a2a_pack.h, bit for bit but for the bits of a NaN.
 *
 * Rows are divided among blocks of threads, a row's bytes or elements among the threads of a block,
 * so that neighbours read and write what lies side by side. How many rows there are is read from
 * memory, since a kernel is launched before that is known.
 */
#ifndef LINA_COLLECTIVES_A2A_KERNEL_H
#define LINA_COLLECTIVES_A2A_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/a2a_element.h"
#include "collectives/a2a_pack.h"

/* dst[to[i]] = src[row[i]] for i < *n, rows of row_bytes; 0 where row[i] is LINA_NO_ROW. */
struct lina_gather {
	void *dst;
	const void *src;
	size_t row_bytes;
	const uint32_t *n, *to, *row;
};

/* dst[to[i]] = the sum over j from begin[i] to begin[i + 1] - 1 of weight[j] * src[row[j]] for i <
 * *n, rows of width elements. */
struct lina_sum {
	void *dst;
	const void *src;
	enum lina_element element;
	size_t width;
	const uint32_t *n, *to, *begin, *row;
	const float *weight;
};

/* sum[i] += part[i] for n elements. */
struct lina_add {
	void *sum;
	const void *part;
	enum lina_element element;
	size_t n;
};

/* Which thread of how many. */
struct lina_thread {
	size_t block, nblocks, thread, nthreads;
};

/* 16 bytes that a thread moves at once. */
struct lina_vector {
	uint32_t word[4];
} __attribute__((aligned(16), may_alias));

LINA_ANYWHERE bool lina_is_vector(const void *at)
{
	return (uintptr_t)at % sizeof(struct lina_vector) == 0;
}

/* A thread's part of one row; from: NULL for zeros. */
LINA_ANYWHERE void lina_copy_part(
	char *to, const char *from, size_t bytes, const struct lina_thread *at)
{
	size_t whole = 0;

	if (lina_is_vector(to) && lina_is_vector(from))
		whole = bytes / sizeof(struct lina_vector);
	struct lina_vector *out = (struct lina_vector *)(void *)to;
	const struct lina_vector *in = (const struct lina_vector *)(const void *)from;
	for (size_t v = at->thread; v < whole; v += at->nthreads) {
		struct lina_vector value = { { 0, 0, 0, 0 } };
		if (in != NULL)
			value = in[v];
		out[v] = value;
	}
	for (size_t i = whole * sizeof(struct lina_vector) + at->thread; i < bytes;
		i += at->nthreads) {
		char value = 0;
		if (from != NULL)
			value = from[i];
		to[i] = value;
	}
}

LINA_ANYWHERE void lina_gather_thread(const struct lina_gather *g, const struct lina_thread *at)
{
	for (size_t i = at->block; i < *g->n; i += at->nblocks) {
		const char *from = NULL;
		if (g->row[i] != LINA_NO_ROW)
			from = (const char *)g->src + g->row[i] * g->row_bytes;
		lina_copy_part((char *)g->dst + g->to[i] * g->row_bytes, from, g->row_bytes, at);
	}
}

/* NOLINTBEGIN(bugprone-macro-parentheses): types take none */
#define LINA_DEFINE_THREADS(name, element, total, load, store)                                    \
	LINA_ANYWHERE void lina_sum_row_##name(                                                   \
		const struct lina_sum *s, size_t i, const struct lina_thread *at)                 \
	{                                                                                         \
		element *dst = (element *)s->dst + s->to[i] * s->width;                           \
		for (size_t e = at->thread; e < s->width; e += at->nthreads) {                    \
			total acc = 0;                                                            \
			for (uint32_t j = s->begin[i]; j < s->begin[i + 1]; j++)                  \
				acc += (total)s->weight[j] *                                      \
				       load(((const element *)s->src)[s->row[j] * s->width + e]); \
			dst[e] = store(acc);                                                      \
		}                                                                                 \
	}                                                                                         \
	LINA_ANYWHERE void lina_add_##name(const struct lina_add *a, size_t i)                    \
	{                                                                                         \
		element *sum = (element *)a->sum + i;                                             \
		*sum = store(load(*sum) + load(((const element *)a->part)[i]));                   \
	}
LINA_EACH_SUMMED(LINA_DEFINE_THREADS)
/* NOLINTEND(bugprone-macro-parentheses) */

LINA_ANYWHERE void lina_sum_row(const struct lina_sum *s, size_t i, const struct lina_thread *at)
{
	switch (s->element) {
	case LINA_ELEMENT_F16:
		lina_sum_row_f16(s, i, at);
		break;
	case LINA_ELEMENT_BF16:
		lina_sum_row_bf16(s, i, at);
		break;
	case LINA_ELEMENT_F32:
		lina_sum_row_f32(s, i, at);
		break;
	case LINA_ELEMENT_F64:
		lina_sum_row_f64(s, i, at);
		break;
	case LINA_ELEMENT_OTHER:
		break;
	}
}

LINA_ANYWHERE void lina_sum_thread(const struct lina_sum *s, const struct lina_thread *at)
{
	for (size_t i = at->block; i < *s->n; i += at->nblocks)
		lina_sum_row(s, i, at);
}

LINA_ANYWHERE void lina_add_one(const struct lina_add *a, size_t i)
{
	switch (a->element) {
	case LINA_ELEMENT_F16:
		lina_add_f16(a, i);
		break;
	case LINA_ELEMENT_BF16:
		lina_add_bf16(a, i);
		break;
	case LINA_ELEMENT_F32:
		lina_add_f32(a, i);
		break;
	case LINA_ELEMENT_F64:
		lina_add_f64(a, i);
		break;
	case LINA_ELEMENT_OTHER:
		break;
	}
}

LINA_ANYWHERE void lina_add_thread(const struct lina_add *a, const struct lina_thread *at)
{
	size_t first = at->block * at->nthreads + at->thread;

	for (size_t i = first; i < a->n; i += at->nblocks * at->nthreads)
		lina_add_one(a, i);
}

#endif
