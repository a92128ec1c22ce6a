/* Memory: every allocation is known, so that pointers can be told apart. */
#include "runtime.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct block {
	struct runtime_range range; /* must be first: the tree compares ranges */
	size_t mapped_bytes;        /* 0: registered, not ours */
};

static pthread_mutex_t blocks_lock = PTHREAD_MUTEX_INITIALIZER;
static void *blocks;                           /* tsearch tree. Guarded by blocks_lock. */
static size_t used_bytes[HOSTGPU_DEVICES_MAX]; /* Guarded by blocks_lock. */

/* Ranges that overlap count as equal, so a range of one byte finds the block that holds it. */
static int compare(const void *left, const void *right)
{
	const struct runtime_range *a = left, *b = right;
	uintptr_t a_at = (uintptr_t)a->at, b_at = (uintptr_t)b->at;
	if (a_at + a->bytes <= b_at)
		return -1;
	return b_at + b->bytes <= a_at;
}

/* NULL where the range overlaps a block that is there. */
static struct block *block_add(struct runtime_range range, size_t mapped_bytes)
{
	struct block *block = runtime_alloc(sizeof *block);
	*block = (struct block){ range, mapped_bytes };
	pthread_mutex_lock(&blocks_lock);
	struct block **at = tsearch(block, &blocks, compare);
	if (!at)
		hostgpu_die("out of memory for %zu bytes", sizeof *block);
	bool added = *at == block;
	if (added && range.type == cudaMemoryTypeDevice)
		used_bytes[range.device] += range.bytes;
	pthread_mutex_unlock(&blocks_lock);
	if (!added)
		free(block);
	return added ? block : NULL;
}

/* Takes the block that starts at ptr out, if it is mapped (an allocation) or not (a registration).
 */
static struct block *block_take(const void *ptr, bool mapped)
{
	struct runtime_range key = { .at = (char *)ptr, .bytes = 1 };
	pthread_mutex_lock(&blocks_lock);
	struct block **at = tfind(&key, &blocks, compare);
	struct block *block = at ? *at : NULL;
	if (block && (block->range.at != key.at || (block->mapped_bytes != 0) != mapped))
		block = NULL;
	if (block)
		tdelete(block, &blocks, compare);
	if (block && block->range.type == cudaMemoryTypeDevice)
		used_bytes[block->range.device] -= block->range.bytes;
	pthread_mutex_unlock(&blocks_lock);
	return block;
}

struct runtime_range runtime_range_of(const void *ptr)
{
	struct runtime_range key = { .at = (char *)ptr, .bytes = 1 };
	struct runtime_range found = { .device = cudaInvalidDeviceId };
	pthread_mutex_lock(&blocks_lock);
	struct block **at = tfind(&key, &blocks, compare);
	if (at)
		found = (*at)->range;
	pthread_mutex_unlock(&blocks_lock);
	return found;
}

static cudaError_t allocate(void **ptr, size_t bytes, enum cudaMemoryType type)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	if (!ptr)
		return runtime_error(cudaErrorInvalidValue);
	*ptr = NULL;
	if (!bytes)
		return cudaSuccess;
	if (bytes > SIZE_MAX - page)
		return runtime_error(cudaErrorMemoryAllocation);
	size_t mapped_bytes = (bytes + page - 1) / page * page;
	void *memory = mmap(
		NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return runtime_error(cudaErrorMemoryAllocation);
	struct runtime_range range = { memory, bytes, type, runtime_device() };
	if (!block_add(range, mapped_bytes))
		hostgpu_die("memory at %p is registered, but was not mapped", memory);
	*ptr = memory;
	return cudaSuccess;
}

static void block_unmap(void *arg)
{
	struct block *block = arg;
	munmap(block->range.at, block->mapped_bytes);
	free(block);
}

/* As on a GPU, work that was queued before may still use the memory. */
static cudaError_t release(void *ptr, bool host)
{
	if (!ptr)
		return cudaSuccess;
	struct runtime_range range = runtime_range_of(ptr);
	if ((range.type == cudaMemoryTypeHost) != host)
		return runtime_error(cudaErrorInvalidValue);
	struct block *block = block_take(ptr, true);
	if (!block)
		return runtime_error(cudaErrorInvalidValue);
	runtime_after_queued(host ? -1 : range.device, block_unmap, block);
	return cudaSuccess;
}

API cudaError_t cudaMalloc(void **ptr, size_t bytes)
{
	return allocate(ptr, bytes, cudaMemoryTypeDevice);
}

API cudaError_t cudaMallocManaged(void **ptr, size_t bytes, unsigned int flags)
{
	(void)flags; /* who may touch it when: everyone always */
	return allocate(ptr, bytes, cudaMemoryTypeManaged);
}

API cudaError_t cudaMallocHost(void **ptr, size_t bytes)
{
	return allocate(ptr, bytes, cudaMemoryTypeHost);
}

API cudaError_t cudaHostAlloc(void **ptr, size_t bytes, unsigned int flags)
{
	(void)flags; /* portable, mapped, write-combined: always, always, never seen */
	return allocate(ptr, bytes, cudaMemoryTypeHost);
}

API cudaError_t cudaFree(void *ptr)
{
	return release(ptr, false);
}

