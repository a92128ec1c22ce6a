/* Peers that are killed, stopped or forked, as processes of their own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { LIMIT_MS = 30000, LARGE = 48 << 20, SMALL = 64, TIMEOUT_MS = 1000, STOPPED_MS = 8000 };

/* A child with a pipe each way. What runs in it must not return. */
struct child {
	pid_t pid;
	int to, from;
};

static struct lina_net *net;
static int fds_before;

static void pipe_write(int fd, const void *bytes, size_t n)
{
	if (write(fd, bytes, n) != (ssize_t)n)
		die("pipe: %s", strerror(errno));
}

static void pipe_read(int fd, void *bytes, size_t n)
{
	for (size_t got = 0; got < n;) {
		ssize_t r = read(fd, (char *)bytes + got, n - got);
		if (r <= 0)
			die("the other process has ended: %s", r ? strerror(errno) : "");
		got += (size_t)r;
	}
}

static struct child child_start(void (*run)(int from, int to))
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

/* Its exit status, or minus the signal that ended it. */
static int child_end(struct child *child, int signal)
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

static const char settings[] = "LINA_PEER_TIMEOUT_MS=1000 LINA_EARLY_BYTES=0";

static int setup(void **state)
{
	(void)state;
	log_forget();
	fds_before = fds_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)lina_net_close(net);
	net = NULL;
	if (fds_open() != fds_before)
		die("%d descriptors before, %d after", fds_before, fds_open());
	return 0;
}

/* --- what children do --- */

static void child_open(void)
{
	if (net_open(settings, &net))
		die("no context in the child");
}

static struct lina_conn *child_connect(int from)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_conn *conn;

	pipe_read(from, handle, sizeof(handle));
	if (connect_within(net, handle, LIMIT_MS, &conn))
		die("the child does not connect");
	return conn;
}

static struct lina_conn *child_accept(int to)
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

static uint8_t *large_new(void)
{
	uint8_t *p = calloc(1, LARGE);

	if (!p)
		die("no memory");
	return p;
}

static void wait_forever(void)
{
	for (;;)
		(void)pause();
}

static void child_sends_half(int from, int to)
{
	child_open();
	struct lina_conn *conn = child_connect(from);
	struct lina_request *r = post_send(conn, large_new(), LARGE, 0);
	int done = 0;
	for (int i = 0; i < 300 && !done; i++)
		(void)lina_net_test(r, &done, NULL);
	pipe_write(to, "", 1);
	wait_forever();
}

static void child_connects_only(int from, int to)
{
	child_open();
	(void)child_connect(from);
	pipe_write(to, "", 1);
	wait_forever();
}

static void child_receives_half(int from, int to)
{
	(void)from;
	child_open();
	struct lina_conn *conn = child_accept(to);
	struct lina_request *r = post_recv(conn, large_new(), LARGE, 0);
	int done = 0;
	for (int i = 0; i < 300 && !done; i++)
		(void)lina_net_test(r, &done, NULL);
	pipe_write(to, "", 1);
	wait_forever();
}

static void child_accepts_only(int from, int to)
{
	(void)from;
	child_open();
	(void)child_accept(to);
	pipe_write(to, "", 1);
	wait_forever();
}

/* --- the parent's part --- */

static void parent_open(void)
{
	assert_int_equal(net_open(settings, &net), 0);
}

static struct lina_conn *parent_accept(const struct child *child)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct lina_conn *conn;

	assert_int_equal(lina_net_listen(net, 0, handle, &listener), 0);
	pipe_write(child->to, handle, sizeof(handle));
	assert_int_equal(accept_within(listener, LIMIT_MS, &conn), 0);
	return conn;
}

static struct lina_conn *parent_connect(const struct child *child)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_conn *conn;

	pipe_read(child->from, handle, sizeof(handle));
	assert_int_equal(connect_within(net, handle, LIMIT_MS, &conn), 0);
	return conn;
}

static void child_is_ready(const struct child *child)
{
	char c;
	pipe_read(child->from, &c, 1);
}

static void fails_as_of_a_dead_peer(struct lina_request *request)
{
	int err = finish_within(request, LIMIT_MS, NULL);

	if (err != -ECONNRESET && err != -ESHUTDOWN && err != -EPIPE)
		fail_msg("%s: %s", strerror(-err), log_text());
	if (log_warnings() != 1)
		fail_msg("%d lines: %s", log_warnings(), log_text());
	assert_true(log_says("127.0.0.1:"));
}

/* The receiving end's peer is killed: within a message, or before any. */
static void sender_dies(void (*run)(int from, int to))
{
	uint8_t *data = large_new();

	struct child child = child_start(run);
	parent_open();
	struct lina_conn *conn = parent_accept(&child);
	struct lina_request *r = post_recv(conn, data, LARGE, 0);
	for (int i = 0, done = 0; i < 100; i++)
		assert_int_equal(lina_net_test(r, &done, NULL), 0);
	child_is_ready(&child);
	assert_int_equal(child_end(&child, SIGKILL), -SIGKILL);
	fails_as_of_a_dead_peer(r);
	free(data);
}

