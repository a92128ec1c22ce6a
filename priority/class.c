#include "priority/class.h"

#include <errno.h>
#include <stddef.h>
#include <strings.h>

static const char *const class_names[LINA_NCLASSES] = {
	[LINA_CLASS_LATENCY] = "latency",
	[LINA_CLASS_BULK] = "bulk",
};

static const struct {
	const char *name;
	enum lina_class cls;
} ops[LINA_NOPS] = {
	[LINA_OP_BROADCAST] = { "broadcast", LINA_CLASS_BULK },
	[LINA_OP_REDUCE] = { "reduce", LINA_CLASS_BULK },
	[LINA_OP_ALLGATHER] = { "allgather", LINA_CLASS_BULK },
	[LINA_OP_REDUCESCATTER] = { "reducescatter", LINA_CLASS_BULK },
	[LINA_OP_ALLREDUCE] = { "allreduce", LINA_CLASS_BULK },
	[LINA_OP_SENDRECV] = { "sendrecv", LINA_CLASS_LATENCY },
	[LINA_OP_SEND] = { "send", LINA_CLASS_LATENCY },
	[LINA_OP_RECV] = { "recv", LINA_CLASS_LATENCY },
	[LINA_OP_ALLTOALL] = { "alltoall", LINA_CLASS_LATENCY },
	[LINA_OP_SCATTER] = { "scatter", LINA_CLASS_LATENCY },
	[LINA_OP_GATHER] = { "gather", LINA_CLASS_LATENCY },
	[LINA_OP_ALLGATHERV] = { "allgatherv", LINA_CLASS_BULK },
	[LINA_OP_COLLECTIVE] = { "collective", LINA_CLASS_BULK },
};

const char *lina_class_name(enum lina_class cls)
{
	return (unsigned)cls < LINA_NCLASSES ? class_names[cls] : NULL;
}

const char *lina_op_name(enum lina_op op)
{
	return (unsigned)op < LINA_NOPS ? ops[op].name : NULL;
}

int lina_op_named(const char *name)
{
	for (int op = 0; op < LINA_NOPS; op++)
		if (strcasecmp(name, ops[op].name) == 0)
			return op;
	return -EINVAL;
}

int lina_op_of_mask(uint32_t mask)
{
	for (int op = 0; op < LINA_NOPS_NCCL; op++)
		if (mask == UINT32_C(1) << op)
			return op;
	return -EINVAL;
}

enum lina_class lina_class_of_op(enum lina_op op)
{
	return (unsigned)op < LINA_NOPS ? ops[op].cls : LINA_CLASS_BULK;
}
