/* What the ends of a connection on RDMA tell each other: [which][bytes]. What is refused writes
 * nothing; what decodes keeps what verbs_wire.h promises, and encodes to the bytes it came from. */
#include "plugin/verbs_wire.h"

#include <string.h>

#include "fuzz/fuzz.h"

const unsigned fuzz_inputs = 200000;

enum { INFO, NOTE, IMM, CTS, KINDS };
enum { INFO_HEAD_BYTES = 24, INFO_RAIL_BYTES = 64 };

/* An output that shows whether it was written to. */
union output {
	uint8_t bytes[512];
	struct verbs_info info;
	struct verbs_note note;
	struct verbs_imm imm;
	struct verbs_credit credit;
};

static void untouched_check(const union output *out)
{
	for (size_t i = 0; i < sizeof(*out); i++)
		FUZZ_CHECK(out->bytes[i] == GUARD);
}

static void info_run(const uint8_t *in, union output *out)
{
	uint8_t encoded[VERBS_INFO_BYTES];

	if (verbs_info_decode(in, &out->info)) {
		untouched_check(out);
		return;
	}
	const struct verbs_info *info = &out->info;
	FUZZ_CHECK(info->traffic_class >= -1 && info->traffic_class <= 255);
	FUZZ_CHECK(info->nrails >= 1 && info->nrails <= VERBS_RAILS_MAX);
	for (int i = 0; i < info->nrails; i++) {
		FUZZ_CHECK(info->rail[i].mtu >= 1 && info->rail[i].mtu <= 5);
		for (int cls = 0; cls < LINA_NCLASSES; cls++)
			FUZZ_CHECK((info->rail[i].qpn[cls] | info->rail[i].psn[cls]) < 1u << 24);
	}
	verbs_info_encode(info, encoded);
	FUZZ_CHECK(
		memcmp(encoded, in, INFO_HEAD_BYTES + (size_t)info->nrails * INFO_RAIL_BYTES) == 0);
}

static void note_run(const uint8_t *in, union output *out)
{
	enum { SAID_BYTES = 8 + 4 * LINA_NCLASSES };
	uint8_t encoded[VERBS_NOTE_BYTES];

	if (verbs_note_decode(in, &out->note)) {
		untouched_check(out);
		return;
	}
	FUZZ_CHECK(out->note.type < VERBS_NOTES);
	FUZZ_CHECK(out->note.rail >= 0 && out->note.rail < VERBS_RAILS_MAX);
	verbs_note_encode(&out->note, encoded);
	FUZZ_CHECK(memcmp(encoded, in, SAID_BYTES) == 0);
}

static void imm_run(const uint8_t *in, union output *out)
{
	uint32_t value;

	memcpy(&value, in, sizeof(value));
	if (verbs_imm_decode(value, &out->imm)) {
		untouched_check(out);
		return;
	}
	FUZZ_CHECK(out->imm.kind < VERBS_IMM_KINDS && out->imm.slot < VERBS_REQUESTS);
	FUZZ_CHECK(out->imm.entry < LINA_RECVS_MAX && out->imm.value <= VERBS_VALUE_MAX);
	FUZZ_CHECK(verbs_imm_encode(out->imm) == value);
	struct verbs_begin begin = verbs_begin_of(out->imm.value);
	FUZZ_CHECK(begin.nparts >= 1 && begin.nparts <= VERBS_RAILS_MAX);
	FUZZ_CHECK(begin.low < 1u << VERBS_LOW_BITS);
}

static void cts_run(const uint8_t *in, union output *out)
{
	struct verbs_cts cts, encoded;

	memcpy(&cts, in, sizeof(cts));
	if (verbs_cts_decode(&cts, VERBS_RAILS_MAX, &out->credit)) {
		untouched_check(out);
		return;
	}
	FUZZ_CHECK(out->credit.n >= 1 && out->credit.n <= LINA_RECVS_MAX);
	verbs_cts_encode(&out->credit, 1, &encoded);
	encoded.number = cts.number;
	memcpy(encoded.unused, cts.unused, sizeof(cts.unused));
	FUZZ_CHECK(memcmp(&encoded, &cts, sizeof(cts)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const run[KINDS])(
		const uint8_t *, union output *) = { info_run, note_run, imm_run, cts_run };
	uint8_t in[VERBS_INFO_BYTES] = { 0 }; /* the largest; what is not in the input is 0 */
	union output out;

	if (size < 2)
		return 0;
	memset(&out, GUARD, sizeof(out));
	memcpy(in, data + 1, size - 1 < sizeof(in) ? size - 1 : sizeof(in));
	run[data[0] % KINDS](in, &out);
	return 0;
}

static size_t info_seed(uint8_t *out)
{
	struct verbs_info info = { .nrails = VERBS_RAILS_MAX, .control = 0x1000 };

	for (int i = 0; i < info.nrails; i++)
		info.rail[i] = (struct verbs_rail_info){
			.gid = { 1 }, .mtu = 5, .roce_version = 2, .qpn = { 17, 18 }
		};
	verbs_info_encode(&info, out);
	return VERBS_INFO_BYTES;
}

static size_t note_seed(uint8_t *out)
{
	const struct verbs_note note = { .type = VERBS_NOTE_DOWN, .rail = 1, .imms = { 5, 6 } };

	verbs_note_encode(&note, out);
	return VERBS_NOTE_BYTES;
}

static size_t imm_seed(uint8_t *out)
{
	const struct verbs_imm imm = {
		.kind = VERBS_BEGIN, .slot = 3, .entry = 2, .value = verbs_begin_value(1 << 18, 2)
	};
	uint32_t value = verbs_imm_encode(imm);

	memcpy(out, &value, sizeof(value));
	return sizeof(value);
}

static size_t cts_seed(uint8_t *out)
{
	const struct verbs_credit credit = { .addr = 0x1000, .room = 100, .tag = -1, .n = 8 };
	struct verbs_cts cts;

	verbs_cts_encode(&credit, 7, &cts);
	memcpy(out, &cts, sizeof(cts));
	return sizeof(cts);
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static size_t (*const seed[KINDS])(
		uint8_t *) = { info_seed, note_seed, imm_seed, cts_seed };

	(void)room;
	if (i >= KINDS)
		return 0;
	out[0] = (uint8_t)i;
	return 1 + seed[i](out + 1);
}
