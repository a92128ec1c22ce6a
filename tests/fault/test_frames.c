/* A peer that knows the secret and does not keep to the protocol: whatever it sends, the connection
 * ends with one line in the log and nothing is written where it should not be. */
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

enum { LIMIT_MS = 30000, ROOM = 1000, GUARD = 64 };

static struct lina_net *net;
static struct lina_listener *listener;
static uint8_t handle[LINA_HANDLE_BYTES];
static struct lina_conn *conn;
static int fd[LINA_LANES_MAX], nlanes, fds_before;

static int context_open(const char *settings)
{
	fds_before = fds_open();
	log_forget();
	return net_open(settings, &net);
}

static void receiver_open(int lanes)
{
	nlanes = lanes;
	if (context_open("LINA_EARLY_BYTES=4096") || lina_net_listen(net, 0, handle, &listener))
		die("no listener");
	evil_sender(listener, handle, nlanes, fd, &conn);
}

static int open_receiver(void **state)
{
	(void)state;
	receiver_open(1);
	return 0;
}

static int open_receiver_of_two_lanes(void **state)
{
	(void)state;
	receiver_open(2);
	return 0;
}

static int open_receiver_from_a_small_window(void **state)
{
	(void)state;
	evil_room(1024);
	receiver_open(1);
	evil_room(0);
	return 0;
}

static int open_sender(void **state)
{
	(void)state;
	nlanes = 1;
	if (context_open(""))
		die("no context");
	evil_receiver(net, 0, &fd[0], &conn);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < nlanes; i++)
		if (fd[i] >= 0)
			(void)close(fd[i]);
	(void)lina_net_close(net);
	if (fds_open() != fds_before)
		die("%d descriptors before, %d after", fds_before, fds_open());
	return 0;
}

/* --- the receiving end --- */

static struct {
	uint8_t before[GUARD], data[ROOM], after[GUARD];
} to;
static struct lina_request *request;
static struct lina_wire_credit credit; /* of request */

static void receive_post(size_t room, int tag)
{
	memset(&to, 0xaa, sizeof(to));
	request = post_recv(conn, to.data, room, tag);
	credit = evil_credit_read(fd[0], request, LIMIT_MS);
}

static void guards_check(void)
{
	for (int i = 0; i < GUARD; i++) {
		assert_int_equal(to.before[i], 0xaa);
		assert_int_equal(to.after[i], 0xaa);
	}
}

static struct lina_wire_data frame_of(size_t bytes)
{
	return (struct lina_wire_data){ .slot = credit.slot,
		.seq = credit.seq,
		.message_bytes = bytes,
		.length = (uint32_t)bytes };
}

/* The receive fails, once and for all, with one line; the peer is told by the end of its socket. */
static void receive_fails(int expected)
{
	int done = 0;

	assert_int_equal(finish_within(request, LIMIT_MS, NULL), expected);
	assert_int_equal(lina_net_test(request, &done, NULL), expected);
	assert_int_equal(done, 0);
	struct lina_request *more = NULL;
	void *data = to.data;
	const size_t room = 1;
	const int tag = 0;
	assert_int_equal(lina_net_recv(conn, 1, &data, &room, &tag, NULL, NULL, &more), expected);
	assert_null(more);
	if (log_warnings() != 1)
		fail_msg("%d lines: %s", log_warnings(), log_text());
	assert_true(log_says("127.0.0.1:"));
	assert_true(log_says("receiving from"));
	guards_check();
	for (int i = 0; i < nlanes; i++) {
		uint64_t deadline = now_ms() + LIMIT_MS;
		while (fd[i] >= 0 && !evil_is_closed(fd[i]))
			if (now_ms() > deadline)
				fail_msg("lane %d of the peer stays open", i);
	}
}

static const uint8_t payload[4 * ROOM] = { 1, 2, 3 };

/* The frame in head, whose payload may be missing, is refused with expected. */
static void frame_is_refused(const struct lina_wire_data *head, int expected)
{
	evil_data(fd[0], head, payload, head->length < sizeof(payload) ? head->length : 0);
	receive_fails(expected);
}

