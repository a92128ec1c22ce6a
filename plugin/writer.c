#include "plugin/writer.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/log.h"
#include "plugin/metrics.h"
#include "plugin/thread.h"

struct lina_writer {
	struct lina_trace *trace;
	struct lina_stats *stats;
	char metrics[PATH_MAX]; /* "": none */
	pthread_t thread;
	pthread_mutex_t lock; /* of all below, and of the files */
	pthread_cond_t wake;
	bool runs, stop, said_trace, said_metrics;
};

/* --- files. Under the lock --- */

static void trace_write(struct lina_writer *w)
{
	int err = w->trace ? lina_trace_drain(w->trace) : 0;

	if (err && !w->said_trace)
		lina_warn("LINA_TRACE: %s: %s; the trace ends here", lina_trace_file(w->trace),
			strerror(-err));
	w->said_trace |= err != 0;
}

static int metrics_save(const struct lina_writer *w)
{
	struct lina_stats_view view;
	size_t bytes;

	void *copy = lina_stats_copy(w->stats, &bytes);
	if (!copy)
		return -ENOMEM;
	int err = lina_stats_check(copy, bytes, &view);
	if (!err)
		err = lina_metrics_save(w->metrics, &view);
	free(copy);
	return err;
}

static void metrics_write(struct lina_writer *w)
{
	int err = w->metrics[0] ? metrics_save(w) : 0;

	if (err && !w->said_metrics)
		lina_warn("LINA_METRICS: cannot write %s: %s", w->metrics, strerror(-err));
	w->said_metrics = err != 0;
}

/* --- the thread --- */

static void deadline_set(struct timespec *at, int ms)
{
	clock_gettime(CLOCK_MONOTONIC, at);
	at->tv_sec += ms / 1000;
	at->tv_nsec += (long)(ms % 1000) * 1000000;
	if (at->tv_nsec >= 1000000000) {
		at->tv_sec++;
		at->tv_nsec -= 1000000000;
	}
}

static void *work(void *arg)
{
	struct lina_writer *w = arg;
	int step_ms = w->trace ? LINA_WRITER_TRACE_MS : LINA_WRITER_METRICS_MS;
	int due_ms = 0;

	pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		struct timespec at;
		trace_write(w);
		due_ms -= step_ms;
		if (due_ms <= 0) {
			metrics_write(w);
			due_ms = LINA_WRITER_METRICS_MS;
		}
		deadline_set(&at, step_ms);
		(void)pthread_cond_timedwait(&w->wake, &w->lock, &at);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void locks_make(struct lina_writer *w)
{
	lina_thread_cond_init(&w->wake);
	(void)pthread_mutex_init(&w->lock, NULL);
}

static void writer_free(struct lina_writer *w)
{
	(void)pthread_cond_destroy(&w->wake);
	(void)pthread_mutex_destroy(&w->lock);
	free(w);
}

int lina_writer_open(struct lina_trace *trace, const char *metrics, struct lina_stats *stats,
	struct lina_writer **writer_p)
{
	struct lina_writer *w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->trace = trace;
	w->stats = stats;
	w->runs = true;
	locks_make(w);
	int err = metrics[0] ? lina_trace_path(metrics, w->metrics, sizeof(w->metrics)) : 0;
	if (!err)
		err = lina_thread_start("lina-writer", work, w, &w->thread);
	if (err) {
		writer_free(w);
		return err;
	}
	*writer_p = w;
	return 0;
}

/* Whose thread it is to join. */
static bool thread_end(struct lina_writer *w)
{
	pthread_mutex_lock(&w->lock);
	bool ran = w->runs;
	w->runs = false;
	w->stop = true;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
	return ran;
}

void lina_writer_stop(struct lina_writer *writer)
{
	if (thread_end(writer))
		(void)pthread_join(writer->thread, NULL);
	pthread_mutex_lock(&writer->lock);
	trace_write(writer);
	metrics_write(writer);
	pthread_mutex_unlock(&writer->lock);
}

void lina_writer_close(struct lina_writer *writer)
{
	if (!writer)
		return;
	lina_writer_stop(writer);
	writer_free(writer);
}
