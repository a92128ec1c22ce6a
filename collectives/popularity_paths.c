/* Lina's path model. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/popularity.h"

struct next {
	uint32_t count;
	uint16_t expert;
};

/* A path, its table entry but for the experts that came next. */
struct entry {
	uint64_t total;
	uint16_t layer;
	uint8_t length;
	uint16_t nnext;
	uint16_t experts[LINA_PATH_MAX]; /* the last first, so that a shorter path is a beginning */
};

struct loads {
	int nexperts;
	double *tokens; /* [nexperts] */
};

struct lina_paths {
	struct lina_paths_settings settings;
	uint64_t ntokens; /* that came, for sampling */
	size_t nentries, room;
	struct entry *entry; /* [room] */
	struct next *next;   /* [room][kept] */
	uint32_t *slot;      /* [2^k >= 2 room], index + 1 of an entry by its hash; 0: free */
	size_t nslots;
	struct loads loads[LINA_LAYERS_MAX];
};

struct lina_paths_settings lina_paths_settings_default(void)
{
	return (struct lina_paths_settings){
		.length = 3, .kept = 8, .paths_max = 1u << 18, .sample_every = 1
	};
}

int lina_paths_create(const struct lina_paths_settings *settings, struct lina_paths **paths_p)
{
	const struct lina_paths_settings *s = settings;
	struct lina_paths *paths;

	if (s->length < 1 || s->length > LINA_PATH_MAX || s->kept < 1 ||
		s->kept > LINA_PATHS_KEPT_MAX || s->paths_max < 1 || s->sample_every < 1)
		return -EINVAL;
	paths = calloc(1, sizeof(*paths));
	if (!paths)
		return -ENOMEM;
	paths->settings = *settings;
	*paths_p = paths;
	return 0;
}

void lina_paths_destroy(struct lina_paths *paths)
{
	if (!paths)
		return;
	for (int l = 0; l < LINA_LAYERS_MAX; l++)
		free(paths->loads[l].tokens);
	free(paths->entry);
	free(paths->next);
	free(paths->slot);
	free(paths);
}

struct lina_paths_settings lina_paths_settings_of(const struct lina_paths *paths)
{
	return paths->settings;
}

/* --- the table --- */

static bool same_path(const struct entry *a, const struct entry *b)
{
	return a->layer == b->layer && a->length == b->length &&
	       memcmp(a->experts, b->experts, a->length * sizeof(*a->experts)) == 0;
}

/* splitmix64's finisher over the words of a path. */
static uint64_t hash_of(const struct entry *e)
{
	uint64_t hash = (uint64_t)e->layer << 8 | e->length;

	for (int i = 0; i <= e->length; i++) {
		hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
		hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
		hash ^= hash >> 31;
		hash += i < e->length ? e->experts[i] : 0;
	}
	return hash;
}

/* The slot of a path, or the free one where it would be. */
static size_t slot_of(const struct lina_paths *paths, const struct entry *key)
{
	size_t at = hash_of(key) & (paths->nslots - 1);

	while (paths->slot[at] && !same_path(&paths->entry[paths->slot[at] - 1], key))
		at = (at + 1) & (paths->nslots - 1);
	return at;
}

/* SIZE_MAX: it is not there. */
static size_t find(const struct lina_paths *paths, const struct entry *key)
{
	size_t at = paths->nslots ? slot_of(paths, key) : 0;

	return paths->nslots && paths->slot[at] ? paths->slot[at] - 1 : SIZE_MAX;
}

