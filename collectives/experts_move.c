#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "collectives/error.h"
#include "collectives/sparse.h"
#include "collectives/spread_plan.h"
#include "collectives/wait.h"

struct move {
	ncclComm_t comm;
	cudaStream_t stream;
	int rank;
	size_t bytes; /* of an expert */
	struct lina_spread_items items;
	struct lina_spread *spread;
	void **from, **to; /* [nexperts] the caller's, of experts that are here and shall be */
	void **at;         /* [nexperts] where a transfer reads or writes */
	char *kept;        /* what comes in, until all has left */
	int *place;        /* [nexperts] number of the expert in kept, -1: it does not come */
	int nplaces;
};

/* What the plans say of this rank. */
static bool has(const struct move *move, const struct lina_plan *plan, int layer, int expert)
{
	int n = plan->shape.slots_per_device;

	return lina_plan_has(
		lina_plan_experts(plan, layer) + (size_t)move->rank * (size_t)n, n, expert);
}

static bool comes(const struct move *move, const struct lina_spread_item *item)
{
	for (int i = 0; i < item->ndevices; i++)
		if (item->device[i] == move->rank)
			return true;
	return false;
}

/* Looks at from where this rank has the expert, and at to where it shall have it. */
static int find_place(struct move *move, int e)
{
	const struct lina_spread_item *item = &move->items.item[e];
	bool in = comes(move, item), out = item->owner == move->rank && item->ndevices > 0;

	/* What stays here, but elsewhere, makes way for others too. */
	bool makes_way = !in && move->to[e] != NULL && move->to[e] != move->from[e];
	move->place[e] = in || makes_way ? move->nplaces++ : -1;
	if (in && move->to[e] == NULL)
		return lina_fail(-EINVAL, "expert %d comes here, and there is no memory for it", e);
	if ((out || makes_way) && move->from[e] == NULL)
		return lina_fail(-EINVAL, "expert %d is here, and it is not said where", e);
	return 0;
}

static int find_places(struct move *move, const struct lina_plan *before,
	const struct lina_plan *after, int layer, void *const *from, void *const *to)
{
	int err = 0;

	for (int e = 0; e < move->items.n && !err; e++) {
		move->from[e] = has(move, before, layer, e) ? from[e] : NULL;
		move->to[e] = has(move, after, layer, e) ? to[e] : NULL;
		err = find_place(move, e);
	}
	return err;
}

static int open_comm(struct move *move, const struct lina_plan *before)
{
	int nranks, err = lina_nccl(ncclCommCount(move->comm, &nranks), "ncclCommCount");

	if (!err)
		err = lina_nccl(ncclCommUserRank(move->comm, &move->rank), "ncclCommUserRank");
	if (err)
		return err;
	if (before->shape.ndevices != nranks)
		return lina_fail(-EINVAL,
			"the placement is for %d devices, the communicator has %d ranks",
			before->shape.ndevices, nranks);
	return move->bytes > 0 ? 0 : lina_fail(-EINVAL, "0 bytes make no expert");
}

static int open_move(struct move *move, const struct lina_plan *before,
	const struct lina_plan *after, int layer, void *const *from, void *const *to)
{
	struct lina_spread_params params = { 1, LINA_SPREAD_TREE_BYTES, 0 };
	void *kept;
	int err = lina_spread_items_move(before, after, layer, move->bytes, &move->items);

	if (err)
		return lina_fail(err, "these plans do not follow one another at layer %d", layer);
	err = lina_spread_create(
		move->items.item, move->items.n, before->shape.ndevices, &params, &move->spread);
	if (err)
		return lina_fail(err, "no memory for a schedule");
	move->from = calloc(3 * (size_t)move->items.n, sizeof(*move->from));
	move->place = calloc((size_t)move->items.n, sizeof(*move->place));
	if (move->from == NULL || move->place == NULL)
		return lina_fail(-ENOMEM, "no memory for %d experts", move->items.n);
	move->to = move->from + move->items.n;
	move->at = move->to + move->items.n;
	err = find_places(move, before, after, layer, from, to);
	if (err || move->nplaces == 0)
		return err;
	if (move->bytes > SIZE_MAX / (size_t)move->nplaces ||
		cudaMallocAsync(&kept, (size_t)move->nplaces * move->bytes, move->stream) !=
			cudaSuccess)
		return lina_fail(-ENOMEM, "no memory for %d experts of %zu bytes", move->nplaces,
			move->bytes);
	move->kept = kept;
	return 0;
}

/* The memory goes back in the order of the stream: who lost a rank does not wait here. */
static void close_move(struct move *move)
{
	if (move->kept != NULL)
		(void)cudaFreeAsync(move->kept, move->stream);
	free(move->place);
	free(move->from);
	lina_spread_destroy(move->spread);
	if (move->items.item != NULL)
		lina_spread_items_free(&move->items);
}

static int copy(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
	return lina_cuda(
		cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "cudaMemcpyAsync");
}

static int run_move(struct move *move)
{
	void **from = move->from, **to = move->to;
	cudaStream_t stream = move->stream;
	int err = 0;

	for (int e = 0; e < move->items.n && !err; e++) {
		void *place = move->place[e] >= 0
				      ? move->kept + (size_t)move->place[e] * move->bytes
				      : NULL;
		move->at[e] = from[e] != NULL ? from[e] : place;
		if (from[e] != NULL && place != NULL)
			err = copy(place, from[e], move->bytes, stream);
	}
	for (size_t i = 0; i < move->spread->ntransfers && !err;)
		err = lina_spread_round(
			move->spread, i, move->at, move->comm, move->rank, stream, &i);
	for (int e = 0; e < move->items.n && !err; e++)
		if (move->place[e] >= 0)
			err = copy(to[e], move->kept + (size_t)move->place[e] * move->bytes,
				move->bytes, stream);
	return err ? err : lina_wait_stream(move->comm, stream);
}

int lina_experts_move(ncclComm_t comm, const struct lina_plan *before,
	const struct lina_plan *after, int layer, size_t bytes, void *const *from, void *const *to,
	cudaStream_t stream)
{
	struct move move = { .comm = comm, .stream = stream, .bytes = bytes };
	int err = open_comm(&move, before);

	if (!err)
		err = open_move(&move, before, after, layer, from, to);
	if (!err)
		err = run_move(&move);
	close_move(&move);
	return err;
}
