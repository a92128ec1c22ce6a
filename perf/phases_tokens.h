/* Tokens of records for bench_phases, and what the planner's model of paths, which has learned from
 * the first half of them, expects of the others. */
#ifndef LINA_PERF_PHASES_TOKENS_H
#define LINA_PERF_PHASES_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "collectives/popularity.h"

struct phases_tokens {
	size_t ntokens;
	int nlayers, topk, nexperts;
	int *layers;  /* [nlayers] */
	int *experts; /* [ntokens][nlayers][topk] */
	struct lina_paths *paths;
};

/* Records of experts of tokens at two layers or more (lina-plan's formats). Ends the program where
 * the file has none, or a token that has not topk experts everywhere. */
void phases_tokens_open(struct phases_tokens *all, const char *path);
void phases_tokens_close(struct phases_tokens *all);

/* The experts [topk] of a token at a layer. */
void phases_tokens_at(const struct phases_tokens *all, size_t token, int layer, int32_t *experts_p);

/* How many of the n tokens from `first` on are expected at each expert of a layer [nexperts], by
 * their experts at the layers before. */
void phases_tokens_estimate(
	const struct phases_tokens *all, size_t first, size_t n, int layer, double *load_p);

#endif
