#include "plugin/process_net.h"

#include <errno.h>
#include <pthread.h>

static struct {
	pthread_mutex_t lock;
	struct lina_net *net; /* Guarded by lock. NULL: not open */
	bool knows_of_exit;   /* Guarded by lock. note_exit is registered */
	bool exiting;         /* written by note_exit, when no other code of ours is called */
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* The C library's, as the Linux Standard Base has it; what atexit() is made of. Called directly
 * since ThreadSanitizer's atexit() forgets the library, and would call into it when it is gone. */
extern void *__dso_handle __attribute__((visibility("hidden")));
int __cxa_atexit(void (*fn)(void *), void *arg, void *library);

/* exit() runs this before the destructor, dlclose() after it: that is how the destructor can tell
 * them apart. */
static void note_exit(void *arg)
{
	(void)arg;
	process.exiting = true;
}

/* At exit NCCL's threads may be inside the library still, and what it depends on may be gone. */
__attribute__((destructor)) static void close_process_net(void)
{
	if (!process.exiting)
		(void)lina_net_close(process.net);
}

static int open_locked(lina_log_fn *log, lina_prof_fn *profiler)
{
	const struct lina_net_params params = {
		.comm_id = 0,
		.names_ops = false,
		.traffic_class = LINA_TRAFFIC_CLASS_UNSET,
		.profiler = profiler,
		.log = log,
	};

	if (!process.knows_of_exit && __cxa_atexit(note_exit, NULL, &__dso_handle) != 0)
		return -ENOMEM;
	process.knows_of_exit = true;
	return lina_net_open(&params, &process.net);
}

int lina_process_net(lina_log_fn *log, lina_prof_fn *profiler, struct lina_net **net_p)
{
	int err = 0;

	(void)pthread_mutex_lock(&process.lock);
	if (process.net == NULL)
		err = open_locked(log, profiler);
	if (err == 0)
		*net_p = process.net;
	(void)pthread_mutex_unlock(&process.lock);
	return err;
}
