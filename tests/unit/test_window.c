/* The sentences of priority/window.h, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "priority/window.h"

static void starts_as_told_and_stays_in_its_bounds(void **state)
{
	struct lina_window w;

	(void)state;
	lina_window_init(&w, 1000);
	assert_int_equal(w.bytes, 1000);
	lina_window_bound(&w, 2000, 4000);
	assert_int_equal(w.bytes, 2000);
	lina_window_bound(&w, 100, 1500);
	assert_int_equal(w.bytes, 1500);
	lina_window_bound(&w, 1600, 1000); /* the least decides */
	assert_int_equal(w.bytes, 1600);
}

static void grows_when_the_link_ran_dry(void **state)
{
	struct lina_window w;

	(void)state;
	lina_window_init(&w, 1000);
	lina_window_bound(&w, 100, 2000);
	lina_window_seen(&w, 0, 1);
	assert_int_equal(w.bytes, 1250);
	for (int i = 0; i < 10; i++)
		lina_window_seen(&w, 0, 2);
	assert_int_equal(w.bytes, 2000);
}

static void shrinks_by_half_of_what_was_always_left(void **state)
{
	struct lina_window w;

	(void)state;
	lina_window_init(&w, 1000);
	lina_window_bound(&w, 100, 2000);
	lina_window_seen(&w, 0, 10); /* grows to 1250; a new time begins */
	lina_window_seen(&w, 900, 20);
	lina_window_seen(&w, 400, 30);
	lina_window_seen(&w, 700, 9 + LINA_WINDOW_CALM_NS);
	assert_int_equal(w.bytes, 1250);
	lina_window_seen(&w, 700, 10 + LINA_WINDOW_CALM_NS);
	assert_int_equal(w.bytes, 1050);
	lina_window_seen(&w, 600, 10 + 2 * (uint64_t)LINA_WINDOW_CALM_NS);
	assert_int_equal(w.bytes, 750); /* what was left before does not count any more */
	lina_window_seen(&w, 10000, 10 + 3 * (uint64_t)LINA_WINDOW_CALM_NS);
	assert_int_equal(w.bytes, 100);
}

/* Callers read the clock before they wait for a lock. */
static void does_not_shrink_for_a_time_that_comes_late(void **state)
{
	struct lina_window w;

	(void)state;
	lina_window_init(&w, 1000);
	lina_window_bound(&w, 100, 2000);
	lina_window_seen(&w, 0, 10);
	lina_window_seen(&w, 900, 9);
	lina_window_seen(&w, 900, 8 + LINA_WINDOW_CALM_NS);
	assert_int_equal(w.bytes, 1250);
	lina_window_seen(&w, 900, 10 + LINA_WINDOW_CALM_NS);
	assert_int_equal(w.bytes, 800);
}

/* A link that carries one byte a tick, looked at every 20 ticks: the window comes to where it does
 * not run dry, and stays near it. */
static void comes_to_the_least_that_keeps_a_link_busy(void **state)
{
	struct lina_window w;
	uint64_t dry = 0, below = 0;

	(void)state;
	lina_window_init(&w, 5);
	lina_window_bound(&w, 2, 1000);
	for (uint64_t look = 0; look < 100000; look++) {
		below = below > 20 ? below - 20 : 0;
		dry += look > 1000 && !below;
		lina_window_seen(&w, below, look * LINA_WINDOW_CALM_NS / 10);
		below = w.bytes > below ? w.bytes : below;
	}
	assert_in_range(w.bytes, 20, 40);
	assert_in_range(dry, 0, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(starts_as_told_and_stays_in_its_bounds),
		cmocka_unit_test(grows_when_the_link_ran_dry),
		cmocka_unit_test(shrinks_by_half_of_what_was_always_left),
		cmocka_unit_test(does_not_shrink_for_a_time_that_comes_late),
		cmocka_unit_test(comes_to_the_least_that_keeps_a_link_busy),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
