#include "door.h"

#include <string.h>

struct door door;

static void open_with(const char *settings)
{
	door.fds_before = fds_open();
	log_forget();
	if (net_open(settings, &door.net))
		die("no context");
	if (lina_net_listen(door.net, 0, door.handle, &door.listener))
		die("no listener");
}

int setup(void **state)
{
	(void)state;
	open_with("");
	return 0;
}

int setup_short_of_time(void **state)
{
	(void)state;
	open_with("LINA_CONNECT_TIMEOUT_MS=700");
	return 0;
}

int teardown(void **state)
{
	(void)state;
	(void)lina_net_close(door.net);
	if (fds_open() != door.fds_before)
		die("%d descriptors before, %d after", door.fds_before, fds_open());
	return 0;
}

void peer_gets_in(void)
{
	struct lina_conn *send = NULL, *recv = NULL;
	uint64_t deadline = now_ms() + LIMIT_MS;
	uint8_t from[100], to[100] = { 0 };

	while (!send || !recv) {
		int err = 0;
		if (!send)
			err = lina_net_connect(
				door.net, 0, LINA_TRAFFIC_CLASS_UNSET, door.handle, &send);
		if (!err && !recv)
			err = lina_net_accept(door.listener, &recv);
		if (err || now_ms() > deadline)
			fail_msg("the peer is not let in: %s\n%s", strerror(-err), log_text());
	}
	fill(from, sizeof(from), 1);
	struct lina_request *r = post_recv(recv, to, sizeof(to), 0);
	assert_int_equal(finish_both(post_send(send, from, sizeof(from), 0), r, LIMIT_MS), 0);
	assert_true(is_filled(to, sizeof(to), 1));
	assert_int_equal(lina_net_close_send(send), 0);
	assert_int_equal(lina_net_close_recv(recv), 0);
}
