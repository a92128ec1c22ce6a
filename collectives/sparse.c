#include "collectives/sparse.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/cuda_packing.h"
#include "collectives/element.h"
#include "collectives/error.h"
#include "collectives/spread_plan.h"
#include "collectives/wait.h"

/* A receive of a reduce-scatter that is to be added: in the order of rounds. */
struct addition {
	void *sum;
	const char *part;
	size_t n; /* elements */
};

/* Additions of one round; the stream has it. */
struct sum_round {
	struct lina_sparse *sparse;
	size_t first, n; /* of additions */
};

struct lina_sparse {
	ncclComm_t comm;
	int rank, nexperts;
	size_t unit;
	enum lina_element element;
	const struct lina_cuda_packing *cuda; /* NULL: the processor adds up */
	struct lina_spread *spread;
	struct addition *addition;   /* one for each transfer to this rank in reverse */
	struct sum_round *sum_round; /* [nrounds] */
	char *staging;               /* of the round that receives most */
	size_t staging_bytes;
	cudaEvent_t done; /* the call before is over, where there was one */
	bool used;
	int failed; /* NCCL or CUDA has: nothing works any more */
};

void lina_sparse_settings_default(struct lina_sparse_settings *settings_p)
{
	*settings_p = (struct lina_sparse_settings){ .type = ncclFloat32,
		.tree_bytes = LINA_SPREAD_TREE_BYTES };
}

/* ---- open and close -------------------------------------------------------------------------- */

/* In reverse the sender of a transfer receives it. */
static void count_reverse(
	const struct lina_sparse *sparse, size_t *nadditions_p, size_t *staging_bytes_p)
{
	const struct lina_spread *spread = sparse->spread;
	size_t bytes = 0;
	int round = -1;

	*nadditions_p = *staging_bytes_p = 0;
	for (size_t i = 0; i < spread->ntransfers; i++) {
		const struct lina_transfer *t = &spread->transfer[i];
		if (t->round != round) {
			round = t->round;
			bytes = 0;
		}
		if (t->from != sparse->rank)
			continue;
		++*nadditions_p;
		bytes += t->bytes;
		if (bytes > *staging_bytes_p)
			*staging_bytes_p = bytes;
	}
}

static int open_reverse(struct lina_sparse *sparse)
{
	size_t nadditions;
	void *staging;

	count_reverse(sparse, &nadditions, &sparse->staging_bytes);
	sparse->addition = calloc(nadditions + 1, sizeof(*sparse->addition));
	sparse->sum_round = calloc((size_t)sparse->spread->nrounds + 1, sizeof(*sparse->sum_round));
	if (sparse->addition == NULL || sparse->sum_round == NULL)
		return lina_fail(-ENOMEM, "no memory for %zu transfers", nadditions);
	if (sparse->staging_bytes == 0)
		return 0;
	if ((sparse->cuda != NULL ? cudaMalloc(&staging, sparse->staging_bytes)
				  : cudaHostAlloc(&staging, sparse->staging_bytes,
					    cudaHostAllocDefault)) != cudaSuccess)
		return lina_fail(
			-ENOMEM, "no memory for a buffer of %zu bytes", sparse->staging_bytes);
	sparse->staging = staging;
	return 0;
}

static int open_spread(struct lina_sparse *sparse, const struct lina_plan *owners,
	const struct lina_plan *placed, int layer, const struct lina_sparse_settings *settings)
{
	struct lina_spread_params params = { sparse->unit, settings->tree_bytes,
		settings->chunk_bytes };
	struct lina_spread_items items;
	int expert, err = lina_spread_items_share(owners, placed, layer,
			    settings->elements * sparse->unit, &items, &expert);

	if (err && expert >= 0)
		return lina_fail(err, "expert %d has not one owner at layer %d", expert, layer);
	if (err)
		return lina_fail(err,
			"these plans have no experts and devices in common at layer %d", layer);
	sparse->nexperts = items.n;
	err = lina_spread_create(
		items.item, items.n, owners->shape.ndevices, &params, &sparse->spread);
	lina_spread_items_free(&items);
	return err ? lina_fail(err, "no memory for a schedule") : 0;
}

