/*
 * What the processes of one host that use one link tell each other: whether latency work is
 * pending, how many bulk flows are active and how much of them has left. It goes through a segment
 * of shared memory per link, user and network namespace, a file of /dev/shm with a cache line for
 * each process.
 *
 * Nothing here waits for another process but lina_share_open and lina_share_close, and these not
 * for long; an owner may be killed at any moment. What it said ends by itself, and its slot is free
 * with it: to own a slot is to hold an open file description lock on it, which the kernel drops.
 * A lock says so of processes in other PID namespaces too, where a number says nothing; unlike the
 * older fcntl locks it is not lost when some other part of the process closes the same file, and
 * two shares of one process are two owners.
 *
 * Fork: a child has a copy of the share, in which it is alone: what it tells goes nowhere, it reads
 * that there is nobody, and its close gives back its copies and no more. The lock is one that both
 * hold, so that of a parent that was killed the slot (not what it said) stays taken until its
 * children have closed, executed something or ended. A child may open a share of its own.
 *
 * Limits: who truncates the file under its owners ends them with SIGBUS, and who removes it parts
 * those that are in it from those to come; both take the same user, or root. Where the last owner
 * is killed the file stays, 4 KiB, until the next who come have gone. Containers that do not share
 * /dev/shm are not seen; nor are those with another clock (time namespaces), by their lease.
 *
 * Threads: one opens and closes; any may tell and read meanwhile.
 */
#ifndef LINA_PLUGIN_SHARE_H
#define LINA_PLUGIN_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/* How long what a process told holds: who has more to say tells it again before. */
#define LINA_SHARE_LEASE_NS UINT64_C(200000000)

/* More bulk flows of one process count as this. */
enum { LINA_SHARE_FLOWS_MAX = 65536 };

struct lina_share;

/* Joins the segment of link_name, an interface's or device's name. Says in the log, once, that it
 * is shared or why it is not; the caller goes on alone then. *share_p is written only on success.
 * -EPERM: the file is not this user's, or others may use it; -EPROTO: its content is not ours;
 * -ENOSPC: all slots are taken, or /dev/shm is full; -ETIMEDOUT: someone stood still in the middle
 * of joining or leaving; -EINVAL: no name for a link; -ENOMEM, or what the system said. */
int lina_share_open(const char *link_name, struct lina_share **share_p);

/* Leaves; the last one removes the segment. NULL is allowed. */
void lina_share_close(struct lina_share *share);

/* In all of the following share may be NULL, which is to be alone. No system calls, no waiting. */

/* This process has latency work pending until then (CLOCK_MONOTONIC; 0: none) and so many active
 * bulk flows; for LINA_SHARE_LEASE_NS at most. Of several threads at once the last counts, which
 * may be one's time and another's flows. */
void lina_share_tell(struct lina_share *share, uint64_t latency_until_ns, uint32_t bulk_flows);

/* bytes more of this process's bulk have left for the link. Of several threads at once one may go
 * uncounted. */
void lina_share_left(struct lina_share *share, uint64_t bytes);

/* Whether no other process is there to be read of. */
bool lina_share_is_alone(const struct lina_share *share);

/* Until when others have latency work pending, the latest of them, but no later than now_ns +
 * ahead_max_ns; 0: nobody has. */
uint64_t lina_share_latency_until_ns(
	const struct lina_share *share, uint64_t now_ns, uint64_t ahead_max_ns);

/* The active bulk flows of all others together. */
uint32_t lina_share_bulk_flows(const struct lina_share *share, uint64_t now_ns);

/* What has left of the bulk of all others. Only what it grows by means something: it falls when one
 * comes or goes. */
uint64_t lina_share_left_bytes(const struct lina_share *share);

#endif
