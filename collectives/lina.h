/*
 * liblina: an all-to-all that follows a placement table, on any NCCL communicator.
 *
 * Rank r of the communicator is device r of the table. A call of lina_a2a_dispatch sends every
 * token to replicas of the experts that it chose and gives each rank what arrived, grouped by its
 * own experts; lina_a2a_combine sends the experts' results back and adds them up by weight.
 *
 * Functions return 0 or -errno; lina_last_error() then has a sentence that names what was wrong.
 * These errors are common to all that take a communicator:
 *   -EINVAL     an argument is out of range; nothing was sent
 *   -ENOMEM     no memory. Where it is for what others are about to send, they wait for this rank:
 *               the end of the object here, and -ETIMEDOUT there
 *   -ENOTSUP    not for this element type, or not for memory of this kind
 *   -ECANCELED  another rank refused the call; nothing was sent, and all ranks return an error
 *   -EIO        NCCL or CUDA reported an error, such as the loss of a rank: abort the communicator,
 *               synchronize the streams, then destroy the object
 *   -ETIMEDOUT  a rank that lives did not come within the limit of a wait (lina_wait_limit_ms): as
 *               after -EIO, since the call stays on the stream of those that came. The error names
 *               the ranks that were not heard of, where that is known: in create and dispatch
 *
 * The object whose call has come to one of the last two is of no more use: its further calls return
 * the same. ncclCommAbort takes the communicator away from whoever uses it: call it when no
 * function here is running on it.
 *
 * What is collective must be called by every rank of the communicator, in the same order as all
 * else on it, and nothing else may be given to the communicator meanwhile. With one that does not
 * block (ncclConfig_t), these functions wait until NCCL has put on the stream what they asked for.
 * Of one object, one thread at a time. liblina is linked with neither NCCL nor CUDA: the program
 * that made the communicator is.
 */
#ifndef LINA_COLLECTIVES_LINA_H
#define LINA_COLLECTIVES_LINA_H

#include <nccl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The latest error of the calling thread; "" where there was none. Valid until its next call. */
const char *lina_last_error(void);

/* How long a function here waits on the host for what other ranks do, before it gives up; 0:
 * without end. For all waits of the process that begin from now on. Each wait by itself: a call may
 * have several. What is not bounded: what a stream waits for, such as a combine whose ranks do not
 * all come, until a later call waits for it on the host or the program does; and calls into NCCL,
 * which at the first exchange of two ranks waits for the other one inside of itself, unless the
 * communicator does not block (ncclConfig_t). */
enum { LINA_WAIT_LIMIT_MS = 600000 }; /* where it is not called: 10 minutes */
void lina_wait_limit_ms(uint32_t ms);

/* ---- dispatch and combine -------------------------------------------------------------------- */

/* Who moves rows in memory. */
enum lina_packing {
	LINA_PACKING_HOST, /* the processor, in host functions on the stream: tokens and results
			    * must be in memory that it can address (pinned, managed, a GPU's
			    * stand-in) */
	LINA_PACKING_CUDA, /* kernels on the stream: tokens and results in memory that the device
			    * can address; experts and weights in any. The batch's rows are on the
			    * device. -ENOTSUP: without liblina-cuda.so.0 beside liblina, which is
			    * built where CUDA's compiler is */
};

struct lina_a2a_settings {
	/* The placement: a file (plan_io.h), read again when it changes, or a plan, which is
	 * copied. One of the two; the same on every rank. Its devices are the ranks. */
	const char *table_path;
	const struct lina_plan *plan;

	size_t hidden;       /* elements of a token, which is below 4 GiB */
	ncclDataType_t type; /* of an element: dispatch takes any. Combine adds up float16, bfloat16
			      * and float32 in float32 and float64 in float64, rounded once (without
			      * duplicates: once on each device); others it returns, where a token
			      * has one choice; weights of those are refused by dispatch: -ENOTSUP,
			      * and -ECANCELED on the other ranks */
	size_t max_tokens;   /* of a rank in one call; times max_choices below 2^32 - 1 */
	int max_choices;     /* k: experts of a token */
	int depth;           /* batches in use at once, 1 to 16 */
	bool dedup; /* send a token once to a device that has several of its experts. Their results
		     * are summed there before they come back */
	uint32_t capacity; /* tokens that a rank sends to one expert; more are dropped, the last
			    * first, and counted. 0: none is dropped */
	uint32_t bound; /* rows that a rank may send to one other. 0: any number, and dispatch waits
			 * on the host until the counts are there. Else dispatch waits for no more
			 * than the end of the batch whose place it takes, that many rows are always
			 * sent, and more are an error of the call (lina_a2a_status). Times the
			 * number of ranks below 2^32 */
	enum lina_packing packing;
};

/* No placement, no sizes; float32, depth 2, no duplicates removed, no capacity, no bound. */
void lina_a2a_settings_default(struct lina_a2a_settings *settings_p);

struct lina_a2a;

/* Collective. Checks that all ranks have the same placement and sizes. -EINVAL also: the table has
 * not as many devices as the communicator ranks, or cannot be read (the error has line and column).
 * The communicator must outlive the object, but for one that has failed (lina_a2a_destroy). An
 * error leaves *a2a_p as it was, but for -EIO and -ETIMEDOUT while the ranks compare: then there is
 * an object, for lina_a2a_destroy alone. So let it be NULL before. */
int lina_a2a_create(
	ncclComm_t comm, const struct lina_a2a_settings *settings, struct lina_a2a **a2a_p);

