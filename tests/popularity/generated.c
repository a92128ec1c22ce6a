#include "popularity/generated.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

ssize_t memory_read(void *memory, void *bytes, size_t room)
{
	struct memory *m = memory;
	size_t n = m->n - m->at;

	if (m->at >= m->fail_at)
		return -EIO;
	n = n < room ? n : room;
	n = m->piece && n > m->piece ? m->piece : n;
	memcpy(bytes, m->bytes + m->at, n);
	m->at += n;
	return (ssize_t)n;
}

char *gzip_of(const char *bytes, size_t n, size_t *n_p)
{
	z_stream z = { 0 };
	size_t room = n + n / 100 + 256;
	char *out = malloc(room);

	assert_non_null(out);
	assert_int_equal(
		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (z_const Bytef *)bytes;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)out;
	z.avail_out = (uInt)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*n_p = z.total_out;
	assert_int_equal(deflateEnd(&z), Z_OK);
	return out;
}

char *zstd_of(const char *bytes, size_t n, size_t *n_p)
{
	size_t room = ZSTD_compressBound(n);
	char *out = malloc(room);

	assert_non_null(out);
	*n_p = ZSTD_compress(out, room, bytes, n, 3);
	assert_false(ZSTD_isError(*n_p));
	return out;
}

struct lina_records *records_of(struct memory *memory, const struct lina_records_options *options)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_records *records;
	struct lina_input *in;

	assert_int_equal(lina_input_create(memory_read, memory, &in, &fault), 0);
	if (lina_records_create(in, options, &records, &fault))
		fail_msg("%d:%d: %s", fault.line, fault.column, fault.text);
	return records;
}

uint64_t random_below(uint64_t *random, uint64_t n)
{
	uint64_t z = (*random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}
