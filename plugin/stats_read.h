/*
 * The reading side of stats.h: finds the segments of processes that run, removes those of processes
 * that do not, and turns a segment's bytes into rows that can be trusted to be in bounds. The bytes
 * are somebody else's: nothing in them is followed before it was checked.
 *
 * Threads: any.
 */
#ifndef LINA_PLUGIN_STATS_READ_H
#define LINA_PLUGIN_STATS_READ_H

#include <stdbool.h>
#include <sys/types.h>

#include "plugin/stats.h"

enum { LINA_STATS_FOUND_MAX = 256, LINA_STATS_PATH_BYTES = 320 };

struct lina_stats_found {
	char path[LINA_STATS_PATH_BYTES];
	pid_t pid; /* as the file's name says */
};

struct lina_stats_view {
	const struct lina_stats_header *header;
	uint32_t nlinks, nrows;
	const struct lina_stats_link *links; /* dir < LINA_NDIRS */
	const struct lina_stats_row *rows;   /* link < nlinks, cls < LINA_NCLASSES */
};

/* Lists the segments in directory whose processes live, at most max, in the order of their pids,
 * and removes the others as far as it may (*nremoved_p counts them). Returns how many, or -errno.
 */
int lina_stats_find(
	const char *directory, struct lina_stats_found *found, int max, int *nremoved_p);

/* Reads the part of a segment that is in use: *bytes_p of them in *copy_p, to be freed with free.
 * -EACCES, -ENOENT, ...; -EPROTO, -EPROTONOSUPPORT as below; -EAGAIN: its owner is not ready. */
int lina_stats_load(const char *path, void **copy_p, size_t *bytes_p);

/* Looks at a copy of a segment, aligned as malloc's memory is; texts in it are ended and what is
 * not printable in them is replaced in place. *view_p, written only on success, points into it.
 * -EPROTO: not a segment, or one that cannot be; -EPROTONOSUPPORT: of another version. */
int lina_stats_check(void *copy, size_t bytes, struct lina_stats_view *view_p);

/* A row's histogram as plain numbers, less that of before (NULL: of nothing). before is of the same
 * row at an earlier time. */
void lina_stats_waits(const struct lina_stats_row *row, const struct lina_stats_row *before,
	uint64_t waits[LINA_STATS_BUCKETS]);

uint64_t lina_stats_count(const uint64_t waits[LINA_STATS_BUCKETS]);

/* The q-quantile, 0 < q <= 1, interpolated within its bucket; 0 of no waits. */
double lina_stats_quantile_ns(const uint64_t waits[LINA_STATS_BUCKETS], double q);

static inline uint64_t lina_stats_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

#endif
