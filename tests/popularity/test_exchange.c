/* Placements in the formats of others, and traffic matrices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/exchange.h"
#include "collectives/plan_score.h"
#include "popularity/generated.h"

static const struct lina_plan_shape shape = {
	.nlayers = 3, .nexperts = 6, .ndevices = 4, .devices_per_node = 2, .slots_per_device = 2
};

/* Two slots beyond the experts, filled at random. */
static struct lina_plan *plan_make(uint64_t seed)
{
	struct lina_plan *plan;

	assert_int_equal(lina_plan_create(&shape, &plan), 0);
	for (int l = 0; l < shape.nlayers; l++) {
		int *experts = lina_plan_experts(plan, l);

		for (int s = 0; s < 8; s++)
			experts[s] = s < 6 ? s : (int)random_below(&seed, 6);
		for (int s = 7; s > 0; s--) {
			int other = (int)random_below(&seed, (uint64_t)s + 1), e = experts[s];

			experts[s] = experts[other];
			experts[other] = e;
		}
		lina_plan_share_evenly(plan, l);
	}
	return plan;
}

static void placements_come_back(void **state)
{
	static const enum lina_exchange_format formats[] = { LINA_EXCHANGE_EPLB,
		LINA_EXCHANGE_SGLANG, LINA_EXCHANGE_TRTLLM };
	const struct lina_exchange_shape given = { .ndevices = 4, .nnodes = 2 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct lina_plan *plan = plan_make((uint64_t)i), *back;
		struct lina_plan_text_fault fault = { 0 };
		size_t bytes, slot;
		char *text;

		assert_false(lina_exchange_loses_shares(plan));
		assert_int_equal(
			lina_exchange_encode(plan, formats[i], 3, &text, &bytes, &slot), 0);
		if (lina_exchange_decode(text, bytes, formats[i], &given, &back, &fault))
			fail_msg("%d:%d: %s", fault.line, fault.column, fault.text);
		assert_memory_equal(&back->shape, &shape, sizeof(shape));
		assert_memory_equal(back->expert, plan->expert, 24 * sizeof(int));
		assert_memory_equal(back->share, plan->share, 24 * sizeof(double));
		free(text);
		lina_plan_destroy(back);
		lina_plan_destroy(plan);
	}
}

static void texts_are_as_others_read_them(void **state)
{
	static const struct lina_plan_shape small = { 2, 2, 2, 1, 1 };
	struct lina_plan *plan;
	size_t bytes, slot;
	char *text;

	(void)state;
	assert_int_equal(lina_plan_create(&small, &plan), 0);
	memcpy(plan->expert, (const int[]){ 0, 1, 1, 0 }, 4 * sizeof(int));
	lina_plan_share_evenly(plan, 0);
	lina_plan_share_evenly(plan, 1);
	assert_int_equal(
		lina_exchange_encode(plan, LINA_EXCHANGE_EPLB, 0, &text, &bytes, &slot), 0);
	assert_string_equal(text, "[[0, 1],\n [1, 0]]\n");
	free(text);
	assert_int_equal(
		lina_exchange_encode(plan, LINA_EXCHANGE_SGLANG, 0, &text, &bytes, &slot), 0);
	assert_string_equal(text, "{\"physical_to_logical_map\": [[0, 1],\n [1, 0]]}\n");
	free(text);
	assert_int_equal(
		lina_exchange_encode(plan, LINA_EXCHANGE_TRTLLM, 3, &text, &bytes, &slot), 0);
	assert_string_equal(text, "num_slots: 2\ninitial_global_assignments:\n  3: [0, 1]\n"
				  "  4: [1, 0]\nlayer_updates_per_iter: 0\n");
	free(text);
	assert_int_equal(
		lina_exchange_encode(plan, LINA_EXCHANGE_NCCL_TESTS, 0, &text, &bytes, &slot),
		-EINVAL);
	plan->expert[3] = LINA_SLOT_EMPTY;
	assert_int_equal(
		lina_exchange_encode(plan, LINA_EXCHANGE_EPLB, 0, &text, &bytes, &slot), -ENOTSUP);
	assert_int_equal(slot, 3);
	lina_plan_destroy(plan);
}

