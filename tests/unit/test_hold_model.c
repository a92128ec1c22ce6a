/* Holds and credit on three hosts: no order of events leaves work undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/hold_model.h"

enum { PROGRAMS = MODEL_NAPPS * MODEL_NAPPS * MODEL_NAPPS };

/* Host 0 is the one with the largest number: programs that are turned around the ring are one. */
static bool program_set(struct model *m, int program)
{
	for (int i = 0; i < MODEL_HOSTS; i++, program /= MODEL_NAPPS)
		m->application[i] = (enum model_application)(program % MODEL_NAPPS);
	return m->application[0] >= m->application[1] && m->application[0] >= m->application[2];
}

struct sum {
	uint64_t nstates;
	int nstuck; /* programs with a state that is stuck */
	uint32_t stuck;
};

/* Every program, with standing credit and without. */
static struct sum explore(struct model m)
{
	struct sum sum = { 0, 0, 0 };

	for (int i = 0; i < 2 * PROGRAMS; i++) {
		m.standing = i % 2 == 1;
		if (!program_set(&m, i / 2))
			continue;
		struct model_result result = model_explore(&m);
		sum.nstates += result.nstates;
		if (result.nstuck == 0)
			continue;
		sum.nstuck++;
		sum.stuck = result.stuck;
	}
	return sum;
}

static void ends(const char *what, struct model m)
{
	struct sum sum = explore(m);

	print_message("%s: %llu states\n", what, (unsigned long long)sum.nstates);
	if (sum.nstuck > 0)
		model_print(sum.stuck);
	assert_int_equal(sum.nstuck, 0);
}

static void can_get_stuck(const char *what, struct model m)
{
	struct sum sum = explore(m);

	print_message("%s: %d programs can get stuck, so:\n", what, sum.nstuck);
	assert_true(sum.nstuck > 0);
	model_print(sum.stuck);
}

/* So they do with the hold bound, which may let anything go that could go without holds. */
static void the_applications_end_without_any_hold(void **state)
{
	(void)state;
	ends("no holds", (struct model){ .holds = false, .counts = MODEL_COUNTS_PARTS });
}

static void without_bounds_hosts_wait_for_one_another(void **state)
{
	(void)state;
	can_get_stuck("what is posted counts",
		(struct model){ .holds = true, .counts = MODEL_COUNTS_POSTED });
	can_get_stuck("parts with credit count",
		(struct model){ .holds = true, .counts = MODEL_COUNTS_PARTS });
}

/* The second line of defence is not needed then. */
static void only_what_can_end_counts_and_nobody_waits_for_ever(void **state)
{
	(void)state;
	ends("messages with credit count",
		(struct model){ .holds = true, .counts = MODEL_COUNTS_MESSAGES });
}

static void the_stall_bound_alone_ends_every_wait(void **state)
{
	(void)state;
	for (int counts = 0; counts < MODEL_NCOUNTS; counts++)
		ends("stall bound", (struct model){ .holds = true,
					    .stall_bound = true,
					    .counts = (enum model_counts)counts });
}

/* Latency work that always moves never stalls: here it is the hold bound or the share alone. */
static void an_endless_stream_lets_bulk_end(void **state)
{
	struct model m = { .holds = true, .endless = true, .stall_bound = true };

	(void)state;
	assert_true(model_explore(&m).nstuck > 0);
	m.hold_bound = true;
	assert_int_equal(model_explore(&m).nstuck, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_applications_end_without_any_hold),
		cmocka_unit_test(without_bounds_hosts_wait_for_one_another),
		cmocka_unit_test(only_what_can_end_counts_and_nobody_waits_for_ever),
		cmocka_unit_test(the_stall_bound_alone_ends_every_wait),
		cmocka_unit_test(an_endless_stream_lets_bulk_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
