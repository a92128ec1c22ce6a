/* Waiting for a stream on the host, as long as the communicator lives. */
#ifndef LINA_COLLECTIVES_WAIT_H
#define LINA_COLLECTIVES_WAIT_H

#include <nccl.h>

/* As lina_nccl, of a call that puts work on a stream: waits until a communicator that does not
 * block (ncclConfig_t) has put it there, since what comes next would overtake it. */
int lina_nccl_launched(ncclComm_t comm, ncclResult_t result, const char *what);

/* Until the event has come, or NCCL has an error to report for the communicator: -EIO, with a text.
 */
int lina_wait_event(ncclComm_t comm, cudaEvent_t event);

/* The same for all that the stream has been given. -EIO also where there is no event to be had. */
int lina_wait_stream(ncclComm_t comm, cudaStream_t stream);

#endif
