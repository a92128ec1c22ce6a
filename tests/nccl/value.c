#include "value.h"

#include <math.h>
#include <string.h>

const char *const value_op_names[NOPS] = {
	[OP_NONE] = "none",
	[OP_SUM] = "sum",
	[OP_PROD] = "prod",
	[OP_MIN] = "min",
	[OP_MAX] = "max",
	[OP_AVG] = "avg",
	[OP_PREMUL_HOST] = "premul-host",
	[OP_PREMUL_DEVICE] = "premul-device",
};

/* Older headers show it to CUDA's compiler alone. */
#define BFLOAT16 ((ncclDataType_t)9)

const struct value_type value_types[] = {
	{ "int8", ncclInt8, VALUE_SIGNED, 1, 0, 0 },
	{ "uint8", ncclUint8, VALUE_UNSIGNED, 1, 0, 0 },
	{ "int32", ncclInt32, VALUE_SIGNED, 4, 0, 0 },
	{ "uint32", ncclUint32, VALUE_UNSIGNED, 4, 0, 0 },
	{ "int64", ncclInt64, VALUE_SIGNED, 8, 0, 0 },
	{ "uint64", ncclUint64, VALUE_UNSIGNED, 8, 0, 0 },
	{ "float16", ncclFloat16, VALUE_FLOAT, 2, 10, 5 },
	{ "float32", ncclFloat32, VALUE_FLOAT, 4, 23, 8 },
	{ "float64", ncclFloat64, VALUE_FLOAT, 8, 52, 11 },
	{ "bfloat16", BFLOAT16, VALUE_FLOAT, 2, 7, 8 },
#if NCCL_VERSION_CODE >= 22400
	{ "float8e4m3", ncclFloat8e4m3, VALUE_FLOAT, 1, 3, 4 },
	{ "float8e5m2", ncclFloat8e5m2, VALUE_FLOAT, 1, 2, 5 },
#endif
};
const int value_ntypes = sizeof(value_types) / sizeof(*value_types);

uint64_t value_load(const struct value_type *type, const void *at)
{
	uint64_t bits = 0;

	memcpy(&bits, at, type->bytes);
	return bits;
}

void value_store(const struct value_type *type, void *at, uint64_t bits)
{
	memcpy(at, &bits, type->bytes);
}

/* ---- floats ------------------------------------------------------------------------------------
 */

static int bias(const struct value_type *type)
{
	return (1 << (type->exponent_bits - 1)) - 1;
}

static unsigned exponent_mask(const struct value_type *type)
{
	return (1u << type->exponent_bits) - 1;
}

double value_decode(const struct value_type *type, uint64_t bits)
{
	uint64_t one = (uint64_t)1 << type->fraction_bits;
	uint64_t fraction = bits & (one - 1);
	int exponent = (int)(bits >> type->fraction_bits & exponent_mask(type));
	bool negative = bits >> (type->bytes * 8 - 1) & 1;

	if (exponent == 0)
		exponent = 1;
	else
		fraction += one;
	double value = ldexp((double)fraction, exponent - bias(type) - type->fraction_bits);
	return negative ? -value : value;
}

uint64_t value_encode(const struct value_type *type, double value)
{
	uint64_t sign = (uint64_t)(signbit(value) != 0) << (type->bytes * 8 - 1);
	int least = 1 - bias(type);
	int exponent = value == 0 ? least : ilogb(value);

	if (exponent < least)
		exponent = least;
	/* A subnormal's fraction lacks the leading one, and so its field of the exponent is one
	 * less. */
	uint64_t scaled = (uint64_t)rint(ldexp(fabs(value), type->fraction_bits - exponent));
	return sign | (((uint64_t)(exponent - least) << type->fraction_bits) + scaled);
}

/* ---- integers ----------------------------------------------------------------------------------
 */

static uint64_t all_bits(const struct value_type *type)
{
	return UINT64_MAX >> (64 - 8 * type->bytes);
}

static int64_t to_signed(const struct value_type *type, uint64_t bits)
{
	unsigned shift = 64 - 8 * (unsigned)type->bytes;

	return (int64_t)(bits << shift) >> shift;
}

static uint64_t draw_average(const struct value_type *type, int nranks, uint64_t r)
{
	uint64_t most = (all_bits(type) >> (type->kind == VALUE_SIGNED)) / (uint64_t)nranks;
	uint64_t value = r / 2 % (most + 1);

	return (type->kind == VALUE_SIGNED && r % 2 ? -value : value) & all_bits(type);
}

/* ---- inputs ------------------------------------------------------------------------------------
 */

