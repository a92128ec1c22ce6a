#include "pattern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): each index gets its own well-mixed number. */
static uint64_t mix(uint64_t seed, uint64_t index)
{
	uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static void *need_memory(size_t count, size_t size)
{
	void *memory = calloc(count, size);

	if (memory == NULL) {
		fprintf(stderr, "out of memory: %zu bytes\n", count * size);
		exit(1);
	}
	return memory;
}

static void draw_inputs(struct pattern *pattern, int rank, uint64_t seed)
{
	char *at = need_memory(PATTERN_PERIOD, pattern->type->bytes);

	pattern->input[rank] = at;
	for (uint64_t i = 0; i < PATTERN_PERIOD; i++, at += pattern->type->bytes) {
		uint64_t r = mix(seed + (uint64_t)rank * 0x5851f42d4c957f2du, i);
		value_store(pattern->type, at,
			value_draw(pattern->type, pattern->op, rank, pattern->nranks, r));
	}
}

static void reduce_inputs(struct pattern *pattern)
{
	uint64_t inputs[PATTERN_RANKS_MAX];
	size_t size = pattern->type->bytes;
	double most = 0;

	pattern->reduced = need_memory(PATTERN_PERIOD, size);
	pattern->bound = need_memory(PATTERN_PERIOD, sizeof(*pattern->bound));
	for (size_t i = 0; i < PATTERN_PERIOD; i++) {
		for (int r = 0; r < pattern->nranks; r++)
			inputs[r] = value_load(pattern->type, (char *)pattern->input[r] + i * size);
		value_store(pattern->type, (char *)pattern->reduced + i * size,
			value_reduce(pattern->type, pattern->op, inputs, pattern->nranks));
		pattern->bound[i] =
			value_bound(pattern->type, pattern->op, inputs, pattern->nranks);
		most = fmax(most, pattern->bound[i]);
	}
	if (most == 0) {
		free(pattern->bound);
		pattern->bound = NULL;
	}
}

struct pattern *pattern_create(
	const struct value_type *type, enum value_op op, int nranks, uint64_t seed)
{
	struct pattern *pattern = need_memory(1, sizeof(*pattern));

	pattern->type = type;
	pattern->op = op;
	pattern->nranks = nranks;
	for (int r = 0; r < nranks; r++)
		draw_inputs(pattern, r, mix(seed, (uint64_t)op));
	if (op != OP_NONE)
		reduce_inputs(pattern);
	return pattern;
}

void pattern_destroy(struct pattern *pattern)
{
	for (int r = 0; r < pattern->nranks; r++)
		free(pattern->input[r]);
	free(pattern->reduced);
	free(pattern->bound);
	free(pattern);
}

void pattern_put(
	const struct pattern *pattern, const void *table, size_t first, size_t count, void *at)
{
	size_t size = pattern->type->bytes;

	for (size_t done = 0; done < count;) {
		size_t entry = (first + done) % PATTERN_PERIOD;
		size_t run = PATTERN_PERIOD - entry < count - done ? PATTERN_PERIOD - entry
								   : count - done;
		memcpy((char *)at + done * size, (const char *)table + entry * size, run * size);
		done += run;
	}
}

static bool within(const struct value_type *type, double bound, const void *got, const void *want)
{
	double difference = value_decode(type, value_load(type, got)) -
			    value_decode(type, value_load(type, want));

	return fabs(difference) <= bound;
}

size_t pattern_compare(const struct pattern *pattern, const double *bound, size_t first,
	const void *got, const void *want, size_t count)
{
	const char *g = got, *w = want;
	size_t size = pattern->type->bytes;

	if (memcmp(g, w, count * size) == 0)
		return count;
	for (size_t i = 0; i < count; i++, g += size, w += size)
		if (memcmp(g, w, size) != 0 &&
			(bound == NULL ||
				!within(pattern->type, bound[(first + i) % PATTERN_PERIOD], g, w)))
			return i;
	return count;
}
