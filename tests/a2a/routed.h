/*
 * One all-to-all of a job through liblina, compared with a plain reference. What every rank sends
 * follows from a seed, so that each rank knows all.
 */
#ifndef LINA_TESTS_A2A_ROUTED_H
#define LINA_TESTS_A2A_ROUTED_H

#include "a2a/cases.h"
#include "collectives/lina.h"
#include "nccl/job.h"

/* This rank's part of one call. */
struct routed {
	const struct job *job;
	size_t hidden;
	int type; /* ncclDataType_t */
	size_t n;
	int nchoices, nexperts, layer;
	int32_t *experts;
	float *weights; /* as used, or NULL */
	void *tokens, *out;
	size_t row_bytes;
};

struct routed_shape {
	size_t hidden, n;
	int type, nchoices, nexperts, layer;
	bool weighted;
	enum case_skew skew;
};

void routed_open(
	struct routed *r, const struct job *job, uint64_t seed, const struct routed_shape *shape);
void routed_close(struct routed *r);

struct lina_tokens routed_tokens(const struct routed *r);

/* The experts of a batch: what comes in is multiplied, in place, on the stream. */
void routed_experts(const struct routed *r, struct lina_batch *batch, cudaStream_t stream);

/* Fails unless out is the weighted sum of what the experts make of each token; tolerance is
 * relative to it. */
void routed_compare(const struct routed *r, double tolerance);

/* Dispatch, experts, combine, wait, compare. */
void routed_run(struct routed *r, struct lina_a2a *a2a, cudaStream_t stream, double tolerance);

size_t routed_type_bytes(int type);

#define LINA(call) routed_need(__FILE__, __LINE__, #call, call)
void routed_need(const char *file, int line, const char *call, int err);

#endif
