/* Copies and fills. */
#include "runtime.h"

#include <stdlib.h>
#include <string.h>

struct copy {
	void *to;
	const void *from; /* may point to staged */
	size_t bytes;
	char staged[];
};

struct fill {
	void *to;
	int value;
	size_t bytes;
};

static void copy_run(void *arg)
{
	struct copy *copy = arg;
	memmove(copy->to, copy->from, copy->bytes);
	free(copy);
}

static void fill_run(void *arg)
{
	struct fill *fill = arg;
	memset(fill->to, fill->value, fill->bytes);
	free(fill);
}

static bool pageable(struct runtime_range range)
{
	return range.type == cudaMemoryTypeUnregistered;
}

/* Pageable memory has no bounds that we know. */
static bool inside(struct runtime_range range, const void *ptr, size_t bytes)
{
	return pageable(range) || bytes <= range.bytes - (size_t)((const char *)ptr - range.at);
}

static cudaError_t check(
	struct runtime_range to, struct runtime_range from, enum cudaMemcpyKind kind)
{
	if ((unsigned int)kind > cudaMemcpyDefault)
		return cudaErrorInvalidMemcpyDirection;
	bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
	bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
	if ((to_device && pageable(to)) || (from_device && pageable(from)))
		return cudaErrorInvalidValue;
	return cudaSuccess;
}

/* Queues the copy. From pageable memory the bytes are taken now, into pageable memory they are
 * there when this returns, as on a GPU. */
static cudaError_t copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
	cudaStream_t stream, bool wait)
{
	struct runtime_range to_range = runtime_range_of(to), from_range = runtime_range_of(from);
	cudaError_t error = check(to_range, from_range, kind);
	if (!error && bytes && !(to && from))
		error = cudaErrorInvalidValue;
	if (!error && !(inside(to_range, to, bytes) && inside(from_range, from, bytes)))
		error = cudaErrorInvalidValue;
	if (error || !bytes)
		return runtime_error(error);
	wait = wait || pageable(to_range);
	bool stage = pageable(from_range) && !wait;
	struct copy *task = runtime_alloc(sizeof *task + (stage ? bytes : 0));
	task->to = to;
	task->bytes = bytes;
	task->from = stage ? memcpy(task->staged, from, bytes) : from;
	struct runtime_stream *on = runtime_stream_of(stream);
	runtime_stream_push(on, copy_run, task);
	if (wait)
		runtime_stream_drain(on);
	return cudaSuccess;
}

API cudaError_t cudaMemcpyAsync(
	void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t stream)
{
	return copy(to, from, bytes, kind, stream, false);
}

API cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
	return copy(to, from, bytes, kind, NULL, true);
}

API cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device,
	size_t bytes, cudaStream_t stream)
{
	int count = hostgpu_devices();
	if (to_device < 0 || to_device >= count || from_device < 0 || from_device >= count)
		return runtime_error(cudaErrorInvalidDevice);
	return copy(to, from, bytes, cudaMemcpyDeviceToDevice, stream, false);
}

static void device_settle(int device)
{
	int current = runtime_device();
	runtime_device_set(device);
	cudaStreamSynchronize(NULL);
	runtime_device_set(current);
}

/* Ordered with the work of both devices. */
API cudaError_t cudaMemcpyPeer(
	void *to, int to_device, const void *from, int from_device, size_t bytes)
{
	int count = hostgpu_devices();
	if (to_device < 0 || to_device >= count || from_device < 0 || from_device >= count)
		return runtime_error(cudaErrorInvalidDevice);
	device_settle(to_device);
	device_settle(from_device);
	return copy(to, from, bytes, cudaMemcpyDeviceToDevice, NULL, true);
}

API cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
	struct runtime_range range = runtime_range_of(to);
	if (bytes && (pageable(range) || !inside(range, to, bytes)))
		return runtime_error(cudaErrorInvalidValue);
	if (!bytes)
		return cudaSuccess;
	struct fill *task = runtime_alloc(sizeof *task);
	*task = (struct fill){ to, value, bytes };
	runtime_stream_push(runtime_stream_of(stream), fill_run, task);
	return cudaSuccess;
}

API cudaError_t cudaMemset(void *to, int value, size_t bytes)
{
	cudaError_t error = cudaMemsetAsync(to, value, bytes, NULL);
	if (!error)
		runtime_stream_drain(runtime_stream_of(NULL));
	return error;
}
