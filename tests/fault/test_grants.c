/* Grants of bulk, with a peer that does not keep to them, or that looks whether this end does. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "peer.h"
#include "plugin/tcp_recv.h"
#include "plugin/tcp_send.h"
#include "priority/class.h"

enum { GRANT_BYTES = 4096, LARGE = 20000, QUIET_TESTS = 2000 };

static uint8_t large[LARGE];

static int open_granting(void **state)
{
	(void)state;
	receiver_open("LINA_EARLY_BYTES=4096 LINA_GRANT_BYTES=4096 LINA_HOLD_MAX_MS=3600000 "
		      "LINA_BULK_SHARE_PERCENT=0 LINA_LINGER_US=0",
		1);
	return 0;
}

static int open_granting_after_a_bound(void **state)
{
	(void)state;
	receiver_open("LINA_EARLY_BYTES=4096 LINA_GRANT_BYTES=4096 LINA_HOLD_MAX_MS=20 "
		      "LINA_BULK_SHARE_PERCENT=0 LINA_LINGER_US=0",
		1);
	return 0;
}

static int open_granted(void **state)
{
	(void)state;
	sender_open(1 << 20, GRANT_BYTES);
	return 0;
}

/* --- the receiving end --- */

static const struct tcp_receiver *receiver(void)
{
	return (const struct tcp_receiver *)peer.conn;
}

static struct lina_wire_data bulk_of(size_t bytes)
{
	struct lina_wire_data d = frame_of(bytes);

	d.bulk = true;
	return d;
}

/* To grant all that is asked for here is an error of size and not of the protocol. */
static void bulk_beyond_the_grant(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = bulk_of(GRANT_BYTES + 1);
	frame_is_refused(&d, -EPROTO);
}

static void bulk_as_far_as_the_grant(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = bulk_of(GRANT_BYTES);
	frame_is_refused(&d, -EMSGSIZE);
}

/* A thousand bytes are not worth a grant yet. */
static void bulk_of_two_messages_beyond_the_grant(void **state)
{
	(void)state;
	receive_post(ROOM, 0);
	struct lina_wire_data d = bulk_of(ROOM);
	evil_data(peer.fd[0], &d, payload, ROOM);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
	receive_post(ROOM, 0);
	d = bulk_of(GRANT_BYTES - ROOM + 1);
	frame_is_refused(&d, -EPROTO);
}

/* A first part of one class, and a second of the other. */
static void class_changes(bool bulk)
{
	receive_post(ROOM, 0);
	struct lina_wire_data d = frame_of(ROOM);
	d.bulk = bulk;
	d.length = ROOM / 2;
	evil_data(peer.fd[0], &d, payload, d.length);
	d.offset = ROOM / 2;
	d.bulk = !bulk;
	frame_is_refused(&d, -EPROTO);
}

static void bulk_that_becomes_latency_traffic(void **state)
{
	(void)state;
	class_changes(true);
}

static void latency_traffic_that_becomes_bulk(void **state)
{
	(void)state;
	class_changes(false);
}

static void large_post(int tag)
{
	peer.request = post_recv(peer.conn, large, LARGE, tag);
	peer.credit = evil_credit_read(*peer.credit_fd, peer.request, LIMIT_MS);
}

static void latency_traffic_needs_no_grant(void **state)
{
	static const uint8_t zeros[LARGE];

	(void)state;
	large_post(0);
	struct lina_wire_data d = frame_of(LARGE);
	evil_data(peer.fd[0], &d, zeros, LARGE);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
}

