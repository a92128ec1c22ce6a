/*
 * Moving and summing rows in memory that the processor reads: what the all-to-all does before it
 * sends and after it has received. Pure; any thread.
 */
#ifndef LINA_COLLECTIVES_A2A_PACK_H
#define LINA_COLLECTIVES_A2A_PACK_H

#include <stddef.h>
#include <stdint.h>

/* What a row is made of. Sums are computed in float, of doubles in double, and rounded once to the
 * nearest, ties to even. Of other types there are no sums. */
enum lina_element {
	LINA_ELEMENT_F16,
	LINA_ELEMENT_BF16,
	LINA_ELEMENT_F32,
	LINA_ELEMENT_F64,
	LINA_ELEMENT_OTHER
};

/* In place of a row: none, a pair that was dropped. */
#define LINA_NO_ROW UINT32_MAX

/* dst[i] = src[row[i]] for i < n, rows of row_bytes each; 0 where row[i] is LINA_NO_ROW. dst and
 * src do not overlap. */
void lina_pack_gather(void *dst, const void *src, size_t row_bytes, const uint32_t *row, size_t n);

/* dst[i] = the sum over j from begin[i] to begin[i + 1] - 1 of weight[j] * src[row[j]], for i < n;
 * rows of `width` elements. dst and src do not overlap. */
struct lina_terms {
	const uint32_t *begin; /* [n + 1] */
	const uint32_t *row;
	const float *weight;
};
void lina_pack_sum(void *dst, const void *src, enum lina_element element, size_t width,
	const struct lina_terms *terms, size_t n);

/* sum[i] += part[i] for n elements. */
void lina_pack_add(void *sum, const void *part, enum lina_element element, size_t n);

/* Halves and floats, bit for bit. */
float lina_float_of_half(uint16_t half);
uint16_t lina_half_of_float(float value);
float lina_float_of_bfloat(uint16_t bfloat);
uint16_t lina_bfloat_of_float(float value);

#endif
