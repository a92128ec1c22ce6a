#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const char child_settings[] = "LINA_PEER_TIMEOUT_MS=1000 LINA_EARLY_BYTES=0";

static struct lina_net *net; /* of the case that runs, in the parent or in the child */
static int fds_before;

void pipe_write(int fd, const void *bytes, size_t n)
{
	if (write(fd, bytes, n) != (ssize_t)n)
		die("pipe: %s", strerror(errno));
}

void pipe_read(int fd, void *bytes, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = read(fd, (char *)bytes + got, n - got);
		if (r <= 0)
			die("the other process has ended: %s", r ? strerror(errno) : "");
		got += (size_t)r;
	}
}

struct child child_start(void (*run)(int from, int to))
{
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC) || pipe2(back, O_CLOEXEC))
		die("pipe: %s", strerror(errno));
	pid_t pid = fork();
	if (pid < 0)
		die("fork: %s", strerror(errno));
	if (pid == 0) {
		(void)close(there[1]);
		(void)close(back[0]);
		run(there[0], back[1]);
		_exit(0);
	}
	(void)close(there[0]);
	(void)close(back[1]);
	return (struct child){ .pid = pid, .to = there[1], .from = back[0] };
}

int child_end(struct child *child, int signal)
{
	int status;

	if (signal)
		(void)kill(child->pid, signal);
	if (waitpid(child->pid, &status, 0) != child->pid)
		die("waitpid: %s", strerror(errno));
	(void)close(child->to);
	(void)close(child->from);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int setup(void **state)
{
	(void)state;
	log_forget();
	fds_before = fds_open();
	return 0;
}

int teardown(void **state)
{
	(void)state;
	(void)lina_net_close(net);
	net = NULL;
	if (fds_open() != fds_before)
		die("%d descriptors before, %d after", fds_before, fds_open());
	return 0;
}

/* --- what children do --- */

void child_open_with(const char *settings)
{
	if (net_open(settings, &net))
		die("no context in the child");
}

void child_open(void)
{
	child_open_with(child_settings);
}

struct lina_conn *child_connect(int from)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_conn *conn;

	pipe_read(from, handle, sizeof(handle));
	if (connect_within(net, handle, LIMIT_MS, &conn))
		die("the child does not connect");
	return conn;
}

struct lina_conn *child_accept(int to)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct lina_conn *conn;

	if (lina_net_listen(net, 0, handle, &listener))
		die("the child does not listen");
	pipe_write(to, handle, sizeof(handle));
	if (accept_within(listener, LIMIT_MS, &conn))
		die("the child does not accept");
	return conn;
}

uint8_t *large_new(void)
{
	uint8_t *p = calloc(1, LARGE);

	if (!p)
		die("no memory");
	return p;
}

void kill_awaited(int from)
{
	char c;

	while (read(from, &c, 1) > 0)
		;
}

/* --- the parent's part --- */

void parent_open_with(const char *settings)
{
	assert_int_equal(net_open(settings, &net), 0);
}

void parent_open(void)
{
	parent_open_with(child_settings);
}

struct lina_conn *parent_accept(const struct child *child)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct lina_conn *conn;

	assert_int_equal(lina_net_listen(net, 0, handle, &listener), 0);
	pipe_write(child->to, handle, sizeof(handle));
	assert_int_equal(accept_within(listener, LIMIT_MS, &conn), 0);
	return conn;
}

struct lina_conn *parent_connect(const struct child *child)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_conn *conn;

	pipe_read(child->from, handle, sizeof(handle));
	assert_int_equal(connect_within(net, handle, LIMIT_MS, &conn), 0);
	return conn;
}

void child_is_ready(const struct child *child)
{
	char c;
	pipe_read(child->from, &c, 1);
}

void fails_as_of_a_dead_peer(struct lina_request *request)
{
	int err = finish_within(request, LIMIT_MS, NULL);

	if (err != -ECONNRESET && err != -ESHUTDOWN && err != -EPIPE)
		fail_msg("%s: %s", strerror(-err), log_text());
	if (log_warnings() != 1)
		fail_msg("%d lines: %s", log_warnings(), log_text());
	assert_true(log_says("127.0.0.1:"));
}
