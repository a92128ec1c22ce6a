#include <stdlib.h>

#include "collectives/a2a.h"
#include "collectives/error.h"
#include "collectives/wait.h"

struct lina_peer_bytes {
	size_t bytes;
	int rank;
};

struct lina_peer_bytes *lina_exchange_scratch(int nranks)
{
	return calloc((size_t)nranks, sizeof(struct lina_peer_bytes));
}

static int most_first(const void *a, const void *b)
{
	const struct lina_peer_bytes *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->rank - y->rank;
}

/* Of as many bytes, the next rank comes first, so that not all send to the same at once. */
static void order_peers(struct lina_a2a *a2a, const struct lina_exchange *part, int nparts)
{
	for (int i = 0; i < a2a->nranks; i++) {
		int rank = (a2a->rank + i) % a2a->nranks;
		a2a->order[i] = (struct lina_peer_bytes){ 0, i };
		for (int p = 0; p < nparts; p++)
			a2a->order[i].bytes += part[p].leg[rank].send_bytes;
	}
	qsort(a2a->order, (size_t)a2a->nranks, sizeof(*a2a->order), most_first);
	for (int i = 0; i < a2a->nranks; i++)
		a2a->order[i].rank = (a2a->rank + a2a->order[i].rank) % a2a->nranks;
}

static int send_recv(
	struct lina_a2a *a2a, const struct lina_exchange *part, int rank, cudaStream_t stream)
{
	const struct lina_leg *leg = &part->leg[rank];
	int err = 0;

	if (leg->send_bytes > 0)
		err = lina_nccl(ncclSend(part->send + leg->send_at, leg->send_bytes, ncclInt8, rank,
					a2a->comm, stream),
			"ncclSend");
	if (!err && leg->recv_bytes > 0)
		err = lina_nccl(ncclRecv(part->recv + leg->recv_at, leg->recv_bytes, ncclInt8, rank,
					a2a->comm, stream),
			"ncclRecv");
	return err;
}

int lina_exchange(
	struct lina_a2a *a2a, const struct lina_exchange *part, int nparts, cudaStream_t stream)
{
	int err = lina_nccl(ncclGroupStart(), "ncclGroupStart");

	if (err)
		return err;
	order_peers(a2a, part, nparts);
	for (int i = 0; i < a2a->nranks && !err; i++)
		for (int p = 0; p < nparts && !err; p++)
			if (a2a->order[i].rank != a2a->rank)
				err = send_recv(a2a, &part[p], a2a->order[i].rank, stream);
	int end = lina_nccl_launched(a2a->comm, ncclGroupEnd(), "exchange of tokens");
	return err ? err : end;
}
