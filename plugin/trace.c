/* The ring, and the file that it goes to. */
#include "plugin/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_BYTES = 1 << 16, OPENS_MAX = 1000, HOST_BYTES = 64 };

/* A place of the ring. turn is the number of the event that it is for next, and that number + 1
 * when the event is there. */
struct slot {
	_Atomic uint64_t turn;
	struct lina_trace_event event;
};

struct lina_trace {
	char path[PATH_MAX];
	int fd;
	int pid;
	bool failed;                 /* Of the one who drains, as all up to tail */
	uint64_t nspans;             /* numbers requests */
	uint64_t said_dropped;       /* of dropped, in the file */
	bool said[LINA_TRACE_NAMES]; /* tracks that the file knows the name of */
	off_t good;                  /* bytes of the file that end with an event */
	size_t used;
	char buffer[BUFFER_BYTES];
	uint64_t tail;                      /* next event to write */
	_Alignas(64) _Atomic uint64_t head; /* next event to come */
	_Alignas(64) _Atomic uint64_t dropped;
	pthread_mutex_t lock;
	uint16_t nnames;                                    /* Guarded by lock; from 1 */
	char name[LINA_TRACE_NAMES][LINA_TRACE_NAME_BYTES]; /* those given out do not change */
	struct slot ring[LINA_TRACE_EVENTS];
};

/* --- paths --- */

static bool text_add(char *to, size_t room, size_t *at, const char *text, size_t n)
{
	if (*at + n >= room)
		return false;
	memcpy(to + *at, text, n);
	*at += n;
	to[*at] = '\0';
	return true;
}

/* What stands for a percent sign and a letter; NULL: nothing does. */
static const char *stand_in(char letter, const char *host, const char *pid)
{
	switch (letter) {
	case 'p':
		return pid;
	case 'h':
		return host;
	case '%':
		return "%";
	default:
		return NULL;
	}
}

int lina_trace_path(const char *pattern, char *path, size_t path_bytes)
{
	char host[HOST_BYTES] = "", pid[16], suffix[HOST_BYTES + 20];
	bool told = false, fits = path_bytes > 0;
	size_t at = 0;

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(pid, sizeof(pid), "%d", (int)getpid());
	(void)snprintf(suffix, sizeof(suffix), ".%s.%s", host, pid);
	for (const char *c = pattern; *c && fits; c++) {
		const char *put = *c == '%' ? stand_in(c[1], host, pid) : NULL;
		told |= put && c[1] != '%';
		fits = text_add(path, path_bytes, &at, put ? put : c, put ? strlen(put) : 1);
		c += put != NULL;
	}
	if (fits && !told)
		fits = text_add(path, path_bytes, &at, suffix, strlen(suffix));
	return fits ? 0 : -ENAMETOOLONG;
}

