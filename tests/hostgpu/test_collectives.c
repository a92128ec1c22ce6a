/*
 * Every device function that the executor runs, on ranks that are threads, against plain
 * arithmetic on small whole numbers, which every type holds exactly.
 */
#include "exec_number.h"
#include "test_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CANARY = 64 };

/* ---- values ------------------------------------------------------------------------------- */

static void value_put(enum abi_type type, void *at, size_t i, double v)
{
	switch (type) {
	case TYPE_I8:
	case TYPE_U8:
		((uint8_t *)at)[i] = (uint8_t)(int64_t)v;
		break;
	case TYPE_I32:
	case TYPE_U32:
		((uint32_t *)at)[i] = (uint32_t)(int64_t)v;
		break;
	case TYPE_I64:
	case TYPE_U64:
		((int64_t *)at)[i] = (int64_t)v;
		break;
	case TYPE_F32:
		((float *)at)[i] = (float)v;
		break;
	case TYPE_F64:
		((double *)at)[i] = v;
		break;
	case TYPE_F16:
	case TYPE_BF16:
		((uint16_t *)at)[i] = type == TYPE_F16 ? f16_put((float)v) : bf16_put((float)v);
		break;
	default:
		((uint8_t *)at)[i] =
			type == TYPE_F8E4M3 ? f8e4m3_put((float)v) : f8e5m2_put((float)v);
	}
}

/* Whole numbers from -3 to 3 (0 to 3 without sign), factors 1 and 2; sums of 20 of them wrap in
 * no type, and for fp8 they stay where it has all whole numbers. */
static double value(const struct exec_function *fn, int rank, size_t i)
{
	uint32_t h = (uint32_t)i * 2654435761U + (uint32_t)rank * 40503U;
	h ^= h >> 15;
	bool is_unsigned = fn->type == TYPE_U8 || fn->type == TYPE_U32 || fn->type == TYPE_U64;
	if (fn->op == REDOP_PROD)
		return 1 + (h & 1);
	if (fn->op != REDOP_MINMAX && exec_type_size(fn->type) == 1)
		return rank < 4 ? h & 1 : 0;
	return is_unsigned ? (int)(h % 4) : (int)(h % 7) - 3;
}

static double combined(const struct exec_function *fn, int nranks, size_t i)
{
	double v = value(fn, 0, i);
	for (int r = 1; r < nranks; r++) {
		double x = value(fn, r, i);
		if (fn->op == REDOP_PROD)
			v *= x;
		else if (fn->op == REDOP_MINMAX)
			v = v > x ? v : x;
		else
			v += x;
	}
	if (fn->op == REDOP_PREMULSUM)
		v *= 2;
	if (fn->op == REDOP_SUMPOSTDIV) {
		int64_t sum = (int64_t)v;
		int64_t average = sum / nranks;
		return (double)average;
	}
	return v;
}

/* What NCCL's host passes for max, for a factor of 2, for an average. */
static uint64_t redop_arg(const struct exec_function *fn, int nranks)
{
	size_t bits = 8 * exec_type_size(fn->type);
	uint64_t all = ~0ULL >> (64 - bits), sign = all ^ all >> 1, arg = 0;
	bool is_signed = fn->type == TYPE_I8 || fn->type == TYPE_I32 || fn->type == TYPE_I64;
	if (fn->op == REDOP_MINMAX)
		return is_signed ? all ^ sign : all;
	if (fn->op == REDOP_PREMULSUM)
		value_put(fn->type, &arg, 0, 2);
	if (fn->op == REDOP_SUMPOSTDIV)
		arg = ABI_POSTDIV_HAS_SIGN ? (uint64_t)nranks << 1 | is_signed : (uint64_t)nranks;
	return arg;
}

/* ---- one collective ------------------------------------------------------------------------- */

struct run {
	struct world *w;
	unsigned id;
	struct exec_function fn;
	int nranks, root;
	size_t count;
	bool in_place, arg_is_ptr;
	char *send[WORLD_RANKS], *recv[WORLD_RANKS]; /* what is freed */
	char *in[WORLD_RANKS], *out[WORLD_RANKS];
};

static size_t times(const struct run *run, enum abi_func func)
{
	return run->fn.func == func ? (size_t)run->nranks : 1;
}

