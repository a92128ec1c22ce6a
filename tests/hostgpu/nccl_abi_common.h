/*
 * The device structures and constants that are the same in every release we know (x86-64 and
 * other LP64 systems). Names in brackets are NCCL's own.
 */
#ifndef HOSTGPU_NCCL_ABI_COMMON_H
#define HOSTGPU_NCCL_ABI_COMMON_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	ABI_STEPS = 8,           /* slots in each connection's ring of buffers [NCCL_STEPS] */
	ABI_PROTOS = 3,          /* [NCCL_NUM_PROTOCOLS] */
	ABI_REDOPS = 5,          /* [ncclNumDevRedOps] */
	ABI_TREE_ARITY = 3,      /* children of a rank in a tree [NCCL_MAX_TREE_ARITY] */
	ABI_TREE_ARITY_ROOT = 2, /* children of the root [NCCL_MAX_TREE_ARITY_TOP] */
	ABI_WORK_BYTES = 16384,  /* works of one batch at most [ncclMaxDevWorkBatchBytes] */
};

enum abi_proto { PROTO_LL, PROTO_LL128, PROTO_SIMPLE };
enum abi_redop { REDOP_SUM, REDOP_PROD, REDOP_MINMAX, REDOP_PREMULSUM, REDOP_SUMPOSTDIV };

/* Values of ncclDataType_t. The last two came after 2.22. */
enum abi_type {
	TYPE_I8,
	TYPE_U8,
	TYPE_I32,
	TYPE_U32,
	TYPE_I64,
	TYPE_U64,
	TYPE_F16,
	TYPE_F32,
	TYPE_F64,
	TYPE_BF16,
	TYPE_F8E4M3,
	TYPE_F8E5M2,
	TYPE_COUNT
};

/* What a device function computes and how. Our own numbering: no structure carries it. */
enum abi_func {
	FUNC_NONE,
	FUNC_SENDRECV,
	FUNC_ALLGATHER,
	FUNC_BROADCAST,
	FUNC_ALLGATHERV,
	FUNC_ALLREDUCE,
	FUNC_REDUCE,
	FUNC_REDUCESCATTER,
	FUNC_COUNT
};
enum abi_algo {
	ALGO_TREE,
	ALGO_RING,
	ALGO_COLLNET_DIRECT,
	ALGO_COLLNET_CHAIN,
	ALGO_NVLS,
	ALGO_NVLS_TREE,
	ALGO_PAT,
	ALGO_COUNT
};

/*
 * NCCL numbers its device functions through a table with a row for each function, operation,
 * type, algorithm and protocol, in the order of these groups. [ncclDevFuncId(), generate.py]
 */
struct abi_row_group {
	enum abi_func func;
	int reduces; /* has rows for each operation and type */
	int nalgos;  /* 0: one row in all */
	enum abi_algo algos[6];
};

/* Row → device function, -1 where there is none. Equal work may share one function. */
extern const int ncclDevFuncRowToId[];

/* One slot of the mailbox between a kernel and the proxy thread. [ncclConnFifo] */
enum abi_fifo_mode { FIFO_MODE_NORMAL, FIFO_MODE_OFFSET };
struct abi_fifo {
	int mode;
	int offset;
	ssize_t size; /* bytes in the slot; -1: nothing there */
	void *ptr;
};
static_assert(sizeof(struct abi_fifo) == 24, "ncclConnFifo");

enum { NET_DEVICE_HOST = 0 };

/* One direction of a connection to a peer on one channel. [ncclConnInfo] */
struct abi_conn {
	char *buffs[ABI_PROTOS];
	void *mhandles[ABI_PROTOS];
	uint64_t *tail, *head; /* steps filled by the sender, emptied by the receiver */
	int flags, shared;
	int step_size; /* bytes of one slot of the Simple buffer */
	void **ptr_exchange;
	uint64_t *redop_exchange;
	struct abi_fifo *fifo; /* NULL: no proxy on this side */
	uint64_t step;         /* where the last kernel stopped */
	uint64_t ll_last_cleaning;
	struct {
		int type, version;
		void *handle;
		size_t size;
		int needs_progress;
	} net_device;
};
static_assert(offsetof(struct abi_conn, fifo) == 96, "ncclConnInfo.connFifo");
static_assert(offsetof(struct abi_conn, step) == 104, "ncclConnInfo.step");
static_assert(sizeof(struct abi_conn) == 152, "ncclConnInfo");

struct abi_peer {
	struct abi_conn send[2], recv[2]; /* 0: collectives, 1: point to point */
};

struct abi_tree {
	int depth, up, down[ABI_TREE_ARITY]; /* -1: none */
};
struct abi_direct {
	int depth, out, nheads, head_rank, shift, heads[8], up[7], down[7];
};
static_assert(sizeof(struct abi_direct) == 108, "ncclDirect");

/* Which works of the work buffer one channel does next. [ncclDevWorkBatch] */
struct abi_batch {
	uint32_t next_jump : 14, next_extends : 1, work_type : 2, func_id : 15;
	uint32_t offset_base;
	uint64_t offset_bitset;
} __attribute__((aligned(16)));
static_assert(sizeof(struct abi_batch) == 16, "ncclDevWorkBatch");

/* One of several broadcasts that go round together. Came after 2.22. [ncclDevWorkBcast] */
struct abi_bcast {
	int ring_depth; /* steps along the ring from the root to this rank */
	int chunk_size;
	void *sendbuff, *recvbuff;
	size_t bytes, bytes_done;
	uint8_t pad[8];
} __attribute__((aligned(16)));
static_assert(sizeof(struct abi_bcast) == 48, "ncclDevWorkBcast");

enum abi_work_type { WORK_P2P, WORK_COLL, WORK_COLL_REG, WORK_BCAST };

enum abi_storage { STORAGE_ARGS, STORAGE_FIFO, STORAGE_PERSISTENT };
struct abi_comm;
struct abi_args { /* followed by the batches [ncclDevKernelArgs] */
	struct abi_comm *comm;
	uint64_t channel_mask;
	uint8_t storage;
	uint32_t work_mask;
	void *work_buf;
} __attribute__((aligned(16)));
static_assert(offsetof(struct abi_args, work_buf) == 24, "ncclDevKernelArgs.workBuf");
static_assert(sizeof(struct abi_args) == 32, "ncclDevKernelArgs");

#endif
