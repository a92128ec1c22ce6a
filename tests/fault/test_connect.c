/* What a connector meets: bad handles, and listeners that are gone, late, or none. None holds it
 * for longer than LINA_CONNECT_TIMEOUT_MS but one whose kernel has let it in. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "door.h"

static void connect_fails(void *with, int expected, const char *says)
{
	struct lina_conn *conn = (struct lina_conn *)&door, *const before = conn;

	log_forget();
	int err = lina_net_connect(door.net, 0, LINA_TRAFFIC_CLASS_UNSET, with, &conn);
	assert_int_equal(err, expected);
	assert_ptr_equal(conn, before);
	assert_int_equal(log_warnings(), 1);
	if (!log_says(says))
		fail_msg("no '%s' in: %s", says, log_text());
}

static void bad_handles_are_refused_at_once(void **state)
{
	uint8_t bad[LINA_HANDLE_BYTES];

	(void)state;
	memcpy(bad, door.handle, sizeof(bad));
	bad[20] ^= 1;
	connect_fails(bad, -EPROTO, "damaged");
	memset(bad, 0, sizeof(bad));
	connect_fails(bad, -EPROTO, "damaged");
	memcpy(bad, door.handle, sizeof(bad));
	bad[5]++;
	connect_fails(bad, -EPROTONOSUPPORT, "version");
	memcpy(bad, door.handle, sizeof(bad));
	lina_handle_ticket_set(bad, 0x4141414141414141u);
	connect_fails(bad, -EPROTO, "did not start");
	memcpy(bad, door.handle, sizeof(bad));
	lina_handle_ticket_set(bad, (uint64_t)(uintptr_t)door.net);
	connect_fails(bad, -EPROTO, "did not start");
	assert_int_equal(lina_net_connect(door.net, 1, LINA_TRAFFIC_CLASS_UNSET, door.handle,
				 &(struct lina_conn *){ NULL }),
		-EINVAL);
	assert_int_equal(lina_net_connect(door.net, -1, LINA_TRAFFIC_CLASS_UNSET, door.handle,
				 &(struct lina_conn *){ NULL }),
		-EINVAL);
	peer_gets_in();
}

/* The ticket of an attempt that has ended is worth nothing. */
static void ticket_of_another_context_is_refused(void **state)
{
	struct lina_net *other;
	struct lina_conn *conn = NULL;
	uint8_t copy[LINA_HANDLE_BYTES];

	(void)state;
	assert_int_equal(net_open("LINA_CONNECT_TIMEOUT_MS=700", &other), 0);
	memcpy(copy, door.handle, sizeof(copy));
	assert_int_equal(lina_net_connect(other, 0, LINA_TRAFFIC_CLASS_UNSET, copy, &conn), 0);
	assert_null(conn);
	assert_memory_not_equal(copy, door.handle, sizeof(copy));
	connect_fails(copy, -EPROTO, "did not start");
	assert_int_equal(lina_net_close(other), 0);
}

/* Fails within the time the knob gives, with one line that names the place and the state. */
static void connect_runs_out(void *with, const char *says)
{
	struct lina_conn *conn;

	log_forget();
	uint64_t start = now_ms();
	assert_int_equal(connect_within(door.net, with, LIMIT_MS, &conn), -ETIMEDOUT);
	assert_in_range(now_ms() - start, SHORT_MS - 20, LIMIT_MS);
	assert_null(conn);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("127.0.0.1:"));
	assert_true(log_says("LINA_CONNECT_TIMEOUT_MS=700"));
	if (!log_says(says))
		fail_msg("no '%s' in: %s", says, log_text());
}

static void listener_that_is_gone_is_not_waited_for(void **state)
{
	(void)state;
	assert_int_equal(lina_net_close_listen(door.listener), 0);
	connect_runs_out(door.handle, "Connection refused");
	connect_runs_out(door.handle, "Connection refused"); /* the handle may be tried again */
}

/* A listener that nobody serves yet, and a connector that waits for it for longer than the knob. */
static int wait_for_late_listener(void *evil_handle)
{
	struct lina_conn *conn;
	int listen_fd = evil_listen(evil_handle); /* the kernel accepts, nobody reads */

	log_forget();
	assert_int_equal(connect_within(door.net, evil_handle, 2 * SHORT_MS, &conn), -EAGAIN);
	assert_int_equal(log_warnings(), 0);
	assert_int_equal(log_notes("waiting for 127.0.0.1:"), 1);
	return listen_fd;
}

