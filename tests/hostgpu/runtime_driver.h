#ifndef HOSTGPU_RUNTIME_DRIVER_H
#define HOSTGPU_RUNTIME_DRIVER_H

#include <cuda_runtime.h>

/*
 * The functions for which NCCL's archive has weak stand-ins of its own, which only return an error.
 * libnccl.so.2 defines them to call these in libcudart.so.12.
 */

/* The driver's function of that name; *found_p (may be NULL): 0 found, 1 no such function. */
cudaError_t hostgpu_driver_entry(const char *name, void **function_p, int *found_p);

/* Says that no capture goes on. Every output but status may be NULL. */
cudaError_t hostgpu_capture_info(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
	unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
	size_t *count);

/* Aborts with the name of a function that is not there. */
_Noreturn void hostgpu_missing(const char *function);

#endif
