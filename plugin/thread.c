#include "plugin/thread.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { NAME_BYTES = 16 }; /* the kernel's limit, with the end */

/* Signals are the program's: no handler of it is to run here. */
int lina_thread_start(const char *name, void *(*run)(void *), void *arg, pthread_t *thread_p)
{
	char cut[NAME_BYTES];
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int err = -pthread_create(thread_p, NULL, run, arg);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		return err;
	(void)snprintf(cut, sizeof(cut), "%.*s", NAME_BYTES - 1, name);
	(void)pthread_setname_np(*thread_p, cut);
	return 0;
}

void lina_thread_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t monotonic;

	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
}
