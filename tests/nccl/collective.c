#include "collective.h"

#include <stdlib.h>

static void *element(const struct call *call, const void *base, size_t index)
{
	return (char *)base + index * call->pattern->type->bytes;
}

static ncclDataType_t type_of(const struct call *call)
{
	return call->pattern->type->nccl;
}

/* Result [at, at + count) is rank `source`'s input from element `first` on. */
static void expect_input(
	const struct call *call, void *recv, size_t at, int source, size_t first, size_t count)
{
	pattern_put(
		call->pattern, call->pattern->input[source], first, count, element(call, recv, at));
}

/* ---- where the data lies ------------------------------------------------------------------------
 */

static struct layout layout_whole(const struct call *call, bool in_place)
{
	(void)in_place;
	return (struct layout){ call->count, call->count, 0, 0 };
}

/* One block in, all blocks out, as in allgather; in place the block lies where it will be. */
static struct layout layout_gather(const struct call *call, bool in_place)
{
	size_t blocks = call->count * (size_t)call->nranks;
	size_t at = in_place ? call->count * (size_t)call->rank : 0;

	return (struct layout){ call->count, blocks, at, 0 };
}

static struct layout layout_scatter(const struct call *call, bool in_place)
{
	size_t blocks = call->count * (size_t)call->nranks;
	size_t at = in_place ? call->count * (size_t)call->rank : 0;

	return (struct layout){ blocks, call->count, 0, at };
}

static struct layout layout_blocks(const struct call *call, bool in_place)
{
	size_t blocks = call->count * (size_t)call->nranks;

	(void)in_place;
	return (struct layout){ blocks, blocks, 0, 0 };
}

/* ---- allreduce, reduce, broadcast
 * ---------------------------------------------------------------- */

static ncclResult_t launch_allreduce(const struct call *call, const void *send, void *recv)
{
	return ncclAllReduce(
		send, recv, call->count, type_of(call), call->op, call->comm, call->stream);
}

static void expect_allreduce(const struct call *call, void *recv)
{
	pattern_put(call->pattern, call->pattern->reduced, 0, call->count, recv);
}

static ncclResult_t launch_reduce(const struct call *call, const void *send, void *recv)
{
	return ncclReduce(send, recv, call->count, type_of(call), call->op, call->root, call->comm,
		call->stream);
}

static void expect_reduce(const struct call *call, void *recv)
{
	if (call->rank == call->root)
		expect_allreduce(call, recv);
}

static ncclResult_t launch_broadcast(const struct call *call, const void *send, void *recv)
{
	return ncclBroadcast(
		send, recv, call->count, type_of(call), call->root, call->comm, call->stream);
}

static void expect_broadcast(const struct call *call, void *recv)
{
	expect_input(call, recv, 0, call->root, 0, call->count);
}

/* ---- allgather, reduce-scatter
 * ------------------------------------------------------------------- */

static ncclResult_t launch_allgather(const struct call *call, const void *send, void *recv)
{
	return ncclAllGather(send, recv, call->count, type_of(call), call->comm, call->stream);
}

static void expect_allgather(const struct call *call, void *recv)
{
	for (int r = 0; r < call->nranks; r++)
		expect_input(call, recv, call->count * (size_t)r, r, 0, call->count);
}

static ncclResult_t launch_reducescatter(const struct call *call, const void *send, void *recv)
{
	return ncclReduceScatter(
		send, recv, call->count, type_of(call), call->op, call->comm, call->stream);
}

static void expect_reducescatter(const struct call *call, void *recv)
{
	pattern_put(call->pattern, call->pattern->reduced, call->count * (size_t)call->rank,
		call->count, recv);
}

/* ---- all-to-all, gather, scatter
 * ----------------------------------------------------------------- */

static void expect_alltoall(const struct call *call, void *recv)
{
	size_t mine = call->count * (size_t)call->rank;

	for (int r = 0; r < call->nranks; r++)
		expect_input(call, recv, call->count * (size_t)r, r, mine, call->count);
}

static ncclResult_t launch_alltoall_grouped(const struct call *call, const void *send, void *recv)
{
	ncclResult_t result = ncclGroupStart();

	for (int r = 0; r < call->nranks && result == ncclSuccess; r++) {
		size_t at = call->count * (size_t)r;
		result = ncclSend(element(call, send, at), call->count, type_of(call), r,
			call->comm, call->stream);
		if (result == ncclSuccess)
			result = ncclRecv(element(call, recv, at), call->count, type_of(call), r,
				call->comm, call->stream);
	}
	ncclResult_t end = ncclGroupEnd();
	return result != ncclSuccess ? result : end;
}

#if NCCL_VERSION_CODE >= 22800
static ncclResult_t launch_alltoall(const struct call *call, const void *send, void *recv)
{
	return ncclAlltoAll(send, recv, call->count, type_of(call), call->comm, call->stream);
}

