/* What a link adds to its schedulers: the time, parameters from its speed, a word when a bound
 * fires, and the lock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "net/fixture.h"
#include "plugin/link_state.h"

#define CHUNK UINT64_C(16384)

enum {
	LIMIT_MS = 30000,
	NTHREADS = 3,
	NBACK = 32,
	NSHARE = 4,
	LINK_BYTES_PER_MS = 65536,
	LINK_BYTE_PS = 15259
};

static struct lina_config config;
static struct lina_link *link_;
static struct lina_link_flow latency, bulk;

/* A link with one flow of each class; config is the case's. */
static void begin(void)
{
	log_forget();
	lina_log_set(record_log);
	assert_int_equal(lina_link_open(&config, "test0", &link_), 0);
	lina_link_flow_init(link_, LINA_DIR_SEND, LINA_CLASS_LATENCY, &latency);
	lina_link_flow_init(link_, LINA_DIR_SEND, LINA_CLASS_BULK, &bulk);
	/* A link that has seen no latency work for an hour lets bulk have more than is set. */
	lina_link_post(&latency, 1);
	lina_link_sent(&latency, 1);
}

static int setup(void **state)
{
	(void)state;
	config = (struct lina_config){ .chunk_bytes = (int)CHUNK,
		.window_bytes = (int)(4 * CHUNK),
		.grant_bytes = 1 << 20,
		.relax_ms = 3600000,
		.hold_max_ms = 3600000 };
	return 0;
}

static void end(void)
{
	lina_link_drop(&latency);
	lina_link_drop(&bulk);
	lina_link_close(link_);
}

static const struct lina_sched_counts *counts(void)
{
	return &bulk.flow.sched->counts;
}

/* Sends of bulk what the link lets go. */
static void bulk_fill(struct lina_link_flow *flow)
{
	for (uint64_t n; (n = lina_link_ask(flow)) > 0;)
		lina_link_sent(flow, n);
}

/* The same, and a half of what is below leaves. */
static void bulk_pump(struct lina_link_flow *flow)
{
	bulk_fill(flow);
	if (flow->flow.below_bytes > 2)
		lina_link_below(flow, flow->flow.below_bytes / 2);
}

static bool rate_is_known(void)
{
	return bulk.flow.sched->params.byte_ps > 0;
}

/* Learns how fast bulk leaves, which is what the pauses make of it. */
static void rate_learn(void)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	lina_link_post(&bulk, 1000 * CHUNK);
	while (!rate_is_known() && now_ms() < deadline) {
		bulk_pump(&bulk);
		sleep_ms(1);
	}
	assert_true(rate_is_known());
}

static void hold_fires(uint64_t times)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	while (counts()->hold_fired < times && now_ms() < deadline)
		bulk_pump(&bulk);
	assert_true(counts()->hold_fired >= times);
}

static void nothing_is_said_where_no_bound_fires(void **state)
{
	(void)state;
	begin();
	lina_link_post(&latency, 100);
	lina_link_post(&bulk, 10 * CHUNK);
	assert_int_equal(lina_link_ask(&bulk), 0);
	lina_link_sent(&latency, 100);
	bulk_pump(&bulk);
	assert_int_equal(log_notes("said once"), 0);
	end();
}

/* As posting and sending do one after the other, and what was posted before still waits. */
static void what_went_at_once_counts_as_what_was_posted(void **state)
{
	(void)state;
	begin();
	uint64_t bytes = counts()->bytes[LINA_CLASS_LATENCY];
	lina_link_post(&latency, 10);
	lina_link_went(&latency, 100, 100);
	assert_int_equal(counts()->bytes[LINA_CLASS_LATENCY], bytes + 100);
	assert_int_equal(latency.flow.queued_bytes, 10);
	lina_link_post(&bulk, 10 * CHUNK);
	assert_int_equal(lina_link_ask(&bulk), 0);
	lina_link_went(&latency, 0, 10);
	assert_int_equal(latency.flow.queued_bytes, 0);
	bulk_pump(&bulk);
	end();
}

