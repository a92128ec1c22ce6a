#include "a2a/cuda/pack_case.h"

#include <string.h>

#include "a2a/cases.h"

static size_t element_bytes(enum lina_element element)
{
	return element == LINA_ELEMENT_F64 ? 8 : element == LINA_ELEMENT_F32 ? 4 : 2;
}

/* Places in random order. */
static void shuffle(uint32_t *to, uint64_t *random)
{
	for (uint32_t i = 0; i < PACK_CASE_ROWS; i++)
		to[i] = i;
	for (uint32_t i = PACK_CASE_ROWS - 1; i > 0; i--) {
		uint32_t j = (uint32_t)case_below(random, i + 1), other = to[j];
		to[j] = to[i];
		to[i] = other;
	}
}

/* Numbers of many sizes, some below what a half has as normal ones. */
static void fill(char *bytes, enum lina_element element, uint64_t *random)
{
	for (size_t i = 0; i < PACK_CASE_BYTES; i += element_bytes(element)) {
		double value = ((double)case_below(random, 2001) - 1000) /
			       (double)(UINT64_C(1) << case_below(random, 30));
		float f = (float)value;
		uint16_t half = element == LINA_ELEMENT_F16 ? lina_half_of_float(f)
							    : lina_bfloat_of_float(f);
		const void *from = element == LINA_ELEMENT_F64   ? (const void *)&value
				   : element == LINA_ELEMENT_F32 ? (const void *)&f
								 : (const void *)&half;
		memcpy(bytes + i, from, element_bytes(element));
	}
}

void pack_case_make(struct pack_case *c, uint64_t *random)
{
	size_t unit;

	*c = (struct pack_case){ .element = (enum lina_element)case_below(
					 random, PACK_CASE_NELEMENTS) };
	unit = element_bytes(c->element);
	c->n = (uint32_t)case_below(random, PACK_CASE_ROWS + 1);
	c->width = (1 + case_below(random, 12)) * (case_below(random, 2) ? 16 / unit : 1);
	c->row_bytes = c->width * unit;
	c->at = unit * case_below(random, 2) * (16 / unit - 1);
	fill(c->src, c->element, random);
	fill(c->dst, c->element, random);
	shuffle(c->to, random);
	for (uint32_t i = 0; i < PACK_CASE_TERMS; i++) {
		c->row[i] = (uint32_t)case_below(random, PACK_CASE_ROWS);
		c->weight[i] = (float)case_below(random, 1000) / 999;
	}
	for (uint32_t i = 0; i < c->n; i++)
		c->begin[i + 1] = c->begin[i] + (uint32_t)case_below(random, 5);
}

struct lina_gather pack_case_gather(const struct pack_case *c, struct pack_case *memory)
{
	return (struct lina_gather){ memory->dst + c->at, memory->src + c->at, c->row_bytes,
		&memory->n, memory->to, memory->row };
}

struct lina_sum pack_case_sum(const struct pack_case *c, struct pack_case *memory)
{
	return (struct lina_sum){ memory->dst + c->at, memory->src + c->at, c->element, c->width,
		&memory->n, memory->to, memory->begin, memory->row, memory->weight };
}

struct lina_add pack_case_add(const struct pack_case *c, struct pack_case *memory)
{
	return (struct lina_add){ memory->dst + c->at, memory->src + c->at, c->element,
		c->n * c->width };
}

void pack_case_gathered(const struct pack_case *c, struct pack_case *out_p)
{
	*out_p = *c;
	for (uint32_t i = 0; i < c->n; i++)
		lina_pack_gather(out_p->dst + c->at + c->to[i] * c->row_bytes, c->src + c->at,
			c->row_bytes, &c->row[i], 1);
}

void pack_case_summed(const struct pack_case *c, struct pack_case *out_p)
{
	*out_p = *c;
	for (uint32_t i = 0; i < c->n; i++) {
		struct lina_terms terms = { &c->begin[i], c->row, c->weight };
		lina_pack_sum(out_p->dst + c->at + c->to[i] * c->row_bytes, c->src + c->at,
			c->element, c->width, &terms, 1);
	}
}

void pack_case_added(const struct pack_case *c, struct pack_case *out_p)
{
	*out_p = *c;
	lina_pack_add(out_p->dst + c->at, c->src + c->at, c->element, c->n * c->width);
}
