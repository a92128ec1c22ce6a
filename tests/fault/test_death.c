/* Peers that are killed, within a message and while idle. */
#include <signal.h>
#include <stdlib.h>

#include "child.h"

static void child_sends_half(int from, int to)
{
	child_open();
	struct lina_conn *conn = child_connect(from);
	uint8_t *data = large_new();
	struct lina_request *r = post_send(conn, data, LARGE, 0);
	int done = 0;
	for (int i = 0; i < 300 && !done; i++)
		(void)lina_net_test(r, &done, NULL);
	pipe_write(to, "", 1);
	kill_awaited(from);
	free(data);
}

static void child_connects_only(int from, int to)
{
	child_open();
	(void)child_connect(from);
	pipe_write(to, "", 1);
	kill_awaited(from);
}

static void child_receives_half(int from, int to)
{
	child_open();
	struct lina_conn *conn = child_accept(to);
	uint8_t *data = large_new();
	struct lina_request *r = post_recv(conn, data, LARGE, 0);
	int done = 0;
	for (int i = 0; i < 300 && !done; i++)
		(void)lina_net_test(r, &done, NULL);
	pipe_write(to, "", 1);
	kill_awaited(from);
	free(data);
}

static void child_accepts_only(int from, int to)
{
	child_open();
	(void)child_accept(to);
	pipe_write(to, "", 1);
	kill_awaited(from);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(sender_dies_within_a_message),
		CASE(sender_dies_while_idle),
		CASE(receiver_dies_within_a_message),
		CASE(receiver_dies_while_idle),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("death", tests, NULL, NULL);
}
