/* Inputs that tests make: from memory in pieces of any size, compressed or not. */
#ifndef LINA_TESTS_POPULARITY_GENERATED_H
#define LINA_TESTS_POPULARITY_GENERATED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collectives/records/records.h"

/* Memory as lina_input_create reads it, piece bytes at a time; fail_at: where a read fails with
 * -EIO, or SIZE_MAX. */
struct memory {
	const char *bytes;
	size_t n, at, piece, fail_at;
};
ssize_t memory_read(void *memory, void *bytes, size_t room);

/* Compresses; the caller frees. */
char *gzip_of(const char *bytes, size_t n, size_t *n_p);
char *zstd_of(const char *bytes, size_t n, size_t *n_p);

/* Opens text as records, or fails the test; the text stays in use. */
struct lina_records *records_of(struct memory *memory, const struct lina_records_options *options);

/* splitmix64 (Steele, Lea and Flood 2014). */
uint64_t random_below(uint64_t *random, uint64_t n);

#endif
