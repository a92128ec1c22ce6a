/* Ways and their parts, against a twin that moves every device's tokens step by step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "a2a/cases.h"
#include "collectives/a2a_route.h"

enum { PLANS = 300, DEVICES = 8, SLOTS = DEVICES * 24 };

/* What goes from each device to each slot, of one expert's tokens. */
struct twin {
	const struct lina_plan *plan;
	int layer, expert;
	double supply[DEVICES], room[SLOTS], moved[DEVICES][SLOTS];
};

static bool near_enough(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* Devices first to end: what they still have goes to what their slots still take, in proportion on
 * both sides. */
static void twin_group(struct twin *t, int first, int end)
{
	int slot = first * t->plan->shape.slots_per_device;
	int slot_end = end * t->plan->shape.slots_per_device;
	double supply = 0, room = 0;

	for (int d = first; d < end; d++)
		supply += t->supply[d];
	for (int s = slot; s < slot_end; s++)
		room += t->room[s];
	double moved = supply < room ? supply : room;
	if (moved < 1e-15)
		return;
	for (int d = first; d < end; d++) {
		for (int s = slot; s < slot_end; s++)
			t->moved[d][s] += moved * t->supply[d] / supply * t->room[s] / room;
		t->supply[d] *= 1 - moved / supply;
	}
	for (int s = slot; s < slot_end; s++)
		t->room[s] *= 1 - moved / room;
}

/* Each device alone, each node, all. */
static void twin_step(struct twin *t, int group_devices)
{
	for (int first = 0; first < t->plan->shape.ndevices; first += group_devices)
		twin_group(t, first, first + group_devices);
}

static void twin_run(struct twin *t, const struct lina_plan *plan, int layer, int expert)
{
	const struct lina_plan_shape *shape = &plan->shape;

	*t = (struct twin){ plan, layer, expert, { 0 }, { 0 }, { { 0 } } };
	for (int d = 0; d < shape->ndevices; d++)
		t->supply[d] = 1.0 / shape->ndevices;
	for (int s = 0; s < lina_plan_nslots(shape); s++)
		if (lina_plan_experts(plan, layer)[s] == expert)
			t->room[s] = lina_plan_shares(plan, layer)[s];
	twin_step(t, 1);
	twin_step(t, shape->devices_per_node);
	twin_step(t, shape->ndevices);
}

static double way_part(const struct lina_route *route, int w, int first)
{
	return route->way[w].until - (w > first ? route->way[w - 1].until : 0);
}

static void compare(const struct lina_route *route, const struct twin *t)
{
	int first = route->first[t->expert], end = route->first[t->expert + 1];
	double parts[SLOTS] = { 0 };

	assert_true(end > first);
	for (int w = first; w < end; w++) {
		const struct lina_way *way = &route->way[w];
		parts[way->slot] = way_part(route, w, first);
		assert_true(parts[way->slot] > 0);
		assert_int_equal(way->device, way->slot / route->slots_per_device);
		assert_int_equal(lina_plan_experts(t->plan, t->layer)[way->slot], t->expert);
		if (w > first)
			assert_true(way[-1].distance <= way->distance);
		if (way->distance == LINA_SAME_DEVICE)
			assert_int_equal(way->device, route->device);
	}
	assert_true(route->way[end - 1].until == 1);
	for (int s = 0; s < lina_plan_nslots(&t->plan->shape); s++)
		assert_true(near_enough(
			parts[s], t->moved[route->device][s] * t->plan->shape.ndevices));
}

/* Over all devices a replica gets what its share says. */
static void compare_shares(const struct twin *t)
{
	for (int s = 0; s < lina_plan_nslots(&t->plan->shape); s++) {
		double sum = 0;
		for (int d = 0; d < t->plan->shape.ndevices; d++)
			sum += t->moved[d][s];
		if (lina_plan_experts(t->plan, t->layer)[s] == t->expert)
			assert_true(near_enough(sum, lina_plan_shares(t->plan, t->layer)[s]));
	}
}

static void check_device(const struct lina_plan *plan, int layer, int device)
{
	static struct twin twin;
	struct lina_route *route;

	assert_int_equal(lina_route_create(plan, layer, device, &route), 0);
	for (int e = 0; e < plan->shape.nexperts; e++) {
		twin_run(&twin, plan, layer, e);
		compare(route, &twin);
		compare_shares(&twin);
	}
	lina_route_destroy(route);
}

static void routes_follow_shares_nearest_first(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < PLANS; i++) {
		struct lina_plan_shape shape = case_shape(&random, 1 + i % DEVICES, 2);
		struct lina_plan *plan = case_plan(&random, &shape);
		int layer = (int)case_below(&random, (uint64_t)shape.nlayers);
		for (int d = 0; d < shape.ndevices; d++)
			check_device(plan, layer, d);
		lina_plan_destroy(plan);
	}
}

