/* Frames of a peer that knows the secret and does not keep to the protocol: the connection ends
 * with one line in the log and nothing is written where it should not be. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "peer.h"

static void honest_frame_is_taken(void **state)
{
	int bytes = 0;

	(void)state;
	receive_post(ROOM, 3);
	assert_int_equal(peer.credit.n, 1);
	assert_int_equal(peer.credit.entry[0].tag, 3);
	assert_int_equal(peer.credit.entry[0].bytes, ROOM);
	struct lina_wire_data d = frame_of(ROOM - 1);
	evil_data(peer.fd[0], &d, payload, d.length);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, &bytes), 0);
	assert_int_equal(bytes, ROOM - 1);
	assert_memory_equal(peer.to.data, payload, ROOM - 1);
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
	evil_data(peer.fd[0], &d, payload, 8);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
	uint16_t slot = peer.credit.slot;
	receive_post(ROOM, 0);
	assert_int_equal(peer.credit.slot, slot);
	assert_int_not_equal(peer.credit.seq, d.seq);
	frame_is_refused(&d, -EPROTO);
}

static void frame_for_a_receive_that_has_ended(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(8);
	struct lina_request *ended = peer.request;
	receive_post(ROOM, 0); /* takes another slot */
	evil_data(peer.fd[0], &d, payload, 8);
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
	evil_data(peer.fd[0], &d, payload, 50);
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
	evil_data(peer.fd[0], &d, payload, 60);
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
	evil_data(peer.fd[0], &first, payload, 99);
	frame_is_refused(&d, -EPROTO);
}

static void empty_message_twice(void **state)
{
	void *data[2] = { peer.to.data, peer.to.data + 1 };
	const size_t room[2] = { 1, 1 };
	const int tags[2] = { 0, 0 };

	(void)state;
	memset(&peer.to, 0xaa, sizeof(peer.to));
	assert_int_equal(
		lina_net_recv(peer.conn, 2, data, room, tags, NULL, NULL, &peer.request), 0);
	peer.credit = evil_credit_read(*peer.credit_fd, peer.request, LIMIT_MS);
	struct lina_wire_data d = frame_of(0);
	evil_data(peer.fd[0], &d, NULL, 0);
	frame_is_refused(&d, -EPROTO);
}

static void bytes_that_are_no_frame(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	evil_send(peer.fd[0], "this is no frame, it is a sentence of text", 40);
	receive_fails(-EPROTO);
}

/* Overlapping parts that add up are the sender's own loss; they stay within the buffer. */
static void parts_that_overlap_stay_within(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(ROOM);
	d.length = ROOM / 2;
	evil_data(peer.fd[0], &d, payload, d.length);
	evil_data(peer.fd[0], &d, payload, d.length);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
	guards_check();
}

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
	};

	return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
