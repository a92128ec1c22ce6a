#include "collectives/records/tally.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A layer that some record has named. */
struct layer {
	bool seen, loads_given;    /* a record gave loads, by itself or with tokens */
	int room;                  /* of the arrays below, which are NULL before there is any */
	double *loads, *out, *ins; /* of counts and tokens; of transitions that begin, that end */
	int next;                  /* the layer that transitions lead to; -1: none yet */
	int pair_room;
	double *pair; /* [pair_room][pair_room] */
};

struct lina_tally {
	bool transitions;
	int nexperts;
	struct layer layers[LINA_LAYERS_MAX];
};

int lina_tally_create(bool transitions, struct lina_tally **tally_p)
{
	struct lina_tally *tally = calloc(1, sizeof(*tally));

	if (!tally)
		return -ENOMEM;
	tally->transitions = transitions;
	for (int l = 0; l < LINA_LAYERS_MAX; l++)
		tally->layers[l].next = -1;
	*tally_p = tally;
	return 0;
}

void lina_tally_destroy(struct lina_tally *tally)
{
	if (!tally)
		return;
	for (int l = 0; l < LINA_LAYERS_MAX; l++) {
		free(tally->layers[l].loads);
		free(tally->layers[l].pair);
	}
	free(tally);
}

/* --- room --- */

/* Room for `nexperts` in what a layer keeps of each: three arrays in one. */
static int layer_reserve(struct layer *layer, int nexperts)
{
	int room = layer->room ? layer->room : 16;
	double *loads;

	if (nexperts <= layer->room)
		return 0;
	while (room < nexperts)
		room *= 2;
	loads = calloc(3 * (size_t)room, sizeof(*loads));
	if (!loads)
		return -ENOMEM;
	for (int e = 0; e < layer->room; e++) {
		loads[e] = layer->loads[e];
		loads[room + e] = layer->out[e];
		loads[2 * room + e] = layer->ins[e];
	}
	free(layer->loads);
	layer->loads = loads;
	layer->out = loads + room;
	layer->ins = loads + (size_t)2 * (size_t)room;
	layer->room = room;
	return 0;
}

static int pair_reserve(struct layer *layer, int nexperts)
{
	size_t old = (size_t)layer->pair_room, room = old ? old : 16;
	double *pair;

	if (nexperts <= layer->pair_room)
		return 0;
	while (room < (size_t)nexperts)
		room *= 2;
	pair = calloc(room * room, sizeof(*pair));
	if (!pair)
		return -ENOMEM;
	for (size_t e = 0; e < old; e++)
		memcpy(pair + e * room, layer->pair + e * old, old * sizeof(*pair));
	free(layer->pair);
	layer->pair = pair;
	layer->pair_room = (int)room;
	return 0;
}

static int tally_reserve(struct lina_tally *tally, int layer, int nexperts)
{
	int err = layer_reserve(&tally->layers[layer], nexperts);

	if (err)
		return err;
	tally->layers[layer].seen = true;
	if (nexperts > tally->nexperts)
		tally->nexperts = nexperts;
	return 0;
}

/* --- adding --- */

static int pair_open(struct lina_tally *tally, int from, int to, int nexperts)
{
	struct layer *layer = &tally->layers[from];

	if (layer->next >= 0 && layer->next != to)
		return -EDOM;
	if (tally->transitions && pair_reserve(layer, nexperts))
		return -ENOMEM;
	layer->next = to;
	return 0;
}

static void pair_add(struct lina_tally *tally, int layer, int from, int to, double tokens)
{
	const struct layer *l = &tally->layers[layer];

	if (tally->transitions)
		l->pair[(size_t)from * (size_t)l->pair_room + (size_t)to] += tokens;
}

static int transition_add(struct lina_tally *tally, const struct lina_record *r)
{
	int n = 1 + (r->expert > r->next_expert ? r->expert : r->next_expert);
	int err = tally_reserve(tally, r->layer, n);

	if (!err)
		err = tally_reserve(tally, r->next_layer, n);
	if (!err)
		err = pair_open(tally, r->layer, r->next_layer, n);
	if (err)
		return err;
	tally->layers[r->layer].out[r->expert] += r->tokens;
	tally->layers[r->next_layer].ins[r->next_expert] += r->tokens;
	pair_add(tally, r->layer, r->expert, r->next_expert, r->tokens);
	return 0;
}

/* One more than the largest expert of a record of tokens. */
static int experts_of(const struct lina_record *r)
{
	size_t n = (size_t)r->ntokens * (size_t)r->nlayers * (size_t)r->topk;
	int most = LINA_NO_EXPERT;

	for (size_t i = 0; i < n; i++)
		if (r->experts[i] > most)
			most = r->experts[i];
	return most + 1;
}

/* From the k experts of a token at a layer to those at the next. */
static void token_pairs_add(
	struct lina_tally *tally, int layer, const int *from, const int *to, int topk)
{
	int nto = 0;

	for (int k = 0; k < topk; k++)
		nto += to[k] != LINA_NO_EXPERT;
	for (int i = 0; i < topk; i++)
		for (int k = 0; k < topk; k++)
			if (from[i] != LINA_NO_EXPERT && to[k] != LINA_NO_EXPERT)
				pair_add(tally, layer, from[i], to[k], 1.0 / nto);
}

