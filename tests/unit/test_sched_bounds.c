/* The sentences of priority/sched.h on what bounds a hold, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/sched_case.h"

static void a_share_lets_a_chunk_go_whenever_it_was_earned(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	params.share_percent = 10;
	begin_with(params);
	lina_flow_post(&s.bulk, 100 * CHUNK, 0);
	lina_flow_post(&s.latency, 1, 0);
	for (uint64_t i = 0; i < 4; i++) {
		expect_ask(s.bulk, i * 10 * US, 0);
		expect_ask(s.bulk, (i + 1) * 10 * US - 1, 0);
		assert_int_equal(take(&s.bulk, (i + 1) * 10 * US), CHUNK);
	}
	expect_count(share_fired, 4);
	expect_count(hold_fired, 0);
	expect_count(holds, 1);
}

/* Asked every 7 us, a chunk that is earned every 10 us is not one every 14. */
static void a_share_is_earned_however_seldom_bulk_asks(void **state)
{
	struct lina_sched_params params = usual;
	uint64_t sent = 0;

	(void)state;
	params.share_percent = 10;
	params.window_bytes = 1000 * CHUNK;
	begin_with(params);
	lina_flow_post(&s.bulk, 1000 * CHUNK, 0);
	for (uint64_t now = 0; now <= 700 * US; now += 7 * US) {
		lina_flow_post(&s.latency, 1, now);
		take(&s.latency, now);
		sent += take(&s.bulk, now);
	}
	assert_in_range(sent, 69 * CHUNK, 70 * CHUNK);
}

static void a_hold_lets_a_chunk_go_when_bulk_has_waited_long_enough(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	for (uint64_t now = 0; now < 2 * HOLD + HOLD / 2; now += HOLD / 4) {
		lina_flow_post(&s.latency, 1, now);
		take(&s.latency, now);
		lina_flow_post(&s.latency, 1, now);
		uint64_t bytes = take(&s.bulk, now);
		assert_int_equal(bytes, now > 0 && now % HOLD == 0 ? CHUNK : 0);
	}
	expect_count(hold_fired, 2);
	expect_count(stall_fired, 0);
}

static void a_hold_is_counted_from_the_last_byte_that_bulk_sent(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_sched_outside(&s.sched, UINT64_MAX, 0);
	expect_ask(s.bulk, 0, 0);
	lina_flow_sent(&s.bulk, 1, 60 * US); /* the rest of a chunk that was begun */
	lina_sched_outside(&s.sched, UINT64_MAX, 60 * US);
	expect_ask(s.bulk, HOLD, 0);
	expect_ask(s.bulk, 60 * US + HOLD - 1, 0);
	lina_sched_outside(&s.sched, UINT64_MAX, 60 * US + HOLD - 1);
	expect_ask(s.bulk, 60 * US + HOLD, CHUNK);
}

static void what_a_bound_lets_through_waits_for_its_taker(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_flow_below(&s.bulk, WINDOW);
	for (uint64_t now = 0; now <= HOLD; now += HOLD / 2) {
		lina_sched_outside(&s.sched, UINT64_MAX, now);
		expect_ask(s.bulk, now, 0);
	}
	expect_count(hold_fired, 1);
	expect_count(full, 1);
	lina_flow_below(&s.bulk, 0);
	expect_ask(s.bulk, HOLD + 1, CHUNK);
	expect_count(hold_fired, 1);
}

/* 400 bytes of a pass of 1000 are left, and a flow with more than that queued has no use for them.
 */
static void no_crumbs_of_what_a_bound_lets_through(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	params.share_percent = 10;
	begin_with(params);
	lina_flow_post(&s.bulk, 600, 0);
	lina_flow_post(&s.bulk2, 10 * CHUNK, 0);
	lina_flow_post(&s.latency, 1, 0);
	expect_ask(s.bulk, 0, 0);
	assert_int_equal(take(&s.bulk, 10 * US), 600);
	expect_ask(s.bulk2, 11 * US, 0);
	lina_flow_post(&s.bulk, 400, 13 * US);
	expect_ask(s.bulk, 13 * US, 400);
	expect_ask(s.bulk2, 20 * US, CHUNK);
	expect_count(share_fired, 2);
}

static void latency_work_that_does_not_move_stops_counting(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 20 * US, 0);
	expect_ask(s.bulk, 20 * US + HOLD - 1, 0);
	assert_int_equal(take(&s.bulk, 20 * US + HOLD), CHUNK);
	assert_int_equal(take(&s.bulk, 20 * US + HOLD), CHUNK);
	expect_count(stall_fired, 1);
	expect_count(holds, 1);
	expect_count(held_ns, HOLD);
	assert_int_equal(lina_sched_pending_until(&s.sched, 20 * US + HOLD), 0);

	lina_flow_sent(&s.latency, 1, 130 * US); /* it moves */
	expect_ask(s.bulk, 130 * US, 0);
	expect_count(holds, 2);
}

