/* Bulk that was kept back goes when it may, though the thread it belongs to does not look. */
#include <errno.h>

#include "engine.h"

/* The smallest window, so that most of a message is kept back. */
#define NARROW \
	"LINA_EARLY_BYTES=0 LINA_CHUNK_BYTES=4096 LINA_WINDOW_BYTES=4096 LINA_RELAX_MS=3600000 "

enum { LATE_MS = 200 };

/* Posts bulk whose credit is there already, so that nothing has to be read any more. */
static void bulk_post_with_credit(void)
{
	engine.bulk.recv =
		recv_as(LINA_CLASS_BULK, engine.quick.recv, engine.bulk.to, BULK, BULK_TAG);
	sleep_ms(20);
	engine.bulk.send =
		send_as(LINA_CLASS_BULK, engine.quick.send, engine.bulk.from, BULK, BULK_TAG);
}

static void bulk_goes_though_its_owner_is_late(void **state)
{
	(void)state;
	engine_open(NARROW "LINA_PUMP=1");
	bulk_post_with_credit();
	assert_int_equal(finish_within(engine.bulk.recv, LIMIT_MS, NULL), 0);
	assert_true(is_filled(engine.bulk.to, BULK, 3));
	assert_int_equal(finish_within(engine.bulk.send, LIMIT_MS, NULL), 0);
}

static void without_the_thread_its_owner_has_to_look(void **state)
{
	(void)state;
	engine_open(NARROW "LINA_PUMP=0");
	bulk_post_with_credit();
	assert_int_equal(finish_within(engine.bulk.recv, LATE_MS, NULL), -EAGAIN);
	assert_int_equal(finish_both(engine.bulk.send, engine.bulk.recv, LIMIT_MS), 0);
	assert_true(is_filled(engine.bulk.to, BULK, 3));
}

/* What is held is held for the thread too, and goes when the hold is over. */
static void held_bulk_goes_after_the_hold(void **state)
{
	(void)state;
	engine_open(NARROW "LINA_PUMP=1 LINA_HOLD_MAX_MS=3600000 LINA_BULK_SHARE_PERCENT=0");
	latency_get_stuck(true);
	bulk_post_with_credit();
	assert_int_equal(finish_within(engine.bulk.recv, LATE_MS, NULL), -EAGAIN);
	assert_int_equal(bulk_got(engine.quick.recv), 0);
	assert_int_equal(latency_finish(), 0);
	assert_int_equal(finish_within(engine.bulk.recv, LIMIT_MS, NULL), 0);
	assert_int_equal(finish_within(engine.bulk.send, LIMIT_MS, NULL), 0);
}

/* The thread is the first to notice; the owner hears of it. The message is larger than its first
 * grant, so that it cannot have gone before the peer does. */
static void a_peer_that_goes_is_an_error_of_the_owner(void **state)
{
	(void)state;
	engine_open(NARROW "LINA_PUMP=1 LINA_GRANT_BYTES=65536");
	bulk_post_with_credit();
	assert_int_equal(lina_net_close_recv(engine.quick.recv), 0);
	sleep_ms(LATE_MS);
	assert_int_not_equal(finish_within(engine.bulk.send, LIMIT_MS, NULL), 0);
	assert_int_equal(log_warnings(), 1);
}

/* While the thread sends. */
static void a_connection_may_be_closed_at_any_time(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		engine_open(NARROW "LINA_PUMP=1");
		bulk_post_with_credit();
		sleep_ms(i % 4);
		assert_int_equal(lina_net_close_send(engine.quick.send), 0);
		assert_int_equal(engine_close(NULL), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(bulk_goes_though_its_owner_is_late, engine_close),
		cmocka_unit_test_teardown(without_the_thread_its_owner_has_to_look, engine_close),
		cmocka_unit_test_teardown(held_bulk_goes_after_the_hold, engine_close),
		cmocka_unit_test_teardown(a_peer_that_goes_is_an_error_of_the_owner, engine_close),
		cmocka_unit_test_teardown(a_connection_may_be_closed_at_any_time, engine_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
