/*
 * What every program of these tests is: one rank of a job that lina-launch started, over NCCL's own
 * socket transport or over a net plugin, and sure of which of the two it is.
 *
 * A failed call ends the process with status 1, after the reason and the end of NCCL's log on
 * standard error: a test has nothing to undo, and the launcher ends the other ranks.
 */
#ifndef LINA_TESTS_NCCL_JOB_H
#define LINA_TESTS_NCCL_JOB_H

#include <argp.h>
#include <cuda_runtime.h>
#include <limits.h>
#include <nccl.h>
#include <stdbool.h>
#include <stdnoreturn.h>

enum { JOB_NAME_BYTES = 64 };

struct job {
	int rank, nranks;
	const char *rendezvous_dir; /* shared by the ranks of this run alone */
	const char *plugin;         /* path of the net plugin; NULL: NCCL's own sockets */
	int abi;                    /* net ABI that NCCL must load it by; 0: the newest of both */
	const char *network;        /* the name NCCL must say that it uses; NULL: any */
	char log_path[PATH_MAX];    /* NCCL's own log of this rank */
};

/* --plugin PATH, --abi N and --network NAME; the input is the struct job. For argp's children. */
extern const struct argp job_argp;

/* Reads what the launcher set and sets what NCCL reads: call it before NCCL's first function. */
void job_start(struct job *job);

/* A communicator over all ranks. The name, different for each call, is where its id is passed on.
 */
ncclComm_t job_comm(struct job *job, const char *name);

/* The same, but returns NCCL's error; *comm_p is written only on success. */
ncclResult_t job_try_comm(struct job *job, const char *name, ncclComm_t *comm_p);
/* With a configuration, which may be NULL. */
ncclResult_t job_try_comm_config(
	struct job *job, const char *name, ncclConfig_t *config, ncclComm_t *comm_p);

/* Fails unless the log says that NCCL runs every communicator over job->network and, when there is
 * a plugin, that it loaded it by job_abi(). */
void job_check_network(const struct job *job);

/* The net ABI that NCCL must load the plugin by. */
int job_abi(const struct job *job);

/* How many lines of NCCL's log have the text. */
int job_count_log(const struct job *job, const char *text);

/* Waits until the stream has done all it was given, or NCCL reports an error, or timeout_s passed
 * (JOB_TIMED_OUT). NCCL's errors are returned, never fatal here. */
ncclResult_t job_wait(ncclComm_t comm, cudaStream_t stream, double timeout_s);
#define JOB_TIMED_OUT ((ncclResult_t)-1)

/* Waits for the file in the rendezvous folder that job_tell() makes; fails after a minute. */
void job_tell(const struct job *job, const char *what, const void *text, size_t bytes);
void job_ask(const struct job *job, const char *what, void *text, size_t bytes);

/* Waits until every rank is here; the name is different for each call. */
void job_barrier(const struct job *job, const char *name);

double job_now_s(void);

noreturn void job_fail(const char *file, int line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void job_need_nccl(const char *file, int line, const char *call, ncclResult_t result);
void job_need_cuda(const char *file, int line, const char *call, int result);

#define FAIL(...)  job_fail(__FILE__, __LINE__, __VA_ARGS__)
#define NCCL(call) job_need_nccl(__FILE__, __LINE__, #call, call)
#define CUDA(call) job_need_cuda(__FILE__, __LINE__, #call, (int)(call))

#endif
