#include "test_world.h"

#include "executor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { CONNS = 2, BUFFER_BYTES = WORLD_STEP_BYTES * ABI_STEPS, WORK_BYTES_MAX = 1024 };

/* What both ends of a connection share. */
struct link {
	_Alignas(64) uint64_t head;
	_Alignas(64) uint64_t tail;
	_Alignas(64) char buffers[ABI_PROTOS][BUFFER_BYTES];
};

struct rank {
	struct abi_comm_and_channels all;
	struct abi_peer peers[WORLD_CHANNELS][WORLD_RANKS];
	struct abi_peer *peer_table[WORLD_CHANNELS][WORLD_RANKS];
	int ring[WORLD_RANKS];
	uint32_t consumed[WORLD_CHANNELS];
};

struct world {
	int nranks;
	uint32_t abort_flag;
	struct link *links; /* [channel][conn][from][to] */
	struct rank ranks[WORLD_RANKS];
};

static void *allocate(size_t bytes)
{
	void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!p)
		abort();
	memset(p, 0, bytes);
	return p;
}

static struct link *link_of(const struct world *w, int channel, int conn, int from, int to)
{
	int n = w->nranks;
	return &w->links[((channel * CONNS + conn) * n + from) * n + to];
}

static struct abi_conn conn_of(struct link *l, uint64_t step)
{
	struct abi_conn c = {
		.tail = &l->tail, .head = &l->head, .step = step, .step_size = WORLD_STEP_BYTES
	};
	l->head = l->tail = step;
	for (int p = 0; p < ABI_PROTOS; p++)
		c.buffs[p] = l->buffers[p];
	return c;
}

/* The ring goes down the ranks, the tree is a heap. */
static void shape_make(struct world *w, int r, struct abi_channel *c)
{
	int n = w->nranks;
	for (int i = 0; i < n; i++)
		w->ranks[r].ring[i] = (r - i + n) % n;
	c->ring.user_ranks = w->ranks[r].ring;
	c->ring.prev = (r + 1) % n;
	c->ring.next = (r - 1 + n) % n;
	c->ring.index = (n - r) % n;
	c->tree.up = r ? (r - 1) / 2 : -1;
	c->tree.down[0] = 2 * r + 1 < n ? 2 * r + 1 : -1;
	c->tree.down[1] = 2 * r + 2 < n ? 2 * r + 2 : -1;
	c->tree.down[2] = -1;
}

static void rank_make(struct world *w, int r, uint64_t step)
{
	struct rank *me = &w->ranks[r];
	me->all.comm.rank = r;
	me->all.comm.nranks = w->nranks;
	me->all.comm.abort_flag = &w->abort_flag;
	me->all.comm.channels = me->all.channels;
#if NCCL_VERSION_CODE < 22300
	me->all.comm.work_consumed = me->consumed;
#endif
	for (int p = 0; p < ABI_PROTOS; p++)
		me->all.comm.buff_sizes[p] = BUFFER_BYTES;
	for (int c = 0; c < WORLD_CHANNELS; c++) {
		me->all.channels[c].peers = me->peer_table[c];
		shape_make(w, r, &me->all.channels[c]);
		for (int i = 0; i < w->nranks * CONNS; i++) {
			int peer = i / CONNS, k = i % CONNS;
			me->peer_table[c][peer] = &me->peers[c][peer];
			me->peers[c][peer].send[k] = conn_of(link_of(w, c, k, r, peer), step);
			me->peers[c][peer].recv[k] = conn_of(link_of(w, c, k, peer, r), step);
		}
	}
}

struct world *world_new(int nranks, uint64_t first_step)
{
	struct world *w = allocate(sizeof *w);
	size_t n = (size_t)nranks;
	w->nranks = nranks;
	w->links = allocate(n * n * WORLD_CHANNELS * CONNS * sizeof *w->links);
	for (int r = 0; r < nranks; r++)
		rank_make(w, r, first_step);
	return w;
}

void world_free(struct world *w)
{
	free(w->links);
	free(w);
}

struct abi_comm *world_comm(struct world *w, int rank)
{
	return &w->ranks[rank].all.comm;
}

uint32_t *world_abort_flag(struct world *w)
{
	return &w->abort_flag;
}

const uint32_t *world_ll_slot(const struct world *w, int rank, uint64_t step)
{
	int next = (rank - 1 + w->nranks) % w->nranks;
	const char *slots = link_of(w, 0, 0, rank, next)->buffers[PROTO_LL];
	return (const uint32_t *)(const void *)(slots + step % ABI_STEPS * WORLD_STEP_BYTES);
}