static void honest_frame_is_taken(void **state)
{
	int bytes = 0;

	(void)state;
	receive_post(ROOM, 3);
	assert_int_equal(credit.n, 1);
	assert_int_equal(credit.entry[0].tag, 3);
	assert_int_equal(credit.entry[0].bytes, ROOM);
	struct lina_wire_data d = frame_of(ROOM - 1);
	evil_data(fd[0], &d, payload, d.length);
	assert_int_equal(finish_within(request, LIMIT_MS, &bytes), 0);
	assert_int_equal(bytes, ROOM - 1);
	assert_memory_equal(to.data, payload, ROOM - 1);
	guards_check();
}

static void frame_for_a_slot_that_is_not_in_use(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	d.slot++;
	frame_is_refused(&d, -EPROTO);
}

static void frame_for_a_slot_that_does_not_exist(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	d.slot = UINT16_MAX;
	frame_is_refused(&d, -EPROTO);
}

static void frame_for_an_earlier_use_of_the_slot(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	evil_data(fd[0], &d, payload, 8);
	assert_int_equal(finish_within(request, LIMIT_MS, NULL), 0);
	uint16_t slot = credit.slot;
	receive_post(ROOM, 0);
	assert_int_equal(credit.slot, slot);
	assert_int_not_equal(credit.seq, d.seq);
	frame_is_refused(&d, -EPROTO);
}

static void frame_for_a_receive_that_has_ended(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	struct lina_request *ended = request;
	receive_post(ROOM, 0); /* takes another slot */
	evil_data(fd[0], &d, payload, 8);
	assert_int_equal(finish_within(ended, LIMIT_MS, NULL), 0);
	frame_is_refused(&d, -EPROTO);
}

static void frame_for_a_buffer_that_does_not_exist(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	d.entry = 1;
	frame_is_refused(&d, -EPROTO);
}

static void message_larger_than_its_receive(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(ROOM + 1);
	frame_is_refused(&d, -EMSGSIZE);
}

static void message_of_a_size_beyond_all_memory(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	d.message_bytes = UINT64_MAX;
	d.offset = UINT64_MAX - 8;
	frame_is_refused(&d, -EMSGSIZE);
}

static void message_that_changes_its_size(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	d.length = 50;
	evil_data(fd[0], &d, payload, 50);
	d.message_bytes = 101;
	d.offset = 50;
	frame_is_refused(&d, -EPROTO);
}

static void more_bytes_than_the_message_has(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	d.length = 60;
	evil_data(fd[0], &d, payload, 60);
	d.offset = 40; /* overlaps: 120 bytes in all */
	frame_is_refused(&d, -EPROTO);
}

static void same_frame_twice(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	struct lina_wire_data first = d;
	first.length = 99; /* keeps the receive open */
	evil_data(fd[0], &first, payload, 99);
	frame_is_refused(&d, -EPROTO);
}

static void empty_message_twice(void **state)
{
	void *data[2] = { to.data, to.data + 1 };
	const size_t room[2] = { 1, 1 };
	const int tags[2] = { 0, 0 };

	(void)state;
	memset(&to, 0xaa, sizeof(to));
	assert_int_equal(lina_net_recv(conn, 2, data, room, tags, NULL, NULL, &request), 0);
	credit = evil_credit_read(fd[0], request, LIMIT_MS);
	struct lina_wire_data d = frame_of(0);
	evil_data(fd[0], &d, NULL, 0);
	frame_is_refused(&d, -EPROTO);
}

static void bytes_that_are_no_frame(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_send(fd[0], "this is no frame, it is a sentence of text", 40);
	receive_fails(-EPROTO);
}

/* Overlapping parts that add up are the sender's own loss; they stay within the buffer. */
static void parts_that_overlap_stay_within(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(ROOM);
	d.length = ROOM / 2;
	evil_data(fd[0], &d, payload, d.length);
	evil_data(fd[0], &d, payload, d.length);
	assert_int_equal(finish_within(request, LIMIT_MS, NULL), 0);
	guards_check();
}

static void truncated_payload_then_end(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	evil_data(fd[0], &d, payload, 99);
	(void)close(fd[0]);
	fd[0] = -1;
	receive_fails(-ESHUTDOWN);
}

