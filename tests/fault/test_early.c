/* Early messages of a peer that does not keep to what it may send early, or leaves them lying. */
#include <errno.h>
#include <stdint.h>

#include "peer.h"

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
		evil_data(peer.fd[0], &d, payload, 2000);
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
		evil_data(peer.fd[0], &d, NULL, 0);
		err = lina_net_test(peer.request, &done, NULL);
		assert_int_equal(done, 0);
	}
	receive_fails(-EPROTO);
}

static void early_message_on_another_lane(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = early_of(0, 10);
	evil_data(peer.fd[1], &d, payload, 10);
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
	void *data = peer.to.data;
	const size_t room = 10;
	const int tag = 1;
	struct lina_request *late = NULL;

	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = early_of(1, 11);
	evil_data(peer.fd[0], &d, payload, 11);
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(peer.request, &done, NULL), 0);
	assert_int_equal(
		lina_net_recv(peer.conn, 1, &data, &room, &tag, NULL, NULL, &late), -EMSGSIZE);
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
	evil_data(peer.fd[0], &d, payload, 100); /* the rest stays away */
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(peer.request, &done, NULL), 0);
	assert_int_equal(lina_net_recv(peer.conn, 1, &data, &room, &tag, NULL, NULL, &late), 0);
	peer.credit = evil_credit_read(*peer.credit_fd, late, LIMIT_MS);
	d = frame_of(800);
	evil_data(peer.fd[1], &d, payload, 800);
	peer.request = late;
	receive_fails(-EPROTO);
}

/* Early messages that nobody asks for are freed with the connection, whole or not. */
static void early_messages_that_stay(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	for (int i = 1; i < 4; i++) {
		struct lina_wire_data d = early_of(i, 500);
		evil_data(peer.fd[0], &d, payload, i < 3 ? 500 : 77);
	}
	for (int done = 0, i = 0; i < 1000; i++)
		assert_int_equal(lina_net_test(peer.request, &done, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RECEIVER(early_messages_beyond_the_standing_credit),
		RECEIVER(early_messages_without_number),
		RECEIVER2(early_message_on_another_lane),
		RECEIVER(early_message_larger_than_its_receive),
		RECEIVER(early_message_set_aside_and_too_large),
		RECEIVER2(part_for_a_buffer_with_an_early_message),
		RECEIVER(early_messages_that_stay),
	};

	return cmocka_run_group_tests_name("early", tests, NULL, NULL);
}
