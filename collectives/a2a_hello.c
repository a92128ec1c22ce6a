#include "collectives/a2a_hello.h"

#include <errno.h>

size_t lina_hello_bytes(int slots_per_device)
{
	size_t n = ((size_t)slots_per_device + 1) / 2 * 2;

	return sizeof(struct lina_hello) + n * sizeof(uint32_t);
}

static int sums_right(const struct lina_hello *hello, int slots_per_device)
{
	uint64_t n = 0;

	for (int s = 0; s < slots_per_device; s++)
		n += hello->slot_pairs[s];
	return n == hello->npairs && hello->nrows <= hello->npairs;
}

static int check_one(
	const struct lina_hello *hello, const struct lina_hello *own, int slots_per_device)
{
	if (hello->magic != LINA_HELLO_MAGIC)
		return -EPROTO;
	if (hello->table != own->table)
		return -ESTALE;
	if (hello->err != 0)
		return -ECANCELED;
	return hello->layer == own->layer && sums_right(hello, slots_per_device) ? 0 : -EPROTO;
}

int lina_hello_check(const void *row, int slots_per_device, int nranks, int own, int *rank_p)
{
	size_t bytes = lina_hello_bytes(slots_per_device);
	const char *at = row;
	const struct lina_hello *mine = (const struct lina_hello *)(at + (size_t)own * bytes);

	*rank_p = own;
	if (mine->err != 0)
		return mine->err;
	for (int r = 0; r < nranks; r++, at += bytes) {
		int err = check_one((const struct lina_hello *)at, mine, slots_per_device);
		*rank_p = r;
		if (err)
			return err;
	}
	return 0;
}
