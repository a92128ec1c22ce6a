/* Waiting for a stream on the host, as long as the communicator lives and the limit allows
 * (lina_wait_limit_ms). */
#ifndef LINA_COLLECTIVES_WAIT_H
#define LINA_COLLECTIVES_WAIT_H

#include <nccl.h>
#include <stddef.h>
#include <stdint.h>

/* The limit in force; 0: none. */
uint32_t lina_wait_limit_now_ms(void);

/* As lina_nccl, of a call that puts work on a stream: waits until a communicator that does not
 * block (ncclConfig_t) has put it there, since what comes next would overtake it. -ETIMEDOUT. */
int lina_nccl_launched(ncclComm_t comm, ncclResult_t result, const char *what);

/* Until the event has come; or NCCL has an error to report for the communicator: -EIO; or the limit
 * has passed: -ETIMEDOUT. Both with a text. comm NULL: it has been aborted. */
int lina_wait_event(ncclComm_t comm, cudaEvent_t event);

/* After a wait that has taken too long, the text of its error: which ranks' words have not come.
 * row: [nranks], each of so many bytes and with a first number that is 0 until it comes, which may
 * be now. */
void lina_name_absent(const void *row, size_t each, int nranks);

/* The same for all that the stream has been given. -EIO also where there is no event to be had. */
int lina_wait_stream(ncclComm_t comm, cudaStream_t stream);

#endif