static void truncated_header_then_end(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_send(fd[0], payload, 31);
	(void)close(fd[0]);
	fd[0] = -1;
	receive_fails(-ESHUTDOWN);
}

/* One of two lanes ends within a message, and the other says nothing more. */
static void lane_that_ends_within_a_message(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(100);
	evil_data(fd[1], &d, payload, 99);
	(void)close(fd[1]);
	fd[1] = -1;
	receive_fails(-ESHUTDOWN);
}

static void lane_that_ends_within_a_header(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_send(fd[1], payload, 1);
	(void)close(fd[1]);
	fd[1] = -1;
	receive_fails(-ESHUTDOWN);
}

static void lane_that_ends_between_messages_is_no_loss(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	(void)close(fd[1]);
	fd[1] = -1;
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(request, &done, NULL), 0);
	struct lina_wire_data d = frame_of(100);
	evil_data(fd[0], &d, payload, 100);
	assert_int_equal(finish_within(request, LIMIT_MS, NULL), 0);
}

static void reset_while_a_receive_waits(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_reset(fd[0]);
	fd[0] = -1;
	receive_fails(-ECONNRESET);
}

/* --- early messages --- */

static struct lina_wire_data early_of(int tag, size_t bytes)
{
	return (struct lina_wire_data){
		.early = true, .tag = tag, .message_bytes = bytes, .length = (uint32_t)bytes
	};
}

static void early_messages_beyond_the_standing_credit(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = early_of(1, 2000);
	for (int i = 0; i < 2; i++)
		evil_data(fd[0], &d, payload, 2000);
	d = early_of(1, 97); /* 4097 in all */
	frame_is_refused(&d, -EPROTO);
}

/* Messages of no bytes cost the receiver memory all the same. */
static void early_messages_without_number(void **state)
{
	const struct lina_wire_data d = early_of(1, 0);
	int err = 0;

	(void)state;
	receive_post(ROOM, 0);
	for (int i = 0; i < 5000 && !err; i++) {
		int done = 0;
		evil_data(fd[0], &d, NULL, 0);
		err = lina_net_test(request, &done, NULL);
		assert_int_equal(done, 0);
	}
	receive_fails(-EPROTO);
}

static void early_message_on_another_lane(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = early_of(0, 10);
	evil_data(fd[1], &d, payload, 10);
	receive_fails(-EPROTO);
}

static void early_message_larger_than_its_receive(void **state)
{
	(void)state;
	receive_post(10, 0);
	struct lina_wire_data d = early_of(0, 11);
	frame_is_refused(&d, -EMSGSIZE);
}

/* Set aside first, then too large for the receive that is posted for it. */
static void early_message_set_aside_and_too_large(void **state)
{
	void *data = to.data;
	const size_t room = 10;
	const int tag = 1;
	struct lina_request *late = NULL;

	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = early_of(1, 11);
	evil_data(fd[0], &d, payload, 11);
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(request, &done, NULL), 0);
	assert_int_equal(lina_net_recv(conn, 1, &data, &room, &tag, NULL, NULL, &late), -EMSGSIZE);
	assert_null(late);
	receive_fails(-EMSGSIZE);
}

/* A buffer that waits for the rest of an early message takes no parts by another lane: the receive
 * would end, and the early message be written to whatever uses its slot next. */
static void part_for_a_buffer_with_an_early_message(void **state)
{
	uint8_t early_to[ROOM];
	void *data = early_to;
	const size_t room = sizeof(early_to);
	const int tag = 1;
	struct lina_request *late = NULL;

	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = early_of(1, 800);
	evil_data(fd[0], &d, payload, 100); /* the rest stays away */
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(request, &done, NULL), 0);
	assert_int_equal(lina_net_recv(conn, 1, &data, &room, &tag, NULL, NULL, &late), 0);
	credit = evil_credit_read(fd[0], late, LIMIT_MS);
	d = frame_of(800);
	evil_data(fd[1], &d, payload, 800);
	request = late;
	receive_fails(-EPROTO);
}

