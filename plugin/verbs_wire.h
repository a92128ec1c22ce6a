/*
 * What the ends of a connection on RDMA tell each other, and the only place that knows its layout:
 * over their socket first what each is made of, later notes about rails; by RDMA the immediates of
 * the sender and the credits of the receiver. Pure. All fields are big-endian. Decoders check all
 * that they return; what they cannot check (is this slot in use?) their caller does.
 *
 *   info   280 bytes, each end's first word
 *   note    24 bytes
 *
 * Errors: -EPROTO.
 */
#ifndef LINA_PLUGIN_VERBS_WIRE_H
#define LINA_PLUGIN_VERBS_WIRE_H

#include <stdbool.h>
#include <stdint.h>

#include "plugin/net.h"
#include "priority/class.h"

enum {
	VERBS_RAILS_MAX = 4,
	VERBS_REQUESTS = 64, /* of one end, a power of two; NCCL has at most 32 in flight */
	VERBS_IMMS = 512,    /* that may be under way on a queue pair, a power of two */
	VERBS_INFO_BYTES = 280,
	VERBS_NOTE_BYTES = 24,
	VERBS_GRANT_CELLS = 4, /* of a rail, a power of two */
};

/* --- info --- */

/* What the vendor's devices can do with each other, in its own words (struct ibv_ece). */
struct verbs_ece {
	uint32_t vendor, options, mask; /* vendor 0: nothing */
};

struct verbs_rail_info {
	uint8_t gid[16];
	uint16_t lid;                                    /* InfiniBand */
	uint8_t mtu;                                     /* enum ibv_mtu */
	uint8_t roce_version;                            /* 1, 2; 0: InfiniBand */
	bool is_down;                                    /* it could not be set up */
	uint32_t rkey;                                   /* of the control memory */
	uint32_t qpn[LINA_NCLASSES], psn[LINA_NCLASSES]; /* 24 bits each; 0: none */
	struct verbs_ece ece[LINA_NCLASSES];
};

struct verbs_info {
	int nrails;        /* 1..VERBS_RAILS_MAX */
	uint64_t control;  /* address of the control memory (struct verbs_control) */
	int traffic_class; /* 0..255: what the sender's user wants; -1: nothing */
	struct verbs_rail_info rail[VERBS_RAILS_MAX];
};

void verbs_info_encode(const struct verbs_info *info, uint8_t out[VERBS_INFO_BYTES]);
int verbs_info_decode(const uint8_t in[VERBS_INFO_BYTES], struct verbs_info *info_p);

/* --- notes --- */

enum verbs_note_type {
	VERBS_NOTE_READY, /* the sender may be written to by rails */
	VERBS_NOTE_DOWN,  /* rail takes nothing in any more; imms have come on it */
	VERBS_NOTE_RISE,  /* the sender: rail can be used again; its queue pairs wait */
	VERBS_NOTE_RISEN, /* the receiver: so do mine, and they are connected */
	VERBS_NOTE_NO,    /* it cannot */
	VERBS_NOTE_GO,    /* the sender: it is in use */
	VERBS_NOTES,
};

struct verbs_note {
	enum verbs_note_type type;
	int rail;                     /* 0..VERBS_RAILS_MAX-1 */
	uint32_t life;                /* how often the rail was connected before */
	uint32_t imms[LINA_NCLASSES]; /* immediates of this life that came in, by class; wraps */
	uint32_t rails;               /* VERBS_NOTE_READY: a bit for each that is up */
};

void verbs_note_encode(const struct verbs_note *note, uint8_t out[VERBS_NOTE_BYTES]);
int verbs_note_decode(const uint8_t in[VERBS_NOTE_BYTES], struct verbs_note *note_p);

/* --- immediates --- */

/* A message is one part on one rail, or a part on each of several. Its size is said by VERBS_WHOLE,
 * or ahead by VERBS_BEGIN, with VERBS_HIGH for a large one, on any of its rails and in any order
 * with the parts on others. */
enum verbs_imm_kind {
	VERBS_WHOLE,    /* value: the message's size; it is here */
	VERBS_BEGIN,    /* verbs_begin */
	VERBS_HIGH,     /* value: size >> VERBS_LOW_BITS */
	VERBS_PROGRESS, /* value: bulk bytes on this queue pair since the last immediate */
	VERBS_END,      /* the same, and a part is here to its end; latency: 0 */
	VERBS_IMM_KINDS,
};

enum {
	VERBS_VALUE_BITS = 20,
	VERBS_VALUE_MAX = (1 << VERBS_VALUE_BITS) - 1,
	VERBS_LOW_BITS = 17,
};
#define VERBS_MESSAGE_MAX_BYTES ((UINT64_C(1) << (VERBS_LOW_BITS + VERBS_VALUE_BITS)) - 1)

struct verbs_imm {
	enum verbs_imm_kind kind;
	unsigned slot;  /* 0..VERBS_REQUESTS-1: of the receive */
	unsigned entry; /* 0..LINA_RECVS_MAX-1: which of its buffers */
	uint32_t value; /* 0..VERBS_VALUE_MAX */
};

