/* The text of an error, for lina_last_error(). */
#ifndef LINA_COLLECTIVES_ERROR_H
#define LINA_COLLECTIVES_ERROR_H

#include <nccl.h>

/* Keeps the text for this thread and returns err. */
int lina_fail(int err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* 0, or -EIO with a text where the call failed; `what` names it. ncclInProgress is success. */
int lina_nccl(ncclResult_t result, const char *what);
int lina_cuda(cudaError_t result, const char *what);

#endif
