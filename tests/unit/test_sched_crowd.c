/* How bulk flows that come one by one share a window, where what is below comes back late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/sched_case.h"

enum { FLOWS = 4, FEW = 2 };

#define CROWD_NS HOLD
/* Of the window, for each of a crowd. */
#define PART (WINDOW * FEW / FLOWS / FLOWS)

static struct lina_flow flow[FLOWS];

static int crowd_begin(void **state)
{
	struct lina_sched_params params = usual;

	(void)state;
	params.crowd_flows = FEW;
	params.crowd_ns = CROWD_NS;
	params.least_chunk_bytes = 1;
	begin_with(params);
	for (int i = 0; i < FLOWS; i++)
		lina_flow_init(&flow[i], &s.sched, LINA_CLASS_BULK);
	return 0;
}

static uint64_t take_all(struct lina_flow *f, uint64_t now_ns)
{
	uint64_t sum = 0;

	for (uint64_t n; (n = take(f, now_ns)) > 0;)
		sum += n;
	return sum;
}

/* All have something queued at once, and then nothing of it. */
static void crowd_comes_and_goes(uint64_t now_ns)
{
	for (int i = 0; i < FLOWS; i++)
		lina_flow_post(&flow[i], 10 * CHUNK, now_ns);
	for (int i = 0; i < FLOWS; i++)
		lina_flow_drop(&flow[i]);
}

static void who_comes_first_leaves_their_parts_to_the_others(void **state)
{
	(void)state;
	crowd_comes_and_goes(0);
	for (int i = 0; i < FLOWS; i++) {
		lina_flow_post(&flow[i], 10 * CHUNK, 1);
		assert_int_equal(take_all(&flow[i], 1), PART);
	}
	assert_true(s.sched.below_bytes[LINA_CLASS_BULK] <= WINDOW);
}

static void a_crowd_is_forgotten_when_there_was_none_for_long(void **state)
{
	(void)state;
	crowd_comes_and_goes(0);
	lina_flow_post(&flow[0], 10 * CHUNK, CROWD_NS - 1);
	expect_ask(flow[0], CROWD_NS - 1, PART);
	lina_flow_post(&flow[0], 10 * CHUNK, CROWD_NS);
	assert_int_equal(take_all(&flow[0], CROWD_NS), WINDOW);
}

static void a_crowd_that_comes_again_is_not_forgotten(void **state)
{
	(void)state;
	crowd_comes_and_goes(0);
	crowd_comes_and_goes(CROWD_NS - 1);
	lina_flow_post(&flow[0], 10 * CHUNK, CROWD_NS + CROWD_NS - 2);
	expect_ask(flow[0], CROWD_NS + CROWD_NS - 2, PART);
}

static void few_flows_have_all_of_the_window_together(void **state)
{
	(void)state;
	for (int i = 0; i < FEW; i++)
		lina_flow_post(&flow[i], 10 * CHUNK, 0);
	for (int i = 0; i < FEW; i++)
		assert_int_equal(take_all(&flow[i], 0), WINDOW / FEW);
}

static void a_crowd_has_no_less_than_is_set_for_it(void **state)
{
	struct lina_sched_params params = s.sched.params;

	(void)state;
	params.crowd_window_bytes = WINDOW - FLOWS;
	lina_sched_tune(&s.sched, &params);
	crowd_comes_and_goes(0);
	expect_ask(flow[0], 0, 0);
	lina_flow_post(&flow[0], 10 * CHUNK, 0);
	assert_int_equal(take_all(&flow[0], 0), WINDOW / FLOWS - 1);
	params.crowd_window_bytes = WINDOW + FLOWS;
	lina_sched_tune(&s.sched, &params);
	lina_flow_post(&flow[1], 10 * CHUNK, 0);
	assert_int_equal(take_all(&flow[1], 0), WINDOW / FLOWS);
}

static void a_relaxed_window_is_no_smaller_for_a_crowd(void **state)
{
	const uint64_t relaxed = usual.relaxed_window_bytes;

	(void)state;
	for (int i = 0; i < FLOWS; i++)
		lina_flow_post(&flow[i], 10 * CHUNK, RELAX);
	for (int i = 0; i < FLOWS; i++)
		assert_int_equal(take_all(&flow[i], RELAX), relaxed / FLOWS);
}

static void chunks_of_a_crowd_are_no_smaller_than_the_least(void **state)
{
	struct lina_sched_params params = s.sched.params;

	(void)state;
	params.least_chunk_bytes = PART + 1;
	lina_sched_tune(&s.sched, &params);
	crowd_comes_and_goes(0);
	lina_flow_post(&flow[0], 10 * CHUNK, 0);
	assert_int_equal(take_all(&flow[0], 0), PART + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
			who_comes_first_leaves_their_parts_to_the_others, crowd_begin),
		cmocka_unit_test_setup(
			a_crowd_is_forgotten_when_there_was_none_for_long, crowd_begin),
		cmocka_unit_test_setup(a_crowd_that_comes_again_is_not_forgotten, crowd_begin),
		cmocka_unit_test_setup(few_flows_have_all_of_the_window_together, crowd_begin),
		cmocka_unit_test_setup(a_crowd_has_no_less_than_is_set_for_it, crowd_begin),
		cmocka_unit_test_setup(a_relaxed_window_is_no_smaller_for_a_crowd, crowd_begin),
		cmocka_unit_test_setup(
			chunks_of_a_crowd_are_no_smaller_than_the_least, crowd_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
