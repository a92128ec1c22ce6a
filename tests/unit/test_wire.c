/* The wire format: what is written can be read, at the ends of every range; what is damaged, cut or
 * from another version is refused, and says which. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "plugin/wire.h"

enum { VERSION_AT = 4 }; /* in a handle, a hello and a welcome: after the magic number */

static struct lina_wire_handle handle_v4(void)
{
	struct lina_wire_handle h = { .ticket = 0 };

	h.addr.in.sin_family = AF_INET;
	h.addr.in.sin_port = htons(65535);
	h.addr.in.sin_addr.s_addr = htonl(0xc0000201);
	memset(h.secret, 0xff, sizeof(h.secret));
	h.device = -1;
	return h;
}

static struct lina_wire_handle handle_v6(void)
{
	struct lina_wire_handle h = { .ticket = UINT64_MAX };

	h.addr.in6.sin6_family = AF_INET6;
	h.addr.in6.sin6_port = htons(1);
	for (int i = 0; i < 16; i++)
		h.addr.in6.sin6_addr.s6_addr[i] = (uint8_t)(0xf0 + i);
	for (int i = 0; i < LINA_SECRET_BYTES; i++)
		h.secret[i] = (uint8_t)i;
	h.transport = LINA_WIRE_VERBS;
	h.who = 0x0123456789abcdefu;
	h.device = INT32_MAX;
	return h;
}

static void handle_round_trip(const struct lina_wire_handle *h)
{
	uint8_t bytes[LINA_HANDLE_BYTES];
	struct lina_wire_handle got;

	memset(bytes, 0xee, sizeof(bytes));
	memset(&got, 0xee, sizeof(got));
	lina_handle_encode(h, bytes);
	assert_int_equal(lina_handle_decode(bytes, &got), 0);
	assert_int_equal(got.addr.sa.sa_family, h->addr.sa.sa_family);
	if (h->addr.sa.sa_family == AF_INET6)
		assert_memory_equal(&got.addr.in6, &h->addr.in6, sizeof(got.addr.in6));
	else
		assert_memory_equal(&got.addr.in, &h->addr.in, sizeof(got.addr.in));
	assert_memory_equal(got.secret, h->secret, LINA_SECRET_BYTES);
	assert_int_equal(got.transport, h->transport);
	assert_true(got.who == h->who && got.device == h->device);
	assert_true(got.ticket == h->ticket);
}

static void handle_keeps_its_fields(void **state)
{
	(void)state;
	struct lina_wire_handle v4 = handle_v4(), v6 = handle_v6();
	handle_round_trip(&v4);
	handle_round_trip(&v6);
}

/* The ticket is the one part that another may set; net.c looks it up. */
static bool is_ticket(size_t at, const uint8_t *zero, const uint8_t *set)
{
	return zero[at] != set[at];
}

static void every_flipped_byte_of_a_handle_is_refused(void **state)
{
	struct lina_wire_handle h = handle_v4(), got;
	uint8_t bytes[LINA_HANDLE_BYTES], ticketed[LINA_HANDLE_BYTES];
	int ntickets = 0;

	(void)state;
	lina_handle_encode(&h, bytes);
	memcpy(ticketed, bytes, sizeof(bytes));
	lina_handle_ticket_set(ticketed, UINT64_MAX);
	for (size_t at = 0; at < sizeof(bytes); at++) {
		if (is_ticket(at, bytes, ticketed)) {
			ntickets++;
			continue;
		}
		for (int bit = 0; bit < 8; bit++) {
			bytes[at] ^= (uint8_t)(1 << bit);
			int err = lina_handle_decode(bytes, &got);
			bool version = at == VERSION_AT || at == VERSION_AT + 1;
			assert_int_equal(err, version ? -EPROTONOSUPPORT : -EPROTO);
			bytes[at] ^= (uint8_t)(1 << bit);
		}
	}
	assert_int_equal(ntickets, 8);
	assert_int_equal(lina_handle_decode(bytes, &got), 0);
}

