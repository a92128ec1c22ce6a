/*
 * Streams: a queue and a thread each, started by the first work.
 *
 * Locks: a device's lock before a stream's lock; never two streams' locks at once.
 */
#include "runtime_stream.h"

#include <signal.h>
#include <stdlib.h>

struct task {
	struct task *next;
	void (*run)(void *arg);
	void *arg;
};

/* The streams of one device. Holding the lock keeps streams in the list alive and their order
 * fixed. */
static struct device_streams {
	pthread_mutex_t lock;
	struct runtime_stream *all;  /* Guarded by lock. */
	struct runtime_stream *null; /* the legacy stream; in all too. Guarded by lock. */
} devices[HOSTGPU_DEVICES_MAX];

static pthread_once_t devices_once = PTHREAD_ONCE_INIT;

static void devices_init(void)
{
	for (int i = 0; i < HOSTGPU_DEVICES_MAX; i++)
		pthread_mutex_init(&devices[i].lock, NULL);
}

static struct device_streams *device_lock(int device)
{
	pthread_once(&devices_once, devices_init);
	pthread_mutex_lock(&devices[device].lock);
	return &devices[device];
}

/* ---- life ---------------------------------------------------------------------------------- */

static struct runtime_stream *stream_new(struct device_streams *device, unsigned int flags)
{
	static uint64_t ids;
	struct runtime_stream *stream = runtime_alloc(sizeof *stream);
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->work, NULL);
	pthread_cond_init(&stream->progress, NULL);
	stream->device = (int)(device - devices);
	stream->flags = flags;
	stream->id = __atomic_add_fetch(&ids, 1, __ATOMIC_RELAXED);
	stream->tail = &stream->head;
	stream->awaited = UINT64_MAX;
	stream->references = 1;
	stream->next = device->all;
	device->all = stream;
	return stream;
}

struct runtime_stream *runtime_stream_new(unsigned int flags)
{
	struct device_streams *device = device_lock(runtime_device());
	struct runtime_stream *stream = stream_new(device, flags);
	pthread_mutex_unlock(&device->lock);
	return stream;
}

static void unlist(struct runtime_stream *stream)
{
	struct device_streams *device = device_lock(stream->device);
	struct runtime_stream **at = &device->all;
	while (*at != stream)
		at = &(*at)->next;
	*at = stream->next;
	pthread_mutex_unlock(&device->lock);
}

static void stream_unref(struct runtime_stream *stream)
{
	if (__atomic_sub_fetch(&stream->references, 1, __ATOMIC_ACQ_REL))
		return;
	unlist(stream);
	pthread_cond_destroy(&stream->progress);
	pthread_cond_destroy(&stream->work);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

static struct runtime_stream *stream_ref(struct runtime_stream *stream)
{
	__atomic_add_fetch(&stream->references, 1, __ATOMIC_RELAXED);
	return stream;
}

static void run_next(struct runtime_stream *stream)
{
	struct task *task = stream->head;
	stream->head = task->next;
	if (!stream->head)
		stream->tail = &stream->head;
	pthread_mutex_unlock(&stream->lock);
	task->run(task->arg);
	free(task);
	pthread_mutex_lock(&stream->lock);
	stream->done++;
	if (stream->done >= stream->awaited) {
		stream->awaited = UINT64_MAX;
		pthread_cond_broadcast(&stream->progress);
	}
}

static void *stream_main(void *arg)
{
	struct runtime_stream *stream = arg;
	runtime_device_set(stream->device);
	pthread_mutex_lock(&stream->lock);
	for (;;) {
		while (!stream->head && !stream->closing)
			pthread_cond_wait(&stream->work, &stream->lock);
		if (!stream->head)
			break;
		run_next(stream);
	}
	pthread_mutex_unlock(&stream->lock);
	stream_unref(stream);
	return NULL;
}

/* The program's signals are for the program's threads. */
static void stream_start(struct runtime_stream *stream)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	stream_ref(stream);
	if (pthread_create(&stream->thread, NULL, stream_main, stream))
		hostgpu_die("cannot start a thread for a stream");
	pthread_setname_np(stream->thread, "hostgpu-stream");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	stream->started = true;
}

/* CUDA lets queued work finish after this call; nothing waits for it then. */
void runtime_stream_close(struct runtime_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	bool idle = stream->done == stream->submitted, started = stream->started;
	stream->closing = true;
	pthread_cond_signal(&stream->work);
	pthread_t thread = stream->thread;
	pthread_mutex_unlock(&stream->lock);
	if (started && idle)
		pthread_join(thread, NULL);
	else if (started)
		pthread_detach(thread);
	stream_unref(stream);
}

/* ---- queueing ------------------------------------------------------------------------------ */

/* stream->lock is held. */
static void push_locked(struct runtime_stream *stream, void (*run)(void *arg), void *arg)
{
	struct task *task = runtime_alloc(sizeof *task);
	*task = (struct task){ NULL, run, arg };
	*stream->tail = task;
	stream->tail = &task->next;
	stream->submitted++;
	if (!stream->started)
		stream_start(stream);
	pthread_cond_signal(&stream->work);
}

static void push(struct runtime_stream *stream, void (*run)(void *arg), void *arg)
{
	pthread_mutex_lock(&stream->lock);
	push_locked(stream, run, arg);
	pthread_mutex_unlock(&stream->lock);
}