/* Waits for what it has on streams, unless the communicator has failed: then abort it and
 * synchronize the streams first, since what is on them uses the object's memory. Where it fails
 * here, its memory is left to them and lina_last_error() says why. NULL is allowed. */
void lina_a2a_destroy(struct lina_a2a *a2a);

/* What a rank sends in one call. The arrays belong to the caller and stay as they are until the
 * stream has done the dispatch. */
struct lina_tokens {
	const void *rows;       /* [n][hidden] */
	const int32_t *experts; /* [n][nchoices] */
	const float *weights;   /* [n][nchoices]; NULL: all 1 */
	size_t n;               /* 0 to max_tokens; each rank has its own */
	int nchoices;           /* 1 to max_choices; each rank its own */
	int layer;              /* of the table; the same on every rank */
};

/* What a rank has received. Its memory is the library's; it is valid until combine or release. */
struct lina_batch {
	void *rows;        /* [slot_begin[nslots]][hidden], for the stream from dispatch on */
	int nslots;        /* slots of this device in the table */
	const int *expert; /* [nslots] LINA_SLOT_EMPTY or the expert in it; never NULL */
	const uint32_t *slot_begin; /* [nslots + 1] rows of slot s: slot_begin[s] to slot_begin[s +
				     * 1]. Host memory; with a bound it is written on the stream */
	size_t max_rows;            /* that there is room for */
};

/* Collective. Sends tokens to their experts. Rows of a slot are ordered by rank of their source,
 * and then as the source has them. -EBUSY: depth batches are in use. An expert that does not exist
 * is -EINVAL on its rank (the error names token and choice) and -ECANCELED on the others. With a
 * bound this is found on the stream: the call then sends no tokens and lina_a2a_status tells. */
int lina_a2a_dispatch(struct lina_a2a *a2a, const struct lina_tokens *tokens, cudaStream_t stream,
	struct lina_batch **batch_p);

/* Collective, once for each batch. Sends rows, in the batch's order (they may be the batch's own),
 * back to their sources; out [n][hidden] becomes the sum of each token's results times its weights,
 * in the order of its choices; 0 for one whose choices were all dropped. The batch is not to be
 * used any more; rows and out stay until the stream is done. */
int lina_a2a_combine(struct lina_batch *batch, const void *rows, void *out, cudaStream_t stream);

/* Gives a batch back that is not combined, on any rank for itself. */
void lina_a2a_release(struct lina_batch *batch, cudaStream_t stream);

/* Pipelined: the tokens in r equal parts, so that the experts work on one while the next is under
 * way; needs depth 2 or more, and the same r on all ranks. `experts` is called for each part with a
 * batch, and puts on the compute stream what turns batch->rows into *rows_p (its own memory, or
 * batch->rows); an error of it, which must be one on all ranks, ends the call. After an error no
 * batch of the call is in use. Collective. lina-plan pipeline finds the best r. */
typedef int (*lina_experts_fn)(
	void *arg, int part, struct lina_batch *batch, cudaStream_t compute, const void **rows_p);
struct lina_pipeline {
	int nparts; /* r, at least 1 */
	lina_experts_fn experts;
	void *arg;
	cudaStream_t comm, compute;
};
int lina_a2a_pipeline(struct lina_a2a *a2a, const struct lina_tokens *tokens, void *out,
	const struct lina_pipeline *pipeline);

/* The first error that was found on a stream (bound), and 0 from then on. Synchronize first. */
int lina_a2a_status(struct lina_a2a *a2a);

struct lina_a2a_stats {
	uint64_t calls, tokens, dropped; /* pairs of token and expert that a capacity dropped */
	uint64_t rows_sent, rows_kept;   /* to other devices, and to experts of this one */
	uint64_t rows_to_node;           /* of those sent, to devices of the same node */
	uint64_t duplicates;             /* rows that dedup saved */
	uint64_t grown;                  /* times that buffers were too small */
	uint64_t memory_bytes;           /* in buffers now */
	uint64_t tables_read, tables_refused, tables_switched;
};
void lina_a2a_stats(const struct lina_a2a *a2a, struct lina_a2a_stats *stats_p);

/* ---- the table while running ----------------------------------------------------------------- */

/* A changed file is read by the next dispatch. When all ranks have read the same table, of the same
 * shape and of a later generation, they all know it after the same dispatch, and each may move
 * experts (lina_experts_move) and switch between that and a later one, all at the same place.
 * What cannot be read leaves the table in force; lina_a2a_table_error() says why. */

/* The table in force, and the one all ranks agree on as the next, or NULL. Valid until the next
 * switch or destroy. With a bound lina_a2a_table_next is collective in the same sense as below: it
 * waits for the latest dispatch, and the file is looked at here and not in dispatch. */
const struct lina_plan *lina_a2a_table(const struct lina_a2a *a2a);
const struct lina_plan *lina_a2a_table_next(struct lina_a2a *a2a);

/* Collective, though nothing is sent. -EBUSY: a batch is in use; -EAGAIN: no table is agreed on. */
int lina_a2a_table_switch(struct lina_a2a *a2a);

/* Collective in the same sense: a table that the program made itself, the same on all ranks, takes
 * the place of that in force; a dispatch refuses to run where ranks have different ones
 * (-ESTALE on all). -EINVAL: of another shape; -EBUSY. */
int lina_a2a_table_set(struct lina_a2a *a2a, const struct lina_plan *plan);

/* Why the file was refused last, "" where it was not. */
const char *lina_a2a_table_error(const struct lina_a2a *a2a);

#ifdef __cplusplus
}
#endif
#endif