/* What a shorter medium leaves of a handle: its beginning, then zeros. */
static void every_cut_handle_is_refused(void **state)
{
	struct lina_wire_handle h = handle_v6(), got;
	uint8_t bytes[LINA_HANDLE_BYTES], cut[LINA_HANDLE_BYTES];

	(void)state;
	h.ticket = 0;
	lina_handle_encode(&h, bytes);
	size_t used = sizeof(bytes);
	while (used > 0 && bytes[used - 1] == 0)
		used--;
	assert_true(used > 28 && used <= LINA_HANDLE_USED_BYTES);
	for (size_t n = 0; n < used; n++) {
		memset(cut, 0, sizeof(cut));
		memcpy(cut, bytes, n);
		int err = lina_handle_decode(cut, &got);
		assert_true(err == -EPROTO || err == -EPROTONOSUPPORT);
		memset(cut + n, 0xff, sizeof(cut) - n);
		assert_true(lina_handle_decode(cut, &got) < 0);
	}
}

static void refused_handle_writes_nothing(void **state)
{
	uint8_t bytes[LINA_HANDLE_BYTES] = { 0 };
	struct lina_wire_handle got, before;

	(void)state;
	memset(&got, 0x5a, sizeof(got));
	before = got;
	assert_int_equal(lina_handle_decode(bytes, &got), -EPROTO);
	assert_memory_equal(&got, &before, sizeof(got));
}

static void handle_without_port_or_family_is_refused(void **state)
{
	struct lina_wire_handle h = handle_v4(), got;
	uint8_t bytes[LINA_HANDLE_BYTES];

	(void)state;
	h.addr.in.sin_port = 0;
	lina_handle_encode(&h, bytes);
	assert_int_equal(lina_handle_decode(bytes, &got), -EPROTO);
}

static void ticket_leaves_the_rest_alone(void **state)
{
	struct lina_wire_handle h = handle_v6(), got;
	uint8_t bytes[LINA_HANDLE_BYTES];

	(void)state;
	lina_handle_encode(&h, bytes);
	lina_handle_ticket_set(bytes, 0x0123456789abcdefu);
	assert_int_equal(lina_handle_decode(bytes, &got), 0);
	assert_true(got.ticket == 0x0123456789abcdefu);
	h.ticket = got.ticket;
	handle_round_trip(&h);
	assert_memory_equal(got.secret, h.secret, LINA_SECRET_BYTES);
}

static struct lina_wire_hello hello_of(int lane, int nlanes)
{
	struct lina_wire_hello h = {
		.conn_id = UINT64_MAX - 1, .lane = (uint8_t)lane, .nlanes = (uint8_t)nlanes
	};
	memset(h.secret, 0x80, sizeof(h.secret));
	return h;
}

static void hello_keeps_its_fields(void **state)
{
	(void)state;
	for (int nlanes = 1; nlanes <= LINA_LANES_MAX; nlanes++) {
		for (int lane = 0; lane < nlanes; lane++) {
			struct lina_wire_hello h = hello_of(lane, nlanes), got;
			uint8_t bytes[LINA_HELLO_BYTES];
			lina_hello_encode(&h, bytes);
			assert_int_equal(lina_hello_decode(bytes, &got), 0);
			assert_int_equal(got.lane, lane);
			assert_int_equal(got.nlanes, nlanes);
			assert_true(got.conn_id == h.conn_id);
			assert_memory_equal(got.secret, h.secret, LINA_SECRET_BYTES);
		}
	}
}