static int grow(struct lina_paths *paths)
{
	size_t room = paths->room ? 2 * paths->room : 1024, kept = (size_t)paths->settings.kept;
	struct entry *entry = realloc(paths->entry, room * sizeof(*entry));
	struct next *next;
	uint32_t *slot;

	if (!entry)
		return -ENOMEM;
	paths->entry = entry;
	next = realloc(paths->next, room * kept * sizeof(*next));
	if (!next)
		return -ENOMEM;
	paths->next = next;
	slot = calloc(2 * room, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	free(paths->slot);
	paths->slot = slot;
	paths->nslots = 2 * room;
	paths->room = room;
	for (size_t i = 0; i < paths->nentries; i++)
		paths->slot[slot_of(paths, &paths->entry[i])] = (uint32_t)i + 1;
	return 0;
}

/* The entry of a path, made if there is none. -ENOSPC, -ENOMEM. */
static int open_entry(struct lina_paths *paths, const struct entry *key, size_t *i_p)
{
	size_t i = find(paths, key);

	if (i == SIZE_MAX) {
		if (paths->nentries >= paths->settings.paths_max && key->length > 1)
			return -ENOSPC;
		if (paths->nentries == paths->room && grow(paths))
			return -ENOMEM;
		i = paths->nentries++;
		paths->entry[i] = *key;
		paths->slot[slot_of(paths, key)] = (uint32_t)i + 1;
	}
	*i_p = i;
	return 0;
}

static struct next *nexts_of(const struct lina_paths *paths, size_t i)
{
	return paths->next + i * (size_t)paths->settings.kept;
}

/* One more token of a path goes to an expert. */
static void next_count(struct lina_paths *paths, size_t i, int expert)
{
	struct entry *e = &paths->entry[i];
	struct next *next = nexts_of(paths, i);
	int rarest = 0;

	e->total++;
	for (int k = 0; k < e->nnext; k++) {
		if (next[k].expert == expert) {
			next[k].count += next[k].count < UINT32_MAX;
			return;
		}
		if (next[k].count < next[rarest].count)
			rarest = k;
	}
	if (e->nnext < paths->settings.kept)
		next[e->nnext++] = (struct next){ 1, (uint16_t)expert };
	else
		next[rarest] =
			(struct next){ next[rarest].count + (next[rarest].count < UINT32_MAX),
				(uint16_t)expert };
}

/* --- loads --- */

int lina_paths_put_load(struct lina_paths *paths, int layer, int expert, double tokens)
{
	struct loads *loads = &paths->loads[layer];

	if (expert >= loads->nexperts) {
		int n = 2 * loads->nexperts > expert + 1 ? 2 * loads->nexperts : expert + 1;
		double *larger = realloc(loads->tokens, (size_t)n * sizeof(*larger));

		if (!larger)
			return -ENOMEM;
		for (int e = loads->nexperts; e < n; e++)
			larger[e] = 0;
		loads->tokens = larger;
		loads->nexperts = n;
	}
	loads->tokens[expert] += tokens;
	return 0;
}

const double *lina_paths_loads(const struct lina_paths *paths, int layer, int *nexperts_p)
{
	int n = paths->loads[layer].nexperts;

	while (n && paths->loads[layer].tokens[n - 1] == 0)
		n--;
	*nexperts_p = n;
	return n ? paths->loads[layer].tokens : NULL;
}

/* --- tokens --- */

static const int *choices_of(const struct lina_token_paths *tokens, int token, int at)
{
	return tokens->experts +
	       ((size_t)token * (size_t)tokens->nlayers + (size_t)at) * (size_t)tokens->topk;
}

/* The longest path of a token that ends before layer number `at`: it stops where a first choice was
 * dropped. */
static struct entry path_of(
	const struct lina_paths *paths, const struct lina_token_paths *tokens, int token, int at)
{
	struct entry key = { .layer = (uint16_t)tokens->layers[at] };

	for (int l = at - 1; l >= 0 && key.length < paths->settings.length; l--) {
		int expert = choices_of(tokens, token, l)[0];

		if (expert < 0)
			break;
		key.experts[key.length++] = (uint16_t)expert;
	}
	return key;
}

static int token_add(
	struct lina_paths *paths, const struct lina_token_paths *tokens, int token, int at)
{
	struct entry key = path_of(paths, tokens, token, at);
	const int *choice = choices_of(tokens, token, at);

	for (int k = 0; k < tokens->topk; k++)
		if (choice[k] >= 0 && lina_paths_put_load(paths, key.layer, choice[k], 1))
			return -ENOMEM;
	for (; key.length > 0; key.length--) {
		size_t i;
		int err = open_entry(paths, &key, &i);

		if (err == -ENOSPC)
			continue;
		if (err)
			return err;
		for (int k = 0; k < tokens->topk; k++)
			if (choice[k] >= 0)
				next_count(paths, i, choice[k]);
	}
	return 0;
}

int lina_paths_add(struct lina_paths *paths, const struct lina_token_paths *tokens)
{
	for (int t = 0; t < tokens->ntokens; t++) {
		if (paths->ntokens++ % paths->settings.sample_every)
			continue;
		for (int at = 0; at < tokens->nlayers; at++) {
			int err = token_add(paths, tokens, t, at);

			if (err)
				return err;
		}
	}
	return 0;
}

/* --- prediction --- */

/* False: the layer was never seen. */
static bool loads_predict(const struct lina_paths *paths, int layer, int nexperts, double *shares)
{
	const struct loads *loads = &paths->loads[layer];
	double sum = 0;

	for (int e = 0; e < loads->nexperts; e++)
		sum += loads->tokens[e];
	for (int e = 0; e < loads->nexperts && e < nexperts && sum > 0; e++)
		shares[e] += loads->tokens[e] / sum;
	return sum > 0;
}

static void path_predict(const struct lina_paths *paths, size_t i, int nexperts, double *shares)
{
	const struct next *next = nexts_of(paths, i);
	double sum = 0;

	for (int k = 0; k < paths->entry[i].nnext; k++)
		sum += next[k].count;
	for (int k = 0; k < paths->entry[i].nnext; k++)
		if (next[k].expert < nexperts)
			shares[next[k].expert] += next[k].count / sum;
}

void lina_paths_predict(const struct lina_paths *paths, const struct lina_token_paths *tokens,
	int at, int nexperts, double *shares, int *tokens_p)
{
	*tokens_p = 0;
	for (int t = 0; t < tokens->ntokens; t++) {
		struct entry key = path_of(paths, tokens, t, at);
		size_t i = SIZE_MAX;

		for (; key.length > 0 && i == SIZE_MAX; key.length--) {
			i = find(paths, &key);
			if (i != SIZE_MAX && !paths->entry[i].nnext)
				i = SIZE_MAX;
		}
		if (i != SIZE_MAX) {
			path_predict(paths, i, nexperts, shares);
			(*tokens_p)++;
		} else {
			*tokens_p += loads_predict(paths, key.layer, nexperts, shares);
		}
	}
}

/* --- one by one --- */

int lina_paths_get(const struct lina_paths *paths, size_t i, struct lina_path *path_p)
{
	const struct entry *e;

	if (i >= paths->nentries)
		return -ENOENT;
	e = &paths->entry[i];
	path_p->layer = e->layer;
	path_p->length = e->length;
	path_p->total = e->total;
	path_p->nnext = e->nnext;
	for (int k = 0; k < e->length; k++)
		path_p->experts[k] = e->experts[e->length - 1 - k];
	for (int k = 0; k < e->nnext; k++) {
		path_p->next[k] = nexts_of(paths, i)[k].expert;
		path_p->count[k] = nexts_of(paths, i)[k].count;
	}
	return 0;
}

static bool path_fits(const struct lina_paths *paths, const struct lina_path *p)
{
	bool fits = p->layer >= 0 && p->layer < LINA_LAYERS_MAX && p->length >= 1 &&
		    p->length <= paths->settings.length && p->nnext >= 0 &&
		    p->nnext <= paths->settings.kept;

	for (int k = 0; fits && k < p->length; k++)
		fits = p->experts[k] >= 0 && p->experts[k] < LINA_EXPERTS_MAX;
	for (int k = 0; fits && k < p->nnext; k++)
		fits = p->next[k] >= 0 && p->next[k] < LINA_EXPERTS_MAX && p->count[k] > 0;
	return fits;
}

int lina_paths_put(struct lina_paths *paths, const struct lina_path *path)
{
	struct entry key = { .layer = (uint16_t)path->layer, .length = (uint8_t)path->length };
	size_t i;
	int err;

	if (!path_fits(paths, path))
		return -EINVAL;
	for (int k = 0; k < path->length; k++)
		key.experts[k] = (uint16_t)path->experts[path->length - 1 - k];
	if (find(paths, &key) != SIZE_MAX)
		return -EEXIST;
	err = open_entry(paths, &key, &i);
	if (err)
		return err;
	paths->entry[i].total = path->total;
	paths->entry[i].nnext = (uint16_t)path->nnext;
	for (int k = 0; k < path->nnext; k++)
		nexts_of(paths, i)[k] = (struct next){ path->count[k], (uint16_t)path->next[k] };
	return 0;
}
