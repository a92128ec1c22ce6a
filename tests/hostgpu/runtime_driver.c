/* The driver functions that NCCL asks the runtime for. */
#include "runtime_driver.h"
#include "runtime.h"

#include <string.h>

typedef void (*function)(void);

static cudaError_t error_name(cudaError_t error, const char **name)
{
	*name = cudaGetErrorName(error);
	return cudaSuccess;
}

static cudaError_t error_string(cudaError_t error, const char **text)
{
	*text = cudaGetErrorString(error);
	return cudaSuccess;
}

static cudaError_t device_get(int *device, int ordinal)
{
	if (ordinal < 0 || ordinal >= hostgpu_devices())
		return cudaErrorInvalidDevice;
	*device = ordinal;
	return cudaSuccess;
}

static cudaError_t address_range(void **base, size_t *bytes, const void *ptr)
{
	struct runtime_range range = runtime_range_of(ptr);
	if (range.type == cudaMemoryTypeUnregistered)
		return cudaErrorInvalidValue;
	if (base)
		*base = range.at;
	if (bytes)
		*bytes = range.bytes;
	return cudaSuccess;
}

/* A context is its device. */
static char contexts[HOSTGPU_DEVICES_MAX];

static cudaError_t context_current(void **context)
{
	*context = &contexts[runtime_device()];
	return cudaSuccess;
}

static cudaError_t context_set(void *context)
{
	int device = (int)((char *)context - contexts);
	if (!context || device < 0 || device >= hostgpu_devices())
		return cudaErrorInvalidValue;
	runtime_device_set(device);
	return cudaSuccess;
}

static cudaError_t pointer_attribute(void *value, int attribute, const void *ptr)
{
	enum { DEVICE_ORDINAL = 9, LEGACY_IPC_CAPABLE = 10, ALLOWED_HANDLE_TYPES = 14 };
	struct runtime_range range = runtime_range_of(ptr);
	if (range.type == cudaMemoryTypeUnregistered)
		return cudaErrorInvalidValue;
	switch (attribute) {
	case DEVICE_ORDINAL:
		memcpy(value, &range.device, sizeof range.device);
		return cudaSuccess;
	case LEGACY_IPC_CAPABLE: /* cannot be shared with other processes, in the old way or the new
				  */
		memset(value, 0, 1);
		return cudaSuccess;
	case ALLOWED_HANDLE_TYPES:
		memset(value, 0, sizeof(uint64_t));
		return cudaSuccess;
	default:
		hostgpu_die("cuPointerGetAttribute: attribute %d is not supported", attribute);
	}
}

/* CUDA's CUlaunchConfig. */
struct launch_config {
	unsigned int grid[3], block[3], shared_bytes;
	cudaStream_t stream;
	const cudaLaunchAttribute *attributes;
	unsigned int count;
};

static cudaError_t launch_ex(
	const struct launch_config *config, const void *kernel, void **params, void **extra)
{
	runtime_launch_attributes(config->attributes, config->count, config->stream);
	return runtime_kernel_launch(kernel, config->stream, params, extra);
}

static cudaError_t launch(/* NOLINT(readability-function-size): cuLaunchKernel's signature */
	const void *kernel, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
	unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes,
	cudaStream_t stream, void **params, void **extra)
{
	(void)grid_x, (void)grid_y, (void)grid_z, (void)block_x, (void)block_y, (void)block_z;
	(void)shared_bytes;
	return runtime_kernel_launch(kernel, stream, params, extra);
}

/* NCCL calls these only where an attribute or an environment variable says that it may. */
/* clang-format off: version 14 never comes to rest on this one */
#define MISSING(X)                       \
	X(cuCtxCreate)                   \
	X(cuCtxDestroy)                  \
	X(cuMemGetHandleForAddressRange) \
	X(cuPointerSetAttribute)         \
	X(cuStreamBatchMemOp)            \
	X(cuStreamWaitValue32)           \
	X(cuStreamWaitValue64)           \
	X(cuStreamWriteValue32)          \
	X(cuStreamWriteValue64)
/* clang-format on */

#define DEFINE_MISSING(name)                               \
	static void missing_##name(void)                   \
	{                                                  \
		hostgpu_die("%s is not supported", #name); \
	}
MISSING(DEFINE_MISSING)

/* What is not in the table does not exist in this driver: NCCL then does without memory mapping
 * (cuMem*) and multicast (cuMulticast*). */
#define ROW_MISSING(name) { #name, missing_##name },
static const struct {
	const char *name;
	function function;
} functions[] = { { "cuGetErrorString", (function)error_string },
	{ "cuGetErrorName", (function)error_name }, { "cuDeviceGet", (function)device_get },
	{ "cuDeviceGetAttribute", (function)cudaDeviceGetAttribute },
	{ "cuMemGetAddressRange", (function)address_range },
	{ "cuCtxGetCurrent", (function)context_current },
	{ "cuCtxSetCurrent", (function)context_set }, { "cuCtxGetDevice", (function)cudaGetDevice },
	{ "cuPointerGetAttribute", (function)pointer_attribute },
	{ "cuLaunchKernel", (function)launch }, { "cuLaunchKernelEx", (function)launch_ex },
	MISSING(ROW_MISSING) };

API cudaError_t hostgpu_driver_entry(const char *name, void **function_p, int *found_p)
{
	enum { FOUND = 0, NOT_FOUND = 1 }; /* cudaDriverEntryPointQueryResult */
	function found = NULL;
	for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
		if (!strcmp(functions[i].name, name))
			found = functions[i].function;
	memcpy(function_p, &found, sizeof found);
	if (found_p)
		*found_p = found ? FOUND : NOT_FOUND;
	return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPoint(
	const char *name, void **function_p, unsigned long long flags, int *found_p);
cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function_p,
	unsigned int version, unsigned long long flags, int *found_p);

API cudaError_t cudaGetDriverEntryPoint(
	const char *name, void **function_p, unsigned long long flags, int *found_p)
{
	(void)flags;
	return hostgpu_driver_entry(name, function_p, found_p);
}

API cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **function_p,
	unsigned int version, unsigned long long flags, int *found_p)
{
	(void)version, (void)flags;
	return hostgpu_driver_entry(name, function_p, found_p);
}