static void hello_with_impossible_lanes_is_refused(void **state)
{
	static const int bad[][2] = { { 0, 0 }, { 0, LINA_LANES_MAX + 1 }, { 1, 1 }, { 16, 16 },
		{ 255, 255 }, { 0, 255 }, { 3, 2 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct lina_wire_hello h = hello_of(bad[i][0], bad[i][1]), got;
		uint8_t bytes[LINA_HELLO_BYTES];
		lina_hello_encode(&h, bytes);
		assert_int_equal(lina_hello_decode(bytes, &got), -EPROTO);
	}
}

/* Flipping a byte changes a field (lanes, id, secret) or is refused; never both ignored. */
static void no_byte_of_a_hello_is_ignored(void **state)
{
	struct lina_wire_hello h = hello_of(0, 4);
	uint8_t bytes[LINA_HELLO_BYTES];

	(void)state;
	lina_hello_encode(&h, bytes);
	for (size_t at = 0; at < sizeof(bytes); at++) {
		struct lina_wire_hello got = { 0 };
		bytes[at] ^= 1;
		int err = lina_hello_decode(bytes, &got);
		bool same = !err && got.lane == h.lane && got.nlanes == h.nlanes &&
			    got.conn_id == h.conn_id &&
			    memcmp(got.secret, h.secret, sizeof(h.secret)) == 0;
		assert_false(same);
		if (at < VERSION_AT || at >= 32)
			assert_int_equal(err, -EPROTO);
		if (at == VERSION_AT || at == VERSION_AT + 1)
			assert_int_equal(err, -EPROTONOSUPPORT);
		bytes[at] ^= 1;
	}
}

static void welcome_keeps_its_fields(void **state)
{
	static const struct lina_wire_welcome sent[] = {
		{ 0, UINT32_MAX, 0 },
		{ UINT64_MAX, 0, UINT32_MAX },
		{ 0x0123456789abcdefu, 1 << 20, 0x01020304 },
	};
	uint8_t bytes[LINA_WELCOME_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++) {
		struct lina_wire_welcome got = { ~sent[i].conn_id, ~sent[i].early_bytes,
			~sent[i].grant_bytes };
		lina_welcome_encode(&sent[i], bytes);
		assert_int_equal(lina_welcome_decode(bytes, &got), 0);
		assert_true(got.conn_id == sent[i].conn_id);
		assert_true(got.early_bytes == sent[i].early_bytes);
		assert_true(got.grant_bytes == sent[i].grant_bytes);
	}
	for (size_t at = 0; at < sizeof(bytes); at++) {
		struct lina_wire_welcome got = { .conn_id = 7 };
		bool version = at == VERSION_AT || at == VERSION_AT + 1;
		if (at >= 8) /* the fields may be anything */
			continue;
		bytes[at] ^= 0x10;
		assert_int_equal(
			lina_welcome_decode(bytes, &got), version ? -EPROTONOSUPPORT : -EPROTO);
		assert_true(got.conn_id == 7);
		bytes[at] ^= 0x10;
	}
}

static struct lina_wire_credit credit_of(int n)
{
	struct lina_wire_credit c = { .slot = UINT16_MAX, .seq = UINT32_MAX - 1, .n = n };
	static const int tags[] = { 0, -1, INT32_MAX, INT32_MIN, 1, 42, -42, 7 };

	for (int i = 0; i < n; i++) {
		c.entry[i].tag = tags[i];
		c.entry[i].bytes = i % 2 ? UINT64_MAX : 0;
	}
	return c;
}

static void credit_keeps_its_fields_and_waits_for_all_of_them(void **state)
{
	(void)state;
	for (int n = 1; n <= LINA_RECVS_MAX; n++) {
		struct lina_wire_credit c = credit_of(n), got;
		uint8_t bytes[LINA_CREDIT_MAX_BYTES];
		size_t size = lina_credit_encode(&c, bytes);
		assert_true(size <= LINA_CREDIT_MAX_BYTES);
		for (size_t cut = 0; cut < size; cut++)
			assert_int_equal(lina_credit_decode(bytes, cut, &got), 0);
		assert_int_equal(lina_credit_decode(bytes, size, &got), size);
		assert_int_equal(got.n, n);
		assert_int_equal(got.slot, c.slot);
		assert_true(got.seq == c.seq);
		for (int i = 0; i < n; i++) {
			assert_int_equal(got.entry[i].tag, c.entry[i].tag);
			assert_true(got.entry[i].bytes == c.entry[i].bytes);
		}
	}
}

static void credit_of_another_kind_or_number_is_refused(void **state)
{
	struct lina_wire_credit c = credit_of(1), got;
	uint8_t bytes[LINA_CREDIT_MAX_BYTES] = { 0 };

	(void)state;
	(void)lina_credit_encode(&c, bytes);
	for (int n = 0; n < 256; n++) {
		bytes[1] = (uint8_t)n;
		int err = lina_credit_decode(bytes, sizeof(bytes), &got);
		if (n < 1 || n > LINA_RECVS_MAX)
			assert_int_equal(err, -EPROTO);
		else
			assert_true(err > 0);
	}
	bytes[1] = 1;
	for (int kind = 0; kind < 256; kind++) {
		uint8_t ours = bytes[0];
		bytes[0] = (uint8_t)kind;
		if (kind != ours)
			assert_int_equal(lina_credit_decode(bytes, sizeof(bytes), &got), -EPROTO);
		bytes[0] = ours;
	}
}

static void grant_keeps_its_bytes(void **state)
{
	static const uint64_t sent[] = { 0, 1, UINT64_MAX, 0x0123456789abcdefu };
	uint8_t bytes[LINA_GRANT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(sent) / sizeof(*sent); i++) {
		struct lina_wire_grant got = { ~sent[i] };
		lina_grant_encode(&(struct lina_wire_grant){ sent[i] }, bytes);
		assert_true(lina_is_grant(bytes[0]));
		for (size_t cut = 0; cut < sizeof(bytes); cut++)
			assert_int_equal(lina_grant_decode(bytes, cut, &got), 0);
		assert_true(got.bytes == ~sent[i]);
		assert_int_equal(lina_grant_decode(bytes, sizeof(bytes), &got), LINA_GRANT_BYTES);
		assert_true(got.bytes == sent[i]);
	}
	for (size_t at = 0; at < 8; at++) {
		struct lina_wire_grant got = { 7 };
		bytes[at] ^= 0x10;
		assert_int_equal(lina_grant_decode(bytes, sizeof(bytes), &got), -EPROTO);
		assert_true(got.bytes == 7);
		bytes[at] ^= 0x10;
	}
}

static void credit_is_no_grant(void **state)
{
	const struct lina_wire_credit credit = { .n = 1 };
	uint8_t bytes[LINA_CREDIT_MAX_BYTES];

	(void)state;
	(void)lina_credit_encode(&credit, bytes);
	assert_false(lina_is_grant(bytes[0]));
}

static void data_round_trip(const struct lina_wire_data *d, int expected)
{
	uint8_t bytes[LINA_DATA_HEAD_BYTES];
	struct lina_wire_data got = { .length = 0x77777777 };

	lina_data_encode(d, bytes);
	assert_int_equal(lina_data_decode(bytes, &got), expected);
	if (expected) {
		assert_true(got.length == 0x77777777);
		return;
	}
	assert_int_equal(got.slot, d->slot);
	assert_int_equal(got.entry, d->entry);
	assert_true(got.seq == d->seq && got.length == d->length);
	assert_true(got.message_bytes == d->message_bytes && got.offset == d->offset);
}

static void data_keeps_its_fields_and_stays_in_its_message(void **state)
{
	static const struct {
		uint64_t message, offset;
		uint32_t length;
		int expected;
	} rows[] = {
		{ 0, 0, 0, 0 },
		{ 1, 0, 1, 0 },
		{ UINT64_MAX, UINT64_MAX - 1, 1, 0 },
		{ UINT64_MAX, UINT64_MAX - UINT32_MAX, UINT32_MAX, 0 },
		{ UINT32_MAX, 0, UINT32_MAX, 0 },
		{ 1, 0, 0, -EPROTO },
		{ 0, 0, 1, -EPROTO },
		{ 0, 1, 0, -EPROTO },
		{ 1, 1, 1, -EPROTO },
		{ 10, 5, 6, -EPROTO },
		{ 10, 11, 0, -EPROTO },
		{ 10, UINT64_MAX, 2, -EPROTO },
		{ 10, UINT64_MAX - 1, 12, -EPROTO },
		{ UINT64_MAX, UINT64_MAX, 1, -EPROTO },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct lina_wire_data d = { .slot = UINT16_MAX,
			.seq = UINT32_MAX,
			.entry = LINA_RECVS_MAX - 1,
			.message_bytes = rows[i].message,
			.offset = rows[i].offset,
			.length = rows[i].length };
		data_round_trip(&d, rows[i].expected);
		d.entry = LINA_RECVS_MAX;
		data_round_trip(&d, -EPROTO);
	}
}

static void data_keeps_its_class(void **state)
{
	uint8_t bytes[LINA_DATA_HEAD_BYTES];
	struct lina_wire_data got;

	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct lina_wire_data d = {
			.early = i & 1, .bulk = i & 2, .message_bytes = 8, .length = 8
		};
		lina_data_encode(&d, bytes);
		assert_int_equal(lina_data_decode(bytes, &got), 0);
		assert_true(got.early == d.early && got.bulk == d.bulk);
	}
}

