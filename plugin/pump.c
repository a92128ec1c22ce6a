#include "plugin/pump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "plugin/log.h"
#include "plugin/thread.h"

enum { THREAD_NAME_BYTES = 16, PACE_FIRST_NS = 200000, SLACK_NS = 1000 };

struct lina_pump {
	LIST_ENTRY(lina_pump) link; /* Guarded by the lock of pumps */
	char name[THREAD_NAME_BYTES];
	pid_t pid; /* a child made by fork has no thread of it, and perhaps a lock for ever */
	_Atomic uint64_t pace_ns;
	_Atomic bool asleep; /* for good, until somebody wants it */
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	TAILQ_HEAD(, lina_pumped) members;
	bool begun, runs, stop;
};

static struct {
	pthread_mutex_t lock; /* taken before that of a pump */
	LIST_HEAD(, lina_pump) all;
} pumps = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* --- the thread. Under the lock --- */

static bool is_wanted(const struct lina_pump *pump)
{
	const struct lina_pumped *m;

	TAILQ_FOREACH(m, &pump->members, link)
	if (atomic_load(&m->wants))
		return true;
	return false;
}

/* A member that wants it from here on sees that it is asleep, or is seen. */
static void sleep_until_wanted(struct lina_pump *pump)
{
	atomic_store(&pump->asleep, true);
	while (!pump->stop && !is_wanted(pump))
		(void)pthread_cond_wait(&pump->wake, &pump->lock);
	atomic_store(&pump->asleep, false);
}

static void rest(struct lina_pump *pump)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	uint64_t ns = (uint64_t)at.tv_nsec + atomic_load(&pump->pace_ns);
	at.tv_sec += (time_t)(ns / 1000000000);
	at.tv_nsec = (long)(ns % 1000000000);
	if (!pump->stop)
		(void)pthread_cond_timedwait(&pump->wake, &pump->lock, &at);
}

/* One whose lock is taken is being looked after. */
static void push_all(struct lina_pump *pump)
{
	struct lina_pumped *m;

	TAILQ_FOREACH(m, &pump->members, link)
	{
		if (!atomic_load(&m->wants) || pthread_mutex_trylock(&m->lock))
			continue;
		m->push(m);
		pthread_mutex_unlock(&m->lock);
	}
}

static void *work(void *arg)
{
	struct lina_pump *pump = arg;

	/* A thread's sleeps may end 50 us late unless it says otherwise. */
	(void)prctl(PR_SET_TIMERSLACK, SLACK_NS);
	pthread_mutex_lock(&pump->lock);
	while (!pump->stop) {
		sleep_until_wanted(pump);
		rest(pump);
		push_all(pump);
	}
	pthread_mutex_unlock(&pump->lock);
	return NULL;
}

static void thread_start(struct lina_pump *pump)
{
	int err = lina_thread_start(pump->name, work, pump, &pump->thread);

	pump->runs = !err;
	if (err)
		lina_warn("thread %s cannot be started: %s; what is kept back goes when NCCL's "
			  "threads look",
			pump->name, strerror(-err));
}

/* Without the lock. */
static void thread_stop(struct lina_pump *pump)
{
	if (pump->pid != getpid())
		return;
	pthread_mutex_lock(&pump->lock);
	pump->stop = true;
	pthread_cond_signal(&pump->wake);
	pthread_mutex_unlock(&pump->lock);
	if (pump->runs)
		(void)pthread_join(pump->thread, NULL);
	pump->runs = false;
}

/* --- for everybody --- */

int lina_pump_open(const char *name, struct lina_pump **pump_p)
{
	struct lina_pump *pump = calloc(1, sizeof(*pump));
	if (!pump)
		return -ENOMEM;
	(void)snprintf(pump->name, sizeof(pump->name), "lina-%.10s", name);
	pump->pid = getpid();
	pump->pace_ns = PACE_FIRST_NS;
	TAILQ_INIT(&pump->members);
	lina_thread_cond_init(&pump->wake);
	(void)pthread_mutex_init(&pump->lock, NULL);
	pthread_mutex_lock(&pumps.lock);
	LIST_INSERT_HEAD(&pumps.all, pump, link);
	pthread_mutex_unlock(&pumps.lock);
	*pump_p = pump;
	return 0;
}

void lina_pump_close(struct lina_pump *pump)
{
	if (!pump)
		return;
	pthread_mutex_lock(&pumps.lock);
	LIST_REMOVE(pump, link);
	pthread_mutex_unlock(&pumps.lock);
	thread_stop(pump);
	(void)pthread_cond_destroy(&pump->wake);
	(void)pthread_mutex_destroy(&pump->lock);
	free(pump);
}

/* When the library is unloaded, or the process exits: code and memory of it, and of what is sent,
 * may go. Nobody closes what is open any more; whoever looks himself still may. */
__attribute__((destructor)) static void threads_stop(void)
{
	struct lina_pump *pump;

	pthread_mutex_lock(&pumps.lock);
	LIST_FOREACH(pump, &pumps.all, link)
	thread_stop(pump);
	pthread_mutex_unlock(&pumps.lock);
}

void lina_pump_pace(struct lina_pump *pump, uint64_t ns)
{
	atomic_store(&pump->pace_ns, ns);
}

void lina_pump_add(
	struct lina_pump *pump, struct lina_pumped *member, void (*push)(struct lina_pumped *))
{
	if (pump && pump->pid != getpid())
		pump = NULL;
	member->pump = pump;
	member->push = push;
	member->wants = false;
	(void)pthread_mutex_init(&member->lock, NULL);
	if (!pump)
		return;
	pthread_mutex_lock(&pump->lock);
	TAILQ_INSERT_TAIL(&pump->members, member, link);
	if (!pump->begun)
		thread_start(pump);
	pump->begun = true;
	pthread_mutex_unlock(&pump->lock);
}

void lina_pump_remove(struct lina_pumped *member)
{
	struct lina_pump *pump = member->pump;

	if (pump) {
		pthread_mutex_lock(&pump->lock);
		TAILQ_REMOVE(&pump->members, member, link);
		pthread_mutex_unlock(&pump->lock);
	}
	(void)pthread_mutex_destroy(&member->lock);
}

void lina_pump_wants(struct lina_pumped *member, bool wants)
{
	struct lina_pump *pump = member->pump;

	if (wants == atomic_load_explicit(&member->wants, memory_order_relaxed))
		return;
	atomic_store(&member->wants, wants);
	if (!wants || !pump || !atomic_load(&pump->asleep))
		return;
	pthread_mutex_lock(&pump->lock);
	pthread_cond_signal(&pump->wake);
	pthread_mutex_unlock(&pump->lock);
}
