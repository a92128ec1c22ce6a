/* Bulk waits for latency traffic, as long as it should and no longer. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "engine.h"
#include "net/evil.h"
#include "plugin/tcp_recv.h"
#include "plugin/tcp_send.h"

#define FOR_EVER "LINA_HOLD_MAX_MS=3600000 LINA_BULK_SHARE_PERCENT=0 LINA_RELAX_MS=3600000 "
#define BOUNDED  "LINA_HOLD_MAX_MS=20 LINA_BULK_SHARE_PERCENT=0 "

/* --- held, and let go --- */

static void bulk_waits_while_latency_data_is_queued(void **state)
{
	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	bulk_post();
	bulk_waits();
	assert_int_equal(bulk_got(engine.quick.recv), 0);
	assert_int_equal(sched_out(engine.quick.send)->counts.bytes[LINA_CLASS_BULK], 0);
	assert_int_equal(latency_finish(), 0);
	assert_int_equal(bulk_finish(), 0);
	assert_int_equal(sched_out(engine.quick.send)->counts.holds, 1);
	assert_int_equal(log_notes("said once"), 0);
}

/* The same for bulk of the connection that the latency data waits in. */
static void bulk_of_the_same_connection_waits_too(void **state)
{
	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	struct lina_request *recv =
		recv_as(LINA_CLASS_BULK, engine.slow.recv, engine.bulk.to, BULK, BULK_TAG);
	struct lina_request *send =
		send_as(LINA_CLASS_BULK, engine.slow.send, engine.bulk.from, BULK, BULK_TAG);
	assert_int_equal(finish_within(send, 20, NULL), -EAGAIN);
	assert_int_equal(sched_out(engine.slow.send)->counts.bytes[LINA_CLASS_BULK], 0);
	assert_int_equal(latency_finish(), 0);
	assert_int_equal(finish_both(send, recv, LIMIT_MS), 0);
	assert_true(is_filled(engine.bulk.to, BULK, 3));
}

/* Latency traffic that does not move stops counting until it moves. */
static void a_stall_ends_a_hold_until_latency_data_moves(void **state)
{
	(void)state;
	engine_open(BOUNDED);
	const struct lina_sched *sched = sched_out(engine.quick.send);
	latency_get_stuck(true);
	bulk_post();
	assert_true(sched->held);
	assert_int_equal(bulk_finish(), 0);
	assert_int_equal(sched->counts.stall_fired, 1);
	bulk_post();
	assert_false(sched->held);
	assert_int_equal(bulk_finish(), 0);
	assert_int_equal(sched->counts.stall_fired, 1);
	latency_move();
	bulk_post();
	assert_true(sched->held);
	assert_int_equal(bulk_finish(), 0);
	assert_int_equal(sched->counts.stall_fired, 2);
	assert_int_equal(sched->counts.holds, 2);
	assert_int_equal(
		log_notes("link lo: bulk traffic waited LINA_HOLD_MAX_MS=20 ms for latency "
			  "traffic that does not move"),
		1);
	assert_int_equal(latency_finish(), 0);
}

/* --- what waits for what --- */

/* The receive of what holds bulk is posted when the bulk has come: its rank waits for both. */
static void latency_data_that_waits_for_bulk_does_not_lock(void **state)
{
	(void)state;
	engine_open(BOUNDED "LINA_EARLY_BYTES=67108864");
	latency_get_stuck(false);
	bulk_post();
	assert_int_equal(bulk_finish(), 0);
	assert_int_equal(sched_out(engine.quick.send)->counts.stall_fired, 1);
	assert_int_equal(latency_finish(), 0);
}

/* The same in one connection, where it heads the lane besides. */
static void latency_data_in_the_way_of_its_own_bulk_does_not_lock(void **state)
{
	(void)state;
	engine_open(BOUNDED "LINA_EARLY_BYTES=67108864");
	latency_get_stuck(false);
	struct lina_request *recv =
		recv_as(LINA_CLASS_BULK, engine.slow.recv, engine.bulk.to, BULK, BULK_TAG);
	struct lina_request *send =
		send_as(LINA_CLASS_BULK, engine.slow.send, engine.bulk.from, BULK, BULK_TAG);
	assert_int_equal(finish_both(send, recv, LIMIT_MS), 0);
	assert_true(is_filled(engine.bulk.to, BULK, 3));
	assert_int_equal(latency_finish(), 0);
}

/* A message of which a part was read, and whose receiver then waits for bulk, keeps grants back for
 * no longer than the bound. */
static void latency_data_that_is_half_in_does_not_lock(void **state)
{
	(void)state;
	engine_open(BOUNDED "LINA_GRANT_BYTES=65536");
	latency_get_stuck(true);
	latency_move();
	assert_true(sched_in(engine.quick.recv)->latency_queued_bytes > 0);
	bulk_post();
	assert_int_equal(bulk_finish(), 0);
	assert_true(sched_in(engine.quick.recv)->counts.stall_fired > 0);
	assert_int_equal(latency_finish(), 0);
}

/* --- connections that end --- */

static void nothing_is_counted(void)
{
	const struct lina_sched *out = sched_out(engine.quick.send);
	const struct lina_sched *in = sched_in(engine.quick.recv);

	assert_int_equal(out->latency_queued_bytes, 0);
	assert_int_equal(out->nbulk, 0);
	assert_int_equal(in->latency_queued_bytes, 0);
	assert_int_equal(in->nbulk, 0);
}

/* Bulk goes on, though nothing was received. */
static void bulk_goes_on(void)
{
	assert_int_equal(sched_out(engine.quick.send)->latency_queued_bytes, 0);
	assert_int_equal(bulk_finish(), 0);
	nothing_is_counted();
}

