/* The devices that programs are shown: HOSTGPU_DEVICES of compute capability 9.0, without NVLink,
 * peer access, GPUDirect, virtual memory management or multicast. */
#include "runtime.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	CUDA_VERSION_SHOWN = CUDART_VERSION,
	THREADS_PER_BLOCK = 1024,
	SHARED_BYTES = 48 << 10,
	SHARED_OPTIN_BYTES = 160 << 10,
	MULTIPROCESSORS = 32,
	CLOCK_KHZ = 1000000,
	WARP = 32,
};

static _Thread_local int current;

int runtime_device(void)
{
	return current;
}

void runtime_device_set(int device)
{
	current = device;
}

static bool exists(int device)
{
	return device >= 0 && device < hostgpu_devices();
}

API cudaError_t cudaGetDevice(int *device)
{
	*device = current;
	return cudaSuccess;
}

API cudaError_t cudaSetDevice(int device)
{
	if (!exists(device))
		return runtime_error(cudaErrorInvalidDevice);
	current = device;
	return cudaSuccess;
}

API cudaError_t cudaInitDevice(int device, unsigned int device_flags, unsigned int flags)
{
	(void)device_flags, (void)flags; /* how to wait: as ever */
	return exists(device) ? cudaSuccess : runtime_error(cudaErrorInvalidDevice);
}

API cudaError_t cudaGetDeviceCount(int *count)
{
	*count = hostgpu_devices();
	return cudaSuccess;
}

API cudaError_t cudaDriverGetVersion(int *version)
{
	*version = CUDA_VERSION_SHOWN;
	return cudaSuccess;
}

API cudaError_t cudaRuntimeGetVersion(int *version)
{
	*version = CUDA_VERSION_SHOWN;
	return cudaSuccess;
}

API cudaError_t cudaDeviceGetPCIBusId(char *id, int size, int device)
{
	if (!exists(device))
		return runtime_error(cudaErrorInvalidDevice);
	unsigned int domain, bus;
	hostgpu_pci(device, &domain, &bus);
	int length = size < 0 ? 0 : snprintf(id, (size_t)size, "%04x:%02x:00.0", domain, bus);
	return length < size ? cudaSuccess : runtime_error(cudaErrorInvalidValue);
}

API cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *id)
{
	int found = hostgpu_device_at(id);
	if (found < 0)
		return runtime_error(cudaErrorInvalidDevice);
	*device = found;
	return cudaSuccess;
}

/* ---- attributes ---------------------------------------------------------------------------- */

/* Attributes that our header does not name: NCCL asks the driver for them. Values: CUDA's cuda.h.
 */
enum {
	VIRTUAL_MEMORY_MANAGEMENT = 102,
	GPUDIRECT_RDMA_WITH_VMM = 110,
	DMA_BUF = 124,
	FABRIC_HANDLES = 128,
	MULTICAST = 132,
	HOST_NUMA_ID = 134,
};

static const struct {
	int id, value;
} attributes[] = {
	{ cudaDevAttrMaxThreadsPerBlock, THREADS_PER_BLOCK },
	{ cudaDevAttrMaxSharedMemoryPerBlock, SHARED_BYTES },
	{ cudaDevAttrWarpSize, WARP },
	{ cudaDevAttrClockRate, CLOCK_KHZ },
	{ cudaDevAttrMultiProcessorCount, MULTIPROCESSORS },
	{ cudaDevAttrIntegrated, 0 },
	{ cudaDevAttrCanMapHostMemory, 1 },
	{ cudaDevAttrComputeMode, 0 },
	{ cudaDevAttrConcurrentKernels, 1 },
	{ cudaDevAttrPciDeviceId, 0 },
	{ cudaDevAttrUnifiedAddressing, 1 },
	{ cudaDevAttrComputeCapabilityMajor, HOSTGPU_COMPUTE_MAJOR },
	{ cudaDevAttrComputeCapabilityMinor, HOSTGPU_COMPUTE_MINOR },
	{ cudaDevAttrManagedMemory, 1 },
	{ cudaDevAttrHostNativeAtomicSupported, 1 },
	{ cudaDevAttrPageableMemoryAccess, 0 },
	{ cudaDevAttrCanUseHostPointerForRegisteredMem, 1 },
	{ cudaDevAttrCooperativeLaunch, 0 },
	{ cudaDevAttrMaxSharedMemoryPerBlockOptin, SHARED_OPTIN_BYTES },
	{ cudaDevAttrMemoryPoolsSupported, 1 },
	{ cudaDevAttrGPUDirectRDMASupported, 0 },
	{ VIRTUAL_MEMORY_MANAGEMENT, 0 },
	{ GPUDIRECT_RDMA_WITH_VMM, 0 },
	{ DMA_BUF, 0 },
	{ FABRIC_HANDLES, 0 },
	{ MULTICAST, 0 },
	{ HOST_NUMA_ID, -1 },
};

API cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
	if (!exists(device))
		return runtime_error(cudaErrorInvalidDevice);
	unsigned int domain, bus;
	hostgpu_pci(device, &domain, &bus);
	if (attribute == cudaDevAttrPciBusId || attribute == cudaDevAttrPciDomainId) {
		*value = (int)(attribute == cudaDevAttrPciBusId ? bus : domain);
		return cudaSuccess;
	}
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		if (attributes[i].id == (int)attribute) {
			*value = attributes[i].value;
			return cudaSuccess;
		}
	hostgpu_die("cudaDeviceGetAttribute: attribute %d is not known here", (int)attribute);
}

/* ---- properties ---------------------------------------------------------------------------- */

_Static_assert(sizeof(struct cudaDeviceProp) == 1032, "CUDA 12's size");
_Static_assert(offsetof(struct cudaDeviceProp, major) == 360, "CUDA 12's and 13's place");
_Static_assert(offsetof(struct cudaDeviceProp, pciBusID) == 584, "CUDA 12's place");

API cudaError_t cudaGetDeviceProperties_v2(struct cudaDeviceProp *prop, int device)
{
	if (!exists(device))
		return runtime_error(cudaErrorInvalidDevice);
	unsigned int domain, bus;
	hostgpu_pci(device, &domain, &bus);
	*prop = (struct cudaDeviceProp){
		.name = "hostgpu",
		.totalGlobalMem = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE),
		.sharedMemPerBlock = SHARED_BYTES,
		.warpSize = WARP,
		.maxThreadsPerBlock = THREADS_PER_BLOCK,
		.maxThreadsDim = { THREADS_PER_BLOCK, THREADS_PER_BLOCK, 64 },
		.maxGridSize = { INT32_MAX, UINT16_MAX, UINT16_MAX },
		.clockRate = CLOCK_KHZ,
		.totalConstMem = 64 << 10,
		.major = HOSTGPU_COMPUTE_MAJOR,
		.minor = HOSTGPU_COMPUTE_MINOR,
		.multiProcessorCount = MULTIPROCESSORS,
		.pciBusID = (int)bus,
		.pciDomainID = (int)domain,
	};
	prop->uuid.bytes[0] = (char)(domain + 1);
	prop->uuid.bytes[1] = (char)bus;
	return cudaSuccess;
}

/* CUDA 13 took fields out of cudaDeviceProp and gave the new struct the old name: it is the same up
 * to minor, the clock rate's place is padding, and what follows moved. */
#undef cudaGetDeviceProperties
cudaError_t cudaGetDeviceProperties(char *prop, int device);

API cudaError_t cudaGetDeviceProperties(char *prop, int device)
{
	enum { SIZE_13 = 1008, MULTIPROCESSORS_13 = 384, PCI_13 = 568 };
	struct cudaDeviceProp old;
	cudaError_t error = cudaGetDeviceProperties_v2(&old, device);
	if (error)
		return error;
	memset(prop, 0, SIZE_13);
	memcpy(prop, &old, offsetof(struct cudaDeviceProp, textureAlignment));
	memset(prop + offsetof(struct cudaDeviceProp, clockRate), 0, sizeof old.clockRate);
	memcpy(prop + MULTIPROCESSORS_13, &old.multiProcessorCount, sizeof old.multiProcessorCount);
	memcpy(prop + PCI_13, &old.pciBusID, 3 * sizeof old.pciBusID);
	return cudaSuccess;
}

/* ---- between devices, and settings without effect ---------------------------------------------
 */

API cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
	if (!exists(device) || !exists(peer))
		return runtime_error(cudaErrorInvalidDevice);
	*can = 0;
	return cudaSuccess;
}

cudaError_t cudaIpcGetMemHandle(void *handle, void *memory);

/* NCCL asks whether processes of one node can share device memory by trying it, and takes no. */
API cudaError_t cudaIpcGetMemHandle(void *handle, void *memory)
{
	(void)handle, (void)memory;
	return runtime_error(cudaErrorNotSupported);
}

API cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
	(void)flags;
	return runtime_error(
		exists(peer) ? cudaErrorPeerAccessUnsupported : cudaErrorInvalidDevice);
}

API cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
	return runtime_error(exists(peer) ? cudaErrorPeerAccessNotEnabled : cudaErrorInvalidDevice);
}

/* Greatest and least are equal: priorities are not supported. */
API cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest)
{
	if (least)
		*least = 0;
	if (greatest)
		*greatest = 0;
	return cudaSuccess;
}

cudaError_t cudaDeviceSetLimit(int limit, size_t value);
cudaError_t cudaSetDeviceFlags(unsigned int flags);
cudaError_t cudaProfilerStart(void);
cudaError_t cudaProfilerStop(void);

/* Stack, printf and heap sizes of GPU threads: there are none to limit. */
API cudaError_t cudaDeviceSetLimit(int limit, size_t value)
{
	(void)limit, (void)value;
	return cudaSuccess;
}

/* How the host waits for the device: as ever. */
API cudaError_t cudaSetDeviceFlags(unsigned int flags)
{
	(void)flags;
	return cudaSuccess;
}

/* As with CUDA where no profiler is attached. */
API cudaError_t cudaProfilerStart(void)
{
	return cudaSuccess;
}

API cudaError_t cudaProfilerStop(void)
{
	return cudaSuccess;
}
