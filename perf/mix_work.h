/*
 * What bench_mix runs on one network: all-to-alls of one size, an allreduce of one size, and both
 * at once. Each has a communicator and a stream of its own, as in a framework; the gap of compute
 * between all-to-alls is a host function that sleeps.
 *
 * Every operation waits on its stream until all ranks have come to it, and its time counts from
 * there: else a rank that is early would send before the clock runs. Times are taken on the
 * streams, by host functions that look at CLOCK_MONOTONIC, and compared between ranks; all ranks
 * must be on one machine.
 */
#ifndef LINA_PERF_MIX_WORK_H
#define LINA_PERF_MIX_WORK_H

#include "perf/job.h"
#include "perf/mix_times.h"

#include <stdbool.h>
#include <stdint.h>

struct mix_shape {
	uint64_t peer_bytes; /* each rank sends to each in one all-to-all */
	bool uneven;         /* to rank 0 four times that: a group of sends and receives */
	uint64_t allreduce_bytes;
	double gap_ms; /* before each all-to-all beside an allreduce */
};

struct mix_comms {
	ncclComm_t expert, data;
};

struct mix_work;

/* Bytes that the busiest link carries in its busier direction for one all-to-all, where each
 * `per_host` ranks in a row share a link. Pure. */
double mix_link_bytes(const struct mix_shape *shape, int nranks, int per_host);

/* Streams and buffers for this shape. job and shape must outlive it. */
struct mix_work *mix_work_open(const struct job *job, const struct mix_shape *shape);
void mix_work_close(struct mix_work *work);

/* These return when all is done here. */
void mix_alltoall(struct mix_work *work, const struct mix_comms *comms, struct mix_span *span_p);
void mix_allreduce(struct mix_work *work, const struct mix_comms *comms, struct mix_span *span_p);

/* An allreduce and, beside it, `count` all-to-alls one after the other. */
void mix_both(struct mix_work *work, const struct mix_comms *comms, int count,
	struct mix_span *allreduce_p, struct mix_span *alltoalls_p);

/* Runs both at once and compares every float that came. Ends the process where one differs. */
void mix_check(struct mix_work *work, const struct mix_comms *comms);

#endif
