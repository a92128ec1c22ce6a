/* What the targets of the formats of records share: a format and its good inputs, which are all
 * that a target has of its own. */
#ifndef LINA_TESTS_FUZZ_RECORDS_CASE_H
#define LINA_TESTS_FUZZ_RECORDS_CASE_H

#include "collectives/records/records.h"
#include "fuzz/fuzz.h"

struct records_seed {
	const char *bytes;
	size_t n;
};

/* Of the target: which format the input is read as. */
extern const enum lina_records_format records_format;
extern const struct records_seed records_seeds[];
extern const unsigned records_nseeds;

#define RECORDS_SEED(text)               \
	{                                \
		(text), sizeof(text) - 1 \
	}

#endif
