#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf/order.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int read_text(const char *text, struct order **order_p, struct order_error *error_p)
{
	char copy[1024];

	assert_true(strlen(text) < sizeof(copy));
	memcpy(copy, text, strlen(text) + 1);
	FILE *file = fmemopen(copy, strlen(copy), "r");
	assert_non_null(file);
	int err = order_read(file, order_p, error_p);
	fclose(file);
	return err;
}

static void an_order_is_read(void **state)
{
	struct order_error error;
	struct order *order;

	(void)state;
	assert_int_equal(read_text("# of a step\n"
				   "link 400000 # Mbit/s\n\n"
				   "group A\ngroup B_1\n"
				   "\tcompute 1.25\r\n"
				   "alltoall B_1 1000\n"
				   "all_gather A 8 beside\n"
				   "reduce_scatter A 16 beside\n"
				   "wait A\n"
				   "all_reduce A 4",
				 &order, &error),
		0);
	assert_int_equal(order->link_mbps, 400000);
	assert_int_equal(order->ngroups, 2);
	assert_string_equal(order->group[1], "B_1");
	static const struct order_op want[] = {
		{ ORDER_COMPUTE, 0, 0, 1.25, false },
		{ ORDER_ALLTOALL, 1, 1000, 0, false },
		{ ORDER_ALL_GATHER, 0, 8, 0, true },
		{ ORDER_REDUCE_SCATTER, 0, 16, 0, true },
		{ ORDER_WAIT, 0, 0, 0, false },
		{ ORDER_ALL_REDUCE, 0, 4, 0, false },
	};
	assert_int_equal(order->nops, sizeof(want) / sizeof(*want));
	for (int i = 0; i < order->nops; i++) {
		assert_int_equal(order->op[i].kind, want[i].kind);
		assert_int_equal(order->op[i].group, want[i].group);
		assert_int_equal(order->op[i].bytes, want[i].bytes);
		assert_float_equal(order->op[i].ms, want[i].ms, 0);
		assert_int_equal(order->op[i].beside, want[i].beside);
	}
	order_free(order);
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
	static const struct {
		const char *text;
		int line, column;
		const char *says;
	} wrong[] = {
		{ "", 0, 1, "no link" },
		{ "link 1\n", 1, 1, "nothing to do" },
		{ "link 0\n", 1, 6, "'0' is not a number from 1" },
		{ "link 1\nlink 2\n", 2, 1, "a second link" },
		{ "link 1 2\n", 1, 1, "one word" },
		{ "group a/b\n", 1, 7, "no /" },
		{ "group a\n group a\n", 2, 8, "a second group 'a'" },
		{ "group\n", 1, 1, "its name" },
		{ "  broadcast a 4\n", 1, 3, "'broadcast' is no word" },
		{ "alltoall a 4\n", 1, 10, "there is no group 'a'" },
		{ "group a\nalltoall a 0\n", 2, 12, "'0' is not a number from 1 to 1099511627776" },
		{ "group a\nalltoall a -1\n", 2, 12, "'-1' is not a number" },
		{ "group a\nalltoall a 99999999999999999999\n", 2, 12, "is not a number" },
		{ "group a\nalltoall a 4 besides\n", 2, 14, "'beside' or nothing" },
		{ "group a\nalltoall a 4 beside beside\n", 2, 14, "'beside' or nothing" },
		{ "group a\nwait a beside\n", 2, 8, "a group" },
		{ "compute 1ms\n", 1, 9, "'1ms' is not a time" },
		{ "compute -1\n", 1, 9, "'-1' is not a time" },
		{ "compute 1e9\n", 1, 9, "is not a time" },
		{ "compute\n", 1, 1, "milliseconds" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct order_error error = { 0 };
		struct order *order = NULL;
		const char *text = wrong[i].text[0] != '\0' ? wrong[i].text : "#";
		assert_int_equal(read_text(text, &order, &error), -EINVAL);
		assert_null(order);
		if (strstr(error.text, wrong[i].says) == NULL)
			fail_msg("%s: '%s'", wrong[i].text, error.text);
		assert_int_equal(error.line, wrong[i].text[0] != '\0' ? wrong[i].line : 1);
		assert_int_equal(error.column, wrong[i].column);
	}
}

static void a_line_that_is_too_long_is_refused(void **state)
{
	char text[400];
	struct order_error error;
	struct order *order;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(read_text(text, &order, &error), -EINVAL);
	assert_string_equal(error.text, "longer than 254 characters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_order_is_read),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(a_line_that_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
