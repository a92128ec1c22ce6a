/* Kernels: their names, as nvcc's generated code registers them, and their launches. */
#include "runtime.h"
#include "runtime_executor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kernel {
	const void *symbol;
	const char *name;
	void **module;
	struct kernel *next;
};

static pthread_mutex_t kernels_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kernel *kernels;                 /* Guarded by kernels_lock. */
static const struct hostgpu_executor *current; /* atomic */

/* ---- registration -------------------------------------------------------------------------- */

void **__cudaRegisterFatBinary(void *binary);
void __cudaRegisterFatBinaryEnd(void **module);
void __cudaUnregisterFatBinary(void **module);
char __cudaInitModule(void **module);
void __cudaRegisterVar(void **module, char *symbol, char *device, const char *name, int external,
	size_t bytes, int constant, int global);
void __cudaRegisterFunction(void **module, const char *symbol, char *device, const char *name);

API void hostgpu_executor_set(const struct hostgpu_executor *executor)
{
	__atomic_store_n(&current, executor, __ATOMIC_RELEASE);
}

API void **__cudaRegisterFatBinary(void *binary)
{
	void **module = runtime_alloc(sizeof *module);
	*module = binary;
	return module;
}

API void __cudaRegisterFatBinaryEnd(void **module)
{
	(void)module;
}

API void __cudaUnregisterFatBinary(void **module)
{
	pthread_mutex_lock(&kernels_lock);
	for (struct kernel **at = &kernels; *at;) {
		struct kernel *kernel = *at;
		if (kernel->module == module) {
			*at = kernel->next;
			free(kernel);
		} else {
			at = &kernel->next;
		}
	}
	pthread_mutex_unlock(&kernels_lock);
	free(module);
}

API char __cudaInitModule(void **module)
{
	(void)module;
	return 1;
}

/* Device variables are reached through cudaMemcpyToSymbol and its like, which abort. */
API void __cudaRegisterVar(void **module, char *symbol, char *device, const char *name,
	int external, size_t bytes, int constant, int global)
{
	(void)module, (void)symbol, (void)device, (void)name;
	(void)external, (void)bytes, (void)constant, (void)global;
}

API void __cudaRegisterFunction(void **module, const char *symbol, char *device, const char *name)
{
	(void)device;
	struct kernel *kernel = runtime_alloc(sizeof *kernel);
	pthread_mutex_lock(&kernels_lock);
	*kernel = (struct kernel){ symbol, name, module, kernels };
	kernels = kernel;
	pthread_mutex_unlock(&kernels_lock);
}

/* NULL: no such kernel. The name belongs to the module. */
static const char *kernel_name(const void *symbol)
{
	pthread_mutex_lock(&kernels_lock);
	struct kernel *kernel = kernels;
	while (kernel && kernel->symbol != symbol)
		kernel = kernel->next;
	const char *name = kernel ? kernel->name : NULL;
	pthread_mutex_unlock(&kernels_lock);
	return name;
}

/* ---- launch -------------------------------------------------------------------------------- */

struct launch {
	const struct hostgpu_executor *executor;
	const char *kernel;
	_Alignas(16) char args[];
};

static void launch_run(void *arg)
{
	struct launch *launch = arg;
	launch->executor->run(launch->kernel, launch->args);
	free(launch);
}

static struct launch *launch_new(const char *kernel, size_t bytes)
{
	size_t whole = (sizeof(struct launch) + bytes + 15) / 16 * 16;
	struct launch *launch = aligned_alloc(16, whole);
	if (!launch)
		hostgpu_die("out of memory for %zu bytes", whole);
	launch->kernel = kernel;
	launch->executor = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
	if (!launch->executor)
		hostgpu_die("kernel %s cannot run on the CPU", kernel);
	return launch;
}

static struct launch *launch_from_extra(const char *kernel, void *const *extra)
{
	enum { END = 0, POINTER = 1, SIZE = 2 }; /* CU_LAUNCH_PARAM_* */
	const void *args = NULL;
	size_t bytes = 0;
	for (size_t i = 0; (uintptr_t)extra[i] != END; i += 2) {
		if ((uintptr_t)extra[i] == POINTER)
			args = extra[i + 1];
		if ((uintptr_t)extra[i] == SIZE)
			memcpy(&bytes, extra[i + 1], sizeof bytes);
	}
	struct launch *launch = launch_new(kernel, bytes);
	if (args && bytes)
		memcpy(launch->args, args, bytes);
	return launch;
}

static struct launch *launch_from_params(const char *kernel, void *const *params)
{
	const struct hostgpu_executor *with = __atomic_load_n(&current, __ATOMIC_ACQUIRE);
	size_t bytes = with ? with->pack(kernel, params, NULL) : 0;
	if (!bytes)
		hostgpu_die("kernel %s cannot run on the CPU", kernel);
	struct launch *launch = launch_new(kernel, bytes);
	with->pack(kernel, params, launch->args);
	return launch;
}

