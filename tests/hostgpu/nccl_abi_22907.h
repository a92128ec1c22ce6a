/* The device structures of NCCL 2.29.7, after its public source. */
#ifndef HOSTGPU_NCCL_ABI_22907_H
#define HOSTGPU_NCCL_ABI_22907_H

#include "nccl_abi_common.h"

enum {
	ABI_TYPES = 12,
	ABI_CHANNELS = 64,
	/* A channel's part of a send is its distance from the first channel, as it is. */
	ABI_P2P_PART_REVERSED = 0,
	/* The argument of an integer average is twice the ranks, plus one for signed types. */
	ABI_POSTDIV_HAS_SIGN = 1,
	/* Connection flags by which NCCL reads and writes user buffers of unregistered peers. */
	ABI_CONN_DIRECT = 0,
};

/* Kernels count works and stamp their times for profilers. */
#define ABI_PROFILES 1
enum { ABI_PROFILER_EVENTS = 64 };

#define ABI_ROW_GROUPS                                                                             \
	{ FUNC_SENDRECV, 0, 0, { 0 } },                                                            \
		{ FUNC_ALLGATHER, 0, 4, { ALGO_RING, ALGO_COLLNET_DIRECT, ALGO_NVLS, ALGO_PAT } }, \
		{ FUNC_BROADCAST, 0, 1, { ALGO_RING } }, { FUNC_ALLGATHERV, 0, 1, { ALGO_RING } }, \
		{ FUNC_ALLREDUCE, 1, 6,                                                            \
			{ ALGO_TREE, ALGO_RING, ALGO_COLLNET_DIRECT, ALGO_COLLNET_CHAIN,           \
				ALGO_NVLS, ALGO_NVLS_TREE } },                                     \
		{ FUNC_REDUCE, 1, 1, { ALGO_RING } },                                              \
	{                                                                                          \
		FUNC_REDUCESCATTER, 1, 4,                                                          \
		{                                                                                  \
			ALGO_RING, ALGO_COLLNET_DIRECT, ALGO_NVLS, ALGO_PAT                        \
		}                                                                                  \
	}

struct abi_ring {
	int prev, next;
	int *user_ranks; /* ranks in the order of the ring, from this one */
	int *rank_to_index;
	int index; /* of this rank */
};
struct abi_nvls {
	int out, nheads, head_rank, up[32], down, tree_up, tree_down[3];
};

struct abi_channel {
	struct abi_peer **peers; /* by rank */
	struct abi_ring ring;
	struct abi_tree tree, collnet_chain;
	struct abi_direct collnet_direct;
	struct abi_nvls nvls;
	uint32_t *work_fifo_done;
	uint64_t work_counter; /* works done since the communicator began */
} __attribute__((aligned(16)));
static_assert(offsetof(struct abi_channel, tree) == 40, "ncclDevChannel.tree");
static_assert(offsetof(struct abi_channel, work_counter) == 360, "ncclDevChannel.workCounter");
static_assert(sizeof(struct abi_channel) == 368, "ncclDevChannel");

struct abi_profiler {
	struct {
		uint64_t counter, timestamp;
	} data[ABI_PROFILER_EVENTS];
};

struct abi_comm {
	int rank, nranks, node, nnodes;
	int buff_sizes[ABI_PROTOS];
	int p2p_chunk_size, is_all_nvlink;
	int *collnet_dense_to_user_rank;
	volatile uint32_t *abort_flag;
	struct abi_channel *channels;
	int *rank_to_local_rank;
	struct abi_profiler *work_started, *work_completed; /* by channel */
};
static_assert(offsetof(struct abi_comm, abort_flag) == 48, "ncclKernelComm.abortFlag");
static_assert(sizeof(struct abi_comm) == 88, "ncclKernelComm");
struct abi_comm_and_channels {
	struct abi_comm comm;
	struct abi_channel channels[ABI_CHANNELS];
};
static_assert(offsetof(struct abi_comm_and_channels, channels) == 96, "ncclKernelCommAndChannels");

struct abi_p2p { /* [ncclDevWorkP2p] */
	void *send_addr, *recv_addr;
	size_t send_bytes, recv_bytes;
	int send_rank, recv_rank;
	uint8_t nchannels, channel_base, nsend_channels, nrecv_channels;
	uint8_t send_chunk_fp8, recv_chunk_fp8;
	uint8_t send_ll : 1, recv_ll : 1, send_netreg : 1, recv_netreg : 1, send_ipcreg : 1,
		recv_ipcreg : 1, profiled : 1;
} __attribute__((aligned(16)));
static_assert(sizeof(struct abi_p2p) == 48, "ncclDevWorkP2p");

struct abi_coll { /* [ncclDevWorkColl] */
	uint32_t channel_lo : 8, channel_hi : 8, nwarps : 8, redop_arg_is_ptr : 1, reg : 1,
		netreg : 1, one_node : 1, direct : 2, one_rank_per_node : 1, profiled : 1;
	uint32_t root;
	void *recvbuff, *sendbuff;
	uintptr_t sendbuff_offset, recvbuff_offset;
	uintptr_t *sendbuff_remote, *recvbuff_remote;
	size_t count_lo, count_mid, count_hi;
	uint64_t grains_lo : 21, grains_mid : 21, grains_hi : 21;
	uint64_t redop_arg;
} __attribute__((aligned(16)));
static_assert(offsetof(struct abi_coll, count_lo) == 56, "ncclDevWorkColl.cbd");
static_assert(sizeof(struct abi_coll) == 96, "ncclDevWorkColl");

/* Tells the host how far a channel has read the work fifo: here the host knows by itself. */
static inline void abi_work_consumed(struct abi_comm *comm, int channel, uint32_t offset)
{
	(void)comm;
	(void)channel;
	(void)offset;
}

static inline int abi_p2p_registered(const struct abi_p2p *w)
{
	return w->send_netreg || w->recv_netreg || w->send_ipcreg || w->recv_ipcreg;
}

static inline int abi_coll_registered(const struct abi_coll *w)
{
	return w->reg || w->netreg;
}

#endif
