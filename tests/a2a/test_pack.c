/* Moving and summing rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "a2a/cases.h"
#include "collectives/a2a_layout.h"
#include "collectives/a2a_pack.h"

enum { ROWS = 50, WIDTH = 1500 };

static void rows_are_gathered(void **state)
{
	static char src[ROWS * 97], dst[ROWS * 97];
	uint32_t row[ROWS];
	uint64_t random = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (char)case_below(&random, 256);
	for (size_t bytes = 1; bytes <= 97; bytes += 8) {
		for (int i = 0; i < ROWS; i++)
			row[i] = i % 7 == 3 ? LINA_NO_ROW : (uint32_t)case_below(&random, ROWS);
		memset(dst, 0x55, sizeof(dst));
		lina_pack_gather(dst, src, bytes, row, ROWS);
		static const char zero[97];
		for (int i = 0; i < ROWS; i++)
			assert_memory_equal(dst + (size_t)i * bytes,
				row[i] == LINA_NO_ROW ? zero : src + row[i] * bytes, bytes);
	}
}

/* The value of a half by its definition: sign, 5 bits of exponent, 10 of fraction. */
static float half_twin(uint16_t half)
{
	int exponent = half >> 10 & 31, fraction = half & 1023;
	float value = exponent == 0 ? ldexpf((float)fraction, -24)
				    : ldexpf((float)(fraction + 1024), exponent - 25);

	if (exponent == 31)
		value = fraction ? NAN : INFINITY;
	return half & 0x8000 ? -value : value;
}

static void every_half_has_its_value(void **state)
{
	(void)state;
	for (uint32_t h = 0; h <= UINT16_MAX; h++) {
		float value = lina_float_of_half((uint16_t)h), twin = half_twin((uint16_t)h);
		if (isnan(twin)) {
			assert_true(isnan(value));
			assert_true(isnan(lina_float_of_half(lina_half_of_float(value))));
			continue;
		}
		assert_true(value == twin && signbit(value) == signbit(twin));
		assert_int_equal(lina_half_of_float(value), h);
	}
}

static float bfloat_twin(uint16_t b)
{
	return lina_float_of_bfloat(b);
}

/* No other value is nearer, and of two equally near ones the even one is taken. */
static void nearest(float value, uint16_t got, float (*of)(uint16_t))
{
	double error = fabs((double)of(got) - (double)value);

	for (int step = -1; step <= 1; step += 2) {
		uint16_t other = (uint16_t)(got + step);
		if (!isfinite(of(other)) || (got & 0x8000) != (other & 0x8000))
			continue;
		double other_error = fabs((double)of(other) - (double)value);
		assert_true(error < other_error || (error == other_error && got % 2 == 0));
	}
}

static void floats_are_rounded_to_the_nearest(void **state)
{
	uint64_t random = 2;

	(void)state;
	for (int i = 0; i < 300000; i++) {
		uint16_t h = (uint16_t)case_below(&random, 0x7c00);
		float low = half_twin(h), high = half_twin((uint16_t)(h + 1));
		/* Between two halves, often in the middle. */
		float value = isfinite(high)
				      ? low + (high - low) * (float)case_below(&random, 17) / 16
				      : low;
		uint16_t got = lina_half_of_float(i % 2 ? value : -value);
		nearest(i % 2 ? value : -value, got, half_twin);
		float any = ldexpf(
			(float)case_below(&random, 1 << 24), (int)case_below(&random, 200) - 100);
		nearest(any, lina_bfloat_of_float(any), bfloat_twin);
	}
	assert_int_equal(lina_half_of_float(65519.996f), 0x7bff);
	assert_int_equal(lina_half_of_float(65520), 0x7c00);
	assert_int_equal(lina_half_of_float(-1e30f), 0xfc00);
	assert_true(isinf(lina_float_of_bfloat(lina_bfloat_of_float(3.4e38f))));
	assert_true(isnan(lina_float_of_bfloat(lina_bfloat_of_float(NAN))));
}

