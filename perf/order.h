/*
 * The order in which a training step gives its collectives to NCCL, as text: read, and checked.
 * Pure but for the file.
 *
 * A line each, words between blanks, # begins a comment:
 *
 *   link MBPS                   of each GPU's network where these sizes are real ones; required,
 * once group NAME                  a process group of all ranks: a communicator of this name, and a
 * stream compute MS                  the compute stream is busy alltoall GROUP BYTES        that
 * one rank sends to all all_gather GROUP BYTES      that every rank has afterwards reduce_scatter
 * GROUP BYTES  that every rank puts in all_reduce GROUP BYTES wait GROUP                  the
 * compute stream waits for what was given to the group
 *
 * A collective waits for the compute stream as far as it has come, and the compute stream for the
 * collective, unless the word `beside` ends the line: then compute goes on.
 */
#ifndef LINA_PERF_ORDER_H
#define LINA_PERF_ORDER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { ORDER_GROUPS_MAX = 8, ORDER_NAME_MAX = 64, ORDER_OPS_MAX = 100000 };

enum order_kind {
	ORDER_COMPUTE,
	ORDER_ALLTOALL,
	ORDER_ALL_GATHER,
	ORDER_REDUCE_SCATTER,
	ORDER_ALL_REDUCE,
	ORDER_WAIT
};

struct order_op {
	enum order_kind kind;
	int group;      /* of all but compute */
	uint64_t bytes; /* of a collective, 1 to 1 << 40 */
	double ms;      /* of compute, 0 to 100000 */
	bool beside;
};

struct order {
	uint32_t link_mbps;
	int ngroups, nops;
	char group[ORDER_GROUPS_MAX][ORDER_NAME_MAX];
	struct order_op *op;
};

struct order_error {
	int line, column; /* from 1 */
	char text[160];
};

/* Reads the order, which order_free() ends. -EINVAL: error_p says what is wrong where; -ENOMEM;
 * -EIO. */
int order_read(FILE *file, struct order **order_p, struct order_error *error_p);
void order_free(struct order *order);

#endif
