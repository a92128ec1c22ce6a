#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fake/fake.h"

int fake_alloc_pd(struct ibv_context *context, struct ibv_pd **pd_p)
{
	int err = fake_enter("alloc_pd");
	if (err)
		return err;
	err = fake_context_check(fake_context(context));
	struct fake_pd *pd = err ? NULL : calloc(1, sizeof(*pd));
	if (!pd)
		return fake_leave(err ? err : -ENOMEM);
	pd->base.context = context;
	fake_context(context)->nchildren++;
	fake.live.pds++;
	*pd_p = &pd->base;
	return fake_leave(0);
}

int fake_dealloc_pd(struct ibv_pd *ibv_pd)
{
	struct fake_pd *pd = (struct fake_pd *)ibv_pd;

	fake_lock();
	if (pd->nchildren > 0) {
		fake.counts.misuses++;
		return fake_leave(-EBUSY);
	}
	fake_context(pd->base.context)->nchildren--;
	free(pd);
	fake.live.pds--;
	return fake_leave(0);
}

/* Remote writes need local ones (IBTA 11.2.8.2). */
static int check_region(const struct ibv_pd *pd, size_t bytes, unsigned access)
{
	unsigned remote = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC;

	int err = fake_context_check(fake_context(pd->context));
	if (err)
		return err;
	if ((access & remote) && !(access & IBV_ACCESS_LOCAL_WRITE))
		return -EINVAL;
	if (fake.live.mrs >= fake.settings.max_mr ||
		fake.live.locked_bytes + bytes > fake.settings.max_locked_bytes)
		return -ENOMEM;
	return 0;
}

/* Slots are used again, keys only after a long time. */
static uint32_t free_slot(void)
{
	do {
		fake.next_mr = (fake.next_mr + 1) % FAKE_KEYS;
		fake.life += fake.next_mr == 0;
	} while (fake.mrs[fake.next_mr]);
	return fake.next_mr;
}

static int region_create(struct ibv_pd *pd, const struct fake_mr *like, struct ibv_mr **mr_p)
{
	struct fake_mr *mr = malloc(sizeof(*mr));
	if (!mr)
		return -ENOMEM;
	*mr = *like;
	mr->base.context = pd->context;
	mr->base.pd = pd;
	uint32_t slot = free_slot();
	mr->base.lkey = mr->base.rkey = fake.life << 16 | slot;
	fake.mrs[slot] = mr;
	((struct fake_pd *)pd)->nchildren++;
	fake.live.mrs++;
	fake.live.locked_bytes += mr->base.length;
	*mr_p = &mr->base;
	return 0;
}

int fake_reg_mr(struct ibv_pd *pd, void *addr, size_t bytes, unsigned access, struct ibv_mr **mr_p)
{
	struct fake_mr like = { .base = { .addr = addr, .length = bytes }, .access = access };

	int err = fake_enter("reg_mr");
	if (err)
		return err;
	like.iova = (uintptr_t)addr;
	like.memory = addr;
	err = check_region(pd, bytes, access);
	return fake_leave(err ? err : region_create(pd, &like, mr_p));
}

int fake_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t bytes, uint64_t iova, int fd,
	unsigned access, struct ibv_mr **mr_p)
{
	struct fake_mr like = {
		.base = { .length = bytes }, .access = access, .iova = iova, .mapped = true
	};

	int err = fake_enter("reg_dmabuf_mr");
	if (err)
		return err;
	err = check_region(pd, bytes, access);
	if (err)
		return fake_leave(err);
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)offset);
	if (memory == MAP_FAILED)
		return fake_leave(-errno);
	like.memory = memory;
	err = region_create(pd, &like, mr_p);
	if (err)
		(void)munmap(memory, bytes);
	return fake_leave(err);
}

int fake_dereg_mr(struct ibv_mr *ibv_mr)
{
	struct fake_mr *mr = (struct fake_mr *)ibv_mr;

	fake_lock();
	fake.mrs[mr->base.lkey % FAKE_KEYS] = NULL;
	((struct fake_pd *)mr->base.pd)->nchildren--;
	fake.live.mrs--;
	fake.live.locked_bytes -= mr->base.length;
	if (mr->mapped)
		(void)munmap(mr->memory, mr->base.length);
	free(mr);
	return fake_leave(0);
}

uint8_t *fake_memory(
	const struct ibv_pd *pd, uint32_t key, uint64_t addr, uint64_t bytes, unsigned access)
{
	const struct fake_mr *mr = fake.mrs[key % FAKE_KEYS];

	if (!mr || mr->base.lkey != key || mr->base.pd != pd || (mr->access & access) != access)
		return NULL;
	if (addr < mr->iova || bytes > mr->base.length || addr - mr->iova > mr->base.length - bytes)
		return NULL;
	return mr->memory + (addr - mr->iova);
}
