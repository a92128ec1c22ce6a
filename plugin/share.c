#include "plugin/share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "plugin/log.h"
#include "plugin/share_file.h"
#include "plugin/share_layout.h"

struct lina_share {
	char name[LINA_SHARE_NAME_BYTES];
	int fd;
	struct lina_share_segment *segment;
	struct lina_share_slot *slot; /* of this process */
	/* True where the share was opened. It is on a page of its own, which the kernel gives to a
	 * child as zeros. */
	bool *ours;
};

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The time last: who reads a time that is new reads when it was told too, in that order. */
static void slot_write(struct lina_share_slot *slot, uint64_t told_ns, uint64_t latency_until_ns,
	uint32_t bulk_flows)
{
	/* A line that does not change stays in the caches of those who read it. */
	if (atomic_load_explicit(&slot->told_ns, memory_order_relaxed) != told_ns)
		atomic_store_explicit(&slot->told_ns, told_ns, memory_order_relaxed);
	if (atomic_load_explicit(&slot->bulk_flows, memory_order_relaxed) != bulk_flows)
		atomic_store_explicit(&slot->bulk_flows, bulk_flows, memory_order_relaxed);
	if (atomic_load_explicit(&slot->latency_until_ns, memory_order_relaxed) != latency_until_ns)
		atomic_store_explicit(
			&slot->latency_until_ns, latency_until_ns, memory_order_release);
}

/* --- the segment: all of this behind the gate --- */

/* A file without content is new, or its maker was killed. Memory is set aside now: a page that
 * /dev/shm has no room for later is a SIGBUS. */
static int segment_reserve(int fd)
{
	struct stat st;
	int err;

	if (fstat(fd, &st))
		return -errno;
	if (st.st_size != 0 && st.st_size != sizeof(struct lina_share_segment))
		return -EPROTO;
	while ((err = posix_fallocate(fd, 0, sizeof(struct lina_share_segment))) == EINTR)
		;
	return -err;
}

static void header_write(struct lina_share_header *header)
{
	header->version = LINA_SHARE_VERSION;
	header->bytes = sizeof(struct lina_share_segment);
	header->nslots = LINA_SHARE_SLOTS;
	header->slot_bytes = sizeof(struct lina_share_slot);
	memset(header->zero, 0, sizeof(header->zero));
	atomic_store_explicit(&header->magic, LINA_SHARE_MAGIC, memory_order_release);
}

static int header_check(struct lina_share_header *header)
{
	if (atomic_load(&header->magic) == 0)
		header_write(header);
	if (atomic_load(&header->magic) != LINA_SHARE_MAGIC ||
		header->version != LINA_SHARE_VERSION ||
		header->bytes != sizeof(struct lina_share_segment) ||
		header->nslots != LINA_SHARE_SLOTS ||
		header->slot_bytes != sizeof(struct lina_share_slot))
		return -EPROTO;
	return 0;
}

