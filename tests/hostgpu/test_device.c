/* Devices, memory and kernels of the CUDA runtime on the CPU, and what it says it cannot do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuda_runtime.h>

#include "hostgpu/runtime_config.h"
#include "hostgpu/runtime_executor.h"

/* ---- devices ------------------------------------------------------------------------------- */

static void there_are_as_many_devices_as_asked_for(void **state)
{
	(void)state;
	int count = 0, device = -1;
	assert_int_equal(cudaGetDeviceCount(&count), cudaSuccess);
	assert_int_equal(count, 4);
	assert_int_equal(cudaSetDevice(4), cudaErrorInvalidDevice);
	assert_int_equal(cudaSetDevice(-1), cudaErrorInvalidDevice);
	assert_int_equal(cudaGetDevice(&device), cudaSuccess);
	assert_int_equal(device, 0);
}

static void *other_thread(void *arg)
{
	cudaGetDevice(arg);
	return NULL;
}

static void the_current_device_is_the_threads_own(void **state)
{
	(void)state;
	pthread_t id;
	int here = -1, there = -1;
	assert_int_equal(cudaSetDevice(2), cudaSuccess);
	assert_int_equal(pthread_create(&id, NULL, other_thread, &there), 0);
	pthread_join(id, NULL);
	cudaGetDevice(&here);
	assert_int_equal(here, 2);
	assert_int_equal(there, 0);
	cudaSetDevice(0);
}

static void devices_lie_on_buses_of_their_own(void **state)
{
	static const char *const addresses[] = { "0000:ff:00.0", "0001:00:00.0" };
	(void)state;
	for (int i = 0; i < 2; i++) { /* HOSTGPU_BUS=237 puts device 2 on bus 0xff */
		char address[16] = "";
		int device = -1, bus = -1, domain = -1;
		assert_int_equal(
			cudaDeviceGetPCIBusId(address, sizeof address, 2 + i), cudaSuccess);
		assert_string_equal(address, addresses[i]);
		assert_int_equal(cudaDeviceGetByPCIBusId(&device, address), cudaSuccess);
		assert_int_equal(device, 2 + i);
		cudaDeviceGetAttribute(&bus, cudaDevAttrPciBusId, 2 + i);
		cudaDeviceGetAttribute(&domain, cudaDevAttrPciDomainId, 2 + i);
		assert_int_equal(domain * 256 + bus, 0xff + i);
	}
	char address[4];
	int device = -1;
	assert_int_equal(cudaDeviceGetPCIBusId(address, sizeof address, 0), cudaErrorInvalidValue);
	assert_int_equal(cudaDeviceGetByPCIBusId(&device, "0000:10:00.0"), cudaErrorInvalidDevice);
}

static void devices_do_not_reach_each_other(void **state)
{
	(void)state;
	int can = 1;
	assert_int_equal(cudaDeviceCanAccessPeer(&can, 0, 1), cudaSuccess);
	assert_int_equal(can, 0);
	assert_int_equal(cudaDeviceEnablePeerAccess(1, 0), cudaErrorPeerAccessUnsupported);
}

static void properties_fit_the_header(void **state)
{
	(void)state;
	struct {
		struct cudaDeviceProp prop;
		char guard[64];
	} at;
	memset(&at, 0x5a, sizeof at);
	assert_int_equal(cudaGetDeviceProperties(&at.prop, 2), cudaSuccess);
	assert_string_equal(at.prop.name, "hostgpu");
	assert_int_equal(at.prop.major, HOSTGPU_COMPUTE_MAJOR);
	assert_int_equal(at.prop.multiProcessorCount, 32);
	assert_int_equal(at.prop.pciBusID, 0xff);
	for (size_t i = 0; i < sizeof at.guard; i++)
		assert_int_equal(at.guard[i], 0x5a);
}

/* ---- memory -------------------------------------------------------------------------------- */

static void pointers_are_told_apart(void **state)
{
	(void)state;
	char *device = NULL, *pinned = NULL, pageable[8];
	struct cudaPointerAttributes a;
	cudaSetDevice(3);
	assert_int_equal(cudaMalloc((void **)&device, 1000), cudaSuccess);
	assert_int_equal(cudaHostAlloc((void **)&pinned, 1000, cudaHostAllocMapped), cudaSuccess);
	cudaSetDevice(0);
	assert_int_equal(cudaPointerGetAttributes(&a, device + 999), cudaSuccess);
	assert_int_equal(a.type, cudaMemoryTypeDevice);
	assert_int_equal(a.device, 3);
	assert_null(a.hostPointer);
	assert_int_equal(cudaPointerGetAttributes(&a, device + 1000), cudaSuccess);
	assert_int_equal(a.type, cudaMemoryTypeUnregistered);
	assert_int_equal(cudaPointerGetAttributes(&a, pinned), cudaSuccess);
	assert_int_equal(a.type, cudaMemoryTypeHost);
	assert_ptr_equal(a.devicePointer, pinned);
	assert_int_equal(cudaPointerGetAttributes(&a, pageable), cudaSuccess);
	assert_int_equal(a.type, cudaMemoryTypeUnregistered);
	assert_int_equal(cudaFreeHost(device), cudaErrorInvalidValue);
	assert_int_equal(cudaFree(pinned), cudaErrorInvalidValue);
	assert_int_equal(cudaFree(device + 1), cudaErrorInvalidValue);
	assert_int_equal(cudaFree(device), cudaSuccess);
	assert_int_equal(cudaFreeHost(pinned), cudaSuccess);
	assert_int_equal(cudaFree(NULL), cudaSuccess);
}

