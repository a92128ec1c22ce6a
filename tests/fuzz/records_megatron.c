/* Records as JSON lines of Megatron. */
#include "fuzz/records_case.h"

const enum lina_records_format records_format = LINA_RECORDS_MEGATRON;

const struct records_seed records_seeds[] = {
	RECORDS_SEED("{\"step\":1,\"layer\":2,\"rank\":0,\"num_tokens\":2,\"topk\":2,"
		     "\"top_indices\":[[3,1],[0,2]]}\n"
		     "{\"step\":1,\"layer\":3,\"rank\":0,\"num_tokens\":2,\"topk\":2,"
		     "\"top_indices\":[[5,6],[7,-1]]}\n"),
	RECORDS_SEED("{\"step\":1,\"stage\":\"f\",\"block\":\"d\",\"layer\":4,\"rank\":1,"
		     "\"num_tokens\":0,\"topk\":1,\"top_indices\":[]}\n\n"),
};

const unsigned records_nseeds = sizeof(records_seeds) / sizeof(*records_seeds);