/* Latency work that moves all the time, so that it does not count as stalled. */
static void the_hold_bound_is_said_once(void **state)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	(void)state;
	config.hold_max_ms = 1;
	begin();
	lina_link_post(&latency, 1 << 30);
	lina_link_post(&bulk, 10 * CHUNK);
	while (counts()->hold_fired < 3 && now_ms() < deadline) {
		lina_link_sent(&latency, 1);
		bulk_pump(&bulk);
	}
	assert_true(counts()->hold_fired >= 3);
	assert_int_equal(log_notes("LINA_HOLD_MAX_MS=1 ms"), 1 + (counts()->stall_fired > 0));
	assert_int_equal(log_notes("link test0: bulk traffic waited LINA_HOLD_MAX_MS=1 ms for "
				   "latency traffic that does not end"),
		1);
	end();
}

static void the_stall_is_said_once(void **state)
{
	(void)state;
	config.hold_max_ms = 1;
	begin();
	for (uint64_t i = 1; i < 4; i++) {
		uint64_t deadline = now_ms() + LIMIT_MS;
		lina_link_post(&latency, 100);
		lina_link_post(&bulk, 10 * CHUNK);
		while (counts()->stall_fired < i && now_ms() < deadline)
			bulk_pump(&bulk);
		assert_int_equal(counts()->stall_fired, i);
		lina_link_sent(&latency, 100);
	}
	assert_int_equal(log_notes("link test0: bulk traffic waited LINA_HOLD_MAX_MS=1 ms for "
				   "latency traffic that does not move"),
		1);
	end();
}

static void the_share_is_said_once(void **state)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	(void)state;
	config.bulk_share_percent = 50;
	begin();
	rate_learn();
	lina_link_post(&latency, 100);
	while (counts()->share_fired < 3 && now_ms() < deadline)
		bulk_pump(&bulk);
	assert_true(counts()->share_fired >= 3);
	assert_int_equal(log_notes("link test0: bulk traffic goes on with its "
				   "LINA_BULK_SHARE_PERCENT=50 %"),
		1);
	assert_int_equal(log_notes("said once"), 1);
	end();
}

/* Of both directions together. */
static void a_bound_of_the_other_direction_is_not_said_again(void **state)
{
	struct lina_link_flow in_latency, in_bulk;
	uint64_t deadline = now_ms() + LIMIT_MS;

	(void)state;
	config.hold_max_ms = 1;
	begin();
	lina_link_post(&latency, 100);
	lina_link_post(&bulk, 10 * CHUNK);
	while (!counts()->stall_fired && now_ms() < deadline)
		bulk_pump(&bulk);
	lina_link_flow_init(link_, LINA_DIR_RECV, LINA_CLASS_LATENCY, &in_latency);
	lina_link_flow_init(link_, LINA_DIR_RECV, LINA_CLASS_BULK, &in_bulk);
	lina_link_post(&in_latency, 100);
	lina_link_post(&in_bulk, 10 * CHUNK);
	while (!in_bulk.flow.sched->counts.stall_fired && now_ms() < deadline)
		bulk_pump(&in_bulk);
	assert_int_equal(in_bulk.flow.sched->counts.stall_fired, 1);
	assert_int_equal(log_notes("said once"), 1);
	lina_link_drop(&in_latency);
	lina_link_drop(&in_bulk);
	end();
}

static void bounds_are_in_the_line_at_close(void **state)
{
	char expected[64];

	(void)state;
	config.hold_max_ms = 1;
	config.linger_us = 1000000;
	begin();
	lina_link_post(&bulk, 10 * CHUNK);
	lina_link_post(&latency, 100);
	lina_link_sent(&latency, 100);
	hold_fires(3);
	(void)snprintf(
		expected, sizeof(expected), "hold %d, stalled 0; asks", (int)counts()->hold_fired);
	end();
	if (log_notes(expected) != 1)
		fail_msg("no '%s' in\n%s", expected, log_notes_text());
	assert_int_equal(log_notes("link test0 sending: "), 1);
	assert_int_equal(log_notes("link test0 receiving: "), 1);
}

/* A bound that fires though nothing is queued: the link was thought too slow. */
static void a_rate_that_is_wrong_is_doubled(void **state)
{
	const uint64_t bytes = 1 << 20;

	(void)state;
	config.hold_max_ms = 2;
	begin();
	rate_learn();
	const uint64_t byte_ps = bulk.flow.sched->params.byte_ps;
	lina_link_post(&latency, bytes);
	lina_link_below(&latency, bytes);
	lina_link_sent(&latency, bytes);
	hold_fires(1);
	assert_in_range(bulk.flow.sched->params.byte_ps, byte_ps * 45 / 100, byte_ps * 55 / 100);
	end();
}

