/*
 * The classes of traffic, and which one an NCCL operation belongs to: the vocabulary that the
 * plugin, the scheduler and the tools share. Pure.
 */
#ifndef LINA_PRIORITY_CLASS_H
#define LINA_PRIORITY_CLASS_H

#include <stdint.h>

enum lina_class {
	LINA_CLASS_LATENCY, /* every rank waits for it: all-to-all, point-to-point */
	LINA_CLASS_BULK,    /* nobody waits for it until the step ends: allreduce and its like */
	LINA_NCLASSES
};

/* Operations, numbered as the bits of the mask that NCCL gives with net ABI v11 (ncclFunc_t of NCCL
 * 2.28 to 2.30, src/include/nccl_common.h). */
enum lina_op {
	LINA_OP_BROADCAST,
	LINA_OP_REDUCE,
	LINA_OP_ALLGATHER,
	LINA_OP_REDUCESCATTER,
	LINA_OP_ALLREDUCE,
	LINA_OP_SENDRECV,
	LINA_OP_SEND,
	LINA_OP_RECV,
	LINA_OP_ALLTOALL,
	LINA_OP_SCATTER,
	LINA_OP_GATHER,
	LINA_OP_ALLGATHERV,
	LINA_NOPS_NCCL,
	/* Ours, where NCCL does not say more: some collective, any of the above that is not made of
	 * sends and receives. */
	LINA_OP_COLLECTIVE = LINA_NOPS_NCCL,
	LINA_NOPS
};

/* Directions of a link. */
enum lina_dir { LINA_DIR_SEND, LINA_DIR_RECV, LINA_NDIRS };

/* "latency", "bulk"; NULL for no class. */
const char *lina_class_name(enum lina_class cls);

/* "alltoall", "allreduce", ...: NCCL's function name in small letters, without "nccl". NULL for no
 * operation. */
const char *lina_op_name(enum lina_op op);

/* The operation of that name, in small or capital letters ("AllReduce" as NCCL's profiler says it).
 * -EINVAL: none. */
int lina_op_named(const char *name);

/* The operation of a mask, or -EINVAL where the mask has none, several or unknown bits: a
 * connection that serves many operations, or an NCCL that has learned new ones. */
int lina_op_of_mask(uint32_t mask);

/* The class of an operation unless the user says otherwise. What is made of sends and receives to
 * chosen peers is waited for (Lina, ATC'23, section 4: all-to-all first); what every rank takes
 * part in to combine or spread gradients and parameters is not. */
enum lina_class lina_class_of_op(enum lina_op op);

#endif