static int settings_check(struct lina_sparse *sparse, const struct lina_sparse_settings *settings,
	const struct lina_plan *owners)
{
	int nranks, err = lina_nccl(ncclCommCount(sparse->comm, &nranks), "ncclCommCount");

	if (!err)
		err = lina_nccl(ncclCommUserRank(sparse->comm, &sparse->rank), "ncclCommUserRank");
	if (err)
		return err;
	sparse->unit = lina_type_bytes(settings->type, &sparse->element);
	if (sparse->unit == 0 || settings->elements == 0 ||
		settings->elements > SIZE_MAX / sparse->unit)
		return lina_fail(-EINVAL, "%zu elements of NCCL's type %d make no expert",
			settings->elements, (int)settings->type);
	if (owners->shape.ndevices != nranks)
		return lina_fail(-EINVAL,
			"the placement is for %d devices, the communicator has %d ranks",
			owners->shape.ndevices, nranks);
	if (settings->packing == LINA_PACKING_CUDA)
		return lina_cuda_packing_get(&sparse->cuda);
	return 0;
}

int lina_sparse_create(ncclComm_t comm, const struct lina_plan *owners,
	const struct lina_plan *placed, int layer, const struct lina_sparse_settings *settings,
	struct lina_sparse **sparse_p)
{
	struct lina_sparse *sparse = calloc(1, sizeof(*sparse));

	if (sparse == NULL)
		return lina_fail(-ENOMEM, "no memory");
	sparse->comm = comm;
	int err = settings_check(sparse, settings, owners);
	if (!err)
		err = open_spread(sparse, owners, placed, layer, settings);
	if (!err)
		err = open_reverse(sparse);
	if (!err)
		err = lina_cuda(cudaEventCreateWithFlags(&sparse->done, cudaEventDisableTiming),
			"cudaEventCreateWithFlags");
	if (err) {
		lina_sparse_destroy(sparse);
		return err;
	}
	*sparse_p = sparse;
	return 0;
}

void lina_sparse_destroy(struct lina_sparse *sparse)
{
	if (sparse == NULL)
		return;
	if (!sparse->failed && lina_sparse_wait(sparse) != 0)
		return;
	if (sparse->done != NULL)
		(void)cudaEventDestroy(sparse->done);
	if (sparse->cuda != NULL)
		(void)cudaFree(sparse->staging);
	else if (sparse->staging != NULL)
		(void)cudaFreeHost(sparse->staging);
	free(sparse->sum_round);
	free(sparse->addition);
	lina_spread_destroy(sparse->spread);
	free(sparse);
}

int lina_sparse_wait(struct lina_sparse *sparse)
{
	if (sparse->failed)
		return lina_fail(sparse->failed, "the communicator has failed before");
	if (sparse->used)
		sparse->failed = lina_wait_event(sparse->comm, sparse->done);
	return sparse->failed;
}

/* A call has been given to the stream, or as much of it as went well. */
static int end_call(struct lina_sparse *sparse, int err, cudaStream_t stream)
{
	if (!err)
		err = lina_cuda(cudaEventRecord(sparse->done, stream), "cudaEventRecord");
	if (err)
		sparse->failed = err;
	else
		sparse->used = true;
	return err;
}

void lina_sparse_volume(
	const struct lina_sparse *sparse, uint64_t *total_bytes_p, uint64_t *busiest_bytes_p)
{
	*total_bytes_p = sparse->spread->total_bytes;
	*busiest_bytes_p = sparse->spread->busiest_bytes;
}

/* ---- from owners to holders ------------------------------------------------------------------ */

static size_t round_end(const struct lina_spread *spread, size_t first)
{
	size_t i = first;

	while (i < spread->ntransfers && spread->transfer[i].round == spread->transfer[first].round)
		i++;
	return i;
}

int lina_spread_round(const struct lina_spread *spread, size_t first, void *const *at,
	ncclComm_t comm, int rank, cudaStream_t stream, size_t *next_p)
{
	int err = lina_nccl(ncclGroupStart(), "ncclGroupStart");

	*next_p = round_end(spread, first);
	if (err)
		return err;
	for (size_t i = first; i < *next_p && !err; i++) {
		const struct lina_transfer *t = &spread->transfer[i];
		if (t->from == rank)
			err = lina_nccl(ncclSend((char *)at[t->item] + t->at, t->bytes, ncclInt8,
						t->to, comm, stream),
				"ncclSend");
		else if (t->to == rank)
			err = lina_nccl(ncclRecv((char *)at[t->item] + t->at, t->bytes, ncclInt8,
						t->from, comm, stream),
				"ncclRecv");
	}
	int end = lina_nccl_launched(comm, ncclGroupEnd(), "experts on their way");
	return err ? err : end;
}

