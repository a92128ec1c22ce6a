/* A sender that goes while peers read nothing waits for none of them, and what it sent arrives all
 * the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { PEERS = 4, MESSAGES = 20, BYTES = 20 << 10, LIMIT_MS = 20000, CLOSE_MS = 2000 };

static uint8_t data[BYTES];

/* More than the peer's kernel takes in, all of it with this end's. */
static void send_unheard(struct lina_conn *conn)
{
	for (int i = 0; i < MESSAGES; i++)
		assert_int_equal(finish_within(post_send(conn, data, BYTES, 0), LIMIT_MS, NULL), 0);
}

static void all_arrives(struct lina_conn *conn)
{
	uint8_t got[BYTES];

	for (int i = 0; i < MESSAGES; i++) {
		struct lina_request *recv = post_recv(conn, got, BYTES, 0);
		assert_int_equal(finish_within(recv, LIMIT_MS, NULL), 0);
		assert_true(is_filled(got, BYTES, 1));
	}
}

static void pairs_open(struct pair *pair)
{
	pair_open("LINA_CLASSES=all=latency", &pair[0]);
	for (int i = 1; i < PEERS; i++)
		assert_int_equal(pair_connect(pair[0].net, &pair[i]), 0);
	fill(data, BYTES, 1);
	for (int i = 0; i < PEERS; i++)
		send_unheard(pair[i].send);
}

static void pairs_leave(const struct pair *pair)
{
	uint64_t start_ms = now_ms();

	for (int i = 0; i < PEERS; i++)
		assert_int_equal(lina_net_close_send(pair[i].send), 0);
	assert_in_range(now_ms() - start_ms, 0, CLOSE_MS);
	for (int i = 0; i < PEERS; i++)
		all_arrives(pair[i].recv);
	assert_int_equal(log_warnings(), 0);
	assert_int_equal(lina_net_close(pair[0].net), 0);
}

static void nobody_is_waited_for(void **state)
{
	struct pair pair[PEERS];

	(void)state;
	pairs_open(pair);
	pairs_leave(pair);
}

/* As when a communicator is aborted. */
static void nor_when_something_has_not_ended(void **state)
{
	struct pair pair[PEERS], other;
	uint8_t byte;

	(void)state;
	pairs_open(pair);
	assert_int_equal(pair_connect(pair[0].net, &other), 0);
	(void)post_recv(other.recv, &byte, 1, 0);
	pairs_leave(pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_is_waited_for),
		cmocka_unit_test(nor_when_something_has_not_ended),
	};

	return cmocka_run_group_tests_name("leave_deaf", tests, NULL, NULL);
}