/* Bulk gets its share all the while, and all of the link once the latency work is found to stand.
 */
static void a_share_does_not_hide_that_latency_work_does_not_move(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	params.share_percent = 10;
	params.window_bytes = 1000 * CHUNK;
	begin_with(params);
	lina_flow_post(&s.bulk, 1000 * CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	for (uint64_t now = 0; now < HOLD; now += US)
		take(&s.bulk, now);
	expect_count(share_fired, 9);
	assert_int_equal(take(&s.bulk, HOLD), CHUNK);
	assert_int_equal(take(&s.bulk, HOLD), CHUNK);
	expect_count(stall_fired, 1);
	expect_count(hold_fired, 0);
}

static void handing_down_nothing_is_no_move(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 0, 0);
	lina_flow_sent(&s.latency, 0, HOLD - 1);
	expect_ask(s.bulk, HOLD, CHUNK);
	expect_count(stall_fired, 1);
	lina_flow_sent(&s.latency, 0, HOLD);
	expect_ask(s.bulk, HOLD, CHUNK);
}

/* Connection 1 stood still and was closed; 2 has done nothing wrong. */
static void a_stall_ends_with_the_work_that_stood(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 0, 0);
	expect_ask(s.bulk, HOLD, CHUNK);
	lina_flow_drop(&s.latency);
	expect_ask(s.bulk, HOLD, CHUNK);
	lina_flow_post(&s.latency2, 10, HOLD);
	expect_ask(s.bulk, HOLD, 0);
	assert_int_equal(lina_sched_pending_until(&s.sched, HOLD), 2 * HOLD);
}

/* The first is always asked first, and three times as often. */
static void take_turns(uint32_t share_percent, uint64_t least_percent)
{
	struct lina_sched_params params = usual;
	uint64_t first = 0, second = 0;

	params.share_percent = share_percent;
	begin_with(params);
	lina_flow_post(&s.bulk, 10000 * CHUNK, 0);
	lina_flow_post(&s.bulk2, 10000 * CHUNK, 0);
	for (uint64_t now = 0; now < 100 * HOLD; now += US) {
		lina_sched_outside(&s.sched, UINT64_MAX, now);
		for (int i = 0; i < 3; i++)
			first += take(&s.bulk, now);
		second += take(&s.bulk2, now);
		lina_flow_below(&s.bulk, 0);
		lina_flow_below(&s.bulk2, 0);
	}
	assert_in_range(first + CHUNK, second, second + 2 * CHUNK);
	assert_true((first + second) * 100 >= 100 * HOLD * least_percent);
}

static void all_that_wait_have_their_turn(void **state)
{
	(void)state;
	take_turns(10, 9);
	take_turns(0, 0);
}

/* Of two that have something queued one does not ask. */
static void who_does_not_ask_does_not_stop_the_others(void **state)
{
	struct lina_sched_params params = usual;
	uint64_t sent = 0;

	(void)state;
	params.share_percent = 10;
	begin_with(params);
	lina_flow_post(&s.bulk, 10000 * CHUNK, 0);
	lina_flow_post(&s.bulk2, 10000 * CHUNK, 0);
	for (uint64_t now = 0; now < 100 * HOLD; now += US) {
		lina_sched_outside(&s.sched, UINT64_MAX, now);
		sent += take(&s.bulk, now);
		lina_flow_below(&s.bulk, 0);
	}
	assert_in_range(sent, 990 * CHUNK, 1000 * CHUNK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_share_lets_a_chunk_go_whenever_it_was_earned),
		EACH(a_share_is_earned_however_seldom_bulk_asks),
		EACH(a_hold_lets_a_chunk_go_when_bulk_has_waited_long_enough),
		EACH(a_hold_is_counted_from_the_last_byte_that_bulk_sent),
		EACH(all_that_wait_have_their_turn),
		EACH(who_does_not_ask_does_not_stop_the_others),
		EACH(what_a_bound_lets_through_waits_for_its_taker),
		EACH(no_crumbs_of_what_a_bound_lets_through),
		EACH(latency_work_that_does_not_move_stops_counting),
		EACH(a_share_does_not_hide_that_latency_work_does_not_move),
		EACH(handing_down_nothing_is_no_move),
		EACH(a_stall_ends_with_the_work_that_stood),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
