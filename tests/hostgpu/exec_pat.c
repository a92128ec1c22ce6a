#include "exec_pat.h"

#include "exec_unit.h"

#include <string.h>

#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Elements of this type in one slot of the connection's buffer. */
static int64_t slot_elems(const struct exec_unit *u, const struct exec_pat_dim *d)
{
	return d->conn->step_size / (int64_t)u->prims.elem_bytes;
}

static char *place(
	const struct exec_unit *u, const struct exec_pat_dim *d, uint64_t ahead, int64_t at)
{
	size_t slot = (size_t)((d->step + ahead) % ABI_STEPS) * (size_t)d->conn->step_size;
	return d->conn->buffs[PROTO_SIMPLE] + slot + (size_t)at * u->prims.elem_bytes;
}

/* Whether a place is used for the first time; from now on it is not. */
static bool first_use(int64_t *seen, int64_t end)
{
	bool first = *seen < end;
	*seen = MAX(*seen, end);
	return first;
}

static bool first_use_of(
	const struct exec_unit *u, struct exec_pat_dim *d, uint64_t ahead, int64_t end)
{
	return first_use(&d->seen, (int64_t)(d->step + ahead) * slot_elems(u, d) + end);
}

static bool came(const struct exec_pat_dim *d, uint64_t ahead)
{
	return EXEC_LOAD(d->conn->tail) >= d->step + ahead + 1;
}

static bool granted(const struct exec_pat_dim *d, uint64_t ahead)
{
	return EXEC_LOAD(d->conn->head) + ABI_STEPS >= d->step + ahead + 1;
}

static void recv_end(struct exec_pat_dim *d)
{
	d->conn->step = ++d->step;
	EXEC_STORE(d->conn->head, d->step);
}

static void send_end(const struct exec_unit *u, struct exec_pat_dim *d)
{
	const struct exec_pat_step *st = &u->pat.step;
	ssize_t bytes = (ssize_t)((st->send_at + st->n) * (int64_t)u->prims.elem_bytes);
	if (d->conn->fifo)
		EXEC_STORE(&d->conn->fifo[d->step % ABI_STEPS].size, bytes);
	d->conn->step = ++d->step;
	EXEC_STORE(d->conn->tail, d->step);
}

static void piece_copy(char *to, const char *from, size_t bytes)
{
	if (to != from)
		memcpy(to, from, bytes);
}

/* Adds what came to what is there: our own share, or what other dimensions brought before. */
static bool scatter_step(struct exec_unit *u)
{
	struct exec_pat *pat = &u->pat;
	const struct exec_pat_step *st = &pat->step;
	struct exec_pat_dim *recv = st->recv_dim >= 0 ? &pat->recv[st->recv_dim] : NULL;
	struct exec_pat_dim *send = st->send_dim >= 0 ? &pat->send[st->send_dim] : NULL;
	size_t elem = u->prims.elem_bytes, bytes = (size_t)st->n * elem;
	if ((recv && !came(recv, 0)) || (send && !granted(send, st->ahead)))
		return false;
	char *to = send ? place(u, send, st->ahead, st->send_at)
			: u->prims.out + (size_t)st->offset * elem;
	bool first = send ? first_use_of(u, send, st->ahead, st->send_at + st->n)
			  : first_use(&pat->own_seen, st->offset + st->n);
	const char *have = first ? u->prims.in + (size_t)st->own * elem : to;
	if (recv)
		exec_reduce(&u->prims.reduction, to, have, place(u, recv, 0, st->recv_at),
			(size_t)st->n);
	else
		piece_copy(to, have, bytes);
	if (send && st->send_last)
		send_end(u, send);
	if (recv && st->recv_last)
		recv_end(recv);
	return true;
}

/* Keeps what came if it is new, and passes it on. */
static bool gather_step(struct exec_unit *u)
{
	struct exec_pat *pat = &u->pat;
	const struct exec_pat_step *st = &pat->step;
	struct exec_pat_dim *recv = st->recv_dim >= 0 ? &pat->recv[st->recv_dim] : NULL;
	struct exec_pat_dim *send = st->send_dim >= 0 ? &pat->send[st->send_dim] : NULL;
	size_t bytes = (size_t)st->n;
	if ((recv && !came(recv, st->ahead)) || (send && !granted(send, 0)))
		return false;
	const char *from = recv ? place(u, recv, st->ahead, st->recv_at) : u->prims.in + st->offset;
	bool first = recv ? first_use_of(u, recv, st->ahead, st->recv_at + st->n)
			  : first_use(&pat->own_seen, st->offset + st->n);
	if (first)
		piece_copy(u->prims.out + st->own, from, bytes);
	if (send)
		memcpy(place(u, send, 0, st->send_at), from, bytes);
	if (send && st->send_last)
		send_end(u, send);
	if (recv && st->recv_last)
		recv_end(recv);
	return true;
}

static enum exec_progress pat_advance(struct exec_unit *u)
{
	struct exec_pat *pat = &u->pat;
	bool gathers = pat->next == exec_pat_gather_next;
	if (!pat->pending && !pat->next(&pat->schedule, &pat->step))
		return EXEC_ENDED;
	pat->pending = !(gathers ? gather_step : scatter_step)(u);
	return pat->pending ? EXEC_BLOCKED : EXEC_MOVED;
}

static void dims_open(struct exec_unit *u, const struct exec_context *x, bool gathers)
{
	int n = u->nranks;
	for (int d = 0; d < PAT_DIMS - 1 && 1 << d < n; d++) {
		int up = (u->rank + (1 << d)) % n, down = (u->rank - (1 << d) + n) % n;
		struct abi_conn *recv = exec_recv_conn(x, gathers ? up : down, 0);
		struct abi_conn *send = exec_send_conn(x, gathers ? down : up, 0);
		u->pat.recv[d] = (struct exec_pat_dim){ .conn = recv, .step = recv->step };
		u->pat.send[d] = (struct exec_pat_dim){ .conn = send, .step = send->step };
	}
}

int exec_pat_start(struct exec_unit *units, const struct exec_context *x, const struct abi_coll *w)
{
	struct exec_unit *u = &units[0];
	bool gathers = x->fn.func == FUNC_ALLGATHER;
	exec_unit_init(u, x, w);
	if (exec_reduce_has_before(&u->prims.reduction) ||
		exec_reduce_has_after(&u->prims.reduction))
		exec_die("PAT with an average or a factor");
	u->pat.schedule = (struct exec_pat_schedule){
		.nranks = u->nranks,
		.rank = u->rank,
		.count = u->part.count,
		.offset = u->part.offset,
		.end = u->part.offset + u->part.n,
		.chunk = u->part.chunk,
	};
	if (!exec_pat_schedule_init(&u->pat.schedule, u->prims.elem_bytes))
		return 0;
	(gathers ? exec_pat_gather_begin : exec_pat_scatter_begin)(&u->pat.schedule);
	u->pat.next = gathers ? exec_pat_gather_next : exec_pat_scatter_next;
	u->advance = pat_advance;
	dims_open(u, x, gathers);
	return 1;
}
