/* NumPy arrays of experts. The format: numpy.org, NEP 1. */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/records/format.h"

enum { PREFIX_BYTES = 8, HEADER_BYTES_MAX = 65536, CHUNK_BYTES = 65536 };

struct array {
	int width; /* bytes of a number */
	bool is_signed, big_endian;
	uint64_t ntokens, done; /* of the tokens */
	int nlayers, topk;
	int *layers;
	struct lina_ints experts;
};

static const char magic[] = "\x93NUMPY";

static bool knows(const char *bytes, size_t n)
{
	return n >= PREFIX_BYTES && memcmp(bytes, magic, sizeof(magic) - 1) == 0;
}

/* --- header: a Python dictionary, {'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), } ---
 */

/* Behind "'key':" and blanks. */
static const char *value_of(const char *header, const char *key)
{
	char quoted[32];
	const char *at;

	(void)snprintf(quoted, sizeof(quoted), "'%s':", key);
	at = strstr(header, quoted);
	if (!at)
		return "";
	at += strlen(quoted);
	return at + strspn(at, " ");
}

static int descr_parse(const char *header, struct array *a, struct lina_plan_text_fault *fault_p)
{
	const char *at = value_of(header, "descr");
	char shown[16];

	if (at[0] == '\'' && at[1] && strchr("<>|=", at[1]) && (at[2] == 'i' || at[2] == 'u') &&
		at[3] && strchr("1248", at[3]) && at[4] == '\'') {
		a->big_endian = at[1] == '>';
		a->is_signed = at[2] == 'i';
		a->width = at[3] - '0';
		return 0;
	}
	lina_records_printable(at, strcspn(at, ","), shown, sizeof(shown));
	return lina_input_fault(fault_p, 0, 0,
		"expected an array of integers of 1, 2, 4 or 8 bytes, not %s", shown);
}

/* Up to 4 numbers; how many there are, -1 where it is no tuple of them. */
static int shape_parse(const char *at, uint64_t *dims)
{
	int n = 0;

	if (*at++ != '(')
		return -1;
	for (;;) {
		char *end;

		at += strspn(at, " ,");
		if (*at == ')')
			return n;
		if (!isdigit((unsigned char)*at) || n == 4)
			return -1;
		errno = 0;
		dims[n++] = strtoull(at, &end, 10);
		if (errno)
			return -1;
		at = end;
	}
}

static int header_parse(const char *header, struct array *a, struct lina_plan_text_fault *fault_p)
{
	uint64_t dims[4] = { 0, 0, 1, 0 };
	int ndims = shape_parse(value_of(header, "shape"), dims);
	int err = descr_parse(header, a, fault_p);

	if (err)
		return err;
	if (strncmp(value_of(header, "fortran_order"), "False", 5) != 0)
		return lina_input_fault(fault_p, 0, 0,
			"expected an array in C order; numpy.ascontiguousarray makes one");
	if (ndims != 2 && ndims != 3)
		return lina_input_fault(fault_p, 0, 0,
			"expected an array [tokens][layers][topk] or [tokens][layers]");
	if (dims[1] < 1 || dims[1] > LINA_LAYERS_MAX || dims[2] < 1 || dims[2] > LINA_TOPK_MAX)
		return lina_input_fault(fault_p, 0, 0,
			"expected 1 to %d layers and 1 to %d experts of a token, not %llu and %llu",
			LINA_LAYERS_MAX, LINA_TOPK_MAX, (unsigned long long)dims[1],
			(unsigned long long)dims[2]);
	a->ntokens = dims[0];
	a->nlayers = (int)dims[1];
	a->topk = (int)dims[2];
	return 0;
}

/* Bytes before the header's text, and of it. */
static int header_sizes(struct lina_input *in, size_t *before_p, size_t *text_p,
	struct lina_plan_text_fault *fault_p)
{
	const unsigned char *b;
	const char *bytes;
	size_t n, before;
	int err = lina_input_peek(in, PREFIX_BYTES + 4, &bytes, &n, fault_p);

	if (err)
		return err;
	if (n < PREFIX_BYTES + 4 || !knows(bytes, n))
		return lina_input_fault(
			fault_p, 0, 0, "expected a NumPy array, which begins with \\x93NUMPY");
	b = (const unsigned char *)bytes;
	if (b[6] < 1 || b[6] > 3)
		return lina_input_fault(
			fault_p, 0, 0, "expected a NumPy format of version 1 to 3, not %d", b[6]);
	before = b[6] == 1 ? PREFIX_BYTES + 2 : PREFIX_BYTES + 4;
	*text_p = (size_t)b[8] | (size_t)b[9] << 8;
	if (b[6] > 1)
		*text_p |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
	*before_p = before;
	if (*text_p > HEADER_BYTES_MAX)
		return lina_input_fault(fault_p, 0, 0,
			"expected a header of at most %d bytes, not %zu", HEADER_BYTES_MAX,
			*text_p);
	return 0;
}

