#include "net/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef FIXTURE_ON_VERBS
#include "fake/fabric.h"
#define TRANSPORT "verbs"
#else
#define TRANSPORT "tcp"
#endif

enum { LOG_BYTES = 64 << 10, CONNECT_MS = 30000 };

/* Lines of one level. */
struct lines {
	int n;
	size_t used;
	char text[LOG_BYTES];
};

static struct {
	pthread_mutex_t lock;
	struct lines warnings, notes; /* Guarded by lock */
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* A line that finds no room is counted all the same. */
static void line_add(struct lines *lines, const char *file, int line, const char *fmt, va_list args)
	__attribute__((format(printf, 4, 0)));

static void line_add(struct lines *lines, const char *file, int line, const char *fmt, va_list args)
{
	char *to = lines->text + lines->used;
	size_t room = sizeof(lines->text) - lines->used;

	lines->n++;
	int n = snprintf(to, room, "%s:%d: ", file, line);
	if (n <= 0 || (size_t)n >= room)
		return;
	int m = vsnprintf(to + n, room - (size_t)n, fmt, args);
	if (m <= 0 || (size_t)n + (size_t)m + 2 >= room)
		return;
	lines->used += (size_t)n + (size_t)m;
	lines->text[lines->used++] = '\n';
	lines->text[lines->used] = '\0';
}

void record_log(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	(void)flags;
	if (level != LINA_LOG_WARN && level != LINA_LOG_INFO)
		return;
	pthread_mutex_lock(&kept.lock);
	va_start(args, fmt);
	line_add(level == LINA_LOG_WARN ? &kept.warnings : &kept.notes, file, line, fmt, args);
	va_end(args);
	pthread_mutex_unlock(&kept.lock);
}

static void lines_forget(struct lines *lines)
{
	lines->n = 0;
	lines->used = 0;
	lines->text[0] = '\0';
}

void log_forget(void)
{
	pthread_mutex_lock(&kept.lock);
	lines_forget(&kept.warnings);
	lines_forget(&kept.notes);
	pthread_mutex_unlock(&kept.lock);
}

int log_warnings(void)
{
	pthread_mutex_lock(&kept.lock);
	int n = kept.warnings.n;
	pthread_mutex_unlock(&kept.lock);
	return n;
}

bool log_says(const char *text)
{
	pthread_mutex_lock(&kept.lock);
	bool found = strstr(kept.warnings.text, text) != NULL;
	pthread_mutex_unlock(&kept.lock);
	return found;
}

int log_notes(const char *text)
{
	int n = 0;

	pthread_mutex_lock(&kept.lock);
	for (const char *at = kept.notes.text; (at = strstr(at, text)); at++)
		n++;
	pthread_mutex_unlock(&kept.lock);
	return n;
}

const char *log_text(void)
{
	return kept.warnings.text;
}

const char *log_notes_text(void)
{
	return kept.notes.text;
}

void die(const char *fmt, ...)
{
	va_list args;

	(void)fflush(stdout);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "\nlog:\n%s", kept.warnings.text);
	_exit(1);
}

void skip_all(const char *why)
{
	(void)printf("skipped: %s\n", why);
	(void)fflush(stdout);
	_exit(77);
}

uint64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };
	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static int entries_count(const char *path)
{
	int n = 0;
	DIR *dir = opendir(path);

	if (!dir)
		die("cannot open %s: %s", path, strerror(errno));
	for (const struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	(void)closedir(dir);
	return n;
}

int fds_open(void)
{
	return entries_count("/proc/self/fd") - 1; /* the directory's own */
}

static void *nothing(void *arg)
{
	return arg;
}

/* The thread sanitizer has one of its own from the first on that a program makes. */
static void first_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, nothing, NULL) || pthread_join(thread, NULL))
		die("no thread");
}

int threads_alive(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, first_thread);
	return entries_count("/proc/self/task");
}

/* --- a context on loopback --- */