/* Bulk that is held by what is done before each ask, time and again. */
static void rate_stays_known(void (*hold)(void))
{
	uint64_t deadline = now_ms() + LIMIT_MS, times = counts()->hold_fired + 3;

	while (counts()->hold_fired < times && rate_is_known() && now_ms() < deadline) {
		hold();
		bulk_pump(&bulk);
	}
	assert_true(rate_is_known());
	assert_true(counts()->hold_fired >= times);
	end();
}

static void others_have_work(void)
{
	lina_sched_outside(bulk.flow.sched, UINT64_MAX, lina_link_now_ns());
}

static void a_hold_for_other_processes_says_nothing_of_the_rate(void **state)
{
	(void)state;
	config.hold_max_ms = 2;
	begin();
	rate_learn();
	rate_stays_known(others_have_work);
}

static void nothing(void)
{
}

static void a_hold_that_lingers_says_nothing_of_the_rate(void **state)
{
	(void)state;
	config.hold_max_ms = 2;
	config.linger_us = 1000000;
	begin();
	rate_learn();
	lina_link_post(&latency, 100);
	lina_link_sent(&latency, 100);
	rate_stays_known(nothing);
}

static void latency_work_moves(void)
{
	const uint64_t bytes = 1 << 20;

	lina_link_post(&latency, bytes);
	lina_link_below(&latency, bytes);
	lina_link_sent(&latency, bytes);
}

/* The link may well be as busy as it is thought to be. */
static void a_hold_while_latency_work_moves_says_nothing_of_the_rate(void **state)
{
	(void)state;
	config.hold_max_ms = 100; /* longer than a busy machine keeps this thread waiting */
	begin();
	rate_learn();
	rate_stays_known(latency_work_moves);
}

/* One of several connections of a link, each with a thread of its own. */
static void *connection_run(void *arg)
{
	struct lina_link_flow flow, quick;
	uint64_t deadline = now_ms() + 80;

	(void)arg;
	lina_link_flow_init(link_, LINA_DIR_SEND, LINA_CLASS_BULK, &flow);
	lina_link_flow_init(link_, LINA_DIR_SEND, LINA_CLASS_LATENCY, &quick);
	while (now_ms() < deadline) {
		lina_link_post(&flow, 10);
		lina_link_post(&quick, 10);
		bulk_pump(&flow);
		lina_link_below(&quick, 10);
		lina_link_sent(&quick, 10);
	}
	lina_link_drop(&flow);
	lina_link_drop(&quick);
	return NULL;
}

static void connections_of_several_threads_share_a_link(void **state)
{
	pthread_t thread[NTHREADS];

	(void)state;
	config.hold_max_ms = 1;
	config.bulk_share_percent = 50;
	begin();
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, connection_run, NULL), 0);
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	assert_int_equal(bulk.flow.sched->latency_queued_bytes, 0);
	assert_int_equal(bulk.flow.sched->nbulk, 0);
	assert_int_equal(bulk.flow.sched->below_bytes[LINA_CLASS_BULK], 0);
	end();
}

/* What connections had below when they had nothing more to send has left long before they come back
 * with something, one after the other. */
static void connections_that_come_back_do_not_make_a_link_faster(void **state)
{
	struct lina_link_flow other[NBACK];

	(void)state;
	begin();
	rate_learn();
	uint32_t byte_ps = bulk.flow.sched->params.byte_ps;
	for (int i = 0; i < NBACK; i++) {
		lina_link_flow_init(link_, LINA_DIR_SEND, LINA_CLASS_BULK, &other[i]);
		lina_link_post(&other[i], 10 * CHUNK);
		lina_link_sent(&other[i], 10 * CHUNK);
	}
	bulk_pump(&bulk);
	for (int i = 0; i < NBACK; i++) {
		bulk_fill(&bulk);
		lina_link_post(&other[i], CHUNK);
		lina_link_below(&other[i], 0);
		sleep_ms(1);
	}
	bulk_pump(&bulk);
	lina_link_drop(&bulk); /* ends the sample */
	lina_link_below(&bulk, 0);
	assert_in_range(bulk.flow.sched->params.byte_ps, byte_ps / 2, byte_ps * 2);
	for (int i = 0; i < NBACK; i++)
		lina_link_drop(&other[i]);
	end();
}

