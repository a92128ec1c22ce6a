/*
 * Packing by kernels: a library of its own, liblina-cuda.so.0, which is built where CUDA's compiler
 * is and looked for when it is first asked for. liblina itself needs no CUDA.
 */
#ifndef LINA_COLLECTIVES_CUDA_PACKING_H
#define LINA_COLLECTIVES_CUDA_PACKING_H

#include <cuda_runtime.h>

#include "collectives/a2a_kernel.h"

/* Each puts a kernel on the stream and returns cudaSuccess or CUDA's error. All that the arguments
 * point to must be memory that the device can address; what they say is copied. most: rows that
 * there will be at most. */
struct lina_cuda_packing {
	int (*gather)(const struct lina_gather *gather, size_t most, cudaStream_t stream);
	int (*sum)(const struct lina_sum *sum, size_t most, cudaStream_t stream);
	int (*add)(const struct lina_add *add, cudaStream_t stream);
};

/* The only symbol of that library; its number changes with the structures above. */
#define LINA_CUDA_LIBRARY "liblina-cuda.so.0"
#define LINA_CUDA_SYMBOL  "lina_cuda_packing_1"

/* Beside the library or program that this is in, else where the dynamic linker looks. -ENOTSUP,
 * with a text: it is not there, or not for this CUDA. Any thread. */
int lina_cuda_packing_get(const struct lina_cuda_packing **packing_p);

#endif