/* The first variable of the plugin in the environment, without its value. */
static bool lina_variable(char *name, size_t room)
{
	for (char **one = environ; *one; one++) {
		size_t bytes = strcspn(*one, "=");
		if (strncmp(*one, "LINA_", 5) != 0)
			continue;
		if (bytes >= room)
			die("a variable with a name of %zu bytes", bytes);
		memcpy(name, *one, bytes);
		name[bytes] = '\0';
		return true;
	}
	return false;
}

/* All of them, and those of NCCL that stand in for one. */
static void lina_variables_unset(void)
{
	char name[256];

	while (lina_variable(name, sizeof(name)))
		(void)unsetenv(name);
	(void)unsetenv("NCCL_SOCKET_IFNAME");
	(void)unsetenv("NCCL_SOCKET_FAMILY");
}

static void settings_apply(const char *settings)
{
	char text[512];
	char *rest = text;

	lina_variables_unset();
	(void)setenv("LINA_IFNAME", "=lo", 1);
	(void)setenv("LINA_TRANSPORT", TRANSPORT, 1);
	(void)setenv("LINA_SHARE", "0", 1); /* other tests run at the same time */
	(void)setenv("LINA_PUMP", getenv("FIXTURE_PUMP") ? "1" : "0", 1);
	(void)snprintf(text, sizeof(text), "%s", settings ? settings : "");
	for (char *one; (one = strsep(&rest, " "));) {
		char *value = strchr(one, '=');
		if (!value)
			continue;
		*value = '\0';
		(void)setenv(one, value + 1, 1);
	}
}

int net_open(const char *settings, struct lina_net **net_p)
{
	const struct lina_net_params params = { .traffic_class = LINA_TRAFFIC_CLASS_UNSET,
		.log = record_log };

	settings_apply(settings);
	return lina_net_open(&params, net_p);
}

static int connect_both(struct lina_net *net, void *handle, struct lina_listener *listener,
	struct lina_conn **send_p, struct lina_conn **recv_p)
{
	uint64_t deadline = now_ms() + CONNECT_MS;
	int err = 0;

	*send_p = *recv_p = NULL;
	while (!err && (!*send_p || !*recv_p)) {
		if (!*send_p)
			err = lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, send_p);
		if (!err && !*recv_p)
			err = lina_net_accept(listener, recv_p);
		if (!err && now_ms() > deadline)
			err = -EAGAIN;
	}
	return err;
}

int pair_connect(struct lina_net *net, struct pair *pair_p)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;

	int err = lina_net_listen(net, 0, handle, &listener);
	if (err)
		return err;
	pair_p->net = net;
	err = connect_both(net, handle, listener, &pair_p->send, &pair_p->recv);
	if (err) {
		(void)lina_net_close_send(pair_p->send);
		(void)lina_net_close_recv(pair_p->recv);
	}
	(void)lina_net_close_listen(listener);
	return err;
}

void pair_open(const char *settings, struct pair *pair_p)
{
	int err = net_open(settings, &pair_p->net);
	if (!err)
		err = pair_connect(pair_p->net, pair_p);
	if (err)
		die("no connection with '%s': %s", settings ? settings : "", strerror(-err));
}

/* What the devices have seen of the transport. */
static void check_devices(void)
{
#ifdef FIXTURE_ON_VERBS
	struct fabric_counts counts = fabric_counts();

	if (!fabric_nothing_live())
		die("something of the RDMA devices is left");
	if (counts.misuses || counts.overruns)
		die("%ld calls that the devices refused, %ld queues that ran over", counts.misuses,
			counts.overruns);
#endif
}

void pair_close(struct pair *pair)
{
	(void)lina_net_close_send(pair->send);
	(void)lina_net_close_recv(pair->recv);
	(void)lina_net_close(pair->net);
	check_devices();
}

int connect_within(struct lina_net *net, void *handle, int ms, struct lina_conn **conn_p)
{
	uint64_t deadline = now_ms() + (uint64_t)ms;

	*conn_p = NULL;
	do {
		int err = lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, conn_p);
		if (err || *conn_p)
			return err;
	} while (now_ms() < deadline);
	return -EAGAIN;
}

