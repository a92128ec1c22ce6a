#include "collectives/a2a_pack.h"

#include <string.h>

#include "collectives/a2a_element.h"

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

float lina_float_of_half(uint16_t half)
{
	return lina_half_to_float(half);
}

uint16_t lina_half_of_float(float value)
{
	return lina_float_to_half(value);
}

float lina_float_of_bfloat(uint16_t bfloat)
{
	return lina_bfloat_to_float(bfloat);
}

uint16_t lina_bfloat_of_float(float value)
{
	return lina_float_to_bfloat(value);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* As many elements at once as keep their sums in the nearest cache. */
enum { BLOCK = 1024 };

/* `element` is as stored, `sum` as added up; a type takes no parentheses. */
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

LINA_EACH_SUMMED(DEFINE_SUM)

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
