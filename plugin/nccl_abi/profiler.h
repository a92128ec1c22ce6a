/*
 * NCCL's profiler ABI, versions 3 to 6, in our own words; see common.h for what may change here
 * (nothing). A heading says what is new in a version. NCCL looks for these tables in the library of
 * its net plugin where no other profiler is named.
 */
#ifndef LINA_NCCL_ABI_PROFILER_H
#define LINA_NCCL_ABI_PROFILER_H

#include <stdbool.h>
#include <sys/types.h>

#include "plugin/nccl_abi/common.h"

/* Kinds of events: one bit each, in a descriptor's type and in the activation mask. To ask for one
 * kind is to be given its ancestors as well. */
enum {
	ncclProfileGroup = 1 << 0,
	ncclProfileColl = 1 << 1,
	ncclProfileP2p = 1 << 2,
	ncclProfileProxyOp = 1 << 3,
	ncclProfileProxyStep = 1 << 4,
	ncclProfileProxyCtrl = 1 << 5,
	ncclProfileKernelCh = 1 << 6,
	ncclProfileNetPlugin = 1 << 7,
	ncclProfileGroupApi = 1 << 8,
	ncclProfileCollApi = 1 << 9,
	ncclProfileP2pApi = 1 << 10,
	ncclProfileKernelLaunch = 1 << 11,
	ncclProfileCeColl = 1 << 12,
	ncclProfileCeSync = 1 << 13,
	ncclProfileCeBatch = 1 << 14
};

/* The states that an event goes through; of NCCL's many only the first, since we look at none. */
typedef enum { ncclProfilerProxyOpSendPosted = 0 } ncclProfilerEventState_t;

/* The parts of a descriptor that several versions share. */
typedef struct {
	pid_t pid; /* of the process whose call it is; its parentObj means nothing to another */
	uint8_t channelId;
	int peer;
	int nSteps;
	int chunkSize;
	int isSend;
} ncclProfilerProxyOp_t;

typedef struct {
	int step;
} ncclProfilerProxyStep_t;

typedef struct {
	uint8_t channelId;
	uint64_t pTimer;
} ncclProfilerKernelCh_t;

typedef struct {
	int64_t id; /* of the network that emits, and its version */
	void *data;
} ncclProfilerNetPlugin_t;

/* --- v3 --- */

typedef struct {
	uint8_t type;
	void *parentObj; /* what startEvent gave for the parent */
	int rank;
	union {
		struct {
			const char *name; /* of the communicator */
			uint64_t commHash;
			uint64_t seqNumber;
			const char *func;
			void const *sendBuff;
			void *recvBuff;
			size_t count;
			int root;
			const char *datatype;
			uint8_t nMaxChannels;
			uint8_t nWarps;
			const char *algo;
			const char *proto;
		} coll;
		struct {
			const char *name;
			uint64_t commHash;
			const char *func;
			void *buff;
			const char *datatype;
			size_t count;
			int peer;
		} p2p;
		ncclProfilerProxyOp_t proxyOp;
		ncclProfilerProxyStep_t proxyStep;
		struct {
			uint8_t channelId;
		} kernelCh;
		ncclProfilerNetPlugin_t netPlugin;
	};
} ncclProfilerEventDescr_v3_t;

typedef union {
	struct {
		size_t transSize;
		int steps;
	} proxyOp;
	struct {
		int appendedProxyOps;
	} proxyCtrl;
} ncclProfilerEventStateArgs_v3_t;

typedef struct {
	const char *name;
	ncclResult_t (*init)(void **context, int *eActivationMask);
	ncclResult_t (*startEvent)(
		void *context, void **eHandle, ncclProfilerEventDescr_v3_t *eDescr);
	ncclResult_t (*stopEvent)(void *eHandle);
	ncclResult_t (*recordEventState)(void *eHandle, ncclProfilerEventState_t eState,
		ncclProfilerEventStateArgs_v3_t *eStateArgs);
	ncclResult_t (*finalize)(void *context);
} ncclProfiler_v3_t;

/* --- v4: the communicator's name, hash and size at init, and no longer with each event --- */

typedef struct {
	uint8_t type;
	void *parentObj;
	int rank;
	union {
		struct {
			uint64_t seqNumber;
			const char *func;
			void const *sendBuff;
			void *recvBuff;
			size_t count;
			int root;
			const char *datatype;
			uint8_t nChannels;
			uint8_t nWarps;
			const char *algo;
			const char *proto;
		} coll;
		struct {
			const char *func;
			void *buff;
			const char *datatype;
			size_t count;
			int peer;
			uint8_t nChannels;
		} p2p;
		ncclProfilerProxyOp_t proxyOp;
		ncclProfilerProxyStep_t proxyStep;
		ncclProfilerKernelCh_t kernelCh;
		ncclProfilerNetPlugin_t netPlugin;
	};
} ncclProfilerEventDescr_v4_t;

typedef union {
	struct {
		size_t transSize;
	} proxyStep;
	struct {
		int appendedProxyOps;
	} proxyCtrl;
	struct {
		void *data;
	} netPlugin;
	struct {
		uint64_t pTimer;
	} kernelCh;
} ncclProfilerEventStateArgs_v4_t;

