/*
 * One rank of a benchmark under lina-launch: who it is, its communicators, and how it fails.
 *
 * A benchmark that cannot go on has nothing to undo, so every error here ends the process with
 * status 1 and one line on standard error that says what failed and where; the launcher ends the
 * other ranks.
 */
#ifndef LINA_PERF_JOB_H
#define LINA_PERF_JOB_H

#include "perf/die.h"

#include <nccl.h>
#include <stddef.h>

struct job {
	int rank, nranks;
	const char *dir; /* LINA_RENDEZVOUS: a folder that all ranks see */
};

/* This process's place, from LINA_RANK, LINA_NRANKS and LINA_RENDEZVOUS. */
void job_open(struct job *job_p);

/* A communicator of all ranks, called `name` (a word, used once per run), on the network that
 * calls itself `net` ("Socket", "IB", a plugin's name): another never stands in for it, since
 * NCCL's silent fallback would measure a network against itself. "fifo" is the plugin with all of
 * the communicator's traffic in one class, so that nothing waits for anything: traffic class 1,
 * which LINA_CLASSES=traffic:1=latency (demanded) maps to that class. Every rank must ask for its
 * communicators in the same order. */
ncclComm_t job_comm_open(const struct job *job, const char *name, const char *net);

/* `count` floats to each rank and from each: ncclAlltoAll, or a group of sends and receives where
 * NCCL (before 2.28) has no such function. */
ncclResult_t job_alltoall(const struct job *job, const float *from, float *to, size_t count,
	ncclComm_t comm, cudaStream_t stream);

/* Waits until every rank has come here. */
void job_barrier(const struct job *job, ncclComm_t comm, cudaStream_t stream);

/* The n values of every rank, in the order of ranks, in all_p. */
void job_gather(const struct job *job, const double *values, size_t n, double *all_p,
	ncclComm_t comm, cudaStream_t stream);

/* Each of n values becomes the largest that any rank has. */
void job_max(const struct job *job, double *values, size_t n, ncclComm_t comm, cudaStream_t stream);

/* Each becomes the sum of all ranks'. */
void job_sum(const struct job *job, double *values, size_t n, ncclComm_t comm, cudaStream_t stream);

/* Device memory of at least 1 byte, zeroed. */
void *job_alloc(size_t bytes);

/* These end the process unless the call went well; `what` names it. */
void must_nccl(ncclResult_t result, const char *what);
void must_cuda(cudaError_t result, const char *what);

/* CLOCK_MONOTONIC, and what this process's threads have used of the processors. */
double now_us(void);
double cpu_us(void);

#endif
