/* What the threads of packing kernels do, on the processor: grids of all shapes do what the
 * processor's own packing does, byte for byte, each byte once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "a2a/cases.h"
#include "a2a/cuda/pack_case.h"

enum { CASES = 2000 };

static struct pack_case made, expected, got;

/* The threads of a random grid, backwards: they do not depend on one another. */
#define RUN_GRID(fn, args)                                                 \
	do {                                                               \
		struct lina_thread at = { 0, 1 + case_below(random, 9), 0, \
			1 + case_below(random, 40) };                      \
		for (at.block = at.nblocks; at.block-- > 0;)               \
			for (at.thread = at.nthreads; at.thread-- > 0;)    \
				fn(args, &at);                             \
	} while (0)

static void compare(void)
{
	assert_memory_equal(got.dst, expected.dst, sizeof(got.dst));
	assert_memory_equal(got.src, made.src, sizeof(got.src));
}

static void gather_case(uint64_t *random)
{
	for (uint32_t i = 0; i < made.n; i++)
		if (case_below(random, 5) == 0)
			made.row[i] = LINA_NO_ROW;
	got = made;
	struct lina_gather args = pack_case_gather(&made, &got);
	RUN_GRID(lina_gather_thread, &args);
	pack_case_gathered(&made, &expected);
	compare();
}

static void sum_case(uint64_t *random)
{
	got = made;
	struct lina_sum args = pack_case_sum(&made, &got);
	RUN_GRID(lina_sum_thread, &args);
	pack_case_summed(&made, &expected);
	compare();
}

static void add_case(uint64_t *random)
{
	got = made;
	struct lina_add args = pack_case_add(&made, &got);
	RUN_GRID(lina_add_thread, &args);
	pack_case_added(&made, &expected);
	compare();
}

static void threads_do_what_the_processor_does(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < CASES; i++) {
		pack_case_make(&made, &random);
		sum_case(&random);
		add_case(&random);
		gather_case(&random);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(threads_do_what_the_processor_does) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
