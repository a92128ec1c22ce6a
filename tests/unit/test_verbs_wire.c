/* What the ends of a connection on RDMA say: what is written can be read, at the ends of every
 * range, and what is out of range is refused; stripes are all of a message, each byte once. */
#include <endian.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/verbs_wire.h"

static struct verbs_info info_of(int nrails)
{
	struct verbs_info info = { .nrails = nrails, .control = UINT64_MAX - 7 };

	info.traffic_class = 64 * nrails - 1;

	for (int i = 0; i < nrails; i++) {
		struct verbs_rail_info *rail = &info.rail[i];
		memset(rail->gid, 0xa0 + i, sizeof(rail->gid));
		rail->lid = (uint16_t)(65535 - i);
		rail->mtu = (uint8_t)(1 + i);
		rail->roce_version = (uint8_t)(i % 3);
		rail->is_down = i / 2 % 2;
		rail->rkey = UINT32_MAX - (uint32_t)i;
		for (int cls = 0; cls < LINA_NCLASSES; cls++) {
			rail->qpn[cls] = 0xffffffu - (uint32_t)(2 * i + cls);
			rail->psn[cls] = (uint32_t)(2 * i + cls);
			rail->ece[cls] = (struct verbs_ece){ UINT32_MAX, 7u << i, (uint32_t)cls };
		}
	}
	return info;
}

static void info_arrives(void **state)
{
	uint8_t bytes[VERBS_INFO_BYTES];

	(void)state;
	for (int n = 1; n <= VERBS_RAILS_MAX; n++) {
		struct verbs_info sent = info_of(n), got;
		memset(&got, 0, sizeof(got));
		verbs_info_encode(&sent, bytes);
		assert_int_equal(verbs_info_decode(bytes, &got), 0);
		assert_int_equal(got.nrails, n);
		assert_true(got.control == sent.control);
		assert_int_equal(got.traffic_class, sent.traffic_class);
		assert_memory_equal(sent.rail, got.rail, sizeof(sent.rail));
	}
}

/* Offsets in an info. */
enum { MAGIC_AT = 0, VERSION_AT = 5, NRAILS_AT = 7, TRAFFIC_AT = 16, ZERO_AT = 18, RAIL_AT = 24 };
enum { MTU_AT = RAIL_AT + 18, BITS_AT = RAIL_AT + 19, QPN_AT = RAIL_AT + 24 };

static void damaged_info_is_refused(void **state)
{
	static const struct {
		int at;
		uint8_t value;
	} bad[] = { { MAGIC_AT, 0 }, { VERSION_AT, 9 }, { NRAILS_AT, 0 },
		{ NRAILS_AT, VERBS_RAILS_MAX + 1 }, { ZERO_AT, 1 }, { TRAFFIC_AT, 2 },
		{ MTU_AT, 0 }, { MTU_AT, 6 }, { BITS_AT, 3 }, { BITS_AT, 8 }, { QPN_AT, 1 },
		{ QPN_AT + 4, 1 }, { QPN_AT + 20, 1 } };
	struct verbs_info sent = info_of(2), got;
	uint8_t bytes[VERBS_INFO_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		verbs_info_encode(&sent, bytes);
		bytes[bad[i].at] = bad[i].value;
		assert_int_equal(verbs_info_decode(bytes, &got), -EPROTO);
	}
}

static void notes_arrive(void **state)
{
	uint8_t bytes[VERBS_NOTE_BYTES];

	(void)state;
	for (int type = 0; type < VERBS_NOTES; type++) {
		struct verbs_note sent, got;
		memset(&sent, 0xff, sizeof(sent));
		memset(&got, 0, sizeof(got));
		sent.type = (enum verbs_note_type)type;
		sent.rail = VERBS_RAILS_MAX - 1;
		sent.rails = (1u << VERBS_RAILS_MAX) - 1;
		verbs_note_encode(&sent, bytes);
		assert_int_equal(verbs_note_decode(bytes, &got), 0);
		assert_memory_equal(&sent, &got, sizeof(sent));
		bytes[3] = VERBS_RAILS_MAX;
		assert_int_equal(verbs_note_decode(bytes, &got), -EPROTO);
		bytes[3] = 0;
		bytes[1] = VERBS_NOTES;
		assert_int_equal(verbs_note_decode(bytes, &got), -EPROTO);
		bytes[1] = 0;
		bytes[0] ^= 1;
		assert_int_equal(verbs_note_decode(bytes, &got), -EPROTO);
		bytes[0] ^= 1;
		sent.rails++;
		verbs_note_encode(&sent, bytes);
		assert_int_equal(verbs_note_decode(bytes, &got), -EPROTO);
	}
}

