/* Who gets in: strangers of every kind do not, and the peer does. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "door.h"

/* Lets the listener look around; nobody may come of it. */
static void listener_run(int times)
{
	for (int i = 0; i < times; i++) {
		struct lina_conn *conn = (struct lina_conn *)&door;
		assert_int_equal(lina_net_accept(door.listener, &conn), 0);
		assert_null(conn);
	}
}

static void is_turned_away(int fd, const char *whom, int ms)
{
	uint64_t deadline = now_ms() + (uint64_t)ms;

	while (!evil_is_closed(fd)) {
		listener_run(1);
		if (now_ms() > deadline)
			fail_msg("%s is still there after %d ms", whom, ms);
	}
}

static void hello_bytes(uint8_t bytes[LINA_HELLO_BYTES], int lane, int nlanes)
{
	struct lina_wire_handle h;
	struct lina_wire_hello hello = {
		.conn_id = 5, .lane = (uint8_t)lane, .nlanes = (uint8_t)nlanes
	};

	assert_int_equal(lina_handle_decode(door.handle, &h), 0);
	memcpy(hello.secret, h.secret, sizeof(hello.secret));
	lina_hello_encode(&hello, bytes);
}

static void one_stranger(const void *bytes, size_t n, const char *whom)
{
	int fd = evil_dial(door.handle);

	evil_send(fd, bytes, n);
	is_turned_away(fd, whom, LIMIT_MS);
	(void)close(fd);
}

static void strangers_are_turned_away(void **state)
{
	static const int bad_lanes[][2] = { { 0, 0 }, { 0, 1 }, { 0, 18 }, { 1, 1 }, { 255, 255 } };
	uint8_t bytes[LINA_HELLO_BYTES];

	(void)state;
	one_stranger(
		"GET / HTTP/1.1\r\nHost: here.example.org\r\nAccept: *\r\n\r\n", 52, "a browser");
	memset(bytes, 0, sizeof(bytes));
	one_stranger(bytes, sizeof(bytes), "zeros");
	memset(bytes, 0xff, sizeof(bytes));
	one_stranger(bytes, sizeof(bytes), "ones");
	for (size_t i = 0; i < sizeof(bad_lanes) / sizeof(*bad_lanes); i++) {
		hello_bytes(bytes, bad_lanes[i][0], bad_lanes[i][1]);
		one_stranger(bytes, sizeof(bytes), "one with impossible lanes");
	}
	hello_bytes(bytes, 0, 2);
	bytes[5]++;
	one_stranger(bytes, sizeof(bytes), "another version");
	assert_int_equal(log_warnings(), 0); /* strangers are no trouble */
	peer_gets_in();
}

static void every_byte_of_the_secret_counts(void **state)
{
	uint8_t bytes[LINA_HELLO_BYTES];

	(void)state;
	for (int i = 0; i < LINA_SECRET_BYTES; i++) {
		hello_bytes(bytes, 0, 2);
		bytes[16 + i] ^= 1;
		one_stranger(bytes, sizeof(bytes), "one with a wrong secret");
	}
	peer_gets_in();
}

static void secret_of_another_listener_is_wrong(void **state)
{
	uint8_t other_handle[LINA_HANDLE_BYTES];
	struct lina_listener *other;
	struct lina_wire_handle a, b;

	(void)state;
	assert_int_equal(lina_net_listen(door.net, 0, other_handle, &other), 0);
	assert_int_equal(lina_handle_decode(door.handle, &a), 0);
	assert_int_equal(lina_handle_decode(other_handle, &b), 0);
	assert_memory_not_equal(a.secret, b.secret, LINA_SECRET_BYTES);
	int fd = evil_dial(door.handle);
	evil_hello(fd, other_handle, 1, 0, 1);
	is_turned_away(fd, "the peer of another listener", LIMIT_MS);
	(void)close(fd);
	peer_gets_in();
}

static void those_who_leave_early_are_no_trouble(void **state)
{
	uint8_t bytes[LINA_HELLO_BYTES];

	(void)state;
	hello_bytes(bytes, 0, 2);
	for (size_t n = 0; n < sizeof(bytes); n += 7) {
		int fd = evil_dial(door.handle);
		evil_send(fd, bytes, n);
		listener_run(3);
		if (n % 2)
			(void)close(fd);
		else
			evil_reset(fd);
		listener_run(3);
	}
	assert_int_equal(log_warnings(), 0);
	peer_gets_in();
}

static void hello_may_come_byte_by_byte(void **state)
{
	uint8_t bytes[LINA_HELLO_BYTES], welcome_bytes[LINA_WELCOME_BYTES];
	struct lina_wire_welcome welcome;
	struct lina_conn *conn;

	(void)state;
	hello_bytes(bytes, 0, 2);
	int fd = evil_dial(door.handle);
	for (size_t i = 0; i + 1 < sizeof(bytes); i++) {
		evil_send(fd, bytes + i, 1);
		listener_run(2);
	}
	evil_send(fd, bytes + sizeof(bytes) - 1, 1);
	int other = evil_dial(door.handle);
	evil_hello(other, door.handle, 5, 1, 2);
	assert_int_equal(accept_within(door.listener, LIMIT_MS, &conn), 0);
	evil_read(fd, welcome_bytes, sizeof(welcome_bytes), LIMIT_MS);
	assert_int_equal(lina_welcome_decode(welcome_bytes, &welcome), 0);
	assert_true(welcome.conn_id == 5);
	assert_int_equal(lina_net_close_recv(conn), 0);
	(void)close(fd);
	(void)close(other);
}