/* Slot, entry, kind, value from the highest bit down. */
enum { VERBS_KIND_BITS = 3, VERBS_ENTRY_BITS = 3 };
enum {
	VERBS_ENTRY_SHIFT = VERBS_VALUE_BITS + VERBS_KIND_BITS,
	VERBS_SLOT_SHIFT = VERBS_ENTRY_SHIFT + VERBS_ENTRY_BITS
};

/* Host order. */
static inline uint32_t verbs_imm_encode(struct verbs_imm imm)
{
	return imm.slot << VERBS_SLOT_SHIFT | imm.entry << VERBS_ENTRY_SHIFT |
	       (uint32_t)imm.kind << VERBS_VALUE_BITS | imm.value;
}

int verbs_imm_decode(uint32_t in, struct verbs_imm *imm_p);

/* What a message's size and number of parts are as values of VERBS_BEGIN and VERBS_HIGH. */
struct verbs_begin {
	uint32_t low;  /* size & ((1 << VERBS_LOW_BITS) - 1) */
	bool has_high; /* VERBS_HIGH says the rest */
	int nparts;    /* 1..VERBS_RAILS_MAX */
};

uint32_t verbs_begin_value(uint64_t bytes, int nparts);
uint32_t verbs_high_value(uint64_t bytes);
struct verbs_begin verbs_begin_of(uint32_t value);

/* --- credits --- */

/* One buffer of a receive, as it lies in the sender's memory: one cache line, so that it is seen
 * as a whole once its last field is. */
struct verbs_cts {
	uint64_t addr, room;
	uint32_t rkey[VERBS_RAILS_MAX];
	uint32_t tag;
	uint32_t n; /* buffers of the receive */
	uint64_t unused[2];
	uint64_t number; /* of the receive, from 1 */
};
_Static_assert(sizeof(struct verbs_cts) == 64, "a credit is a cache line");

/* What the sender says on a queue pair, for a receiver that has missed some of it. It writes this
 * itself, and before each immediate is posted; the receiver reads it from there to here. */
struct verbs_said {
	uint64_t delivered;       /* as far as it knows (verbs_delivered) */
	uint32_t imm[VERBS_IMMS]; /* number i of this life at i % ... */
};

/* The sender's memory that the receiver writes to; the receiver has the same as its source. */
struct verbs_control {
	struct verbs_cts cts[VERBS_REQUESTS][LINA_RECVS_MAX]; /* receive number k at k % ... */
	/* Bulk that may come in all on a rail: what the largest says. Where the network routes each
	 * packet its own way, writes of one queue pair reach memory in any order, and one that is
	 * late must not undo a later one: a cell is written again when that has completed. */
	uint64_t granted[VERBS_RAILS_MAX][VERBS_GRANT_CELLS];
	/* With several rails: the receive that was last complete at its place. Where a rail broke
	 * on the last of what a receiver waited for, nothing else tells the sender, as nobody looks
	 * after the receiving end any more. */
	uint64_t complete[VERBS_REQUESTS];
	uint64_t flushed; /* of the receiver: where a flush puts what it reads */
	struct verbs_said said[VERBS_RAILS_MAX][LINA_NCLASSES];
};

/* In which life of the rail, and how many immediates. */
static inline uint64_t verbs_delivered(uint32_t life, uint32_t imms)
{
	return (uint64_t)life << 32 | imms;
}

struct verbs_credit {
	uint64_t addr, room;
	uint32_t rkey[VERBS_RAILS_MAX];
	int tag, n;
};

void verbs_cts_encode(const struct verbs_credit *credit, uint64_t number, struct verbs_cts *out);
/* The caller has seen its number. The keys of nrails rails. */
int verbs_cts_decode(const struct verbs_cts *in, int nrails, struct verbs_credit *credit_p);

/* --- stripes --- */

enum { VERBS_STRIPE_MIN_BYTES = 64 << 10 }; /* a smaller message stays on one rail */

/* How many of nrails a message is spread over. */
static inline int verbs_nparts(uint64_t bytes, int nrails)
{
	uint64_t most = bytes / VERBS_STRIPE_MIN_BYTES;

	if (most < 2)
		return 1;
	return most < (uint64_t)nrails ? (int)most : nrails;
}

/* Part i of nparts: *from_p up to *until_p, together all of it, of equal size but for what is
 * rounded to 4 KiB. */
static inline void verbs_part(
	uint64_t bytes, int nparts, int i, uint64_t *from_p, uint64_t *until_p)
{
	enum { ALIGN_BYTES = 4096 };
	uint64_t stripe = nparts > 1 ? bytes / (uint64_t)nparts / ALIGN_BYTES * ALIGN_BYTES : 0;

	*from_p = stripe * (uint64_t)i;
	*until_p = i == nparts - 1 ? bytes : *from_p + stripe;
}

#endif
