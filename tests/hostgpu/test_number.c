/* The small floating-point formats, every value of them, against double arithmetic. */
#include "exec_number.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

struct format {
	int exponent, fraction, bias;
	bool infinities; /* else all ones are NaN, and what is too large becomes the largest */
	bool saturates;
	float (*get)(unsigned v);
	unsigned (*put)(float f);
};

static float get_f16(unsigned v)
{
	return f16_get((uint16_t)v);
}
static unsigned put_f16(float f)
{
	return f16_put(f);
}
static float get_bf16(unsigned v)
{
	return bf16_get((uint16_t)v);
}
static unsigned put_bf16(float f)
{
	return bf16_put(f);
}
static float get_f8e4m3(unsigned v)
{
	return f8e4m3_get((uint8_t)v);
}
static unsigned put_f8e4m3(float f)
{
	return f8e4m3_put(f);
}
static float get_f8e5m2(unsigned v)
{
	return f8e5m2_get((uint8_t)v);
}
static unsigned put_f8e5m2(float f)
{
	return f8e5m2_put(f);
}

static const struct format formats[] = {
	{ 5, 10, 15, true, false, get_f16, put_f16 },
	{ 8, 7, 127, true, false, get_bf16, put_bf16 },
	{ 4, 3, 7, false, true, get_f8e4m3, put_f8e4m3 },
	{ 5, 2, 15, true, true, get_f8e5m2, put_f8e5m2 },
};
enum { FORMATS = sizeof formats / sizeof *formats };

static double decoded(const struct format *f, unsigned v)
{
	unsigned ones = (1U << f->exponent) - 1, exponent = v >> f->fraction & ones;
	unsigned fraction = v & ((1U << f->fraction) - 1);
	double sign = v >> (f->exponent + f->fraction) & 1 ? -1 : 1;
	if (f->infinities && exponent == ones)
		return fraction ? NAN : sign * INFINITY;
	if (!f->infinities && exponent == ones && fraction == (1U << f->fraction) - 1)
		return NAN;
	int e = exponent ? (int)exponent : 1;
	unsigned whole = exponent ? 1U << f->fraction : 0;
	return sign * ldexp(whole + fraction, e - f->bias - f->fraction);
}

static unsigned count_of(const struct format *f)
{
	return 1U << (f->exponent + f->fraction + 1);
}

static void every_value_is_read(void **state)
{
	(void)state;
	for (int i = 0; i < FORMATS; i++)
		for (unsigned v = 0; v < count_of(&formats[i]); v++) {
			double want = decoded(&formats[i], v), got = formats[i].get(v);
			assert_true(isnan(want) ? isnan(got) : want == got);
			assert_true(isnan(want) || !signbit(want) == !signbit(got));
		}
}

/* Halfway between neighbours goes to the even one, and anything beside it to the nearer. */
static void every_gap_is_rounded(const struct format *f, unsigned largest)
{
	for (unsigned v = 0; v < largest; v++) {
		float low = f->get(v), high = f->get(v + 1);
		float middle = (float)(((double)low + (double)high) / 2);
		assert_int_equal(f->put(low), v);
		assert_int_equal(f->put(middle), v % 2 ? v + 1 : v);
		assert_int_equal(f->put(nextafterf(middle, 0)), v);
		assert_int_equal(f->put(nextafterf(middle, INFINITY)), v + 1);
		assert_int_equal(f->put(-middle), (v % 2 ? v + 1 : v) | count_of(f) / 2);
	}
}

static void every_value_is_rounded(void **state)
{
	static const unsigned largest[FORMATS] = { 0x7bff, 0x7f7f, 0x7e, 0x7b };
	(void)state;
	for (int i = 0; i < FORMATS; i++) {
		const struct format *f = &formats[i];
		unsigned over = f->saturates ? largest[i] : largest[i] + 1;
		every_gap_is_rounded(f, largest[i]);
		assert_int_equal(f->put(INFINITY), over);
		assert_int_equal(f->put(-INFINITY), over | count_of(f) / 2);
		assert_int_equal(f->put(3e38F), i == 1 ? 0x7f62 : over);
		assert_true(isnan(f->get(f->put(NAN))));
		assert_int_equal(f->put(-NAN), count_of(f) / 2 - 1);
	}
}

static void least_and_most(void **state)
{
	(void)state;
	assert_true(float_min(NAN, 2) == 2 && float_min(2, NAN) == 2 && isnan(float_min(NAN, NAN)));
	assert_true(float_max(NAN, 2) == 2 && float_max(2, NAN) == 2 && isnan(float_max(NAN, NAN)));
	assert_true(signbit(float_min(0.0F, -0.0F)) && signbit(float_min(-0.0F, 0.0F)));
	assert_true(!signbit(float_max(0.0F, -0.0F)) && !signbit(float_max(-0.0F, 0.0F)));
	assert_true(float_min(-1, 3) == -1 && float_max(-1, 3) == 3);
	assert_true(double_min(NAN, 2) == 2 && double_max(2, NAN) == 2);
	assert_true(signbit(double_min(0.0, -0.0)) && !signbit(double_max(-0.0, 0.0)));
	assert_true(double_min(3, -1) == -1 && double_max(3, -1) == 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_value_is_read),
		cmocka_unit_test(every_value_is_rounded),
		cmocka_unit_test(least_and_most),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