/* The time for a hello is the connector's own, where that is shorter than the listener's. */
static void silent_stranger_goes_in_time(void **state)
{
	uint8_t bytes[LINA_HELLO_BYTES];

	(void)state;
	hello_bytes(bytes, 0, 2);
	int silent = evil_dial(door.handle), slow = evil_dial(door.handle);
	evil_send(slow, bytes, sizeof(bytes) - 1);
	uint64_t start = now_ms();
	is_turned_away(silent, "a silent one", LIMIT_MS);
	is_turned_away(slow, "a slow one", LIMIT_MS);
	assert_true(now_ms() - start >= SHORT_MS - 20);
	(void)close(silent);
	(void)close(slow);
}

/* Half of the peer is no peer: the listener says so when the peer itself has given up. */
static void half_a_peer_is_not_waited_for(void **state)
{
	struct lina_conn *conn = NULL;

	(void)state;
	int fd = evil_dial(door.handle);
	evil_hello(fd, door.handle, 9, 1, 2);
	uint64_t start = now_ms();
	assert_int_equal(accept_within(door.listener, LIMIT_MS, &conn), -ETIMEDOUT);
	assert_null(conn);
	assert_in_range(now_ms() - start, SHORT_MS - 20, LIMIT_MS);
	assert_true(evil_is_closed(fd));
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("127.0.0.1:"));
	(void)close(fd);
}

/* One more lane, another number of lanes, the same lane again: the last attempt counts. */
static void later_attempt_replaces_an_earlier_one(void **state)
{
	struct lina_conn *conn;
	int fd[6];

	(void)state;
	for (int i = 0; i < 6; i++)
		fd[i] = evil_dial(door.handle);
	evil_hello(fd[0], door.handle, 9, 1, 2);
	listener_run(5);
	evil_hello(fd[1], door.handle, 10, 0, 2);
	is_turned_away(fd[0], "the first attempt", LIMIT_MS);
	evil_hello(fd[2], door.handle, 10, 1, 3);
	is_turned_away(fd[1], "the attempt with two lanes", LIMIT_MS);
	evil_hello(fd[3], door.handle, 10, 1, 3);
	is_turned_away(fd[2], "the lane that was dialed again", LIMIT_MS);
	evil_hello(fd[4], door.handle, 10, 0, 3);
	evil_hello(fd[5], door.handle, 10, 2, 3);
	assert_int_equal(accept_within(door.listener, LIMIT_MS, &conn), 0);
	assert_int_equal(lina_net_close_recv(conn), 0);
	for (int i = 0; i < 6; i++)
		(void)close(fd[i]);
}

enum { FLOOD = 400 };

static void flood_open(int *fd, int n, bool junk)
{
	static const uint8_t noise[300] = { 1, 2, 3 };

	for (int i = 0; i < n; i++) {
		fd[i] = evil_dial(door.handle);
		if (junk)
			evil_send(fd[i], noise, 1 + (size_t)i % (sizeof(noise) - 1));
	}
}

static void flood_close(const int *fd, int n)
{
	for (int i = 0; i < n; i++)
		(void)close(fd[i]);
}

static void flood_does_not_keep_the_peer_out(void **state)
{
	static int silent[FLOOD], junk[FLOOD];

	(void)state;
	flood_open(silent, FLOOD, false);
	flood_open(junk, FLOOD, true);
	peer_gets_in();
	int kept = fds_open() - door.fds_before - 2 * FLOOD - 1;
	assert_in_range(kept, 0, 64); /* descriptors for strangers are few */
	flood_close(silent, FLOOD);
	flood_close(junk, FLOOD);
	assert_int_equal(log_warnings(), 0);
}

/* The peer dials while strangers keep coming, and each of its steps meets new ones. */
static void flood_that_goes_on_does_not_either(void **state)
{
	static int flood[FLOOD];
	struct lina_conn *send = NULL, *recv = NULL;
	int n = 0;

	(void)state;
	while (!send || !recv) {
		int more = n + 8 <= FLOOD ? 8 : 0;
		flood_open(flood + n, more, n % 16 == 0);
		n += more;
		if (!send)
			assert_int_equal(lina_net_connect(door.net, 0, LINA_TRAFFIC_CLASS_UNSET,
						 door.handle, &send),
				0);
		if (!recv)
			assert_int_equal(lina_net_accept(door.listener, &recv), 0);
	}
	assert_int_equal(lina_net_close_send(send), 0);
	assert_int_equal(lina_net_close_recv(recv), 0);
	flood_close(flood, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(strangers_are_turned_away),
		CASE(every_byte_of_the_secret_counts),
		CASE(secret_of_another_listener_is_wrong),
		CASE(those_who_leave_early_are_no_trouble),
		CASE(hello_may_come_byte_by_byte),
		SHORT_CASE(silent_stranger_goes_in_time),
		SHORT_CASE(half_a_peer_is_not_waited_for),
		CASE(later_attempt_replaces_an_earlier_one),
		CASE(flood_does_not_keep_the_peer_out),
		CASE(flood_that_goes_on_does_not_either),
	};

	return cmocka_run_group_tests_name("handshake", tests, NULL, NULL);
}
