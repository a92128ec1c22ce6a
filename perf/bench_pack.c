/*
 * What packing costs: rows gathered, and weighted sums, beside memcpy of as many bytes. No NCCL in
 * it. Prints rates in 10^9 bytes moved per second (read once and written once), medians of batches
 * that alternate.
 */
#include "collectives/a2a_pack.h"
#include "perf/die.h"
#include "perf/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROW_BYTES = 4096, ROWS = 8192, BATCHES_MAX = 1000, CHOICES = 8, TOKENS = ROWS / CHOICES };

struct bench {
	char *from, *to;
	uint32_t *row, *begin;
	float *weight;
	double copy_ns[BATCHES_MAX], gather_ns[BATCHES_MAX], sum_ns[BATCHES_MAX];
};

static double now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void *memory(size_t bytes)
{
	void *made = malloc(bytes);

	if (made == NULL)
		die("no memory for %zu bytes", bytes);
	memset(made, 0, bytes);
	return made;
}

/* Rows in an order without pattern: i times an odd number, modulo a power of two. */
static void open_bench(struct bench *b)
{
	b->from = memory((size_t)ROWS * ROW_BYTES);
	b->to = memory((size_t)ROWS * ROW_BYTES);
	b->row = memory(ROWS * sizeof(*b->row));
	b->begin = memory((TOKENS + 1) * sizeof(*b->begin));
	b->weight = memory(ROWS * sizeof(*b->weight));
	for (uint32_t i = 0; i < ROWS; i++) {
		b->row[i] = i * 2654435761U % ROWS;
		b->weight[i] = 1.0F / CHOICES;
	}
	for (uint32_t t = 0; t <= TOKENS; t++)
		b->begin[t] = t * CHOICES;
}

static void close_bench(struct bench *b)
{
	free(b->weight);
	free(b->begin);
	free(b->row);
	free(b->to);
	free(b->from);
}

static void measure(struct bench *b, int batch)
{
	const struct lina_terms terms = { b->begin, b->row, b->weight };
	double start = now_ns();

	memcpy(b->to, b->from, (size_t)ROWS * ROW_BYTES);
	b->copy_ns[batch] = now_ns() - start;
	start = now_ns();
	lina_pack_gather(b->to, b->from, ROW_BYTES, b->row, ROWS);
	b->gather_ns[batch] = now_ns() - start;
	start = now_ns();
	lina_pack_sum(b->to, b->from, LINA_ELEMENT_BF16, ROW_BYTES / 2, &terms, TOKENS);
	b->sum_ns[batch] = now_ns() - start;
}

static double median(double *values, int n)
{
	stats_sort(values, (size_t)n);
	return stats_quantile(values, (size_t)n, 0.5);
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 100;
	static struct bench b;

	if (n < 1 || n > BATCHES_MAX)
		die("%d is not from 1 to %d batches", n, (int)BATCHES_MAX);
	open_bench(&b);
	for (int i = 0; i < n; i++)
		measure(&b, i);
	double bytes = (double)ROWS * ROW_BYTES, copy = median(b.copy_ns, n);
	double gather = median(b.gather_ns, n), sum = median(b.sum_ns, n);
	printf("%d rows of %d bytes, medians of %d\n", (int)ROWS, (int)ROW_BYTES, n);
	printf("memcpy          %6.2f GB/s\n", bytes / copy);
	printf("gather          %6.2f GB/s, %.2f of memcpy\n", bytes / gather, copy / gather);
	printf("sum of %d bf16   %6.2f GB/s read, %.2f of memcpy\n", (int)CHOICES, bytes / sum,
		copy / sum);
	close_bench(&b);
	return 0;
}
