/* The last error of each thread, and what errors are called. */
#include "runtime.h"

#include <stdlib.h>

static _Thread_local cudaError_t last_error;

#define ERRORS(X)                                                                    \
	X(cudaSuccess, "no error")                                                   \
	X(cudaErrorInvalidValue, "invalid argument")                                 \
	X(cudaErrorMemoryAllocation, "out of memory")                                \
	X(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")      \
	X(cudaErrorInvalidDeviceFunction, "invalid device function")                 \
	X(cudaErrorInvalidDevice, "invalid device ordinal")                          \
	X(cudaErrorPeerAccessUnsupported, "peer access is not supported")            \
	X(cudaErrorInvalidResourceHandle, "invalid resource handle")                 \
	X(cudaErrorNotReady, "device not ready")                                     \
	X(cudaErrorPeerAccessNotEnabled, "peer access has not been enabled")         \
	X(cudaErrorHostMemoryAlreadyRegistered, "host memory is already registered") \
	X(cudaErrorHostMemoryNotRegistered, "host memory is not registered")         \
	X(cudaErrorNotSupported, "operation not supported")                          \
	X(cudaErrorUnknown, "unknown error")

cudaError_t runtime_error(cudaError_t error)
{
	if (error != cudaSuccess)
		last_error = error;
	return error;
}

void *runtime_alloc(size_t bytes)
{
	void *memory = calloc(1, bytes);
	if (!memory)
		hostgpu_die("out of memory for %zu bytes", bytes);
	return memory;
}

API cudaError_t cudaGetLastError(void)
{
	cudaError_t error = last_error;
	last_error = cudaSuccess;
	return error;
}

API cudaError_t cudaPeekAtLastError(void)
{
	return last_error;
}

#define NAME(error, text) \
	case error:       \
		return #error;
#define TEXT(error, text) \
	case error:       \
		return text;

API const char *cudaGetErrorName(cudaError_t error)
{
	switch (error) {
		ERRORS(NAME)
	}
	return "unrecognized error code";
}

API const char *cudaGetErrorString(cudaError_t error)
{
	switch (error) {
		ERRORS(TEXT)
	}
	return "unrecognized error code";
}
