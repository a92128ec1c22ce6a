/*
 * liblina: moving experts. Sparse collectives for parameters and gradients (Hecate's
 * SparseAllGather and SparseReduceScatter), and experts on their way from one placement to the
 * next. Conventions, and errors, as in lina.h.
 */
#ifndef LINA_COLLECTIVES_LINA_SPARSE_H
#define LINA_COLLECTIVES_LINA_SPARSE_H

#include "collectives/lina.h"

#ifdef __cplusplus
extern "C" {
#endif

struct lina_sparse_settings {
	size_t elements;     /* of an expert */
	ncclDataType_t type; /* all-gather takes any, reduce-scatter float16, bfloat16, float32 and
			      * float64 (16 bits are added in float32 and rounded at each device) */
	size_t tree_bytes;   /* an expert up to this size goes along a tree, a larger one along a
				chain */
	size_t chunk_bytes;  /* of a chain; 0: from the sizes */
	enum lina_packing packing; /* who adds up, and in what memory: as in lina.h */
};
/* float32, 256 KiB, chunks from the sizes. */
void lina_sparse_settings_default(struct lina_sparse_settings *settings_p);

struct lina_sparse;

/* For one layer: from the owners (each expert on exactly one device) to all devices that have it in
 * `placed`, which need not be the owner. Any devices: who has nothing to do sends and waits for
 * nothing. Local: every rank makes its own, from the same plans. The object refers to no plan. */
int lina_sparse_create(ncclComm_t comm, const struct lina_plan *owners,
	const struct lina_plan *placed, int layer, const struct lina_sparse_settings *settings,
	struct lina_sparse **sparse_p);

/* Waits for what it has on streams, unless the communicator has failed: then abort it and
 * synchronize the stream first. Where it fails here, its memory is left to the stream and
 * lina_last_error() says why. NULL is allowed. */
void lina_sparse_destroy(struct lina_sparse *sparse);

/* Waits on the host for the call before. -EIO: NCCL reported an error, such as the loss of a rank,
 * which a wait for the stream alone would not end at; -ETIMEDOUT. */
int lina_sparse_wait(struct lina_sparse *sparse);

/* Bytes that all ranks together send in one direction, and that the busiest sends or receives. */
void lina_sparse_volume(
	const struct lina_sparse *sparse, uint64_t *total_bytes_p, uint64_t *busiest_bytes_p);

/* Collective among the ranks that have a part in it. expert [nexperts]: this rank's memory of each
 * expert that it owns or holds; of others not looked at. The owner's goes to the holders'. The
 * pointers are read at once, the memory on the stream. -EINVAL: one that is needed is NULL, and
 * nothing was sent from here; the others wait for this rank. */
int lina_sparse_all_gather(struct lina_sparse *sparse, void *const *expert, cudaStream_t stream);

/* The reverse: the sum of all holders' gradients and the owner's is then at the owner. What is at
 * the holders is used up: partial sums. Waits on the host for the call before it. -EINVAL: as
 * above. */
int lina_sparse_reduce_scatter(
	struct lina_sparse *sparse, void *const *gradient, cudaStream_t stream);

/* Collective among all ranks: brings the experts of a layer from where they are in `before` to
 * where they are in `after`; only what a device has not had is sent. from, to [nexperts]: where
 * this rank has an expert, and where it shall have it; of others not looked at. A place may be used
 * again for another expert, since what comes in is kept apart until all has left; to may be NULL
 * for an expert that stays where it is. -EINVAL: it is NULL for one that comes, or from for one
 * that leaves; like the plans, this is of one rank alone, and the others wait for it. Returns when
 * it is done. bytes: of an expert. -EIO: a rank is lost, say; its memory apart goes back when the
 * stream comes to its end, after the communicator was aborted. -ETIMEDOUT: the same; a move that
 * may take longer than the limit needs a longer one. */
int lina_experts_move(ncclComm_t comm, const struct lina_plan *before,
	const struct lina_plan *after, int layer, size_t bytes, void *const *from, void *const *to,
	cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
