/* From our errors to NCCL's: the one place where an errno becomes an ncclResult_t. */
#ifndef LINA_NCCL_ABI_RESULT_H
#define LINA_NCCL_ABI_RESULT_H

#include "plugin/nccl_abi/common.h"

/* err: 0 or -errno. To NCCL every failure ends the communicator; what differs is where it sends its
 * user: ncclRemoteError to the other hosts, ncclSystemError to this one, ncclInvalidArgument and
 * ncclInvalidUsage to the program, and ncclInternalError to us. Never ncclInProgress, which NCCL
 * takes for success. -EAGAIN is an error here; where it is none, the caller knows. */
ncclResult_t lina_nccl_result(int err);

#endif
