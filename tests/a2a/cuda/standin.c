/*
 * Packing by kernels without a GPU: a library of the name and form of liblina-cuda.so.0, in which a
 * kernel is a host function on the stream that runs its threads one after the other. What liblina
 * asks of kernels is tried with it; the kernels themselves are not.
 */
#include <stdlib.h>

#include "collectives/cuda_packing.h"

/* Few, so that each does several rows and several parts of a row. */
enum { BLOCKS = 3, THREADS = 7 };

struct launch {
	enum { GATHER, SUM, ADD } kind;
	struct lina_gather gather;
	struct lina_sum sum;
	struct lina_add add;
};

static void run_thread(const struct launch *launch, const struct lina_thread *at)
{
	switch (launch->kind) {
	case GATHER:
		lina_gather_thread(&launch->gather, at);
		break;
	case SUM:
		lina_sum_thread(&launch->sum, at);
		break;
	case ADD:
		lina_add_thread(&launch->add, at);
		break;
	}
}

static void run(void *arg)
{
	struct lina_thread at = { 0, BLOCKS, 0, THREADS };

	for (at.block = 0; at.block < BLOCKS; at.block++)
		for (at.thread = 0; at.thread < THREADS; at.thread++)
			run_thread(arg, &at);
	free(arg);
}

static int start(const struct launch *launch, cudaStream_t stream)
{
	struct launch *copy = malloc(sizeof(*copy));

	if (copy == NULL)
		return cudaErrorMemoryAllocation;
	*copy = *launch;
	cudaError_t result = cudaLaunchHostFunc(stream, run, copy);
	if (result != cudaSuccess)
		free(copy);
	return (int)result;
}

static int gather(const struct lina_gather *args, size_t most, cudaStream_t stream)
{
	const struct launch launch = { .kind = GATHER, .gather = *args };

	(void)most;
	return start(&launch, stream);
}

static int sum(const struct lina_sum *args, size_t most, cudaStream_t stream)
{
	const struct launch launch = { .kind = SUM, .sum = *args };

	(void)most;
	return start(&launch, stream);
}

static int add(const struct lina_add *args, cudaStream_t stream)
{
	const struct launch launch = { .kind = ADD, .add = *args };

	return start(&launch, stream);
}

extern const struct lina_cuda_packing lina_cuda_packing_1;
__attribute__((visibility("default")))
const struct lina_cuda_packing lina_cuda_packing_1 = { gather, sum, add };