/* Early messages that nobody asks for are freed with the connection, whole or not. */
static void early_messages_that_stay(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	for (int i = 1; i < 4; i++) {
		struct lina_wire_data d = early_of(i, 500);
		evil_data(fd[0], &d, payload, i < 3 ? 500 : 77);
	}
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(request, &done, NULL), 0);
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
			data[k] = to.data;
		request = NULL;
		err = lina_net_recv(conn, LINA_RECVS_MAX, data, room, tags, NULL, NULL, &request);
		full = !err && !request;
		for (int k = 0; k < LINA_RECVS_MAX && request; k++) {
			struct lina_wire_data d = { .slot = 0, .seq = i + 1, .entry = (uint8_t)k };
			evil_data(fd[0], &d, NULL, 0);
		}
		while (request && !done && !err)
			err = lina_net_test(request, &done, NULL);
	}
	if (!full && err != -EPROTO)
		fail_msg("%s: %s", strerror(-err), log_text());
}

/* --- the sending end --- */

static const uint8_t from[ROOM] = { 9, 8, 7 };

static void send_fails(struct lina_request *sent, int expected)
{
	struct lina_request *more = NULL;

	assert_int_equal(finish_within(sent, LIMIT_MS, NULL), expected);
	assert_int_equal(lina_net_send(conn, to.data, 1, 0, NULL, NULL, &more), expected);
	assert_null(more);
	if (log_warnings() != 1)
		fail_msg("%d lines: %s", log_warnings(), log_text());
	assert_true(log_says("127.0.0.1:"));
	assert_true(log_says("sending to"));
	uint64_t deadline = now_ms() + LIMIT_MS;
	while (fd[0] >= 0 && !evil_is_closed(fd[0]))
		if (now_ms() > deadline)
			fail_msg("the peer's socket stays open");
}

static void honest_credit_is_used(void **state)
{
	uint8_t head[LINA_DATA_HEAD_BYTES], data[ROOM];
	struct lina_wire_data d;
	struct lina_wire_credit c = { .slot = 7, .seq = 99, .n = 2 };

	(void)state;
	c.entry[0].tag = 4;
	c.entry[1].tag = 5;
	c.entry[1].bytes = ROOM;
	struct lina_request *sent = post_send(conn, from, ROOM, 5);
	evil_credit(fd[0], &c);
	assert_int_equal(finish_within(sent, LIMIT_MS, NULL), 0);
	evil_read(fd[0], head, sizeof(head), LIMIT_MS);
	assert_int_equal(lina_data_decode(head, &d), 0);
	assert_int_equal(d.slot, 7);
	assert_int_equal(d.seq, 99);
	assert_int_equal(d.entry, 1);
	assert_int_equal(d.length, ROOM);
	evil_read(fd[0], data, ROOM, LIMIT_MS);
	assert_memory_equal(data, from, ROOM);
}

static void bytes_that_are_no_credit(void **state)
{
	(void)state;
	struct lina_request *sent = post_send(conn, from, ROOM, 5);
	evil_send(fd[0], "credit where credit is due, said the peer", 40);
	send_fails(sent, -EPROTO);
}

static void credit_of_nine_buffers(void **state)
{
	static const uint8_t bytes[256] = { 0xc1, 9 };

	(void)state;
	struct lina_request *sent = post_send(conn, from, ROOM, 5);
	evil_send(fd[0], bytes, sizeof(bytes));
	send_fails(sent, -EPROTO);
}

static void credit_for_more_than_the_peer_can_have(void **state)
{
	struct lina_wire_credit c = { .n = LINA_RECVS_MAX };

	(void)state;
	struct lina_request *sent = post_send(conn, from, ROOM, 5);
	for (int i = 0; i < 1000; i++)
		evil_credit(fd[0], &c);
	send_fails(sent, -EPROTO);
}

static void credit_for_less_than_the_message(void **state)
{
	struct lina_wire_credit c = { .n = 1 };

	(void)state;
	c.entry[0].tag = 5;
	c.entry[0].bytes = ROOM - 1;
	struct lina_request *sent = post_send(conn, from, ROOM, 5);
	evil_credit(fd[0], &c);
	send_fails(sent, -EMSGSIZE);
	assert_true(log_says("1000"));
	assert_true(log_says("999"));
}

