#include "perf/a2a_counts.h"

#include "perf/die.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 16, LINE_BYTES = 1024, LAYERS_MAX = 256 };

struct columns {
	int layer, expert, count;
};

struct reader {
	const char *path, *task;
	int line;
	struct columns columns;
	int layer_names[LAYERS_MAX], nlayers;
	struct lina_counts *counts; /* room for LAYERS_MAX layers */
	int nexperts;
};

static int split(char *text, char **words, int most)
{
	int n = 0;

	for (char *word = strtok(text, ",\r\n"); word != NULL && n < most;
		word = strtok(NULL, ",\r\n"))
		words[n++] = word;
	return n;
}

static void read_header(struct reader *r, char *text)
{
	char *words[COLUMNS_MAX];
	int n = split(text, words, COLUMNS_MAX);

	r->columns = (struct columns){ -1, -1, -1 };
	for (int i = 0; i < n; i++) {
		if (strcmp(words[i], "layer") == 0 || strcmp(words[i], "layer_slot") == 0)
			r->columns.layer = i;
		else if (strcmp(words[i], "expert") == 0)
			r->columns.expert = i;
		else if (r->columns.expert >= 0 && r->columns.count < 0)
			r->columns.count = i;
	}
	if (r->columns.layer < 0 || r->columns.expert < 0 || r->columns.count < 0)
		die("%s:1: no columns layer, expert and a count after them", r->path);
}

static double number(const struct reader *r, const char *text, double most)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0) || value > most)
		die("%s:%d: '%s' is not a number from 0 to %g", r->path, r->line, text, most);
	return value;
}

static int layer_of(struct reader *r, int name)
{
	for (int l = 0; l < r->nlayers; l++)
		if (r->layer_names[l] == name)
			return l;
	if (r->nlayers == LAYERS_MAX)
		die("%s:%d: more than %d layers", r->path, r->line, LAYERS_MAX);
	r->layer_names[r->nlayers] = name;
	return r->nlayers++;
}

static void read_line(struct reader *r, char *text)
{
	char *words[COLUMNS_MAX];
	int n = split(text, words, COLUMNS_MAX);

	if (n == 0 || (r->task != NULL && strcmp(words[0], r->task) != 0))
		return;
	if (n <= r->columns.layer || n <= r->columns.expert || n <= r->columns.count)
		die("%s:%d: too few columns", r->path, r->line);
	int layer = layer_of(r, (int)number(r, words[r->columns.layer], 1e6));
	int expert = (int)number(r, words[r->columns.expert], r->counts->nexperts - 1);
	lina_counts_layer(r->counts, layer)[expert] = number(r, words[r->columns.count], 1e18);
	if (expert >= r->nexperts)
		r->nexperts = expert + 1;
}

struct lina_counts *a2a_counts_read(const char *path, const char *task)
{
	struct reader r = { .path = path, .task = task };
	char text[LINE_BYTES];
	struct lina_counts *counts;
	FILE *file = fopen(path, "r");

	if (file == NULL)
		die("%s: %s", path, strerror(errno));
	if (lina_counts_create(LAYERS_MAX, 1024, &r.counts) != 0)
		die("no memory for counts");
	while (fgets(text, sizeof(text), file) != NULL)
		if (r.line++ == 0)
			read_header(&r, text);
		else
			read_line(&r, text);
	fclose(file);
	if (r.nlayers == 0 || lina_counts_create(r.nlayers, r.nexperts, &counts) != 0)
		die("%s: no counts%s%s", path, task != NULL ? " of task " : "",
			task != NULL ? task : "");
	for (int l = 0; l < r.nlayers; l++)
		memcpy(lina_counts_layer(counts, l), lina_counts_layer(r.counts, l),
			(size_t)r.nexperts * sizeof(double));
	lina_counts_destroy(r.counts);
	return counts;
}

/* splitmix64 (Steele, Lea and Flood 2014), from 0 to below 1. */
static double draw(uint64_t *random)
{
	uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

struct lina_counts *a2a_counts_zipf(int nlayers, int nexperts, double exponent)
{
	struct lina_counts *counts;
	uint64_t random = 1;

	if (lina_counts_create(nlayers, nexperts, &counts) != 0)
		die("no memory for counts");
	for (int l = 0; l < nlayers; l++) {
		double *of = lina_counts_layer(counts, l);
		for (int e = 0; e < nexperts; e++)
			of[e] = 1e6 * pow(e + 1, -exponent);
		for (int e = nexperts - 1; e > 0; e--) {
			int other = (int)(draw(&random) * (e + 1));
			double kept = of[e];
			of[e] = of[other];
			of[other] = kept;
		}
	}
	return counts;
}

double a2a_counts_skew(const struct lina_counts *counts, int layer)
{
	const double *of = lina_counts_layer(counts, layer);
	double most = 0;

	for (int e = 0; e < counts->nexperts; e++)
		most = of[e] > most ? of[e] : most;
	return most * counts->nexperts / lina_counts_sum(counts, layer);
}

/* The largest k of u^(1/count), u random (Efraimidis and Spirakis 2006), is a draw one after the
 * other without putting back. */
void a2a_counts_draw(const struct lina_counts *counts, int layer, uint64_t seed, size_t n, int k,
	int32_t *experts_p, float *weights_p)
{
	const double *of = lina_counts_layer(counts, layer);
	int nexperts = counts->nexperts;
	double *key = calloc((size_t)nexperts, sizeof(*key));

	if (key == NULL)
		die("no memory for %d experts", nexperts);
	for (size_t t = 0; t < n; t++) {
		for (int e = 0; e < nexperts; e++)
			key[e] = log(draw(&seed) + 1e-300) / (of[e] + 1e-9);
		for (int i = 0; i < k; i++) {
			int best = 0;
			for (int e = 1; e < nexperts; e++)
				best = key[e] > key[best] ? e : best;
			key[best] = -INFINITY;
			experts_p[t * (size_t)k + (size_t)i] = best;
			weights_p[t * (size_t)k + (size_t)i] = 1 / (float)k;
		}
	}
	free(key);
}