/* A rank comes to its accept when NCCL lets it, which is when all its neighbours are there. */
static void listener_that_is_late_is_waited_for(void **state)
{
	uint8_t evil_handle[LINA_HANDLE_BYTES];
	struct lina_wire_hello hello;
	struct lina_conn *conn;

	(void)state;
	int listen_fd = wait_for_late_listener(evil_handle);
	int fd[] = { evil_accept(listen_fd, &hello), evil_accept(listen_fd, &hello) };
	for (int i = 0; i < 2; i++)
		evil_welcome(fd[i], hello.conn_id, 0);
	assert_int_equal(connect_within(door.net, evil_handle, LIMIT_MS, &conn), 0);
	assert_int_equal(lina_net_close_send(conn), 0);
	assert_int_equal(log_warnings(), 0);
	for (int i = 0; i < 2; i++)
		(void)close(fd[i]);
	(void)close(listen_fd);
}

/* The time runs from when it was lost. */
static void late_listener_that_ends_is_not_waited_for(void **state)
{
	uint8_t evil_handle[LINA_HANDLE_BYTES];

	(void)state;
	(void)close(wait_for_late_listener(evil_handle));
	connect_runs_out(evil_handle, "Connection refused");
}

/* Dials, answers with bytes, and returns what connect says then. */
static int answered_with(const uint8_t *bytes, size_t n)
{
	uint8_t evil_handle[LINA_HANDLE_BYTES];
	struct lina_wire_hello hello;
	struct lina_conn *conn = NULL;
	int listen_fd = evil_listen(evil_handle), err = 0;

	log_forget();
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			lina_net_connect(door.net, 0, LINA_TRAFFIC_CLASS_UNSET, evil_handle, &conn),
			0);
	int fd = evil_accept(listen_fd, &hello);
	evil_send(fd, bytes, n);
	err = connect_within(door.net, evil_handle, LIMIT_MS, &conn);
	assert_null(conn);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("127.0.0.1:"));
	(void)close(fd);
	(void)close(listen_fd);
	return err;
}

static void listener_that_answers_nonsense_is_refused(void **state)
{
	const struct lina_wire_welcome welcome = { .conn_id = 1 };
	uint8_t bytes[LINA_WELCOME_BYTES];

	(void)state;
	assert_int_equal(
		answered_with((const uint8_t *)"SSH-2.0-OpenSSH_9.2p1 Debian", 28), -EPROTO);
	lina_welcome_encode(&welcome, bytes); /* the id is not that of the hello */
	assert_int_equal(answered_with(bytes, sizeof(bytes)), -EPROTO);
	bytes[5]++;
	assert_int_equal(answered_with(bytes, sizeof(bytes)), -EPROTONOSUPPORT);
}

static void listener_that_does_not_finish_is_not_waited_for(void **state)
{
	static const uint8_t bytes[5] = { 'L', 'I', 'N', 'A', 0 };

	(void)state;
	assert_int_equal(answered_with(bytes, sizeof(bytes)), -ETIMEDOUT);
}

/* Turned away again and again, the connector dials until its time is up. */
static void listener_that_closes_is_dialed_again(void **state)
{
	uint8_t evil_handle[LINA_HANDLE_BYTES];
	struct lina_conn *conn = NULL;
	struct lina_wire_hello hello;
	int listen_fd = evil_listen(evil_handle), err = 0, let_in[2];

	(void)state;
	for (int k = 0; k < 4; k++) {
		for (uint64_t until = now_ms() + 60; now_ms() < until && !err;)
			err = lina_net_connect(
				door.net, 0, LINA_TRAFFIC_CLASS_UNSET, evil_handle, &conn);
		assert_int_equal(err, 0);
		int fd = evil_accept(listen_fd, &hello);
		let_in[k % 2] = fd;
		if (k == 0)
			evil_reset(fd);
		else if (k == 1)
			(void)close(fd);
		else
			evil_welcome(fd, hello.conn_id, 0);
	}
	assert_int_equal(connect_within(door.net, evil_handle, LIMIT_MS, &conn), 0);
	for (int k = 0; k < 2; k++)
		(void)close(let_in[k]);
	assert_int_equal(lina_net_close_send(conn), 0);
	assert_int_equal(log_warnings(), 0);
	(void)close(listen_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bad_handles_are_refused_at_once),
		CASE(ticket_of_another_context_is_refused),
		SHORT_CASE(listener_that_is_gone_is_not_waited_for),
		SHORT_CASE(listener_that_is_late_is_waited_for),
		SHORT_CASE(late_listener_that_ends_is_not_waited_for),
		CASE(listener_that_answers_nonsense_is_refused),
		SHORT_CASE(listener_that_does_not_finish_is_not_waited_for),
		CASE(listener_that_closes_is_dialed_again),
	};

	return cmocka_run_group_tests_name("connect", tests, NULL, NULL);
}