static void divide_gives_each_way_its_part(void **state)
{
	uint64_t random = 2;
	uint32_t quota[SLOTS];

	(void)state;
	for (int i = 0; i < PLANS; i++) {
		struct lina_plan_shape shape = case_shape(&random, DEVICES, 1);
		struct lina_plan *plan = case_plan(&random, &shape);
		struct lina_route *route;
		uint32_t n = (uint32_t)case_below(&random, i % 2 ? 20 : 1000000), sum = 0;
		assert_int_equal(lina_route_create(plan, 0, i % DEVICES, &route), 0);
		int e = (int)case_below(&random, (uint64_t)shape.nexperts), first = route->first[e];
		lina_route_divide(route, e, n, quota);
		for (int w = first; w < route->first[e + 1]; w++) {
			double part = n * way_part(route, w, first);
			assert_true(fabs(quota[w - first] - part) < 1.000001);
			sum += quota[w - first];
		}
		assert_int_equal(sum, n);
		lina_route_destroy(route);
		lina_plan_destroy(plan);
	}
}

/* One token of an expert on each of 8 devices, and two replicas elsewhere: not all to the same. */
static void small_numbers_spread_over_devices(void **state)
{
	struct lina_plan_shape shape = { 1, 2, 10, 1, 1 };
	struct lina_plan *plan;
	uint32_t quota[2], sum[2] = { 0 };

	(void)state;
	assert_int_equal(lina_plan_create(&shape, &plan), 0);
	for (int s = 0; s < 10; s++)
		plan->expert[s] = s < 8 ? 1 : 0;
	lina_plan_share_evenly(plan, 0);
	for (int d = 0; d < 8; d++) {
		struct lina_route *route;
		assert_int_equal(lina_route_create(plan, 0, d, &route), 0);
		lina_route_divide(route, 0, 1, quota);
		assert_int_equal(route->first[1] - route->first[0], 2);
		sum[0] += quota[0];
		sum[1] += quota[1];
		lina_route_destroy(route);
	}
	assert_int_equal(sum[0] + sum[1], 8);
	assert_in_range(sum[0], 3, 5);
	lina_plan_destroy(plan);
}

static void what_cannot_be_is_refused(void **state)
{
	struct lina_plan_shape shape = { 1, 2, 2, 1, 1 };
	struct lina_plan *plan;
	struct lina_route *route = NULL;

	(void)state;
	assert_int_equal(lina_plan_create(&shape, &plan), 0);
	plan->expert[0] = 0;
	lina_plan_share_evenly(plan, 0);
	assert_int_equal(lina_route_create(plan, 0, 0, &route), -EINVAL); /* expert 1 has no slot */
	plan->expert[1] = 1;
	lina_plan_share_evenly(plan, 0);
	assert_int_equal(lina_route_create(plan, 1, 0, &route), -EINVAL);
	assert_int_equal(lina_route_create(plan, -1, 0, &route), -EINVAL);
	assert_int_equal(lina_route_create(plan, 0, 2, &route), -EINVAL);
	assert_null(route);
	lina_plan_destroy(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_follow_shares_nearest_first),
		cmocka_unit_test(divide_gives_each_way_its_part),
		cmocka_unit_test(small_numbers_spread_over_devices),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