typedef struct {
	const char *name;
	ncclResult_t (*init)(void **context, int *eActivationMask, const char *commName,
		uint64_t commHash, int nNodes, int nranks, int rank, ncclDebugLogger_t logfn);
	ncclResult_t (*startEvent)(
		void *context, void **eHandle, ncclProfilerEventDescr_v4_t *eDescr);
	ncclResult_t (*stopEvent)(void *eHandle);
	ncclResult_t (*recordEventState)(void *eHandle, ncclProfilerEventState_t eState,
		ncclProfilerEventStateArgs_v4_t *eStateArgs);
	ncclResult_t (*finalize)(void *context);
} ncclProfiler_v4_t;

/* --- v5: the calls of the program, which are the parents of what they became --- */

typedef struct {
	bool graphCaptured;
	int groupDepth;
} ncclProfilerGroupApi_t;

typedef struct {
	const char *func;
	size_t count;
	const char *datatype;
	int root;
	void *stream;
	bool graphCaptured;
} ncclProfilerCollApi_t;

typedef struct {
	const char *func;
	size_t count;
	const char *datatype;
	void *stream;
	bool graphCaptured;
} ncclProfilerP2pApi_t;

typedef struct {
	void *stream;
} ncclProfilerKernelLaunch_t;

typedef struct {
	uint64_t seqNumber;
	const char *func;
	void const *sendBuff;
	void *recvBuff;
	size_t count;
	int root;
	const char *datatype;
	uint8_t nChannels;
	uint8_t nWarps;
	const char *algo;
	const char *proto;
	void *parentGroup;
} ncclProfilerColl_t;

typedef struct {
	const char *func;
	void *buff;
	const char *datatype;
	size_t count;
	int peer;
	uint8_t nChannels;
	void *parentGroup;
} ncclProfilerP2p_t;

typedef struct {
	uint64_t type;
	void *parentObj;
	int rank;
	union {
		ncclProfilerGroupApi_t groupApi;
		ncclProfilerCollApi_t collApi;
		ncclProfilerP2pApi_t p2pApi;
		ncclProfilerKernelLaunch_t kernelLaunch;
		ncclProfilerColl_t coll;
		ncclProfilerP2p_t p2p;
		ncclProfilerProxyOp_t proxyOp;
		ncclProfilerProxyStep_t proxyStep;
		ncclProfilerKernelCh_t kernelCh;
		ncclProfilerNetPlugin_t netPlugin;
	};
} ncclProfilerEventDescr_v5_t;

typedef union {
	struct {
		size_t transSize;
	} proxyStep;
	struct {
		int appendedProxyOps;
	} proxyCtrl;
	struct {
		void *data;
	} netPlugin;
	struct {
		uint64_t pTimer;
	} kernelCh;
} ncclProfilerEventStateArgs_v5_t;

typedef struct {
	const char *name;
	ncclResult_t (*init)(void **context, uint64_t commId, int *eActivationMask,
		const char *commName, int nNodes, int nranks, int rank, ncclDebugLogger_t logfn);
	ncclResult_t (*startEvent)(
		void *context, void **eHandle, ncclProfilerEventDescr_v5_t *eDescr);
	ncclResult_t (*stopEvent)(void *eHandle);
	ncclResult_t (*recordEventState)(void *eHandle, ncclProfilerEventState_t eState,
		ncclProfilerEventStateArgs_v5_t *eStateArgs);
	ncclResult_t (*finalize)(void *context);
} ncclProfiler_v5_t;

/* --- v6: collectives that copy engines carry out --- */

typedef struct {
	uint64_t type;
	void *parentObj;
	int rank;
	union {
		ncclProfilerGroupApi_t groupApi;
		ncclProfilerCollApi_t collApi;
		ncclProfilerP2pApi_t p2pApi;
		ncclProfilerKernelLaunch_t kernelLaunch;
		ncclProfilerColl_t coll;
		ncclProfilerP2p_t p2p;
		ncclProfilerProxyOp_t proxyOp;
		ncclProfilerProxyStep_t proxyStep;
		ncclProfilerKernelCh_t kernelCh;
		ncclProfilerNetPlugin_t netPlugin;
		struct {
			uint64_t seqNumber;
			const char *func;
			void const *sendBuff;
			void *recvBuff;
			size_t count;
			int root;
			const char *datatype;
			const char *syncStrategy;
			bool intraBatchSync;
			uint32_t batchSize;
			uint32_t numBatches;
			uint32_t ceSeqNum;
			void *stream;
		} ceColl;
		struct {
			bool isComplete;
			int nRanks;
		} ceCollSync;
		struct {
			int numOps;
			size_t totalBytes;
			bool useIntraSync;
		} ceCollBatch;
	};
} ncclProfilerEventDescr_v6_t;

typedef ncclProfilerEventStateArgs_v5_t ncclProfilerEventStateArgs_v6_t;

typedef struct {
	const char *name;
	ncclResult_t (*init)(void **context, uint64_t commId, int *eActivationMask,
		const char *commName, int nNodes, int nranks, int rank, ncclDebugLogger_t logfn);
	ncclResult_t (*startEvent)(
		void *context, void **eHandle, ncclProfilerEventDescr_v6_t *eDescr);
	ncclResult_t (*stopEvent)(void *eHandle);
	ncclResult_t (*recordEventState)(void *eHandle, ncclProfilerEventState_t eState,
		ncclProfilerEventStateArgs_v6_t *eStateArgs);
	ncclResult_t (*finalize)(void *context);
} ncclProfiler_v6_t;

#endif
