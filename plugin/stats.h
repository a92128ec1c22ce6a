/*
 * What this process does, in counters that other programs read while it runs: one segment of shared
 * memory per process, with a row for each direction of a link and one for each (link direction,
 * class, peer). lina-top reads it (stats_read.h).
 *
 * Threads: rows are found and made under a lock, when something connects; counting is relaxed
 * atomic arithmetic on a row, from any thread, with no lock, no memory and no system call.
 */
#ifndef LINA_PLUGIN_STATS_H
#define LINA_PLUGIN_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "priority/class.h"

/* --- the segment: a header, nlinks_max link rows, nrows_max rows; native byte order --- */

/* A file is called lina-stats-UID-PID-RANDOM and is for its owner only. */
#define LINA_STATS_DIRECTORY "/dev/shm"
#define LINA_STATS_PREFIX    "lina-stats-"
#define LINA_STATS_MAGIC     UINT64_C(0x4c696e6153746174)

enum {
	LINA_STATS_VERSION = 1,
	LINA_STATS_NAME_BYTES = 64,
	LINA_STATS_LINKS_MAX = 64,
	LINA_STATS_ROWS_MAX = 8192, /* pages of rows that are not in use take no memory */
	LINA_STATS_BUCKETS =
		40, /* bucket i counts waits of 2^i up to 2^(i+1) ns; the last all above */
};

struct lina_stats_header {
	_Atomic uint64_t magic; /* 0 before the owner has locked the file and filled in the rest */
	uint32_t version;
	uint32_t header_bytes, link_bytes, row_bytes;
	uint32_t nlinks_max, nrows_max;
	/* Rows up to here do not change what they are about. In this order: whoever copies upwards
	 * has the links that the rows name. */
	_Atomic uint32_t nrows, nlinks;
	_Atomic uint32_t nlost; /* rows that found no room */
	uint32_t pid;
	uint64_t opened_ns; /* CLOCK_MONOTONIC */
	char program[LINA_STATS_NAME_BYTES];
};

/* One direction of a link. Gauges say what was so when the link last moved. */
struct lina_stats_link {
	char name[LINA_STATS_NAME_BYTES];
	uint32_t dir; /* lina_dir */
	uint32_t unused;
	_Atomic uint64_t holds, held_ns, longest_hold_ns;
	_Atomic uint64_t share_fired, hold_fired, stall_fired;
	_Atomic uint64_t asks, full;
	_Atomic uint64_t chunk_bytes, window_bytes, byte_ps; /* gauges; see sched.h */
	_Atomic uint64_t latency_queued_bytes, bulk_flows;   /* gauges */
};

struct lina_stats_row {
	uint32_t link; /* index of the link row, which says the direction */
	uint32_t cls;  /* lina_class */
	char peer[LINA_STATS_NAME_BYTES];
	_Atomic uint64_t bytes, messages; /* that ended */
	_Atomic uint64_t queued_bytes;    /* posted and not ended: a gauge */
	/* From post to end, of some of these messages: to look at the clock is most of what it
	 * costs to count. */
	_Atomic uint64_t wait_ns; /* sum of what wait counts */
	_Atomic uint64_t wait[LINA_STATS_BUCKETS];
};

/* --- the writing side --- */

struct lina_stats;

/* Makes the segment of this process; directory NULL: in memory that nobody else sees. -errno: no
 * room or no right to make it (the caller says so). */
int lina_stats_open(const char *directory, struct lina_stats **stats_p);

/* Removes the segment; rows are gone. NULL is allowed. */
void lina_stats_close(struct lina_stats *stats);

/* Takes the segment's name away and leaves the rows as they are: for a process that ends while its
 * threads still count. */
void lina_stats_unlink(const struct lina_stats *stats);

/* The row of name and dir, made where there is none. Names are cut to LINA_STATS_NAME_BYTES - 1.
 * NULL: the table is full, which is counted. */
struct lina_stats_link *lina_stats_link(
	struct lina_stats *stats, const char *name, enum lina_dir dir);

/* The row of a peer, as above. NULL as well for a link of NULL. */
struct lina_stats_row *lina_stats_row(struct lina_stats *stats, const struct lina_stats_link *link,
	enum lina_class cls, const char *peer);

/* The segment's bytes as they are now, for lina_stats_check: *bytes_p of them, to be freed with
 * free. NULL: no memory. */
void *lina_stats_copy(struct lina_stats *stats, size_t *bytes_p);

/* The bucket that a wait belongs to. */
static inline unsigned lina_stats_bucket(uint64_t wait_ns)
{
	unsigned bit = 63u - (unsigned)__builtin_clzll(wait_ns | 1);

	return bit < LINA_STATS_BUCKETS ? bit : LINA_STATS_BUCKETS - 1;
}

static inline void lina_stats_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static inline void lina_stats_set(_Atomic uint64_t *gauge, uint64_t value)
{
	atomic_store_explicit(gauge, value, memory_order_relaxed);
}

#endif
