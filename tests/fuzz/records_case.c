/* Runs an input as records twice, in pieces of two sizes: both times the same must come of it. */
#include "fuzz/records_case.h"

#include <string.h>

const unsigned fuzz_inputs = 10000;

struct pieces {
	const uint8_t *bytes;
	size_t n, at, piece;
};

static ssize_t pieces_read(void *arg, void *bytes, size_t room)
{
	struct pieces *p = arg;
	size_t n = p->n - p->at;

	n = n < p->piece ? n : p->piece;
	n = n < room ? n : room;
	if (n)
		memcpy(bytes, p->bytes + p->at, n);
	p->at += n;
	return (ssize_t)n;
}

/* FNV-1a, of what an outcome consists of. */
static void mix(uint64_t *hash, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		*hash = (*hash ^ at[i]) * UINT64_C(0x100000001b3);
}

static void token_check(const struct lina_record *r, uint64_t *hash)
{
	size_t n = (size_t)r->ntokens * (size_t)r->nlayers * (size_t)r->topk;

	FUZZ_CHECK(r->ntokens >= 0 && r->nlayers >= 1 && r->topk >= 1 && r->topk <= LINA_TOPK_MAX);
	for (int l = 0; l < r->nlayers; l++) {
		FUZZ_CHECK(r->layers[l] >= 0 && r->layers[l] < LINA_LAYERS_MAX);
		FUZZ_CHECK(l == 0 || r->layers[l] > r->layers[l - 1]);
		mix(hash, &r->layers[l], sizeof(r->layers[l]));
	}
	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(r->experts[i] >= LINA_NO_EXPERT && r->experts[i] < LINA_EXPERTS_MAX);
		mix(hash, &r->experts[i], sizeof(r->experts[i]));
	}
}

static void record_check(const struct lina_record *r, uint64_t *hash)
{
	mix(hash, &r->step, sizeof(r->step));
	if (r->kind == LINA_RECORD_TOKENS) {
		token_check(r, hash);
		return;
	}
	FUZZ_CHECK(r->layer >= 0 && r->layer < LINA_LAYERS_MAX);
	FUZZ_CHECK(r->expert >= 0 && r->expert < LINA_EXPERTS_MAX);
	FUZZ_CHECK(r->tokens >= 0);
	if (r->kind == LINA_RECORD_TRANSITION) {
		FUZZ_CHECK(r->next_layer > r->layer && r->next_layer < LINA_LAYERS_MAX);
		FUZZ_CHECK(r->next_expert >= 0 && r->next_expert < LINA_EXPERTS_MAX);
	}
	mix(hash, &r->tokens, sizeof(r->tokens));
}

/* What comes of the input, as one number. */
static uint64_t outcome(const uint8_t *data, size_t size, size_t piece, bool join)
{
	const struct lina_records_options options = { .format = records_format, .join = join };
	struct pieces p = { .bytes = data, .n = size, .piece = piece };
	struct lina_plan_text_fault fault = { .line = -1 };
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	struct lina_records *records;
	struct lina_input *in;
	struct lina_record record;
	int got = lina_input_create(pieces_read, &p, &in, &fault);

	if (!got)
		got = lina_records_create(in, &options, &records, &fault);
	if (!got) {
		while ((got = lina_records_next(records, &record, &fault)) == 1)
			record_check(&record, &hash);
		lina_records_destroy(records);
	}
	if (got < 0) {
		FUZZ_CHECK(fault.line >= 0 && fault.text[0]);
		mix(&hash, &fault.line, sizeof(fault.line));
		mix(&hash, &fault.column, sizeof(fault.column));
	}
	mix(&hash, &got, sizeof(got));
	return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t whole = outcome(data, size, SIZE_MAX, false);

	/* Damaged compressed data may or may not give something before they are seen to be so. */
	FUZZ_CHECK(outcome(data, size, 3, false) == whole || records_format == LINA_RECORDS_AUTO);
	(void)outcome(data, size, SIZE_MAX, true);
	return 0;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	if (i >= records_nseeds || records_seeds[i].n > room)
		return 0;
	memcpy(out, records_seeds[i].bytes, records_seeds[i].n);
	return records_seeds[i].n;
}
