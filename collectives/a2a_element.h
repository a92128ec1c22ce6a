/*
 * Elements of rows as numbers, bit for bit the same on the processor and on a GPU, where all this
 * is compiled too (CUDA C++). Sums are computed in float, of doubles in double, and rounded once.
 */
#ifndef LINA_COLLECTIVES_A2A_ELEMENT_H
#define LINA_COLLECTIVES_A2A_ELEMENT_H

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define LINA_ANYWHERE static inline __host__ __device__
#else
#define LINA_ANYWHERE static inline
#endif

LINA_ANYWHERE float lina_float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

LINA_ANYWHERE uint32_t lina_bits_of_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The exponent's bias differs by 112; a multiplication moves it and makes subnormal numbers normal.
 * What had the largest exponent, infinity and NaN, gets the largest again. */
LINA_ANYWHERE float lina_half_to_float(uint16_t half)
{
	uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
	uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0;
	float value = lina_float_of_bits(magnitude) * 0x1p112f;

	return lina_float_of_bits(
		lina_bits_of_float(value) | special | (uint32_t)(half & 0x8000) << 16);
}

/* Rounding is left to an addition: of a number large enough that the last bit that is kept is its
 * last one. */
LINA_ANYWHERE uint16_t lina_float_to_half(float value)
{
	uint32_t bits = lina_bits_of_float(value), sign = bits >> 16 & 0x8000, result;

	bits &= 0x7fffffff;
	if (bits > 0x7f800000u)
		result = 0x7e00; /* NaN */
	else if (bits >= 0x477ff000u)
		result = 0x7c00; /* infinity: 65520 and above */
	else if (bits < 0x38800000u)
		result = lina_bits_of_float(lina_float_of_bits(bits) + 0.5f) -
			 0x3f000000u; /* subnormal */
	else
		result = (bits - 0x38000000u + 0xfff + (bits >> 13 & 1)) >> 13;
	return (uint16_t)(sign | result);
}

LINA_ANYWHERE float lina_bfloat_to_float(uint16_t bfloat)
{
	return lina_float_of_bits((uint32_t)bfloat << 16);
}

LINA_ANYWHERE uint16_t lina_float_to_bfloat(float value)
{
	uint32_t bits = lina_bits_of_float(value);

	if ((bits & 0x7fffffff) > 0x7f800000u)
		return (uint16_t)(bits >> 16 | 0x40); /* NaN, a quiet one */
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

LINA_ANYWHERE float lina_same_float(float value)
{
	return value;
}

LINA_ANYWHERE double lina_same_double(double value)
{
	return value;
}

/* The same code for each type of element that there are sums of: DO(name, as stored, as summed,
 * load, store). C has no other word for that. */
#define LINA_EACH_SUMMED(DO)                                                  \
	DO(f16, uint16_t, float, lina_half_to_float, lina_float_to_half)      \
	DO(bf16, uint16_t, float, lina_bfloat_to_float, lina_float_to_bfloat) \
	DO(f32, float, float, lina_same_float, lina_same_float)               \
	DO(f64, double, double, lina_same_double, lina_same_double)

#endif
