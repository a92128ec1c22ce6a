/* The sentences of priority/sched.h, one by one, but those on the bounds of a hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/sched_case.h"

static void what_was_not_posted_may_not_move(void **state)
{
	(void)state;
	expect_ask(s.latency, 0, 0);
	expect_ask(s.bulk, 0, 0);
	expect_count(asks, 0);
}

static void latency_work_may_always_go_whole(void **state)
{
	(void)state;
	lina_flow_post(&s.latency, 1000 * CHUNK, 0);
	expect_ask(s.latency, 0, 1000 * CHUNK);
	lina_flow_sent(&s.latency, 300 * CHUNK, 0);
	expect_ask(s.latency, 0, 700 * CHUNK);
	expect_count(bytes[LINA_CLASS_LATENCY], 300 * CHUNK);
}

static void bulk_alone_goes_in_chunks_as_far_as_its_window_reaches(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(take(&s.bulk, 0), CHUNK);
	expect_ask(s.bulk, 0, 0);
	lina_flow_below(&s.bulk, WINDOW - CHUNK);
	expect_ask(s.bulk, 0, CHUNK);
	expect_count(asks, 6);
	expect_count(full, 1);
	expect_count(holds, 0);
}

static void the_window_is_shared_by_bulk_flows_that_have_something_queued(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_flow_post(&s.bulk2, CHUNK, 0);
	lina_flow_below(&s.bulk, WINDOW / 2);
	expect_ask(s.bulk, 0, 0);
	assert_int_equal(take(&s.bulk2, 0), CHUNK);
	expect_ask(s.bulk, 0, CHUNK);
}

/* Five flows would have less than a chunk each. */
static void a_flow_has_room_for_a_chunk_at_the_least(void **state)
{
	struct lina_flow more[8];

	(void)state;
	for (int i = 0; i < 8; i++) {
		lina_flow_init(&more[i], &s.sched, LINA_CLASS_BULK);
		lina_flow_post(&more[i], 10 * CHUNK, 0);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(take(&more[i], 0), CHUNK);
		expect_ask(more[i], 0, 0);
	}
}

/* Together they have two windows below and not a chunk each; fewer of them have whole chunks. */
static void many_flows_have_smaller_chunks(void **state)
{
	struct lina_sched_params params = s.sched.params;
	struct lina_flow more[16];

	(void)state;
	params.least_chunk_bytes = 1;
	lina_sched_tune(&s.sched, &params);
	for (int i = 0; i < 16; i++) {
		lina_flow_init(&more[i], &s.sched, LINA_CLASS_BULK);
		lina_flow_post(&more[i], 10 * CHUNK, 0);
		expect_ask(more[0], 0,
			i < (int)(2 * WINDOW / CHUNK) ? CHUNK : 2 * (WINDOW / (uint64_t)(i + 1)));
	}
	for (int i = 0; i < 16; i++) {
		assert_int_equal(take(&more[i], 0), WINDOW / 8);
		expect_ask(more[i], 0, 0);
	}
}

static void they_are_no_smaller_than_the_least(void **state)
{
	struct lina_sched_params params = s.sched.params;
	struct lina_flow more[8];

	(void)state;
	params.least_chunk_bytes = CHUNK - 1;
	params.window_bytes = 1;
	lina_sched_tune(&s.sched, &params);
	for (int i = 0; i < 8; i++) {
		lina_flow_init(&more[i], &s.sched, LINA_CLASS_BULK);
		lina_flow_post(&more[i], 10 * CHUNK, 0);
	}
	for (int i = 0; i < 8; i++)
		assert_int_equal(take(&more[i], 0), CHUNK - 1);
}

static void no_crumbs_for_lack_of_room(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_flow_below(&s.bulk, WINDOW - CHUNK / 2 + 1);
	expect_ask(s.bulk, 0, 0);
	expect_count(full, 1);
	lina_flow_below(&s.bulk, WINDOW - CHUNK / 2);
	expect_ask(s.bulk, 0, CHUNK / 2);
	lina_flow_below(&s.bulk, WINDOW - 1);
	lina_flow_sent(&s.bulk, 10 * CHUNK - 1, 0);
	lina_flow_below(&s.bulk, WINDOW - 1);
	expect_ask(s.bulk, 0, 1);
}