/* Of links of processes that are one: what is below leaves it at LINK_BYTES_PER_MS in all. */
static void shared_run(struct lina_link_flow flow[], int n, uint64_t ms)
{
	uint64_t from_ms = now_ms(), seen_ms = from_ms;

	while (seen_ms < from_ms + ms) {
		uint64_t each = (now_ms() - seen_ms) * LINK_BYTES_PER_MS / (uint64_t)n;

		seen_ms = now_ms();
		for (int i = 0; i < n; i++) {
			bulk_fill(&flow[i]);
			uint64_t below = flow[i].flow.below_bytes;
			lina_link_below(&flow[i], below > each ? below - each : 0);
		}
		sleep_ms(1);
	}
}

/* What each learns is what the link carries, and all windows together are one. */
static void processes_share_one_link(int n)
{
	struct lina_link *link[NSHARE];
	struct lina_link_flow flow[NSHARE], first;
	char name[32];

	config.share = 1;
	config.window_bytes = NSHARE * 4 * (int)CHUNK;
	(void)snprintf(name, sizeof(name), "test-%d", (int)getpid());
	for (int i = 0; i < n; i++) {
		assert_int_equal(lina_link_open(&config, name, &link[i]), 0);
		lina_link_flow_init(link[i], LINA_DIR_SEND, LINA_CLASS_LATENCY, &first);
		lina_link_post(&first, 1);
		lina_link_sent(&first, 1);
		lina_link_drop(&first);
		lina_link_flow_init(link[i], LINA_DIR_SEND, LINA_CLASS_BULK, &flow[i]);
		lina_link_post(&flow[i], 100000 * CHUNK);
	}
	shared_run(flow, n, 500);
	uint64_t windows = 0;
	for (int i = 0; i < n; i++) {
		const struct lina_sched_params *params = &flow[i].flow.sched->params;

		windows += params->window_bytes;
		/* in which a quarter more is reckoned */
		assert_in_range(params->byte_ps, LINK_BYTE_PS / 2, LINK_BYTE_PS * 5 / 4);
	}
	assert_in_range(windows, CHUNK * NSHARE * 36 / 10, CHUNK * NSHARE * 4);
	for (int i = 0; i < n; i++) {
		lina_link_drop(&flow[i]);
		lina_link_close(link[i]);
	}
}

static void two_processes_learn_what_their_link_carries(void **state)
{
	(void)state;
	processes_share_one_link(2);
}

static void four_processes_learn_what_their_link_carries(void **state)
{
	(void)state;
	processes_share_one_link(NSHARE);
}

static void a_slow_link_has_room_for_a_chunk_of_each_flow(void **state)
{
	(void)state;
	config.chunk_bytes = config.window_bytes = 0;
	begin();
	lina_link_rate_set(link_, 25000000);
	assert_int_equal(bulk.flow.sched->params.window_bytes, 49152);
	end();
}

#define EACH(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(nothing_is_said_where_no_bound_fires),
		EACH(what_went_at_once_counts_as_what_was_posted),
		EACH(the_hold_bound_is_said_once),
		EACH(the_stall_is_said_once),
		EACH(the_share_is_said_once),
		EACH(a_bound_of_the_other_direction_is_not_said_again),
		EACH(bounds_are_in_the_line_at_close),
		EACH(a_rate_that_is_wrong_is_doubled),
		EACH(a_slow_link_has_room_for_a_chunk_of_each_flow),
		EACH(a_hold_for_other_processes_says_nothing_of_the_rate),
		EACH(a_hold_that_lingers_says_nothing_of_the_rate),
		EACH(a_hold_while_latency_work_moves_says_nothing_of_the_rate),
		EACH(connections_of_several_threads_share_a_link),
		EACH(connections_that_come_back_do_not_make_a_link_faster),
		EACH(two_processes_learn_what_their_link_carries),
		EACH(four_processes_learn_what_their_link_carries),
	};

	return cmocka_run_group_tests_name("link", tests, NULL, NULL);
}
