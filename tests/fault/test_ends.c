/* A peer that ends or resets its sockets where no end may come, and where one may. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

static void truncated_payload_then_end(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	evil_data(peer.fd[0], &d, payload, 99);
	(void)close(peer.fd[0]);
	peer.fd[0] = -1;
	receive_fails(-ESHUTDOWN);
}

static void truncated_header_then_end(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_send(peer.fd[0], payload, 31);
	(void)close(peer.fd[0]);
	peer.fd[0] = -1;
	receive_fails(-ESHUTDOWN);
}

/* One of two lanes ends within a message, and the other says nothing more. */
static void lane_that_ends_within_a_message(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	evil_data(peer.fd[1], &d, payload, 99);
	(void)close(peer.fd[1]);
	peer.fd[1] = -1;
	receive_fails(-ESHUTDOWN);
}

static void lane_that_ends_within_a_header(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_send(peer.fd[1], payload, 1);
	(void)close(peer.fd[1]);
	peer.fd[1] = -1;
	receive_fails(-ESHUTDOWN);
}

static void lane_that_ends_between_messages_is_no_loss(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	(void)close(peer.fd[1]);
	peer.fd[1] = -1;
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(peer.request, &done, NULL), 0);
	struct lina_wire_data d = frame_of(100);
	evil_data(peer.fd[0], &d, payload, 100);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
}

static void reset_while_a_receive_waits(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_reset(peer.fd[0]);
	peer.fd[0] = -1;
	receive_fails(-ECONNRESET);
}

/* A process that is gone takes no credit any more; what it sent before comes all the same. */
static void reset_of_what_carries_credit_is_no_loss(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	evil_reset(*peer.credit_fd);
	*peer.credit_fd = -1;
	struct lina_request *more = post_recv(peer.conn, peer.to.data, ROOM, 1);
	for (int done = 0, i = 0; i < 10000; i++)
		assert_int_equal(lina_net_test(peer.request, &done, NULL), 0);
	evil_data(peer.fd[0], &d, payload, 100);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
	assert_int_equal(log_warnings(), 0);
	(void)close(peer.fd[0]);
	peer.fd[0] = -1;
	peer.request = more;
	receive_fails(-ESHUTDOWN);
}

static void truncated_credit_then_end(void **state)
{
	static const uint8_t bytes[19] = { 0xc1, 1 };

	(void)state;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 0);
	evil_send(*peer.credit_fd, bytes, sizeof(bytes));
	(void)close(*peer.credit_fd);
	*peer.credit_fd = -1;
	send_fails(sent, -ESHUTDOWN);
}

static void reset_while_a_send_waits(void **state)
{
	(void)state;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 0);
	evil_reset(*peer.credit_fd);
	*peer.credit_fd = -1;
	send_fails(sent, -ECONNRESET);
}

/* The peer closes with data on its way: what it has not read resets the connection. */
static void end_while_data_is_on_its_way(void **state)
{
	enum { LARGE = 32 << 20 };
	struct lina_wire_credit c = { .n = 1 };
	uint8_t *large = calloc(1, LARGE);

	(void)state;
	assert_non_null(large);
	c.entry[0].bytes = LARGE;
	evil_credit(*peer.credit_fd, &c);
	struct lina_request *sent = post_send(peer.conn, large, LARGE, 0);
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(sent, &done, NULL), 0);
	(void)close(peer.fd[0]);
	peer.fd[0] = -1;
	int err = finish_within(sent, LIMIT_MS, NULL);
	assert_true(err == -ECONNRESET || err == -EPIPE);
	assert_int_equal(log_warnings(), 1);
	free(large);
}

/* The same, but the peer only says that it will send no more credit, and reads nothing. */
static void half_end_while_data_is_on_its_way(void **state)
{
	enum { LARGE = 32 << 20 };
	struct lina_wire_credit c = { .n = 1 };
	uint8_t *large = calloc(1, LARGE);

	(void)state;
	assert_non_null(large);
	c.entry[0].bytes = LARGE;
	evil_credit(*peer.credit_fd, &c);
	struct lina_request *sent = post_send(peer.conn, large, LARGE, 0);
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(sent, &done, NULL), 0);
	assert_int_equal(shutdown(*peer.credit_fd, SHUT_WR), 0);
	send_fails(sent, -ESHUTDOWN);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECEIVER(truncated_payload_then_end),
		RECEIVER(truncated_header_then_end),
		RECEIVER2(lane_that_ends_within_a_message),
		RECEIVER2(lane_that_ends_within_a_header),
		RECEIVER2(lane_that_ends_between_messages_is_no_loss),
		RECEIVER(reset_while_a_receive_waits),
		RECEIVER(reset_of_what_carries_credit_is_no_loss),
		SENDER(truncated_credit_then_end),
		SENDER(reset_while_a_send_waits),
		SENDER(end_while_data_is_on_its_way),
		SENDER(half_end_while_data_is_on_its_way),
	};

	return cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
