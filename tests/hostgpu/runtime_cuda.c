/*
 * The part of the public CUDA runtime API that NCCL's host code calls, on the CPU:
 * device memory is host memory, a stream is a worker thread, a kernel runs in executor.c.
 * HOSTGPU_BUS=n gives this process's device PCI bus 0x10+n; HOSTGPU_DEBUG=1 logs launches.
 */
#define _GNU_SOURCE
#include "executor.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define API __attribute__((visibility("default")))
typedef int status;
enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_READY = 600, NOT_SUPPORTED = 801 };
enum { CUDA_VERSION_SHOWN = 12040, COMPUTE_MAJOR = 8, COMPUTE_MINOR = 0 };

static bool debug(void)
{
	static int on = -1;
	if (on < 0) on = getenv("HOSTGPU_DEBUG") != NULL;
	return on;
}
static int bus(void) { const char *e = getenv("HOSTGPU_BUS"); return 0x10 + (e ? atoi(e) : 0); }
static __thread int current_device;

/* ---- memory: every allocation is known, so that pointers can be told apart -------------- */

enum memory { PAGEABLE, HOST, DEVICE };
struct range { uintptr_t at; size_t size; enum memory kind; struct range *next; };
static struct range *ranges;
static pthread_mutex_t ranges_lock = PTHREAD_MUTEX_INITIALIZER;

static void range_add(void *p, size_t n, enum memory kind)
{
	struct range *r = malloc(sizeof *r);
	pthread_mutex_lock(&ranges_lock);
	*r = (struct range){ (uintptr_t)p, n, kind, ranges };
	ranges = r;
	pthread_mutex_unlock(&ranges_lock);
}

static size_t range_remove(void *p)
{
	size_t n = 0;
	pthread_mutex_lock(&ranges_lock);
	for (struct range **at = &ranges, *r; (r = *at); at = &r->next)
		if (r->at == (uintptr_t)p) {
			n = r->size;
			*at = r->next;
			free(r);
			break;
		}
	pthread_mutex_unlock(&ranges_lock);
	return n;
}

static struct range range_of(const void *p)
{
	struct range found = { 0 };
	pthread_mutex_lock(&ranges_lock);
	for (struct range *r = ranges; r; r = r->next)
		if ((uintptr_t)p - r->at < r->size) { found = *r; break; }
	pthread_mutex_unlock(&ranges_lock);
	return found;
}

static status allocate(void **p, size_t n, enum memory kind)
{
	*p = NULL;
	if (!n) return SUCCESS;
	n = (n + 4095) & ~(size_t)4095;
	void *m = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (m == MAP_FAILED) return OUT_OF_MEMORY;
	range_add(m, n, kind);
	*p = m;
	return SUCCESS;
}

static status release(void *p)
{
	size_t n = p ? range_remove(p) : 0;
	if (n) munmap(p, n);
	return SUCCESS;
}

API status cudaMalloc(void **p, size_t n) { return allocate(p, n, DEVICE); }
API status cudaFree(void *p) { return release(p); }
API status cudaHostAlloc(void **p, size_t n, unsigned f) { (void)f; return allocate(p, n, HOST); }
API status cudaMallocHost(void **p, size_t n) { return allocate(p, n, HOST); }
API status cudaFreeHost(void *p) { return release(p); }
API status cudaHostRegister(void *p, size_t n, unsigned f) { (void)f; range_add(p, n, HOST); return SUCCESS; }
API status cudaHostUnregister(void *p) { range_remove(p); return SUCCESS; }
API status cudaHostGetDevicePointer(void **d, void *h, unsigned f) { (void)f; *d = h; return SUCCESS; }

struct pointer_attributes { int type, device; void *device_pointer, *host_pointer; };
API status cudaPointerGetAttributes(struct pointer_attributes *a, const void *p)
{
	struct range r = range_of(p);
	*a = (struct pointer_attributes){ r.kind, current_device, r.kind ? (void *)p : NULL, (void *)p };
	return SUCCESS;
}

