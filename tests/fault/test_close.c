/* Closing from every state, in any order: afterwards the process holds what it held before. Memory
 * is the sanitizers' part. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "net/evil.h"

enum { LIMIT_MS = 30000, LARGE = 24 << 20, SMALL = 100 };

static struct lina_net *net;
static struct lina_listener *listener;
static uint8_t handle[LINA_HANDLE_BYTES];
static int fds_before, threads_before, ncloses;
static uint8_t *large;

/* Peers that the test itself holds. */
static int held[128], nheld;

static void hold(int fd)
{
	held[nheld++] = fd;
}

static void open_with(const char *settings)
{
	if (net_open(settings, &net) || lina_net_listen(net, 0, handle, &listener))
		die("no listener");
}

static int setup(void **state)
{
	(void)state;
	log_forget();
	fds_before = fds_open();
	threads_before = threads_alive();
	return 0;
}

static void all_is_back(void)
{
	for (int i = 0; i < nheld; i++)
		(void)close(held[i]);
	nheld = 0;
	if (fds_open() != fds_before || threads_alive() != threads_before)
		die("%d descriptors and %d threads before, %d and %d after close %d", fds_before,
			threads_before, fds_open(), threads_alive(), ncloses);
	ncloses++;
}

/* What is left open goes with the context; what was closed before must not go twice. */
static void end(bool close_listener)
{
	if (close_listener)
		assert_int_equal(lina_net_close_listen(listener), 0);
	assert_int_equal(lina_net_close(net), 0);
	all_is_back();
}

static void null_may_be_closed(void **state)
{
	(void)state;
	assert_int_equal(lina_net_close(NULL), 0);
	assert_int_equal(lina_net_close_send(NULL), 0);
	assert_int_equal(lina_net_close_recv(NULL), 0);
	assert_int_equal(lina_net_close_listen(NULL), 0);
	all_is_back();
}

static void accept_none(int times)
{
	struct lina_conn *conn;

	for (int i = 0; i < times; i++) {
		assert_int_equal(lina_net_accept(listener, &conn), 0);
		assert_null(conn);
	}
}

static void listener_in_every_state(void **state)
{
	(void)state;
	for (int close_listener = 0; close_listener < 2; close_listener++) {
		open_with(""); /* nobody came */
		end(close_listener);

		open_with(""); /* strangers, heard in part or not yet accepted */
		for (int i = 0; i < 40; i++) {
			int fd = evil_dial(handle);
			evil_send(fd, "LINA", (size_t)i % 5);
			hold(fd);
			if (i % 3 == 0)
				accept_none(1);
		}
		end(close_listener);

		open_with(""); /* some of the peer's lanes */
		for (int lane = 0; lane < 3; lane++) {
			int fd = evil_dial(handle);
			evil_hello(fd, handle, 1, lane, 4);
			hold(fd);
		}
		accept_none(5);
		end(close_listener);

		open_with(""); /* all lanes, but nobody accepts */
		for (int lane = 0; lane < 2; lane++) {
			int fd = evil_dial(handle);
			evil_hello(fd, handle, 1, lane, 2);
			hold(fd);
		}
		end(close_listener);
	}
}

/* --- a dial --- */

static void connect_none(void *to, int times)
{
	struct lina_conn *conn;

	for (int i = 0; i < times; i++) {
		int err = lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, to, &conn);
		if (err)
			fail_msg("%s: %s", strerror(-err), log_text());
		assert_null(conn);
	}
}

static void dial_that_was_refused(void **state)
{
	(void)state;
	open_with("LINA_LANES=4");
	assert_int_equal(lina_net_close_listen(listener), 0);
	connect_none(handle, 10);
	end(false);
}

/* A full queue of a listener keeps the kernel dialing. */
static void dial_that_the_kernel_has_not_ended(void **state)
{
	uint8_t to[LINA_HANDLE_BYTES];

	(void)state;
	open_with("LINA_LANES=4");
	int listen_fd = evil_listen(to);
	assert_int_equal(listen(listen_fd, 0), 0);
	hold(listen_fd);
	hold(evil_dial(to)); /* takes the only place */
	connect_none(to, 10);
	end(true);
}

static void dial_that_waits_to_be_let_in(void **state)
{
	uint8_t to[LINA_HANDLE_BYTES];

	(void)state;
	open_with("LINA_LANES=2");
	hold(evil_listen(to));
	connect_none(to, 10);
	end(true);
}

/* One lane is in, half a welcome has come on another, nothing on the third. */
static void dial_with_lanes_in_several_states(void **state)
{
	uint8_t to[LINA_HANDLE_BYTES], half[LINA_WELCOME_BYTES];
	struct lina_wire_hello hello;

	(void)state;
	open_with("LINA_LANES=3");
	int listen_fd = evil_listen(to);
	hold(listen_fd);
	connect_none(to, 5);
	for (int i = 0; i < 3; i++) {
		int fd = evil_accept(listen_fd, &hello);
		const struct lina_wire_welcome welcome = { .conn_id = hello.conn_id };
		hold(fd);
		lina_welcome_encode(&welcome, half);
		if (i < 2)
			evil_send(fd, half, i ? 10 : sizeof(half));
	}
	connect_none(to, 20);
	end(true);
}

