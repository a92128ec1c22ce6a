/* Events: each record is a moment of its own, so that one event may be recorded on several streams,
 * in any order of time; a wait is for the latest record at the call. */
#include "runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Guarded by the event's lock. */
struct moment {
	bool reached;
	struct timespec at; /* when reached */
	int references; /* the event's, while it is the latest; one for every mark that is queued */
};

struct event {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct moment *latest; /* NULL: never recorded. Guarded by lock. */
	bool timed;
	int references; /* atomic: the handle's and one for every mark that is queued */
};

/* One record of an event, or one wait for it. */
struct mark {
	struct event *event;
	struct moment *moment; /* NULL: a wait for what was never recorded */
};

static struct event *event_of(cudaEvent_t handle)
{
	return (struct event *)handle;
}

static void moment_unref(struct moment *moment)
{
	if (moment && --moment->references == 0)
		free(moment);
}

static void event_unref(struct event *event)
{
	if (__atomic_sub_fetch(&event->references, 1, __ATOMIC_ACQ_REL))
		return;
	moment_unref(event->latest);
	pthread_cond_destroy(&event->done);
	pthread_mutex_destroy(&event->lock);
	free(event);
}

static void reach(struct event *event, struct moment *moment)
{
	pthread_mutex_lock(&event->lock);
	moment->reached = true;
	clock_gettime(CLOCK_MONOTONIC, &moment->at);
	pthread_cond_broadcast(&event->done);
	moment_unref(moment);
	pthread_mutex_unlock(&event->lock);
}

static void await(struct event *event, struct moment *moment)
{
	pthread_mutex_lock(&event->lock);
	while (moment && !moment->reached)
		pthread_cond_wait(&event->done, &event->lock);
	moment_unref(moment);
	pthread_mutex_unlock(&event->lock);
}

static void mark_reach(void *arg)
{
	struct mark *mark = arg;
	reach(mark->event, mark->moment);
	event_unref(mark->event);
	free(mark);
}

static void mark_await(void *arg)
{
	struct mark *mark = arg;
	await(mark->event, mark->moment);
	event_unref(mark->event);
	free(mark);
}

/* The latest record, which is a new one where `record` says so. */
static struct mark *mark_new(struct event *event, bool record)
{
	struct mark *mark = runtime_alloc(sizeof *mark);
	struct moment *made = record ? runtime_alloc(sizeof *made) : NULL;
	pthread_mutex_lock(&event->lock);
	if (made) {
		*made = (struct moment){ .references = 1 };
		moment_unref(event->latest);
		event->latest = made;
	}
	if (event->latest)
		event->latest->references++;
	*mark = (struct mark){ event, event->latest };
	pthread_mutex_unlock(&event->lock);
	__atomic_add_fetch(&event->references, 1, __ATOMIC_RELAXED);
	return mark;
}

API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
	if (flags & cudaEventInterprocess)
		hostgpu_die("cudaEventInterprocess is not supported");
	if (!event || flags & ~(unsigned int)(cudaEventBlockingSync | cudaEventDisableTiming))
		return runtime_error(cudaErrorInvalidValue);
	struct event *made = runtime_alloc(sizeof *made);
	pthread_mutex_init(&made->lock, NULL);
	pthread_cond_init(&made->done, NULL);
	made->timed = !(flags & cudaEventDisableTiming);
	made->references = 1;
	*event = (cudaEvent_t)made;
	return cudaSuccess;
}

API cudaError_t cudaEventCreate(cudaEvent_t *event)
{
	return cudaEventCreateWithFlags(event, cudaEventDefault);
}

API cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	if (!event)
		return runtime_error(cudaErrorInvalidResourceHandle);
	event_unref(event_of(event));
	return cudaSuccess;
}

API cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
	if (!event)
		return runtime_error(cudaErrorInvalidResourceHandle);
	runtime_stream_push(runtime_stream_of(stream), mark_reach, mark_new(event_of(event), true));
	return cudaSuccess;
}

API cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int flags)
{
	if (flags)
		hostgpu_die(
			"cudaEventRecordWithFlags: flags 0x%x (graph capture) are not supported",
			flags);
	return cudaEventRecord(event, stream);
}

API cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int flags)
{
	if (flags)
		hostgpu_die(
			"cudaStreamWaitEvent: flags 0x%x (graph capture) are not supported", flags);
	if (!event)
		return runtime_error(cudaErrorInvalidResourceHandle);
	runtime_stream_push(
		runtime_stream_of(stream), mark_await, mark_new(event_of(event), false));
	return cudaSuccess;
}

API cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	if (!event)
		return runtime_error(cudaErrorInvalidResourceHandle);
	mark_await(mark_new(event_of(event), false));
	return cudaSuccess;
}

API cudaError_t cudaEventQuery(cudaEvent_t event)
{
	struct event *asked = event_of(event);
	if (!asked)
		return runtime_error(cudaErrorInvalidResourceHandle);
	pthread_mutex_lock(&asked->lock);
	bool pending = asked->latest && !asked->latest->reached;
	pthread_mutex_unlock(&asked->lock);
	return pending ? cudaErrorNotReady : cudaSuccess;
}

static cudaError_t read_time(struct event *event, struct timespec *at_p)
{
	if (!event || !event->timed)
		return cudaErrorInvalidResourceHandle;
	pthread_mutex_lock(&event->lock);
	bool recorded = event->latest, reached = recorded && event->latest->reached;
	if (reached)
		*at_p = event->latest->at;
	pthread_mutex_unlock(&event->lock);
	if (!recorded)
		return cudaErrorInvalidResourceHandle;
	return reached ? cudaSuccess : cudaErrorNotReady;
}

API cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start, cudaEvent_t end)
{
	struct timespec from, to;
	cudaError_t error = read_time(event_of(start), &from);
	if (!error)
		error = read_time(event_of(end), &to);
	if (error)
		return runtime_error(error);
	double seconds = difftime(to.tv_sec, from.tv_sec);
	double nanoseconds = (double)(to.tv_nsec - from.tv_nsec);
	*milliseconds = (float)(seconds * 1e3 + nanoseconds * 1e-6);
	return cudaSuccess;
}
