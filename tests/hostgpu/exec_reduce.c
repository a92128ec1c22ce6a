#include "exec_reduce.h"

#include "exec_function.h"
#include "exec_number.h"

/* The loops below carry nothing from one element to the next, even where dst is a source. */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#pragma clang diagnostic ignored "-Wpass-failed" /* it is a hint: instrumented loops stay scalar \
						  */
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

typedef void reduce_fn(void *dst, const void *a, const void *b, size_t n, uint64_t arg);
typedef void map_fn(void *dst, const void *src, size_t n, uint64_t arg);

#define REDUCE_FN(name, type, expr)                                                       \
	static void name(void *dst, const void *a, const void *b, size_t n, uint64_t arg) \
	{                                                                                 \
		typedef type elem;                                                        \
		elem *d = dst;                                                            \
		const elem *pa = a, *pb = b;                                              \
		(void)arg;                                                                \
		INDEPENDENT                                                               \
		for (size_t i = 0; i < n; i++) {                                          \
			elem x = pa[i], y = pb[i];                                        \
			d[i] = (elem)(expr);                                              \
		}                                                                         \
	}

#define MAP_FN(name, type, factor, expr)                                     \
	static void name(void *dst, const void *src, size_t n, uint64_t arg) \
	{                                                                    \
		typedef type elem;                                           \
		elem *d = dst;                                               \
		const elem *s = src;                                         \
		factor;                                                      \
		INDEPENDENT                                                  \
		for (size_t i = 0; i < n; i++) {                             \
			elem x = s[i];                                       \
			d[i] = (elem)(expr);                                 \
		}                                                            \
	}

/*
 * Integers are computed without sign, wrapping around as the GPU does. The mask of MinMax turns
 * signed order and maximum into unsigned minimum.
 */
