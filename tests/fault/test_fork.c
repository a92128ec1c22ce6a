/* Children of a process that has connections, and what is open in them. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "child.h"

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
	pair_open(child_settings, &own);
	pair_works(&own, 3);
	pair_close(&own);
	(void)lina_net_close(shared.net);
	exit(0);
}

static void child_leaves_the_parent_alone(void (*run)(int from, int to))
{
	pair_open(child_settings, &shared);
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
	(void)to;
	kill_awaited(from);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(child_that_exits),
		CASE(child_that_closes),
		CASE(child_that_opens_its_own),
		CASE(close_counts_though_a_child_has_copies),
		CASE(sockets_do_not_pass_exec),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("fork", tests, NULL, NULL);
}
