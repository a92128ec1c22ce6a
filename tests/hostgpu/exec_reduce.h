/*
 * NCCL's reduction operations, element by element, in the type's own precision after each step.
 * fp8 is computed in half, as NCCL's kernels do. [src/device/reduce_kernel.h]
 *
 * Pointers are aligned to the type. dst may be the same as a source, else they do not overlap.
 */
#ifndef HOSTGPU_EXEC_REDUCE_H
#define HOSTGPU_EXEC_REDUCE_H

#include "nccl_abi.h"

#include <stdbool.h>

struct exec_reduction {
	enum abi_redop op;
	enum abi_type type;
	uint64_t arg; /* NCCL's scalarArg: mask of MinMax, factor of PreMulSum, divisor */
};

/* The argument of an operation as NCCL passes it: itself, or the address of one element. */
uint64_t exec_redop_arg(enum abi_type type, uint64_t arg, bool is_ptr);

/* dst[i] = op(a[i], b[i]) */
void exec_reduce(const struct exec_reduction *r, void *dst, const void *a, const void *b, size_t n);

/* Whether exec_reduce_before() / exec_reduce_after() do anything. */
bool exec_reduce_has_before(const struct exec_reduction *r);
bool exec_reduce_has_after(const struct exec_reduction *r);

/* What is done to each rank's input before it is reduced: PreMulSum's product. */
void exec_reduce_before(const struct exec_reduction *r, void *dst, const void *src, size_t n);

/* What is done to the sum of all ranks: SumPostDiv's division, towards zero. */
void exec_reduce_after(const struct exec_reduction *r, void *dst, const void *src, size_t n);

#endif
