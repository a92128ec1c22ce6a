/*
 * Several broadcasts with different roots (AllGatherV) that go round the ring together: one chunk
 * of each in turn, those of near roots first.
 */
#include "exec_unit.h"

#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static bool bcast_next(struct exec_unit *u, struct exec_op *op)
{
	int tried = 0;
	for (; tried < u->nbcasts && !u->bcasts[u->turn].bytes; tried++)
		u->turn = (u->turn + 1) % u->nbcasts;
	if (tried == u->nbcasts)
		return false;
	struct abi_bcast *w = &u->bcasts[u->turn];
	size_t n = MIN(w->bytes, (size_t)w->chunk_size);
	u->prims.in = w->sendbuff;
	u->prims.out = w->recvbuff;
	*op = (struct exec_op){
		.recv = w->ring_depth > 0,
		.send = w->ring_depth < u->nranks - 1,
		.source = w->ring_depth ? SOURCE_NONE : SOURCE_INPUT,
		.keep = w->ring_depth || w->sendbuff != w->recvbuff,
		.src = (int64_t)w->bytes_done,
		.dst = (int64_t)w->bytes_done,
		.n = (int64_t)n,
	};
	w->bytes -= n;
	w->bytes_done += n;
	u->turn = (u->turn + 1) % u->nbcasts;
	return true;
}

int exec_bcast_start(
	struct exec_unit *units, const struct exec_context *x, struct abi_bcast *w, int n)
{
	struct exec_unit *u = &units[0];
	memset(u, 0, sizeof *u);
	u->advance = exec_prims_unit_advance;
	u->next = bcast_next;
	u->nranks = x->comm->nranks;
	u->ring = &x->channel->ring;
	u->bcasts = w;
	u->nbcasts = n;
	u->prims.protocol = x->fn.proto;
	u->prims.slices_per_chunk = u->prims.steps_per_slice = 1;
	u->prims.step_bytes = (size_t)x->comm->buff_sizes[x->fn.proto] / ABI_STEPS;
	u->prims.elem_bytes = 1;
	exec_prims_open(&u->prims, (struct abi_conn *[]){ exec_recv_conn(x, u->ring->prev, 0) }, 1,
		(struct abi_conn *[]){ exec_send_conn(x, u->ring->next, 0) }, 1);
	return 1;
}
