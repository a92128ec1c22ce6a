/* A sender that goes as soon as its sends are done: nothing of what it sent may be lost, though the
 * receiver has not read it yet and still says something. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/fixture.h"

enum {
	ROUNDS = 10,
	MESSAGES = 20,
	BYTES = 20 << 10,
	ALL = MESSAGES * BYTES,
	LIMIT_MS = 20000,
	LATE_MS = 600
};

struct leaver {
	struct lina_conn *conn;
	uint8_t *data;
	int err;
	atomic_bool sent;
};

/* Two communicators, as of two processes: what the receiver waits for is no concern of the
 * sender's.
 */
static void apart_open(const char *settings, struct pair *pair_p, struct lina_net **receiver_p)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;

	*pair_p = (struct pair){ .net = NULL };
	if (net_open(settings, &pair_p->net) || net_open(settings, receiver_p) ||
		lina_net_listen(*receiver_p, 0, handle, &listener))
		die("no listener");
	while (!pair_p->send || !pair_p->recv) {
		int err = pair_p->send ? 0
				       : lina_net_connect(pair_p->net, 0, LINA_TRAFFIC_CLASS_UNSET,
						 handle, &pair_p->send);
		if (!err && !pair_p->recv)
			err = lina_net_accept(listener, &pair_p->recv);
		if (err)
			die("no connection");
	}
	(void)lina_net_close_listen(listener);
}

static void *send_and_leave(void *arg)
{
	struct leaver *l = arg;
	struct lina_request *sends[MESSAGES];

	for (int i = 0; i < MESSAGES; i++)
		sends[i] = post_send(l->conn, l->data + (size_t)i * BYTES, BYTES, 0);
	for (int i = 0; i < MESSAGES && !l->err; i++)
		l->err = finish_within(sends[i], LIMIT_MS, NULL);
	atomic_store(&l->sent, true);
	if (!l->err)
		l->err = lina_net_close_send(l->conn);
	return NULL;
}

/* All of it is with the kernel before the first byte is read. */
static int receive_all(const struct leaver *l, struct lina_request *const *recvs, int late_ms)
{
	int err = 0;

	while (!atomic_load(&l->sent))
		sleep_ms(1);
	sleep_ms(late_ms);
	for (int i = 0; i < MESSAGES && !err; i++) {
		sleep_ms(1);
		err = finish_within(recvs[i], LIMIT_MS, NULL);
	}
	return err;
}

static void nothing_is_lost_in(int rounds, int late_ms, const char *settings)
{
	uint8_t *data = malloc(ALL), *got = malloc(ALL);

	for (int i = 0; i < rounds; i++) {
		struct lina_net *receiver;
		struct pair pair;
		pthread_t thread;

		apart_open(settings, &pair, &receiver);
		fill(data, ALL, (uint64_t)i + 1);
		struct leaver l = { .conn = pair.send, .data = data };
		struct lina_request *recvs[MESSAGES];
		for (int m = 0; m < MESSAGES; m++)
			recvs[m] = post_recv(pair.recv, got + (size_t)m * BYTES, BYTES, 0);
		assert_int_equal(pthread_create(&thread, NULL, send_and_leave, &l), 0);
		int err = receive_all(&l, recvs, late_ms);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(l.err, 0);
		assert_int_equal(err, 0);
		assert_true(is_filled(got, ALL, (uint64_t)i + 1));
		assert_int_equal(lina_net_close_recv(pair.recv), 0);
		assert_int_equal(lina_net_close(receiver), 0);
		assert_int_equal(lina_net_close(pair.net), 0);
	}
	assert_int_equal(log_warnings(), 0);
	free(got);
	free(data);
}

static void nothing_is_lost(const char *settings)
{
	nothing_is_lost_in(ROUNDS, 0, settings);
}

static void bulk_that_was_sent_arrives(void **state)
{
	(void)state;
	nothing_is_lost("LINA_CLASSES=all=bulk LINA_GRANT_BYTES=450000");
}

static void bulk_that_was_sent_arrives_over_lanes(void **state)
{
	(void)state;
	nothing_is_lost("LINA_CLASSES=all=bulk LINA_LANES=3 LINA_GRANT_BYTES=450000");
}

static void latency_data_that_was_sent_arrives(void **state)
{
	(void)state;
	nothing_is_lost("LINA_CLASSES=all=latency");
}

/* The receiver is busy with something else, as a GPU may be for seconds. */
static void receiver_may_be_late(void **state)
{
	(void)state;
	nothing_is_lost_in(1, LATE_MS, "LINA_CLASSES=all=latency");
	nothing_is_lost_in(1, LATE_MS, "LINA_CLASSES=all=bulk LINA_GRANT_BYTES=450000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_that_was_sent_arrives),
		cmocka_unit_test(bulk_that_was_sent_arrives_over_lanes),
		cmocka_unit_test(latency_data_that_was_sent_arrives),
		cmocka_unit_test(receiver_may_be_late),
	};

	return cmocka_run_group_tests_name("leave", tests, NULL, NULL);
}