struct wait {
	struct runtime_stream *on;
	uint64_t number;
};

/* stream->lock is held. Nobody is woken before the first number that someone waits for. */
static void wait_locked(struct runtime_stream *stream, uint64_t number)
{
	while (stream->done < number) {
		if (stream->awaited > number)
			stream->awaited = number;
		pthread_cond_wait(&stream->progress, &stream->lock);
	}
}

static void wait_run(void *arg)
{
	struct wait *wait = arg;
	pthread_mutex_lock(&wait->on->lock);
	wait_locked(wait->on, wait->number);
	pthread_mutex_unlock(&wait->on->lock);
	stream_unref(wait->on);
	free(wait);
}

/* Lets stream wait for what is queued on other; device lock is held. */
static void push_wait(struct runtime_stream *stream, struct runtime_stream *other)
{
	pthread_mutex_lock(&other->lock);
	uint64_t number = other->submitted;
	bool pending = other->done < number;
	if (pending)
		stream_ref(other);
	pthread_mutex_unlock(&other->lock);
	if (!pending)
		return;
	struct wait *wait = runtime_alloc(sizeof *wait);
	*wait = (struct wait){ other, number };
	push(stream, wait_run, wait);
}

void runtime_stream_push(struct runtime_stream *stream, void (*run)(void *arg), void *arg)
{
	if (stream->flags & cudaStreamNonBlocking) {
		push(stream, run, arg);
		return;
	}
	struct device_streams *device = device_lock(stream->device);
	if (stream == device->null) {
		for (struct runtime_stream *other = device->all; other; other = other->next)
			if (other != stream && !(other->flags & cudaStreamNonBlocking))
				push_wait(stream, other);
	} else if (device->null) {
		push_wait(stream, device->null);
	}
	push(stream, run, arg);
	pthread_mutex_unlock(&device->lock);
}

struct runtime_stream *runtime_stream_of(cudaStream_t handle)
{
	if (handle == cudaStreamPerThread)
		hostgpu_die("cudaStreamPerThread is not supported");
	if (handle && handle != cudaStreamLegacy)
		return (struct runtime_stream *)handle;
	struct device_streams *device = device_lock(runtime_device());
	if (!device->null)
		device->null = stream_new(device, cudaStreamDefault);
	struct runtime_stream *stream = device->null;
	pthread_mutex_unlock(&device->lock);
	return stream;
}

/* ---- waiting ------------------------------------------------------------------------------- */

bool runtime_stream_pending(struct runtime_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	bool pending = stream->done < stream->submitted;
	pthread_mutex_unlock(&stream->lock);
	return pending;
}

bool runtime_stream_is_null(struct runtime_stream *stream)
{
	struct device_streams *device = device_lock(stream->device);
	bool is_null = stream == device->null;
	pthread_mutex_unlock(&device->lock);
	return is_null;
}

void runtime_stream_drain(struct runtime_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	wait_locked(stream, stream->submitted);
	pthread_mutex_unlock(&stream->lock);
}

/* A stream that is pending and referenced, or NULL. With only_blocking those alone count. */
static struct runtime_stream *device_pending(int index, bool only_blocking)
{
	struct device_streams *device = device_lock(index);
	struct runtime_stream *stream = device->all;
	while (stream && !(runtime_stream_pending(stream) &&
				 !(only_blocking && stream->flags & cudaStreamNonBlocking)))
		stream = stream->next;
	if (stream)
		stream_ref(stream);
	pthread_mutex_unlock(&device->lock);
	return stream;
}

bool runtime_device_pending(int device, bool only_blocking)
{
	struct runtime_stream *stream = device_pending(device, only_blocking);
	if (stream)
		stream_unref(stream);
	return stream != NULL;
}

/* What is pushed meanwhile by other threads is waited for too: CUDA leaves that open. */
void runtime_device_drain(int device)
{
	struct runtime_stream *stream;
	while ((stream = device_pending(device, false))) {
		runtime_stream_drain(stream);
		stream_unref(stream);
	}
}

struct countdown {
	int left;
	void (*run)(void *arg);
	void *arg;
};

static void countdown_run(void *arg)
{
	struct countdown *countdown = arg;
	if (__atomic_sub_fetch(&countdown->left, 1, __ATOMIC_ACQ_REL))
		return;
	countdown->run(countdown->arg);
	free(countdown);
}

static void countdown_push(struct countdown *countdown, struct runtime_stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	if (stream->done < stream->submitted) {
		__atomic_add_fetch(&countdown->left, 1, __ATOMIC_RELAXED);
		push_locked(stream, countdown_run, countdown);
	}
	pthread_mutex_unlock(&stream->lock);
}

void runtime_after_queued(int device, void (*run)(void *arg), void *arg)
{
	struct countdown *countdown = runtime_alloc(sizeof *countdown);
	*countdown = (struct countdown){ 1, run, arg };
	for (int i = 0; i < hostgpu_devices(); i++) {
		if (device >= 0 && i != device)
			continue;
		struct device_streams *streams = device_lock(i);
		for (struct runtime_stream *stream = streams->all; stream; stream = stream->next)
			countdown_push(countdown, stream);
		pthread_mutex_unlock(&streams->lock);
	}
	countdown_run(countdown);
}
