/* The stream functions of the runtime's interface. */
#include "runtime_stream.h"

#include "runtime_driver.h"

#include <stdlib.h>

/* Later names of the graph interface; none of it is in our header. */
cudaError_t cudaStreamGetCaptureInfo(
	cudaStream_t stream, enum cudaStreamCaptureStatus *status, unsigned long long *id);
cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
	unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
	size_t *count);
cudaError_t cudaStreamGetCaptureInfo_v3(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
	unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
	const void **edges, size_t *count);

API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
	if (!stream || flags & ~(unsigned int)cudaStreamNonBlocking)
		return runtime_error(cudaErrorInvalidValue);
	*stream = (cudaStream_t)runtime_stream_new(flags);
	return cudaSuccess;
}

API cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
	return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

/* The range of priorities is empty (see cudaDeviceGetStreamPriorityRange), CUDA clamps to it. */
API cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority)
{
	(void)priority;
	return cudaStreamCreateWithFlags(stream, flags);
}

API cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
	if (!stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread)
		return runtime_error(cudaErrorInvalidResourceHandle);
	runtime_stream_close(runtime_stream_of(stream));
	return cudaSuccess;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* The legacy stream ends when all that orders itself with it has. */
API cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
	struct runtime_stream *on = runtime_stream_of(stream);
	if (runtime_stream_is_null(on))
		runtime_stream_push(on, nothing, NULL);
	runtime_stream_drain(on);
	return cudaSuccess;
}

API cudaError_t cudaStreamQuery(cudaStream_t stream)
{
	struct runtime_stream *on = runtime_stream_of(stream);
	bool pending = runtime_stream_is_null(on) ? runtime_device_pending(on->device, true)
						  : runtime_stream_pending(on);
	return pending ? cudaErrorNotReady : cudaSuccess;
}

API cudaError_t cudaDeviceSynchronize(void)
{
	runtime_device_drain(runtime_device());
	return cudaSuccess;
}

API cudaError_t cudaStreamGetId(cudaStream_t stream, unsigned long long *id)
{
	*id = runtime_stream_of(stream)->id;
	return cudaSuccess;
}

API cudaError_t cudaStreamGetFlags(cudaStream_t stream, unsigned int *flags)
{
	*flags = runtime_stream_of(stream)->flags;
	return cudaSuccess;
}

API cudaError_t cudaStreamGetPriority(cudaStream_t stream, int *priority)
{
	(void)runtime_stream_of(stream);
	*priority = 0;
	return cudaSuccess;
}

API cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void *arg)
{
	if (!fn)
		return runtime_error(cudaErrorInvalidValue);
	runtime_stream_push(runtime_stream_of(stream), fn, arg);
	return cudaSuccess;
}

struct callback {
	cudaStream_t stream;
	cudaStreamCallback_t fn;
	void *arg;
};

static void callback_run(void *arg)
{
	struct callback *callback = arg;
	callback->fn(callback->stream, cudaSuccess, callback->arg);
	free(callback);
}

API cudaError_t cudaStreamAddCallback(
	cudaStream_t stream, cudaStreamCallback_t fn, void *arg, unsigned int flags)
{
	if (!fn || flags)
		return runtime_error(cudaErrorInvalidValue);
	struct callback *callback = runtime_alloc(sizeof *callback);
	*callback = (struct callback){ stream, fn, arg };
	runtime_stream_push(runtime_stream_of(stream), callback_run, callback);
	return cudaSuccess;
}

/* ---- capture: no stream is ever captured into a graph, cudaStreamBeginCapture aborts ------------
 */

API cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
	static _Thread_local enum cudaStreamCaptureMode current = cudaStreamCaptureModeGlobal;
	enum cudaStreamCaptureMode before = current;
	current = *mode;
	*mode = before;
	return cudaSuccess;
}

API cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus *status)
{
	(void)runtime_stream_of(stream);
	*status = cudaStreamCaptureStatusNone;
	return cudaSuccess;
}

API cudaError_t hostgpu_capture_info(cudaStream_t stream, enum cudaStreamCaptureStatus *status,
	unsigned long long *id, cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
	size_t *count)
{
	if (id)
		*id = 0;
	if (graph)
		*graph = NULL;
	if (dependencies)
		*dependencies = NULL;
	if (count)
		*count = 0;
	return cudaStreamIsCapturing(stream, status);
}

API cudaError_t cudaStreamGetCaptureInfo(
	cudaStream_t stream, enum cudaStreamCaptureStatus *status, unsigned long long *id)
{
	return hostgpu_capture_info(stream, status, id, NULL, NULL, NULL);
}

API cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream,
	enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph,
	const cudaGraphNode_t **dependencies, size_t *count)
{
	return hostgpu_capture_info(stream, status, id, graph, dependencies, count);
}

API cudaError_t cudaStreamGetCaptureInfo_v3(cudaStream_t stream,
	enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph,
	const cudaGraphNode_t **dependencies, const void **edges, size_t *count)
{
	if (edges)
		*edges = NULL;
	return hostgpu_capture_info(stream, status, id, graph, dependencies, count);
}
