#include "plugin/verbs_wire.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { MAGIC = 0x4c494252, VERSION = 3 }; /* "LIBR" */

/* Cursors: what is put or got moves on. */
static void put(uint8_t **at, uint64_t value, int nbytes)
{
	for (int i = nbytes - 1; i >= 0; i--)
		*(*at)++ = (uint8_t)(value >> (8 * i));
}

static uint64_t get(const uint8_t **at, int nbytes)
{
	uint64_t value = 0;

	for (int i = 0; i < nbytes; i++)
		value = value << 8 | *(*at)++;
	return value;
}

/* --- info: 24 bytes and 64 for each rail --- */

enum { VERSION_BITS = 3, DOWN_BIT = 2 };

static void rail_encode(const struct verbs_rail_info *rail, uint8_t **at)
{
	memcpy(*at, rail->gid, sizeof(rail->gid));
	*at += sizeof(rail->gid);
	put(at, rail->lid, 2);
	put(at, rail->mtu, 1);
	put(at, rail->roce_version | (unsigned)rail->is_down << DOWN_BIT, 1);
	put(at, rail->rkey, 4);
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		put(at, rail->qpn[cls], 4);
		put(at, rail->psn[cls], 4);
		put(at, rail->ece[cls].vendor, 4);
		put(at, rail->ece[cls].options, 4);
		put(at, rail->ece[cls].mask, 4);
	}
}

void verbs_info_encode(const struct verbs_info *info, uint8_t out[VERBS_INFO_BYTES])
{
	uint8_t *at = out;

	memset(out, 0, VERBS_INFO_BYTES);
	put(&at, MAGIC, 4);
	put(&at, VERSION, 2);
	put(&at, (uint64_t)info->nrails, 2);
	put(&at, info->control, 8);
	put(&at, (uint64_t)info->traffic_class + 1, 2);
	put(&at, 0, 6);
	for (int i = 0; i < info->nrails; i++)
		rail_encode(&info->rail[i], &at);
}

static int rail_decode(const uint8_t **at, struct verbs_rail_info *rail)
{
	const uint32_t most = (1 << 24) - 1;

	memcpy(rail->gid, *at, sizeof(rail->gid));
	*at += sizeof(rail->gid);
	rail->lid = (uint16_t)get(at, 2);
	rail->mtu = (uint8_t)get(at, 1);
	unsigned bits = (unsigned)get(at, 1);
	rail->roce_version = (uint8_t)(bits & VERSION_BITS);
	rail->is_down = bits >> DOWN_BIT & 1;
	rail->rkey = (uint32_t)get(at, 4);
	bool good = rail->mtu >= 1 && rail->mtu <= 5 && rail->roce_version <= 2 &&
		    bits >> DOWN_BIT <= 1;
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		rail->qpn[cls] = (uint32_t)get(at, 4);
		rail->psn[cls] = (uint32_t)get(at, 4);
		rail->ece[cls].vendor = (uint32_t)get(at, 4);
		rail->ece[cls].options = (uint32_t)get(at, 4);
		rail->ece[cls].mask = (uint32_t)get(at, 4);
		good = good && rail->qpn[cls] <= most && rail->psn[cls] <= most;
	}
	return good ? 0 : -EPROTO;
}

int verbs_info_decode(const uint8_t in[VERBS_INFO_BYTES], struct verbs_info *info_p)
{
	struct verbs_info info = { .nrails = 0 };
	const uint8_t *at = in;

	if (get(&at, 4) != MAGIC || get(&at, 2) != VERSION)
		return -EPROTO;
	uint64_t nrails = get(&at, 2);
	if (nrails < 1 || nrails > VERBS_RAILS_MAX)
		return -EPROTO;
	info.nrails = (int)nrails;
	info.control = get(&at, 8);
	info.traffic_class = (int)get(&at, 2) - 1;
	if (info.traffic_class > UINT8_MAX || get(&at, 6) != 0)
		return -EPROTO;
	for (int i = 0; i < info.nrails; i++)
		if (rail_decode(&at, &info.rail[i]))
			return -EPROTO;
	*info_p = info;
	return 0;
}

/* --- notes --- */

enum { NOTE_FIRST = 0xb5 };

void verbs_note_encode(const struct verbs_note *note, uint8_t out[VERBS_NOTE_BYTES])
{
	uint8_t *at = out;

	memset(out, 0, VERBS_NOTE_BYTES);
	put(&at, NOTE_FIRST, 1);
	put(&at, (uint64_t)note->type, 1);
	put(&at, (uint64_t)note->rail, 2);
	put(&at, note->life, 4);
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		put(&at, note->imms[cls], 4);
	put(&at, note->rails, 4);
}

