/*
 * What NCCL's plugin ABIs have in common: results, the logger, the profiler's callback. Names,
 * order and types are NCCL's and must not change; net_layout.c asserts them, and a test compares
 * them with NCCL's own headers where its source is given.
 *
 * Only the adapters (*_abi.c) include the headers of this folder, and none includes nccl.h.
 */
#ifndef LINA_NCCL_ABI_COMMON_H
#define LINA_NCCL_ABI_COMMON_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
	ncclSuccess = 0,
	ncclUnhandledCudaError = 1,
	ncclSystemError = 2,
	ncclInternalError = 3,
	ncclInvalidArgument = 4,
	ncclInvalidUsage = 5,
	ncclRemoteError = 6,
	ncclInProgress = 7
} ncclResult_t;

typedef enum {
	NCCL_LOG_NONE = 0,
	NCCL_LOG_VERSION = 1,
	NCCL_LOG_WARN = 2,
	NCCL_LOG_INFO = 3,
	NCCL_LOG_ABORT = 4,
	NCCL_LOG_TRACE = 5
} ncclDebugLogLevel;

/* Of the subsystems only those that a network speaks for. */
typedef enum {
	NCCL_INIT = 0x1,
	NCCL_NET = 0x10,
	NCCL_ENV = 0x80,
	NCCL_ALL = ~0
} ncclDebugLogSubSys;

typedef void (*ncclDebugLogger_t)(ncclDebugLogLevel level, unsigned long flags, const char *file,
	int line, const char *fmt, ...);

enum {
	ncclProfilerNetEventStart = 0,
	ncclProfilerNetEventStop,
	ncclProfilerNetEventUpdate,
	ncclProfilerNetEventUpdateAndStop
};

/* eHandle: the plugin's, kept from start to stop; pHandle: NCCL's parent event. */
typedef ncclResult_t (*ncclProfilerCallback_t)(
	void **eHandle, int type, void *pHandle, int64_t pluginId, void *extData);

#endif
