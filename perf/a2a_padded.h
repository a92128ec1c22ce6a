/*
 * The all-to-all as DeepSpeed does it (deepspeed/moe/sharded_moe.py with drop_tokens=False), for
 * bench_a2a to compare with: experts lie in order, as many on each rank; a maximum over all ranks
 * of the tokens of an expert is the capacity, to which every expert of every rank is padded; and
 * two all-to-alls with equal parts.
 */
#ifndef LINA_PERF_A2A_PADDED_H
#define LINA_PERF_A2A_PADDED_H

#include "collectives/lina.h"
#include "perf/job.h"

struct a2a_padded;

/* bfloat16 elements. The number of ranks divides nexperts. */
struct a2a_padded *a2a_padded_open(
	const struct job *job, ncclComm_t comm, int nexperts, size_t hidden);
void a2a_padded_close(struct a2a_padded *padded);

/* There and back, with experts that return what they get. Returns when out is there. */
void a2a_padded_run(struct a2a_padded *padded, const struct lina_tokens *tokens, void *out,
	cudaStream_t stream);

#endif
