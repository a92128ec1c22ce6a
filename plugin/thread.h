/*
 * What the plugin's own threads have in common: they take no signal, have a name that debuggers and
 * top(1) show, and wait by the monotonic clock.
 */
#ifndef LINA_PLUGIN_THREAD_H
#define LINA_PLUGIN_THREAD_H

#include <pthread.h>

/* name: up to 15 characters; more are cut off. The caller joins it. -EAGAIN, -EPERM: as
 * pthread_create says. */
int lina_thread_start(const char *name, void *(*run)(void *), void *arg, pthread_t *thread_p);

/* For pthread_cond_timedwait with times of CLOCK_MONOTONIC. */
void lina_thread_cond_init(pthread_cond_t *cond);

#endif
