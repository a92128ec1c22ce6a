/* The bytes of a collective over plain TCP connections, with neither NCCL nor a plugin: what the
 * same links give to whoever asks for nothing but them. */
#ifndef LINA_PERF_PLAIN_H
#define LINA_PERF_PLAIN_H

#include "perf/job.h"

struct plain;

/* A connection from each rank to the next, the last to the first. Collective; ends the process
 * where it cannot. */
struct plain *plain_open(const struct job *job, ncclComm_t comm, cudaStream_t stream);
void plain_close(struct plain *plain);

/* Each rank sends `bytes` to the next and gets as many from the one before. */
void plain_ring(struct plain *plain, size_t bytes);

/* Rank 0 sends `bytes` to rank 1, and each rank to the next as it gets them, up to the last. */
void plain_chain(struct plain *plain, size_t bytes);

#endif