#define INTEGER_FNS(name, type)                                                   \
	REDUCE_FN(name##_sum, type, x + y)                                        \
	REDUCE_FN(name##_prod, type, (uint64_t)x *y)                              \
	REDUCE_FN(name##_minmax, type, (x ^ (type)arg) < (y ^ (type)arg) ? x : y) \
	MAP_FN(name##_scale, type, type f = (type)arg, (uint64_t)x * f)

INTEGER_FNS(u8, uint8_t)
INTEGER_FNS(u32, uint32_t)
INTEGER_FNS(u64, uint64_t)

/* get and put: to and from the type that is computed in; a factor's bits are the argument's. */
#define FLOAT_FNS(name, type, work, bits, get, put, minimum, maximum)                              \
	REDUCE_FN(name##_sum, type, put(get(x) + get(y)))                                          \
	REDUCE_FN(name##_prod, type, put(get(x) * get(y)))                                         \
	REDUCE_FN(name##_min, type, put(minimum(get(x), get(y))))                                  \
	REDUCE_FN(name##_max, type, put(maximum(get(x), get(y))))                                  \
	static void name##_minmax(void *dst, const void *a, const void *b, size_t n, uint64_t arg) \
	{                                                                                          \
		(arg & 1 ? name##_max : name##_min)(dst, a, b, n, arg);                            \
	}                                                                                          \
	MAP_FN(name##_scale, type, work f = bits(arg), put(get(x) * f))

#define SAME(x) (x)

static double double_of(uint64_t u)
{
	double d;
	memcpy(&d, &u, sizeof d);
	return d;
}

/* fp8: the result in half first, then in fp8. */
static inline uint8_t f8e4m3_round(float f)
{
	return f8e4m3_put(f16_get(f16_put(f)));
}

static inline uint8_t f8e5m2_round(float f)
{
	return f8e5m2_put(f16_get(f16_put(f)));
}

#define F32_BITS(arg)    float_of((uint32_t)(arg))
#define F16_BITS(arg)    f16_get((uint16_t)(arg))
#define BF16_BITS(arg)   bf16_get((uint16_t)(arg))
#define F8E4M3_BITS(arg) f8e4m3_get((uint8_t)(arg))
#define F8E5M2_BITS(arg) f8e5m2_get((uint8_t)(arg))

FLOAT_FNS(f32, float, float, F32_BITS, SAME, SAME, float_min, float_max)
FLOAT_FNS(f64, double, double, double_of, SAME, SAME, double_min, double_max)
FLOAT_FNS(f16, uint16_t, float, F16_BITS, f16_get, f16_put, float_min, float_max)
FLOAT_FNS(bf16, uint16_t, float, BF16_BITS, bf16_get, bf16_put, float_min, float_max)
FLOAT_FNS(f8e4m3, uint8_t, float, F8E4M3_BITS, f8e4m3_get, f8e4m3_round, float_min, float_max)
FLOAT_FNS(f8e5m2, uint8_t, float, F8E5M2_BITS, f8e5m2_get, f8e5m2_round, float_min, float_max)

/* The divisor may not fit the type: there are more than 127 ranks somewhere. */
MAP_FN(i8_divide, int8_t, int32_t f = (int32_t)arg, x / f)
MAP_FN(u8_divide, uint8_t, uint32_t f = (uint32_t)arg, x / f)
MAP_FN(i32_divide, int32_t, int32_t f = (int32_t)arg, x / f)
MAP_FN(u32_divide, uint32_t, uint32_t f = (uint32_t)arg, x / f)
MAP_FN(i64_divide, int64_t, int64_t f = (int64_t)arg, x / f)
MAP_FN(u64_divide, uint64_t, uint64_t f = arg, x / f)

#define ROW(name)                                                              \
	{                                                                      \
		name##_sum, name##_prod, name##_minmax, name##_sum, name##_sum \
	}
static reduce_fn *const reducers[TYPE_COUNT][ABI_REDOPS] = {
	[TYPE_I8] = ROW(u8),
	[TYPE_U8] = ROW(u8),
	[TYPE_I32] = ROW(u32),
	[TYPE_U32] = ROW(u32),
	[TYPE_I64] = ROW(u64),
	[TYPE_U64] = ROW(u64),
	[TYPE_F16] = ROW(f16),
	[TYPE_F32] = ROW(f32),
	[TYPE_F64] = ROW(f64),
	[TYPE_BF16] = ROW(bf16),
	[TYPE_F8E4M3] = ROW(f8e4m3),
	[TYPE_F8E5M2] = ROW(f8e5m2),
};

static map_fn *const scalers[TYPE_COUNT] = {
	[TYPE_I8] = u8_scale,
	[TYPE_U8] = u8_scale,
	[TYPE_I32] = u32_scale,
	[TYPE_U32] = u32_scale,
	[TYPE_I64] = u64_scale,
	[TYPE_U64] = u64_scale,
	[TYPE_F16] = f16_scale,
	[TYPE_F32] = f32_scale,
	[TYPE_F64] = f64_scale,
	[TYPE_BF16] = bf16_scale,
	[TYPE_F8E4M3] = f8e4m3_scale,
	[TYPE_F8E5M2] = f8e5m2_scale,
};

/* By type without its sign, then by sign. */
static map_fn *divider(enum abi_type type, bool is_signed)
{
	switch (type) {
	case TYPE_I8:
	case TYPE_U8:
		return is_signed ? i8_divide : u8_divide;
	case TYPE_I32:
	case TYPE_U32:
		return is_signed ? i32_divide : u32_divide;
	case TYPE_I64:
	case TYPE_U64:
		return is_signed ? i64_divide : u64_divide;
	default:
		exec_die("average of type %d by a division after the sum", (int)type);
	}
}

uint64_t exec_redop_arg(enum abi_type type, uint64_t arg, bool is_ptr)
{
	const void *at;
	uint64_t value = 0;
	if (!is_ptr)
		return arg;
	memcpy(&at, &arg, sizeof at);
	memcpy(&value, at, exec_type_size(type));
	return value;
}

void exec_reduce(const struct exec_reduction *r, void *dst, const void *a, const void *b, size_t n)
{
	reducers[r->type][r->op](dst, a, b, n, r->arg);
}

bool exec_reduce_has_before(const struct exec_reduction *r)
{
	return r->op == REDOP_PREMULSUM;
}

bool exec_reduce_has_after(const struct exec_reduction *r)
{
	return r->op == REDOP_SUMPOSTDIV;
}

void exec_reduce_before(const struct exec_reduction *r, void *dst, const void *src, size_t n)
{
	scalers[r->type](dst, src, n, r->arg);
}

void exec_reduce_after(const struct exec_reduction *r, void *dst, const void *src, size_t n)
{
	bool by_arg = ABI_POSTDIV_HAS_SIGN;
	bool by_type = r->type == TYPE_I8 || r->type == TYPE_I32 || r->type == TYPE_I64;
	bool is_signed = by_arg ? r->arg & 1 : by_type;
	divider(r->type, is_signed)(dst, src, n, by_arg ? r->arg >> 1 : r->arg);
}
