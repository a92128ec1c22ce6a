#include "collectives/spread.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS_MAX = 128 };

struct builder {
	const struct lina_spread_item *item;
	int nitems, ndevices;
	struct lina_spread_params params;
	size_t chunk;             /* bytes */
	int *next_round;          /* [ndevices] of an owner: where its next chunk starts */
	bool together;            /* its experts start at once, not one after the other */
	struct lina_spread *made; /* NULL while transfers are only counted */
	size_t ntransfers;
	int nrounds;
};

static bool is_small(const struct builder *b, const struct lina_spread_item *item)
{
	return item->bytes <= b->params.tree_bytes;
}

static void add(struct builder *b, int round, int item, int from, int to, size_t at, size_t bytes)
{
	if (b->made != NULL)
		b->made->transfer[b->ntransfers] =
			(struct lina_transfer){ round, item, from, to, at, bytes };
	b->ntransfers++;
	if (round >= b->nrounds)
		b->nrounds = round + 1;
}

/* Number i of an item's order; the owner is number 0. */
static int member(const struct lina_spread_item *item, int i)
{
	return i == 0 ? item->owner : item->device[i - 1];
}

static void add_tree(struct builder *b, int i)
{
	const struct lina_spread_item *item = &b->item[i];

	for (int round = 0, have = 1; have <= item->ndevices; round++, have *= 2)
		for (int m = 0; m < have && m + have <= item->ndevices; m++)
			add(b, round, i, member(item, m), member(item, m + have), 0, item->bytes);
}

static void add_chain(struct builder *b, int i)
{
	const struct lina_spread_item *item = &b->item[i];
	int alone = 0, *round = b->together ? &alone : &b->next_round[item->owner];

	for (size_t at = 0; at < item->bytes; at += b->chunk, ++*round) {
		size_t left = item->bytes - at, bytes = left < b->chunk ? left : b->chunk;
		for (int hop = 0; hop < item->ndevices; hop++)
			add(b, *round + hop, i, member(item, hop), member(item, hop + 1), at,
				bytes);
	}
}

static void add_all(struct builder *b)
{
	b->ntransfers = 0;
	b->nrounds = 0;
	for (int d = 0; d < b->ndevices; d++)
		b->next_round[d] = 0;
	for (int i = 0; i < b->nitems; i++)
		if (b->item[i].bytes > 0 && b->item[i].ndevices > 0) {
			if (is_small(b, &b->item[i]))
				add_tree(b, i);
			else
				add_chain(b, i);
		}
}

static int check_item(
	const struct lina_spread_item *item, int ndevices, size_t unit, int *seen, int mark)
{
	if (item->owner < 0 || item->owner >= ndevices || item->bytes % unit != 0)
		return -EINVAL;
	seen[item->owner] = mark;
	for (int i = 0; i < item->ndevices; i++) {
		int d = item->device[i];
		if (d < 0 || d >= ndevices || seen[d] == mark)
			return -EINVAL;
		seen[d] = mark;
	}
	return 0;
}

/* next_round serves as the list of what was seen. */
static int check(struct builder *b)
{
	int err = b->params.unit > 0 ? 0 : -EINVAL;

	for (int i = 0; i < b->nitems && !err; i++)
		err = check_item(&b->item[i], b->ndevices, b->params.unit, b->next_round, i + 1);
	return err;
}

static int by_round(const void *a, const void *b)
{
	const struct lina_transfer *x = a, *y = b;

	if (x->round != y->round)
		return x->round - y->round;
	if (x->item != y->item)
		return x->item - y->item;
	if (x->from != y->from)
		return x->from - y->from;
	return (x->at > y->at) - (x->at < y->at);
}

/* Bytes of the busiest device and direction in transfers first to end; at: [2 * ndevices] scratch.
 */
static uint64_t busiest(
	const struct lina_spread *spread, size_t first, size_t end, uint64_t *at, int ndevices)
{
	uint64_t most = 0;

	memset(at, 0, 2 * (size_t)ndevices * sizeof(*at));
	for (size_t i = first; i < end; i++) {
		const struct lina_transfer *t = &spread->transfer[i];
		at[t->from] += t->bytes;
		at[ndevices + t->to] += t->bytes;
	}
	for (int i = 0; i < 2 * ndevices; i++)
		most = at[i] > most ? at[i] : most;
	return most;
}

