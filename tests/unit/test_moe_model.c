#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "perf/moe_model.h"

#include <string.h>

static void sizes_are_divided_and_times_kept(void **state)
{
	const struct moe_preset *gpt2 = moe_preset_find("gpt2");
	struct moe_model model = moe_preset_model(gpt2, 25, 4);

	(void)state;
	assert_int_equal(model.nlayers, 12);
	assert_int_equal(model.peer_bytes, 252000);     /* 25.2 MB / 25 / 4 ranks */
	assert_int_equal(model.gradient_bytes, 453332); /* 136 MB / 25 / 12 layers, whole floats */
	assert_int_equal(model.bucket_bytes, 1000000);
	assert_float_equal(model.attention_ms, 1.61, 0.005);
	assert_float_equal(model.experts_ms, 2.01, 0.005);
	struct moe_model larger = moe_preset_model(gpt2, 5, 4);
	assert_int_equal(larger.peer_bytes, 5 * 252000);
	assert_float_equal(larger.experts_ms, model.experts_ms, 0);
}

static void every_preset_is_a_model_on_any_number_of_ranks(void **state)
{
	size_t npresets;
	const struct moe_preset *presets = moe_presets(&npresets);

	(void)state;
	for (size_t i = 0; i < npresets; i++) {
		assert_ptr_equal(moe_preset_find(presets[i].name), &presets[i]);
		struct moe_model model = moe_preset_model(&presets[i], 1e9, 64);
		assert_true(model.nlayers > 0);
		assert_true(model.peer_bytes >= sizeof(float));
		assert_int_equal(model.peer_bytes % sizeof(float), 0);
		assert_int_equal(model.gradient_bytes % sizeof(float), 0);
		assert_true(model.bucket_bytes >= sizeof(float));
		assert_true(model.attention_ms > 0 && model.experts_ms > 0);
	}
	assert_null(moe_preset_find("gpt"));
	assert_null(moe_preset_find(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_divided_and_times_kept),
		cmocka_unit_test(every_preset_is_a_model_on_any_number_of_ranks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