static ncclResult_t launch_gather(const struct call *call, const void *send, void *recv)
{
	return ncclGather(
		send, recv, call->count, type_of(call), call->root, call->comm, call->stream);
}

static void expect_gather(const struct call *call, void *recv)
{
	if (call->rank == call->root)
		expect_allgather(call, recv);
}

static ncclResult_t launch_scatter(const struct call *call, const void *send, void *recv)
{
	return ncclScatter(
		send, recv, call->count, type_of(call), call->root, call->comm, call->stream);
}

static void expect_scatter(const struct call *call, void *recv)
{
	expect_input(call, recv, 0, call->root, call->count * (size_t)call->rank, call->count);
}
#endif

/* ---- send and receive
 * ---------------------------------------------------------------------------- */

/* Uneven: from nothing to one and a half blocks, and most pairs differ from their reverse. */
static size_t pair_count(const struct call *call, int from, int to)
{
	return call->count * (size_t)((from + 2 * to) % 4) / 2;
}

static size_t pairs_from(const struct call *call, int from, int before)
{
	size_t count = 0;

	for (int to = 0; to < before; to++)
		count += pair_count(call, from, to);
	return count;
}

static size_t pairs_to(const struct call *call, int to, int before)
{
	size_t count = 0;

	for (int from = 0; from < before; from++)
		count += pair_count(call, from, to);
	return count;
}

static struct layout layout_pairs(const struct call *call, bool in_place)
{
	(void)in_place;
	return (struct layout){ pairs_from(call, call->rank, call->nranks),
		pairs_to(call, call->rank, call->nranks), 0, 0 };
}

static ncclResult_t launch_pairs(const struct call *call, const void *send, void *recv)
{
	ncclResult_t result = ncclGroupStart();

	for (int r = 0; r < call->nranks && result == ncclSuccess; r++) {
		result = ncclSend(element(call, send, pairs_from(call, call->rank, r)),
			pair_count(call, call->rank, r), type_of(call), r, call->comm,
			call->stream);
		if (result == ncclSuccess)
			result = ncclRecv(element(call, recv, pairs_to(call, call->rank, r)),
				pair_count(call, r, call->rank), type_of(call), r, call->comm,
				call->stream);
	}
	ncclResult_t end = ncclGroupEnd();
	return result != ncclSuccess ? result : end;
}

static void expect_pairs(const struct call *call, void *recv)
{
	for (int r = 0; r < call->nranks; r++)
		expect_input(call, recv, pairs_to(call, call->rank, r), r,
			pairs_from(call, r, call->rank), pair_count(call, r, call->rank));
}

/* Each rank to the next one, without a group's sorting out who talks to whom first. */
static ncclResult_t launch_ring(const struct call *call, const void *send, void *recv)
{
	int next = (call->rank + 1) % call->nranks;
	int previous = (call->rank + call->nranks - 1) % call->nranks;
	ncclResult_t result = ncclGroupStart();

	if (result == ncclSuccess)
		result = ncclSend(send, call->count, type_of(call), next, call->comm, call->stream);
	if (result == ncclSuccess)
		result = ncclRecv(
			recv, call->count, type_of(call), previous, call->comm, call->stream);
	ncclResult_t end = ncclGroupEnd();
	return result != ncclSuccess ? result : end;
}

static void expect_ring(const struct call *call, void *recv)
{
	expect_input(call, recv, 0, (call->rank + call->nranks - 1) % call->nranks, 0, call->count);
}

const struct collective collectives[] = {
	{ "allreduce", true, false, true, layout_whole, launch_allreduce, expect_allreduce },
	{ "reduce", true, false, true, layout_whole, launch_reduce, expect_reduce },
	{ "reducescatter", true, true, true, layout_scatter, launch_reducescatter,
		expect_reducescatter },
	{ "broadcast", false, false, true, layout_whole, launch_broadcast, expect_broadcast },
	{ "allgather", false, true, true, layout_gather, launch_allgather, expect_allgather },
	{ "alltoall-grouped", false, true, false, layout_blocks, launch_alltoall_grouped,
		expect_alltoall },
	{ "pairs", false, true, false, layout_pairs, launch_pairs, expect_pairs },
	{ "ring", false, false, false, layout_whole, launch_ring, expect_ring },
#if NCCL_VERSION_CODE >= 22800
	{ "alltoall", false, true, false, layout_blocks, launch_alltoall, expect_alltoall },
	{ "gather", false, true, true, layout_gather, launch_gather, expect_gather },
	{ "scatter", false, true, true, layout_scatter, launch_scatter, expect_scatter },
#endif
};
const int ncollectives = sizeof(collectives) / sizeof(*collectives);
