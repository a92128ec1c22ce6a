#include "perf/a2a_report.h"

#include "perf/die.h"
#include "perf/stats.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From the first rank's start to the last rank's end. */
static double span_ms(const struct a2a_case *c, const struct a2a_span *spans, size_t n, size_t i)
{
	double start = spans[i].start_us, end = spans[i].end_us;

	for (int r = 1; r < c->nranks; r++) {
		const struct a2a_span *other = &spans[(size_t)r * n + i];
		start = other->start_us < start ? other->start_us : start;
		end = other->end_us > end ? other->end_us : end;
	}
	return (end - start) / 1e3;
}

/* Times of a method at a layer, or at all (-1), sorted. */
static size_t collect(const struct a2a_case *c, const struct a2a_span *spans, size_t n, int method,
	int layer, double *times_p)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if ((int)spans[i].method == method && (layer < 0 || (int)spans[i].layer == layer))
			times_p[k++] = span_ms(c, spans, n, i);
	stats_sort(times_p, k);
	return k;
}

static double mean(const double *values, size_t n)
{
	double sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += values[i];
	return sum / (double)n;
}

static double *room(size_t n)
{
	double *times = calloc(n + 1, sizeof(*times));

	if (times == NULL)
		die("no memory for times");
	return times;
}

static double quantile(const struct a2a_case *c, const struct a2a_span *spans, size_t n, int method,
	int layer, double q)
{
	double *times = room(n), value;
	size_t k = collect(c, spans, n, method, layer, times);

	value = stats_quantile(times, k, q);
	free(times);
	return value;
}

static void print_layer(const struct a2a_case *c, const struct a2a_span *spans, size_t n, int layer)
{
	double *times = room(n);

	if (layer >= 0)
		printf("\nlayer %d, max/mean of its experts %.2f\n", c->layer[layer],
			c->skew[layer]);
	else
		printf("\nall layers\n");
	printf("%-14s %9s %9s %9s %9s %12s %12s %10s\n", "layout", "median", "mean", "p95", "p99",
		"p95: padded", "med: uniform", "rows sent");
	for (int m = 0; m < c->nmethods; m++) {
		size_t k = collect(c, spans, n, m, layer, times);
		printf("%-14s %6.1f ms %6.1f ms %6.1f ms %6.1f ms %11.2fx %11.2fx", c->name[m],
			stats_quantile(times, k, 0.5), mean(times, k),
			stats_quantile(times, k, 0.95), stats_quantile(times, k, 0.99),
			quantile(c, spans, n, 0, layer, 0.95) / stats_quantile(times, k, 0.95),
			quantile(c, spans, n, 1, layer, 0.5) / stats_quantile(times, k, 0.5));
		if (c->rows_sent[m] > 0)
			printf(" %10.0f\n", c->rows_sent[m]);
		else
			printf(" %10s\n", "-");
	}
	free(times);
}

void a2a_report_print(const struct a2a_case *c, const struct a2a_span *spans, size_t n)
{
	printf("dispatch and combine: %d ranks, %zu tokens of %zu bfloat16 on each, %d experts of "
	       "a "
	       "token,\n%d slots of a device spare for replicas, routing: %s, %d rounds",
		c->nranks, c->tokens, c->hidden, c->choices, c->spare, c->what, c->rounds);
	if (c->rate_mbps > 0)
		printf(", links of %u Mbit/s", c->rate_mbps);
	printf("\n");
	for (int l = 0; l < c->nlayers; l++)
		print_layer(c, spans, n, l);
	print_layer(c, spans, n, -1);
}

static FILE *create(const char *path, const char *suffix)
{
	char name[4096];

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	FILE *file = fopen(name, "w");
	if (file == NULL)
		die("cannot write %s: %s", name, strerror(errno));
	return file;
}

static void finish(FILE *file, const char *path)
{
	if (fclose(file) != 0)
		die("cannot write %s: %s", path, strerror(errno));
}

void a2a_report_write(
	const struct a2a_case *c, const struct a2a_span *spans, size_t n, const char *path)
{
	FILE *file = create(path, ".tsv");

	(void)fprintf(file, "layer\tskew\tlayout\tmedian_ms\tp95_ms\tp99_ms\n");
	for (int l = 0; l < c->nlayers; l++)
		for (int m = 0; m < c->nmethods; m++)
			(void)fprintf(file, "%d\t%.3f\t%s\t%.3f\t%.3f\t%.3f\n", c->layer[l],
				c->skew[l], c->name[m], quantile(c, spans, n, m, l, 0.5),
				quantile(c, spans, n, m, l, 0.95),
				quantile(c, spans, n, m, l, 0.99));
	finish(file, path);
	file = create(path, ".samples.tsv");
	(void)fprintf(file, "layer\tlayout\tms\n");
	for (size_t i = 0; i < n; i++)
		(void)fprintf(file, "%d\t%s\t%.3f\n", c->layer[(int)spans[i].layer],
			c->name[(int)spans[i].method], span_ms(c, spans, n, i));
	finish(file, path);
}
