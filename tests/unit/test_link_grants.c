/* What a link lets a receiver grant over many connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/fixture.h"
#include "plugin/link_state.h"

enum { CHUNK_BYTES = 16384, MOST_BYTES = 1 << 20, CONNECTIONS = 8 };

static struct lina_config config = {
	.chunk_bytes = CHUNK_BYTES, .grant_bytes = MOST_BYTES, .hold_max_ms = 3600000
};

static struct lina_link *link_;
static struct lina_link_flow latency, bulk[CONNECTIONS];

static int begin(void **state)
{
	(void)state;
	config.relax_ms = 3600000;
	log_forget();
	lina_log_set(record_log);
	assert_int_equal(lina_link_open(&config, "test0", &link_), 0);
	lina_link_flow_init(link_, LINA_DIR_RECV, LINA_CLASS_LATENCY, &latency);
	for (int i = 0; i < CONNECTIONS; i++)
		lina_link_flow_init(link_, LINA_DIR_RECV, LINA_CLASS_BULK, &bulk[i]);
	/* A link that has seen no latency work for an hour grants more. */
	lina_link_post(&latency, 1);
	lina_link_sent(&latency, 1);
	return 0;
}

static int end(void **state)
{
	(void)state;
	lina_link_drop(&latency);
	for (int i = 0; i < CONNECTIONS; i++)
		lina_link_drop(&bulk[i]);
	lina_link_close(link_);
	return 0;
}

/* What connections that come one after the other are granted, of which nothing has come when the
 * last one asks. */
static uint64_t grant_in_turn(int n)
{
	uint64_t given = 0;

	for (int i = 0; i < n; i++)
		given += lina_link_grant(&bulk[i], 0, MOST_BYTES);
	return given;
}

static void all_at_once(int n)
{
	for (int i = 0; i < n; i++)
		lina_link_post(&bulk[i], MOST_BYTES);
	for (int i = 0; i < n; i++)
		lina_link_drop(&bulk[i]);
}

/* As one allreduce begins after another. */
static void many_that_come_one_by_one_have_no_more_than_a_window(void **state)
{
	(void)state;
	all_at_once(CONNECTIONS);
	uint64_t given = grant_in_turn(CONNECTIONS);
	assert_in_range(given, CONNECTIONS * CHUNK_BYTES, bulk[0].flow.sched->params.window_bytes);
}

static void two_have_the_window_together(void **state)
{
	(void)state;
	all_at_once(2);
	uint64_t given = grant_in_turn(2), window = bulk[0].flow.sched->params.window_bytes;
	assert_in_range(given, window - CHUNK_BYTES, window);
}

/* What one connection may be granted is too little for a fast link. */
static void many_that_are_alone_on_a_fast_link_have_all_they_may(void **state)
{
	(void)state;
	config.relax_ms = 0;
	lina_link_rate_set(link_, UINT64_C(4000000000));
	all_at_once(CONNECTIONS);
	assert_int_equal(grant_in_turn(CONNECTIONS), (uint64_t)CONNECTIONS * MOST_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			many_that_come_one_by_one_have_no_more_than_a_window, begin, end),
		cmocka_unit_test_setup_teardown(
			many_that_are_alone_on_a_fast_link_have_all_they_may, begin, end),
		cmocka_unit_test_setup_teardown(two_have_the_window_together, begin, end),
	};

	return cmocka_run_group_tests_name("link_grants", tests, NULL, NULL);
}
