/* Which ports a list chooses: the language of NCCL_IB_HCA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/hca_spec.h"

static bool match(const char *spec, const char *device, int port)
{
	struct lina_hca_place place;

	return lina_hca_match(spec, device, port, &place);
}

static void no_names_choose_all(void **state)
{
	(void)state;
	assert_true(match("", "mlx5_0", 1));
	assert_true(match("^", "mlx5_0", 1));
	assert_true(match("=", "mlx5_0", 2));
	assert_true(match(",,", "mlx5_0", 1));
}

static void names_are_prefixes(void **state)
{
	(void)state;
	assert_true(match("mlx5", "mlx5_0", 1));
	assert_true(match("rxe,mlx5_1", "mlx5_1", 2));
	assert_true(match("mlx5_1", "mlx5_10", 1));
	assert_false(match("mlx5_10", "mlx5_1", 1));
	assert_false(match("mlx4,rxe", "mlx5_1", 1));
}

static void equals_sign_asks_for_whole_names(void **state)
{
	(void)state;
	assert_true(match("=mlx5_1", "mlx5_1", 1));
	assert_false(match("=mlx5_1", "mlx5_10", 1));
	assert_true(match("=mlx5_1,mlx5_10", "mlx5_10", 1));
}

static void caret_leaves_out(void **state)
{
	(void)state;
	assert_false(match("^mlx5_1", "mlx5_1", 1));
	assert_false(match("^mlx5_1", "mlx5_10", 1));
	assert_true(match("^=mlx5_1", "mlx5_10", 1));
	assert_true(match("^rxe,mlx4", "mlx5_0", 1));
}

static void port_narrows_a_name(void **state)
{
	(void)state;
	assert_true(match("mlx5_0:2", "mlx5_0", 2));
	assert_false(match("mlx5_0:2", "mlx5_0", 1));
	assert_true(match("=mlx5_0:2", "mlx5_0", 2));
	assert_false(match("^=mlx5_0:1", "mlx5_0", 1));
	assert_true(match("^=mlx5_0:1", "mlx5_0", 2));
	assert_true(match("mlx5_0:2,mlx5_0:1", "mlx5_0", 1));
}

static void port_that_is_no_number_fits_none(void **state)
{
	(void)state;
	assert_false(match("mlx5_0:1x", "mlx5_0", 1));
	assert_false(match("mlx5_0:x,mlx5_1", "mlx5_0", 1));
	assert_false(match("mlx5_0:-1", "mlx5_0", 1));
	assert_false(match("mlx5_0:99999999999999999999", "mlx5_0", 1));
}

static void place_is(const char *spec, int port, int rail, int plane)
{
	struct lina_hca_place place = { 99, 99 };

	assert_true(lina_hca_match(spec, "mlx5_0", port, &place));
	assert_int_equal(place.rail, rail);
	assert_int_equal(place.plane, plane);
}

/* NCCL 2.30: the port's rail and plane. */
static void rail_and_plane_come_after_the_port(void **state)
{
	(void)state;
	place_is("", 1, LINA_HCA_UNSET, LINA_HCA_UNSET);
	place_is("mlx5_0:1", 1, LINA_HCA_UNSET, LINA_HCA_UNSET);
	place_is("mlx5_0:1:3", 1, 3, LINA_HCA_UNSET);
	place_is("mlx5_1:1:4:5,=mlx5:1:6,mlx5_0:1:3:0", 1, 3, 0);
	place_is("mlx5_0:::1", 2, LINA_HCA_UNSET, 1);
	place_is("mlx5_0::2:", 2, 2, LINA_HCA_UNSET);
	place_is("mlx5_0:", 2, LINA_HCA_UNSET, LINA_HCA_UNSET);
	place_is("mlx5_0:2:1,mlx5_0:1:7", 1, 7, LINA_HCA_UNSET);
	place_is("mlx5_0:1:32767:13", 1, 32767, 13);
}

static void place_that_is_none_fits_none(void **state)
{
	(void)state;
	assert_false(match("mlx5_0:1:x", "mlx5_0", 1));
	assert_false(match("mlx5_0:1:32768", "mlx5_0", 1));
	assert_false(match("mlx5_0:1:1:14", "mlx5_0", 1));
	assert_false(match("mlx5_0:1:-1", "mlx5_0", 1));
	assert_false(match("mlx5_0:1:1:1:1", "mlx5_0", 1));
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
		cmocka_unit_test(rail_and_plane_come_after_the_port),
		cmocka_unit_test(place_that_is_none_fits_none),
	};
	return cmocka_run_group_tests_name("hca_spec", tests, NULL, NULL);
}