/* ---- streams ---------------------------------------------------------------------------- */

struct task { void (*run)(void *); void *arg; struct task *next; };
struct stream {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t work, idle;
	struct task *head, **tail;
	bool busy, stop;
	uint64_t id;
};

static void *stream_main(void *arg)
{
	struct stream *s = arg;
	pthread_mutex_lock(&s->lock);
	while (true) {
		while (!s->head && !s->stop) pthread_cond_wait(&s->work, &s->lock);
		struct task *t = s->head;
		if (!t) break;
		if (!(s->head = t->next)) s->tail = &s->head;
		s->busy = true;
		pthread_mutex_unlock(&s->lock);
		t->run(t->arg);
		free(t);
		pthread_mutex_lock(&s->lock);
		s->busy = false;
		if (!s->head) pthread_cond_broadcast(&s->idle);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static struct stream *stream_new(void)
{
	static uint64_t ids;
	struct stream *s = calloc(1, sizeof *s);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->idle, NULL);
	s->tail = &s->head;
	s->id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED);
	pthread_create(&s->thread, NULL, stream_main, s);
	return s;
}

static struct stream *default_stream;
static void default_stream_make(void) { default_stream = stream_new(); }

static struct stream *stream_of(void *handle) /* 0, 1 and 2 all name the default stream */
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	if ((uintptr_t)handle > 2) return handle;
	pthread_once(&once, default_stream_make);
	return default_stream;
}

static status enqueue(void *stream, void (*run)(void *), void *arg)
{
	struct stream *s = stream_of(stream);
	struct task *t = malloc(sizeof *t);
	*t = (struct task){ run, arg, NULL };
	pthread_mutex_lock(&s->lock);
	*s->tail = t;
	s->tail = &t->next;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	return SUCCESS;
}