static void closing_what_holds_bulk_lets_it_go(void **state)
{
	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	bulk_post();
	bulk_waits();
	assert_int_equal(lina_net_close_send(engine.slow.send), 0);
	bulk_goes_on();
}

static void losing_the_peer_of_what_holds_bulk_lets_it_go(void **state)
{
	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	bulk_post();
	bulk_waits();
	assert_int_equal(lina_net_close_recv(engine.slow.recv), 0);
	assert_true(finish_within(engine.latency.send, LIMIT_MS, NULL) != -EAGAIN);
	bulk_goes_on();
}

/* The sending end finds that a later message does not fit its receive. */
static void a_failure_of_what_holds_bulk_lets_it_go(void **state)
{
	struct lina_request *none = NULL;
	uint8_t small[100];

	(void)state;
	engine_open(FOR_EVER "LINA_EARLY_BYTES=0");
	latency_get_stuck(true);
	bulk_post();
	bulk_waits();
	(void)post_recv(engine.slow.recv, small, sizeof(small), 7);
	assert_int_equal(lina_net_send(engine.slow.send, engine.bulk.from, sizeof(small) + 1, 7,
				 NULL, NULL, &none),
		-EMSGSIZE);
	bulk_goes_on();
}

/* The receiving end fails in the middle of a latency message. */
static void a_failure_of_what_keeps_grants_back_lets_them_go(void **state)
{
	uint8_t handle[LINA_HANDLE_BYTES], to[1000];
	struct lina_listener *listener;
	struct lina_conn *conn;
	int fd[2];

	(void)state;
	engine_open(FOR_EVER "LINA_GRANT_BYTES=65536");
	assert_int_equal(lina_net_listen(engine.slow.net, 0, handle, &listener), 0);
	evil_sender(listener, handle, 1, fd, &conn);
	struct lina_request *recv = post_recv(conn, to, sizeof(to), 1);
	struct lina_wire_credit credit = evil_credit_read(fd[1], recv, LIMIT_MS);
	struct lina_request *other = post_recv(conn, to, sizeof(to), 2);
	struct lina_wire_credit credit2 = evil_credit_read(fd[1], other, LIMIT_MS);
	struct lina_wire_data d = {
		.slot = credit.slot, .seq = credit.seq, .message_bytes = 1000, .length = 500
	};
	evil_data(fd[0], &d, engine.latency.from, 500);
	while (sched_in(engine.quick.recv)->latency_queued_bytes != 500)
		assert_int_equal(finish_within(recv, 1, NULL), -EAGAIN);
	bulk_post();
	bulk_waits();
	d = (struct lina_wire_data){
		.slot = credit2.slot, .seq = credit2.seq, .message_bytes = 1001, .length = 1001
	};
	evil_data(fd[0], &d, NULL, 0);
	assert_int_equal(finish_within(recv, LIMIT_MS, NULL), -EMSGSIZE);
	bulk_goes_on();
	evil_reset(fd[0]);
	evil_reset(fd[1]);
}

static void closing_bulk_that_is_held_leaves_nothing(void **state)
{
	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	bulk_post();
	assert_int_equal(pair_connect(engine.slow.net, &engine.quick), 0); /* one more */
	bulk_post();
	bulk_waits();
	assert_int_equal(sched_out(engine.quick.send)->nbulk, 2);
	assert_int_equal(latency_finish(), 0);
	assert_int_equal(bulk_finish(), 0);
}

/* Both ends of bulk that is in the middle go, and then the latency data: nobody is left. */
static void nothing_is_left_of_connections_that_go(void **state)
{
	struct pair gone;

	(void)state;
	engine_open(FOR_EVER);
	latency_get_stuck(true);
	bulk_post();
	bulk_waits();
	gone = engine.quick;
	assert_int_equal(pair_connect(engine.slow.net, &engine.quick), 0);
	assert_int_equal(sched_out(engine.quick.send)->nbulk, 1);
	assert_int_equal(lina_net_close_send(gone.send), 0);
	assert_int_equal(sched_out(engine.quick.send)->nbulk, 0);
	assert_int_equal(lina_net_close_recv(gone.recv), 0);
	assert_int_equal(lina_net_close_recv(engine.slow.recv), 0);
	assert_int_equal(lina_net_close_send(engine.slow.send), 0);
	nothing_is_counted();
	assert_int_equal(sched_out(engine.quick.send)->below_bytes[LINA_CLASS_BULK], 0);
	bulk_post();
	assert_int_equal(bulk_finish(), 0);
}

#define EACH(test) cmocka_unit_test_teardown(test, engine_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(bulk_waits_while_latency_data_is_queued),
		EACH(bulk_of_the_same_connection_waits_too),
		EACH(a_stall_ends_a_hold_until_latency_data_moves),
		EACH(latency_data_that_waits_for_bulk_does_not_lock),
		EACH(latency_data_in_the_way_of_its_own_bulk_does_not_lock),
		EACH(latency_data_that_is_half_in_does_not_lock),
		EACH(closing_what_holds_bulk_lets_it_go),
		EACH(losing_the_peer_of_what_holds_bulk_lets_it_go),
		EACH(a_failure_of_what_holds_bulk_lets_it_go),
		EACH(a_failure_of_what_keeps_grants_back_lets_them_go),
		EACH(closing_bulk_that_is_held_leaves_nothing),
		EACH(nothing_is_left_of_connections_that_go),
	};

	return cmocka_run_group_tests_name("holds", tests, NULL, NULL);
}
