/*
 * Which experts will be popular: estimates of loads, from loads that were seen and from the paths
 * that tokens take.
 *
 * Loads seen (struct lina_loads): a mean in which an iteration weighs half of what one does that
 * came half_life later; the mean of the last iterations (Hecate, arXiv 2502.02581: 5); the mean of
 * all.
 *
 * Paths (struct lina_paths): Lina's estimate (Li et al., USENIX ATC 2023, section 5.2). Tokens that
 * took the same experts at the last `length` layers are likely to take the same one next. For each
 * path the model counts the experts that came next; the share of expert e among them is P(e). The
 * load of a layer, before its gate has run, is then the sum over the tokens of a batch of P(e |
 * path of the token), and the devices that e deserves of N are that over the number of tokens,
 * times N (equation 1). A path is of first choices; every choice of the next layer counts.
 *
 * Beyond the paper: paths shorter than `length` are kept as well (with length 1 that is:
 * conditional on the layer before), and a path that was never seen counts as its longest end that
 * was, at last as any token of the layer. And a path keeps `kept` experts at most; when more come,
 * the rarest gives its place and its count to the newcomer (Metwally et al., ICDT 2005), so that a
 * count is too large by at most the path's total / kept.
 *
 * Memory of paths: at most paths_max * (64 + 8 * kept) bytes, and 8 bytes for each layer and
 * expert; when it is full, new paths of more than one layer are no longer kept.
 *
 * Pure: no clock, no files, no state but the objects'. One thread at a time for an object.
 */
#ifndef LINA_COLLECTIVES_POPULARITY_H
#define LINA_COLLECTIVES_POPULARITY_H

#include <stdbool.h>
#include <stdint.h>

#include "collectives/counts.h"

/* --- loads --- */

enum lina_loads_method { LINA_LOADS_MEAN, LINA_LOADS_WINDOW, LINA_LOADS_DECAY };

struct lina_loads_settings {
	enum lina_loads_method method;
	int window;       /* 1 or more iterations */
	double half_life; /* iterations, > 0 */
};

/* Hecate's: the mean of the last 5. */
struct lina_loads_settings lina_loads_settings_default(void);

struct lina_loads;

/* -EINVAL: a setting out of its range; -ENOMEM. */
int lina_loads_create(const struct lina_loads_settings *settings, struct lina_loads **loads_p);
/* NULL is allowed. */
void lina_loads_destroy(struct lina_loads *loads);

/* The loads of one iteration. It may have more layers or experts than those before, which then had
 * no tokens there; or fewer. -ENOMEM, and nothing has changed. */
int lina_loads_add(struct lina_loads *loads, const struct lina_counts *iteration);

/* The estimate of the next iteration's loads. -ENODATA: nothing was added; -ENOMEM. */
int lina_loads_estimate(const struct lina_loads *loads, struct lina_counts **counts_p);

/* --- paths --- */

enum { LINA_PATH_MAX = 6, LINA_PATHS_KEPT_MAX = 256 };

struct lina_paths_settings {
	int length;            /* 1 to LINA_PATH_MAX layers */
	int kept;              /* 1 to LINA_PATHS_KEPT_MAX experts of a path */
	uint32_t paths_max;    /* 1 or more */
	uint32_t sample_every; /* of so many tokens one is learned from; 1 or more */
};

/* Lina's length 3; 8 experts, 2^18 paths (about 32 MiB), every token. */
struct lina_paths_settings lina_paths_settings_default(void);

struct lina_paths;

/* -EINVAL: a setting out of its range; -ENOMEM. */
int lina_paths_create(const struct lina_paths_settings *settings, struct lina_paths **paths_p);
/* NULL is allowed. */
void lina_paths_destroy(struct lina_paths *paths);
struct lina_paths_settings lina_paths_settings_of(const struct lina_paths *paths);

/* Tokens at layers that follow one another. layers [nlayers] are their numbers, ascending, 0 to
 * LINA_LAYERS_MAX - 1; experts [ntokens][nlayers][topk], best first, below LINA_EXPERTS_MAX,
 * negative where a choice was dropped. */
struct lina_token_paths {
	int ntokens, nlayers, topk;
	const int *layers;
	const int *experts;
};

/* Learns from tokens. -ENOMEM: from some. */
int lina_paths_add(struct lina_paths *paths, const struct lina_token_paths *tokens);

/* Adds to shares [nexperts], for each token, P of the experts of layer number `at` of the tokens'
 * layers, from its experts at those before, which are all that is looked at. What would go to
 * experts beyond nexperts is left out. *tokens_p: of how many tokens there was a P; the others'
 * layer was never seen. */
void lina_paths_predict(const struct lina_paths *paths, const struct lina_token_paths *tokens,
	int at, int nexperts, double *shares, int *tokens_p);

/* --- paths, one by one, for files --- */

struct lina_path {
	int layer, length;
	int experts[LINA_PATH_MAX]; /* [length], the oldest first */
	uint64_t total;             /* choices that came next */
	int nnext;                  /* 0 to kept */
	int next[LINA_PATHS_KEPT_MAX];
	uint32_t count[LINA_PATHS_KEPT_MAX];
};

/* Path i in the order in which they came. -ENOENT: there are no more. */
int lina_paths_get(const struct lina_paths *paths, size_t i, struct lina_path *path_p);
/* -EINVAL: more than the settings allow, or out of range; -EEXIST; -ENOSPC: paths_max; -ENOMEM. */
int lina_paths_put(struct lina_paths *paths, const struct lina_path *path);

/* How many tokens went to each expert of a layer, [*nexperts_p]; NULL: none ever did. Stays until
 * the next change. */
const double *lina_paths_loads(const struct lina_paths *paths, int layer, int *nexperts_p);
int lina_paths_put_load(struct lina_paths *paths, int layer, int expert, double tokens);

/* --- how good an estimate is --- */

/* Of a layer and batch: the 2k experts that the estimate and those that the truth has on top (more
 * tokens first, then the smaller number). */
struct lina_top_agreement {
	int n;          /* 2k, or all experts where there are fewer */
	int same_place; /* in both lists at the same place: Lina's accuracy is its share of n */
	int in_both;    /* in both lists */
	bool same_set;  /* Lina keeps the plan; otherwise it plans again with the true loads */
};
/* -ENOMEM. */
int lina_top_agreement(const double *estimate, const double *truth, int nexperts, int topk,
	struct lina_top_agreement *agreement_p);

/* Lina's figure 9: of the tokens that share an expert at a layer, the share that goes to one of the
 * k experts that the group goes to most; over all groups together. pair [nexperts][nexperts] as in
 * lina_transitions. *base_p: the same for all tokens as one group. -ENODATA: no tokens; -ENOMEM. */
int lina_group_share(const double *pair, int nexperts, int topk, double *share_p, double *base_p);

#endif