static int segment_map(int fd, struct lina_share_segment **segment_p)
{
	void *p = mmap(
		NULL, sizeof(struct lina_share_segment), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	int err = header_check(p);
	if (err) {
		(void)munmap(p, sizeof(struct lina_share_segment));
		return err;
	}
	*segment_p = p;
	return 0;
}

static uint32_t slots_used(const struct lina_share_segment *segment)
{
	uint32_t used = atomic_load_explicit(&segment->header.used, memory_order_relaxed);

	return used < LINA_SHARE_SLOTS ? used : LINA_SHARE_SLOTS;
}

/* Locks the first slot that is free. */
static int slot_lock(int fd, uint32_t *i_p)
{
	for (uint32_t i = 0; i < LINA_SHARE_SLOTS; i++) {
		int err = lina_share_file_slot_lock(fd, (int)i);
		if (err != -EAGAIN) {
			*i_p = i;
			return err;
		}
	}
	return -ENOSPC;
}

/* Who is the first counts anew how many were ever taken, whatever is in the file. */
static int slot_take(struct lina_share *share)
{
	struct lina_share_segment *segment = share->segment;
	uint32_t used = lina_share_file_others(share->fd) ? slots_used(segment) : 0;
	uint32_t i = 0;
	int err = slot_lock(share->fd, &i);

	if (err)
		return err;
	share->slot = &segment->slot[i];
	slot_write(share->slot, 0, 0, 0);
	atomic_store(&share->slot->left_bytes, 0);
	atomic_store(&segment->header.used, i < used ? used : i + 1);
	return 0;
}

/* --- open and close --- */

static int ours_new(bool **ours_p)
{
	bool *ours = mmap(
		NULL, sizeof(*ours), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (ours == MAP_FAILED)
		return -ENOMEM;
	/* The kernel's whole page, whatever its size: length is rounded up. */
	if (madvise(ours, sizeof(*ours), MADV_WIPEONFORK)) {
		int err = -errno;
		(void)munmap(ours, sizeof(*ours));
		return err;
	}
	*ours = true;
	*ours_p = ours;
	return 0;
}

static int join_behind_gate(struct lina_share *share)
{
	int err = segment_reserve(share->fd);

	if (err)
		return err;
	err = segment_map(share->fd, &share->segment);
	if (err)
		return err;
	err = slot_take(share);
	if (err)
		(void)munmap(share->segment, sizeof(*share->segment));
	return err;
}

static int join(struct lina_share *share)
{
	int err = lina_share_file_enter(share->name, &share->fd);

	if (err)
		return err;
	err = join_behind_gate(share);
	if (!err || err == -EPROTO) /* whoever's that content is, it stays */
		lina_share_file_leave_gate(share->fd);
	else
		(void)lina_share_file_exit(share->fd, share->name);
	if (err)
		(void)close(share->fd);
	return err;
}

static int share_new(const char *link_name, struct lina_share **share_p)
{
	struct lina_share *share = calloc(1, sizeof(*share));

	if (!share)
		return -ENOMEM;
	int err = lina_share_name(link_name, share->name);
	if (err)
		goto free_share;
	err = ours_new(&share->ours);
	if (err)
		goto free_share;
	err = join(share);
	if (err)
		goto unmap_ours;
	*share_p = share;
	return 0;
unmap_ours:
	(void)munmap(share->ours, sizeof(*share->ours));
free_share:
	free(share);
	return err;
}

static const char *reason(int err)
{
	switch (err) {
	case -EPERM:
		return "it is another user's, not for its owner alone, or no plain file";
	case -EPROTO:
		return "the content of the file is not ours; it may be removed";
	case -ENOSPC:
		return "no room for one more process";
	case -ETIMEDOUT:
		return "another process does not finish joining or leaving";
	default:
		return strerror(-err);
	}
}

int lina_share_open(const char *link_name, struct lina_share **share_p)
{
	char name[LINA_SHARE_NAME_BYTES] = "";
	int err = share_new(link_name, share_p);

	if (!err) {
		lina_info("link %s is shared with the other processes of this host: /dev/shm%s",
			link_name, (*share_p)->name);
		return 0;
	}
	(void)lina_share_name(link_name, name);
	lina_warn("link %s is not shared with the other processes of this host: /dev/shm%s: %s",
		link_name, name, reason(err));
	return err;
}

static void leave(struct lina_share *share)
{
	slot_write(share->slot, 0, 0, 0);
	int err = lina_share_file_exit(share->fd, share->name);
	if (err)
		lina_info("/dev/shm%s stays for others to remove: %s", share->name, reason(err));
}

void lina_share_close(struct lina_share *share)
{
	if (!share)
		return;
	if (*share->ours)
		leave(share);
	(void)munmap(share->segment, sizeof(*share->segment));
	(void)close(share->fd);
	(void)munmap(share->ours, sizeof(*share->ours));
	free(share);
}

/* --- told and read --- */

/* The coarse clock is the other's value at the last tick, which is near enough for a lease and
 * never needs the kernel, nor a device. */
void lina_share_tell(struct lina_share *share, uint64_t latency_until_ns, uint32_t bulk_flows)
{
	if (share && *share->ours)
		slot_write(share->slot, clock_ns(CLOCK_MONOTONIC_COARSE), latency_until_ns,
			bulk_flows);
}

void lina_share_left(struct lina_share *share, uint64_t bytes)
{
	if (!share || !*share->ours)
		return;
	_Atomic uint64_t *left = &share->slot->left_bytes;
	atomic_store_explicit(left, atomic_load_explicit(left, memory_order_relaxed) + bytes,
		memory_order_relaxed);
}

/* A time to come is that of a clock a little ahead of the reader's; one far off is none. */
static bool holds(const struct lina_share_slot *slot, uint64_t now_ns)
{
	uint64_t told_ns = atomic_load_explicit(&slot->told_ns, memory_order_relaxed);
	uint64_t off_ns = told_ns > now_ns ? told_ns - now_ns : now_ns - told_ns;

	return off_ns <= LINA_SHARE_LEASE_NS;
}

bool lina_share_is_alone(const struct lina_share *share)
{
	return !share || !*share->ours ||
	       (slots_used(share->segment) == 1 && share->slot == share->segment->slot);
}

uint64_t lina_share_latency_until_ns(
	const struct lina_share *share, uint64_t now_ns, uint64_t ahead_max_ns)
{
	const uint64_t most_ns =
		now_ns + ahead_max_ns < now_ns ? UINT64_MAX : now_ns + ahead_max_ns;
	uint64_t latest_ns = 0;

	if (!share || !*share->ours)
		return 0;
	for (uint32_t i = 0, used = slots_used(share->segment); i < used; i++) {
		const struct lina_share_slot *slot = &share->segment->slot[i];
		uint64_t until_ns =
			atomic_load_explicit(&slot->latency_until_ns, memory_order_acquire);
		if (until_ns > latest_ns && slot != share->slot && holds(slot, now_ns))
			latest_ns = until_ns;
	}
	if (latest_ns > most_ns)
		latest_ns = most_ns;
	return latest_ns > now_ns ? latest_ns : 0;
}

uint32_t lina_share_bulk_flows(const struct lina_share *share, uint64_t now_ns)
{
	uint32_t sum = 0;

	if (!share || !*share->ours)
		return 0;
	for (uint32_t i = 0, used = slots_used(share->segment); i < used; i++) {
		const struct lina_share_slot *slot = &share->segment->slot[i];
		uint32_t flows = atomic_load_explicit(&slot->bulk_flows, memory_order_relaxed);
		if (flows && slot != share->slot && holds(slot, now_ns))
			sum += flows < LINA_SHARE_FLOWS_MAX ? flows : LINA_SHARE_FLOWS_MAX;
	}
	return sum;
}

uint64_t lina_share_left_bytes(const struct lina_share *share)
{
	uint64_t sum = 0;

	if (!share || !*share->ours)
		return 0;
	for (uint32_t i = 0, used = slots_used(share->segment); i < used; i++) {
		const struct lina_share_slot *slot = &share->segment->slot[i];
		if (slot != share->slot)
			sum += atomic_load_explicit(&slot->left_bytes, memory_order_relaxed);
	}
	return sum;
}
