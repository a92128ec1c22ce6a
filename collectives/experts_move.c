#include <errno.h>
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
	void **at;  /* [nexperts] where a transfer reads or writes */
	char *kept; /* what comes in, until all has left */
	int *place; /* [nexperts] number of the expert in kept, -1: it does not come */
	int nplaces;
};

static void find_places(struct move *move, void *const *from, void *const *to)
{
	for (int e = 0; e < move->items.n; e++) {
		const struct lina_spread_item *item = &move->items.item[e];
		move->place[e] = -1;
		for (int i = 0; i < item->ndevices; i++)
			if (item->device[i] == move->rank)
				move->place[e] = move->nplaces++;
		/* What stays here, but elsewhere, makes way for others too. */
		if (move->place[e] < 0 && from[e] != NULL && to[e] != NULL && from[e] != to[e])
			move->place[e] = move->nplaces++;
	}
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
	move->at = calloc((size_t)move->items.n, sizeof(*move->at));
	move->place = calloc((size_t)move->items.n, sizeof(*move->place));
	if (move->at == NULL || move->place == NULL)
		return lina_fail(-ENOMEM, "no memory for %d experts", move->items.n);
	find_places(move, from, to);
	if (move->nplaces == 0)
		return 0;
	if (cudaMallocAsync(&kept, (size_t)move->nplaces * move->bytes, move->stream) !=
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
	free(move->at);
	lina_spread_destroy(move->spread);
	if (move->items.item != NULL)
		lina_spread_items_free(&move->items);
}

static int copy(void *to, const void *from, size_t bytes, cudaStream_t stream)
{
	return lina_cuda(
		cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream), "cudaMemcpyAsync");
}

static int run_move(struct move *move, void *const *from, void *const *to)
{
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
		err = run_move(&move, from, to);
	close_move(&move);
	return err;
}
