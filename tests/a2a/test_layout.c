/* Layouts and arrivals: what every pair must come to, whatever the routing and the plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "a2a/world.h"

enum { WORLDS = 600, TOKENS = 40 };

/* The plain reference: no devices, no replicas. */
static double expected(const struct world *w, const struct world_device *device, size_t t)
{
	double sum = 0;

	for (int i = 0; i < w->nchoices; i++) {
		size_t at = t * (size_t)w->nchoices + (size_t)i;
		sum += (double)device->weights[at] *
		       world_expert(device->experts[at], device->token[t]);
	}
	return sum;
}

static void every_token_gets_its_weighted_sum(void **state)
{
	uint64_t random = 1;
	struct world w;

	(void)state;
	for (int i = 0; i < WORLDS; i++) {
		world_open(&w, &random, 1 + i % WORLD_DEVICES, TOKENS);
		world_run(&w);
		for (int d = 0; d < w.plan->shape.ndevices; d++)
			for (size_t t = 0; t < w.device[d].ntokens; t++)
				assert_true(fabs(w.device[d].result[t] -
						    expected(&w, &w.device[d], t)) < 1e-6);
		world_close(&w);
	}
}

/* How often pair (token, expert) is in the layout at a slot of that expert; slots ascending, in
 * each the tokens. */
static void count_pairs(const struct world *w, int d, uint32_t *seen)
{
	const struct lina_layout *layout = w->device[d].layout;
	const int *expert = lina_plan_experts(w->plan, w->layer);
	int nslots = lina_plan_nslots(&w->plan->shape), nexperts = w->plan->shape.nexperts;
	uint32_t at = 0;

	for (int s = 0; s < nslots; s++) {
		int to = lina_plan_device_of(&w->plan->shape, s);
		uint32_t last = 0;
		for (uint32_t end = at + layout->slot_pairs[s]; at < end; at++) {
			uint32_t row = layout->row_begin[to] + layout->pair[at].row;
			assert_true(row < layout->row_begin[to + 1]);
			uint32_t token = layout->row_token[row];
			assert_true(token >= last && token < w->device[d].ntokens);
			assert_true(expert[s] >= 0);
			seen[token * (size_t)nexperts + (size_t)expert[s]]++;
			last = token;
		}
		if (s + 1 == nslots || lina_plan_device_of(&w->plan->shape, s + 1) != to)
			assert_int_equal(at, layout->pair_begin[to + 1]);
	}
	assert_int_equal(at, layout->npairs);
}

static void compare_pairs(const struct world *w, int d, const uint32_t *seen)
{
	const struct world_device *device = &w->device[d];
	size_t nexperts = (size_t)w->plan->shape.nexperts, k = (size_t)w->nchoices;

	for (size_t t = 0; t < device->ntokens; t++)
		for (size_t e = 0; e < nexperts; e++) {
			uint32_t wanted = 0;
			for (size_t i = t * k; i < (t + 1) * k; i++)
				wanted += device->experts[i] == (int32_t)e;
			assert_int_equal(seen[t * nexperts + e], wanted);
		}
}

/* Each way got what the route divides. */
static void compare_quotas(const struct world *w, int d)
{
	const struct world_device *device = &w->device[d];
	const struct lina_route *route = device->route;
	size_t nslots = (size_t)lina_plan_nslots(&w->plan->shape);
	uint32_t *of_slot = calloc(nslots, sizeof(*of_slot)),
		 *quota = calloc(nslots, sizeof(*quota));

	assert_true(of_slot && quota);
	for (int e = 0; e < route->nexperts; e++) {
		uint32_t n = 0;
		for (size_t i = 0; i < device->ntokens * (size_t)w->nchoices; i++)
			n += device->experts[i] == e;
		lina_route_divide(route, e, n, quota);
		for (int i = route->first[e]; i < route->first[e + 1]; i++)
			of_slot[route->way[i].slot] = quota[i - route->first[e]];
	}
	assert_memory_equal(of_slot, device->layout->slot_pairs, nslots * sizeof(*of_slot));
	free(quota);
	free(of_slot);
}

static void rows_are_without_duplicates(const struct world *w, int d)
{
	const struct lina_layout *layout = w->device[d].layout;

	if (!w->dedup) {
		assert_int_equal(layout->nrows, layout->npairs);
		return;
	}
	for (int to = 0; to < w->plan->shape.ndevices; to++)
		for (uint32_t r = layout->row_begin[to]; r + 1 < layout->row_begin[to + 1]; r++)
			assert_true(layout->row_token[r] < layout->row_token[r + 1]);
}

