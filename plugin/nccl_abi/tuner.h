/*
 * NCCL's tuner ABI, versions 3 to 6, in our own words; see common.h for what may change here
 * (nothing). NCCL looks for these tables in the library of its net plugin where no other tuner is
 * named.
 */
#ifndef LINA_NCCL_ABI_TUNER_H
#define LINA_NCCL_ABI_TUNER_H

#include "plugin/nccl_abi/common.h"

/* Numbered as enum lina_op; of NCCL's only the first, since we look at none. */
typedef enum { ncclFuncBroadcast = 0 } ncclFunc_t;

/* --- v3 --- */

typedef struct {
	const char *name;
	ncclResult_t (*init)(
		size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction, void **context);
	/* collCostTable: really float[numAlgo][numProto], microseconds; nChannels: 0 = as NCCL has
	 * it */
	ncclResult_t (*getCollInfo)(void *context, ncclFunc_t collType, size_t nBytes,
		int numPipeOps, float **collCostTable, int numAlgo, int numProto, int *nChannels);
	ncclResult_t (*destroy)(void *context);
} ncclTuner_v3_t;

/* --- v4: whether the buffers are registered --- */

typedef struct {
	const char *name;
	ncclResult_t (*init)(
		size_t nRanks, size_t nNodes, ncclDebugLogger_t logFunction, void **context);
	ncclResult_t (*getCollInfo)(void *context, ncclFunc_t collType, size_t nBytes,
		int numPipeOps, float **collCostTable, int numAlgo, int numProto, int regBuff,
		int *nChannels);
	ncclResult_t (*destroy)(void *context);
} ncclTuner_v4_t;

/* --- v5: which communicator; the constants of NCCL's cost model --- */

typedef struct {
	int nNvlDomains;
	int minRanksPerNvlDomain;
	int maxRanksPerNvlDomain;
} ncclNvlDomainInfo_v5_t;

#define NCCL_NUM_ALGORITHMS_V5    7
#define NCCL_NUM_PROTOCOLS_V5     3
#define NCCL_NUM_HW_LINKS_V5      3
#define NCCL_NUM_COMPCAPS_V5      4
#define NCCL_NUM_TUNING_SCALES_V5 3

typedef struct {
	double baseLatencies[NCCL_NUM_ALGORITHMS_V5][NCCL_NUM_PROTOCOLS_V5];
	double hwLatencies[NCCL_NUM_HW_LINKS_V5][NCCL_NUM_ALGORITHMS_V5][NCCL_NUM_PROTOCOLS_V5];
	double llMaxBws[NCCL_NUM_COMPCAPS_V5][NCCL_NUM_TUNING_SCALES_V5];
	double perChMaxRingLL128Bws[NCCL_NUM_COMPCAPS_V5][NCCL_NUM_TUNING_SCALES_V5];
	double perChMaxTreeLL128Bws[NCCL_NUM_COMPCAPS_V5][NCCL_NUM_TUNING_SCALES_V5];
	double perChMaxTreeBws[NCCL_NUM_COMPCAPS_V5][NCCL_NUM_TUNING_SCALES_V5];
	double perChMaxNVLSTreeBws[NCCL_NUM_COMPCAPS_V5][NCCL_NUM_TUNING_SCALES_V5];
} ncclTunerConstants_v5_t;

typedef struct {
	const char *name;
	ncclResult_t (*init)(void **ctx, uint64_t commId, size_t nRanks, size_t nNodes,
		ncclDebugLogger_t logFunction, ncclNvlDomainInfo_v5_t *nvlDomainInfo,
		ncclTunerConstants_v5_t *constants);
	ncclResult_t (*getCollInfo)(void *context, ncclFunc_t collType, size_t nBytes,
		int numPipeOps, float **collCostTable, int numAlgo, int numProto, int regBuff,
		int *nChannels);
	ncclResult_t (*finalize)(void *context);
} ncclTuner_v5_t;

/* --- v6: the size of a chunk, where getChunkSize is not NULL --- */

typedef ncclNvlDomainInfo_v5_t ncclNvlDomainInfo_v6_t;
typedef ncclTunerConstants_v5_t ncclTunerConstants_v6_t;

typedef struct {
	const char *name;
	ncclResult_t (*init)(void **ctx, uint64_t commId, size_t nRanks, size_t nNodes,
		ncclDebugLogger_t logFunction, ncclNvlDomainInfo_v6_t *nvlDomainInfo,
		ncclTunerConstants_v6_t *constants);
	ncclResult_t (*getCollInfo)(void *context, ncclFunc_t collType, size_t nBytes,
		int numPipeOps, float **collCostTable, int numAlgo, int numProto, int regBuff,
		int *nChannels);
	ncclResult_t (*finalize)(void *context);
	ncclResult_t (*getChunkSize)(void *context, ncclFunc_t collType, size_t nBytes, int algo,
		int proto, int nChannels, size_t *chunkSize);
} ncclTuner_v6_t;

#endif