static uint64_t draw_finite(const struct value_type *type, uint64_t r)
{
	uint64_t bits = r & all_bits(type);
	uint64_t sign = (uint64_t)1 << (type->bytes * 8 - 1);

	if (bits == sign ||
		(bits >> type->fraction_bits & exponent_mask(type)) == exponent_mask(type))
		return value_encode(type, 1);
	return bits;
}

static uint64_t draw_summand(const struct value_type *type, int nranks, uint64_t r)
{
	int64_t most = ((int64_t)1 << (type->fraction_bits + 1)) / nranks;
	int64_t value = (int64_t)(r % (uint64_t)(2 * most + 1)) - most;

	return value_encode(type, (double)value);
}

static uint64_t draw_factor(const struct value_type *type, int rank, uint64_t r)
{
	static const double factors[] = { 1, -1, 2, -2, 0.5, -0.5 };

	return value_encode(type, factors[r % (rank < 8 ? 6 : 2)]);
}

static uint64_t draw_float(
	const struct value_type *type, enum value_op op, int rank, int nranks, uint64_t r)
{
	switch (op) {
	case OP_PROD:
		return draw_factor(type, rank, r);
	case OP_MIN:
	case OP_MAX:
		return draw_finite(type, r);
	default:
		return draw_summand(type, nranks, r);
	}
}

uint64_t value_draw(
	const struct value_type *type, enum value_op op, int rank, int nranks, uint64_t r)
{
	if (op != OP_NONE && type->kind == VALUE_FLOAT)
		return draw_float(type, op, rank, nranks, r);
	if (op == OP_AVG)
		return draw_average(type, nranks, r);
	return r & all_bits(type);
}

uint64_t value_scalar(const struct value_type *type)
{
	return type->kind == VALUE_FLOAT ? value_encode(type, 0.5) : 0x7654321f & all_bits(type);
}

/* ---- results -----------------------------------------------------------------------------------
 */

static double combine_floats(enum value_op op, double a, double b)
{
	switch (op) {
	case OP_PROD:
		return a * b;
	case OP_MIN:
		return a < b ? a : b;
	case OP_MAX:
		return a > b ? a : b;
	default:
		return a + b;
	}
}

static uint64_t reduce_floats(
	const struct value_type *type, enum value_op op, const uint64_t *inputs, int nranks)
{
	double result = value_decode(type, inputs[0]);

	for (int r = 1; r < nranks; r++)
		result = combine_floats(op, result, value_decode(type, inputs[r]));
	if (op == OP_AVG)
		result /= nranks;
	if (op == OP_PREMUL_HOST || op == OP_PREMUL_DEVICE)
		result *= value_decode(type, value_scalar(type));
	return value_encode(type, result == 0 ? 0 : result);
}

static bool less(const struct value_type *type, uint64_t a, uint64_t b)
{
	return type->kind == VALUE_SIGNED ? to_signed(type, a) < to_signed(type, b) : a < b;
}

static uint64_t combine_integers(
	const struct value_type *type, enum value_op op, uint64_t a, uint64_t b)
{
	switch (op) {
	case OP_PROD:
		return a * b & all_bits(type);
	case OP_MIN:
		return less(type, a, b) ? a : b;
	case OP_MAX:
		return less(type, a, b) ? b : a;
	default:
		return (a + b) & all_bits(type);
	}
}

static uint64_t reduce_integers(
	const struct value_type *type, enum value_op op, const uint64_t *inputs, int nranks)
{
	uint64_t result = inputs[0];

	for (int r = 1; r < nranks; r++)
		result = combine_integers(type, op, result, inputs[r]);
	if (op == OP_PREMUL_HOST || op == OP_PREMUL_DEVICE)
		result *= value_scalar(type);
	if (op == OP_AVG && type->kind == VALUE_SIGNED)
		result = (uint64_t)(to_signed(type, result) / nranks);
	else if (op == OP_AVG)
		result /= (uint64_t)nranks;
	return result & all_bits(type);
}

uint64_t value_reduce(
	const struct value_type *type, enum value_op op, const uint64_t *inputs, int nranks)
{
	return type->kind == VALUE_FLOAT ? reduce_floats(type, op, inputs, nranks)
					 : reduce_integers(type, op, inputs, nranks);
}

double value_bound(
	const struct value_type *type, enum value_op op, const uint64_t *inputs, int nranks)
{
	double sum = 0;

	if (op != OP_AVG || type->kind != VALUE_FLOAT || (nranks & (nranks - 1)) == 0)
		return 0;
	for (int r = 0; r < nranks; r++)
		sum += fabs(value_decode(type, inputs[r]));
	double smallest = value_decode(type, 1);
	return (nranks + 2) * (ldexp(sum / nranks, -type->fraction_bits - 1) + smallest);
}
