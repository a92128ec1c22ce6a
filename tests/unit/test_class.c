/* The classes of NCCL's operations, and the count of what was sent by operation and class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "plugin/traffic.h"
#include "priority/class.h"

/* NCCL's numbers, from its ncclFunc_t. */
static void each_bit_is_one_operation(void **state)
{
	static const struct {
		int bit;
		const char *name, *cls;
	} rows[] = {
		{ 0, "broadcast", "bulk" },
		{ 1, "reduce", "bulk" },
		{ 2, "allgather", "bulk" },
		{ 3, "reducescatter", "bulk" },
		{ 4, "allreduce", "bulk" },
		{ 5, "sendrecv", "latency" },
		{ 6, "send", "latency" },
		{ 7, "recv", "latency" },
		{ 8, "alltoall", "latency" },
		{ 9, "scatter", "latency" },
		{ 10, "gather", "latency" },
		{ 11, "allgatherv", "bulk" },
	};

	(void)state;
	assert_int_equal(LINA_NOPS_NCCL, sizeof(rows) / sizeof(*rows));
	for (size_t i = 0; i < LINA_NOPS_NCCL; i++) {
		int op = lina_op_of_mask(UINT32_C(1) << rows[i].bit);
		assert_int_equal(op, rows[i].bit);
		assert_string_equal(lina_op_name((enum lina_op)op), rows[i].name);
		assert_string_equal(
			lina_class_name(lina_class_of_op((enum lina_op)op)), rows[i].cls);
	}
}

static void other_masks_are_no_operation(void **state)
{
	(void)state;
	assert_int_equal(lina_op_of_mask(0), -EINVAL);
	assert_int_equal(lina_op_of_mask(UINT32_MAX), -EINVAL); /* as at connect time */
	assert_int_equal(lina_op_of_mask(0x140), -EINVAL);
	assert_int_equal(lina_op_of_mask(UINT32_C(1) << LINA_NOPS_NCCL), -EINVAL);
	assert_null(lina_op_name(LINA_NOPS));
	assert_null(lina_class_name(LINA_NCLASSES));
	assert_int_equal(lina_class_of_op(LINA_NOPS), LINA_CLASS_BULK);
}

/* As NCCL's profiler names its functions. */
static void operations_are_found_by_name(void **state)
{
	(void)state;
	assert_int_equal(lina_op_named("AlltoAll"), LINA_OP_ALLTOALL);
	assert_int_equal(lina_op_named("SendRecv"), LINA_OP_SENDRECV);
	assert_int_equal(lina_op_named("allgather"), LINA_OP_ALLGATHER);
	assert_int_equal(lina_op_named("AllGatherV"), LINA_OP_ALLGATHERV);
	assert_int_equal(lina_op_named("Invalid"), -EINVAL);
	assert_int_equal(lina_op_named("AllReduce "), -EINVAL);
	assert_int_equal(lina_op_named(""), -EINVAL);
	assert_int_equal(lina_class_of_op(LINA_OP_COLLECTIVE), LINA_CLASS_BULK);
	assert_string_equal(lina_op_name(LINA_OP_COLLECTIVE), "collective");
}

static void traffic_is_counted_by_operation_and_class(void **state)
{
	struct lina_traffic traffic = { 0 };
	char text[256], small[16];

	(void)state;
	assert_string_equal(lina_traffic_text(&traffic, text, sizeof(text)), "nothing");
	lina_traffic_add(&traffic, LINA_OP_ALLTOALL, LINA_CLASS_LATENCY, 0);
	lina_traffic_add(&traffic, LINA_OP_ALLTOALL, LINA_CLASS_LATENCY, (size_t)5 << 32);
	lina_traffic_add(&traffic, LINA_OP_ALLTOALL, LINA_CLASS_BULK, 3);
	lina_traffic_add(&traffic, -EINVAL, LINA_CLASS_BULK, 7);
	lina_traffic_add(&traffic, LINA_NOPS + 3, LINA_CLASS_BULK, 1);
	assert_string_equal(lina_traffic_text(&traffic, text, sizeof(text)),
		"alltoall 2 messages 21474836480 bytes (latency), alltoall 1 messages 3 bytes "
		"(bulk), "
		"unnamed 2 messages 8 bytes (bulk)");
	assert_string_equal(lina_traffic_text(&traffic, small, sizeof(small)), "alltoall 2 mess");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bit_is_one_operation),
		cmocka_unit_test(other_masks_are_no_operation),
		cmocka_unit_test(operations_are_found_by_name),
		cmocka_unit_test(traffic_is_counted_by_operation_and_class),
	};

	return cmocka_run_group_tests_name("class", tests, NULL, NULL);
}
