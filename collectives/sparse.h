/* Carrying out a spread through NCCL: what the sparse collectives and the moving of experts share.
 */
#ifndef LINA_COLLECTIVES_SPARSE_H
#define LINA_COLLECTIVES_SPARSE_H

#include "collectives/lina_sparse.h"
#include "collectives/spread.h"

/* Sends and receives of one round of this rank, in one group. at [nitems]: where each item is in
 * this rank's memory, for those that it sends or receives. first: a transfer of the round. Returns
 * the first transfer of the next round in *next_p. */
int lina_spread_round(const struct lina_spread *spread, size_t first, void *const *at,
	ncclComm_t comm, int rank, cudaStream_t stream, size_t *next_p);

#endif
