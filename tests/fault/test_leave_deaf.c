/* A sender that goes while peers read nothing: it waits for one of them, not for each in turn, and
 * for none when something of its communicator has not ended, since that is being aborted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { PEERS = 8, MESSAGES = 20, BYTES = 20 << 10, LIMIT_MS = 20000 };

static uint8_t data[BYTES];

/* More than the peer's kernel takes in, all of it with this end's. */
static void send_unheard(struct lina_conn *conn)
{
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(finish_within(post_send(conn, data, BYTES, 0), LIMIT_MS, NULL), 0);
}

static uint64_t close_ms(struct lina_conn *conn)
{
	uint64_t start_ms = now_ms();

	assert_int_equal(lina_net_close_send(conn), 0);
	return now_ms() - start_ms;
}

static void one_of_many_is_waited_for(void **state)
{
	struct pair pair[PEERS];
	uint64_t sum_ms = 0;

	(void)state;
	pair_open("LINA_CLASSES=all=latency LINA_PEER_TIMEOUT_MS=1000", &pair[0]);
	for (int i = 1; i < PEERS; i++)
		assert_int_equal(pair_connect(pair[0].net, &pair[i]), 0);
	for (int i = 0; i < PEERS; i++)
		send_unheard(pair[i].send);
	for (int i = 0; i < PEERS; i++)
		sum_ms += close_ms(pair[i].send);
	assert_in_range(sum_ms, 900, PEERS * 1000 / 2);
	assert_int_equal(lina_net_close(pair[0].net), 0);
}

static void none_is_when_something_has_not_ended(void **state)
{
	struct pair pair, other;

	(void)state;
	sleep_ms(1100); /* one has just been given up */
	pair_open("LINA_CLASSES=all=latency LINA_PEER_TIMEOUT_MS=30000", &pair);
	assert_int_equal(pair_connect(pair.net, &other), 0);
	(void)post_recv(other.recv, data, BYTES, 0);
	send_unheard(pair.send);
	assert_in_range(close_ms(pair.send), 200, 10000);
	assert_int_equal(lina_net_close(pair.net), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_of_many_is_waited_for),
		cmocka_unit_test(none_is_when_something_has_not_ended),
	};

	return cmocka_run_group_tests_name("leave_deaf", tests, NULL, NULL);
}
