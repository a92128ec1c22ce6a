/*
 * The small floating-point formats of CUDA, to and from float. All conversions to a small format
 * round to nearest, ties to even; all are branch-free selections that a compiler can vectorise.
 */
#ifndef HOSTGPU_EXEC_NUMBER_H
#define HOSTGPU_EXEC_NUMBER_H

#include <stdint.h>
#include <string.h>

static inline uint32_t float_bits(float f)
{
	uint32_t u;
	memcpy(&u, &f, sizeof u);
	return u;
}

static inline float float_of(uint32_t u)
{
	float f;
	memcpy(&f, &u, sizeof f);
	return f;
}

/* bfloat16: the upper half of a float. */
static inline float bf16_get(uint16_t v)
{
	return float_of((uint32_t)v << 16);
}

static inline uint16_t bf16_put(float f)
{
	uint32_t u = float_bits(f), rounded = (u + 0x7fff + (u >> 16 & 1)) >> 16;
	return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? 0x7fff : rounded);
}

/* IEEE half: 5 bits of exponent (bias 15), 10 of fraction. The factor moves the bias to 127. */
static inline float f16_get(uint16_t v)
{
	uint32_t magnitude = v & 0x7fffU, sign = (v & 0x8000U) << 16;
	uint32_t finite = float_bits(float_of(magnitude << 13) * 0x1p112F);
	uint32_t special = 0x7f800000 | magnitude << 13;
	return float_of(sign | (magnitude >= 0x7c00 ? special : finite));
}

static inline uint16_t f16_put(float f)
{
	uint32_t u = float_bits(f), magnitude = u & 0x7fffffff, sign = u >> 16 & 0x8000;
	/* Adding a number whose last bit is the format's smallest step makes the adder round. */
	uint32_t subnormal = float_bits(float_of(magnitude) + 0x1p-1F) - 0x3f000000;
	uint32_t normal = (magnitude - (112U << 23) + 0xfff + (magnitude >> 13 & 1)) >> 13;
	uint32_t h = magnitude < 0x38800000 ? subnormal : normal;
	h = magnitude >= 0x47800000 ? 0x7c00 : h;
	return (uint16_t)(magnitude > 0x7f800000 ? 0x7fff : h | sign);
}

/* e5m2: the upper half of an IEEE half. */
static inline float f8e5m2_get(uint8_t v)
{
	return f16_get((uint16_t)(v << 8));
}

/* e4m3: bias 7, no infinity, NaN is all ones. */
static inline float f8e4m3_get(uint8_t v)
{
	uint32_t magnitude = v & 0x7fU, sign = (v & 0x80U) << 24;
	uint32_t finite = float_bits(float_of(magnitude << 20) * 0x1p120F);
	return float_of(sign | (magnitude == 0x7f ? 0x7fc00000 : finite));
}

/*
 * What CUDA does for both: values beyond the largest finite one become that one (SATFINITE), NaN
 * loses its sign. bits: of the fraction; bias: of the exponent; largest: its encoding.
 */
static inline uint8_t f8_put(float f, int bits, int bias, uint32_t largest)
{
	uint32_t u = float_bits(f), magnitude = u & 0x7fffffff, sign = u >> 24 & 0x80;
	int drop = 23 - bits;
	uint32_t rebias = (uint32_t)(127 - bias) << 23;
	uint32_t magic = (uint32_t)(127 + 24 - bias - bits) << 23;
	uint32_t subnormal = float_bits(float_of(magnitude) + float_of(magic)) - magic;
	uint32_t half = (1U << (drop - 1)) - 1;
	uint32_t normal = (magnitude - rebias + half + (magnitude >> drop & 1)) >> drop;
	uint32_t h = magnitude < rebias + (1U << 23) ? subnormal : normal;
	h = h > largest ? largest : h;
	return (uint8_t)(magnitude > 0x7f800000 ? 0x7f : h | sign);
}

static inline uint8_t f8e4m3_put(float f)
{
	return f8_put(f, 3, 7, 0x7e);
}

static inline uint8_t f8e5m2_put(float f)
{
	return f8_put(f, 2, 15, 0x7b);
}

/* PTX's min and max: the other one where one is NaN, and -0 is less than +0. */
static inline float float_min(float a, float b)
{
	float least = float_bits(a) & 0x80000000 ? a : b; /* right where a == b */
	least = a < b ? a : b < a ? b : least;
	return a != a ? b : b != b ? a : least;
}

static inline float float_max(float a, float b)
{
	float most = float_bits(a) & 0x80000000 ? b : a;
	most = a > b ? a : b > a ? b : most;
	return a != a ? b : b != b ? a : most;
}

static inline double double_min(double a, double b)
{
	double least = __builtin_signbit(a) ? a : b;
	least = a < b ? a : b < a ? b : least;
	return a != a ? b : b != b ? a : least;
}

static inline double double_max(double a, double b)
{
	double most = __builtin_signbit(a) ? b : a;
	most = a > b ? a : b > a ? b : most;
	return a != a ? b : b != b ? a : most;
}

#endif