static void every_pair_goes_to_its_expert(void **state)
{
	uint64_t random = 2;
	struct world w;

	(void)state;
	for (int i = 0; i < WORLDS; i++) {
		world_open(&w, &random, 1 + i % WORLD_DEVICES, TOKENS);
		world_run(&w);
		for (int d = 0; d < w.plan->shape.ndevices; d++) {
			size_t n = w.device[d].ntokens * (size_t)w.plan->shape.nexperts;
			uint32_t *seen = calloc(n + 1, sizeof(*seen));
			assert_non_null(seen);
			count_pairs(&w, d, seen);
			compare_pairs(&w, d, seen);
			compare_quotas(&w, d);
			rows_are_without_duplicates(&w, d);
			free(seen);
		}
		world_close(&w);
	}
}

/* Pairs that a capacity leaves. */
static size_t pairs_kept(const struct world *w, const struct world_device *device)
{
	size_t npairs = device->ntokens * (size_t)w->nchoices, kept = 0;

	for (int e = 0; e < w->plan->shape.nexperts; e++) {
		size_t n = 0;
		for (size_t p = 0; p < npairs; p++)
			n += device->experts[p] == e;
		kept += n < w->capacity ? n : w->capacity;
	}
	return kept;
}

/* A capacity leaves the rest out, and counts it. */
static void a_capacity_drops_what_is_above(void **state)
{
	uint64_t random = 3;
	struct world w;

	(void)state;
	for (int i = 0; i < WORLDS / 4; i++) {
		world_open(&w, &random, 1 + i % WORLD_DEVICES, TOKENS);
		w.capacity = 1 + (uint32_t)case_below(&random, 6);
		world_run(&w);
		for (int d = 0; d < w.plan->shape.ndevices; d++) {
			const struct world_device *device = &w.device[d];
			size_t npairs = device->ntokens * (size_t)w.nchoices;
			size_t kept = pairs_kept(&w, device);
			assert_int_equal(device->layout->npairs, kept);
			assert_int_equal(device->layout->ndropped, npairs - kept);
		}
		world_close(&w);
	}
}

static struct lina_layout_in whole_in(const struct world *w, int d)
{
	const struct world_device *device = &w->device[d];

	return (struct lina_layout_in){ device->route, device->experts, device->weights,
		device->ntokens, w->nchoices, w->dedup, 0, 0 };
}

static void equal_input_gives_an_equal_layout(void **state)
{
	uint64_t random = 4;
	struct world w;
	struct lina_layout *other;
	struct lina_layout_fault fault;

	(void)state;
	for (int i = 0; i < 50; i++) {
		world_open(&w, &random, WORLD_DEVICES, TOKENS);
		world_run(&w);
		struct lina_layout_in in = whole_in(&w, 3);
		const struct lina_layout *layout = w.device[3].layout;
		assert_int_equal(lina_layout_create(&layout->shape, &other), 0);
		assert_int_equal(lina_layout_build(other, &in, &fault), 0);
		assert_int_equal(layout->npairs, other->npairs);
		assert_int_equal(layout->nrows, other->nrows);
		assert_memory_equal(
			layout->pair, other->pair, layout->npairs * sizeof(*layout->pair));
		assert_memory_equal(
			layout->row_token, other->row_token, layout->nrows * sizeof(uint32_t));
		lina_layout_destroy(other);
		world_close(&w);
	}
}

/* Expert 0 is on devices 1 and 2, expert 1 on device 2 alone: the first token that chooses both
 * goes to device 2 once, though device 1 comes first; then expert 0 has had its share there. */
static void a_choice_follows_another_to_its_device(void **state)
{
	struct lina_plan_shape shape = { 1, 2, 3, 1, 2 };
	const int experts[] = { LINA_SLOT_EMPTY, LINA_SLOT_EMPTY, 0, LINA_SLOT_EMPTY, 0, 1 };
	const int32_t choices[] = { 0, 1, 0, 1 };
	struct lina_layout_shape size = { 2, 2, 2, 3, 2 };
	struct lina_layout_fault fault;
	struct lina_layout *layout;
	struct lina_route *route;
	struct lina_plan *plan;

	(void)state;
	assert_int_equal(lina_plan_create(&shape, &plan), 0);
	memcpy(plan->expert, experts, sizeof(experts));
	lina_plan_share_evenly(plan, 0);
	assert_int_equal(lina_route_create(plan, 0, 0, &route), 0);
	assert_int_equal(lina_layout_create(&size, &layout), 0);
	struct lina_layout_in in = { route, choices, NULL, 2, 2, true, 0, 0 };
	assert_int_equal(lina_layout_build(layout, &in, &fault), 0);
	assert_int_equal(layout->npairs, 4);
	assert_int_equal(layout->nrows, 3);
	assert_int_equal(layout->term_begin[1], 1);
	assert_int_equal(layout->term_row[0], layout->row_begin[2]);
	assert_int_equal(layout->term_begin[2], 3);
	lina_layout_destroy(layout);
	lina_route_destroy(route);
	lina_plan_destroy(plan);
}

