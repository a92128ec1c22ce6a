/*
 * PAT (parallel aggregated trees): all-gather and reduce-scatter between nodes of one rank each,
 * in a number of messages that grows with the logarithm of the ranks. Each rank has peers at
 * distances of 1, 2, 4, ... ranks, its dimensions. [PatRSAlgorithm, PatAGAlgorithm in
 * src/include/collectives.h]: the proxies run the same schedule to count their steps.
 *
 * A reduce-scatter sends the data for the rank at distance s along the lowest set bit of s, so that
 * all that is for one rank comes together in a binomial tree; an all-gather is the reverse. Small
 * data of several trees, the strands, shares a slot.
 */
#ifndef HOSTGPU_EXEC_PAT_H
#define HOSTGPU_EXEC_PAT_H

#include "nccl_abi.h"

#include <stdbool.h>

enum { PAT_DIMS = 32, PAT_OWN = -1 };

/* One piece on its way: from a peer or our input, to a peer or our output. */
struct exec_pat_step {
	int recv_dim, send_dim;    /* PAT_OWN: no peer */
	int64_t recv_at, send_at;  /* elements from the start of the slot */
	uint64_t ahead;            /* slots beyond the current one: of the side that collects */
	bool recv_last, send_last; /* the slot is done with */
	int64_t own;               /* reduce-scatter: where our share is in the input;
				      all-gather: where the piece goes in the output */
	int64_t offset, n;         /* of the chunk within one rank's data */
};

struct exec_pat_schedule {
	int nranks, rank;
	int stride;   /* distance between strands; a power of two */
	int strands;  /* a power of two; stride times strands covers all ranks */
	int per_slot; /* strands that share a slot */
	int64_t count, offset, end,
		chunk; /* elements: of one rank; done, end of our part; at once */
	int phase, scale, distance, strand; /* state of the walk */
	int skipped;
	uint64_t ahead;
};

/* One peer in one direction. */
struct exec_pat_dim {
	struct abi_conn *conn;
	uint64_t step;
	int64_t seen; /* elements since the channel began: up to here a place has been used */
};

struct exec_pat {
	struct exec_pat_schedule schedule;
	struct exec_pat_step step;
	bool pending; /* step is to be done */
	bool (*next)(struct exec_pat_schedule *s, struct exec_pat_step *step);
	struct exec_pat_dim recv[PAT_DIMS], send[PAT_DIMS];
	int64_t own_seen;
};

/* Sets the schedule up; elem_bytes is of one element. false: there is nothing to do. */
bool exec_pat_schedule_init(struct exec_pat_schedule *s, size_t elem_bytes);

/* The next step; false at the end. */
bool exec_pat_gather_next(struct exec_pat_schedule *s, struct exec_pat_step *step);
bool exec_pat_scatter_next(struct exec_pat_schedule *s, struct exec_pat_step *step);

/* Puts the walk at its beginning, after exec_pat_schedule_init(). */
void exec_pat_gather_begin(struct exec_pat_schedule *s);
void exec_pat_scatter_begin(struct exec_pat_schedule *s);

#endif