/* Whether anything has come there. */
static bool peer_hears(int fd)
{
	uint8_t byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

static void request_test(void)
{
	int done = 0;

	if (!peer.request)
		return;
	assert_int_equal(lina_net_test(peer.request, &done, NULL), 0);
	if (done)
		peer.request = NULL;
}

/* The next grant, while the request is tested. */
static uint64_t grant_read(void)
{
	uint64_t deadline = now_ms() + LIMIT_MS;
	uint8_t bytes[LINA_GRANT_BYTES];
	struct lina_wire_grant grant;

	while (!peer_hears(*peer.credit_fd) && now_ms() < deadline)
		request_test();
	evil_read(*peer.credit_fd, bytes, sizeof(bytes), LIMIT_MS);
	assert_int_equal(lina_grant_decode(bytes, sizeof(bytes), &grant), sizeof(bytes));
	return grant.bytes;
}

/* The next part of the message of LARGE bytes. */
static void part_send(uint64_t offset, uint64_t bytes)
{
	static const uint8_t zeros[LARGE];
	struct lina_wire_data d = bulk_of(LARGE);

	d.offset = offset;
	d.length = (uint32_t)bytes;
	evil_data(peer.fd[0], &d, zeros, bytes);
}

static void grants_follow_the_bulk_that_is_read(void **state)
{
	uint64_t sent = 0, granted = GRANT_BYTES;

	(void)state;
	large_post(0);
	while (sent < LARGE) {
		uint64_t until = granted < LARGE ? granted : LARGE;
		part_send(sent, until - sent);
		sent = until;
		uint64_t more = sent < LARGE ? grant_read() : granted;
		assert_in_range(more, granted, sent + GRANT_BYTES);
		assert_true(more > granted || sent == LARGE);
		granted = more;
	}
	if (peer.request)
		assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
}

/* Half of a latency message, and all the bulk that is granted, are in. */
static struct lina_request *half_in(struct lina_wire_data *rest_p)
{
	receive_post(ROOM, 1);
	struct lina_request *latency = peer.request;
	struct lina_wire_data d = frame_of(ROOM);
	d.length = ROOM / 2;
	evil_data(peer.fd[0], &d, payload, d.length);
	while (receiver()->flow[LINA_CLASS_LATENCY].flow.queued_bytes != ROOM / 2)
		request_test();
	d.offset = ROOM / 2;
	*rest_p = d;
	large_post(2);
	part_send(0, GRANT_BYTES);
	while (receiver()->bulk_got < GRANT_BYTES)
		request_test();
	return latency;
}

static void grants_are_withheld_while_a_latency_message_is_half_in(void **state)
{
	struct lina_wire_data rest;

	(void)state;
	struct lina_request *latency = half_in(&rest);
	for (int i = 0; i < QUIET_TESTS; i++)
		request_test();
	assert_false(peer_hears(*peer.credit_fd));
	evil_data(peer.fd[0], &rest, payload, rest.length);
	assert_int_equal(finish_within(latency, LIMIT_MS, NULL), 0);
	assert_in_range(grant_read(), GRANT_BYTES + 1, 2 * GRANT_BYTES);
	assert_int_equal(log_notes("said once"), 0);
}

static void grants_are_given_when_the_bound_fires(void **state)
{
	struct lina_wire_data rest;

	(void)state;
	(void)half_in(&rest);
	assert_in_range(grant_read(), GRANT_BYTES + 1, 2 * GRANT_BYTES);
	assert_int_equal(receiver()->flow[LINA_CLASS_BULK].flow.sched->counts.stall_fired, 1);
	assert_int_equal(log_notes("LINA_HOLD_MAX_MS=20 ms"), 1);
}

/* --- the sending end --- */

static struct lina_request *send_class(enum lina_class cls, const void *data, size_t bytes, int tag)
{
	const int op = cls == LINA_CLASS_LATENCY ? LINA_OP_ALLTOALL : LINA_OP_ALLREDUCE;
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	assert_int_equal(lina_net_attr_set(peer.net, &attr), 0);
	return post_send(peer.conn, data, bytes, tag);
}

static void credit_give(int tag)
{
	struct lina_wire_credit credit = { .n = 1 };

	credit.entry[0].tag = tag;
	credit.entry[0].bytes = LARGE + 1;
	evil_credit(*peer.credit_fd, &credit);
}

/* Reads one frame with its payload. */
static struct lina_wire_data frame_read(void)
{
	uint8_t head[LINA_DATA_HEAD_BYTES], to[2 * LARGE];
	struct lina_wire_data d;

	evil_read(peer.fd[0], head, sizeof(head), LIMIT_MS);
	assert_int_equal(lina_data_decode(head, &d), 0);
	assert_in_range(d.length, 0, sizeof(to));
	evil_read(peer.fd[0], to, d.length, LIMIT_MS);
	return d;
}

static uint64_t bulk_hear(void)
{
	uint64_t bytes = 0;

	request_test();
	while (peer_hears(peer.fd[0])) {
		struct lina_wire_data d = frame_read();
		assert_true(d.bulk && !d.early);
		bytes += d.length;
	}
	return bytes;
}

/* So much bulk comes, and no more. */
static void bulk_comes(uint64_t bytes)
{
	uint64_t got = 0, deadline = now_ms() + LIMIT_MS;

	while (got < bytes && now_ms() < deadline)
		got += bulk_hear();
	for (int i = 0; i < QUIET_TESTS; i++)
		got += bulk_hear();
	assert_int_equal(got, bytes);
}

static void grant_that_goes_backwards(void **state)
{
	(void)state;
	struct lina_request *sent = send_class(LINA_CLASS_BULK, large, LARGE, 5);
	evil_grant(*peer.credit_fd, GRANT_BYTES); /* says nothing new */
	evil_grant(*peer.credit_fd, GRANT_BYTES - 1);
	send_fails(sent, -EPROTO);
}

static void bulk_goes_as_far_as_the_grant(void **state)
{
	static const uint64_t grants[] = { GRANT_BYTES, GRANT_BYTES + 1, 6000, 6000, LARGE - 1 };
	uint64_t got = 0;

	(void)state;
	credit_give(5);
	peer.request = send_class(LINA_CLASS_BULK, large, LARGE, 5);
	for (size_t i = 0; i < sizeof(grants) / sizeof(*grants); i++) {
		if (i > 0)
			evil_grant(*peer.credit_fd, grants[i]);
		bulk_comes(grants[i] - got);
		got = grants[i];
		assert_non_null(peer.request);
	}
	evil_grant(*peer.credit_fd, LARGE);
	bulk_comes(LARGE - got);
	assert_null(peer.request);
}

/* Latency traffic of the same connection needs none. */
static void latency_traffic_passes_bulk_that_waits_for_a_grant(void **state)
{
	(void)state;
	credit_give(5);
	peer.request = send_class(LINA_CLASS_BULK, large, LARGE, 5);
	bulk_comes(GRANT_BYTES);
	struct lina_request *latency = send_class(LINA_CLASS_LATENCY, large, LARGE, 6);
	assert_int_equal(finish_within(latency, LIMIT_MS, NULL), 0);
	struct lina_wire_data d = frame_read();
	assert_true(d.early && !d.bulk);
	assert_int_equal(d.length, LARGE);
}

static void little_bulk_goes_early_and_larger_waits(void **state)
{
	static const uint8_t more[TCP_EARLY_BULK_BYTES + 1];

	(void)state;
	peer.request = send_class(LINA_CLASS_BULK, more, TCP_EARLY_BULK_BYTES, 5);
	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), 0);
	struct lina_wire_data d = frame_read();
	assert_true(d.early && d.bulk);
	assert_int_equal(d.length, TCP_EARLY_BULK_BYTES);
	peer.request = send_class(LINA_CLASS_BULK, more, sizeof(more), 6);
	bulk_comes(0);
	evil_grant(*peer.credit_fd, UINT64_C(2) * LARGE); /* is not what it waits for */
	bulk_comes(0);
	credit_give(6);
	bulk_comes(sizeof(more));
}

#define GRANTING(test) cmocka_unit_test_setup_teardown(test, open_granting, teardown)
#define GRANTED(test)  cmocka_unit_test_setup_teardown(test, open_granted, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GRANTING(bulk_beyond_the_grant),
		GRANTING(bulk_as_far_as_the_grant),
		GRANTING(bulk_of_two_messages_beyond_the_grant),
		GRANTING(bulk_that_becomes_latency_traffic),
		GRANTING(latency_traffic_that_becomes_bulk),
		GRANTING(latency_traffic_needs_no_grant),
		GRANTING(grants_follow_the_bulk_that_is_read),
		GRANTING(grants_are_withheld_while_a_latency_message_is_half_in),
		cmocka_unit_test_setup_teardown(grants_are_given_when_the_bound_fires,
			open_granting_after_a_bound, teardown),
		GRANTED(grant_that_goes_backwards),
		GRANTED(bulk_goes_as_far_as_the_grant),
		GRANTED(latency_traffic_passes_bulk_that_waits_for_a_grant),
		GRANTED(little_bulk_goes_early_and_larger_waits),
	};

	return cmocka_run_group_tests_name("grants", tests, NULL, NULL);
}
