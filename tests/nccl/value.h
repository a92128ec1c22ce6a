/*
 * NCCL's data types and reduction operations as plain arithmetic, one element at a time: what the
 * results of NCCL are compared with. Nothing here knows how NCCL or a device computes.
 */
#ifndef LINA_TESTS_NCCL_VALUE_H
#define LINA_TESTS_NCCL_VALUE_H

#include <nccl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum value_kind { VALUE_SIGNED, VALUE_UNSIGNED, VALUE_FLOAT };

struct value_type {
	const char *name;
	ncclDataType_t nccl;
	enum value_kind kind;
	size_t bytes;
	int fraction_bits, exponent_bits; /* of a float */
};

/* OP_NONE stands for collectives that only move data. */
enum value_op {
	OP_NONE,
	OP_SUM,
	OP_PROD,
	OP_MIN,
	OP_MAX,
	OP_AVG,
	OP_PREMUL_HOST,   /* pre-multiplied sum, the scalar in host memory when it is made */
	OP_PREMUL_DEVICE, /* the same, the scalar in device memory when it is used */
	NOPS
};
extern const char *const value_op_names[NOPS];

/* All types that this release of NCCL has. */
extern const struct value_type value_types[];
extern const int value_ntypes;

/* An element is the low bytes of a uint64_t, as a little-endian machine stores it. */
uint64_t value_load(const struct value_type *type, const void *at);
void value_store(const struct value_type *type, void *at, uint64_t bits);

/* A float's value; a float from a value, to nearest even. Finite values only. */
double value_decode(const struct value_type *type, uint64_t bits);
uint64_t value_encode(const struct value_type *type, double value);

/* The input of one rank at one draw of the random number r: chosen so that the result over nranks
 * ranks is exact in every order of evaluation, wherever the type allows that:
 *   no reduction             any bits
 *   integers                 any bits, for arithmetic modulo 2^n is exact; for the average, values
 *                            whose sum does not overflow
 *   float sum, average, pre-multiplied sum   integers of at most 2^p / nranks (p: precision), so
 * that no partial sum needs more than p bits; scaled by a power of two float product            -2,
 * -1, -0.5, 0.5, 1, 2, and -1, 1 from rank 8 on, for range minimum, maximum         any finite
 * value but -0, which may or may not equal 0 The one exception is value_bound()'s. */
uint64_t value_draw(
	const struct value_type *type, enum value_op op, int rank, int nranks, uint64_t r);

/* The scalar of a pre-multiplied sum: 0.5 (a negative one would make zeros of either sign), or an
 * odd number. */
uint64_t value_scalar(const struct value_type *type);

/* The result over the ranks' inputs. */
uint64_t value_reduce(
	const struct value_type *type, enum value_op op, const uint64_t *inputs, int nranks);

/* How far NCCL may be from value_reduce(): 0, but for the average of floats over a number of ranks
 * that is no power of two, where each input is multiplied by a rounded 1/n, the product is rounded
 * and then n - 1 sums are: (n + 2) half units in the last place of the sum of the magnitudes, and
 * as many of the smallest number. */
double value_bound(
	const struct value_type *type, enum value_op op, const uint64_t *inputs, int nranks);

#endif