static void uneven_shares_are_noticed(void **state)
{
	struct lina_plan *plan = plan_make(1);

	(void)state;
	plan->share[0] *= 0.5;
	assert_true(lina_exchange_loses_shares(plan));
	lina_plan_destroy(plan);
}

static void expect_fault(const char *text, enum lina_exchange_format format, const char *expected)
{
	const struct lina_exchange_shape given = { .ndevices = 2, .nnodes = 1 };
	struct lina_plan_text_fault fault = { 0 };
	struct lina_plan *plan;
	char out[256];

	assert_int_equal(
		lina_exchange_decode(text, strlen(text), format, &given, &plan, &fault), -EINVAL);
	(void)snprintf(out, sizeof(out), "%d:%d: %s", fault.line, fault.column, fault.text);
	assert_string_equal(out, expected);
}

static void faults_say_where(void **state)
{
	(void)state;
	expect_fault("[[0, 1],\n [1, 0]", LINA_EXCHANGE_EPLB, "2:7: ']' expected near end of file");
	expect_fault("[[0, 1], [1, 0, 1]]", LINA_EXCHANGE_EPLB,
		"0:0: layer 1: expected as many slots as in the others, not 3");
	expect_fault("[[0, \"x\"]]", LINA_EXCHANGE_EPLB,
		"0:0: layer 0, slot 1: expected an expert from 0 to 16383");
	expect_fault("[[0, 2]]", LINA_EXCHANGE_EPLB,
		"0:0: expected a slot at least for each of 3 experts");
	expect_fault("[[0, 2, 2, 0]]", LINA_EXCHANGE_EPLB, "0:0: layer 0: expert 1 has no slot");
	expect_fault("[[0, 1, 0]]", LINA_EXCHANGE_EPLB,
		"0:0: expected devices that divide 3 slots, and nodes that divide the devices, not "
		"2 and 1");
	expect_fault("[[0, 1]]", LINA_EXCHANGE_SGLANG,
		"1:1: expected \"physical_to_logical_map\": arrays of experts, one for each layer");
	expect_fault("initial_global_assignments:\n  0: [0, y]\n", LINA_EXCHANGE_TRTLLM,
		"2:10: expected an expert, a number");
	expect_fault("initial_global_assignments:\n  0: [0, 1]\n  0: [0, 1]\n",
		LINA_EXCHANGE_TRTLLM, "3:3: expected layers in ascending order");
	expect_fault("num_slots: 3\ninitial_global_assignments:\n  0: [0, 1]\n",
		LINA_EXCHANGE_TRTLLM, "1:12: expected num_slots as the layers have slots");
	expect_fault("num_slots: 3\n", LINA_EXCHANGE_TRTLLM,
		"1:1: expected initial_global_assignments: {layer: [expert of each slot]}");
	expect_fault("a: [0\n", LINA_EXCHANGE_TRTLLM, "2:1: did not find expected ',' or ']'");
}

/* --- traffic --- */

enum { TRAFFIC_LAYERS = 3, TRAFFIC_EXPERTS = 6, TRAFFIC_DEVICES = 4, TRAFFIC_DEVICES_PER_NODE = 2 };

/* What devices keep, send within their node, and to the other node; every row is a device's tokens.
 */
struct traffic {
	double local, within, between;
};

static void traffic_add(struct traffic *sum, int from, int to, double bytes)
{
	if (from == to)
		sum->local += bytes;
	else if (from / TRAFFIC_DEVICES_PER_NODE == to / TRAFFIC_DEVICES_PER_NODE)
		sum->within += bytes;
	else
		sum->between += bytes;
}

static struct traffic traffic_of(const double *bytes, double each)
{
	struct traffic sum = { 0 };

	for (int from = 0; from < TRAFFIC_DEVICES; from++) {
		double row = 0;

		for (int to = 0; to < TRAFFIC_DEVICES; to++) {
			row += bytes[TRAFFIC_DEVICES * from + to];
			traffic_add(&sum, from, to, bytes[TRAFFIC_DEVICES * from + to]);
		}
		assert_true(fabs(row - each) <= 1e-6 * each);
	}
	return sum;
}