/* Many attempts at once, one of them ready for its last step. */
static void many_dials_at_once(void **state)
{
	uint8_t to[20][LINA_HANDLE_BYTES];

	(void)state;
	open_with("");
	for (int i = 0; i < 20; i++) {
		memcpy(to[i], handle, sizeof(handle));
		connect_none(to[i], 1 + i % 3);
	}
	end(true);
}

/* --- connections --- */

static struct lina_conn *ends[2]; /* sending, receiving */

static void pair_open_in_net(const char *settings)
{
	struct pair pair;

	if (net_open(settings, &net) || pair_connect(net, &pair))
		die("no pair");
	ends[0] = pair.send;
	ends[1] = pair.recv;
}

/* 0: sending end first; 1: receiving end first; 2: the context alone; 3: one end, then the context.
 */
enum { ORDERS = 4 };

static void conns_close(int order)
{
	if (order == 1)
		assert_int_equal(lina_net_close_recv(ends[1]), 0);
	if (order == 0 || order == 1 || order == 3)
		assert_int_equal(lina_net_close_send(ends[0]), 0);
	if (order == 0)
		assert_int_equal(lina_net_close_recv(ends[1]), 0);
	assert_int_equal(lina_net_close(net), 0);
	all_is_back();
}

static void step(struct lina_request *request, int times)
{
	int done = 0;

	for (int i = 0; i < times && !done; i++)
		assert_int_equal(lina_net_test(request, &done, NULL), 0);
}

/* Each leaves requests of its kind in flight. */
static void leave_send_waiting(void)
{
	(void)post_send(ends[0], large, LARGE, 1);
}

static void leave_recv_waiting(void)
{
	step(post_recv(ends[1], large, LARGE, 1), 50);
}

static void leave_both_moving(void)
{
	struct lina_request *r = post_recv(ends[1], large, LARGE, 1);
	step(r, 50);
	struct lina_request *s = post_send(ends[0], large, LARGE, 1);
	step(s, 2);
	step(r, 2);
}

static void leave_send_moving(void)
{
	struct lina_request *r = post_recv(ends[1], large, LARGE, 1);
	step(r, 50);
	step(post_send(ends[0], large, LARGE, 1), 100);
}

static void leave_done_untested(void)
{
	static uint8_t to[SMALL], other[SMALL];

	struct lina_request *r = post_recv(ends[1], to, SMALL, 1);
	(void)post_recv(ends[1], other, SMALL, 2);
	(void)post_send(ends[0], large, SMALL, 2);
	step(r, 50);
	(void)post_send(ends[0], large, SMALL, 1);
}

static void leave_early_set_aside(void)
{
	static uint8_t to[SMALL];

	for (int tag = 10; tag < 14; tag++)
		(void)post_send(ends[0], large, 3000, tag);
	step(post_recv(ends[1], to, SMALL, 1), 200);
}

static void leave_early_in_part(void)
{
	static uint8_t to[SMALL];

	struct lina_request *s = post_send(ends[0], large, 900000, 10);
	step(post_recv(ends[1], to, SMALL, 1), 1);
	(void)s;
}

static void leave_pools_full(void)
{
	static uint8_t to[1024][8];
	struct lina_request *request = NULL;
	const size_t room = 8;
	int i = 0;

	do {
		void *data = to[i];
		const int tag = i++;
		assert_int_equal(
			lina_net_recv(ends[1], 1, &data, &room, &tag, NULL, NULL, &request), 0);
	} while (request && i < 1024);
	do {
		assert_int_equal(lina_net_send(ends[0], large, 8, -i, NULL, NULL, &request), 0);
	} while (request && i-- > 0);
}

static void leave_registrations(void)
{
	struct lina_mr *mr;

	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			lina_net_reg(ends[i % 2], large, LARGE, LINA_PTR_HOST, 0, -1, &mr), 0);
	}
	assert_int_equal(lina_net_dereg(ends[0], mr), 0); /* the last, number 2 */
}

static void leave_failed(void)
{
	uint8_t to[8];
	struct lina_request *sent = NULL;

	struct lina_request *r = post_recv(ends[1], to, 8, 1);
	step(r, 50);
	log_forget();
	int err = lina_net_send(ends[0], large, 9, 1, NULL, NULL, &sent);
	if (!err)
		err = finish_within(sent, 20, NULL);
	assert_true(err == -EMSGSIZE || err == -EAGAIN || err == 0);
	err = finish_within(r, LIMIT_MS, NULL);
	assert_true(err == -EMSGSIZE || err == -ESHUTDOWN || err == -ECONNRESET);
}

