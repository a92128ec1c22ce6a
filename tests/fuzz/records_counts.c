/* Records as JSON counts. */
#include "fuzz/records_case.h"

const enum lina_records_format records_format = LINA_RECORDS_COUNTS;

const struct records_seed records_seeds[] = {
	RECORDS_SEED("[[1,2,3],[4,5,6.5]]"),
	RECORDS_SEED("[[[1,2],[3,4]],\n [[5,6],[7,8]]]\n"),
	RECORDS_SEED("{\"rank\": 0, \"a]\\\"\": [[{}], \"]\", null], \"logical_count\": [[1,2]]}"),
};

const unsigned records_nseeds = sizeof(records_seeds) / sizeof(*records_seeds);