static void data_of_another_kind_is_refused(void **state)
{
	const struct lina_wire_data d = { .message_bytes = 8, .length = 8 };
	uint8_t bytes[LINA_DATA_HEAD_BYTES];
	struct lina_wire_data got;

	(void)state;
	lina_data_encode(&d, bytes);
	bytes[0] ^= 2;
	assert_int_equal(lina_data_decode(bytes, &got), -EPROTO);
	bytes[0] ^= 2;
	for (size_t at = 28; at < sizeof(bytes); at++) { /* reserved */
		bytes[at] = 1;
		assert_int_equal(lina_data_decode(bytes, &got), -EPROTO);
		bytes[at] = 0;
	}
	assert_int_equal(lina_data_decode(bytes, &got), 0);
}

static void early_is_one_whole_message(void **state)
{
	const struct lina_wire_data sent = { .early = true,
		.tag = INT32_MIN,
		.seen = UINT32_MAX,
		.message_bytes = UINT32_MAX,
		.length = UINT32_MAX };
	uint8_t bytes[LINA_DATA_HEAD_BYTES];
	struct lina_wire_data d = sent, got;

	(void)state;
	lina_data_encode(&sent, bytes);
	assert_int_equal(lina_data_decode(bytes, &got), 0);
	assert_true(got.early && got.tag == sent.tag && got.seen == sent.seen);
	data_round_trip(&sent, 0);
	d.length--;
	data_round_trip(&d, -EPROTO);
	d = sent;
	d.offset = 1;
	data_round_trip(&d, -EPROTO);
	d = sent;
	d.slot = 1;
	data_round_trip(&d, -EPROTO);
	d = sent;
	d.entry = 1;
	data_round_trip(&d, -EPROTO);
	d = (struct lina_wire_data){ .early = true };
	data_round_trip(&d, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(handle_keeps_its_fields),
		cmocka_unit_test(every_flipped_byte_of_a_handle_is_refused),
		cmocka_unit_test(every_cut_handle_is_refused),
		cmocka_unit_test(refused_handle_writes_nothing),
		cmocka_unit_test(handle_without_port_or_family_is_refused),
		cmocka_unit_test(ticket_leaves_the_rest_alone),
		cmocka_unit_test(hello_keeps_its_fields),
		cmocka_unit_test(hello_with_impossible_lanes_is_refused),
		cmocka_unit_test(no_byte_of_a_hello_is_ignored),
		cmocka_unit_test(welcome_keeps_its_fields),
		cmocka_unit_test(grant_keeps_its_bytes),
		cmocka_unit_test(credit_is_no_grant),
		cmocka_unit_test(credit_keeps_its_fields_and_waits_for_all_of_them),
		cmocka_unit_test(credit_of_another_kind_or_number_is_refused),
		cmocka_unit_test(data_keeps_its_fields_and_stays_in_its_message),
		cmocka_unit_test(data_keeps_its_class),
		cmocka_unit_test(data_of_another_kind_is_refused),
		cmocka_unit_test(early_is_one_whole_message),
	};

	return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
