/* A sender that goes as soon as its sends are done: nothing of what it sent may be lost, though the
 * receiver has not read it yet and still says something. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { ROUNDS = 10, MESSAGES = 20, BYTES = 20 << 10, ALL = MESSAGES * BYTES, LIMIT_MS = 20000 };

struct leaver {
	struct lina_conn *conn;
	uint8_t *data;
	int err;
	atomic_bool sent;
};

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
static int receive_all(const struct leaver *l, struct lina_request *const *recvs)
{
	int err = 0;

	while (!atomic_load(&l->sent))
		sleep_ms(1);
	for (int i = 0; i < MESSAGES && !err; i++) {
		sleep_ms(1);
		err = finish_within(recvs[i], LIMIT_MS, NULL);
	}
	return err;
}

static void nothing_is_lost(const char *settings)
{
	uint8_t *data = malloc(ALL), *got = malloc(ALL);

	for (int i = 0; i < ROUNDS; i++) {
		struct pair pair;
		pthread_t thread;

		pair_open(settings, &pair);
		fill(data, ALL, (uint64_t)i + 1);
		struct leaver l = { .conn = pair.send, .data = data };
		struct lina_request *recvs[MESSAGES];
		for (int m = 0; m < MESSAGES; m++)
			recvs[m] = post_recv(pair.recv, got + (size_t)m * BYTES, BYTES, 0);
		assert_int_equal(pthread_create(&thread, NULL, send_and_leave, &l), 0);
		int err = receive_all(&l, recvs);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(l.err, 0);
		assert_int_equal(err, 0);
		assert_true(is_filled(got, ALL, (uint64_t)i + 1));
		assert_int_equal(lina_net_close_recv(pair.recv), 0);
		assert_int_equal(lina_net_close(pair.net), 0);
	}
	assert_int_equal(log_warnings(), 0);
	free(got);
	free(data);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_that_was_sent_arrives),
		cmocka_unit_test(bulk_that_was_sent_arrives_over_lanes),
		cmocka_unit_test(latency_data_that_was_sent_arrives),
	};

	return cmocka_run_group_tests_name("leave", tests, NULL, NULL);
}