static void leave_nothing(void)
{
}

static void left_and_closed(void (*leave)(void), int order)
{
	static const char *const settings[] = { "", "LINA_LANES=3", "LINA_EARLY_BYTES=0" };

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		pair_open_in_net(settings[i]);
		leave();
		conns_close(order);
	}
}

static void connections_in_every_state_and_order(void **state)
{
	static void (*const leave[])(void) = { leave_nothing, leave_send_waiting,
		leave_recv_waiting, leave_both_moving, leave_send_moving, leave_done_untested,
		leave_early_set_aside, leave_early_in_part, leave_pools_full, leave_registrations,
		leave_failed };

	(void)state;
	for (size_t k = 0; k < sizeof(leave) / sizeof(*leave); k++)
		for (int order = 0; order < ORDERS; order++)
			left_and_closed(leave[k], order);
}

/* Everything at once in one context, and the context goes. */
static void context_with_all_left_open(void **state)
{
	uint8_t other[LINA_HANDLE_BYTES];
	struct pair pair;

	(void)state;
	pair_open_in_net("LINA_LANES=2");
	leave_both_moving();
	leave_registrations();
	for (int i = 0; i < 5; i++)
		assert_int_equal(pair_connect(net, &pair), 0);
	assert_int_equal(lina_net_listen(net, 0, handle, &listener), 0);
	memcpy(other, handle, sizeof(other));
	connect_none(handle, 2);
	connect_none(other, 3);
	hold(evil_dial(handle));
	assert_int_equal(lina_net_accept(listener, &ends[1]), 0); /* or not yet */
	assert_int_equal(lina_net_close(net), 0);
	all_is_back();
}

/* The bytes of a send that is done reach a peer that reads them after the end. */
static void close_loses_nothing_that_was_sent(void **state)
{
	uint8_t to[SMALL] = { 0 }, from[SMALL];

	(void)state;
	fill(from, SMALL, 7);
	pair_open_in_net("");
	struct lina_request *r = post_recv(ends[1], to, SMALL, 1);
	assert_int_equal(finish_within(post_send(ends[0], from, SMALL, 1), LIMIT_MS, NULL), 0);
	assert_int_equal(lina_net_close_send(ends[0]), 0);
	assert_int_equal(finish_within(r, LIMIT_MS, NULL), 0);
	assert_true(is_filled(to, SMALL, 7));
	conns_close(2);
	assert_int_equal(log_warnings(), 0);
}

static void contexts_come_and_go(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		char settings[64];
		(void)snprintf(settings, sizeof(settings), "LINA_LANES=%d", 1 + i % 4);
		pair_open_in_net(settings);
		leave_early_set_aside();
		conns_close(i % ORDERS);
	}
}

/* The first context's environment holds for all that are open, and is read again after the last. */
static void last_context_gives_all_back(void **state)
{
	struct lina_net *a, *b;
	struct lina_net_props props;
	int n = -1;

	(void)state;
	assert_int_equal(lina_net_count(&n), -ENODEV);
	assert_int_equal(net_open("", &a), 0);
	assert_int_equal(net_open("LINA_IFNAME=none", &b), 0);
	assert_int_equal(lina_net_count(&n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(lina_net_close(a), 0);
	assert_int_equal(lina_net_props_get(0, &props), 0);
	assert_string_equal(props.name, "lo");
	assert_int_equal(lina_net_props_get(1, &props), -EINVAL);
	assert_int_equal(lina_net_close(b), 0);
	assert_int_equal(lina_net_count(&n), -ENODEV);
	assert_int_equal(lina_net_props_get(0, &props), -ENODEV);
	log_forget();
	a = (struct lina_net *)&n;
	assert_int_equal(net_open("LINA_IFNAME=none", &a), -ENODEV);
	assert_ptr_equal(a, (struct lina_net *)&n);
	assert_int_equal(log_warnings(), 1);
	assert_int_equal(net_open("LINA_LANES=0", &a), -EINVAL);
	assert_ptr_equal(a, (struct lina_net *)&n);
	all_is_back();
}

#define CASE(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(null_may_be_closed),
		CASE(listener_in_every_state),
		CASE(dial_that_was_refused),
		CASE(dial_that_the_kernel_has_not_ended),
		CASE(dial_that_waits_to_be_let_in),
		CASE(dial_with_lanes_in_several_states),
		CASE(many_dials_at_once),
		CASE(connections_in_every_state_and_order),
		CASE(context_with_all_left_open),
		CASE(close_loses_nothing_that_was_sent),
		CASE(contexts_come_and_go),
		CASE(last_context_gives_all_back),
	};

	large = calloc(1, LARGE);
	if (!large)
		die("no memory");
	int failed = cmocka_run_group_tests_name("close", tests, NULL, NULL);
	free(large);
	return failed;
}
