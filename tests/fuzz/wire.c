/* The decoders: [which][bytes]. What is refused writes nothing; what decodes keeps what wire.h
 * promises, and encodes to the bytes it came from. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "plugin/wire.h"

const unsigned fuzz_inputs = 200000;

enum { HANDLE, HANDLE_MENDED, HELLO, WELCOME, CREDIT, GRANT, DATA, KINDS };
enum { CHECK_AT = 44 }; /* of a handle: FNV-1a of what comes before */

/* An output that shows whether it was written to. */
union output {
	uint8_t bytes[256];
	struct lina_wire_handle handle;
	struct lina_wire_hello hello;
	struct lina_wire_welcome welcome;
	struct lina_wire_credit credit;
	struct lina_wire_grant grant;
	struct lina_wire_data data;
};

static void output_prepare(union output *out)
{
	memset(out, GUARD, sizeof(*out));
}

static void untouched_check(const union output *out)
{
	for (size_t i = 0; i < sizeof(*out); i++)
		FUZZ_CHECK(((const uint8_t *)out)[i] == GUARD);
}

/* Just nbytes of memory: what is not in the input is 0. */
static uint8_t *exactly(const uint8_t *data, size_t size, size_t nbytes)
{
	uint8_t *in = calloc(1, nbytes);

	if (!in)
		die("no memory");
	memcpy(in, data, size < nbytes ? size : nbytes);
	return in;
}

static void handle_mend(uint8_t *in)
{
	uint32_t sum = 2166136261u;

	for (int i = 0; i < CHECK_AT; i++)
		sum = (sum ^ in[i]) * 16777619u;
	for (int i = 0; i < 4; i++)
		in[CHECK_AT + i] = (uint8_t)(sum >> (24 - 8 * i));
}

/* An IPv4 handle has 12 bytes that say nothing, so the first encoding may differ from the input. */
static void handle_run(const uint8_t *in)
{
	union output out, again;
	uint8_t first[LINA_HANDLE_BYTES], second[LINA_HANDLE_BYTES];

	output_prepare(&out);
	if (lina_handle_decode(in, &out.handle)) {
		untouched_check(&out);
		return;
	}
	int family = out.handle.addr.sa.sa_family;
	FUZZ_CHECK(family == AF_INET || family == AF_INET6);
	FUZZ_CHECK(family == AF_INET ? out.handle.addr.in.sin_port : out.handle.addr.in6.sin6_port);
	lina_handle_encode(&out.handle, first);
	FUZZ_CHECK(lina_handle_decode(first, &again.handle) == 0);
	lina_handle_encode(&again.handle, second);
	FUZZ_CHECK(memcmp(first, second, sizeof(first)) == 0);
	FUZZ_CHECK(memcmp(out.handle.secret, again.handle.secret, LINA_SECRET_BYTES) == 0);
	FUZZ_CHECK(out.handle.ticket == again.handle.ticket);
}

static void hello_run(const uint8_t *in)
{
	union output out;
	uint8_t encoded[LINA_HELLO_BYTES];

	output_prepare(&out);
	if (lina_hello_decode(in, &out.hello)) {
		untouched_check(&out);
		return;
	}
	FUZZ_CHECK(out.hello.nlanes <= LINA_LANES_MAX && out.hello.lane < out.hello.nlanes);
	lina_hello_encode(&out.hello, encoded);
	FUZZ_CHECK(memcmp(encoded, in, sizeof(encoded)) == 0);
}

static void welcome_run(const uint8_t *in)
{
	union output out;
	uint8_t encoded[LINA_WELCOME_BYTES];

	output_prepare(&out);
	if (lina_welcome_decode(in, &out.welcome)) {
		untouched_check(&out);
		return;
	}
	lina_welcome_encode(&out.welcome, encoded);
	FUZZ_CHECK(memcmp(encoded, in, sizeof(encoded)) == 0);
}

static void credit_run(const uint8_t *in, size_t size)
{
	union output out;
	uint8_t encoded[LINA_CREDIT_MAX_BYTES];

	output_prepare(&out);
	int took = lina_credit_decode(in, size, &out.credit);
	if (took <= 0) {
		untouched_check(&out);
		return;
	}
	FUZZ_CHECK((size_t)took <= size);
	FUZZ_CHECK(out.credit.n >= 1 && out.credit.n <= LINA_RECVS_MAX);
	FUZZ_CHECK(lina_credit_encode(&out.credit, encoded) == (size_t)took);
	FUZZ_CHECK(memcmp(encoded, in, (size_t)took) == 0);
	FUZZ_CHECK(lina_credit_decode(in, (size_t)took - 1, &out.credit) == 0);
}

