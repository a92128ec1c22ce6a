/* Net plugins that NCCL cannot use. As BAD_PLUGIN_OLD: one of an ABI that no NCCL we know takes any
 * more. Else: one of the right ABIs whose init fails. */
#include "plugin/nccl_abi/net.h"

#define EXPORTED __attribute__((visibility("default")))

#ifdef BAD_PLUGIN_OLD

EXPORTED extern const struct {
	const char *name;
	void *functions[16];
} ncclNetPlugin_v3;
__typeof__(ncclNetPlugin_v3) ncclNetPlugin_v3 = { "lina-old", { 0 } };

#else

static ncclResult_t fail_v8(ncclDebugLogger_t log)
{
	(void)log;
	return ncclSystemError;
}

static ncclResult_t fail_v11(void **ctx, uint64_t comm_id, ncclNetCommConfig_v11_t *config,
	ncclDebugLogger_t log, ncclProfilerCallback_t profiler)
{
	(void)ctx;
	(void)comm_id;
	(void)config;
	(void)log;
	(void)profiler;
	return ncclSystemError;
}

static ncclResult_t no_devices(int *ndev)
{
	*ndev = 0;
	return ncclSuccess;
}

EXPORTED extern const ncclNet_v8_t ncclNetPlugin_v8;
EXPORTED extern const ncclNet_v11_t ncclNetPlugin_v11;
const ncclNet_v8_t ncclNetPlugin_v8 = {
	.name = "lina-failing",
	.init = fail_v8,
	.devices = no_devices,
};
const ncclNet_v11_t ncclNetPlugin_v11 = {
	.name = "lina-failing",
	.init = fail_v11,
	.devices = no_devices,
};

#endif
