/* The operations that bench_coll times, each with its check. */
#ifndef LINA_PERF_BENCH_OPS_H
#define LINA_PERF_BENCH_OPS_H

#include "collectives/cost.h"
#include "perf/job.h"

#include <stdbool.h>
#include <stdint.h>

/* Buffers of one operation of one size. */
struct bench_buffers {
	float *send, *recv;
	size_t count; /* floats of the operation's size, as lina_cost counts it */
};

struct bench_op {
	const char *name;
	enum lina_coll coll; /* whose cost it has */
	int trips;           /* one-way trips in one call, one after the other */
	ncclResult_t (*run)(const struct job *job, const struct bench_buffers *buffers,
		ncclComm_t comm, cudaStream_t stream);
	/* What float i of the receive buffer must be after run(), when every rank sends its
	 * rank + 1 in every float; negative: nothing is said. */
	float (*expect)(const struct job *job, const struct bench_buffers *buffers, size_t i);
	bool shared;        /* the size is made of equal parts, one for each rank */
	bool receives_part; /* a rank receives one part of it, not all */
};

/* The operation of that name, or NULL. */
const struct bench_op *bench_op_find(const char *name);

/* All names, separated by spaces. */
const char *bench_op_names(void);

/* The largest size not above size_bytes that the operation can have: whole floats, and as many for
 * each rank where it shares them out. At least one of each. */
uint64_t bench_op_size(const struct bench_op *op, int nranks, uint64_t size_bytes);

/* Runs it once and compares the whole receive buffer. Ends the process where it differs. */
void bench_op_check(const struct bench_op *op, const struct job *job,
	const struct bench_buffers *buffers, ncclComm_t comm, cudaStream_t stream);

#endif