/* Who sends an expert or receives it has memory for it. */
static int check_memory(const struct lina_sparse *sparse, void *const *at)
{
	for (size_t i = 0; i < sparse->spread->ntransfers; i++) {
		const struct lina_transfer *t = &sparse->spread->transfer[i];
		if ((t->from == sparse->rank || t->to == sparse->rank) && at[t->item] == NULL)
			return lina_fail(-EINVAL, "there is no memory of expert %d, which is %s",
				t->item, t->from == sparse->rank ? "here" : "to come");
	}
	return 0;
}

int lina_sparse_all_gather(struct lina_sparse *sparse, void *const *expert, cudaStream_t stream)
{
	if (sparse->failed)
		return lina_fail(sparse->failed, "the communicator has failed before");
	int err = check_memory(sparse, expert);
	if (err)
		return err;
	for (size_t i = 0; i < sparse->spread->ntransfers && !err;)
		err = lina_spread_round(
			sparse->spread, i, expert, sparse->comm, sparse->rank, stream, &i);
	return end_call(sparse, err, stream);
}

/* ---- and back -------------------------------------------------------------------------------- */

static void add_round(void *arg)
{
	const struct sum_round *round = arg;
	const struct lina_sparse *sparse = round->sparse;

	for (size_t i = round->first; i < round->first + round->n; i++) {
		const struct addition *a = &sparse->addition[i];
		lina_pack_add(a->sum, a->part, sparse->element, a->n);
	}
}

static int launch_round(struct lina_sparse *sparse, struct sum_round *round, cudaStream_t stream)
{
	int err = 0;

	if (round->n == 0)
		return 0;
	if (sparse->cuda == NULL)
		return lina_cuda(
			cudaLaunchHostFunc(stream, add_round, round), "cudaLaunchHostFunc");
	for (size_t i = round->first; i < round->first + round->n && !err; i++) {
		const struct addition *a = &sparse->addition[i];
		const struct lina_add add = { a->sum, a->part, sparse->element, a->n };
		err = lina_cuda((cudaError_t)sparse->cuda->add(&add, stream), "adding kernel");
	}
	return err;
}

/* One round in reverse: senders receive, into the staging buffer, one after the other. */
static int reverse_group(struct lina_sparse *sparse, size_t first, size_t end,
	void *const *gradient, struct sum_round *round, cudaStream_t stream)
{
	size_t staged = 0;
	int err = lina_nccl(ncclGroupStart(), "ncclGroupStart");

	if (err)
		return err;
	for (size_t i = first; i < end && !err; i++) {
		const struct lina_transfer *t = &sparse->spread->transfer[i];
		if (t->to == sparse->rank) {
			err = lina_nccl(ncclSend((char *)gradient[t->item] + t->at, t->bytes,
						ncclInt8, t->from, sparse->comm, stream),
				"ncclSend");
		} else if (t->from == sparse->rank) {
			char *part = sparse->staging + staged;
			sparse->addition[round->first + round->n++] =
				(struct addition){ (char *)gradient[t->item] + t->at, part,
					t->bytes / sparse->unit };
			staged += t->bytes;
			err = lina_nccl(
				ncclRecv(part, t->bytes, ncclInt8, t->to, sparse->comm, stream),
				"ncclRecv");
		}
	}
	int stop = lina_nccl_launched(sparse->comm, ncclGroupEnd(), "gradients on their way");
	return err ? err : stop;
}

int lina_sparse_reduce_scatter(
	struct lina_sparse *sparse, void *const *gradient, cudaStream_t stream)
{
	const struct lina_spread *spread = sparse->spread;
	size_t end = spread->ntransfers, nadditions = 0;

	if (sparse->element == LINA_ELEMENT_OTHER)
		return lina_fail(-ENOTSUP, "there are no sums of this element type");
	/* The lists are the object's: the last that used them must be over. */
	int err = lina_sparse_wait(sparse);
	if (!err)
		err = check_memory(sparse, gradient);
	if (err)
		return err;
	while (end > 0 && !err) {
		size_t first = end - 1;
		struct sum_round *round = &sparse->sum_round[spread->transfer[first].round];
		while (first > 0 &&
			spread->transfer[first - 1].round == spread->transfer[first].round)
			first--;
		*round = (struct sum_round){ sparse, nadditions, 0 };
		err = reverse_group(sparse, first, end, gradient, round, stream);
		nadditions += round->n;
		if (!err)
			err = launch_round(sparse, round, stream);
		end = first;
	}
	return end_call(sparse, err, stream);
}