static int tokens_add(struct lina_tally *tally, const struct lina_record *r)
{
	int nexperts = experts_of(r), err = 0;

	for (int l = 0; l < r->nlayers && !err; l++)
		err = tally_reserve(tally, r->layers[l], nexperts);
	for (int l = 0; l + 1 < r->nlayers && !err; l++)
		err = pair_open(tally, r->layers[l], r->layers[l + 1], nexperts);
	if (err)
		return err;
	for (int l = 0; l < r->nlayers; l++)
		tally->layers[r->layers[l]].loads_given = true;
	for (int t = 0; t < r->ntokens; t++)
		for (int l = 0; l < r->nlayers; l++) {
			const int *e = r->experts + ((size_t)t * (size_t)r->nlayers + (size_t)l) *
							    (size_t)r->topk;

			for (int k = 0; k < r->topk; k++)
				if (e[k] != LINA_NO_EXPERT)
					tally->layers[r->layers[l]].loads[e[k]] += 1;
			if (tally->transitions && l + 1 < r->nlayers)
				token_pairs_add(tally, r->layers[l], e, e + r->topk, r->topk);
		}
	return 0;
}

int lina_tally_add(struct lina_tally *tally, const struct lina_record *record)
{
	int err;

	switch (record->kind) {
	case LINA_RECORD_TRANSITION:
		return transition_add(tally, record);
	case LINA_RECORD_TOKENS:
		return tokens_add(tally, record);
	default:
		err = tally_reserve(tally, record->layer, record->expert + 1);
		if (err)
			return err;
		tally->layers[record->layer].loads[record->expert] += record->tokens;
		tally->layers[record->layer].loads_given = true;
		return 0;
	}
}

void lina_tally_clear(struct lina_tally *tally)
{
	for (int l = 0; l < LINA_LAYERS_MAX; l++) {
		struct layer *layer = &tally->layers[l];
		size_t n = (size_t)layer->pair_room;

		if (layer->loads)
			memset(layer->loads, 0, 3 * (size_t)layer->room * sizeof(double));
		if (layer->pair)
			memset(layer->pair, 0, n * n * sizeof(double));
	}
}

/* --- what came out --- */

int lina_tally_layers(const struct lina_tally *tally, int *layers)
{
	int n = 0;

	for (int l = 0; l < LINA_LAYERS_MAX; l++)
		if (tally->layers[l].seen) {
			if (layers)
				layers[n] = l;
			n++;
		}
	return n;
}

/* Loads that were given, or those that transitions imply: what begins, or at the last layer ends,
 * at an expert. */
static const double *loads_of(const struct layer *layer)
{
	if (layer->loads_given)
		return layer->loads;
	return layer->next >= 0 ? layer->out : layer->ins;
}

int lina_tally_counts(const struct lina_tally *tally, int nexperts, struct lina_counts **counts_p)
{
	int nlayers = lina_tally_layers(tally, NULL), i = 0, err;
	struct lina_counts *counts;

	if (nexperts < tally->nexperts)
		nexperts = tally->nexperts;
	if (!nlayers || !nexperts)
		return -ENODATA;
	err = lina_counts_create(nlayers, nexperts, &counts);
	if (err)
		return err;
	for (int l = 0; l < LINA_LAYERS_MAX; l++) {
		const struct layer *layer = &tally->layers[l];

		if (!layer->seen)
			continue;
		for (int e = 0; e < layer->room && e < nexperts; e++)
			lina_counts_layer(counts, i)[e] = loads_of(layer)[e];
		i++;
	}
	*counts_p = counts;
	return 0;
}

static void pair_copy(const struct layer *layer, double *out, int nexperts)
{
	size_t room = (size_t)layer->pair_room,
	       n = (size_t)nexperts < room ? (size_t)nexperts : room;

	for (size_t e = 0; e < n; e++)
		memcpy(out + e * (size_t)nexperts, layer->pair + e * room, n * sizeof(*out));
}

int lina_tally_transitions(
	const struct lina_tally *tally, int nexperts, struct lina_transitions **transitions_p)
{
	int layers[LINA_LAYERS_MAX], nlayers = lina_tally_layers(tally, layers), err;
	struct lina_transitions *transitions;
	bool any = false;

	for (int i = 0; i < nlayers; i++) {
		int next = tally->layers[layers[i]].next;

		any = any || next >= 0;
		if (next >= 0 && (i + 1 == nlayers || next != layers[i + 1]))
			return -EDOM;
	}
	if (!any || !tally->transitions)
		return -ENODATA;
	if (nexperts < tally->nexperts)
		nexperts = tally->nexperts;
	err = lina_transitions_create(nlayers - 1, nexperts, &transitions);
	if (err)
		return err;
	for (int i = 0; i + 1 < nlayers; i++)
		if (tally->layers[layers[i]].pair)
			pair_copy(&tally->layers[layers[i]], lina_transitions_pair(transitions, i),
				nexperts);
	*transitions_p = transitions;
	return 0;
}