cudaError_t runtime_kernel_launch(
	const void *symbol, cudaStream_t stream, void *const *params, void *const *extra)
{
	const char *kernel = kernel_name(symbol);
	if (!kernel)
		return runtime_error(cudaErrorInvalidDeviceFunction);
	if (hostgpu_debug())
		fprintf(stderr, "hostgpu %d: launch %s\n", (int)getpid(), kernel);
	struct launch *launch =
		extra ? launch_from_extra(kernel, extra) : launch_from_params(kernel, params);
	runtime_stream_push(runtime_stream_of(stream), launch_run, launch);
	return cudaSuccess;
}

void runtime_launch_attributes(
	const cudaLaunchAttribute *attributes, unsigned int count, cudaStream_t stream)
{
	enum {
		IGNORE = 0,
		CLUSTER_DIMENSION = 4,
		CLUSTER_SCHEDULING = 5,
		PRIORITY = 8,
		MEM_SYNC_DOMAIN_MAP = 9,
		MEM_SYNC_DOMAIN = 10,
		LAUNCH_COMPLETION_EVENT = 12
	};
	for (unsigned int i = 0; i < count; i++) {
		cudaEvent_t event;
		switch (attributes[i].id) {
		case IGNORE:
		case CLUSTER_DIMENSION: /* where blocks run and what they flush: no blocks here */
		case CLUSTER_SCHEDULING:
		case PRIORITY:
		case MEM_SYNC_DOMAIN_MAP:
		case MEM_SYNC_DOMAIN:
			break;
		case LAUNCH_COMPLETION_EVENT: /* reached when all blocks have begun */
			memcpy((void *)&event, attributes[i].val, sizeof(cudaEvent_t));
			cudaEventRecord(event, stream);
			break;
		default:
			hostgpu_die("launch attribute %d is not supported", attributes[i].id);
		}
	}
}

API cudaError_t cudaLaunchKernel(const void *symbol, dim3 grid, dim3 block, void **args,
	size_t shared_bytes, cudaStream_t stream)
{
	(void)grid, (void)block, (void)shared_bytes;
	return runtime_kernel_launch(symbol, stream, args, NULL);
}

API cudaError_t cudaLaunchKernelExC(
	const cudaLaunchConfig_t *config, const void *symbol, void **args)
{
	runtime_launch_attributes(config->attrs, config->numAttrs, config->stream);
	return runtime_kernel_launch(symbol, config->stream, args, NULL);
}

API cudaError_t cudaGetFuncBySymbol(cudaFunction_t *function, const void *symbol)
{
	if (!kernel_name(symbol))
		return runtime_error(cudaErrorInvalidDeviceFunction);
	*function = (cudaFunction_t)symbol;
	return cudaSuccess;
}

API cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attributes, const void *symbol)
{
	enum { THREADS = 640, REGISTERS = 96 }; /* what NCCL's own kernels have on a GPU */
	if (!kernel_name(symbol))
		return runtime_error(cudaErrorInvalidDeviceFunction);
	*attributes = (struct cudaFuncAttributes){
		.maxThreadsPerBlock = THREADS,
		.numRegs = REGISTERS,
		.ptxVersion = 10 * HOSTGPU_COMPUTE_MAJOR + HOSTGPU_COMPUTE_MINOR,
		.binaryVersion = 10 * HOSTGPU_COMPUTE_MAJOR + HOSTGPU_COMPUTE_MINOR,
	};
	return cudaSuccess;
}

/* ---- kernel<<<...>>>: what nvcc's generated code calls ------------------------------------------
 */

struct configuration {
	dim3 grid, block;
	size_t shared_bytes;
	cudaStream_t stream;
};
static _Thread_local struct configuration pushed;

unsigned int __cudaPushCallConfiguration(
	dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream);
cudaError_t __cudaPopCallConfiguration(
	dim3 *grid, dim3 *block, size_t *shared_bytes, cudaStream_t *stream);
cudaError_t __cudaGetKernel(const void **kernel, const void *symbol);
cudaError_t __cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **args,
	size_t shared_bytes, cudaStream_t stream);
cudaError_t cudaFuncSetAttribute(const void *symbol, int attribute, int value);

API unsigned int __cudaPushCallConfiguration(
	dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream)
{
	pushed = (struct configuration){ grid, block, shared_bytes, stream };
	return 0;
}

API cudaError_t __cudaPopCallConfiguration(
	dim3 *grid, dim3 *block, size_t *shared_bytes, cudaStream_t *stream)
{
	*grid = pushed.grid;
	*block = pushed.block;
	*shared_bytes = pushed.shared_bytes;
	*stream = pushed.stream;
	return cudaSuccess;
}

API cudaError_t __cudaGetKernel(const void **kernel, const void *symbol)
{
	*kernel = symbol;
	return kernel_name(symbol) ? cudaSuccess : runtime_error(cudaErrorInvalidDeviceFunction);
}

API cudaError_t __cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block, void **args,
	size_t shared_bytes, cudaStream_t stream)
{
	return cudaLaunchKernel(kernel, grid, block, args, shared_bytes, stream);
}

/* Shared memory and its share of the cache: there is none to set. */
API cudaError_t cudaFuncSetAttribute(const void *symbol, int attribute, int value)
{
	(void)attribute, (void)value;
	return kernel_name(symbol) ? cudaSuccess : runtime_error(cudaErrorInvalidDeviceFunction);
}