static void bulk_waits_while_latency_work_is_queued(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 1, 0);
	expect_ask(s.bulk, 0, 0);
	expect_ask(s.bulk, HOLD - 1, 0);
	expect_count(holds, 1);
	expect_count(held_ns, 0);
}

static void bulk_waits_until_latency_work_has_left_the_link_and_lingered(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 20 * US, 0);
	assert_int_equal(take(&s.latency, 1 * US), 20 * US);
	expect_ask(s.bulk, 1 * US, 0);
	expect_ask(s.bulk, 21 * US + LINGER - 1, 0);
	expect_ask(s.bulk, 21 * US + LINGER, CHUNK);
	expect_count(holds, 1);
	expect_count(held_ns, 20 * US + LINGER);
	expect_count(longest_hold_ns, 20 * US + LINGER);
}

static void latency_work_leaves_the_link_after_the_bulk_that_is_below(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 3 * CHUNK, 0);
	assert_int_equal(take(&s.bulk, 0), CHUNK);
	lina_flow_post(&s.latency, 20 * US, 0);
	assert_int_equal(take(&s.latency, 0), 20 * US);
	expect_ask(s.bulk, CHUNK + 20 * US + LINGER - 1, 0);
	expect_ask(s.bulk, CHUNK + 20 * US + LINGER, CHUNK);
}

static void latency_work_leaves_the_link_one_after_the_other(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 20 * US, 0);
	lina_flow_post(&s.latency2, 30 * US, 0);
	take(&s.latency, 0);
	take(&s.latency2, 10 * US);
	expect_ask(s.bulk, 50 * US + LINGER - 1, 0);
	expect_ask(s.bulk, 50 * US + LINGER, CHUNK);
}

/* Of 20 us only 3 us worth are still below when the last of it is handed down. */
static void latency_work_needs_the_link_no_longer_than_what_is_below_of_it(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 20 * US, 0);
	expect_ask(s.bulk, 0, 0);
	lina_flow_below(&s.latency, 1 * US);
	lina_flow_below(&s.latency2, 2 * US);
	lina_flow_sent(&s.latency, 20 * US, 10 * US);
	expect_ask(s.bulk, 13 * US + LINGER - 1, 0);
	expect_ask(s.bulk, 13 * US + LINGER, CHUNK);
	lina_flow_drop(&s.latency2);
	lina_flow_post(&s.latency, 20 * US, 20 * US);
	lina_flow_sent(&s.latency, 20 * US, 20 * US);
	expect_ask(s.bulk, 21 * US + LINGER - 1, 0);
	expect_ask(s.bulk, 21 * US + LINGER, CHUNK);
}

static void at_an_unknown_rate_what_was_handed_down_is_gone(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	params.byte_ps = 0;
	params.share_percent = 100;
	begin_with(params);
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 20 * US, 0);
	expect_ask(s.bulk, 0, 0);
	take(&s.latency, 60 * US);
	expect_ask(s.bulk, 60 * US + LINGER - 1, 0);
	expect_ask(s.bulk, 60 * US + LINGER, CHUNK);
	expect_count(share_fired, 0);
}

static void other_processes_hold_bulk_too_but_not_latency_work(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, CHUNK, 0);
	take(&s.latency, 0);
	lina_sched_outside(&s.sched, 50 * US, 0);
	expect_ask(s.bulk, 50 * US - 1, 0);
	lina_flow_post(&s.latency, 7, 50 * US - 1);
	expect_ask(s.latency, 50 * US - 1, 7);
	lina_flow_drop(&s.latency);
	expect_ask(s.bulk, 50 * US, CHUNK);
}

static void what_other_processes_say_is_cut_at_the_longest_hold(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_sched_outside(&s.sched, UINT64_MAX, 10);
	expect_ask(s.bulk, 10 + HOLD - 1, 0);
	expect_ask(s.bulk, 10 + HOLD, CHUNK);
	expect_count(hold_fired, 0);
}

static void a_time_that_comes_late_is_that_of_the_call_before(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 10 * US, 0);
	expect_ask(s.bulk, 9 * US, 0);
	expect_count(hold_fired, 0);
	expect_count(stall_fired, 0);
	take(&s.latency, 8 * US);
	expect_ask(s.bulk, 10 * US + 10 + LINGER - 1, 0);
	expect_ask(s.bulk, 10 * US + 10 + LINGER, CHUNK);
}

