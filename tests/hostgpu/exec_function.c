#include "exec_function.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_FUNCTIONS = 4096 };

static struct exec_function functions[MAX_FUNCTIONS];
static pthread_once_t functions_once = PTHREAD_ONCE_INIT;

static const struct abi_row_group groups[] = { ABI_ROW_GROUPS };

/*
 * Signed and unsigned types share a function wherever the bits come out the same. The unsigned
 * type is the later row and is the one to remember: what differs is in the operation's argument.
 */
static void row_add(int row, struct exec_function fn)
{
	int id = ncclDevFuncRowToId[row];
	if (id >= MAX_FUNCTIONS)
		exec_die("device function id %d is out of range (below %d)", id, MAX_FUNCTIONS);
	if (id >= 0)
		functions[id] = fn;
}

/* The rows of one operation and type: each algorithm with each protocol. */
static int rows_add(int row, const struct abi_row_group *g, enum abi_redop op, enum abi_type type)
{
	for (int a = 0; a < g->nalgos; a++)
		for (int p = 0; p < ABI_PROTOS; p++)
			row_add(row++, (struct exec_function){
					       g->func, op, type, g->algos[a], (enum abi_proto)p });
	return row;
}

static void functions_fill(void)
{
	int row = 0;
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		const struct abi_row_group *g = &groups[i];
		if (!g->nalgos)
			row_add(row++, (struct exec_function){ g->func, REDOP_SUM, TYPE_I8,
					       ALGO_RING, PROTO_SIMPLE });
		for (int o = 0; o < (g->reduces ? ABI_REDOPS : 1); o++)
			for (int t = 0; t < (g->reduces ? ABI_TYPES : 1); t++)
				row = rows_add(row, g, (enum abi_redop)o, (enum abi_type)t);
	}
}

struct exec_function exec_function(unsigned id)
{
	pthread_once(&functions_once, functions_fill);
	return id < MAX_FUNCTIONS ? functions[id] : (struct exec_function){ .func = FUNC_NONE };
}

static bool reduces(enum abi_func func)
{
	return func == FUNC_ALLREDUCE || func == FUNC_REDUCE || func == FUNC_REDUCESCATTER;
}

const char *exec_function_name(const struct exec_function *fn, char text[EXEC_NAME_BYTES])
{
	static const char *const funcs[FUNC_COUNT] = { "none", "SendRecv", "AllGather", "Broadcast",
		"AllGatherV", "AllReduce", "Reduce", "ReduceScatter" };
	static const char *const ops[ABI_REDOPS] = { "Sum", "Prod", "MinMax", "PreMulSum",
		"SumPostDiv" };
	static const char *const types[TYPE_COUNT] = { "i8", "u8", "i32", "u32", "i64", "u64",
		"f16", "f32", "f64", "bf16", "f8e4m3", "f8e5m2" };
	static const char *const algos[ALGO_COUNT] = { "TREE", "RING", "COLLNET_DIRECT",
		"COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT" };
	static const char *const protos[ABI_PROTOS] = { "LL", "LL128", "SIMPLE" };
	if (reduces(fn->func))
		snprintf(text, EXEC_NAME_BYTES, "%s %s %s %s %s", funcs[fn->func], ops[fn->op],
			types[fn->type], algos[fn->algo], protos[fn->proto]);
	else
		snprintf(text, EXEC_NAME_BYTES, "%s %s %s", funcs[fn->func], algos[fn->algo],
			protos[fn->proto]);
	return text;
}

size_t exec_type_size(enum abi_type type)
{
	static const unsigned char size[TYPE_COUNT] = { 1, 1, 4, 4, 8, 8, 2, 4, 8, 2, 1, 1 };
	return size[type];
}

void exec_die(const char *format, ...)
{
	char text[256];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	fprintf(stderr, "hostgpu: not supported: %s\n", text);
	abort();
}
