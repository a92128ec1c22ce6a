#include "exec_prims.h"

#include "exec_function.h"

#include <string.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

static void end_open(struct exec_prims *p, struct exec_end *e, struct abi_conn *conn)
{
	uint64_t chunk = (uint64_t)p->slices_per_chunk * (uint64_t)p->steps_per_slice;
	if (conn->net_device.type != NET_DEVICE_HOST)
		exec_die("a network device that unpacks on the GPU (type %d)",
			conn->net_device.type);
	if (conn->flags & ABI_CONN_DIRECT)
		exec_die("peer-to-peer access between GPUs of one process (connection flags %#x)",
			(unsigned)conn->flags);
	*e = (struct exec_end){ .conn = conn, .step = (conn->step + chunk - 1) / chunk * chunk };
}

void exec_prims_open(struct exec_prims *p, struct abi_conn *const *recv, int nrecv,
	struct abi_conn *const *send, int nsend)
{
	static const struct exec_proto *const protos[ABI_PROTOS] = {
		[PROTO_LL] = &exec_ll, [PROTO_LL128] = &exec_ll128, [PROTO_SIMPLE] = &exec_simple
	};
	p->proto = protos[p->protocol];
	p->nrecv = nrecv;
	p->nsend = nsend;
	p->slice = p->slices = 0;
	for (int i = 0; i < nrecv; i++) {
		end_open(p, &p->recv[i], recv[i]);
		if (p->recv[i].step !=
			recv[i]->step) /* the slots skipped by rounding up are free */
			EXEC_STORE(recv[i]->head, p->recv[i].step);
	}
	for (int i = 0; i < nsend; i++)
		end_open(p, &p->send[i], send[i]);
}

void exec_prims_close(struct exec_prims *p)
{
	for (int i = 0; i < p->nrecv; i++)
		p->recv[i].conn->step = p->recv[i].step;
	for (int i = 0; i < p->nsend; i++)
		p->send[i].conn->step = p->send[i].step;
}

/* Slices as NCCL cuts them: the proxies count them. Only Simple has more than one. */
void exec_prims_begin(struct exec_prims *p, const struct exec_op *op)
{
	int64_t n = MAX(op->n, 0), slices = p->slices_per_chunk;
	int64_t least = (int64_t)(p->step_bytes / p->elem_bytes) * p->steps_per_slice / 32;
	p->op = *op;
	p->op.n = n;
	p->slice = 0;
	p->slices = p->slices_per_chunk;
	p->done = 0;
	p->slice_elems = slices == 1 ? n : MAX((n + 16 * slices - 1) / (16 * slices) * 16, least);
}

bool exec_prims_busy(const struct exec_prims *p)
{
	return p->slice < p->slices;
}

static bool granted(const struct exec_prims *p, const struct exec_end *e)
{
	return EXEC_LOAD(e->conn->head) + ABI_STEPS >= e->step + (uint64_t)p->steps_per_slice;
}

static bool ready(struct exec_prims *p, size_t bytes)
{
	for (int i = 0; p->op.send && i < p->nsend; i++)
		if (!granted(p, &p->send[i]))
			return false;
	for (int i = 0; p->op.recv && i < p->nrecv; i++)
		if (!p->proto->arrived(p, &p->recv[i], bytes))
			return false;
	return true;
}

/* Combines one block of n elements, at bytes into the slice, first elements into the op. */
static void block_move(struct exec_prims *p, size_t at, int64_t first, int64_t n)
{
	_Alignas(64) char scratch[2][EXEC_BLOCK_BYTES];
	const struct exec_op *op = &p->op;
	size_t bytes = (size_t)n * p->elem_bytes, elem = p->elem_bytes;
	char *keep = op->keep ? p->out + (size_t)(op->dst + first) * elem : NULL;
	char *place = keep ? keep : op->send && p->nsend ? p->proto->place(&p->send[0], at) : NULL;
	char *result = place ? place : scratch[0];
	const char *value = NULL;
	if (op->source != SOURCE_NONE)
		value = (op->source == SOURCE_INPUT ? p->in : p->out) +
			(size_t)(op->src + first) * elem;
	if (op->source == SOURCE_INPUT && exec_reduce_has_before(&p->reduction)) {
		exec_reduce_before(&p->reduction, result, value, (size_t)n);
		value = result;
	}
	for (int i = 0; op->recv && i < p->nrecv; i++) {
		const void *in =
			p->proto->load(&p->recv[i], at, bytes, value ? scratch[1] : result);
		if (value)
			exec_reduce(&p->reduction, result, value, in, (size_t)n);
		value = value ? result : in;
	}
	if (!value) /* an op either receives or has a source */
		return;
	if (op->last_sum && exec_reduce_has_after(&p->reduction)) {
		exec_reduce_after(&p->reduction, result, value, (size_t)n);
		value = result;
	}
	if (keep && value != keep)
		memcpy(keep, value, bytes);
	for (int i = 0; op->send && i < p->nsend; i++)
		p->proto->store(&p->send[i], at, value, bytes);
}

static void slice_move(struct exec_prims *p, int64_t n)
{
	int64_t most = EXEC_BLOCK_BYTES / (int64_t)p->elem_bytes;
	for (int64_t i = 0; i < n; i += most)
		block_move(p, (size_t)i * p->elem_bytes, p->done + i, MIN(most, n - i));
}

bool exec_prims_advance(struct exec_prims *p)
{
	int64_t n = MIN(p->slice_elems, p->op.n - p->done);
	size_t bytes = (size_t)n * p->elem_bytes;
	if (!ready(p, bytes))
		return false;
	for (int i = 0; p->op.send && i < p->nsend; i++)
		p->proto->claim(p, &p->send[i], bytes);
	slice_move(p, n);
	for (int i = 0; p->op.recv && i < p->nrecv; i++) {
		struct exec_end *e = &p->recv[i];
		e->step += (uint64_t)p->steps_per_slice;
		e->arrived = 0;
		EXEC_STORE(e->conn->head, e->step);
	}
	for (int i = 0; p->op.send && i < p->nsend; i++)
		p->proto->post(p, &p->send[i], bytes);
	p->done += n;
	p->slice++;
	return true;
}
