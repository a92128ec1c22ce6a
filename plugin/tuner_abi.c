/*
 * The exported ncclTuner_vN_t. They leave every choice to NCCL: what is shared between classes is a
 * link, which a tuner does not see. They are here since NCCL looks for them in the library of its
 * net plugin, so that what one day has to be said to NCCL (channels, the size of a chunk) has its
 * place, and are tested for changing nothing.
 */
#include "plugin/nccl_abi/result.h"
#include "plugin/nccl_abi/tuner.h"

#define LINA_EXPORT __attribute__((visibility("default")))

static ncclResult_t init_v3(size_t nranks, size_t nnodes, ncclDebugLogger_t log, void **context)
{
	(void)nranks, (void)nnodes, (void)log;
	*context = NULL;
	return ncclSuccess;
}

static ncclResult_t init_v5(void **context, uint64_t comm_id, size_t nranks, size_t nnodes,
	ncclDebugLogger_t log, ncclNvlDomainInfo_v5_t *domains, ncclTunerConstants_v5_t *constants)
{
	(void)comm_id, (void)nranks, (void)nnodes, (void)log, (void)domains, (void)constants;
	*context = NULL;
	return ncclSuccess;
}

/* nchannels and the table stay as they come: 0 channels and NCCL's own costs. */
static ncclResult_t coll_info_v3(void *context, ncclFunc_t func, size_t bytes, int npipe,
	float **costs, int nalgos, int nprotos, int *nchannels)
{
	(void)context, (void)func, (void)bytes, (void)npipe, (void)costs, (void)nalgos;
	(void)nprotos, (void)nchannels;
	return ncclSuccess;
}

static ncclResult_t coll_info_v4(void *context, ncclFunc_t func, size_t bytes, int npipe,
	float **costs, int nalgos, int nprotos, int registered, int *nchannels)
{
	(void)context, (void)func, (void)bytes, (void)npipe, (void)costs, (void)nalgos;
	(void)nprotos, (void)registered, (void)nchannels;
	return ncclSuccess;
}

static ncclResult_t close_v3(void *context)
{
	(void)context;
	return ncclSuccess;
}

LINA_EXPORT extern const ncclTuner_v3_t ncclTunerPlugin_v3;
LINA_EXPORT extern const ncclTuner_v4_t ncclTunerPlugin_v4;
LINA_EXPORT extern const ncclTuner_v5_t ncclTunerPlugin_v5;
LINA_EXPORT extern const ncclTuner_v6_t ncclTunerPlugin_v6;

const ncclTuner_v3_t ncclTunerPlugin_v3 = {
	.name = "lina",
	.init = init_v3,
	.getCollInfo = coll_info_v3,
	.destroy = close_v3,
};

const ncclTuner_v4_t ncclTunerPlugin_v4 = {
	.name = "lina",
	.init = init_v3,
	.getCollInfo = coll_info_v4,
	.destroy = close_v3,
};

const ncclTuner_v5_t ncclTunerPlugin_v5 = {
	.name = "lina",
	.init = init_v5,
	.getCollInfo = coll_info_v4,
	.finalize = close_v3,
};

const ncclTuner_v6_t ncclTunerPlugin_v6 = {
	.name = "lina",
	.init = init_v5,
	.getCollInfo = coll_info_v4,
	.finalize = close_v3,
	.getChunkSize = NULL,
};
