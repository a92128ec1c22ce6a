/* Credits of a peer that lie, or that nobody takes: the sending end, and how both ends hear of it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "peer.h"

static void honest_credit_is_used(void **state)
{
	uint8_t head[LINA_DATA_HEAD_BYTES], data[ROOM];
	struct lina_wire_data d;
	struct lina_wire_credit c = { .slot = 7, .seq = 99, .n = 2 };

	(void)state;
	c.entry[0].tag = 4;
	c.entry[1].tag = 5;
	c.entry[1].bytes = ROOM;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 5);
	evil_credit(*peer.credit_fd, &c);
	assert_int_equal(finish_within(sent, LIMIT_MS, NULL), 0);
	evil_read(peer.fd[0], head, sizeof(head), LIMIT_MS);
	assert_int_equal(lina_data_decode(head, &d), 0);
	assert_int_equal(d.slot, 7);
	assert_int_equal(d.seq, 99);
	assert_int_equal(d.entry, 1);
	assert_int_equal(d.length, ROOM);
	evil_read(peer.fd[0], data, ROOM, LIMIT_MS);
	assert_memory_equal(data, payload, ROOM);
}

static void bytes_that_are_no_credit(void **state)
{
	(void)state;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 5);
	evil_send(*peer.credit_fd, "credit where credit is due, said the peer", 40);
	send_fails(sent, -EPROTO);
}

static void credit_of_nine_buffers(void **state)
{
	static const uint8_t bytes[256] = { 0xc1, 9 };

	(void)state;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 5);
	evil_send(*peer.credit_fd, bytes, sizeof(bytes));
	send_fails(sent, -EPROTO);
}

static void credit_for_more_than_the_peer_can_have(void **state)
{
	struct lina_wire_credit c = { .n = LINA_RECVS_MAX };

	(void)state;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 5);
	for (int i = 0; i < 1000; i++)
		evil_credit(*peer.credit_fd, &c);
	send_fails(sent, -EPROTO);
}

static void credit_for_less_than_the_message(void **state)
{
	struct lina_wire_credit c = { .n = 1 };

	(void)state;
	c.entry[0].tag = 5;
	c.entry[0].bytes = ROOM - 1;
	struct lina_request *sent = post_send(peer.conn, payload, ROOM, 5);
	evil_credit(*peer.credit_fd, &c);
	send_fails(sent, -EMSGSIZE);
	assert_true(log_says("1000"));
	assert_true(log_says("999"));
}

/* A peer that sends data for receives it has not been told of, and takes no credits: they pile up
 * here, as far as there is room. */
static void peer_that_takes_no_credits(void **state)
{
	bool full = false;
	int err = 0;

	(void)state;
	for (uint32_t i = 0; i < 100000 && !full && !err; i++) {
		void *data[LINA_RECVS_MAX];
		size_t room[LINA_RECVS_MAX] = { 0 };
		int tags[LINA_RECVS_MAX] = { 0 }, done = 0;
		for (int k = 0; k < LINA_RECVS_MAX; k++)
			data[k] = peer.to.data;
		peer.request = NULL;
		err = lina_net_recv(
			peer.conn, LINA_RECVS_MAX, data, room, tags, NULL, NULL, &peer.request);
		full = !err && !peer.request;
		for (int k = 0; k < LINA_RECVS_MAX && peer.request; k++) {
			struct lina_wire_data d = { .slot = 0, .seq = i + 1, .entry = (uint8_t)k };
			evil_data(peer.fd[0], &d, NULL, 0);
		}
		while (peer.request && !done && !err)
			err = lina_net_test(peer.request, &done, NULL);
	}
	if (!full && err != -EPROTO)
		fail_msg("%s: %s", strerror(-err), log_text());
}

static struct pair pair;

static int open_pair(void **state)
{
	(void)state;
	peer.fds_before = fds_open();
	log_forget();
	pair_open("LINA_EARLY_BYTES=0", &pair);
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	pair_close(&pair);
	if (fds_open() != peer.fds_before)
		die("%d descriptors before, %d after", peer.fds_before, fds_open());
	return 0;
}

/* Both ends are told, though neither closes: the one that finds it ends the connection. */
static void both_ends_hear_of_a_message_too_large(void **state)
{
	uint8_t data[ROOM];

	(void)state;
	struct lina_request *recv = post_recv(pair.recv, data, ROOM - 1, 2);
	struct lina_request *send = NULL;
	int sent = -EAGAIN, received = -EAGAIN;
	uint64_t deadline = now_ms() + LIMIT_MS;
	while ((sent == -EAGAIN || received == -EAGAIN) && now_ms() < deadline) {
		if (!send && sent == -EAGAIN)
			sent = lina_net_send(
				pair.send, (void *)payload, ROOM, 2, NULL, NULL, &send);
		if (send && sent != -EMSGSIZE)
			sent = finish_within(send, 1, NULL);
		if (received == -EAGAIN)
			received = finish_within(recv, 1, NULL);
	}
	assert_int_equal(sent, -EMSGSIZE);
	assert_true(received == -ESHUTDOWN || received == -ECONNRESET);
	if (log_warnings() != 2)
		fail_msg("%d lines: %s", log_warnings(), log_text());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			peer_that_takes_no_credits, open_receiver_from_a_small_window, teardown),
		SENDER(honest_credit_is_used),
		SENDER(bytes_that_are_no_credit),
		SENDER(credit_of_nine_buffers),
		SENDER(credit_for_more_than_the_peer_can_have),
		SENDER(credit_for_less_than_the_message),
		cmocka_unit_test_setup_teardown(
			both_ends_hear_of_a_message_too_large, open_pair, close_pair),
	};

	return cmocka_run_group_tests_name("credits", tests, NULL, NULL);
}
