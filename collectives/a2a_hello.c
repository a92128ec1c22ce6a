#include "collectives/a2a_hello.h"

#include <errno.h>

size_t lina_hello_bytes(int slots_per_device)
{
	size_t n = ((size_t)slots_per_device + 1) / 2 * 2;

	return sizeof(struct lina_hello) + n * sizeof(uint32_t);
}

static bool sums_right(const struct lina_hello *hello, const struct lina_hello_shape *shape)
{
	uint64_t n = 0;

	for (int s = 0; s < shape->nslots; s++)
		n += hello->slot_pairs[s];
	return n == hello->npairs && hello->nrows <= hello->npairs &&
	       hello->nrows <= shape->max_rows && hello->npairs <= shape->max_pairs;
}

static int check_one(const struct lina_hello *hello, const struct lina_hello *own,
	const struct lina_hello_shape *shape)
{
	if (hello->magic != LINA_HELLO_MAGIC)
		return -EPROTO;
	if (hello->table != own->table)
		return -ESTALE;
	if (hello->err != 0)
		return -ECANCELED;
	return hello->layer == own->layer && sums_right(hello, shape) ? 0 : -EPROTO;
}

static const struct lina_hello *hello_of(
	const void *row, const struct lina_hello_shape *shape, int r)
{
	return (const struct lina_hello *)((const char *)row +
					   (size_t)r * lina_hello_bytes(shape->nslots));
}

int lina_hello_check(const void *row, const struct lina_hello_shape *shape, int *rank_p)
{
	const struct lina_hello *mine = hello_of(row, shape, shape->own);

	*rank_p = shape->own;
	if (mine->err != 0)
		return mine->err;
	for (int r = 0; r < shape->nranks; r++) {
		int err = check_one(hello_of(row, shape, r), mine, shape);
		*rank_p = r;
		if (err)
			return err;
	}
	return 0;
}

int lina_hello_read(const void *row, const struct lina_hello_shape *shape,
	struct lina_parcel *parcel_p, uint32_t *slot_begin_p)
{
	uint64_t nrows = 0, npairs = 0;

	for (int r = 0; r < shape->nranks; r++) {
		const struct lina_hello *hello = hello_of(row, shape, r);
		uint64_t base = shape->spread ? (uint64_t)r * shape->max_rows : nrows;
		nrows = base + hello->nrows;
		npairs += hello->npairs;
		if (nrows > UINT32_MAX || npairs > UINT32_MAX)
			return -EOVERFLOW;
		parcel_p[r] = (struct lina_parcel){ hello->nrows, (uint32_t)base, hello->slot_pairs,
			NULL };
	}
	slot_begin_p[0] = 0;
	for (int s = 0; s < shape->nslots; s++) {
		slot_begin_p[s + 1] = slot_begin_p[s];
		for (int r = 0; r < shape->nranks; r++)
			slot_begin_p[s + 1] += parcel_p[r].slot_pairs[s];
	}
	return 0;
}
