/*
 * The collectives of NCCL, one row each: where a rank's data lies, the call, and what must be there
 * when it is done. All counts and offsets are in elements.
 */
#ifndef LINA_TESTS_NCCL_COLLECTIVE_H
#define LINA_TESTS_NCCL_COLLECTIVE_H

#include "pattern.h"

#include <cuda_runtime.h>
#include <nccl.h>

/* One call, the same on all ranks but for rank. */
struct call {
	int rank, nranks, root;
	size_t count; /* of a whole buffer of allreduce, reduce, broadcast; else of one rank's block
		       */
	const struct pattern *pattern;
	ncclRedOp_t op;
	ncclComm_t comm;
	cudaStream_t stream;
};

/* Where a rank has its buffers: with `in_place` both lie in one allocation. */
struct layout {
	size_t send_count, recv_count;
	size_t send_at, recv_at; /* offsets in that allocation; 0 when not in place */
};

struct collective {
	const char *name;
	bool reduces;
	bool by_block; /* count is one block of nranks */
	bool in_place; /* the call may be made in place */
	struct layout (*layout)(const struct call *call, bool in_place);
	ncclResult_t (*launch)(const struct call *call, const void *send, void *recv);
	/* Writes what this rank must find at `recv` afterwards, over what was there before. */
	void (*expect)(const struct call *call, void *recv);
};

/* All that this release of NCCL has. */
extern const struct collective collectives[];
extern const int ncollectives;

#endif