static void others_are_told_how_long_latency_work_is_pending(void **state)
{
	(void)state;
	assert_int_equal(lina_sched_pending_until(&s.sched, 5), 0);
	lina_flow_post(&s.latency, 20 * US, 5);
	assert_int_equal(lina_sched_pending_until(&s.sched, 5), 5 + HOLD);
	take(&s.latency, 10);
	assert_int_equal(lina_sched_pending_until(&s.sched, 10), 10 + 20 * US + LINGER);
	assert_int_equal(
		lina_sched_pending_until(&s.sched, 9 + 20 * US + LINGER), 10 + 20 * US + LINGER);
	assert_int_equal(lina_sched_pending_until(&s.sched, 10 + 20 * US + LINGER), 0);
	lina_flow_post(&s.bulk, CHUNK, 500 * US);
	assert_int_equal(lina_sched_pending_until(&s.sched, 500 * US), 0);
}

/* This process has no bulk that would find out. */
static void others_are_not_held_up_by_work_that_does_not_move(void **state)
{
	(void)state;
	lina_flow_post(&s.latency, 10, 5);
	assert_int_equal(lina_sched_pending_until(&s.sched, 60 * US), 5 + HOLD);
	assert_int_equal(lina_sched_pending_until(&s.sched, 5 + HOLD), 0);
	lina_flow_sent(&s.latency, 1, 2 * HOLD);
	assert_int_equal(lina_sched_pending_until(&s.sched, 2 * HOLD), 3 * HOLD);
}

static void bulk_relaxes_where_no_latency_work_was_pending_for_long(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 100 * CHUNK, 0);
	expect_ask(s.bulk, RELAX - 1, CHUNK);
	expect_ask(s.bulk, RELAX, 3 * CHUNK);
	lina_flow_below(&s.bulk, 3 * CHUNK);
	expect_ask(s.bulk, RELAX, 2 * CHUNK);
	lina_flow_below(&s.bulk, 4 * CHUNK);
	expect_ask(s.bulk, RELAX, 0); /* not half of a chunk that now is three */
	lina_flow_below(&s.bulk, 0);

	lina_flow_post(&s.latency, 10, RELAX);
	expect_ask(s.bulk, RELAX, 0);
	take(&s.latency, RELAX);
	expect_ask(s.bulk, RELAX + 10 + LINGER, CHUNK);
	expect_ask(s.bulk, RELAX + 10 + LINGER + RELAX - 1, CHUNK);
	expect_ask(s.bulk, RELAX + 10 + LINGER + RELAX, 3 * CHUNK);
}

/* What comes after a pause may be the first of a step, and latency work may be next. */
static void bulk_relaxes_only_once_it_was_at_work_for_long(void **state)
{
	const uint64_t begins_ns = 10 * RELAX;

	(void)state;
	lina_flow_post(&s.latency, 10, 0);
	take(&s.latency, 0);
	lina_flow_post(&s.bulk, CHUNK, begins_ns);
	expect_ask(s.bulk, begins_ns, CHUNK);
	take(&s.bulk, begins_ns + RELAX / 2);
	lina_flow_below(&s.bulk, 0);

	lina_flow_post(&s.bulk, 100 * CHUNK, begins_ns + RELAX - 1); /* too short a pause */
	expect_ask(s.bulk, begins_ns + RELAX - 1, CHUNK);
	expect_ask(s.bulk, begins_ns + RELAX, 3 * CHUNK);
}

static void relaxing_makes_nothing_smaller(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	params.relaxed_chunk_bytes = 0;
	params.relaxed_window_bytes = 0;
	begin_with(params);
	lina_flow_post(&s.bulk, 100 * CHUNK, 0);
	lina_flow_below(&s.bulk, 2 * CHUNK);
	expect_ask(s.bulk, RELAX, CHUNK);
}

/* That they have none any more does not undo that they had some just now. */
static void other_processes_keep_bulk_from_relaxing(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 100 * CHUNK, 0);
	lina_sched_outside(&s.sched, RELAX + 50 * US, RELAX);
	expect_ask(s.bulk, RELAX + 20 * US, 0);
	lina_sched_outside(&s.sched, 0, RELAX + 30 * US);
	expect_ask(s.bulk, RELAX + 30 * US, CHUNK);
	lina_sched_outside(&s.sched, 0, RELAX + 40 * US);
	expect_ask(s.bulk, RELAX + 30 * US + RELAX - 1, CHUNK);
	expect_ask(s.bulk, RELAX + 30 * US + RELAX, 3 * CHUNK);
}

