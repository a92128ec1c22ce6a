/* Which ports a list chooses: the language of NCCL_IB_HCA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/hca_spec.h"

static void no_names_choose_all(void **state)
{
	(void)state;
	assert_true(lina_hca_match("", "mlx5_0", 1));
	assert_true(lina_hca_match("^", "mlx5_0", 1));
	assert_true(lina_hca_match("=", "mlx5_0", 2));
	assert_true(lina_hca_match(",,", "mlx5_0", 1));
}

static void names_are_prefixes(void **state)
{
	(void)state;
	assert_true(lina_hca_match("mlx5", "mlx5_0", 1));
	assert_true(lina_hca_match("rxe,mlx5_1", "mlx5_1", 2));
	assert_true(lina_hca_match("mlx5_1", "mlx5_10", 1));
	assert_false(lina_hca_match("mlx5_10", "mlx5_1", 1));
	assert_false(lina_hca_match("mlx4,rxe", "mlx5_1", 1));
}

static void equals_sign_asks_for_whole_names(void **state)
{
	(void)state;
	assert_true(lina_hca_match("=mlx5_1", "mlx5_1", 1));
	assert_false(lina_hca_match("=mlx5_1", "mlx5_10", 1));
	assert_true(lina_hca_match("=mlx5_1,mlx5_10", "mlx5_10", 1));
}

static void caret_leaves_out(void **state)
{
	(void)state;
	assert_false(lina_hca_match("^mlx5_1", "mlx5_1", 1));
	assert_false(lina_hca_match("^mlx5_1", "mlx5_10", 1));
	assert_true(lina_hca_match("^=mlx5_1", "mlx5_10", 1));
	assert_true(lina_hca_match("^rxe,mlx4", "mlx5_0", 1));
}

static void port_narrows_a_name(void **state)
{
	(void)state;
	assert_true(lina_hca_match("mlx5_0:2", "mlx5_0", 2));
	assert_false(lina_hca_match("mlx5_0:2", "mlx5_0", 1));
	assert_true(lina_hca_match("=mlx5_0:2", "mlx5_0", 2));
	assert_false(lina_hca_match("^=mlx5_0:1", "mlx5_0", 1));
	assert_true(lina_hca_match("^=mlx5_0:1", "mlx5_0", 2));
	assert_true(lina_hca_match("mlx5_0:2,mlx5_0:1", "mlx5_0", 1));
}

static void port_that_is_no_number_fits_none(void **state)
{
	(void)state;
	assert_false(lina_hca_match("mlx5_0:", "mlx5_0", 1));
	assert_false(lina_hca_match("mlx5_0:1x", "mlx5_0", 1));
	assert_false(lina_hca_match("mlx5_0:,mlx5_1", "mlx5_0", 1));
	assert_false(lina_hca_match("mlx5_0:99999999999999999999", "mlx5_0", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_names_choose_all),
		cmocka_unit_test(names_are_prefixes),
		cmocka_unit_test(equals_sign_asks_for_whole_names),
		cmocka_unit_test(caret_leaves_out),
		cmocka_unit_test(port_narrows_a_name),
		cmocka_unit_test(port_that_is_no_number_fits_none),
	};
	return cmocka_run_group_tests_name("hca_spec", tests, NULL, NULL);
}
