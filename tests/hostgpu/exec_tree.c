/*
 * Allreduce over a binary tree: sums go up while, in a unit of its own, the results come down. At
 * the root both are one step.
 */
#include "exec_unit.h"

#define MIN(a, b) ((a) < (b) ? (a) : (b))

static bool chunk_next(struct exec_unit *u, struct exec_op *op)
{
	if (u->at >= u->part.n)
		return false;
	op->src = op->dst = u->part.offset + u->at;
	op->n = MIN(u->part.chunk, u->part.n - u->at);
	u->at += u->part.chunk;
	return true;
}

static bool root_next(struct exec_unit *u, struct exec_op *op)
{
	*op = (struct exec_op){
		.recv = true, .send = true, .source = SOURCE_INPUT, .keep = true, .last_sum = true
	};
	return chunk_next(u, op);
}

static bool up_next(struct exec_unit *u, struct exec_op *op)
{
	*op = (struct exec_op){ .recv = u->prims.nrecv > 0, .send = true, .source = SOURCE_INPUT };
	return chunk_next(u, op);
}

static bool down_next(struct exec_unit *u, struct exec_op *op)
{
	*op = (struct exec_op){ .recv = true, .send = u->prims.nsend > 0, .keep = true };
	return chunk_next(u, op);
}

struct family {
	struct abi_conn *recv[ABI_TREE_ARITY], *send[ABI_TREE_ARITY];
	int n;
};

static struct family children(const struct exec_context *x, int most)
{
	const struct abi_tree *tree = &x->channel->tree;
	struct family f = { .n = 0 };
	for (; f.n < most && tree->down[f.n] >= 0; f.n++) {
		f.recv[f.n] = exec_recv_conn(x, tree->down[f.n], 0);
		f.send[f.n] = exec_send_conn(x, tree->down[f.n], 0);
	}
	return f;
}

int exec_tree_start(struct exec_unit *units, const struct exec_context *x, const struct abi_coll *w)
{
	int parent = x->channel->tree.up;
	struct family down = children(x, parent < 0 ? ABI_TREE_ARITY_ROOT : ABI_TREE_ARITY);
	exec_unit_init(&units[0], x, w);
	if (parent < 0) {
		units[0].next = root_next;
		exec_prims_open(&units[0].prims, down.recv, down.n, down.send, down.n);
		return 1;
	}
	units[0].next = up_next;
	exec_prims_open(&units[0].prims, down.recv, down.n,
		(struct abi_conn *[]){ exec_send_conn(x, parent, 0) }, 1);
	exec_unit_init(&units[1], x, w);
	units[1].next = down_next;
	exec_prims_open(&units[1].prims, (struct abi_conn *[]){ exec_recv_conn(x, parent, 0) }, 1,
		down.send, down.n);
	return 2;
}
