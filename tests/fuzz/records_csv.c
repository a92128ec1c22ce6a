/* Records as CSV. */
#include "fuzz/records_case.h"

const enum lina_records_format records_format = LINA_RECORDS_CSV;

const struct records_seed records_seeds[] = {
	RECORDS_SEED("layer,expert,count\n0,1,5\n1,0,2.5\n"),
	RECORDS_SEED("step,src_layer,dst_layer,src_expert,dst_expert,count\r\n7,0,2,3,4,1e3\r\n"),
	RECORDS_SEED("# paths\n\nlayer0,layer_1,layer2\n1 2,3 4,5;6\n7,8,-1\n"),
	RECORDS_SEED("0,1,2,30\n"),
};

const unsigned records_nseeds = sizeof(records_seeds) / sizeof(*records_seeds);
