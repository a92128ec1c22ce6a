#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "collectives/cost.h"

static const enum lina_coll outside = LINA_NCOLLS;

static void every_name_parses_to_itself(void **state)
{
	(void)state;
	for (int i = 0; i < LINA_NCOLLS; i++) {
		enum lina_coll coll = LINA_NCOLLS;
		assert_int_equal(lina_coll_parse(lina_coll_name((enum lina_coll)i), &coll), 0);
		assert_int_equal(coll, i);
	}
}

static void unknown_names_are_refused(void **state)
{
	static const char *const names[] = { "", "all", "allreduce ", "AllReduce", "alltoallv" };
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		enum lina_coll coll = LINA_COLL_REDUCE;
		assert_int_equal(lina_coll_parse(names[i], &coll), -EINVAL);
		assert_int_equal(coll, LINA_COLL_REDUCE);
	}
	assert_null(lina_coll_name(outside));
}

static void bus_factors_are_those_of_nccl_tests(void **state)
{
	static const struct {
		enum lina_coll coll;
		int nranks;
		double factor;
	} rows[] = {
		{ LINA_COLL_ALLREDUCE, 2, 1.0 },
		{ LINA_COLL_ALLREDUCE, 4, 1.5 },
		{ LINA_COLL_ALLREDUCE, 8, 1.75 },
		{ LINA_COLL_ALLGATHER, 4, 0.75 },
		{ LINA_COLL_REDUCE_SCATTER, 8, 0.875 },
		{ LINA_COLL_ALLTOALL, 2, 0.5 },
		{ LINA_COLL_ALLTOALL, 4, 0.75 },
		{ LINA_COLL_BROADCAST, 4, 1.0 },
		{ LINA_COLL_REDUCE, 4, 1.0 },
		{ LINA_COLL_SENDRECV, 2, 1.0 },
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_float_equal(
			lina_cost_bus_factor(rows[i].coll, rows[i].nranks), rows[i].factor, 1e-6);
}

static void nothing_crosses_a_link_without_a_peer(void **state)
{
	(void)state;
	for (int i = 0; i < LINA_NCOLLS; i++)
		for (int nranks = -1; nranks < 2; nranks++)
			assert_float_equal(
				lina_cost_bus_factor((enum lina_coll)i, nranks), 0.0, 0.0);
	assert_float_equal(lina_cost_bus_factor(outside, 4), 0.0, 0.0);
}

/* 4 ranks, 256 KiB to each: 768 KiB leave each rank, 6.29 ms at 1 Gbit/s. */
static void line_time_follows_from_bytes_and_rate(void **state)
{
	(void)state;
	assert_float_equal(lina_cost_link_bytes(LINA_COLL_ALLTOALL, 4, 1 << 20), 3 * 262144.0, 0.5);
	assert_float_equal(
		lina_cost_line_time_ns(LINA_COLL_ALLTOALL, 4, 1 << 20, 1000), 6291456.0, 0.5);
	assert_float_equal(lina_cost_line_time_ns(LINA_COLL_SENDRECV, 2, 125, 1), 1e6, 0.5);
	assert_float_equal(lina_cost_line_time_ns(LINA_COLL_ALLREDUCE, 4, 1 << 20, 0), 0.0, 0.0);
}

/* 64 GiB: sizes and times beyond 32 bits stay exact to a byte in a double. */
static void large_sizes_do_not_wrap(void **state)
{
	(void)state;
	double bytes = lina_cost_link_bytes(LINA_COLL_ALLREDUCE, 4, UINT64_C(64) << 30);
	assert_true(bytes == 1.5 * 68719476736.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_parses_to_itself),
		cmocka_unit_test(unknown_names_are_refused),
		cmocka_unit_test(bus_factors_are_those_of_nccl_tests),
		cmocka_unit_test(nothing_crosses_a_link_without_a_peer),
		cmocka_unit_test(line_time_follows_from_bytes_and_rate),
		cmocka_unit_test(large_sizes_do_not_wrap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
