#include "collectives/a2a_pack.h"

#include <string.h>

#include "collectives/a2a_layout.h"

void lina_pack_gather(void *dst, const void *src, size_t row_bytes, const uint32_t *row, size_t n)
{
	char *to = dst;
	const char *from = src;

	for (size_t i = 0; i < n; i++, to += row_bytes)
		if (row[i] == LINA_NO_ROW)
			memset(to, 0, row_bytes);
		else
			memcpy(to, from + row[i] * row_bytes, row_bytes);
}

/* ---- types ----------------------------------------------------------------------------------- */

static inline float float_of_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint32_t bits_of_float(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The exponent's bias differs by 112; a multiplication moves it and makes subnormal numbers normal.
 * What had the largest exponent, infinity and NaN, gets the largest again. */
static inline float half_to_float(uint16_t half)
{
	uint32_t magnitude = (uint32_t)(half & 0x7fff) << 13;
	uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0;
	float value = float_of_bits(magnitude) * 0x1p112f;

	return float_of_bits(bits_of_float(value) | special | (uint32_t)(half & 0x8000) << 16);
}

/* Rounding is left to an addition: of a number large enough that the last bit that is kept is its
 * last one. */
static inline uint16_t float_to_half(float value)
{
	uint32_t bits = bits_of_float(value), sign = bits >> 16 & 0x8000, result;

	bits &= 0x7fffffff;
	if (bits > 0x7f800000u)
		result = 0x7e00; /* NaN */
	else if (bits >= 0x477ff000u)
		result = 0x7c00; /* infinity: 65520 and above */
	else if (bits < 0x38800000u)
		result = bits_of_float(float_of_bits(bits) + 0.5f) - 0x3f000000u; /* subnormal */
	else
		result = (bits - 0x38000000u + 0xfff + (bits >> 13 & 1)) >> 13;
	return (uint16_t)(sign | result);
}

static inline float bfloat_to_float(uint16_t bfloat)
{
	return float_of_bits((uint32_t)bfloat << 16);
}

static inline uint16_t float_to_bfloat(float value)
{
	uint32_t bits = bits_of_float(value);

	if ((bits & 0x7fffffff) > 0x7f800000u)
		return (uint16_t)(bits >> 16 | 0x40); /* NaN, a quiet one */
	return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline float same_float(float value)
{
	return value;
}

static inline double same_double(double value)
{
	return value;
}

float lina_float_of_half(uint16_t half)
{
	return half_to_float(half);
}

uint16_t lina_half_of_float(float value)
{
	return float_to_half(value);
}

float lina_float_of_bfloat(uint16_t bfloat)
{
	return bfloat_to_float(bfloat);
}

uint16_t lina_bfloat_of_float(float value)
{
	return float_to_bfloat(value);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* As many elements at once as keep their sums in the nearest cache. */
enum { BLOCK = 1024 };

/* The same code for four types: C has no other word for that. `element` is as stored, `sum` as
 * added up; a type takes no parentheses. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define DEFINE_SUM(name, element, sum, load, store)                                            \
	static void sum_block_##name(element *dst, const element *src, size_t width, size_t n, \
		const struct lina_terms *terms, size_t i)                                      \
	{                                                                                      \
		sum acc[BLOCK];                                                                \
		for (size_t e = 0; e < n; e++)                                                 \
			acc[e] = 0;                                                            \
		for (uint32_t j = terms->begin[i]; j < terms->begin[i + 1]; j++) {             \
			const element *row = src + terms->row[j] * width;                      \
			sum weight = terms->weight[j];                                         \
			for (size_t e = 0; e < n; e++)                                         \
				acc[e] += weight * load(row[e]);                               \
		}                                                                              \
		for (size_t e = 0; e < n; e++)                                                 \
			dst[e] = store(acc[e]);                                                \
	}                                                                                      \
	static void sum_##name(element *dst, const element *src, size_t width,                 \
		const struct lina_terms *terms, size_t n)                                      \
	{                                                                                      \
		for (size_t i = 0; i < n; i++)                                                 \
			for (size_t e = 0; e < width; e += BLOCK)                              \
				sum_block_##name(dst + i * width + e, src + e, width,          \
					width - e < BLOCK ? width - e : BLOCK, terms, i);      \
	}                                                                                      \
	static void add_##name(element *total, const element *part, size_t n)                  \
	{                                                                                      \
		for (size_t e = 0; e < n; e++)                                                 \
			total[e] = store(load(total[e]) + load(part[e]));                      \
	}
/* NOLINTEND(bugprone-macro-parentheses) */

DEFINE_SUM(f16, uint16_t, float, half_to_float, float_to_half)
DEFINE_SUM(bf16, uint16_t, float, bfloat_to_float, float_to_bfloat)
DEFINE_SUM(f32, float, float, same_float, same_float)
DEFINE_SUM(f64, double, double, same_double, same_double)

void lina_pack_sum(void *dst, const void *src, enum lina_element element, size_t width,
	const struct lina_terms *terms, size_t n)
{
	switch (element) {
	case LINA_ELEMENT_F16:
		sum_f16(dst, src, width, terms, n);
		break;
	case LINA_ELEMENT_BF16:
		sum_bf16(dst, src, width, terms, n);
		break;
	case LINA_ELEMENT_F32:
		sum_f32(dst, src, width, terms, n);
		break;
	case LINA_ELEMENT_F64:
		sum_f64(dst, src, width, terms, n);
		break;
	case LINA_ELEMENT_OTHER:
		break;
	}
}

void lina_pack_add(void *sum, const void *part, enum lina_element element, size_t n)
{
	switch (element) {
	case LINA_ELEMENT_F16:
		add_f16(sum, part, n);
		break;
	case LINA_ELEMENT_BF16:
		add_bf16(sum, part, n);
		break;
	case LINA_ELEMENT_F32:
		add_f32(sum, part, n);
		break;
	case LINA_ELEMENT_F64:
		add_f64(sum, part, n);
		break;
	case LINA_ELEMENT_OTHER:
		break;
	}
}
