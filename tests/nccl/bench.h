/* What a scenario in the life of communicators proves them with: collectives, every element
 * compared. */
#ifndef LINA_TESTS_NCCL_BENCH_H
#define LINA_TESTS_NCCL_BENCH_H

#include "check.h"

/* A check with the patterns that go with its communicator's size. */
struct bench {
	struct check check;
	struct pattern *moved, *summed;
};

void bench_open(struct bench *bench, const struct job *job, ncclComm_t comm);
void bench_close(struct bench *bench);

/* Starts the collective called name; check_finish() waits for its end. */
void bench_launch(struct bench *bench, const char *name, size_t bytes);
ncclResult_t bench_try_launch(struct bench *bench, const char *name, size_t bytes);

/* Every kind of connection that NCCL makes: rings and trees, and pairs. */
void bench_prove(struct bench *bench);

/* The same, with all that it takes. */
void bench_prove_once(const struct job *job, ncclComm_t comm);

/* A scenario of nccl_comms in a file of its own: the process forks while data moves. */
void run_fork(struct job *job);

#endif
