/* Records of any format, plain or compressed. */
#include "fuzz/records_case.h"

const enum lina_records_format records_format = LINA_RECORDS_AUTO;

/* "0,1,2\n0,1,2\n0,1,2\n" by gzip -n and by zstd. */
const struct records_seed records_seeds[] = {
	RECORDS_SEED("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x33\xd0\x31\xd4\x31\xe2\x32\x40\x22"
		     "\x01\x95\x34\x0f\x21\x12\x00\x00\x00"),
	RECORDS_SEED("\x28\xb5\x2f\xfd\x04\x58\x65\x00\x00\x30\x30\x2c\x31\x2c\x32\x0a\x01\x00\xe1"
		     "\x4a\x11\x4a\xdc\x2b\x7c"),
	RECORDS_SEED("[[1,2,3]]"),
	RECORDS_SEED("{\"layer\":2,\"step\":1,\"num_tokens\":0,\"topk\":1,\"top_indices\":[]}"),
	RECORDS_SEED("layer0,layer1\n1,2\n"),
};

const unsigned records_nseeds = sizeof(records_seeds) / sizeof(*records_seeds);
