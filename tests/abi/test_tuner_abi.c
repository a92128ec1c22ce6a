/* The plugin's tuner tables, loaded and called as NCCL does: they change nothing. */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "plugin/nccl_abi/tuner.h"

enum { FIRST = 3, LAST = 6, NALGOS = 7, NPROTOS = 3, NFUNCS = 12 };

static int version; /* of the table under test */
static void *library;
static const void *table;
static void *context;

#define V3 ((const ncclTuner_v3_t *)table)
#define V4 ((const ncclTuner_v4_t *)table)
#define V5 ((const ncclTuner_v5_t *)table)
#define V6 ((const ncclTuner_v6_t *)table)

static int open_table(void **state)
{
	char symbol[32];

	(void)state;
	(void)snprintf(symbol, sizeof(symbol), "ncclTunerPlugin_v%d", version);
	library = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
	table = library != NULL ? dlsym(library, symbol) : NULL;
	return table != NULL ? 0 : -1;
}

static int close_table(void **state)
{
	(void)state;
	return dlclose(library);
}

static ncclResult_t init(ncclNvlDomainInfo_v5_t *domains, ncclTunerConstants_v5_t *constants)
{
	switch (version) {
	case 3:
		return V3->init(4, 2, NULL, &context);
	case 4:
		return V4->init(4, 2, NULL, &context);
	case 5:
		return V5->init(&context, 77, 4, 2, NULL, domains, constants);
	default:
		return V6->init(&context, 77, 4, 2, NULL, domains, constants);
	}
}

static ncclResult_t coll_info(
	ncclFunc_t func, size_t bytes, float costs[NALGOS][NPROTOS], int *nchannels)
{
	float **in = (float **)(void *)costs; /* as NCCL has it: no array of pointers */

	switch (version) {
	case 3:
		return V3->getCollInfo(context, func, bytes, 1, in, NALGOS, NPROTOS, nchannels);
	case 4:
		return V4->getCollInfo(context, func, bytes, 1, in, NALGOS, NPROTOS, 0, nchannels);
	case 5:
		return V5->getCollInfo(context, func, bytes, 1, in, NALGOS, NPROTOS, 1, nchannels);
	default:
		return V6->getCollInfo(context, func, bytes, 1, in, NALGOS, NPROTOS, 1, nchannels);
	}
}

static ncclResult_t finish(void)
{
	switch (version) {
	case 3:
		return V3->destroy(context);
	case 4:
		return V4->destroy(context);
	case 5:
		return V5->finalize(context);
	default:
		return V6->finalize(context);
	}
}

static void costs_and_channels_stay(void **state)
{
	float costs[NALGOS][NPROTOS], before[NALGOS][NPROTOS];
	int nchannels = 0;

	(void)state;
	for (int i = 0; i < NALGOS * NPROTOS; i++)
		costs[i / NPROTOS][i % NPROTOS] = i % 4 == 3 ? -1.0F : (float)i * 1.5F;
	memcpy(before, costs, sizeof(costs));
	assert_int_equal(init(NULL, NULL), ncclSuccess);
	for (int func = 0; func < NFUNCS; func++)
		for (size_t bytes = 0; bytes < (size_t)1 << 40; bytes = 4 * bytes + 1)
			assert_int_equal(
				coll_info((ncclFunc_t)func, bytes, costs, &nchannels), ncclSuccess);
	assert_memory_equal(costs, before, sizeof(costs));
	assert_int_equal(nchannels, 0);
	assert_int_equal(finish(), ncclSuccess);
}

static void constants_of_the_cost_model_stay(void **state)
{
	ncclTunerConstants_v5_t constants, before;
	ncclNvlDomainInfo_v5_t domains = { 1, 2, 3 };

	(void)state;
	memset(&constants, 0x3a, sizeof(constants));
	before = constants;
	assert_int_equal(init(&domains, &constants), ncclSuccess);
	assert_memory_equal(&constants, &before, sizeof(constants));
	assert_int_equal(finish(), ncclSuccess);
}

static void slots_are_there(void **state)
{
	(void)state;
	assert_string_equal(V3->name, "lina");
	assert_non_null(V3->init);
	assert_non_null(V3->getCollInfo);
	assert_non_null(V3->destroy);
	/* Optional: without it NCCL keeps its own size. */
	if (version >= 6)
		assert_null(V6->getChunkSize);
}

#define ON_TABLE(test) cmocka_unit_test_setup_teardown(test, open_table, close_table)

static int run_on(int v)
{
	const struct CMUnitTest tests[] = {
		ON_TABLE(slots_are_there),
		ON_TABLE(costs_and_channels_stay),
		ON_TABLE(constants_of_the_cost_model_stay),
	};
	char group[24];

	version = v;
	(void)snprintf(group, sizeof(group), "tuner v%d", v);
	return cmocka_run_group_tests_name(group, tests, NULL, NULL);
}

int main(void)
{
	int nfailed = 0;

	for (int v = FIRST; v <= LAST; v++)
		nfailed += run_on(v);
	return nfailed == 0 ? 0 : 1;
}