int accept_within(struct lina_listener *listener, int ms, struct lina_conn **conn_p)
{
	uint64_t deadline = now_ms() + (uint64_t)ms;

	*conn_p = NULL;
	do {
		int err = lina_net_accept(listener, conn_p);
		if (err || *conn_p)
			return err;
	} while (now_ms() < deadline);
	return -EAGAIN;
}

int finish_within(struct lina_request *request, int ms, int *bytes_p)
{
	uint64_t deadline = now_ms() + (uint64_t)ms;

	do {
		int done = 0;
		int err = lina_net_test(request, &done, bytes_p);
		if (err || done)
			return err;
	} while (now_ms() < deadline);
	return -EAGAIN;
}

int finish_both(struct lina_request *a, struct lina_request *b, int ms)
{
	uint64_t deadline = now_ms() + (uint64_t)ms;
	int a_done = 0, b_done = 0, err = 0;

	while (!err && !(a_done && b_done)) {
		if (!a_done)
			err = lina_net_test(a, &a_done, NULL);
		if (!err && !b_done)
			err = lina_net_test(b, &b_done, NULL);
		if (!err && now_ms() > deadline)
			err = -EAGAIN;
	}
	return err;
}

/* --- transfers --- */

#ifdef FIXTURE_ON_VERBS
struct lina_mr *memory_at(struct lina_conn *conn, const void *data, size_t bytes)
{
	struct lina_mr *mr = NULL;

	if (bytes == 0)
		return NULL;
	int err = lina_net_reg(conn, (void *)data, bytes, LINA_PTR_HOST, 0, -1, &mr);
	if (err)
		die("no registration: %s", strerror(-err));
	return mr;
}
#else
struct lina_mr *memory_at(struct lina_conn *conn, const void *data, size_t bytes)
{
	(void)conn;
	(void)data;
	(void)bytes;
	return NULL;
}
#endif

void memory_of(struct lina_conn *conn, int n, void *const *data, const size_t *bytes,
	struct lina_mr **mrs_p)
{
	for (int i = 0; i < n; i++)
		mrs_p[i] = memory_at(conn, data[i], bytes[i]);
}

struct lina_request *post_recv(struct lina_conn *conn, void *data, size_t bytes, int tag)
{
	struct lina_request *request = NULL;
	struct lina_mr *mr = memory_at(conn, data, bytes);

	int err = lina_net_recv(conn, 1, &data, &bytes, &tag, &mr, NULL, &request);
	if (err || !request)
		die("receive not posted: %s", strerror(-err));
	return request;
}

struct lina_request *post_send(struct lina_conn *conn, const void *data, size_t bytes, int tag)
{
	struct lina_request *request = NULL;

	/* What is sent is only read, though the call, as NCCL's, has no const. */
	int err = lina_net_send(
		conn, (void *)data, bytes, tag, memory_at(conn, data, bytes), NULL, &request);
	if (err || !request)
		die("send not posted: %s", strerror(-err));
	return request;
}

/* --- data that is known --- */

uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1du;
}

/* Eight bytes of the pattern, which depend on the seed and on their place, so that a shift is seen.
 */
static uint64_t word_at(uint64_t seed, size_t i)
{
	uint64_t state = (seed + 1) * 0x9e3779b97f4a7c15u + i + 1;
	return random_next(&state);
}

void fill(void *data, size_t bytes, uint64_t seed)
{
	uint8_t *p = data;

	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t word = word_at(seed, i);
		memcpy(p + i, &word, bytes - i < 8 ? bytes - i : 8);
	}
}

bool is_filled(const void *data, size_t bytes, uint64_t seed)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < bytes; i += 8) {
		uint64_t word = word_at(seed, i);
		if (memcmp(p + i, &word, bytes - i < 8 ? bytes - i : 8) != 0)
			return false;
	}
	return true;
}
