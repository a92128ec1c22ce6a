#include "peer.h"

#include <string.h>
#include <unistd.h>

struct peer peer;
const uint8_t payload[PAYLOAD_BYTES] = { 1, 2, 3 };

#define USUAL "LINA_EARLY_BYTES=4096"

static int context_open(const char *settings)
{
	peer.fds_before = fds_open();
	log_forget();
	return net_open(settings, &peer.net);
}

void receiver_open(const char *settings, int lanes)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;

	peer.nlanes = lanes;
	if (context_open(settings) || lina_net_listen(peer.net, 0, handle, &listener))
		die("no listener");
	evil_sender(listener, handle, peer.nlanes, peer.fd, &peer.conn);
	peer.credit_fd = &peer.fd[lanes];
}

int open_receiver(void **state)
{
	(void)state;
	receiver_open(USUAL, 1);
	return 0;
}

int open_receiver_of_two_lanes(void **state)
{
	(void)state;
	receiver_open(USUAL, 2);
	return 0;
}

int open_receiver_from_a_small_window(void **state)
{
	(void)state;
	evil_room(1024);
	receiver_open(USUAL, 1);
	evil_room(0);
	return 0;
}

void sender_open(uint32_t early_bytes, uint32_t grant_bytes)
{
	peer.nlanes = 1;
	if (context_open(""))
		die("no context");
	evil_first_grant(grant_bytes);
	evil_receiver(peer.net, early_bytes, peer.fd, &peer.conn);
	peer.credit_fd = &peer.fd[1];
	evil_first_grant(UINT32_MAX);
}

int open_sender(void **state)
{
	(void)state;
	sender_open(0, UINT32_MAX);
	return 0;
}

int teardown(void **state)
{
	(void)state;
	for (int i = 0; i <= peer.nlanes; i++)
		if (peer.fd[i] >= 0)
			(void)close(peer.fd[i]);
	(void)lina_net_close(peer.net);
	if (fds_open() != peer.fds_before)
		die("%d descriptors before, %d after", peer.fds_before, fds_open());
	return 0;
}

void receive_post(size_t room, int tag)
{
	memset(&peer.to, 0xaa, sizeof(peer.to));
	peer.request = post_recv(peer.conn, peer.to.data, room, tag);
	peer.credit = evil_credit_read(*peer.credit_fd, peer.request, LIMIT_MS);
}

void guards_check(void)
{
	for (int i = 0; i < GUARD; i++) {
		assert_int_equal(peer.to.before[i], 0xaa);
		assert_int_equal(peer.to.after[i], 0xaa);
	}
}

struct lina_wire_data frame_of(size_t bytes)
{
	return (struct lina_wire_data){ .slot = peer.credit.slot,
		.seq = peer.credit.seq,
		.message_bytes = bytes,
		.length = (uint32_t)bytes };
}

static void peer_is_told(void)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	for (int i = 0; i <= peer.nlanes; i++)
		while (peer.fd[i] >= 0 && !evil_is_closed(peer.fd[i]))
			if (now_ms() > deadline)
				fail_msg("lane %d of the peer stays open", i);
}

void receive_fails(int expected)
{
	int done = 0;

	assert_int_equal(finish_within(peer.request, LIMIT_MS, NULL), expected);
	assert_int_equal(lina_net_test(peer.request, &done, NULL), expected);
	assert_int_equal(done, 0);
	struct lina_request *more = NULL;
	void *data = peer.to.data;
	const size_t room = 1;
	const int tag = 0;
	assert_int_equal(
		lina_net_recv(peer.conn, 1, &data, &room, &tag, NULL, NULL, &more), expected);
	assert_null(more);
	if (log_warnings() != 1)
		fail_msg("%d lines: %s", log_warnings(), log_text());
	assert_true(log_says("127.0.0.1:"));
	assert_true(log_says("receiving from"));
	guards_check();
	peer_is_told();
}

void frame_is_refused(const struct lina_wire_data *head, int expected)
{
	evil_data(peer.fd[0], head, payload, head->length < sizeof(payload) ? head->length : 0);
	receive_fails(expected);
}

void send_fails(struct lina_request *sent, int expected)
{
	struct lina_request *more = NULL;

	assert_int_equal(finish_within(sent, LIMIT_MS, NULL), expected);
	assert_int_equal(lina_net_send(peer.conn, peer.to.data, 1, 0, NULL, NULL, &more), expected);
	assert_null(more);
	if (log_warnings() != 1)
		fail_msg("%d lines: %s", log_warnings(), log_text());
	assert_true(log_says("127.0.0.1:"));
	assert_true(log_says("sending to"));
	peer_is_told();
}