static void an_expert_that_is_none_is_named(void **state)
{
	static const int32_t bad[] = { -1, INT32_MIN, INT32_MAX };
	uint64_t random = 5;
	struct world w;
	struct lina_layout_fault fault;

	(void)state;
	for (int i = 0; i < 100; i++) {
		world_open(&w, &random, 4, TOKENS);
		struct world_device *device = &w.device[1];
		size_t n = device->ntokens * (size_t)w.nchoices;
		struct lina_layout_in in = whole_in(&w, 1);
		if (n > 0) {
			size_t at = case_below(&random, n);
			int32_t id = i % 4 < 3 ? bad[i % 4] : w.plan->shape.nexperts;
			device->experts[at] = id;
			assert_int_equal(lina_layout_build(device->layout, &in, &fault), -EINVAL);
			assert_int_equal(fault.kind, LINA_LAYOUT_EXPERT);
			assert_int_equal(fault.token, at / (size_t)w.nchoices);
			assert_int_equal(fault.choice, at % (size_t)w.nchoices);
			assert_int_equal(fault.expert, id);
			assert_int_equal(device->layout->nrows, 0);
			assert_int_equal(device->layout->row_begin[4], 0);
		}
		world_close(&w);
	}
}

static void a_bound_is_kept_or_refused(void **state)
{
	uint64_t random = 6;
	struct world w;
	struct lina_layout_fault fault;

	(void)state;
	for (int i = 0; i < 100; i++) {
		world_open(&w, &random, WORLD_DEVICES, TOKENS);
		world_run(&w);
		struct world_device *device = &w.device[0];
		struct lina_layout_in in = whole_in(&w, 0);
		uint32_t most = 0;
		for (int d = 0; d < WORLD_DEVICES; d++) {
			uint32_t n =
				device->layout->row_begin[d + 1] - device->layout->row_begin[d];
			most = n > most ? n : most;
		}
		in.bound = most > 0 ? most : 1;
		assert_int_equal(lina_layout_build(device->layout, &in, &fault), 0);
		in.bound--;
		if (in.bound > 0) {
			assert_int_equal(
				lina_layout_build(device->layout, &in, &fault), -EOVERFLOW);
			assert_int_equal(fault.kind, LINA_LAYOUT_BOUND);
			assert_int_equal(fault.nrows, most);
			assert_int_equal(device->layout->nrows, 0);
		}
		world_close(&w);
	}
}

static void sizes_are_checked(void **state)
{
	struct lina_layout_shape shape = { 4, 2, 3, 2, 2 };
	struct lina_layout *layout = NULL;
	uint64_t random = 7;
	struct world w;
	struct lina_layout_fault fault;

	(void)state;
	shape.max_tokens = 0;
	assert_int_equal(lina_layout_create(&shape, &layout), -EINVAL);
	shape.max_tokens = UINT32_MAX / 2;
	assert_int_equal(lina_layout_create(&shape, &layout), -EINVAL);
	assert_null(layout);
	world_open(&w, &random, 2, TOKENS);
	struct lina_layout_in in = whole_in(&w, 0);
	in.ntokens = TOKENS + 1;
	assert_int_equal(lina_layout_build(w.device[0].layout, &in, &fault), -EINVAL);
	assert_int_equal(fault.kind, LINA_LAYOUT_SIZE);
	world_close(&w);
}

/* A source that says what cannot be. */
static void a_wrong_parcel_is_refused(void **state)
{
	struct lina_arrival *arrival;
	const uint32_t two[] = { 1, 1 }, none[] = { 0, 0 };
	const struct lina_pair pair[] = { { 0, 1 }, { 2, 1 } };
	struct lina_parcel parcel[] = { { 0, 0, none, NULL }, { 2, 0, two, pair } };
	int source = -1;

	(void)state;
	assert_int_equal(lina_arrival_create(2, 2, &arrival), 0);
	assert_int_equal(lina_arrival_build(arrival, parcel, &source), -ENOSPC);
	assert_int_equal(lina_arrival_reserve(arrival, 2, 2), 0);
	assert_int_equal(lina_arrival_build(arrival, parcel, &source), -EPROTO); /* row 2 of 2 */
	assert_int_equal(source, 1);
	parcel[1].pair = NULL;
	assert_int_equal(lina_arrival_build(arrival, parcel, &source), 0);
	parcel[1].nrows = 1;
	assert_int_equal(lina_arrival_build(arrival, parcel, &source), -EPROTO);
	parcel[1].base = UINT32_MAX;
	assert_int_equal(lina_arrival_build(arrival, parcel, &source), -ENOSPC);
	lina_arrival_destroy(arrival);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_token_gets_its_weighted_sum),
		cmocka_unit_test(every_pair_goes_to_its_expert),
		cmocka_unit_test(a_capacity_drops_what_is_above),
		cmocka_unit_test(equal_input_gives_an_equal_layout),
		cmocka_unit_test(a_choice_follows_another_to_its_device),
		cmocka_unit_test(an_expert_that_is_none_is_named),
		cmocka_unit_test(a_bound_is_kept_or_refused),
		cmocka_unit_test(sizes_are_checked),
		cmocka_unit_test(a_wrong_parcel_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
