#ifndef HOSTGPU_RUNTIME_H
#define HOSTGPU_RUNTIME_H

/*
 * What the runtime's own files share. Memory of a device is memory of the process, a stream is a
 * thread with a queue, a kernel runs in the executor that libnccl.so.2 brings along.
 * Everything here may be called by any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuda_runtime.h>

#include "runtime_config.h"

#define API __attribute__((visibility("default")))

/* ---- errors -------------------------------------------------------------------------------- */

/* Remembers error for cudaGetLastError, as every failing call must, and returns it. */
cudaError_t runtime_error(cudaError_t error);

/* calloc that ends the process where there is no memory: nothing here could go on. */
void *runtime_alloc(size_t bytes);

/* ---- devices ------------------------------------------------------------------------------- */

int runtime_device(void);            /* the calling thread's current device */
void runtime_device_set(int device); /* 0 .. hostgpu_devices() - 1 */

/* ---- memory -------------------------------------------------------------------------------- */

struct runtime_range {
	char *at; /* NULL: no allocation of this runtime, that is pageable host memory */
	size_t bytes;
	enum cudaMemoryType type;
	int device;
};

/* The allocation or registration that holds the byte at ptr. */
struct runtime_range runtime_range_of(const void *ptr);

/* ---- streams ------------------------------------------------------------------------------- */

struct runtime_stream;

/* The stream that a handle names; NULL and cudaStreamLegacy name the current device's own. */
struct runtime_stream *runtime_stream_of(cudaStream_t handle);

/* Queues run(arg) behind all that CUDA orders before it: the stream's own work and, between a
 * device's legacy stream and its blocking streams, each other's. Work pushed later by any thread
 * comes later. */
void runtime_stream_push(struct runtime_stream *stream, void (*run)(void *arg), void *arg);

/* Waits until everything pushed before the call has run. */
void runtime_stream_drain(struct runtime_stream *stream);

/* Calls run(arg) once all work that is queued now on the streams of device (-1: of any device) is
 * over; at once, on the calling thread, where none is. */
void runtime_after_queued(int device, void (*run)(void *arg), void *arg);

/* ---- kernels ------------------------------------------------------------------------------- */

/* Queues the kernel that symbol names. Either params (an array of pointers) or extra (CUDA's
 * CU_LAUNCH_PARAM_* list, a packed buffer) holds its arguments; they are copied before the return.
 */
cudaError_t runtime_kernel_launch(
	const void *symbol, cudaStream_t stream, void *const *params, void *const *extra);

/* The attributes of a launch that mean something here; ends the process at one it does not know. */
void runtime_launch_attributes(
	const cudaLaunchAttribute *attributes, unsigned int count, cudaStream_t stream);

#endif
