#include "collectives/a2a_arrive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lina_arrival_create(int nsources, int nslots, struct lina_arrival **arrival_p)
{
	if (nsources < 1 || nslots < 1)
		return -EINVAL;
	struct lina_arrival *arrival = calloc(1, sizeof(*arrival));
	if (arrival == NULL)
		return -ENOMEM;
	arrival->nsources = nsources;
	arrival->nslots = nslots;
	arrival->slot_begin = calloc((size_t)nslots + 1, sizeof(*arrival->slot_begin));
	arrival->slot_next = calloc((size_t)nslots, sizeof(*arrival->slot_next));
	int err = arrival->slot_begin && arrival->slot_next ? lina_arrival_reserve(arrival, 1, 1)
							    : -ENOMEM;
	if (err) {
		lina_arrival_destroy(arrival);
		return err;
	}
	*arrival_p = arrival;
	return 0;
}

void lina_arrival_destroy(struct lina_arrival *arrival)
{
	if (arrival == NULL)
		return;
	free(arrival->term_weight);
	free(arrival->term_pair);
	free(arrival->term_begin);
	free(arrival->pair_row);
	free(arrival->slot_next);
	free(arrival->slot_begin);
	free(arrival);
}

/* What was in it is of no use any more. */
static int renew(void *array_p, size_t n, size_t each)
{
	void *old, *made = calloc(n, each);

	if (made == NULL)
		return -ENOMEM;
	memcpy(&old, array_p, sizeof(old));
	free(old);
	memcpy(array_p, &made, sizeof(made));
	return 0;
}

int lina_arrival_reserve(struct lina_arrival *arrival, size_t npairs, size_t nrows)
{
	int err = 0;

	if (npairs > arrival->max_pairs) {
		err = renew(&arrival->pair_row, npairs, sizeof(*arrival->pair_row));
		if (!err)
			err = renew(&arrival->term_pair, npairs, sizeof(*arrival->term_pair));
		if (!err)
			err = renew(&arrival->term_weight, npairs, sizeof(*arrival->term_weight));
		if (err)
			return err;
		arrival->max_pairs = npairs;
	}
	if (nrows > arrival->max_rows) {
		err = renew(&arrival->term_begin, nrows + 1, sizeof(*arrival->term_begin));
		if (!err)
			arrival->max_rows = nrows;
	}
	return err;
}

static size_t parcel_pairs(const struct lina_parcel *parcel, int nslots)
{
	size_t n = 0;

	for (int s = 0; s < nslots; s++)
		n += parcel->slot_pairs[s];
	return n;
}

static int parcel_check(
	const struct lina_arrival *arrival, const struct lina_parcel *parcel, size_t npairs)
{
	if ((size_t)parcel->base + parcel->nrows > arrival->max_rows)
		return -ENOSPC;
	if (parcel->pair == NULL)
		return parcel->nrows == npairs ? 0 : -EPROTO;
	for (size_t i = 0; i < npairs; i++)
		if (parcel->pair[i].row >= parcel->nrows)
			return -EPROTO;
	return 0;
}

static int check(struct lina_arrival *arrival, const struct lina_parcel *parcel, int *source_p)
{
	size_t npairs = 0, nrows = 0;

	for (int p = 0; p < arrival->nsources; p++) {
		size_t n = parcel_pairs(&parcel[p], arrival->nslots), end = parcel[p].base;
		npairs += n;
		end += parcel[p].nrows;
		nrows = end > nrows ? end : nrows;
		int err = npairs > arrival->max_pairs ? -ENOSPC
						      : parcel_check(arrival, &parcel[p], n);
		if (err) {
			*source_p = p;
			return err;
		}
	}
	arrival->npairs = npairs;
	arrival->nrows = nrows;
	return 0;
}

/* Pairs of each slot, and terms of each row, in the entry after its own; then where they begin. */
static void count(struct lina_arrival *arrival, const struct lina_parcel *parcel)
{
	uint32_t *slot = arrival->slot_begin, *row = arrival->term_begin;

	memset(slot, 0, ((size_t)arrival->nslots + 1) * sizeof(*slot));
	memset(row, 0, (arrival->nrows + 1) * sizeof(*row));
	for (int p = 0; p < arrival->nsources; p++) {
		size_t n = parcel_pairs(&parcel[p], arrival->nslots);
		for (int s = 0; s < arrival->nslots; s++)
			slot[s + 1] += parcel[p].slot_pairs[s];
		for (size_t i = 0; i < n; i++)
			row[parcel[p].base + (parcel[p].pair ? parcel[p].pair[i].row : i) + 1]++;
	}
	for (int s = 0; s < arrival->nslots; s++)
		slot[s + 1] += slot[s];
	for (size_t r = 0; r < arrival->nrows; r++)
		row[r + 1] += row[r];
	memcpy(arrival->slot_next, slot, (size_t)arrival->nslots * sizeof(*slot));
}

/* n pairs of a slot from a source: its pairs i and on. */
static void place(struct lina_arrival *arrival, const struct lina_parcel *parcel, int slot,
	uint32_t i, uint32_t n)
{
	for (uint32_t end = i + n; i < end; i++) {
		uint32_t at = arrival->slot_next[slot]++;
		uint32_t row = parcel->base + (parcel->pair ? parcel->pair[i].row : i);
		uint32_t term = arrival->term_begin[row]++;
		arrival->pair_row[at] = row;
		arrival->term_pair[term] = at;
		arrival->term_weight[term] = parcel->pair ? parcel->pair[i].weight : 1;
	}
}

int lina_arrival_build(
	struct lina_arrival *arrival, const struct lina_parcel *parcel, int *source_p)
{
	int err = check(arrival, parcel, source_p);

	if (err)
		return err;
	count(arrival, parcel);
	for (int p = 0; p < arrival->nsources; p++) {
		uint32_t i = 0;
		for (int s = 0; s < arrival->nslots; s++) {
			place(arrival, &parcel[p], s, i, parcel[p].slot_pairs[s]);
			i += parcel[p].slot_pairs[s];
		}
	}
	/* Each row's begin has been moved to the next one's. */
	memmove(arrival->term_begin + 1, arrival->term_begin,
		arrival->nrows * sizeof(*arrival->term_begin));
	arrival->term_begin[0] = 0;
	return 0;
}
