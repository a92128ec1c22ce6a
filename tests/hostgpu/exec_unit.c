#include "exec_unit.h"

#include <string.h>

/* Bytes that a channel's chunk is counted in. [ncclProtoGrainSize()] */
static int64_t grain_bytes(enum abi_proto proto)
{
	return proto == PROTO_LL ? 16 : proto == PROTO_LL128 ? 1920 : 512;
}

/* [ncclCollCbdPart()] */
static struct exec_part part_of(
	const struct abi_coll *w, int channel, enum abi_proto proto, size_t elem)
{
	int64_t lo = (int64_t)w->count_lo, mid = (int64_t)w->count_mid, hi = (int64_t)w->count_hi;
	int64_t nmid = (int64_t)w->channel_hi - (int64_t)w->channel_lo - 1;
	int64_t grain = grain_bytes(proto) / (int64_t)elem;
	struct exec_part p = { .count = lo + mid * nmid + hi };
	if (channel == (int)w->channel_lo) {
		p.n = lo;
		p.chunk = (int64_t)w->grains_lo * grain;
	} else if (channel == (int)w->channel_hi) {
		p.offset = lo + nmid * mid;
		p.n = hi;
		p.chunk = (int64_t)w->grains_hi * grain;
	} else {
		p.offset = lo + (channel - (int)w->channel_lo - 1) * mid;
		p.n = mid;
		p.chunk = (int64_t)w->grains_mid * grain;
	}
	return p;
}

void exec_unit_init(struct exec_unit *u, const struct exec_context *x, const struct abi_coll *w)
{
	bool bytes = x->fn.func == FUNC_ALLGATHER || x->fn.func == FUNC_BROADCAST;
	bool one_step = x->fn.func == FUNC_BROADCAST || x->fn.func == FUNC_REDUCE ||
			x->fn.algo != ALGO_RING || x->fn.proto != PROTO_SIMPLE;
	memset(u, 0, sizeof *u);
	u->advance = exec_prims_unit_advance;
	u->nranks = x->comm->nranks;
	u->rank = x->comm->rank;
	u->root = (int)w->root;
	u->ring = &x->channel->ring;
	struct exec_prims *p = &u->prims;
	p->protocol = x->fn.proto;
	p->slices_per_chunk = p->steps_per_slice = one_step ? 1 : 2;
	p->step_bytes = (size_t)x->comm->buff_sizes[x->fn.proto] / ABI_STEPS;
	p->elem_bytes = bytes ? 1 : exec_type_size(x->fn.type);
	p->in = w->sendbuff;
	p->out = w->recvbuff;
	if (!bytes)
		p->reduction = (struct exec_reduction){ x->fn.op, x->fn.type,
			exec_redop_arg(x->fn.type, w->redop_arg, w->redop_arg_is_ptr) };
	u->part = part_of(w, x->channel_id, x->fn.proto, p->elem_bytes);
}

enum exec_progress exec_prims_unit_advance(struct exec_unit *u)
{
	struct exec_op op;
	if (!exec_prims_busy(&u->prims)) {
		if (!u->next(u, &op)) {
			exec_prims_close(&u->prims);
			return EXEC_ENDED;
		}
		exec_prims_begin(&u->prims, &op);
	}
	return exec_prims_advance(&u->prims) ? EXEC_MOVED : EXEC_BLOCKED;
}

struct abi_conn *exec_recv_conn(const struct exec_context *x, int peer, int conn)
{
	return &x->channel->peers[peer]->recv[conn];
}

struct abi_conn *exec_send_conn(const struct exec_context *x, int peer, int conn)
{
	return &x->channel->peers[peer]->send[conn];
}
