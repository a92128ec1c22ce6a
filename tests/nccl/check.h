/* Runs single collectives on a communicator and compares every element with the plain reference. */
#ifndef LINA_TESTS_NCCL_CHECK_H
#define LINA_TESTS_NCCL_CHECK_H

#include "collective.h"
#include "job.h"

/* One allocation on the device, what must be in it, and what is. */
struct check_buffer {
	char *device;
	char *image, *got;
	size_t bytes;
};

/* Zeroed but for job and comm it is ready; one stream at a time may use it. */
struct check {
	const struct job *job;
	ncclComm_t comm;
	cudaStream_t stream;
	int rank, nranks; /* in comm */
	struct check_buffer send, recv;
	unsigned long operations;
	unsigned long plant_at; /* spoil the result of this operation, counted from 1; 0: none */
	unsigned long long elements; /* compared */
	/* of the operation on its way: */
	const struct collective *collective;
	struct call call;
	struct layout layout;
	bool is_in_place;
	size_t margin; /* guard before the data, in bytes */
};

struct check_spec {
	const struct collective *collective;
	const struct pattern *pattern;
	ncclRedOp_t op;
	size_t bytes; /* of the larger of the two buffers; rounded up to elements and blocks */
	bool in_place;
};

/* Opens and closes what a check needs on the device. */
void check_open(struct check *check, const struct job *job, ncclComm_t comm);
void check_close(struct check *check);

/* Fills the buffers and starts the operation. */
void check_launch(struct check *check, const struct check_spec *spec);
/* The same where NCCL may refuse, as a rank may have been lost: its result. */
ncclResult_t check_try_launch(struct check *check, const struct check_spec *spec);

/* Waits for it and compares all: the result, the input that must be unchanged, guards around both.
 */
void check_finish(struct check *check);

/* Makes NCCL's operation of op for the type. */
ncclRedOp_t check_op_create(struct check *check, const struct value_type *type, enum value_op op);
void check_op_destroy(struct check *check, enum value_op op, ncclRedOp_t made);

#endif