static int header_read(struct lina_input *in, struct array *a, struct lina_plan_text_fault *fault_p)
{
	size_t before = 0, text = 0, n = 0;
	const char *bytes;
	char *header;
	int err = header_sizes(in, &before, &text, fault_p);

	if (!err)
		err = lina_input_peek(in, before + text, &bytes, &n, fault_p);
	if (err)
		return err;
	if (n < before + text)
		return lina_input_fault(fault_p, 0, 0, "the file ends in its header");
	header = strndup(bytes + before, text);
	if (!header)
		return lina_records_no_memory(fault_p);
	err = header_parse(header, a, fault_p);
	free(header);
	lina_input_skip(in, before + text);
	return err;
}

static void array_close(void *state)
{
	struct array *a = state;

	free(a->layers);
	free(a->experts.at);
	free(a);
}

static int array_open(struct lina_input *in, const struct lina_records_options *options,
	void **state_p, struct lina_plan_text_fault *fault_p)
{
	struct array *a = calloc(1, sizeof(*a));
	int err;

	(void)options;
	if (!a)
		return lina_records_no_memory(fault_p);
	err = header_read(in, a, fault_p);
	if (!err) {
		assert(a->nlayers > 0);
		a->layers = calloc((size_t)a->nlayers, sizeof(*a->layers));
		err = a->layers ? 0 : lina_records_no_memory(fault_p);
	}
	if (err || !a->layers) {
		array_close(a);
		return err;
	}
	for (int l = 0; l < a->nlayers; l++)
		a->layers[l] = l;
	*state_p = a;
	return 0;
}

/* --- numbers --- */

static int64_t number_at(const struct array *a, const unsigned char *b)
{
	uint64_t number = 0;

	for (int i = 0; i < a->width; i++)
		number |= (uint64_t)b[a->big_endian ? a->width - 1 - i : i] << 8 * i;
	if (a->is_signed && a->width < 8 && number >> (8 * a->width - 1))
		number |= UINT64_MAX << 8 * a->width;
	return (int64_t)number;
}

static int expert_wrong(const struct array *a, uint64_t token, uint64_t number, int64_t value,
	struct lina_plan_text_fault *fault_p)
{
	unsigned long long in_token = number % ((uint64_t)a->nlayers * (uint64_t)a->topk);
	unsigned topk = (unsigned)a->topk;

	return lina_input_fault(fault_p, 0, 0,
		"token %llu, layer %llu, choice %llu: expected an expert from 0 to %d, or -1, not "
		"%lld",
		(unsigned long long)token, in_token / topk, in_token % topk, LINA_EXPERTS_MAX - 1,
		(long long)value);
}

/* The checksum of a compressed file is behind its last byte: it counts only when that is read. */
static int array_end(
	const struct array *a, struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	const char *bytes;
	size_t n;
	int err = lina_input_peek(in, 1, &bytes, &n, fault_p);

	if (!err && n > 0)
		err = lina_input_fault(fault_p, 0, 0,
			"expected the end of the file behind token %llu, the last of the array",
			(unsigned long long)a->ntokens);
	return err;
}

static int array_next(void *state, struct lina_input *in, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	struct array *a = state;
	uint64_t per_token = (uint64_t)a->nlayers * (uint64_t)a->topk;
	uint64_t token_bytes = per_token * (uint64_t)a->width;
	uint64_t ntokens = CHUNK_BYTES / token_bytes ? CHUNK_BYTES / token_bytes : 1;
	const char *bytes;
	size_t n;
	int err;

	if (ntokens > a->ntokens - a->done)
		ntokens = a->ntokens - a->done;
	if (!ntokens)
		return array_end(a, in, fault_p);
	err = lina_input_peek(in, ntokens * token_bytes, &bytes, &n, fault_p);
	if (!err)
		err = lina_ints_reserve(&a->experts, ntokens * per_token, fault_p);
	if (err)
		return err;
	if (n < ntokens * token_bytes)
		return lina_input_fault(fault_p, 0, 0, "the file ends at token %llu of %llu",
			(unsigned long long)a->done + n / token_bytes,
			(unsigned long long)a->ntokens);
	for (uint64_t i = 0; i < ntokens * per_token; i++) {
		int64_t e = number_at(a, (const unsigned char *)bytes + i * (uint64_t)a->width);

		if (e < LINA_NO_EXPERT || e >= LINA_EXPERTS_MAX)
			return expert_wrong(a, a->done + i / per_token, i, e, fault_p);
		a->experts.at[i] = (int)e;
	}
	lina_input_skip(in, ntokens * token_bytes);
	a->done += ntokens;
	*record_p = (struct lina_record){ .kind = LINA_RECORD_TOKENS,
		.ntokens = (int)ntokens,
		.nlayers = a->nlayers,
		.topk = a->topk,
		.layers = a->layers,
		.experts = a->experts.at };
	return 1;
}

const struct lina_records_ops lina_records_vllm = { knows, array_open, array_next, array_close };