static bool reduces(enum abi_func func)
{
	return func == FUNC_ALLREDUCE || func == FUNC_REDUCE || func == FUNC_REDUCESCATTER;
}

static void buffers_make(struct run *run, int r)
{
	size_t size = exec_type_size(run->fn.type), rank = (size_t)r;
	size_t nsend = run->count * times(run, FUNC_REDUCESCATTER);
	size_t nrecv = run->count * times(run, FUNC_ALLGATHER);
	run->send[r] = malloc(nsend * size + 1);
	run->recv[r] = malloc(nrecv * size + CANARY);
	assert_non_null(run->send[r]);
	assert_non_null(run->recv[r]);
	memset(run->recv[r], 0x5a, nrecv * size + CANARY);
	run->in[r] = run->send[r];
	run->out[r] = run->recv[r];
	if (run->in_place && run->fn.func == FUNC_REDUCESCATTER)
		run->out[r] = run->send[r] + rank * run->count * size;
	else if (run->in_place)
		run->in[r] = run->recv[r] +
			     (run->fn.func == FUNC_ALLGATHER ? rank * run->count * size : 0);
	for (size_t i = 0; i < nsend; i++)
		value_put(run->fn.type, run->in[r], i, value(&run->fn, r, i));
}

static void result_check(const struct run *run, int r)
{
	size_t size = exec_type_size(run->fn.type);
	size_t n = run->count * times(run, FUNC_ALLGATHER);
	size_t first = run->fn.func == FUNC_REDUCESCATTER ? (size_t)r * run->count : 0;
	char name[EXEC_NAME_BYTES];
	for (size_t i = 0; i < n; i++) {
		uint64_t want = 0, got = 0;
		double v;
		if (run->fn.func == FUNC_ALLGATHER)
			v = value(&run->fn, (int)(i / run->count), i % run->count);
		else if (run->fn.func == FUNC_BROADCAST)
			v = value(&run->fn, run->root, i);
		else
			v = combined(&run->fn, run->nranks, first + i);
		value_put(run->fn.type, &want, 0, v);
		memcpy(&got, run->out[r] + i * size, size);
		if (memcmp(&got, &want, size) != 0)
			fail_msg("%s, %d ranks, %zu elements, in place %d, rank %d: [%zu] is "
				 "%#llx, not %#llx (%g)",
				exec_function_name(&run->fn, name), run->nranks, run->count,
				run->in_place, r, i, (unsigned long long)got,
				(unsigned long long)want, v);
	}
	for (size_t i = 0; i < CANARY; i++)
		assert_int_equal(run->recv[r][n * size + i], 0x5a);
}

static void collective_run(struct run *run)
{
	static struct abi_coll works[WORLD_RANKS];
	struct world_kernel kernels[WORLD_RANKS];
	uint64_t arg = redop_arg(&run->fn, run->nranks);
	if (run->fn.func == FUNC_ALLGATHER || run->fn.func == FUNC_BROADCAST)
		run->fn.type = TYPE_I8;
	for (int r = 0; r < run->nranks; r++) {
		buffers_make(run, r);
		works[r] = world_coll(&run->fn, run->count, run->in[r], run->out[r]);
		works[r].root = (uint32_t)run->root;
		works[r].redop_arg = run->arg_is_ptr ? (uint64_t)(uintptr_t)&arg : arg;
		works[r].redop_arg_is_ptr = run->arg_is_ptr;
		kernels[r] = (struct world_kernel){ run->id, WORK_COLL, &works[r], 1,
			run->count % 2 ? WORLD_FIFO : WORLD_ARGS };
	}
	world_run(run->w, kernels);
	for (int r = 0; r < run->nranks; r++)
		if (run->fn.func != FUNC_REDUCE || r == run->root)
			result_check(run, r);
	for (int r = 0; r < run->nranks; r++) {
		free(run->send[r]);
		free(run->recv[r]);
	}
}

static bool runnable(const struct exec_function *fn)
{
	bool coll = reduces(fn->func) || fn->func == FUNC_ALLGATHER || fn->func == FUNC_BROADCAST;
	bool is_float = fn->type == TYPE_F16 || fn->type >= TYPE_F32 || fn->type == TYPE_BF16;
	if (!coll || (fn->op == REDOP_SUMPOSTDIV && is_float))
		return false;
	if (fn->algo == ALGO_PAT)
		return fn->proto == PROTO_SIMPLE && fn->op <= REDOP_MINMAX;
	return fn->algo == ALGO_RING || fn->algo == ALGO_TREE;
}