unsigned world_function(enum abi_func func, enum abi_algo algo, enum abi_proto proto)
{
	for (unsigned id = 0; id < WORLD_FUNCTIONS; id++) {
		struct exec_function fn = exec_function(id);
		bool reduces =
			func == FUNC_ALLREDUCE || func == FUNC_REDUCE || func == FUNC_REDUCESCATTER;
		if (fn.func == func && fn.algo == algo && fn.proto == proto &&
			(!reduces || (fn.op == REDOP_SUM && fn.type == TYPE_F32)))
			return id;
	}
	abort();
}

/* A chunk fills the steps that NCCL gives it, in grains of the protocol. */
static uint64_t chunk_grains(const struct exec_function *fn)
{
	bool steps = fn->algo == ALGO_RING && fn->func != FUNC_BROADCAST && fn->func != FUNC_REDUCE;
	switch (fn->proto) {
	case PROTO_LL:
		return WORLD_STEP_BYTES / 2 / 16;
	case PROTO_LL128:
		return WORLD_STEP_BYTES / 128 * 120 / 1920;
	default:
		return steps ? 4 * WORLD_STEP_BYTES / 512 : WORLD_STEP_BYTES / 512;
	}
}

struct abi_coll world_coll(const struct exec_function *fn, size_t count, void *send, void *recv)
{
	struct abi_coll w = { .channel_lo = 0, .channel_hi = WORLD_CHANNELS - 1, .nwarps = 8 };
	w.sendbuff = send;
	w.recvbuff = recv;
	w.count_lo = (count + 1) / 2;
	w.count_hi = count - w.count_lo;
	w.grains_lo = w.grains_hi = chunk_grains(fn) & 0x1fffff;
	return w;
}

static size_t work_bytes(enum abi_work_type type)
{
	return type == WORK_P2P    ? sizeof(struct abi_p2p)
	       : type == WORK_COLL ? sizeof(struct abi_coll)
				   : sizeof(struct abi_bcast);
}

/* The works begin near the end of the fifo, so that they go round it. */
static uint32_t works_write(char *args, char *fifo, const struct world_kernel *k, size_t bytes)
{
	uint32_t at = k->storage == WORLD_FIFO
			      ? 5 * WORLD_FIFO_BYTES - 32
			      : (uint32_t)(sizeof(struct abi_args) +
					   WORLD_CHANNELS * sizeof(struct abi_batch));
	for (size_t i = 0; i < bytes; i++) {
		const char *from = (const char *)k->works + i;
		if (k->storage == WORLD_FIFO)
			fifo[(at + i) % WORLD_FIFO_BYTES] = *from;
		else
			args[at + i] = *from;
	}
	return at;
}

void world_run_one(struct world *w, int rank, const struct world_kernel *k)
{
	_Alignas(16) char block[WORLD_ARGS_BYTES] = { 0 }, fifo[WORLD_FIFO_BYTES] = { 0 };
	struct abi_args *args = (struct abi_args *)(void *)block;
	struct abi_batch *batches = (struct abi_batch *)(args + 1);
	size_t bytes = work_bytes(k->type) * (size_t)k->nworks;
	if (bytes > WORK_BYTES_MAX)
		abort();
	*args = (struct abi_args){ .comm = world_comm(w, rank),
		.channel_mask = (1 << WORLD_CHANNELS) - 1,
		.work_mask = WORLD_FIFO_BYTES - 1,
		.work_buf = fifo };
	args->storage = k->storage == WORLD_FIFO ? STORAGE_FIFO : STORAGE_ARGS;
	uint32_t at = works_write(block, fifo, k, bytes);
	for (int c = 0; c < WORLD_CHANNELS; c++)
		batches[c] = (struct abi_batch){ .work_type = k->type & 3,
			.func_id = k->func_id & 0x7fff,
			.offset_base = at,
			.offset_bitset = (1ULL << k->nworks) - 1 };
	executor_run("ncclDevKernel_Test", block);
}

struct thread {
	pthread_t id;
	struct world *w;
	int rank;
	const struct world_kernel *kernel;
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	world_run_one(t->w, t->rank, t->kernel);
	return NULL;
}

void world_run(struct world *w, const struct world_kernel *kernels)
{
	struct thread threads[WORLD_RANKS];
	for (int r = 0; r < w->nranks; r++) {
		threads[r] = (struct thread){ .w = w, .rank = r, .kernel = &kernels[r] };
		if (pthread_create(&threads[r].id, NULL, thread_main, &threads[r]))
			abort();
	}
	for (int r = 0; r < w->nranks; r++)
		pthread_join(threads[r].id, NULL);
}