static void grant_run(const uint8_t *in, size_t size)
{
	union output out;
	uint8_t encoded[LINA_GRANT_BYTES];

	output_prepare(&out);
	int took = lina_grant_decode(in, size, &out.grant);
	if (took <= 0) {
		untouched_check(&out);
		return;
	}
	FUZZ_CHECK(took == LINA_GRANT_BYTES && (size_t)took <= size && lina_is_grant(in[0]));
	lina_grant_encode(&out.grant, encoded);
	FUZZ_CHECK(memcmp(encoded, in, sizeof(encoded)) == 0);
	FUZZ_CHECK(lina_credit_decode(in, size, &out.credit) <= 0);
}

static void data_run(const uint8_t *in)
{
	union output out;
	uint8_t encoded[LINA_DATA_HEAD_BYTES];

	output_prepare(&out);
	if (lina_data_decode(in, &out.data)) {
		untouched_check(&out);
		return;
	}
	const struct lina_wire_data *d = &out.data;
	FUZZ_CHECK(d->entry < LINA_RECVS_MAX);
	FUZZ_CHECK(d->offset <= d->message_bytes);
	FUZZ_CHECK(d->length <= d->message_bytes - d->offset);
	FUZZ_CHECK(d->length != 0 || d->message_bytes == 0);
	FUZZ_CHECK(!d->early || d->length == d->message_bytes);
	lina_data_encode(d, encoded);
	FUZZ_CHECK(memcmp(encoded, in, sizeof(encoded)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t sizes[KINDS] = { [HANDLE] = LINA_HANDLE_BYTES,
		[HANDLE_MENDED] = LINA_HANDLE_BYTES,
		[HELLO] = LINA_HELLO_BYTES,
		[WELCOME] = LINA_WELCOME_BYTES,
		[DATA] = LINA_DATA_HEAD_BYTES };

	if (size < 2)
		return 0;
	int kind = data[0] % KINDS;
	uint8_t *in = exactly(data + 1, size - 1, sizes[kind] ? sizes[kind] : size - 1);
	if (kind == HANDLE_MENDED)
		handle_mend(in);
	if (kind == HANDLE || kind == HANDLE_MENDED)
		handle_run(in);
	else if (kind == HELLO)
		hello_run(in);
	else if (kind == WELCOME)
		welcome_run(in);
	else if (kind == CREDIT)
		credit_run(in, size - 1);
	else if (kind == GRANT)
		grant_run(in, size - 1);
	else
		data_run(in);
	free(in);
	return 0;
}

/* --- good inputs --- */

static size_t handle_seed(uint8_t *out, int family)
{
	struct lina_wire_handle h = { .ticket = 5, .secret = { 1, 2, 3 } };

	h.addr.sa.sa_family = (sa_family_t)family;
	h.addr.in.sin_port = 0x1234; /* at the same place in both families */
	lina_handle_encode(&h, out);
	return LINA_HANDLE_BYTES;
}

static size_t credit_seed(uint8_t *out, int n)
{
	struct lina_wire_credit credit = { .slot = 3, .seq = 9, .n = n };

	for (int i = 0; i < n; i++) {
		credit.entry[i].tag = i;
		credit.entry[i].bytes = 1u << i;
	}
	return lina_credit_encode(&credit, out);
}

static size_t data_seed(uint8_t *out, bool early, bool bulk)
{
	const struct lina_wire_data part = { .bulk = bulk,
		.slot = 63,
		.entry = 7,
		.seq = 3,
		.message_bytes = 100,
		.offset = 40,
		.length = 60 };
	const struct lina_wire_data whole = { .early = true,
		.bulk = bulk,
		.tag = -1,
		.seen = 3,
		.message_bytes = 100,
		.length = 100 };

	lina_data_encode(early ? &whole : &part, out);
	return LINA_DATA_HEAD_BYTES;
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static const uint8_t kinds[] = { HANDLE, HANDLE, HANDLE_MENDED, HANDLE_MENDED, HELLO,
		WELCOME, CREDIT, CREDIT, DATA, DATA, DATA, DATA, GRANT };
	const struct lina_wire_grant grant = { .bytes = UINT64_C(1) << 40 };
	const struct lina_wire_hello hello = { .conn_id = 7, .lane = 1, .nlanes = 16 };
	const struct lina_wire_welcome welcome = {
		.conn_id = 7, .early_bytes = 4096, .grant_bytes = 65536
	};

	if (i >= sizeof(kinds) || room < FUZZ_INPUT_MAX)
		return 0;
	*out++ = kinds[i];
	switch (kinds[i]) {
	case HELLO:
		lina_hello_encode(&hello, out);
		return 1 + LINA_HELLO_BYTES;
	case WELCOME:
		lina_welcome_encode(&welcome, out);
		return 1 + LINA_WELCOME_BYTES;
	case CREDIT:
		return 1 + credit_seed(out, i % 2 ? LINA_RECVS_MAX : 1);
	case GRANT:
		lina_grant_encode(&grant, out);
		return 1 + LINA_GRANT_BYTES;
	case DATA:
		return 1 + data_seed(out, i % 2, i % 4 > 1);
	default:
		return 1 + handle_seed(out, i % 2 ? AF_INET6 : AF_INET);
	}
}
