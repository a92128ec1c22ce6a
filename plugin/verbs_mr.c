/*
 * Memory that a device may reach, and why something cannot be had from it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugin/log.h"
#include "plugin/verbs_dev.h"

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

/* Drivers of GPUs and NICs that make GPU memory known to libibverbs: nvidia-peermem, and its
 * predecessors nv_peer_mem. */
bool verbs_peer_memory(const char *sysfs_root)
{
	static const char *const signs[] = { "module/nvidia_peermem", "module/nv_peer_mem",
		"kernel/mm/memory_peers/nv_mem", "kernel/mm/memory_peers/nv_mem_nc" };
	char path[256];

	for (size_t i = 0; i < sizeof(signs) / sizeof(*signs); i++) {
		int n = snprintf(path, sizeof(path), "%s/%s", sysfs_root, signs[i]);
		if (n < (int)sizeof(path) && access(path, F_OK) == 0)
			return true;
	}
	return false;
}

static const char *memlock_text(char text[64])
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return "not known";
	if (limit.rlim_cur == RLIM_INFINITY)
		return "unlimited";
	(void)snprintf(text, 64, "%" PRIu64 " KiB", (uint64_t)limit.rlim_cur / 1024);
	return text;
}

const char *verbs_error(
	struct verbs_device *d, int err, const char *what, char text[VERBS_ERROR_BYTES])
{
	char memlock[64];

	pthread_mutex_lock(&d->lock);
	int nqps = d->nqps;
	pthread_mutex_unlock(&d->lock);
	(void)snprintf(text, VERBS_ERROR_BYTES,
		"%s on %s: %s (the device has %d queue pairs, %d of them in this process, "
		"%d completion queues and %d memory regions; memory that may be locked: %s)",
		what, d->name, strerror(-err), d->attr.max_qp, nqps, d->attr.max_cq, d->attr.max_mr,
		memlock_text(memlock));
	return text;
}

static int reg_fail(const struct verbs_device *d, int err, const void *data, size_t bytes)
{
	char memlock[64];
	bool limit = err == -ENOMEM || err == -EAGAIN || err == -EPERM;

	lina_warn("%s cannot register %zu bytes at %p: %s%s%s", d->name, bytes, data,
		strerror(-err),
		limit ? "; memory that may be locked (ulimit -l, RLIMIT_MEMLOCK): " : "",
		limit ? memlock_text(memlock) : "");
	return verbs_final(err);
}

static int mr_make(struct verbs_device *d, const struct lina_mr_pages *pages, void *data,
	uint64_t offset, int fd, bool relaxed, struct ibv_mr **mr_p)
{
	unsigned access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	size_t bytes = pages->until - pages->from, ahead = (uintptr_t)data - pages->from;

	if (relaxed)
		access |= IBV_ACCESS_RELAXED_ORDERING;
	if (fd < 0)
		return d->verbs->reg_mr(d->pd, (char *)data - ahead, bytes, access, mr_p);
	/* A page of the memory is a page of the dmabuf. */
	if (offset < ahead)
		return -EINVAL;
	return d->verbs->reg_dmabuf_mr(d->pd, offset - ahead, bytes, pages->from, fd, access, mr_p);
}

int verbs_mr_get(struct verbs_device *d, void *data, size_t bytes, uint64_t offset, int fd,
	bool relaxed, struct ibv_mr **mr_p)
{
	struct lina_mr_pages pages = lina_mr_pages(data, bytes, page_bytes());
	int kind = fd < 0 ? VERBS_MR_DATA : VERBS_MR_DMABUF;
	struct ibv_mr *mr;
	int err = 0;

	pthread_mutex_lock(&d->lock);
	mr = lina_mr_cache_share(&d->cache, &pages, kind);
	if (!mr) {
		err = lina_mr_cache_reserve(&d->cache);
		if (!err)
			err = mr_make(d, &pages, data, offset, fd, relaxed, &mr);
		if (!err)
			lina_mr_cache_add(&d->cache, &pages, kind, mr);
	}
	pthread_mutex_unlock(&d->lock);
	if (err)
		return reg_fail(d, err, data, bytes);
	*mr_p = mr;
	return 0;
}

int verbs_mr_put(struct verbs_device *d, struct ibv_mr *mr)
{
	int err = 0;

	pthread_mutex_lock(&d->lock);
	mr = lina_mr_cache_release(&d->cache, mr);
	if (mr)
		err = d->verbs->dereg_mr(mr);
	pthread_mutex_unlock(&d->lock);
	if (err && !d->gone)
		lina_warn("%s cannot deregister memory: %s", d->name, strerror(-err));
	return err;
}
