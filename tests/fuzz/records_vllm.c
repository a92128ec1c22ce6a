/* Records as NumPy arrays. */
#include "fuzz/records_case.h"

const enum lina_records_format records_format = LINA_RECORDS_VLLM;

const struct records_seed records_seeds[] = {
	RECORDS_SEED("\x93NUMPY\x01\x00\x3d\x00{'descr': '|u1', 'fortran_order': False, 'shape': "
		     "(2, 2, 2)}\n"
		     "\x01\x02\x03\x04\x05\x06\x07\x08"),
	RECORDS_SEED("\x93NUMPY\x02\x00\x3a\x00\x00\x00{'descr': '>i2', 'fortran_order': False, "
		     "'shape': (2, 2)}\n"
		     "\x00\x02\x00\x04\xff\xff\x07\x08"),
};

const unsigned records_nseeds = sizeof(records_seeds) / sizeof(*records_seeds);
