/* Lina's expert packing: when it decides, and what placement comes of it. */
#include "collectives/pack.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Steps up to the next decision, which is not earlier; whether it doubled. */
static bool decide(struct lina_pack *pack, int steps, double expert_s, double a2a_s)
{
	int before = pack->per_device;

	for (int i = 1; i < steps; i++) {
		assert_false(lina_pack_step(pack, expert_s, a2a_s));
		assert_int_equal(pack->per_device, before);
	}
	return lina_pack_step(pack, expert_s, a2a_s);
}

static void test_decisions(void **state)
{
	struct lina_pack pack;

	(void)state;
	assert_int_equal(lina_pack_init(&pack, 16, 16), 0);
	assert_int_equal(pack.per_device, 1);
	assert_int_equal(lina_pack_group(&pack), 16);
	assert_true(decide(&pack, 10, 1, 3));
	assert_int_equal(pack.per_device, 2);
	assert_int_equal(lina_pack_group(&pack), 8);
	assert_false(decide(&pack, 4, 2, 2)); /* as long as the all-to-all is enough */
	assert_true(decide(&pack, 4, 2, 2.1));
	assert_true(decide(&pack, 4, 1, 9));
	assert_true(decide(&pack, 4, 1, 9));
	assert_int_equal(pack.per_device, 16);
	assert_int_equal(lina_pack_group(&pack), 1);
	assert_false(decide(&pack, 4, 1, 9)); /* all are everywhere */
}

/* One step that is out of line does not decide. */
static void test_steps_count_together(void **state)
{
	struct lina_pack pack;

	(void)state;
	assert_int_equal(lina_pack_init(&pack, 8, 8), 0);
	for (int i = 0; i < 9; i++)
		assert_false(lina_pack_step(&pack, 2, 1));
	assert_false(lina_pack_step(&pack, 2, 5));
	/* Nor does what was before a decision count for the next. */
	for (int i = 0; i < 3; i++)
		assert_false(lina_pack_step(&pack, 1, 2));
	assert_true(lina_pack_step(&pack, 1, 2));
}

static void test_numbers(void **state)
{
	struct lina_pack pack;

	(void)state;
	assert_int_equal(lina_pack_init(&pack, 6, 4), -EINVAL);
	assert_int_equal(lina_pack_init(&pack, 0, 4), -EINVAL);
	assert_int_equal(lina_pack_init(&pack, 4, 0), -EINVAL);
	assert_int_equal(lina_pack_init(&pack, 64, 8), 0);
	assert_int_equal(pack.per_device, 8);
	assert_int_equal(lina_pack_init(&pack, 6, 12), 0);
	assert_true(decide(&pack, 10, 1, 2));
	assert_int_equal(lina_pack_group(&pack), 3);
	assert_false(decide(&pack, 4, 1, 2)); /* three do not halve */
}

/* 8 experts on 8 devices of 2 nodes, 2 on each: each node has them all. */
static void test_plan(void **state)
{
	struct lina_pack pack;
	struct lina_plan *plan;
	struct lina_plan_fault fault;

	(void)state;
	assert_int_equal(lina_pack_init(&pack, 8, 8), 0);
	assert_true(decide(&pack, 10, 1, 2));
	assert_int_equal(lina_pack_plan(&pack, 2, 4, &plan), 0);
	assert_int_equal(lina_plan_check(plan, &fault), 0);
	assert_int_equal(plan->shape.slots_per_device, 2);
	for (int layer = 0; layer < 2; layer++)
		for (int slot = 0; slot < 16; slot++) {
			assert_int_equal(lina_plan_experts(plan, layer)[slot], slot % 8);
			assert_true(lina_plan_shares(plan, layer)[slot] == 0.5);
		}
	lina_plan_destroy(plan);
	assert_int_equal(lina_pack_plan(&pack, 1, 3, &plan), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_steps_count_together),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
