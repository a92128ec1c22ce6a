/* The kernels of packing: what a thread does is in a2a_kernel.h. */
#include <cuda_runtime.h>

#include "collectives/cuda_packing.h"

namespace
{

enum { THREADS = 256, BLOCKS_MAX = 4096 };

__device__ struct lina_thread this_thread()
{
	return { blockIdx.x, gridDim.x, threadIdx.x, blockDim.x };
}

__global__ void gather_rows(const struct lina_gather gather)
{
	const struct lina_thread at = this_thread();

	lina_gather_thread(&gather, &at);
}

__global__ void sum_rows(const struct lina_sum sum)
{
	const struct lina_thread at = this_thread();

	lina_sum_thread(&sum, &at);
}

__global__ void add_elements(const struct lina_add add)
{
	const struct lina_thread at = this_thread();

	lina_add_thread(&add, &at);
}

unsigned blocks_for(size_t n)
{
	return n < 1 ? 1 : n > BLOCKS_MAX ? (unsigned)BLOCKS_MAX : (unsigned)n;
}

int gather(const struct lina_gather *args, size_t most, cudaStream_t stream)
{
	gather_rows<<<blocks_for(most), THREADS, 0, stream>>>(*args);
	return cudaGetLastError();
}

int sum(const struct lina_sum *args, size_t most, cudaStream_t stream)
{
	sum_rows<<<blocks_for(most), THREADS, 0, stream>>>(*args);
	return cudaGetLastError();
}

int add(const struct lina_add *args, cudaStream_t stream)
{
	add_elements<<<blocks_for((args->n + THREADS - 1) / THREADS), THREADS, 0, stream>>>(*args);
	return cudaGetLastError();
}

} // namespace

extern "C" __attribute__((visibility("default"))) const struct lina_cuda_packing lina_cuda_packing_1 = {
	gather, sum, add
};
