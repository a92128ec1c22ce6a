/*
 * Collectives over a ring: each rank receives from the one before and sends to the one after.
 */
#include "exec_unit.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

/* Ends a step; every turn has so many. */
static void step_end(struct exec_unit *u, int steps)
{
	if (++u->turn == steps) {
		u->turn = 0;
		u->at += u->loop;
	}
}

/* The data of all ranks comes in chunks of nranks pieces. What is left in the last turn is spread
 * over the ranks, in units of 16 bytes. */
static int64_t all_reduce_piece(const struct exec_unit *u)
{
	int64_t n = u->nranks, left = u->part.n - u->at;
	int64_t align = 16 / (int64_t)u->prims.elem_bytes;
	if (left >= n * u->part.chunk)
		return u->part.chunk;
	return ((left + n - 1) / n + align - 1) / align * align;
}

/* n - 1 steps that add up, one that completes the sum, n - 1 that carry it round. */
static bool all_reduce_next(struct exec_unit *u, struct exec_op *op)
{
	int n = u->nranks, i = u->turn;
	if (u->at >= u->part.n)
		return false;
	int64_t piece = all_reduce_piece(u);
	int64_t from = (u->ring->index + 2 * n - 1 - i) % n * piece;
	int64_t where = u->part.offset + u->at + from;
	*op = (struct exec_op){
		.recv = i > 0,
		.send = i < 2 * n - 2,
		.source = i < n ? SOURCE_INPUT : SOURCE_NONE,
		.keep = i >= n - 1,
		.last_sum = i == n - 1,
		.src = where,
		.dst = where,
		.n = MIN(piece, u->part.n - u->at - from),
	};
	step_end(u, 2 * n - 1);
	return true;
}

static bool all_gather_next(struct exec_unit *u, struct exec_op *op)
{
	int n = u->nranks, i = u->turn;
	if (u->at >= u->part.n)
		return false;
	int64_t where = u->part.offset + u->at;
	int64_t to = where + u->ring->user_ranks[(n - i) % n] * u->part.count;
	*op = (struct exec_op){
		.recv = i > 0,
		.send = i < n - 1,
		.source = i ? SOURCE_NONE : SOURCE_INPUT,
		.keep = i || u->prims.in + where != u->prims.out + to,
		.src = where,
		.dst = to,
		.n = MIN(u->part.chunk, u->part.n - u->at),
	};
	step_end(u, n);
	return true;
}

static bool reduce_scatter_next(struct exec_unit *u, struct exec_op *op)
{
	int n = u->nranks, i = u->turn;
	if (u->at >= u->part.n)
		return false;
	int64_t where = u->part.offset + u->at;
	*op = (struct exec_op){
		.recv = i > 0,
		.send = i < n - 1,
		.source = SOURCE_INPUT,
		.keep = i == n - 1,
		.last_sum = i == n - 1,
		.src = where + u->ring->user_ranks[n - 1 - i] * u->part.count,
		.dst = where,
		.n = MIN(u->part.chunk, u->part.n - u->at),
	};
	step_end(u, n);
	return true;
}

static bool broadcast_next(struct exec_unit *u, struct exec_op *op)
{
	if (u->at >= u->part.n)
		return false;
	int64_t where = u->part.offset + u->at;
	bool root = u->rank == u->root;
	*op = (struct exec_op){
		.recv = !root,
		.send = u->ring->next != u->root,
		.source = root ? SOURCE_INPUT : SOURCE_NONE,
		.keep = !root || u->prims.in != u->prims.out,
		.src = where,
		.dst = where,
		.n = MIN(u->part.chunk, u->part.n - u->at),
	};
	step_end(u, 1);
	return true;
}

static bool reduce_next(struct exec_unit *u, struct exec_op *op)
{
	if (u->at >= u->part.n)
		return false;
	int64_t where = u->part.offset + u->at;
	bool root = u->rank == u->root;
	*op = (struct exec_op){
		.recv = u->ring->prev != u->root,
		.send = !root,
		.source = SOURCE_INPUT,
		.keep = root,
		.last_sum = root,
		.src = where,
		.dst = where,
		.n = MIN(u->part.chunk, u->part.n - u->at),
	};
	step_end(u, 1);
	return true;
}

int exec_ring_start(struct exec_unit *units, const struct exec_context *x, const struct abi_coll *w)
{
	static bool (*const next[FUNC_COUNT])(struct exec_unit *, struct exec_op *) = {
		[FUNC_ALLREDUCE] = all_reduce_next,
		[FUNC_ALLGATHER] = all_gather_next,
		[FUNC_REDUCESCATTER] = reduce_scatter_next,
		[FUNC_BROADCAST] = broadcast_next,
		[FUNC_REDUCE] = reduce_next,
	};
	struct exec_unit *u = &units[0];
	exec_unit_init(u, x, w);
	u->next = next[x->fn.func];
	u->loop = u->part.chunk * (x->fn.func == FUNC_ALLREDUCE ? u->nranks : 1);
	exec_prims_open(&u->prims, (struct abi_conn *[]){ exec_recv_conn(x, u->ring->prev, 0) }, 1,
		(struct abi_conn *[]){ exec_send_conn(x, u->ring->next, 0) }, 1);
	return 1;
}
