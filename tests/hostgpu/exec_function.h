/*
 * What a device function id of this NCCL release stands for.
 */
#ifndef HOSTGPU_EXEC_FUNCTION_H
#define HOSTGPU_EXEC_FUNCTION_H

#include "nccl_abi.h"

struct exec_function {
	enum abi_func func; /* FUNC_NONE: no such function */
	enum abi_redop op;  /* op and type: meaningful where func reduces */
	enum abi_type type;
	enum abi_algo algo;
	enum abi_proto proto;
};

enum { EXEC_NAME_BYTES = 64 };

/* Any thread. func is FUNC_NONE for an id out of range. */
struct exec_function exec_function(unsigned id);

/* "AllReduce Sum f32 TREE LL", as in NCCL's own tables. Returns text. */
const char *exec_function_name(const struct exec_function *fn, char text[EXEC_NAME_BYTES]);

size_t exec_type_size(enum abi_type type);

/* Says what is not there on standard error and aborts. The format is printf's. */
_Noreturn void exec_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
