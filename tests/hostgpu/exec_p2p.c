/*
 * Point to point: a work is a send, a receive or both; each of its channels carries a part.
 */
#include "exec_unit.h"

#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* One direction of a work, as far as this channel carries it. */
struct way {
	char *addr;
	size_t bytes, chunk;
	bool ll;
};

/* A byte as a small float: 5 bits of exponent, 3 of fraction. [u32fp8Decode()] */
static uint32_t small_decode(uint8_t x)
{
	uint32_t exponent = x >> 3, fraction = x & 7U;
	return exponent ? (fraction | 8) << (exponent - 1) : fraction;
}

/* [ncclP2pChannelToPart()]; the number of channels is a power of two. */
static int part_index(const struct abi_p2p *w, int channel)
{
	int delta = (channel - w->channel_base) & (w->nchannels - 1), reversed = 0;
	for (int bit = 1, mirror = w->nchannels >> 1; mirror; bit <<= 1, mirror >>= 1)
		reversed |= delta & bit ? mirror : 0;
	return ABI_P2P_PART_REVERSED ? reversed : delta;
}

/* Cuts out the part's bytes; false: the channel has none of this direction. */
static bool way_cut(struct way *way, int part, int parts)
{
	if (part >= parts)
		return false;
	size_t page = 4096, n = (size_t)parts;
	size_t each = ((way->bytes + n - 1) / n + page - 1) / page * page;
	size_t from = MIN((size_t)part * each, way->bytes);
	size_t to = MIN(((size_t)part + 1) * each, way->bytes);
	way->addr += from;
	way->bytes = to - from;
	return true;
}

/* No bytes are one step, too. */
static bool way_next(struct exec_unit *u, struct exec_op *op)
{
	if (u->turn && u->at >= u->part.n)
		return false;
	*op = (struct exec_op){ .recv = u->prims.nrecv > 0, .send = u->prims.nsend > 0 };
	op->keep = op->recv;
	op->source = op->send ? SOURCE_INPUT : SOURCE_NONE;
	op->src = op->dst = u->at;
	op->n = MIN(u->part.chunk, u->part.n - u->at);
	u->at += op->n;
	u->turn = 1;
	return true;
}

static void way_start(struct exec_unit *u, const struct exec_context *x, const struct way *way)
{
	enum abi_proto proto = way->ll ? PROTO_LL : PROTO_SIMPLE;
	memset(u, 0, sizeof *u);
	u->advance = exec_prims_unit_advance;
	u->next = way_next;
	u->part = (struct exec_part){ .n = (int64_t)way->bytes, .chunk = (int64_t)way->chunk };
	u->prims.protocol = proto;
	u->prims.slices_per_chunk = u->prims.steps_per_slice = 1;
	u->prims.step_bytes = (size_t)x->comm->buff_sizes[proto] / ABI_STEPS;
	u->prims.elem_bytes = 1;
	u->prims.in = u->prims.out = way->addr;
}

int exec_p2p_start(struct exec_unit *units, const struct exec_context *x, const struct abi_p2p *w)
{
	struct way send = { w->send_addr, w->send_bytes, small_decode(w->send_chunk_fp8),
		w->send_ll };
	struct way recv = { w->recv_addr, w->recv_bytes, small_decode(w->recv_chunk_fp8),
		w->recv_ll };
	if (abi_p2p_registered(w))
		exec_die("send/recv on registered buffers");
	int n = 0, part = part_index(w, x->channel_id);
	bool sends = way_cut(&send, part, w->nsend_channels);
	bool recvs = way_cut(&recv, part, w->nrecv_channels);
	if (w->send_rank == x->comm->rank) {
		if (sends)
			memmove(recv.addr, send.addr, send.bytes);
		return 0;
	}
	if (sends) {
		way_start(&units[n], x, &send);
		exec_prims_open(&units[n++].prims, NULL, 0,
			(struct abi_conn *[]){ exec_send_conn(x, w->send_rank, 1) }, 1);
	}
	if (recvs) {
		way_start(&units[n], x, &recv);
		exec_prims_open(&units[n++].prims,
			(struct abi_conn *[]){ exec_recv_conn(x, w->recv_rank, 1) }, 1, NULL, 0);
	}
	return n;
}
