/*
 * One training step of a mixture-of-experts model, as a framework gives it to NCCL: expert
 * all-to-all and gradient allreduce on two communicators, each with a stream of its own, ordered
 * against the compute stream by events. Compute is a host function that sleeps for as long as the
 * kernels would take.
 *
 * Forward, per layer: attention, all-to-all (dispatch), experts, all-to-all (combine). Backward the
 * same from the last layer to the first, each compute phase twice as long; when a layer's backward
 * attention has ended its gradients are there, and each full bucket of gradients is reduced while
 * backward goes on, as PyTorch's DistributedDataParallel does. The step ends with the last bucket.
 */
#ifndef LINA_PERF_MOE_WORKLOAD_H
#define LINA_PERF_MOE_WORKLOAD_H

#include "perf/job.h"
#include "perf/moe_model.h"

#include <stdbool.h>

/* The two communicators of a step on one network. */
struct moe_comms {
	const char *net;
	ncclComm_t expert, data;
};

enum moe_kind { MOE_ATTENTION, MOE_EXPERTS, MOE_ALLTOALL, MOE_ALLREDUCE, MOE_NKINDS };

/* One phase of a step on this rank. Times count from the step's begin on the compute stream. */
struct moe_span {
	enum moe_kind kind;
	bool backward;
	int layer; /* of an allreduce: the layer that filled the bucket */
	double start_ms, end_ms;
};

/* One all-to-all on one rank: how long it took, and for how long of that an allreduce was running
 * on the same rank. Doubles alone, so that an array of them can be gathered. */
struct moe_alltoall {
	double time_ms, beside_ms;
};

struct moe_step;

const char *moe_kind_name(enum moe_kind kind);

/* Streams, events and buffers for steps of this model, which must outlive it. */
struct moe_step *moe_step_open(const struct job *job, const struct moe_model *model);
void moe_step_close(struct moe_step *step);

/* How many spans every step of this model has; how many of them are all-to-alls. */
int moe_nspans(const struct moe_model *model);
int moe_nalltoalls(const struct moe_model *model);

/* Runs one step, after a barrier. Returns its time on this rank in ms, and its moe_nspans spans in
 * the order of issue. */
double moe_step_run(struct moe_step *step, const struct moe_comms *comms, struct moe_span *spans_p);

/* Runs one allreduce of a full bucket (of all gradients where they fill none), after a barrier,
 * and nothing beside it. Returns its time on this rank in ms; 0 for a model without gradients. */
double moe_bucket_run(struct moe_step *step, const struct moe_comms *comms);

/* How long the backward pass of a step took on this rank, in ms: from the start of its first phase
 * to the end of the step. */
double moe_backward_ms(const struct moe_model *model, const struct moe_span *spans);

/* The all-to-alls among a step's spans, moe_nalltoalls of them, in their order. */
void moe_alltoalls_find(const struct moe_model *model, const struct moe_span *spans,
	struct moe_alltoall *alltoalls_p);

#endif
