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

enum { LOG_BYTES = 64 << 10, CONNECT_MS = 30000 };

static struct {
	pthread_mutex_t lock;
	int warnings; /* Guarded by lock, as text */
	size_t used;
	char text[LOG_BYTES];
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER };

void record_log(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	(void)flags;
	if (level != LINA_LOG_WARN)
		return;
	pthread_mutex_lock(&kept.lock);
	kept.warnings++;
	size_t room = sizeof(kept.text) - kept.used;
	int n = snprintf(kept.text + kept.used, room, "%s:%d: ", file, line);
	if (n > 0 && (size_t)n < room) {
		va_start(args, fmt);
		int m = vsnprintf(kept.text + kept.used + n, room - (size_t)n, fmt, args);
		va_end(args);
		if (m > 0 && (size_t)n + (size_t)m + 2 < room) {
			kept.used += (size_t)n + (size_t)m;
			kept.text[kept.used++] = '\n';
			kept.text[kept.used] = '\0';
		}
	}
	pthread_mutex_unlock(&kept.lock);
}

void log_forget(void)
{
	pthread_mutex_lock(&kept.lock);
	kept.warnings = 0;
	kept.used = 0;
	kept.text[0] = '\0';
	pthread_mutex_unlock(&kept.lock);
}

int log_warnings(void)
{
	pthread_mutex_lock(&kept.lock);
	int n = kept.warnings;
	pthread_mutex_unlock(&kept.lock);
	return n;
}

bool log_says(const char *text)
{
	pthread_mutex_lock(&kept.lock);
	bool found = strstr(kept.text, text) != NULL;
	pthread_mutex_unlock(&kept.lock);
	return found;
}

const char *log_text(void)
{
	return kept.text;
}

void die(const char *fmt, ...)
{
	va_list args;

	(void)fflush(stdout);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, "\nlog:\n%s", kept.text);
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

int threads_alive(void)
{
	return entries_count("/proc/self/task");
}

/* --- a context on loopback --- */

static void lina_variables_unset(void)
{
	static const char *const names[] = { "LINA_LANES", "LINA_EARLY_BYTES",
		"LINA_CONNECT_TIMEOUT_MS", "LINA_PEER_TIMEOUT_MS", "LINA_IFNAME",
		"LINA_SOCKET_FAMILY", "LINA_CLASSES", "NCCL_SOCKET_IFNAME", "NCCL_SOCKET_FAMILY" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		(void)unsetenv(names[i]);
}

static void settings_apply(const char *settings)
{
	char text[512];
	char *rest = text;

	lina_variables_unset();
	(void)setenv("LINA_IFNAME", "=lo", 1);
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

void pair_close(struct pair *pair)
{
	(void)lina_net_close_send(pair->send);
	(void)lina_net_close_recv(pair->recv);
	(void)lina_net_close(pair->net);
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

struct lina_request *post_recv(struct lina_conn *conn, void *data, size_t bytes, int tag)
{
	struct lina_request *request = NULL;
	struct lina_mr *mr = NULL;

	int err = lina_net_recv(conn, 1, &data, &bytes, &tag, &mr, NULL, &request);
	if (err || !request)
		die("receive not posted: %s", strerror(-err));
	return request;
}

struct lina_request *post_send(struct lina_conn *conn, const void *data, size_t bytes, int tag)
{
	struct lina_request *request = NULL;

	/* What is sent is only read, though the call, as NCCL's, has no const. */
	int err = lina_net_send(conn, (void *)data, bytes, tag, NULL, NULL, &request);
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
