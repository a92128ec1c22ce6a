/*
 * The segment that share.c keeps in /dev/shm, for it and for tests. All of it is of the host's own
 * byte order and word size: no other host ever sees it.
 */
#ifndef LINA_PLUGIN_SHARE_LAYOUT_H
#define LINA_PLUGIN_SHARE_LAYOUT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A change of the layout is a new version, which is a part of the name too: two versions on one
 * host do not meet. */
enum { LINA_SHARE_VERSION = 2, LINA_SHARE_SLOTS = 64, LINA_SHARE_NAME_BYTES = 256 };
#define LINA_SHARE_MAGIC UINT64_C(0x315368536e694c7f)

/* Written and read by who holds the lock of byte 0 of the file, but for used. */
struct lina_share_header {
	_Atomic uint64_t magic; /* written last; 0: its maker was killed before */
	uint32_t version;
	uint32_t bytes; /* of the segment */
	uint32_t nslots;
	uint32_t slot_bytes;
	_Atomic uint32_t used; /* no slot from here on was ever taken */
	uint8_t zero[36];
};

/* What one process says, a cache line. It is its owner's who holds the lock of its first byte. */
struct lina_share_slot {
	_Atomic uint64_t latency_until_ns;
	_Atomic uint64_t told_ns; /* when the owner said all this; 0: never */
	_Atomic uint32_t bulk_flows;
	uint32_t zero_too;
	_Atomic uint64_t left_bytes; /* of its bulk, since it took the slot */
	uint8_t zero[32];
};

struct lina_share_segment {
	struct lina_share_header header;
	struct lina_share_slot slot[LINA_SHARE_SLOTS];
};

_Static_assert(sizeof(struct lina_share_header) == 64, "the header is one cache line");
_Static_assert(sizeof(struct lina_share_slot) == 64, "a slot is one cache line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
	"a lock of one process does not hold in another");

/* The name for shm_open of the segment of a link, for the effective user and the network namespace
 * of the calling thread. -EINVAL: link_name is empty, too long or has a slash; -errno of /proc. */
int lina_share_name(const char *link_name, char name[LINA_SHARE_NAME_BYTES]);

#endif