static void a_dropped_flow_is_as_if_new(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_flow_post(&s.bulk2, 10 * CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 0, 0);
	lina_flow_below(&s.bulk, WINDOW);
	lina_flow_drop(&s.bulk);
	lina_flow_drop(&s.latency);
	expect_ask(s.bulk, 1, 0);
	expect_ask(s.latency, 1, 0);
	lina_flow_below(&s.bulk2, WINDOW - CHUNK);
	expect_ask(s.bulk2, 1, CHUNK); /* the whole window is its own */
	lina_flow_post(&s.bulk, 3, 1);
	expect_ask(s.bulk, 1, 3);
}

static void a_hold_that_nobody_waits_for_any_more_counts_for_nothing(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 0, 0);
	lina_flow_drop(&s.bulk);
	lina_flow_post(&s.bulk, CHUNK, HOLD);
	lina_flow_sent(&s.latency, 1, HOLD);
	expect_ask(s.bulk, HOLD, 0);
	expect_count(holds, 2);
	expect_count(held_ns, 0);
}

static void a_hold_ends_when_the_last_bulk_has_gone(void **state)
{
	(void)state;
	lina_flow_post(&s.bulk, CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 0, 0);
	lina_flow_sent(&s.bulk, CHUNK, 30 * US); /* more than was asked for */
	expect_count(held_ns, 30 * US);
	lina_flow_post(&s.bulk, CHUNK, 40 * US);
	lina_flow_sent(&s.latency, 1, HOLD);
	expect_ask(s.bulk, HOLD, 0);
	expect_count(holds, 2);
}

static void new_parameters_hold_from_the_next_call_on(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	lina_flow_post(&s.bulk, 10 * CHUNK, 0);
	lina_flow_post(&s.latency, 10, 0);
	expect_ask(s.bulk, 0, 0);
	params.chunk_bytes = 10;
	params.share_percent = 100;
	lina_sched_tune(&s.sched, &params);
	expect_ask(s.bulk, 9, 0);
	expect_ask(s.bulk, 10, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(what_was_not_posted_may_not_move),
		EACH(latency_work_may_always_go_whole),
		EACH(bulk_alone_goes_in_chunks_as_far_as_its_window_reaches),
		EACH(the_window_is_shared_by_bulk_flows_that_have_something_queued),
		EACH(a_flow_has_room_for_a_chunk_at_the_least),
		EACH(many_flows_have_smaller_chunks),
		EACH(they_are_no_smaller_than_the_least),
		EACH(no_crumbs_for_lack_of_room),
		EACH(bulk_waits_while_latency_work_is_queued),
		EACH(bulk_waits_until_latency_work_has_left_the_link_and_lingered),
		EACH(latency_work_leaves_the_link_after_the_bulk_that_is_below),
		EACH(latency_work_leaves_the_link_one_after_the_other),
		EACH(latency_work_needs_the_link_no_longer_than_what_is_below_of_it),
		EACH(at_an_unknown_rate_what_was_handed_down_is_gone),
		EACH(other_processes_hold_bulk_too_but_not_latency_work),
		EACH(what_other_processes_say_is_cut_at_the_longest_hold),
		EACH(a_time_that_comes_late_is_that_of_the_call_before),
		EACH(others_are_told_how_long_latency_work_is_pending),
		EACH(others_are_not_held_up_by_work_that_does_not_move),
		EACH(bulk_relaxes_where_no_latency_work_was_pending_for_long),
		EACH(bulk_relaxes_only_once_it_was_at_work_for_long),
		EACH(relaxing_makes_nothing_smaller),
		EACH(other_processes_keep_bulk_from_relaxing),
		EACH(a_dropped_flow_is_as_if_new),
		EACH(a_hold_that_nobody_waits_for_any_more_counts_for_nothing),
		EACH(a_hold_ends_when_the_last_bulk_has_gone),
		EACH(new_parameters_hold_from_the_next_call_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
