#ifndef HOSTGPU_RUNTIME_STREAM_H
#define HOSTGPU_RUNTIME_STREAM_H

#include <pthread.h>

#include "runtime.h"

struct task;

/* A handle is a pointer to one of these. It goes with its last reference: the handle, the thread,
 * and every other stream's queued wait for it hold one. */
struct runtime_stream {
	pthread_mutex_t lock;
	pthread_cond_t work, progress;
	struct task *head, **tail; /* Guarded by lock. */
	uint64_t submitted, done;  /* tasks ever. Guarded by lock. */
	uint64_t awaited; /* the least number of tasks that someone waits for. Guarded by lock. */
	bool started, closing; /* Guarded by lock. */
	pthread_t thread;      /* once started */
	int references;        /* atomic */
	int device;
	unsigned int flags; /* cudaStreamNonBlocking or none */
	uint64_t id;
	struct runtime_stream *next; /* of the device. Guarded by the device's lock. */
};

/* A stream of the calling thread's current device. */
struct runtime_stream *runtime_stream_new(unsigned int flags);

/* Gives the handle up. Work that is queued still runs. */
void runtime_stream_close(struct runtime_stream *stream);

bool runtime_stream_pending(struct runtime_stream *stream);
bool runtime_stream_is_null(struct runtime_stream *stream);

/* Any stream of the device, or any that orders itself with the legacy stream. */
bool runtime_device_pending(int device, bool only_blocking);
void runtime_device_drain(int device);

#endif