static void traffic_is_as_scored(const struct lina_plan *plan, const struct lina_counts *counts,
	int layer, double token_bytes, const struct lina_layer_score *score)
{
	double each = lina_counts_sum(counts, layer) / TRAFFIC_DEVICES * token_bytes, *bytes;
	double slack = 1e-6 * TRAFFIC_DEVICES * each;

	assert_int_equal(lina_exchange_traffic(plan, counts, layer, token_bytes, &bytes), 0);
	struct traffic sum = traffic_of(bytes, each);
	assert_true(fabs(sum.local - score->local_bytes) <= slack);
	assert_true(fabs(sum.within - score->within_bytes) <= slack);
	assert_true(fabs(sum.between - score->between_bytes) <= slack);
	free(bytes);
}

/* What the matrix says in all is what the plan's score says. */
static void traffic_is_what_the_score_says(void **state)
{
	struct lina_score_input input = { .model = lina_score_model_default() };
	struct lina_fabric *fabric;
	struct lina_counts *counts;
	uint64_t random = 9;

	(void)state;
	assert_int_equal(lina_fabric_even(TRAFFIC_DEVICES, 300, 50, &fabric), 0);
	assert_int_equal(lina_counts_create(TRAFFIC_LAYERS, TRAFFIC_EXPERTS, &counts), 0);
	input.fabric = fabric;
	input.counts = counts;
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct lina_plan *plan = plan_make(seed);
		struct lina_layer_score layers[TRAFFIC_LAYERS];
		struct lina_plan_score score;

		for (int i = 0; i < TRAFFIC_LAYERS * TRAFFIC_EXPERTS; i++)
			counts->tokens[i] = (double)random_below(&random, 1000);
		assert_int_equal(lina_plan_score(plan, &input, layers, &score), 0);
		for (int l = 0; l < TRAFFIC_LAYERS; l++)
			traffic_is_as_scored(plan, counts, l, input.model.token_bytes, &layers[l]);
		lina_plan_destroy(plan);
	}
	lina_counts_destroy(counts);
	lina_fabric_destroy(fabric);
}

static void matrices_come_back(void **state)
{
	const double bytes[] = { 100, 200, 150, 50, 100, 75, 300, 150, 4503599627370496 };
	struct lina_plan_text_fault fault;
	double *back;
	size_t size;
	char *text;
	int n;

	(void)state;
	assert_int_equal(lina_exchange_matrix_encode(bytes, 3, &text, &size), 0);
	assert_string_equal(text, "100 200 150\n50 100 75\n300 150 4503599627370496\n");
	assert_int_equal(lina_exchange_matrix_decode(text, size, &back, &n, &fault), 0);
	assert_int_equal(n, 3);
	assert_memory_equal(back, bytes, sizeof(bytes));
	free(text);
	free(back);
}

static void expect_matrix_fault(const char *text, const char *expected)
{
	struct lina_plan_text_fault fault = { 0 };
	double *bytes;
	char out[256];
	int n;

	assert_int_equal(
		lina_exchange_matrix_decode(text, strlen(text), &bytes, &n, &fault), -EINVAL);
	(void)snprintf(out, sizeof(out), "%d:%d: %s", fault.line, fault.column, fault.text);
	assert_string_equal(out, expected);
}

static void matrices_that_are_not_square(void **state)
{
	(void)state;
	expect_matrix_fault("1 2\n3\n", "2:1: expected 2 rows of 2 numbers, not '3'");
	expect_matrix_fault("1 x\n", "1:3: expected a number of bytes, not 'x'");
	expect_matrix_fault("1 2\n", "2:1: expected 2 rows, as many as columns, but the text ends");
	expect_matrix_fault("1\n2\n", "2:1: expected 1 rows of 1 numbers, not '2'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(placements_come_back),
		cmocka_unit_test(texts_are_as_others_read_them),
		cmocka_unit_test(uneven_shares_are_noticed),
		cmocka_unit_test(faults_say_where),
		cmocka_unit_test(traffic_is_what_the_score_says),
		cmocka_unit_test(matrices_come_back),
		cmocka_unit_test(matrices_that_are_not_square),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
