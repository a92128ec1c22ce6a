/* Experts spread from device to device: every device gets what it needs, once, and in reverse every
 * owner gets the sum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "a2a/cases.h"
#include "collectives/spread_plan.h"

enum { RUNS = 400, DEVICES = 8, EXPERTS = 16, UNITS = 40, UNIT = 4, BYTES = UNITS * UNIT };

/* Units of each expert on each device, as a number each. */
struct memory {
	unsigned value[DEVICES][EXPERTS][UNITS];
};

/* What a round reads is as it was before the round. */
static void run(const struct lina_spread *spread, struct memory *m)
{
	static struct memory before;

	for (size_t i = 0; i < spread->ntransfers; i++) {
		const struct lina_transfer *t = &spread->transfer[i];
		if (i == 0 || spread->transfer[i - 1].round != t->round)
			before = *m;
		for (size_t u = t->at / UNIT; u < (t->at + t->bytes) / UNIT; u++) {
			assert_int_not_equal(before.value[t->from][t->item][u], 0);
			assert_int_equal(m->value[t->to][t->item][u], 0); /* once */
			m->value[t->to][t->item][u] = before.value[t->from][t->item][u];
		}
	}
}

static void run_reverse(const struct lina_spread *spread, struct memory *m)
{
	static struct memory before;

	for (size_t i = spread->ntransfers; i-- > 0;) {
		const struct lina_transfer *t = &spread->transfer[i];
		if (i + 1 == spread->ntransfers || spread->transfer[i + 1].round != t->round)
			before = *m;
		for (size_t u = t->at / UNIT; u < (t->at + t->bytes) / UNIT; u++)
			m->value[t->from][t->item][u] += before.value[t->to][t->item][u];
	}
}

static bool on(const struct lina_plan *plan, int layer, int e, int d)
{
	int n = plan->shape.slots_per_device;

	for (int s = d * n; s < (d + 1) * n; s++)
		if (lina_plan_experts(plan, layer)[s] == e)
			return true;
	return false;
}

/* One slot a device and expert more or less; each expert on one device. */
static struct lina_plan *owners_for(uint64_t *random, const struct lina_plan_shape *shape)
{
	struct lina_plan_shape one = *shape;
	struct lina_plan *plan;

	one.slots_per_device = shape->nexperts;
	assert_int_equal(lina_plan_create(&one, &plan), 0);
	for (int l = 0; l < one.nlayers; l++)
		for (int e = 0; e < one.nexperts; e++) {
			int d = (int)case_below(random, (uint64_t)one.ndevices);
			lina_plan_experts(plan, l)[d * one.nexperts + e] = e;
		}
	return plan;
}

static struct lina_spread_params random_params(uint64_t *random)
{
	return (struct lina_spread_params){ UNIT, case_below(random, 2) ? 0 : BYTES / 2,
		case_below(random, 3) ? case_below(random, BYTES) : 0 };
}

static void compare_share(const struct lina_plan *owners, const struct lina_plan *placed, int layer,
	const struct memory *m, size_t units)
{
	for (int e = 0; e < owners->shape.nexperts; e++)
		for (int d = 0; d < owners->shape.ndevices; d++) {
			bool has = on(owners, layer, e, d) || on(placed, layer, e, d);
			for (size_t u = 0; u < units; u++)
				assert_int_equal(
					m->value[d][e][u], has ? (size_t)e * UNITS + u + 1 : 0);
		}
}

/* The busiest device and direction of each round, one round after the other. */
static uint64_t rounds_bytes_of(const struct lina_spread *spread)
{
	uint64_t sum = 0;

	for (int round = 0; round < spread->nrounds; round++) {
		uint64_t bytes[2][DEVICES] = { { 0 } }, most = 0;
		for (size_t i = 0; i < spread->ntransfers; i++) {
			const struct lina_transfer *t = &spread->transfer[i];
			if (t->round != round)
				continue;
			bytes[0][t->from] += t->bytes;
			bytes[1][t->to] += t->bytes;
		}
		for (int d = 0; d < 2 * DEVICES; d++)
			most = bytes[d % 2][d / 2] > most ? bytes[d % 2][d / 2] : most;
		sum += most;
	}
	return sum;
}