static void sender_dies_within_a_message(void **state)
{
	(void)state;
	sender_dies(child_sends_half);
}

static void sender_dies_while_idle(void **state)
{
	(void)state;
	sender_dies(child_connects_only);
}

static void receiver_dies(void (*run)(int from, int to))
{
	uint8_t *data = large_new();

	struct child child = child_start(run);
	parent_open();
	struct lina_conn *conn = parent_connect(&child);
	struct lina_request *r = post_send(conn, data, LARGE, 0);
	for (int i = 0, done = 0; i < 100; i++)
		assert_int_equal(lina_net_test(r, &done, NULL), 0);
	child_is_ready(&child);
	assert_int_equal(child_end(&child, SIGKILL), -SIGKILL);
	fails_as_of_a_dead_peer(r);
	free(data);
}

static void receiver_dies_within_a_message(void **state)
{
	(void)state;
	receiver_dies(child_receives_half);
}

static void receiver_dies_while_idle(void **state)
{
	(void)state;
	receiver_dies(child_accepts_only);
}

/* --- slow is not dead --- */

/* Receives on one connection and sends on another, for ever slowly: it is stopped meanwhile. */
static void child_is_slow(int from, int to)
{
	uint8_t *data = large_new(), sent[SMALL], more;

	child_open();
	struct lina_conn *recv = child_accept(to), *send = child_connect(from);
	struct lina_request *r = post_recv(recv, data, LARGE, 0);
	for (int i = 0, done = 0; i < 100 && !done; i++)
		(void)lina_net_test(r, &done, NULL);
	pipe_write(to, "", 1);
	pipe_read(from, &more, 1);
	fill(sent, SMALL, 5);
	int err = finish_within(r, LIMIT_MS, NULL);
	if (!err)
		err = finish_within(post_send(send, sent, SMALL, 0), LIMIT_MS, NULL);
	if (err || !is_filled(data, LARGE, 4))
		die("in the child: %s", strerror(-err));
	pipe_read(from, &more, 1); /* the parent has all */
	_exit(0);
}

static void both_move(
	struct lina_request *send, struct lina_request *recv, int *sent, int *received)
{
	if (!*sent)
		assert_int_equal(lina_net_test(send, sent, NULL), 0);
	if (!*received)
		assert_int_equal(lina_net_test(recv, received, NULL), 0);
}

static void stopped_peer_is_waited_for(void **state)
{
	uint8_t *data = large_new(), got[SMALL] = { 0 };
	int sent = 0, received = 0;

	(void)state;
	fill(data, LARGE, 4);
	struct child child = child_start(child_is_slow);
	parent_open();
	struct lina_conn *send = parent_connect(&child), *recv = parent_accept(&child);
	struct lina_request *s = post_send(send, data, LARGE, 0),
			    *r = post_recv(recv, got, SMALL, 0);
	child_is_ready(&child);
	assert_int_equal(kill(child.pid, SIGSTOP), 0);
	for (uint64_t until = now_ms() + STOPPED_MS; now_ms() < until;)
		both_move(s, r, &sent, &received);
	assert_false(sent || received);
	assert_int_equal(kill(child.pid, SIGCONT), 0);
	pipe_write(child.to, "", 1);
	for (uint64_t until = now_ms() + LIMIT_MS; now_ms() < until && !(sent && received);)
		both_move(s, r, &sent, &received);
	assert_true(sent && received);
	assert_true(is_filled(got, SMALL, 5));
	pipe_write(child.to, "", 1);
	assert_int_equal(child_end(&child, 0), 0);
	assert_int_equal(log_warnings(), 0);
	free(data);
}

/* Nothing to say for three times the timeout, on either end, is no reason either. */
static void idle_peer_is_waited_for(void **state)
{
	struct pair pair;
	uint8_t got[SMALL];
	int done = 0;

	(void)state;
	pair_open(settings, &pair);
	struct lina_request *r = post_recv(pair.recv, got, SMALL, 0);
	struct lina_request *s = post_send(pair.send, got, SMALL, 1); /* never meets */
	for (uint64_t until = now_ms() + 4 * TIMEOUT_MS; now_ms() < until;) {
		assert_int_equal(lina_net_test(r, &done, NULL), 0);
		assert_int_equal(lina_net_test(s, &done, NULL), 0);
		assert_int_equal(done, 0);
	}
	assert_int_equal(log_warnings(), 0);
	pair_close(&pair);
}

/* --- fork --- */

static struct pair shared;

static void pair_works(const struct pair *pair, uint64_t seed)
{
	uint8_t from[SMALL], to[SMALL] = { 0 };

	fill(from, SMALL, seed);
	struct lina_request *r = post_recv(pair->recv, to, SMALL, 0);
	int err = finish_both(post_send(pair->send, from, SMALL, 0), r, LIMIT_MS);
	if (err)
		fail_msg("%s: %s", strerror(-err), log_text());
	assert_true(is_filled(to, SMALL, seed));
}

