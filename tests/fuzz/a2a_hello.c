/*
 * What ranks say to each other before tokens move, and the pairs that come with these: whatever it
 * is, it is refused, or leads to nothing that was not sent.
 *
 * An input: ranks, slots, flags (duplicates removed, places spread), the limits of rows and pairs;
 * then the hellos as they travel, and all pairs one after the other.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/a2a_hello.h"
#include "collectives/a2a_pack.h"
#include "fuzz/fuzz.h"

enum { RANKS_MAX = 4, SLOTS_MAX = 3, LIMIT = 15, DEDUP = 1, SPREAD = 2 };

const unsigned fuzz_inputs = 100000;

struct arena {
	struct lina_hello_shape shape;
	bool dedup;
	char *hellos;
	struct lina_pair *pair; /* [nranks][max_pairs] */
	struct lina_parcel parcel[RANKS_MAX];
	uint32_t slot_begin[SLOTS_MAX + 1];
};

static void *array(size_t n, size_t each)
{
	void *made = calloc(n, each);

	FUZZ_CHECK(made != NULL);
	return made;
}

/* Bytes of the input, the rest 0. */
static void take(struct script *s, void *to, size_t bytes)
{
	size_t n;
	const uint8_t *from = script_bytes(s, bytes, &n);

	memcpy(to, from, n);
}

static void arena_open(struct arena *a, const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	int nranks = 1 + script_byte(&s) % RANKS_MAX, nslots = 1 + script_byte(&s) % SLOTS_MAX;
	uint8_t flags = script_byte(&s);
	uint32_t rows = 1 + script_byte(&s) % LIMIT, pairs = 1 + script_byte(&s) % LIMIT;
	size_t bytes = (size_t)nranks * lina_hello_bytes(nslots);

	*a = (struct arena){ .shape = { nranks, 0, nslots, rows, pairs, flags & SPREAD },
		.dedup = flags & DEDUP };
	a->hellos = array(1, bytes);
	take(&s, a->hellos, bytes);
	a->pair = array((size_t)nranks * pairs, sizeof(*a->pair));
	take(&s, a->pair, (size_t)nranks * pairs * sizeof(*a->pair));
}

static void arena_close(struct arena *a)
{
	free(a->pair);
	free(a->hellos);
}

/* Every row that came, to where the experts see it, and back as sums. */
static void move_rows(const struct lina_arrival *arrival)
{
	float *came = array(arrival->nrows + 1, sizeof(*came));
	float *seen = array(arrival->npairs + 1, sizeof(*seen));
	struct lina_terms terms = { arrival->term_begin, arrival->term_pair, arrival->term_weight };

	lina_pack_gather(seen, came, sizeof(*seen), arrival->pair_row, arrival->npairs);
	lina_pack_sum(came, seen, LINA_ELEMENT_F32, 1, &terms, arrival->nrows);
	free(seen);
	free(came);
}

static void arrive(struct arena *a)
{
	size_t nranks = (size_t)a->shape.nranks;
	size_t max_pairs = nranks * a->shape.max_pairs, max_rows = nranks * a->shape.max_rows;
	struct lina_arrival *arrival;
	int source = -1;

	FUZZ_CHECK(!lina_hello_read(a->hellos, &a->shape, a->parcel, a->slot_begin));
	for (int r = 0; a->dedup && r < a->shape.nranks; r++)
		a->parcel[r].pair = &a->pair[(size_t)r * a->shape.max_pairs];
	FUZZ_CHECK(!lina_arrival_create(a->shape.nranks, a->shape.nslots, &arrival));
	FUZZ_CHECK(!lina_arrival_reserve(arrival, max_pairs, max_rows));
	int err = lina_arrival_build(arrival, a->parcel, &source);
	if (err) {
		FUZZ_CHECK(err == -EPROTO && source >= 0 && source < a->shape.nranks);
	} else {
		FUZZ_CHECK(arrival->npairs == a->slot_begin[a->shape.nslots]);
		FUZZ_CHECK(memcmp(arrival->slot_begin, a->slot_begin,
				   ((size_t)a->shape.nslots + 1) * sizeof(uint32_t)) == 0);
		FUZZ_CHECK(arrival->term_begin[arrival->nrows] == arrival->npairs);
		move_rows(arrival);
	}
	lina_arrival_destroy(arrival);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	int rank = -1;

	arena_open(&a, data, size);
	const struct lina_hello *own = lina_hello_at(a.hellos, a.shape.nslots, a.shape.own);
	int own_err = own->err;
	int err = lina_hello_check(a.hellos, &a.shape, &rank);
	FUZZ_CHECK(rank >= 0 && rank < a.shape.nranks);
	if (!err)
		arrive(&a);
	else
		FUZZ_CHECK(err == own_err || err == -EPROTO || err == -ESTALE || err == -ECANCELED);
	arena_close(&a);
	return 0;
}

/* Each of two ranks sends 3 pairs to 2 slots: of 3 rows, or of 2. */
size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	enum { PAIRS = 4, HELLO = sizeof(struct lina_hello) + 2 * sizeof(uint32_t) };
	struct script_writer w = { out, 0, room };
	struct lina_hello hello = { LINA_HELLO_MAGIC, 5, 0, 0, 1, 3, 3 };
	const uint32_t slot_pairs[] = { 1, 2 };
	const struct lina_pair pair[PAIRS] = { { 0, 1 }, { 0, 0.5f }, { 1, 0.5f }, { 0, 0 } };

	if (i >= 4)
		return 0;
	if (i & DEDUP)
		hello.nrows = 2;
	script_put_byte(&w, 1);
	script_put_byte(&w, 1);
	script_put_byte(&w, i);
	script_put_byte(&w, 2);
	script_put_byte(&w, PAIRS - 1);
	for (int r = 0; r < 2; r++) {
		script_put(&w, &hello, sizeof(hello));
		script_put(&w, slot_pairs, sizeof(slot_pairs));
	}
	script_put(&w, pair, sizeof(pair));
	script_put(&w, pair, sizeof(pair));
	return w.used;
}