static void host_memory_is_registered_once(void **state)
{
	(void)state;
	char *memory = malloc(10000);
	void *device = NULL;
	assert_int_equal(cudaHostGetDevicePointer(&device, memory, 0), cudaErrorInvalidValue);
	assert_int_equal(cudaHostRegister(memory, 10000, cudaHostRegisterMapped), cudaSuccess);
	assert_int_equal(
		cudaHostRegister(memory + 9999, 5, 0), cudaErrorHostMemoryAlreadyRegistered);
	assert_int_equal(cudaHostGetDevicePointer(&device, memory, 0), cudaSuccess);
	assert_ptr_equal(device, memory);
	assert_int_equal(cudaFreeHost(memory), cudaErrorInvalidValue); /* not its own */
	assert_int_equal(cudaHostUnregister(memory), cudaSuccess);
	assert_int_equal(cudaHostUnregister(memory), cudaErrorHostMemoryNotRegistered);
	free(memory);
}

static void copies_are_checked(void **state)
{
	(void)state;
	char host[64] = { 0 }, *device = NULL;
	cudaMalloc((void **)&device, 64);
	assert_int_equal(cudaMemcpy(device, host, 64, cudaMemcpyHostToDevice), cudaSuccess);
	assert_int_equal(
		cudaMemcpy(device + 1, host, 64, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(host, host, 64, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
	assert_int_equal(
		cudaMemcpy(device, host, 64, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpy(device, host, 64, (enum cudaMemcpyKind)7),
		cudaErrorInvalidMemcpyDirection);
	assert_int_equal(cudaMemset(device, 0, 65), cudaErrorInvalidValue);
	assert_int_equal(cudaMemset(host, 0, 64), cudaErrorInvalidValue);
	assert_int_equal(cudaMemcpyPeer(device, 0, device, 4, 8), cudaErrorInvalidDevice);
	cudaFree(device);
}

static void too_much_memory_is_refused(void **state)
{
	(void)state;
	void *device = &device;
	assert_int_equal(cudaMalloc(&device, SIZE_MAX / 2), cudaErrorMemoryAllocation);
	assert_null(device);
	assert_int_equal(cudaMalloc(&device, SIZE_MAX), cudaErrorMemoryAllocation);
	assert_int_equal(cudaGetLastError(), cudaErrorMemoryAllocation);
	assert_int_equal(cudaMalloc(&device, 0), cudaSuccess);
	assert_null(device);
}

static void a_reset_takes_the_devices_memory_back(void **state)
{
	(void)state;
	void *mine[3], *others = NULL;
	struct cudaPointerAttributes a;
	cudaMalloc(&others, 100);
	cudaSetDevice(2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(cudaMalloc(&mine[i], 100), cudaSuccess);
	assert_int_equal(cudaDeviceReset(), cudaSuccess);
	for (int i = 0; i < 3; i++) {
		cudaPointerGetAttributes(&a, mine[i]);
		assert_int_equal(a.type, cudaMemoryTypeUnregistered);
	}
	cudaPointerGetAttributes(&a, others);
	assert_int_equal(a.type, cudaMemoryTypeDevice);
	cudaSetDevice(0);
	cudaFree(others);
}

/* ---- kernels ------------------------------------------------------------------------------- */

void **__cudaRegisterFatBinary(const void *binary);
void __cudaRegisterFunction(void **module, const char *symbol, char *device, const char *name);
void __cudaUnregisterFatBinary(void **module);

static const char kernel_symbol, stranger_symbol;
static int kernel_sum, kernel_device;

static void run(const char *kernel, const void *args)
{
	int values[2];
	memcpy(values, args, sizeof values);
	assert_string_equal(kernel, "addition");
	kernel_sum = values[0] + values[1];
	cudaGetDevice(&kernel_device);
}

static size_t pack(const char *kernel, void *const *params, void *packed)
{
	int *values = packed;
	if (strcmp(kernel, "addition") != 0)
		return 0;
	for (int i = 0; values && i < 2; i++)
		memcpy(&values[i], params[i], sizeof *values);
	return 2 * sizeof(int);
}

static void a_kernel_runs_in_its_stream(void **state)
{
	(void)state;
	static const struct hostgpu_executor executor = { run, pack };
	int a = 20, b = 22;
	void *args[] = { &a, &b };
	cudaStream_t stream = NULL;
	dim3 one = { 1, 1, 1 };
	void **module = __cudaRegisterFatBinary(NULL);
	__cudaRegisterFunction(module, &kernel_symbol, NULL, "addition");
	hostgpu_executor_set(&executor);
	cudaSetDevice(1);
	cudaStreamCreate(&stream);
	cudaSetDevice(0);
	assert_int_equal(cudaLaunchKernel(&kernel_symbol, one, one, args, 0, stream), cudaSuccess);
	a = b = 0; /* the arguments were taken at the launch */
	cudaStreamSynchronize(stream);
	assert_int_equal(kernel_sum, 42);
	assert_int_equal(kernel_device, 1);
	assert_int_equal(cudaLaunchKernel(&stranger_symbol, one, one, args, 0, stream),
		cudaErrorInvalidDeviceFunction);
	cudaStreamDestroy(stream);
	__cudaUnregisterFatBinary(module);
	assert_int_equal(cudaLaunchKernel(&kernel_symbol, one, one, args, 0, NULL),
		cudaErrorInvalidDeviceFunction);
	hostgpu_executor_set(NULL);
}

/* ---- what is not there --------------------------------------------------------------------- */

/* Functions that our header does not declare, and a toolkit's does, are called by name. */
static const char *called;

static void call_by_name(void)
{
	void (*function)(void) = NULL;
	void *found = dlsym(RTLD_DEFAULT, called);
	memcpy(&function, &found, sizeof function);
	function();
}

static void launch_without_executor(void)
{
	dim3 one = { 1, 1, 1 };
	__cudaRegisterFunction(__cudaRegisterFatBinary(NULL), &kernel_symbol, NULL, "foreign");
	cudaLaunchKernel(&kernel_symbol, one, one, NULL, 0, NULL);
}

static void wait_for_driver_value(void)
{
	cudaError_t (*entry_point)(const char *, void **, unsigned long long, int *) = NULL;
	void (*entry)(void) = NULL;
	void *found = dlsym(RTLD_DEFAULT, "cudaGetDriverEntryPoint");
	memcpy(&entry_point, &found, sizeof entry_point);
	entry_point("cuStreamWaitValue32", &found, 0, NULL);
	memcpy(&entry, &found, sizeof entry);
	entry();
}

static void share_event(void)
{
	cudaEvent_t event;
	cudaEventCreateWithFlags(&event, cudaEventInterprocess | cudaEventDisableTiming);
}

static void use_stream_per_thread(void)
{
	cudaStreamSynchronize(cudaStreamPerThread);
}

/* Runs call in a child and expects it to abort with a line that holds says. */
static void expect_abort(void (*call)(void), const char *says)
{
	int fd[2];
	char text[256] = "";
	assert_int_equal(pipe(fd), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(fd[1], STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		call();
		_exit(0);
	}
	close(fd[1]);
	ssize_t got = read(fd[0], text, sizeof text - 1);
	close(fd[0]);
	int status = 0;
	waitpid(child, &status, 0);
	assert_true(got > 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	if (!strstr(text, says))
		fail_msg("'%s' does not name %s", text, says);
}

static void what_is_missing_says_its_name(void **state)
{
	(void)state;
	static const char *const names[] = { "cudaStreamBeginCapture", "cudaGraphLaunch",
		"cudaIpcOpenMemHandle", "cudaLaunchCooperativeKernel", "cudaMallocArray" };
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		called = names[i];
		expect_abort(call_by_name, called);
	}
	expect_abort(launch_without_executor, "kernel foreign cannot run on the CPU");
	expect_abort(wait_for_driver_value, "cuStreamWaitValue32");
	expect_abort(share_event, "cudaEventInterprocess");
	expect_abort(use_stream_per_thread, "cudaStreamPerThread");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_missing_says_its_name), /* first: no thread is there yet */
		cmocka_unit_test(there_are_as_many_devices_as_asked_for),
		cmocka_unit_test(the_current_device_is_the_threads_own),
		cmocka_unit_test(devices_lie_on_buses_of_their_own),
		cmocka_unit_test(devices_do_not_reach_each_other),
		cmocka_unit_test(properties_fit_the_header),
		cmocka_unit_test(pointers_are_told_apart),
		cmocka_unit_test(host_memory_is_registered_once),
		cmocka_unit_test(copies_are_checked),
		cmocka_unit_test(too_much_memory_is_refused),
		cmocka_unit_test(a_reset_takes_the_devices_memory_back),
		cmocka_unit_test(a_kernel_runs_in_its_stream),
	};
	setenv("HOSTGPU_DEVICES", "4", 1);
	setenv("HOSTGPU_BUS", "237", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