struct sums {
	uint32_t begin[ROWS + 1], row[ROWS * 4];
	float weight[ROWS * 4];
};

static struct lina_terms sums_fill(struct sums *sums, uint64_t *random)
{
	uint32_t n = 0;

	for (int i = 0; i < ROWS; i++) {
		sums->begin[i] = n;
		for (uint64_t k = case_below(random, 5); k > 0; k--) {
			sums->row[n] = (uint32_t)case_below(random, ROWS);
			sums->weight[n++] = (float)case_below(random, 1000) / 1000;
		}
	}
	sums->begin[ROWS] = n;
	return (struct lina_terms){ sums->begin, sums->row, sums->weight };
}

static const size_t bytes_of[] = { 2, 2, 4, 8 };

static double load(enum lina_element element, const void *array, size_t i)
{
	switch (element) {
	case LINA_ELEMENT_F16:
		return (double)lina_float_of_half(((const uint16_t *)array)[i]);
	case LINA_ELEMENT_BF16:
		return (double)lina_float_of_bfloat(((const uint16_t *)array)[i]);
	case LINA_ELEMENT_F32:
		return (double)((const float *)array)[i];
	default:
		return ((const double *)array)[i];
	}
}

static void store(enum lina_element element, void *array, size_t i, float value)
{
	if (element == LINA_ELEMENT_F16)
		((uint16_t *)array)[i] = lina_half_of_float(value);
	else if (element == LINA_ELEMENT_BF16)
		((uint16_t *)array)[i] = lina_bfloat_of_float(value);
	else if (element == LINA_ELEMENT_F32)
		((float *)array)[i] = value;
	else
		((double *)array)[i] = (double)value;
}

/* In double, and then as far off as rounding once and adding up in float may be. */
static void rows_are_summed(void **state)
{
	static const double tolerance[] = { 0x1p-11, 0x1p-8, 0x1p-22, 0x1p-50 };
	static uint64_t src[ROWS * WIDTH], dst[ROWS * WIDTH + 1];
	static struct sums sums;
	uint64_t random = 3;

	(void)state;
	for (int e = LINA_ELEMENT_F16; e <= LINA_ELEMENT_F64; e++) {
		struct lina_terms terms = sums_fill(&sums, &random);
		size_t width = e % 2 ? WIDTH : 1030;
		for (size_t i = 0; i < ROWS * width; i++)
			store((enum lina_element)e, src, i, (float)case_below(&random, 1000) / 100);
		memset(dst, 0xff, sizeof(dst));
		lina_pack_sum(dst, src, (enum lina_element)e, width, &terms, ROWS);
		for (size_t i = 0; i < ROWS * width; i++) {
			double sum = 0;
			for (uint32_t j = terms.begin[i / width]; j < terms.begin[i / width + 1];
				j++)
				sum += (double)terms.weight[j] *
				       load((enum lina_element)e, src,
					       terms.row[j] * width + i % width);
			double got = load((enum lina_element)e, dst, i);
			assert_true(fabs(got - sum) <= sum * tolerance[e] + 1e-7 * (e < 3));
		}
		assert_int_equal(((const unsigned char *)dst)[ROWS * width * bytes_of[e]], 0xff);
	}
}

static void rows_are_added(void **state)
{
	uint64_t a[8], b[8];

	(void)state;
	for (int e = LINA_ELEMENT_F16; e <= LINA_ELEMENT_F64; e++) {
		for (size_t i = 0; i < 8; i++) {
			store((enum lina_element)e, a, i, (float)i);
			store((enum lina_element)e, b, i, (float)i / 2);
		}
		lina_pack_add(a, b, (enum lina_element)e, 7);
		for (size_t i = 0; i < 8; i++)
			assert_true(load((enum lina_element)e, a, i) ==
				    (i < 7 ? 1.5 * (double)i : (double)i));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_gathered),
		cmocka_unit_test(every_half_has_its_value),
		cmocka_unit_test(floats_are_rounded_to_the_nearest),
		cmocka_unit_test(rows_are_summed),
		cmocka_unit_test(rows_are_added),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