static void child_exits(int from, int to)
{
	(void)from;
	(void)to;
	exit(0); /* with destructors and all */
}

static void child_closes_all(int from, int to)
{
	(void)from;
	(void)to;
	(void)lina_net_close_send(shared.send);
	(void)lina_net_close_recv(shared.recv);
	(void)lina_net_close(shared.net);
	exit(0);
}

/* A child may open a context of its own. */
static void child_opens_its_own(int from, int to)
{
	struct pair own;

	(void)from;
	(void)to;
	pair_open(settings, &own);
	pair_works(&own, 3);
	pair_close(&own);
	(void)lina_net_close(shared.net);
	exit(0);
}

static void child_leaves_the_parent_alone(void (*run)(int from, int to))
{
	pair_open(settings, &shared);
	pair_works(&shared, 1);
	struct child child = child_start(run);
	assert_int_equal(child_end(&child, 0), 0);
	pair_works(&shared, 2);
	pair_close(&shared);
	assert_int_equal(log_warnings(), 0);
}

static void child_that_exits(void **state)
{
	(void)state;
	child_leaves_the_parent_alone(child_exits);
}

static void child_that_closes(void **state)
{
	(void)state;
	child_leaves_the_parent_alone(child_closes_all);
}

static void child_that_opens_its_own(void **state)
{
	(void)state;
	child_leaves_the_parent_alone(child_opens_its_own);
}

static void child_waits(int from, int to)
{
	(void)from;
	(void)to;
	wait_forever();
}

/* What the parent closes is closed, though a child has copies of the sockets. */
static void close_counts_though_a_child_has_copies(void **state)
{
	uint8_t *data = large_new(), got[SMALL], handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct lina_conn *conn;
	struct pair other;

	(void)state;
	pair_open("LINA_EARLY_BYTES=0 LINA_CONNECT_TIMEOUT_MS=300", &shared);
	assert_int_equal(pair_connect(shared.net, &other), 0);
	assert_int_equal(lina_net_listen(shared.net, 0, handle, &listener), 0);
	struct lina_request *to_none = post_recv(other.recv, got, SMALL, 0);
	struct lina_request *r = post_recv(shared.recv, data, LARGE, 0);
	struct lina_request *s = post_send(shared.send, data, LARGE, 0);
	for (int i = 0, done = 0; i < 20 && !done; i++) {
		assert_int_equal(lina_net_test(r, &done, NULL), 0);
		assert_int_equal(lina_net_test(s, &done, NULL), 0);
	}
	struct child child = child_start(child_waits);
	assert_int_equal(lina_net_close_recv(shared.recv), 0);
	fails_as_of_a_dead_peer(s);
	log_forget();
	assert_int_equal(lina_net_close_send(other.send), 0);
	fails_as_of_a_dead_peer(to_none);
	assert_int_equal(lina_net_close_listen(listener), 0);
	assert_int_equal(connect_within(shared.net, handle, LIMIT_MS, &conn), -ETIMEDOUT);
	assert_true(log_says("refused"));
	assert_int_equal(child_end(&child, SIGKILL), -SIGKILL);
	assert_int_equal(lina_net_close(shared.net), 0);
	free(data);
}

static void sockets_do_not_pass_exec(void **state)
{
	uint8_t handle[LINA_HANDLE_BYTES], other[LINA_HANDLE_BYTES];
	struct lina_listener *listener, *other_listener;
	struct lina_conn *conn = NULL;
	int nsockets = 0;

	(void)state;
	pair_open("LINA_LANES=2", &shared);
	assert_int_equal(lina_net_listen(shared.net, 0, handle, &listener), 0);
	assert_int_equal(lina_net_listen(shared.net, 0, other, &other_listener), 0);
	/* A dial on its way, and a stranger at the listener. */
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			lina_net_connect(shared.net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, &conn),
			0);
	assert_int_equal(lina_net_accept(listener, &conn), 0);
	for (int fd = 3; fd < 256; fd++) {
		struct stat st;
		if (fstat(fd, &st) || !S_ISSOCK(st.st_mode))
			continue;
		nsockets++;
		if (!(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			fail_msg("descriptor %d stays open in exec", fd);
	}
	assert_in_range(nsockets, 8, 256);
	assert_int_equal(lina_net_close(shared.net), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sender_dies_within_a_message),
		CASE(sender_dies_while_idle),
		CASE(receiver_dies_within_a_message),
		CASE(receiver_dies_while_idle),
		CASE(stopped_peer_is_waited_for),
		CASE(idle_peer_is_waited_for),
		CASE(child_that_exits),
		CASE(child_that_closes),
		CASE(child_that_opens_its_own),
		CASE(close_counts_though_a_child_has_copies),
		CASE(sockets_do_not_pass_exec),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