/* A file that is there is somebody's result. */
static int file_make(struct lina_trace *t)
{
	size_t length = strlen(t->path);

	for (int i = 1; i < OPENS_MAX; i++) {
		t->fd = open(t->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (t->fd >= 0)
			return 0;
		if (errno != EEXIST)
			return -errno;
		if (length + 5 >= sizeof(t->path))
			return -ENAMETOOLONG;
		(void)snprintf(t->path + length, sizeof(t->path) - length, ".%d", i);
	}
	return -EEXIST;
}

/* --- the file --- */

static int buffer_write(struct lina_trace *t)
{
	for (size_t at = 0; at < t->used && !t->failed;) {
		ssize_t n = write(t->fd, t->buffer + at, t->used - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int err = -errno;
			t->failed = true;
			/* Half an event may be there: no space for the rest. */
			return ftruncate(t->fd, t->good) ? -errno : err;
		}
		at += (size_t)n;
	}
	t->good += (off_t)t->used;
	t->used = 0;
	return 0;
}

/* Separators come first: at any time the file lacks no more than its closing bracket. */
static int text_write(struct lina_trace *t, const char *text, size_t n)
{
	int err = t->used + n + 2 > sizeof(t->buffer) ? buffer_write(t) : 0;

	if (err || t->failed || !n)
		return err;
	memcpy(t->buffer + t->used, ",\n", 2);
	memcpy(t->buffer + t->used + 2, text, n);
	t->used += n + 2;
	return 0;
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Who it is, and what the clock of the events says in real time, by which the files of several
 * hosts can be laid over one another. */
static int head_write(struct lina_trace *t)
{
	char host[HOST_BYTES] = "", escaped[HOST_BYTES * 6], program[HOST_BYTES * 6];
	uint64_t monotonic = clock_ns(CLOCK_MONOTONIC), real = clock_ns(CLOCK_REALTIME);

	(void)gethostname(host, sizeof(host) - 1);
	lina_trace_escape(host, escaped, sizeof(escaped));
	lina_trace_escape(program_invocation_short_name, program, sizeof(program));
	t->used = (size_t)snprintf(t->buffer, sizeof(t->buffer),
		"[\n{\"pid\":%d,\"ph\":\"M\",\"name\":\"process_name\",\"args\":{\"name\":\"%s "
		"%s\"}},\n"
		"{\"pid\":%d,\"tid\":0,\"ts\":%" PRIu64
		".%03u,\"ph\":\"i\",\"s\":\"p\",\"cat\":\"lina\","
		"\"name\":\"clock\",\"args\":{\"real_ns\":\"%" PRIu64 "\"}}",
		t->pid, escaped, program, t->pid, monotonic / 1000, (unsigned)(monotonic % 1000),
		real);
	return buffer_write(t);
}

static void trace_free(struct lina_trace *t)
{
	(void)close(t->fd);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static struct lina_trace *trace_new(void)
{
	void *memory;

	if (posix_memalign(&memory, _Alignof(struct lina_trace), sizeof(struct lina_trace)))
		return NULL;
	struct lina_trace *t = memory;
	memset(t, 0, sizeof(*t));
	t->fd = -1;
	t->pid = (int)getpid();
	pthread_mutex_init(&t->lock, NULL);
	for (uint64_t i = 0; i < LINA_TRACE_EVENTS; i++)
		atomic_init(&t->ring[i].turn, i);
	return t;
}

int lina_trace_open(const char *pattern, struct lina_trace **trace_p)
{
	struct lina_trace *t = trace_new();
	if (!t)
		return -ENOMEM;
	int err = lina_trace_path(pattern, t->path, sizeof(t->path));
	if (!err)
		err = file_make(t);
	if (!err)
		err = head_write(t);
	if (err) {
		trace_free(t);
		return err;
	}
	*trace_p = t;
	return 0;
}

const char *lina_trace_file(const struct lina_trace *trace)
{
	return trace->path;
}

/* --- names --- */

uint16_t lina_trace_name(struct lina_trace *trace, const char *name)
{
	uint16_t i = 1;

	pthread_mutex_lock(&trace->lock);
	while (i <= trace->nnames && strncmp(trace->name[i], name, LINA_TRACE_NAME_BYTES - 1) != 0)
		i++;
	if (i == LINA_TRACE_NAMES) {
		i = 0;
	} else if (i > trace->nnames) {
		strncpy(trace->name[i], name, LINA_TRACE_NAME_BYTES - 1);
		trace->nnames = i;
	}
	pthread_mutex_unlock(&trace->lock);
	return i;
}

static const char *name_of(const struct lina_trace *t, uint16_t name)
{
	return name > 0 && name < LINA_TRACE_NAMES ? t->name[name] : NULL;
}

/* --- the ring: many add, one takes (Vyukov's bounded queue) --- */

void lina_trace_add(struct lina_trace *trace, const struct lina_trace_event *event)
{
	uint64_t head = atomic_load_explicit(&trace->head, memory_order_relaxed);

	for (;;) {
		struct slot *slot = &trace->ring[head % LINA_TRACE_EVENTS];
		uint64_t turn = atomic_load_explicit(&slot->turn, memory_order_acquire);
		if (turn < head) {
			atomic_fetch_add_explicit(&trace->dropped, 1, memory_order_relaxed);
			return;
		}
		if (turn == head && atomic_compare_exchange_weak_explicit(&trace->head, &head,
					    head + 1, memory_order_relaxed, memory_order_relaxed)) {
			slot->event = *event;
			atomic_store_explicit(&slot->turn, head + 1, memory_order_release);
			return;
		}
		if (turn > head)
			head = atomic_load_explicit(&trace->head, memory_order_relaxed);
	}
}

static bool event_take(struct lina_trace *t, struct lina_trace_event *event)
{
	struct slot *slot = &t->ring[t->tail % LINA_TRACE_EVENTS];

	if (atomic_load_explicit(&slot->turn, memory_order_acquire) != t->tail + 1)
		return false;
	*event = slot->event;
	atomic_store_explicit(&slot->turn, t->tail + LINA_TRACE_EVENTS, memory_order_release);
	t->tail++;
	return true;
}

static int track_write(struct lina_trace *t, uint16_t track)
{
	char text[LINA_TRACE_EVENT_BYTES];
	const char *name = name_of(t, track);

	if (!name || t->said[track])
		return 0;
	t->said[track] = true;
	return text_write(t, text, lina_trace_format_track(t->pid, track, name, text));
}

static int event_write(struct lina_trace *t, const struct lina_trace_event *event)
{
	char text[LINA_TRACE_EVENT_BYTES];
	const struct lina_trace_names names = { .track = name_of(t, event->track),
		.peer = name_of(t, event->peer),
		.pid = t->pid,
		.id = ++t->nspans };

	if (t->failed) {
		atomic_fetch_add_explicit(&t->dropped, 1, memory_order_relaxed);
		return 0;
	}
	int err = track_write(t, event->track);
	return err ? err : text_write(t, text, lina_trace_format(event, &names, text));
}

static int dropped_write(struct lina_trace *t)
{
	char text[LINA_TRACE_EVENT_BYTES];
	uint64_t dropped = lina_trace_dropped(t), now_ns = clock_ns(CLOCK_MONOTONIC);

	if (dropped == t->said_dropped)
		return 0;
	t->said_dropped = dropped;
	int n = snprintf(text, sizeof(text),
		"{\"pid\":%d,\"tid\":0,\"ts\":%" PRIu64 ".%03u,\"ph\":\"i\",\"s\":\"p\","
		"\"cat\":\"lina\",\"name\":\"dropped\",\"args\":{\"events\":%" PRIu64 "}}",
		t->pid, now_ns / 1000, (unsigned)(now_ns % 1000), dropped);
	return text_write(t, text, n > 0 ? (size_t)n : 0);
}

int lina_trace_drain(struct lina_trace *trace)
{
	struct lina_trace_event event;
	int err = 0;

	/* No more than a ring at a time, however fast they come. */
	for (int i = 0; i < LINA_TRACE_EVENTS && !err && event_take(trace, &event); i++)
		err = event_write(trace, &event);
	if (!err)
		err = dropped_write(trace);
	return err ? err : buffer_write(trace);
}

uint64_t lina_trace_dropped(const struct lina_trace *trace)
{
	return atomic_load_explicit(&trace->dropped, memory_order_relaxed);
}

void lina_trace_close(struct lina_trace *trace)
{
	if (!trace)
		return;
	(void)lina_trace_drain(trace);
	memcpy(trace->buffer, "\n]\n", 3);
	trace->used = 3;
	(void)buffer_write(trace);
	trace_free(trace);
}
