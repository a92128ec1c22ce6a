/*
 * A communicator without NCCL: ranks are threads of this process, connected by shared memory as
 * NCCL's own shared-memory transport does it, so that executor_run() can be tested by itself.
 */
#ifndef HOSTGPU_TEST_WORLD_H
#define HOSTGPU_TEST_WORLD_H

#include "exec_function.h"

#include <stdbool.h>

enum {
	WORLD_FUNCTIONS = 2048, /* ids in use are below */
	WORLD_RANKS = 20,
	WORLD_CHANNELS = 2,
	WORLD_STEP_BYTES = 4096, /* of each protocol's buffers */
	WORLD_ARGS_BYTES = 4096,
	WORLD_FIFO_BYTES = 1024,
};

/* Where a kernel finds its works. */
enum world_storage { WORLD_ARGS, WORLD_FIFO };

struct world;

/* Every connection has done first_step steps already. Never fails: it aborts. */
struct world *world_new(int nranks, uint64_t first_step);
void world_free(struct world *w);

struct abi_comm *world_comm(struct world *w, int rank);
uint32_t *world_abort_flag(struct world *w); /* of all ranks */

/* Lines of the LL buffer that go from a rank to the next of the ring, on channel 0. */
const uint32_t *world_ll_slot(const struct world *w, int rank, uint64_t step);

/* The id of a function; one that reduces: a sum of float. Aborts where there is none. */
unsigned world_function(enum abi_func func, enum abi_algo algo, enum abi_proto proto);

/* A collective work over all channels: count elements, all ranks alike but for the buffers. */
struct abi_coll world_coll(const struct exec_function *fn, size_t count, void *send, void *recv);

/* What a rank is to run: works of one type, the same for all channels. */
struct world_kernel {
	unsigned func_id;
	enum abi_work_type type;
	const void *works;
	int nworks;
	enum world_storage storage;
};

/* Runs rank r's kernels[r] on a thread each, to their end. */
void world_run(struct world *w, const struct world_kernel *kernels);

/* Runs one rank's kernel on the calling thread. */
void world_run_one(struct world *w, int rank, const struct world_kernel *kernel);

#endif