static void drain(struct stream *s)
{
	pthread_mutex_lock(&s->lock);
	while (s->head || s->busy) pthread_cond_wait(&s->idle, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

API status cudaStreamCreate(void **s) { *s = stream_new(); return SUCCESS; }
API status cudaStreamCreateWithFlags(void **s, unsigned f) { (void)f; return cudaStreamCreate(s); }
API status cudaStreamCreateWithPriority(void **s, unsigned f, int p) { (void)f; (void)p; return cudaStreamCreate(s); }
API status cudaStreamSynchronize(void *s) { drain(stream_of(s)); return SUCCESS; }
API status cudaDeviceSynchronize(void) { drain(stream_of(NULL)); return SUCCESS; }
API status cudaStreamGetId(void *s, unsigned long long *id) { *id = stream_of(s)->id; return SUCCESS; }
API status cudaStreamQuery(void *handle)
{
	struct stream *s = stream_of(handle);
	pthread_mutex_lock(&s->lock);
	bool pending = s->head || s->busy;
	pthread_mutex_unlock(&s->lock);
	return pending ? NOT_READY : SUCCESS;
}
API status cudaStreamDestroy(void *handle)
{
	struct stream *s = handle;
	drain(s);
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	free(s);
	return SUCCESS;
}

/* ---- events: each record is a number; a wait is for the latest number at the call ----------- */

struct event { pthread_mutex_t lock; pthread_cond_t done; uint64_t recorded, reached; double at_ms; };
struct mark { struct event *event; uint64_t number; };

API status cudaEventCreateWithFlags(void **e, unsigned f)
{
	(void)f;
	struct event *v = calloc(1, sizeof *v);
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->done, NULL);
	*e = v;
	return SUCCESS;
}
API status cudaEventCreate(void **e) { return cudaEventCreateWithFlags(e, 0); }
API status cudaEventDestroy(void *e) { (void)e; return SUCCESS; } /* queued marks may still name it */

static void mark_reach(void *arg)
{
	struct mark *m = arg;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	pthread_mutex_lock(&m->event->lock);
	if (m->event->reached < m->number) m->event->reached = m->number;
	m->event->at_ms = t.tv_sec * 1e3 + t.tv_nsec * 1e-6;
	pthread_cond_broadcast(&m->event->done);
	pthread_mutex_unlock(&m->event->lock);
	free(m);
}

static void mark_wait(void *arg)
{
	struct mark *m = arg;
	pthread_mutex_lock(&m->event->lock);
	while (m->event->reached < m->number) pthread_cond_wait(&m->event->done, &m->event->lock);
	pthread_mutex_unlock(&m->event->lock);
	free(m);
}

static struct mark *mark_new(struct event *e, int step)
{
	struct mark *m = malloc(sizeof *m);
	pthread_mutex_lock(&e->lock);
	*m = (struct mark){ e, e->recorded += step };
	pthread_mutex_unlock(&e->lock);
	return m;
}

API status cudaEventRecord(void *e, void *s) { return enqueue(s, mark_reach, mark_new(e, 1)); }
API status cudaEventRecordWithFlags(void *e, void *s, unsigned f) { (void)f; return cudaEventRecord(e, s); }
API status cudaStreamWaitEvent(void *s, void *e, unsigned f) { (void)f; return enqueue(s, mark_wait, mark_new(e, 0)); }
API status cudaEventSynchronize(void *e) { mark_wait(mark_new(e, 0)); return SUCCESS; }
API status cudaEventQuery(void *handle)
{
	struct event *e = handle;
	pthread_mutex_lock(&e->lock);
	bool done = e->reached >= e->recorded;
	pthread_mutex_unlock(&e->lock);
	return done ? SUCCESS : NOT_READY;
}
API status cudaEventElapsedTime(float *ms, void *a, void *b)
{
	*ms = ((struct event *)b)->at_ms - ((struct event *)a)->at_ms;
	return SUCCESS;
}

/* ---- copies and callbacks ---------------------------------------------------------------- */

struct copy { void *to; const void *from; size_t size; int value; };
static void copy_run(void *arg)
{
	struct copy *c = arg;
	if (c->from) memmove(c->to, c->from, c->size);
	else memset(c->to, c->value, c->size);
	free(c);
}

API status cudaMemcpyAsync(void *to, const void *from, size_t n, int kind, void *stream)
{
	(void)kind;
	bool pageable = range_of(from).kind == PAGEABLE; /* staged at the call, as CUDA does */
	struct copy *c = malloc(sizeof *c + (pageable ? n : 0));
	*c = (struct copy){ to, pageable ? memcpy(c + 1, from, n) : from, n, 0 };
	return enqueue(stream, copy_run, c);
}
API status cudaMemsetAsync(void *to, int value, size_t n, void *stream)
{
	struct copy *c = malloc(sizeof *c);
	*c = (struct copy){ to, NULL, n, value };
	return enqueue(stream, copy_run, c);
}
API status cudaMemcpy(void *to, const void *from, size_t n, int kind)
{
	(void)kind;
	drain(stream_of(NULL));
	memmove(to, from, n);
	return SUCCESS;
}
API status cudaMemset(void *to, int value, size_t n)
{
	drain(stream_of(NULL));
	memset(to, value, n);
	return SUCCESS;
}
API status cudaLaunchHostFunc(void *s, void (*fn)(void *), void *arg) { return enqueue(s, fn, arg); }

API status cudaMemPoolCreate(void **pool, const void *props) { (void)props; *pool = (void *)1; return SUCCESS; }
API status cudaMemPoolDestroy(void *pool) { (void)pool; return SUCCESS; }
API status cudaMemPoolSetAttribute(void *p, int a, void *v) { (void)p; (void)a; (void)v; return SUCCESS; }
API status cudaMallocAsync(void **p, size_t n, void *s) { (void)s; return allocate(p, n, DEVICE); }
API status cudaMallocFromPoolAsync(void **p, size_t n, void *pool, void *s) { (void)pool; return cudaMallocAsync(p, n, s); }
static void release_run(void *p) { release(p); }
API status cudaFreeAsync(void *p, void *s) { return enqueue(s, release_run, p); }

/* ---- the device -------------------------------------------------------------------------- */

API status cudaGetDevice(int *d) { *d = current_device; return SUCCESS; }
API status cudaSetDevice(int d) { current_device = d; return SUCCESS; }
API status cudaGetDeviceCount(int *n) { *n = 1; return SUCCESS; }
API status cudaDriverGetVersion(int *v) { *v = CUDA_VERSION_SHOWN; return SUCCESS; }
API status cudaRuntimeGetVersion(int *v) { *v = CUDA_VERSION_SHOWN; return SUCCESS; }
API status cudaDeviceGetPCIBusId(char *s, int n, int d) { snprintf(s, n, "0000:%02x:00.0", bus() + d); return SUCCESS; }
API status cudaDeviceGetByPCIBusId(int *d, const char *s)
{
	unsigned b;
	if (sscanf(s, "%*x:%x", &b) != 1) return INVALID_VALUE;
	*d = (int)b - bus();
	return SUCCESS;
}

static const struct { int id, value; } attributes[] = { /* ids as in driver_types.h */
	{ 1, 1024 }, { 8, 48 << 10 }, { 10, 32 }, { 13, 1000000 }, { 16, 32 }, { 41, 1 },
	{ 75, COMPUTE_MAJOR }, { 76, COMPUTE_MINOR }, { 91, 1 }, { 97, 160 << 10 },
};
API status cudaDeviceGetAttribute(int *v, int attribute, int device)
{
	*v = attribute == 33 ? bus() + device : 0;
	for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
		if (attributes[i].id == attribute) *v = attributes[i].value;
	return SUCCESS;
}
API status cudaGetDeviceProperties_v2(char *p, int device) /* offsets as in CUDA 12's cudaDeviceProp */
{
	(void)device;
	memset(p, 0, 1032);
	strcpy(p, "hostgpu");
	*(size_t *)(p + 288) = 8ull << 30;
	((int *)(p + 360))[0] = COMPUTE_MAJOR;
	((int *)(p + 360))[1] = COMPUTE_MINOR;
	return SUCCESS;
}
API status cudaGetDeviceProperties(char *p, int device) /* offsets as in CUDA 13's cudaDeviceProp */
{
	(void)device;
	memset(p, 0, 1008);
	strcpy(p, "hostgpu");
	*(size_t *)(p + 288) = 8ull << 30;
	((int *)(p + 360))[0] = COMPUTE_MAJOR;
	((int *)(p + 360))[1] = COMPUTE_MINOR;
	return SUCCESS;
}
API status cudaMemGetInfo(size_t *left, size_t *total) { *left = 4ull << 30; *total = 8ull << 30; return SUCCESS; }
API status cudaDeviceReset(void) { return cudaDeviceSynchronize(); }
API status cudaDeviceCanAccessPeer(int *can, int a, int b) { (void)a; (void)b; *can = 0; return SUCCESS; }
API status cudaDeviceEnablePeerAccess(int d, unsigned f) { (void)d; (void)f; return SUCCESS; }
API status cudaDeviceSetLimit(int limit, size_t v) { (void)limit; (void)v; return SUCCESS; }
API status cudaGetLastError(void) { return SUCCESS; }
API const char *cudaGetErrorString(int e)
{
	static __thread char text[32];
	snprintf(text, sizeof text, "hostgpu: error %d", e);
	return text;
}

/* No stream is ever captured into a graph. */
API status cudaThreadExchangeStreamCaptureMode(int *m) { (void)m; return SUCCESS; }
API status cudaStreamIsCapturing(void *s, int *capturing) { (void)s; *capturing = 0; return SUCCESS; }
API status cudaStreamGetCaptureInfo_v3(void *s, int *capturing, unsigned long long *id, void **graph,
				       const void **deps, const void **edges, size_t *n)
{
	(void)s; (void)deps; (void)edges;
	*capturing = 0;
	if (id) *id = 0;
	if (graph) *graph = NULL;
	if (n) *n = 0;
	return SUCCESS;
}
API status cudaStreamGetCaptureInfo_v2(void *s, int *capturing, unsigned long long *id, void **graph, const void **deps, size_t *n)
{
	return cudaStreamGetCaptureInfo_v3(s, capturing, id, graph, deps, NULL, n);
}
#define UNSUPPORTED(name) API status name(void) { fprintf(stderr, "hostgpu: %s is not supported\n", #name); return NOT_SUPPORTED; }
UNSUPPORTED(cudaStreamUpdateCaptureDependencies_v2)
UNSUPPORTED(cudaGraphAddDependencies)
UNSUPPORTED(cudaGraphAddDependencies_v2)
UNSUPPORTED(cudaGraphAddEventRecordNode)
UNSUPPORTED(cudaIpcGetMemHandle)
UNSUPPORTED(cudaIpcOpenMemHandle)
UNSUPPORTED(cudaIpcCloseMemHandle)
UNSUPPORTED(cudaStreamBeginCapture)
UNSUPPORTED(cudaStreamEndCapture)
UNSUPPORTED(cudaGraphInstantiate)
UNSUPPORTED(cudaGraphLaunch)
UNSUPPORTED(cudaGraphDestroy)
UNSUPPORTED(cudaGraphExecDestroy)
UNSUPPORTED(cudaGraphAddEventWaitNode)
UNSUPPORTED(cudaGraphAddHostNode)
UNSUPPORTED(cudaGraphAddKernelNode)

/* ---- kernels ------------------------------------------------------------------------------ */

struct kernel { const void *symbol; const char *name; struct kernel *next; };
static struct kernel *kernels;

API void **__cudaRegisterFatBinary(void *f) { static void *handle; (void)f; return &handle; }
API void __cudaRegisterFatBinaryEnd(void **h) { (void)h; }
API void __cudaUnregisterFatBinary(void **h) { (void)h; }
API void __cudaRegisterVar(void) { }
API char __cudaInitModule(void **h) { (void)h; return 1; }
API void __cudaRegisterFunction(void **h, const char *symbol, char *device, const char *name)
{
	(void)h; (void)device;
	struct kernel *k = malloc(sizeof *k);
	*k = (struct kernel){ symbol, name, kernels };
	kernels = k;
}
static const char *kernel_name(const void *symbol)
{
	for (struct kernel *k = kernels; k; k = k->next)
		if (k->symbol == symbol) return k->name;
	return "unknown";
}
API status __cudaPopCallConfiguration(void *grid, void *block, size_t *shared, void **stream)
{
	(void)grid; (void)block;
	*shared = 0;
	*stream = NULL;
	return SUCCESS;
}
API status cudaGetFuncBySymbol(void **f, const void *symbol) { *f = (void *)symbol; return SUCCESS; }
struct function_attributes { size_t shared, constant, local; int max_threads, registers, rest[5]; };
API status cudaFuncGetAttributes(struct function_attributes *a, const void *f)
{
	(void)f;
	*a = (struct function_attributes){ .max_threads = 640, .registers = 96 };
	return SUCCESS;
}
API status cudaFuncSetAttribute(const void *f, int a, int v) { (void)f; (void)a; (void)v; return SUCCESS; }

struct launch { const char *kernel; char args[] __attribute__((aligned(16))); };
static void launch_run(void *arg)
{
	struct launch *l = arg;
	executor_run(l->kernel, l->args);
	free(l);
}
static status launch(const void *symbol, void *stream, void **extra)
{
	const void *args = NULL;
	size_t size = 0;
	for (int i = 0; extra && extra[i]; i += 2) {
		if (extra[i] == (void *)1) args = extra[i + 1];
		if (extra[i] == (void *)2) size = *(size_t *)extra[i + 1];
	}
	struct launch *l = aligned_alloc(16, (sizeof *l + size + 15) & ~(size_t)15);
	l->kernel = kernel_name(symbol);
	memcpy(l->args, args, size);
	if (debug()) fprintf(stderr, "hostgpu %d: launch %s\n", getpid(), l->kernel);
	return enqueue(stream, launch_run, l);
}
API unsigned __cudaPushCallConfiguration(void) { return 0; }
API status __cudaGetKernel(const void **kernel, const void *symbol) { *kernel = symbol; return SUCCESS; }
API status __cudaLaunchKernel(const void *symbol) { fprintf(stderr, "hostgpu: kernel %s not run\n", kernel_name(symbol)); return SUCCESS; }
API status cudaLaunchKernel(const void *symbol) { fprintf(stderr, "hostgpu: kernel %s not run\n", kernel_name(symbol)); return SUCCESS; }

/* ---- the driver functions that NCCL asks the runtime for ------------------------------------ */

struct launch_config { unsigned grid[3], block[3], shared; void *stream; void *attributes; unsigned n; };
static status drv_launch_ex(const struct launch_config *c, void *f, void **params, void **extra) { (void)params; return launch(f, c->stream, extra); }
static status drv_launch(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
			 unsigned shared, void *stream, void **params, void **extra)
{
	(void)gx; (void)gy; (void)gz; (void)bx; (void)by; (void)bz; (void)shared; (void)params;
	return launch(f, stream, extra);
}
static status drv_error_text(int e, const char **s) { (void)e; *s = "hostgpu driver error"; return SUCCESS; }
static status drv_device(int *d, int ordinal) { *d = ordinal; return SUCCESS; }
static status drv_current_context(void **c) { *c = (void *)0x10; return SUCCESS; }
static status drv_ok(void) { return SUCCESS; }
static status drv_pointer_attribute(int *v) { *v = 0; return SUCCESS; }
static status drv_address_range(void **base, size_t *size, void *p)
{
	struct range r = range_of(p);
	if (!r.kind) return INVALID_VALUE;
	if (base) *base = (void *)r.at;
	if (size) *size = r.size;
	return SUCCESS;
}
static const struct { const char *name; void *fn; } driver[] = {
	{ "cuGetErrorString", drv_error_text }, { "cuGetErrorName", drv_error_text }, { "cuDeviceGet", drv_device },
	{ "cuDeviceGetAttribute", cudaDeviceGetAttribute }, { "cuMemGetAddressRange", drv_address_range },
	{ "cuCtxGetCurrent", drv_current_context }, { "cuCtxSetCurrent", drv_ok }, { "cuCtxGetDevice", cudaGetDevice },
	{ "cuPointerGetAttribute", drv_pointer_attribute }, { "cuLaunchKernel", drv_launch }, { "cuLaunchKernelEx", drv_launch_ex },
};
API status cudaGetDriverEntryPoint(const char *name, void **fn, unsigned long long flags, int *found)
{
	(void)flags;
	*fn = NULL;
	for (size_t i = 0; i < sizeof driver / sizeof *driver; i++)
		if (!strcmp(driver[i].name, name)) *fn = driver[i].fn;
	if (found) *found = *fn ? 0 : 1;
	return SUCCESS;
}

/* ---- names that an older C library lacks (glibc < 2.38) --------------------------------------- */

API long __isoc23_strtol(const char *s, char **e, int b) { return strtol(s, e, b); }
API long long __isoc23_strtoll(const char *s, char **e, int b) { return strtoll(s, e, b); }
API unsigned long __isoc23_strtoul(const char *s, char **e, int b) { return strtoul(s, e, b); }
API unsigned long long __isoc23_strtoull(const char *s, char **e, int b) { return strtoull(s, e, b); }
API int __isoc23_sscanf(const char *s, const char *f, ...) { va_list a; va_start(a, f); int r = vsscanf(s, f, a); va_end(a); return r; }
API int __isoc23_fscanf(FILE *s, const char *f, ...) { va_list a; va_start(a, f); int r = vfscanf(s, f, a); va_end(a); return r; }
