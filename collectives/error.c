#include "collectives/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "collectives/lina.h"

static _Thread_local char text[512];

const char *lina_last_error(void)
{
	return text;
}

int lina_fail(int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return err;
}

int lina_nccl(ncclResult_t result, const char *what)
{
	if (result == ncclSuccess || result == ncclInProgress)
		return 0;
	return lina_fail(
		-EIO, "%s: %s: %s", what, ncclGetErrorString(result), ncclGetLastError(NULL));
}

int lina_cuda(cudaError_t result, const char *what)
{
	if (result == cudaSuccess)
		return 0;
	return lina_fail(-EIO, "%s: %s", what, cudaGetErrorString(result));
}