static void share_once(uint64_t *random, int ndevices)
{
	static struct memory m;
	struct lina_plan_shape shape = case_shape(random, ndevices, 2);
	struct lina_plan *placed = case_plan(random, &shape), *owners = owners_for(random, &shape);
	int layer = (int)case_below(random, (uint64_t)shape.nlayers), expert;
	size_t units = case_below(random, UNITS + 1);
	struct lina_spread_params params = random_params(random);
	struct lina_spread_items items;
	struct lina_spread *spread;
	uint64_t wanted = 0;

	assert_int_equal(
		lina_spread_items_share(owners, placed, layer, units * UNIT, &items, &expert), 0);
	assert_int_equal(lina_spread_create(items.item, items.n, ndevices, &params, &spread), 0);
	memset(&m, 0, sizeof(m));
	for (int e = 0; e < shape.nexperts; e++) {
		for (size_t u = 0; u < units; u++)
			m.value[items.item[e].owner][e][u] = (unsigned)e * UNITS + (unsigned)u + 1;
		for (int d = 0; d < ndevices; d++)
			wanted += on(placed, layer, e, d) && !on(owners, layer, e, d) ? units * UNIT
										      : 0;
	}
	run(spread, &m);
	compare_share(owners, placed, layer, &m, units);
	assert_int_equal(spread->total_bytes, wanted);
	assert_int_equal(spread->rounds_bytes, rounds_bytes_of(spread));
	assert_true(spread->rounds_bytes >= spread->busiest_bytes);
	lina_spread_destroy(spread);
	lina_spread_items_free(&items);
	lina_plan_destroy(owners);
	lina_plan_destroy(placed);
}

static void every_holder_gets_each_expert_once(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (int i = 0; i < RUNS; i++)
		share_once(&random, 1 + i % DEVICES);
}

static void owners_get_the_sum(void **state)
{
	static struct memory m;
	uint64_t random = 2;
	int expert;

	(void)state;
	for (int i = 0; i < RUNS; i++) {
		struct lina_plan_shape shape = case_shape(&random, 1 + i % DEVICES, 1);
		struct lina_plan *placed = case_plan(&random, &shape);
		struct lina_plan *owners = owners_for(&random, &shape);
		struct lina_spread_params params = random_params(&random);
		struct lina_spread_items items;
		struct lina_spread *spread;
		assert_int_equal(
			lina_spread_items_share(owners, placed, 0, BYTES, &items, &expert), 0);
		assert_int_equal(
			lina_spread_create(items.item, items.n, shape.ndevices, &params, &spread),
			0);
		for (int d = 0; d < shape.ndevices; d++)
			for (int e = 0; e < shape.nexperts; e++)
				for (int u = 0; u < UNITS; u++)
					m.value[d][e][u] = 1U << d;
		run_reverse(spread, &m);
		for (int e = 0; e < shape.nexperts; e++) {
			unsigned sum = 0;
			for (int d = 0; d < shape.ndevices; d++)
				sum |= on(owners, 0, e, d) || on(placed, 0, e, d) ? 1U << d : 0;
			for (int u = 0; u < UNITS; u++)
				assert_int_equal(m.value[items.item[e].owner][e][u], sum);
		}
		lina_spread_destroy(spread);
		lina_spread_items_free(&items);
		lina_plan_destroy(owners);
		lina_plan_destroy(placed);
	}
}

/* Only the difference is sent, and never by who has it not. */
static void moves_send_the_difference(void **state)
{
	static struct memory m;
	uint64_t random = 3;

	(void)state;
	for (int i = 0; i < RUNS; i++) {
		struct lina_plan_shape shape = case_shape(&random, 1 + i % DEVICES, 1);
		struct lina_plan *before = case_plan(&random, &shape);
		struct lina_plan *after = case_plan(&random, &shape);
		struct lina_spread_params params = random_params(&random);
		struct lina_spread_items items;
		struct lina_spread *spread;
		int moves;
		assert_int_equal(lina_spread_items_move(before, after, 0, BYTES, &items), 0);
		assert_int_equal(
			lina_spread_create(items.item, items.n, shape.ndevices, &params, &spread),
			0);
		assert_int_equal(lina_plan_moves(before, after, 0, &moves), 0);
		assert_int_equal(spread->total_bytes, (uint64_t)moves * BYTES);
		for (int d = 0; d < shape.ndevices; d++)
			for (int e = 0; e < shape.nexperts; e++)
				for (int u = 0; u < UNITS; u++)
					m.value[d][e][u] = on(before, 0, e, d);
		run(spread, &m);
		for (int d = 0; d < shape.ndevices; d++)
			for (int e = 0; e < shape.nexperts; e++)
				assert_true(!on(after, 0, e, d) || m.value[d][e][0] == 1);
		lina_spread_destroy(spread);
		lina_spread_items_free(&items);
		lina_plan_destroy(after);
		lina_plan_destroy(before);
	}
}

/* One owner, 7 devices: a chain sends each byte once from each device but the last, and takes as
 * many rounds as chunks and 6 more; a tree takes 3 rounds. */
