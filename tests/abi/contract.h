/*
 * The contract of the adapters, in parts: the same calls through each table must reach the core
 * with every argument, and its answers NCCL. The core is a recorder (recorder.h).
 */
#ifndef LINA_TESTS_ABI_CONTRACT_H
#define LINA_TESTS_ABI_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "abi/recorder.h"
#include "plugin/nccl_abi/drive.h"

enum { UNSET = LINA_TRAFFIC_CLASS_UNSET };

/* The table under test, loaded before each test, and its context from v11 on. */
extern struct drive drive;
extern void *ctx;

/* Pointers to tell apart, each argument another. */
enum { NTHINGS = 128 };
extern char things[NTHINGS];

/* What NCCL leaves in *request before irecv: NCCL_NET_OPTIONAL_RECV_COMPLETION, no pointer at all.
 */
void *thing_hint(void);

/* What contract_init gives to init, beside the traffic class. */
#define THING_COMM_ID 0xfedcba9876543210u
void thing_log(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...);
ncclResult_t thing_profiler(
	void **eHandle, int type, void *pHandle, int64_t pluginId, void *extData);
ncclResult_t contract_init(const int *traffic_class);

/* One test of the contract. It runs on the tables from v<first> to v<last>. */
struct contract {
	const char *name;
	CMUnitTestFunction test;
	bool is_ready; /* wants the table initialised */
	int first, last;
};
#define CONTRACT_LOADED(test)                               \
	{                                                   \
#test, test, false, DRIVE_FIRST, DRIVE_LAST \
	}
#define CONTRACT_LOADED_OF(test, from, to)   \
	{                                    \
#test, test, false, from, to \
	}
#define CONTRACT_READY(test)                               \
	{                                                  \
#test, test, true, DRIVE_FIRST, DRIVE_LAST \
	}
#define CONTRACT_READY_OF(test, from, to)   \
	{                                   \
#test, test, true, from, to \
	}

extern const struct contract contract_contexts[], contract_conns[], contract_transfers[];
extern const size_t contract_ncontexts, contract_nconns, contract_ntransfers;

#endif