static void immediates_arrive(void **state)
{
	(void)state;
	for (int kind = 0; kind < VERBS_IMM_KINDS; kind++)
		for (unsigned slot = 0; slot < VERBS_REQUESTS; slot += 21)
			for (unsigned entry = 0; entry < LINA_RECVS_MAX; entry++) {
				struct verbs_imm sent = { (enum verbs_imm_kind)kind, slot, entry,
					VERBS_VALUE_MAX - slot },
						 got;
				assert_int_equal(verbs_imm_decode(verbs_imm_encode(sent), &got), 0);
				assert_memory_equal(&sent, &got, sizeof(sent));
			}
	struct verbs_imm got;
	for (uint32_t kind = VERBS_IMM_KINDS; kind < 8; kind++)
		assert_int_equal(verbs_imm_decode(kind << VERBS_VALUE_BITS, &got), -EPROTO);
}

static void sizes_are_said_in_two_parts(void **state)
{
	static const uint64_t sizes[] = { 0, 1, (1 << VERBS_LOW_BITS) - 1, 1 << VERBS_LOW_BITS,
		(1 << VERBS_LOW_BITS) + 1, UINT64_C(1) << 32, VERBS_MESSAGE_MAX_BYTES };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (int n = 1; n <= VERBS_RAILS_MAX; n++) {
			uint32_t value = verbs_begin_value(sizes[i], n);
			uint32_t high = verbs_high_value(sizes[i]);
			assert_true(value <= VERBS_VALUE_MAX && high <= VERBS_VALUE_MAX);
			struct verbs_begin begin = verbs_begin_of(value);
			assert_int_equal(begin.nparts, n);
			assert_int_equal(begin.has_high, high > 0);
			assert_true(begin.low + ((uint64_t)high << VERBS_LOW_BITS) == sizes[i]);
		}
}

static void credits_arrive(void **state)
{
	struct verbs_credit sent = { .addr = UINT64_MAX, .room = 1, .tag = -5, .n = 8 }, got;
	struct verbs_cts cts;

	(void)state;
	for (int i = 0; i < VERBS_RAILS_MAX; i++)
		sent.rkey[i] = 0xdeadbe00u + (uint32_t)i;
	verbs_cts_encode(&sent, 7, &cts);
	assert_true(be64toh(cts.number) == 7);
	assert_int_equal(verbs_cts_decode(&cts, VERBS_RAILS_MAX, &got), 0);
	assert_memory_equal(&sent, &got, sizeof(sent));
	cts.n = htobe32(0);
	assert_int_equal(verbs_cts_decode(&cts, VERBS_RAILS_MAX, &got), -EPROTO);
	cts.n = htobe32(LINA_RECVS_MAX + 1);
	assert_int_equal(verbs_cts_decode(&cts, VERBS_RAILS_MAX, &got), -EPROTO);
}

static void parts_are_the_whole(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 65536, 131071, 131072, 131073, 262143,
		1 << 20, (1 << 20) + 17, UINT64_C(3) << 30 };

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++)
		for (int nrails = 1; nrails <= VERBS_RAILS_MAX; nrails++) {
			int n = verbs_nparts(sizes[k], nrails);
			uint64_t at = 0, from, until;
			assert_in_range(n, 1, nrails);
			for (int i = 0; i < n; i++) {
				verbs_part(sizes[k], n, i, &from, &until);
				assert_true(from == at && (until > from || n == 1));
				at = until;
			}
			assert_true(at == sizes[k]);
		}
}

static void small_messages_stay_on_one_rail(void **state)
{
	(void)state;
	assert_int_equal(verbs_nparts(0, 4), 1);
	assert_int_equal(verbs_nparts(UINT64_C(2) * VERBS_STRIPE_MIN_BYTES - 1, 4), 1);
	assert_int_equal(verbs_nparts(UINT64_C(2) * VERBS_STRIPE_MIN_BYTES, 4), 2);
	assert_int_equal(verbs_nparts(UINT64_C(8) * VERBS_STRIPE_MIN_BYTES, 4), 4);
	assert_int_equal(verbs_nparts(UINT64_C(8) * VERBS_STRIPE_MIN_BYTES, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(info_arrives),
		cmocka_unit_test(damaged_info_is_refused),
		cmocka_unit_test(notes_arrive),
		cmocka_unit_test(immediates_arrive),
		cmocka_unit_test(sizes_are_said_in_two_parts),
		cmocka_unit_test(credits_arrive),
		cmocka_unit_test(parts_are_the_whole),
		cmocka_unit_test(small_messages_stay_on_one_rail),
	};
	return cmocka_run_group_tests_name("verbs_wire", tests, NULL, NULL);
}