int verbs_note_decode(const uint8_t in[VERBS_NOTE_BYTES], struct verbs_note *note_p)
{
	const uint8_t *at = in;
	struct verbs_note note;

	uint64_t first = get(&at, 1), type = get(&at, 1), rail = get(&at, 2);
	if (first != NOTE_FIRST || type >= VERBS_NOTES || rail >= VERBS_RAILS_MAX)
		return -EPROTO;
	note.type = (enum verbs_note_type)type;
	note.rail = (int)rail;
	note.life = (uint32_t)get(&at, 4);
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		note.imms[cls] = (uint32_t)get(&at, 4);
	note.rails = (uint32_t)get(&at, 4);
	if (note.rails >= 1u << VERBS_RAILS_MAX)
		return -EPROTO;
	*note_p = note;
	return 0;
}

/* --- immediates --- */

enum { SLOT_BITS = 32 - VERBS_SLOT_SHIFT };
_Static_assert(1 << SLOT_BITS == VERBS_REQUESTS, "a slot's bits");
_Static_assert(1 << VERBS_ENTRY_BITS == LINA_RECVS_MAX, "an entry's bits");

int verbs_imm_decode(uint32_t in, struct verbs_imm *imm_p)
{
	uint32_t kind = in >> VERBS_VALUE_BITS & ((1 << VERBS_KIND_BITS) - 1);

	if (kind >= VERBS_IMM_KINDS)
		return -EPROTO;
	*imm_p = (struct verbs_imm){
		.kind = (enum verbs_imm_kind)kind,
		.slot = in >> VERBS_SLOT_SHIFT,
		.entry = in >> VERBS_ENTRY_SHIFT & (LINA_RECVS_MAX - 1),
		.value = in & VERBS_VALUE_MAX,
	};
	return 0;
}

enum { PARTS_BITS = 2, LOW_MASK = (1 << VERBS_LOW_BITS) - 1 };
_Static_assert(
	(int)VERBS_LOW_BITS + 1 + (int)PARTS_BITS == (int)VERBS_VALUE_BITS, "a begin's bits");
_Static_assert(1 << PARTS_BITS == VERBS_RAILS_MAX, "a begin can say how many parts there are");

uint32_t verbs_begin_value(uint64_t bytes, int nparts)
{
	uint32_t has_high = bytes > LOW_MASK;

	return (uint32_t)(nparts - 1) << (VERBS_LOW_BITS + 1) | has_high << VERBS_LOW_BITS |
	       (uint32_t)(bytes & LOW_MASK);
}

uint32_t verbs_high_value(uint64_t bytes)
{
	return (uint32_t)(bytes >> VERBS_LOW_BITS);
}

struct verbs_begin verbs_begin_of(uint32_t value)
{
	return (struct verbs_begin){
		.low = value & LOW_MASK,
		.has_high = value >> VERBS_LOW_BITS & 1,
		.nparts = (int)(value >> (VERBS_LOW_BITS + 1)) + 1,
	};
}

/* --- credits --- */

void verbs_cts_encode(const struct verbs_credit *credit, uint64_t number, struct verbs_cts *out)
{
	*out = (struct verbs_cts){
		.addr = htobe64(credit->addr),
		.room = htobe64(credit->room),
		.tag = htobe32((uint32_t)credit->tag),
		.n = htobe32((uint32_t)credit->n),
		.number = htobe64(number),
	};
	for (int i = 0; i < VERBS_RAILS_MAX; i++)
		out->rkey[i] = htobe32(credit->rkey[i]);
}

/* A device may write a second copy while this end reads. */
static uint64_t load64(const uint64_t *at)
{
	return be64toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

static uint32_t load32(const uint32_t *at)
{
	return be32toh(__atomic_load_n(at, __ATOMIC_ACQUIRE));
}

int verbs_cts_decode(const struct verbs_cts *in, int nrails, struct verbs_credit *credit_p)
{
	uint32_t n = load32(&in->n);

	if (n < 1 || n > LINA_RECVS_MAX)
		return -EPROTO;
	credit_p->addr = load64(&in->addr);
	credit_p->room = load64(&in->room);
	for (int i = 0; i < nrails; i++)
		credit_p->rkey[i] = load32(&in->rkey[i]);
	credit_p->tag = (int)load32(&in->tag);
	credit_p->n = (int)n;
	return 0;
}