static void truncated_credit_then_end(void **state)
{
	static const uint8_t bytes[19] = { 0xc1, 1 };

	(void)state;
	struct lina_request *sent = post_send(conn, from, ROOM, 0);
	evil_send(fd[0], bytes, sizeof(bytes));
	(void)close(fd[0]);
	fd[0] = -1;
	send_fails(sent, -ESHUTDOWN);
}

static void reset_while_a_send_waits(void **state)
{
	(void)state;
	struct lina_request *sent = post_send(conn, from, ROOM, 0);
	evil_reset(fd[0]);
	fd[0] = -1;
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
	evil_credit(fd[0], &c);
	struct lina_request *sent = post_send(conn, large, LARGE, 0);
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(sent, &done, NULL), 0);
	(void)close(fd[0]);
	fd[0] = -1;
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
	evil_credit(fd[0], &c);
	struct lina_request *sent = post_send(conn, large, LARGE, 0);
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(sent, &done, NULL), 0);
	assert_int_equal(shutdown(fd[0], SHUT_WR), 0);
	send_fails(sent, -ESHUTDOWN);
	free(large);
}

/* --- two honest ends that do not agree --- */

static struct pair pair;

static int open_pair(void **state)
{
	(void)state;
	fds_before = fds_open();
	log_forget();
	pair_open("LINA_EARLY_BYTES=0", &pair);
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	pair_close(&pair);
	if (fds_open() != fds_before)
		die("%d descriptors before, %d after", fds_before, fds_open());
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
				pair.send, (void *)(uintptr_t)from, ROOM, 2, NULL, NULL, &send);
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

#define RECEIVER(test)  cmocka_unit_test_setup_teardown(test, open_receiver, teardown)
#define RECEIVER2(test) cmocka_unit_test_setup_teardown(test, open_receiver_of_two_lanes, teardown)
#define SENDER(test)    cmocka_unit_test_setup_teardown(test, open_sender, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECEIVER(honest_frame_is_taken),
		RECEIVER(frame_for_a_slot_that_is_not_in_use),
		RECEIVER(frame_for_a_slot_that_does_not_exist),
		RECEIVER(frame_for_an_earlier_use_of_the_slot),
		RECEIVER(frame_for_a_receive_that_has_ended),
		RECEIVER(frame_for_a_buffer_that_does_not_exist),
		RECEIVER(message_larger_than_its_receive),
		RECEIVER(message_of_a_size_beyond_all_memory),
		RECEIVER(message_that_changes_its_size),
		RECEIVER(more_bytes_than_the_message_has),
		RECEIVER(same_frame_twice),
		RECEIVER(empty_message_twice),
		RECEIVER(bytes_that_are_no_frame),
		RECEIVER(parts_that_overlap_stay_within),
		RECEIVER(truncated_payload_then_end),
		RECEIVER(truncated_header_then_end),
		RECEIVER2(lane_that_ends_within_a_message),
		RECEIVER2(lane_that_ends_within_a_header),
		RECEIVER2(lane_that_ends_between_messages_is_no_loss),
		RECEIVER(reset_while_a_receive_waits),
		RECEIVER(early_messages_beyond_the_standing_credit),
		RECEIVER(early_messages_without_number),
		RECEIVER2(early_message_on_another_lane),
		RECEIVER(early_message_larger_than_its_receive),
		RECEIVER(early_message_set_aside_and_too_large),
		RECEIVER2(part_for_a_buffer_with_an_early_message),
		RECEIVER(early_messages_that_stay),
		cmocka_unit_test_setup_teardown(
			peer_that_takes_no_credits, open_receiver_from_a_small_window, teardown),
		SENDER(honest_credit_is_used),
		SENDER(bytes_that_are_no_credit),
		SENDER(credit_of_nine_buffers),
		SENDER(credit_for_more_than_the_peer_can_have),
		SENDER(credit_for_less_than_the_message),
		SENDER(truncated_credit_then_end),
		SENDER(reset_while_a_send_waits),
		SENDER(end_while_data_is_on_its_way),
		SENDER(half_end_while_data_is_on_its_way),
		cmocka_unit_test_setup_teardown(
			both_ends_hear_of_a_message_too_large, open_pair, close_pair),
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
