/* Too few descriptors: each step fails cleanly, says how many there may be, and works again when
 * there are more. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/evil.h"

enum { LIMIT_MS = 30000 };

static struct rlimit usual;
static struct lina_net *net;
static struct lina_listener *listener;
static uint8_t handle[LINA_HANDLE_BYTES];
static int fds_before, fds_listening;
static unsigned long long allowed;

/* From now on n more descriptors can be opened: they take the lowest free numbers. */
static void spare(int n)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	int lowest = fcntl(0, F_DUPFD, 0);
	const struct rlimit limit = { .rlim_cur = (rlim_t)(lowest + n),
		.rlim_max = usual.rlim_max };

	assert_true(lowest >= 0);
	(void)close(lowest);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	allowed = limit.rlim_cur;
}

static void spare_all(void)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

static int setup(void **state)
{
	(void)state;
	log_forget();
	fds_before = fds_open();
	if (net_open("LINA_LANES=3", &net) || lina_net_listen(net, 0, handle, &listener))
		die("no listener");
	fds_listening = fds_open();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	spare_all();
	(void)lina_net_close(net);
	if (fds_open() != fds_before)
		die("%d descriptors before, %d after", fds_before, fds_open());
	return 0;
}

static void said_once_with_the_limit(void)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%llu descriptors", allowed);
	if (log_warnings() != 1 || !log_says(text) || !log_says("127.0.0.1:"))
		fail_msg("%d lines, no '%s': %s", log_warnings(), text, log_text());
	log_forget();
}

static void transfer_works(struct lina_conn *send, struct lina_conn *recv)
{
	uint8_t from[500], to[500] = { 0 };

	fill(from, sizeof(from), 3);
	struct lina_request *r = post_recv(recv, to, sizeof(to), 1);
	assert_int_equal(finish_both(post_send(send, from, sizeof(from), 1), r, LIMIT_MS), 0);
	assert_true(is_filled(to, sizeof(to), 3));
}

static void everything_works(void)
{
	struct lina_conn *send = NULL, *recv = NULL;
	uint64_t deadline = now_ms() + LIMIT_MS;

	while ((!send || !recv) && now_ms() < deadline) {
		if (!send)
			assert_int_equal(
				lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, &send),
				0);
		if (!recv)
			assert_int_equal(lina_net_accept(listener, &recv), 0);
	}
	transfer_works(send, recv);
	assert_int_equal(lina_net_close_send(send), 0);
	assert_int_equal(lina_net_close_recv(recv), 0);
}

static void listen_without_descriptors(void **state)
{
	uint8_t other[LINA_HANDLE_BYTES];
	struct lina_listener *l = (struct lina_listener *)&net, *const before = l;

	(void)state;
	memset(other, 0x5a, sizeof(other));
	spare(0);
	assert_int_equal(lina_net_listen(net, 0, other, &l), -EMFILE);
	assert_ptr_equal(l, before);
	said_once_with_the_limit();
	spare(1);
	assert_int_equal(lina_net_listen(net, 0, other, &l), 0);
	assert_int_equal(lina_net_close_listen(l), 0);
	spare_all();
	everything_works();
}

/* With three lanes, and one for credits: none, or some of them find a descriptor. */
static void connect_without_descriptors(void **state)
{
	(void)state;
	for (int n = 0; n < 4; n++) {
		struct lina_conn *conn = (struct lina_conn *)&net, *const before = conn;
		spare(n);
		assert_int_equal(
			lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, &conn), -EMFILE);
		assert_ptr_equal(conn, before);
		said_once_with_the_limit();
		spare_all();
		assert_int_equal(fds_open(), fds_listening);
	}
	everything_works();
}

static void accept_without_descriptors(void **state)
{
	int fd[3];

	(void)state;
	for (int n = 0; n < 3; n++) {
		struct lina_conn *conn = (struct lina_conn *)&net, *const before = conn;
		int err = 0;
		for (int lane = 0; lane < 3; lane++) {
			fd[lane] = evil_dial(handle);
			evil_hello(fd[lane], handle, (uint64_t)n, lane, 3);
		}
		spare(n);
		for (int i = 0; i < 1000 && !err; i++) {
			conn = before;
			err = lina_net_accept(listener, &conn);
			assert_true(err || !conn);
		}
		assert_int_equal(err, -EMFILE);
		assert_ptr_equal(conn, before);
		said_once_with_the_limit();
		spare_all();
		/* The lanes that are here wait for the others. */
		assert_int_equal(accept_within(listener, LIMIT_MS, &conn), 0);
		assert_int_equal(lina_net_close_recv(conn), 0);
		for (int lane = 0; lane < 3; lane++)
			(void)close(fd[lane]);
	}
	everything_works();
}

/* Strangers hold descriptors that the peer needs: they go first. */
static void strangers_give_way_to_the_peer(void **state)
{
	int strangers[5];
	struct lina_conn *send = NULL, *recv = NULL;

	(void)state;
	for (int i = 0; i < 5; i++)
		strangers[i] = evil_dial(handle);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lina_net_accept(listener, &recv), 0);
		assert_null(recv);
	}
	spare(4); /* the connector's four; the listener has those of the strangers */
	uint64_t deadline = now_ms() + LIMIT_MS;
	while ((!send || !recv) && now_ms() < deadline) {
		if (!send)
			assert_int_equal(
				lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, &send),
				0);
		if (!recv)
			assert_int_equal(lina_net_accept(listener, &recv), 0);
	}
	assert_true(send && recv);
	transfer_works(send, recv);
	for (int i = 0; i < 5; i++)
		(void)close(strangers[i]);
	assert_int_equal(log_warnings(), 0);
}

static void context_without_descriptors(void **state)
{
	struct lina_net *other = (struct lina_net *)&net, *const before = other;

	(void)state;
	assert_int_equal(lina_net_close(net), 0);
	net = NULL;
	spare(0);
	int err = net_open("", &other);
	spare_all();
	assert_int_equal(err, -EMFILE);
	assert_ptr_equal(other, before);
	assert_int_equal(log_warnings(), 1);
	assert_int_equal(net_open("", &net), 0);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(listen_without_descriptors),
		CASE(connect_without_descriptors),
		CASE(accept_without_descriptors),
		CASE(strangers_give_way_to_the_peer),
		CASE(context_without_descriptors),
	};

	if (getrlimit(RLIMIT_NOFILE, &usual))
		die("getrlimit: %s", strerror(errno));
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