static void a_chain_fills_links_and_a_tree_is_short(void **state)
{
	const int devices[] = { 1, 2, 3, 4, 5, 6, 7 };
	struct lina_spread_item item = { (size_t)1000 * UNIT, 0, devices, 7 };
	struct lina_spread_params params = { UNIT, 0, (size_t)10 * UNIT };
	struct lina_spread *spread;

	(void)state;
	assert_int_equal(lina_spread_create(&item, 1, 8, &params, &spread), 0);
	assert_int_equal(spread->nrounds, 100 + 6);
	assert_int_equal(spread->busiest_bytes, item.bytes);
	assert_int_equal(spread->total_bytes, 7 * item.bytes);
	lina_spread_destroy(spread);
	params.tree_bytes = item.bytes;
	assert_int_equal(lina_spread_create(&item, 1, 8, &params, &spread), 0);
	assert_int_equal(spread->nrounds, 3);
	assert_int_equal(spread->ntransfers, 7);
	lina_spread_destroy(spread);
}

/* Where every device has an expert for all others, whole experts keep all links busy; where one has
 * them all, parts of them do, but for the 3 % in which a chain fills. */
static void chunks_follow_from_the_load(void **state)
{
	enum { N = 4, EACH = 4, EXPERT_BYTES = 4 << 20 };
	static const int others[N][N - 1] = { { 1, 2, 3 }, { 2, 3, 0 }, { 3, 0, 1 }, { 0, 1, 2 } };
	struct lina_spread_params params = { UNIT, 0, 0 };
	struct lina_spread_item item[N * EACH];
	struct lina_spread *spread;

	(void)state;
	for (int i = 0; i < N * EACH; i++)
		item[i] = (struct lina_spread_item){ EXPERT_BYTES, i % N, others[i % N], N - 1 };
	for (int each = 1; each <= EACH; each++) {
		assert_int_equal(lina_spread_create(item, N * each, N, &params, &spread), 0);
		assert_int_equal(spread->nrounds, N - 1);
		assert_int_equal(spread->rounds_bytes, spread->busiest_bytes);
		assert_int_equal(
			spread->busiest_bytes, (uint64_t)((N - 1) * each) * (uint64_t)EXPERT_BYTES);
		lina_spread_destroy(spread);
	}
	for (int i = 0; i < N; i++)
		item[i] = (struct lina_spread_item){ EXPERT_BYTES, 0, others[0], N - 1 };
	assert_int_equal(lina_spread_create(item, N, N, &params, &spread), 0);
	assert_in_range(spread->nrounds, 40, 80);
	assert_true(spread->rounds_bytes > spread->busiest_bytes);
	assert_true((double)spread->rounds_bytes < 1.035 * (double)spread->busiest_bytes);
	lina_spread_destroy(spread);
}

static void what_cannot_be_is_refused(void **state)
{
	const int twice[] = { 1, 1 }, far[] = { 8 }, self[] = { 0 };
	struct lina_spread_params params = { UNIT, 0, 0 };
	struct lina_spread *spread = NULL;
	struct lina_spread_item item = { UNIT, 0, twice, 2 };
	struct lina_spread_items items;
	struct lina_plan_shape shape = { 1, 1, 2, 1, 1 };
	struct lina_plan *plan;
	int expert;

	(void)state;
	assert_int_equal(lina_spread_create(&item, 1, 8, &params, &spread), -EINVAL);
	item = (struct lina_spread_item){ UNIT, 0, far, 1 };
	assert_int_equal(lina_spread_create(&item, 1, 8, &params, &spread), -EINVAL);
	item = (struct lina_spread_item){ UNIT, 0, self, 1 };
	assert_int_equal(lina_spread_create(&item, 1, 8, &params, &spread), -EINVAL);
	item = (struct lina_spread_item){ UNIT + 1, 0, NULL, 0 };
	assert_int_equal(lina_spread_create(&item, 1, 8, &params, &spread), -EINVAL);
	assert_null(spread);
	assert_int_equal(lina_plan_create(&shape, &plan), 0);
	plan->expert[0] = plan->expert[1] = 0; /* two owners */
	assert_int_equal(lina_spread_items_share(plan, plan, 0, UNIT, &items, &expert), -EINVAL);
	assert_int_equal(expert, 0);
	assert_int_equal(lina_spread_items_share(plan, plan, 1, UNIT, &items, &expert), -EINVAL);
	assert_int_equal(expert, -1);
	lina_plan_destroy(plan);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_holder_gets_each_expert_once),
		cmocka_unit_test(owners_get_the_sum),
		cmocka_unit_test(moves_send_the_difference),
		cmocka_unit_test(a_chain_fills_links_and_a_tree_is_short),
		cmocka_unit_test(chunks_follow_from_the_load),
		cmocka_unit_test(what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
