/* The device structures of NCCL 2.22.3, after its public source. */
#ifndef HOSTGPU_NCCL_ABI_22203_H
#define HOSTGPU_NCCL_ABI_22203_H

#include "nccl_abi_common.h"

enum {
	ABI_TYPES = 10, /* bfloat16 is counted even where the compiler lacks it */
	ABI_CHANNELS = 32,
	/* A channel's part of a send is its distance from the first channel, bits reversed. */
	ABI_P2P_PART_REVERSED = 1,
	/* The argument of an integer average is the number of ranks. */
	ABI_POSTDIV_HAS_SIGN = 0,
	/* Connection flags by which NCCL reads and writes user buffers of unregistered peers. */
	ABI_CONN_DIRECT = 0x01 | 0x02,
};

#define ABI_PROFILES 0

#define ABI_ROW_GROUPS                                                                   \
	{ FUNC_SENDRECV, 0, 0, { 0 } },                                                  \
		{ FUNC_ALLGATHER, 0, 3, { ALGO_RING, ALGO_COLLNET_DIRECT, ALGO_NVLS } }, \
		{ FUNC_BROADCAST, 0, 1, { ALGO_RING } },                                 \
		{ FUNC_ALLREDUCE, 1, 6,                                                  \
			{ ALGO_TREE, ALGO_RING, ALGO_COLLNET_DIRECT, ALGO_COLLNET_CHAIN, \
				ALGO_NVLS, ALGO_NVLS_TREE } },                           \
		{ FUNC_REDUCE, 1, 1, { ALGO_RING } },                                    \
	{                                                                                \
		FUNC_REDUCESCATTER, 1, 3,                                                \
		{                                                                        \
			ALGO_RING, ALGO_COLLNET_DIRECT, ALGO_NVLS                        \
		}                                                                        \
	}

struct abi_ring {
	int prev, next;
	int *user_ranks; /* ranks in the order of the ring, from this one */
	int index;       /* of this rank */
};
struct abi_nvls {
	int out, nheads, head_rank, up[32], down, tree_up, tree_down[3], node, nnodes;
};

struct abi_channel {
	struct abi_peer **peers; /* by rank */
	struct abi_ring ring;
	struct abi_tree tree, collnet_chain;
	struct abi_direct collnet_direct;
	struct abi_nvls nvls;
	uint32_t *work_fifo_done;
} __attribute__((aligned(16)));
static_assert(offsetof(struct abi_channel, tree) == 32, "ncclDevChannel.tree");
static_assert(offsetof(struct abi_channel, work_fifo_done) == 352, "ncclDevChannel.workFifoDone");
static_assert(sizeof(struct abi_channel) == 368, "ncclDevChannel");

struct abi_comm {
	int rank, nranks, node, nnodes;
	int buff_sizes[ABI_PROTOS];
	int p2p_chunk_size;
	uint32_t *work_consumed; /* by channel: how much of the work fifo it has read */
	int *collnet_dense_to_user_rank;
	volatile uint32_t *abort_flag;
	struct abi_channel *channels;
};
static_assert(offsetof(struct abi_comm, abort_flag) == 48, "ncclDevComm.abortFlag");
static_assert(sizeof(struct abi_comm) == 64, "ncclDevComm");
struct abi_comm_and_channels {
	struct abi_comm comm;
	struct abi_channel channels[ABI_CHANNELS];
};
static_assert(offsetof(struct abi_comm_and_channels, channels) == 64, "ncclDevCommAndChannels");

struct abi_p2p { /* [ncclDevWorkP2p] */
	void *send_addr, *recv_addr;
	size_t send_bytes, recv_bytes;
	int send_rank, recv_rank;
	uint8_t nchannels, channel_base, nsend_channels, nrecv_channels;
	uint8_t send_chunk_fp8, recv_chunk_fp8;
	uint8_t send_ll : 1, recv_ll : 1, send_reg : 1, recv_reg : 1;
} __attribute__((aligned(16)));
static_assert(sizeof(struct abi_p2p) == 48, "ncclDevWorkP2p");

struct abi_coll { /* [ncclDevWorkColl] */
	uint32_t channel_lo : 8, channel_hi : 8, nwarps : 8, redop_arg_is_ptr : 1, reg : 2,
		one_node : 1, direct : 4;
	uint32_t root;
	void *recvbuff, *sendbuff;
	size_t count_lo, count_mid, count_hi;
	uint64_t grains_lo : 21, grains_mid : 21, grains_hi : 21;
	uint64_t redop_arg;
} __attribute__((aligned(16)));
static_assert(offsetof(struct abi_coll, count_lo) == 24, "ncclDevWorkColl.cbd");
static_assert(sizeof(struct abi_coll) == 64, "ncclDevWorkColl");

/* Tells the host how far a channel has read the work fifo. */
static inline void abi_work_consumed(struct abi_comm *comm, int channel, uint32_t offset)
{
	__atomic_store_n(&comm->work_consumed[channel], offset, __ATOMIC_RELEASE);
}

static inline int abi_p2p_registered(const struct abi_p2p *w)
{
	return w->send_reg || w->recv_reg;
}

static inline int abi_coll_registered(const struct abi_coll *w)
{
	return w->reg != 0;
}

#endif