static int sum_up(struct lina_spread *spread, int ndevices)
{
	uint64_t *at = calloc(2 * (size_t)ndevices, sizeof(*at));

	if (at == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < spread->ntransfers; i++)
		spread->total_bytes += spread->transfer[i].bytes;
	spread->busiest_bytes = busiest(spread, 0, spread->ntransfers, at, ndevices);
	for (size_t i = 0, end; i < spread->ntransfers; i = end) {
		for (end = i; end < spread->ntransfers &&
			      spread->transfer[end].round == spread->transfer[i].round;)
			end++;
		spread->rounds_bytes += busiest(spread, i, end, at, ndevices);
	}
	free(at);
	return 0;
}

/* Twice: to count, and then to write down. */
static int build(struct builder *b, size_t chunk, struct lina_spread **spread_p)
{
	struct lina_spread *spread = calloc(1, sizeof(*spread));

	if (spread == NULL)
		return -ENOMEM;
	b->chunk = chunk - chunk % b->params.unit;
	if (b->chunk < b->params.unit)
		b->chunk = b->params.unit;
	b->made = NULL;
	add_all(b);
	spread->transfer = calloc(b->ntransfers + 1, sizeof(*spread->transfer));
	if (spread->transfer == NULL) {
		free(spread);
		return -ENOMEM;
	}
	b->made = spread;
	add_all(b);
	spread->ntransfers = b->ntransfers;
	spread->nrounds = b->nrounds;
	qsort(spread->transfer, spread->ntransfers, sizeof(*spread->transfer), by_round);
	int err = sum_up(spread, b->ndevices);
	if (err)
		lina_spread_destroy(spread);
	else
		*spread_p = spread;
	return err;
}

struct choice {
	struct lina_spread *spread; /* NULL: none yet */
	uint64_t bytes;
};

static int try_chunk(struct builder *b, size_t chunk, struct choice *best)
{
	struct lina_spread *spread;
	int err = build(b, chunk, &spread);

	if (err)
		return err;
	uint64_t bytes = spread->rounds_bytes + (uint64_t)spread->nrounds * LINA_SPREAD_ROUND_BYTES;
	if (best->spread == NULL || bytes < best->bytes) {
		lina_spread_destroy(best->spread);
		*best = (struct choice){ spread, bytes };
	} else {
		lina_spread_destroy(spread);
	}
	return 0;
}

/* The whole of the largest item at once, half of it, a quarter, ..., experts of an owner one after
 * the other or together: what takes least. Where chains share the links evenly it is the whole and
 * together, where they all begin at one device many small parts. */
static int build_best(struct builder *b, struct lina_spread **spread_p)
{
	struct choice best = { NULL, 0 };
	size_t largest = 0;
	int err = 0;

	for (int i = 0; i < b->nitems; i++)
		largest = b->item[i].bytes > largest ? b->item[i].bytes : largest;
	for (size_t n = 1; n <= PARTS_MAX && !err; n *= 2) {
		b->together = false;
		err = try_chunk(b, (largest + n - 1) / n, &best);
		b->together = true;
		if (!err)
			err = try_chunk(b, (largest + n - 1) / n, &best);
	}
	if (err)
		lina_spread_destroy(best.spread);
	else
		*spread_p = best.spread;
	return err;
}

int lina_spread_create(const struct lina_spread_item *item, int nitems, int ndevices,
	const struct lina_spread_params *params, struct lina_spread **spread_p)
{
	struct builder b = {
		.item = item, .nitems = nitems, .ndevices = ndevices, .params = *params
	};
	struct lina_spread *spread = NULL;

	b.next_round = calloc((size_t)ndevices + 1, sizeof(*b.next_round));
	int err = b.next_round != NULL ? check(&b) : -ENOMEM;
	if (!err)
		err = params->chunk_bytes > 0 ? build(&b, params->chunk_bytes, &spread)
					      : build_best(&b, &spread);
	free(b.next_round);
	if (!err)
		*spread_p = spread;
	return err;
}

void lina_spread_destroy(struct lina_spread *spread)
{
	if (spread == NULL)
		return;
	free(spread->transfer);
	free(spread);
}