API cudaError_t cudaFreeHost(void *ptr)
{
	return release(ptr, true);
}

API cudaError_t cudaHostRegister(void *ptr, size_t bytes, unsigned int flags)
{
	(void)flags;
	if (!ptr || !bytes)
		return runtime_error(cudaErrorInvalidValue);
	struct runtime_range range = { ptr, bytes, cudaMemoryTypeHost, runtime_device() };
	if (!block_add(range, 0))
		return runtime_error(cudaErrorHostMemoryAlreadyRegistered);
	return cudaSuccess;
}

API cudaError_t cudaHostUnregister(void *ptr)
{
	struct block *block = block_take(ptr, false);
	if (!block)
		return runtime_error(cudaErrorHostMemoryNotRegistered);
	free(block);
	return cudaSuccess;
}

API cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned int flags)
{
	if (flags || runtime_range_of(host).type != cudaMemoryTypeHost)
		return runtime_error(cudaErrorInvalidValue);
	*device = host;
	return cudaSuccess;
}

API cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *ptr)
{
	struct runtime_range range = runtime_range_of(ptr);
	*attributes = (struct cudaPointerAttributes){ .type = range.type, .device = range.device };
	if (range.type != cudaMemoryTypeUnregistered)
		attributes->devicePointer = (void *)ptr;
	if (range.type != cudaMemoryTypeDevice)
		attributes->hostPointer = (void *)ptr;
	return cudaSuccess;
}

API cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
{
	size_t total = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	pthread_mutex_lock(&blocks_lock);
	size_t used = used_bytes[runtime_device()];
	pthread_mutex_unlock(&blocks_lock);
	*total_bytes = total;
	*free_bytes = used < total ? total - used : 0;
	return cudaSuccess;
}

/* ---- reset --------------------------------------------------------------------------------- */

struct search {
	int device;
	struct block *found;
};

static void find_of_device(const void *node, VISIT visit, void *arg)
{
	struct block *block = *(struct block *const *)node;
	struct search *search = arg;
	bool once = visit == postorder || visit == leaf;
	if (once && block->mapped_bytes && block->range.device == search->device)
		search->found = block;
}

static struct block *block_of_device(int device)
{
	struct search search = { .device = device };
	pthread_mutex_lock(&blocks_lock);
	twalk_r(blocks, find_of_device, &search);
	pthread_mutex_unlock(&blocks_lock);
	return search.found;
}

/* Ends the device's work and takes its memory back. Streams and events stay: all that CUDA says of
 * their handles is that they must not be used any more. */
API cudaError_t cudaDeviceReset(void)
{
	cudaError_t error = cudaDeviceSynchronize();
	struct block *block;
	while ((block = block_of_device(runtime_device())))
		block_unmap(block_take(block->range.at, true));
	return error;
}

/* ---- in stream order ----------------------------------------------------------------------- */

API cudaError_t cudaMallocAsync(void **ptr, size_t bytes, cudaStream_t stream)
{
	(void)stream; /* memory that is there before its time does no harm */
	return cudaMalloc(ptr, bytes);
}

API cudaError_t cudaFreeAsync(void *ptr, cudaStream_t stream)
{
	struct block *block = ptr ? block_take(ptr, true) : NULL;
	if (ptr && !block)
		return runtime_error(cudaErrorInvalidValue);
	if (block)
		runtime_stream_push(runtime_stream_of(stream), block_unmap, block);
	return cudaSuccess;
}

/* A pool holds nothing back: what it gives comes from cudaMalloc and goes when it is freed. */
struct CUmemPoolHandle_st {
	int device;
};

/* The head of CUDA's cudaMemPoolProps. */
struct pool_properties {
	int alloc_type, handle_types, location_type, location_id;
};

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct pool_properties *properties);
cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, int attribute, void *value);
cudaError_t cudaMallocFromPoolAsync(
	void **ptr, size_t bytes, cudaMemPool_t pool, cudaStream_t stream);

API cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct pool_properties *properties)
{
	enum { LOCATION_DEVICE = 1 };
	if (properties->handle_types || properties->location_type != LOCATION_DEVICE)
		hostgpu_die("cudaMemPoolCreate: pools that are shared or off the device are not "
			    "supported");
	if (properties->location_id < 0 || properties->location_id >= hostgpu_devices())
		return runtime_error(cudaErrorInvalidDevice);
	*pool = runtime_alloc(sizeof **pool);
	(*pool)->device = properties->location_id;
	return cudaSuccess;
}

API cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
	free(pool);
	return cudaSuccess;
}

API cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, int attribute, void *value)
{
	(void)pool, (void)value;
	enum { REUSE_FIRST = 1, RELEASE_THRESHOLD = 4 }; /* what may be kept back: nothing is */
	if (attribute < REUSE_FIRST || attribute > RELEASE_THRESHOLD)
		hostgpu_die("cudaMemPoolSetAttribute: attribute %d is not supported", attribute);
	return cudaSuccess;
}

API cudaError_t cudaMallocFromPoolAsync(
	void **ptr, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
	(void)stream;
	int device = runtime_device();
	runtime_device_set(pool->device);
	cudaError_t error = cudaMalloc(ptr, bytes);
	runtime_device_set(device);
	return error;
}
