/* Runs the contract of the adapters (contract.h) on each table. */
#include "abi/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NTESTS_MAX = 64 };

struct drive drive;
void *ctx;
char things[NTHINGS];

void thing_log(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...)
{
	(void)level, (void)flags, (void)file, (void)line, (void)fmt;
}

ncclResult_t thing_profiler(
	void **eHandle, int type, void *pHandle, int64_t pluginId, void *extData)
{
	(void)eHandle, (void)type, (void)pHandle, (void)pluginId, (void)extData;
	return ncclSuccess;
}

void *thing_hint(void)
{
	uintptr_t value = NCCL_NET_OPTIONAL_RECV_COMPLETION;
	void *hint;

	memcpy(&hint, &value, sizeof(hint));
	return hint;
}

ncclResult_t contract_init(const int *traffic_class)
{
	return drive_init(&drive, &ctx, THING_COMM_ID, traffic_class, thing_log, thing_profiler);
}

static int load(void **state)
{
	const int *version = *state;

	rec_reset();
	ctx = NULL;
	return drive_open(&drive, ABI_MODULE, *version);
}

static int load_and_init(void **state)
{
	int traffic_class = 7;

	if (load(state) != 0)
		return -1;
	return contract_init(&traffic_class) == ncclSuccess ? 0 : -1;
}

static int unload(void **state)
{
	(void)state;
	if (drive.library != NULL)
		drive_close(&drive);
	return 0;
}

static size_t add_tests(struct CMUnitTest *tests, size_t ntests, const struct contract *part,
	size_t nparts, int *version)
{
	for (size_t i = 0; i < nparts && ntests < NTESTS_MAX; i++) {
		if (*version < part[i].first || *version > part[i].last)
			continue;
		tests[ntests++] = (struct CMUnitTest){ part[i].name, part[i].test,
			part[i].is_ready ? load_and_init : load, unload, version };
	}
	return ntests;
}

static int run_on(int version)
{
	struct CMUnitTest tests[NTESTS_MAX];
	size_t ntests = 0;
	char group[24];

	ntests = add_tests(tests, ntests, contract_contexts, contract_ncontexts, &version);
	ntests = add_tests(tests, ntests, contract_conns, contract_nconns, &version);
	ntests = add_tests(tests, ntests, contract_transfers, contract_ntransfers, &version);
	(void)snprintf(group, sizeof(group), "net v%d", version);
	return _cmocka_run_group_tests(group, tests, ntests, NULL, NULL);
}

int main(void)
{
	int nfailed = 0;

	for (int version = DRIVE_FIRST; version <= DRIVE_LAST; version++)
		nfailed += run_on(version);
	return nfailed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
