#include "collectives/spread.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

struct builder {
	const struct lina_spread_item *item;
	int nitems, ndevices;
	struct lina_spread_params params;
	size_t chunk;             /* bytes */
	int *next_round;          /* [ndevices] of an owner: where its next chunk starts */
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
	int *round = &b->next_round[item->owner];

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

/* n chunks of B/n bytes over h more hops take (n + h) (B/n + a) with a for each round: least where
 * n = sqrt(h B / a). B: what the busiest owner has to send along chains. */
static int choose_chunk(struct builder *b)
{
	double *of_owner = calloc((size_t)b->ndevices, sizeof(*of_owner)), most = 0;
	int hops = 0;

	if (of_owner == NULL)
		return -ENOMEM;
	for (int i = 0; i < b->nitems; i++) {
		const struct lina_spread_item *item = &b->item[i];
		if (item->ndevices == 0 || is_small(b, item))
			continue;
		of_owner[item->owner] += (double)item->bytes;
		most = of_owner[item->owner] > most ? of_owner[item->owner] : most;
		hops = item->ndevices - 1 > hops ? item->ndevices - 1 : hops;
	}
	free(of_owner);
	double n = ceil(sqrt(hops * most / LINA_SPREAD_ROUND_BYTES));
	b->chunk = b->params.chunk_bytes > 0 ? b->params.chunk_bytes
					     : (size_t)(most / (n < 1 ? 1 : n));
	b->chunk -= b->chunk % b->params.unit;
	if (b->chunk < b->params.unit)
		b->chunk = b->params.unit;
	return 0;
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

static int sum_up(struct lina_spread *spread, int ndevices)
{
	uint64_t *bytes = calloc((size_t)ndevices * 2, sizeof(*bytes));

	if (bytes == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < spread->ntransfers; i++) {
		const struct lina_transfer *t = &spread->transfer[i];
		spread->total_bytes += t->bytes;
		bytes[t->from] += t->bytes;
		bytes[ndevices + t->to] += t->bytes;
	}
	for (int i = 0; i < 2 * ndevices; i++)
		if (bytes[i] > spread->busiest_bytes)
			spread->busiest_bytes = bytes[i];
	free(bytes);
	return 0;
}

/* Twice: to count, and then to write down. */
static int build(struct builder *b, struct lina_spread *spread)
{
	int err = check(b);

	if (!err)
		err = choose_chunk(b);
	if (err)
		return err;
	add_all(b);
	spread->transfer = calloc(b->ntransfers + 1, sizeof(*spread->transfer));
	if (spread->transfer == NULL)
		return -ENOMEM;
	b->made = spread;
	add_all(b);
	spread->ntransfers = b->ntransfers;
	spread->nrounds = b->nrounds;
	qsort(spread->transfer, spread->ntransfers, sizeof(*spread->transfer), by_round);
	return sum_up(spread, b->ndevices);
}

int lina_spread_create(const struct lina_spread_item *item, int nitems, int ndevices,
	const struct lina_spread_params *params, struct lina_spread **spread_p)
{
	struct builder b = {
		.item = item, .nitems = nitems, .ndevices = ndevices, .params = *params
	};
	struct lina_spread *spread = calloc(1, sizeof(*spread));
	int err = -ENOMEM;

	b.next_round = calloc((size_t)ndevices + 1, sizeof(*b.next_round));
	if (spread != NULL && b.next_round != NULL)
		err = build(&b, spread);
	free(b.next_round);
	if (err) {
		lina_spread_destroy(spread);
		return err;
	}
	*spread_p = spread;
	return 0;
}

void lina_spread_destroy(struct lina_spread *spread)
{
	if (spread == NULL)
		return;
	free(spread->transfer);
	free(spread);
}