/* Every function once over few ranks: one world for all, so that one starts where another ends. */
static void every_function(void **state)
{
	struct world *w = world_new(3, 0);
	int ran = 0;
	(void)state;
	for (unsigned id = 0; id < WORLD_FUNCTIONS; id++) {
		struct run run = { .w = w, .id = id, .fn = exec_function(id), .nranks = 3 };
		if (!runnable(&run.fn))
			continue;
		run.root = (int)id % 3;
		run.count = 2001 + id % 2;
		run.in_place = id & 2;
		run.arg_is_ptr = run.fn.op == REDOP_PREMULSUM && id & 1;
		collective_run(&run);
		ran++;
	}
	print_message("%d functions\n", ran);
	assert_true(ran > 400);
	world_free(w);
}

/* Runs a function with each count, alternating in and out of place. */
static int counts_run(struct world *w, unsigned id, int nranks, const size_t *counts, int n)
{
	for (int i = 0; i < n; i++) {
		struct run run = { .w = w,
			.id = id,
			.fn = exec_function(id),
			.nranks = nranks,
			.root = i % nranks,
			.count = counts[i],
			.in_place = (i + nranks) % 2 };
		collective_run(&run);
	}
	return n;
}

/* Functions that do not reduce have one type; of the others, sums of one type. */
static bool is_sum_of(const struct exec_function *fn, enum abi_type type)
{
	return !reduces(fn->func) || (fn->op == REDOP_SUM && fn->type == type);
}

/* Every algorithm and protocol, sizes and ranks. */
static void every_size(void **state)
{
	static const size_t counts[] = { 1, 2, 15, 33, 1000, 4097, 20000 };
	(void)state;
	for (int n = 2; n <= 8; n++) {
		struct world *w = world_new(n, 0);
		for (unsigned id = 0; id < WORLD_FUNCTIONS; id++) {
			struct exec_function fn = exec_function(id);
			if (runnable(&fn) && is_sum_of(&fn, TYPE_F32))
				counts_run(w, id, n, counts, 7);
		}
		world_free(w);
	}
}

/* PAT's schedule depends on the ranks and, for small data, on how much fits in a slot. */
static void pat_on_many_ranks(void **state)
{
	static const size_t counts[] = { 1, 8, 100, 260, 1100, 5000 };
	int ran = 0;
	(void)state;
	for (int n = 9; n <= WORLD_RANKS; n++) {
		struct world *w = world_new(n, 0);
		for (unsigned id = 0; id < WORLD_FUNCTIONS; id++) {
			struct exec_function fn = exec_function(id);
			if (fn.algo == ALGO_PAT && runnable(&fn) && is_sum_of(&fn, TYPE_I32))
				ran += counts_run(w, id, n, counts, 6);
		}
		world_free(w);
	}
	assert_int_equal(ran, NCCL_VERSION_CODE < 22300 ? 0 : (WORLD_RANKS - 8) * 2 * 6);
}

/* LL's flags are 32 bits of a 64-bit step: across their end, and where buffers are cleaned. */
static void ll_flags_come_round(void **state)
{
	static const uint64_t first[] = { 0x7ffffff0, 0xfffffff0, 0x17ffffff0 };
	unsigned id = world_function(FUNC_ALLREDUCE, ALGO_RING, PROTO_LL);
	(void)state;
	for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
		struct world *w = world_new(2, first[i]);
		struct run run = {
			.w = w, .id = id, .fn = exec_function(id), .nranks = 2, .count = 9001
		};
		collective_run(&run);
		world_free(w);
	}
	struct world *w = world_new(2, 0x7ffffff8);
	struct run run = { .w = w, .id = id, .fn = exec_function(id), .nranks = 2, .count = 1 };
	collective_run(&run);
	const uint32_t *line = world_ll_slot(w, 0, 0x7ffffff8);
	for (size_t i = 0; i < WORLD_STEP_BYTES / 4; i += 2)
		assert_int_equal(line[i + 1], 0x7ffffff9);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_function),
		cmocka_unit_test(every_size),
		cmocka_unit_test(pat_on_many_ranks),
		cmocka_unit_test(ll_flags_come_round),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
