#include "plugin/nccl_abi/result.h"

#include <errno.h>

ncclResult_t lina_nccl_result(int err)
{
	switch (-err) {
	case 0:
		return ncclSuccess;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ESHUTDOWN:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETRESET:
	case ENOTCONN:
	case EPROTO:
	case EBADMSG:
	case EMSGSIZE:
		return ncclRemoteError;
	case EAGAIN:
	case ENOMEM:
	case ENOBUFS:
	case ENOSPC:
	case EMFILE:
	case ENFILE:
	case EACCES:
	case EPERM:
	case EIO:
	case ENODEV:
	case ENETDOWN:
	case EADDRINUSE:
	case EADDRNOTAVAIL:
	case EAFNOSUPPORT:
		return ncclSystemError;
	case EINVAL:
	case ERANGE:
		return ncclInvalidArgument;
	case ENOTSUP:
		return ncclInvalidUsage;
	default:
		return ncclInternalError;
	}
}
