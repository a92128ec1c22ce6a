/* Bytes of files: plain and compressed give the same, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "popularity/generated.h"

enum { LINES = 20000 };

static char *text;
static size_t text_bytes;

/* Lines of all lengths, the last one without a newline. */
static int text_make(void **state)
{
	uint64_t random = 1;
	FILE *f = open_memstream(&text, &text_bytes);

	(void)state;
	assert_non_null(f);
	for (int i = 0; i < LINES; i++) {
		int n = (int)random_below(&random, 40);

		(void)fprintf(f, "%s%d,%.*s", i ? "\n" : "", i, n,
			"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz");
	}
	return fclose(f);
}

static int text_free(void **state)
{
	(void)state;
	free(text);
	return 0;
}

/* Reads lines and puts them together again. */
static void lines_read(const char *bytes, size_t n, size_t piece)
{
	struct memory m = { .bytes = bytes, .n = n, .piece = piece, .fail_at = SIZE_MAX };
	struct lina_plan_text_fault fault;
	struct lina_input *in;
	size_t at = 0, length;
	char *line;
	int lines = 0;

	assert_int_equal(lina_input_create(memory_read, &m, &in, &fault), 0);
	while (lina_input_line(in, &line, &length, &fault) == 1) {
		lines++;
		assert_int_equal(lina_input_at_line(in), lines);
		assert_true(at + length <= text_bytes);
		assert_memory_equal(line, text + at, length);
		assert_int_equal(line[length], '\0');
		at += length + 1;
	}
	assert_int_equal(lines, LINES);
	assert_int_equal(at, text_bytes + 1);
	lina_input_close(in);
}

static void plain_gzip_and_zstd_give_the_same(void **state)
{
	static const size_t pieces[] = { 0, 1, 7, 65536 };
	size_t ngzip, nzstd;
	char *gzip = gzip_of(text, text_bytes, &ngzip), *zstd = zstd_of(text, text_bytes, &nzstd);

	(void)state;
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		lines_read(text, text_bytes, pieces[i]);
		lines_read(gzip, ngzip, pieces[i]);
		lines_read(zstd, nzstd, pieces[i]);
	}
	free(gzip);
	free(zstd);
}

/* As "cat a.gz b.gz" makes them. */
static void parts_that_follow_one_another_are_one(void **state)
{
	char *(*const compress[])(const char *, size_t, size_t *) = { gzip_of, zstd_of };
	size_t half = text_bytes / 2;

	(void)state;
	for (int i = 0; i < 2; i++) {
		size_t na, nb;
		char *a = compress[i](text, half, &na);
		char *b = compress[i](text + half, text_bytes - half, &nb);
		char *both = malloc(na + nb);

		assert_non_null(both);
		memcpy(both, a, na);
		memcpy(both + na, b, nb);
		lines_read(both, na + nb, 1000);
		free(a);
		free(b);
		free(both);
	}
}

/* What lines end with. */
static int lines_fail(struct memory *m, struct lina_plan_text_fault *fault)
{
	struct lina_input *in;
	char *line;
	size_t n;
	int got = lina_input_create(memory_read, m, &in, fault);

	if (got)
		return got;
	do
		got = lina_input_line(in, &line, &n, fault);
	while (got == 1);
	lina_input_close(in);
	return got;
}

static void a_cut_file_says_so(void **state)
{
	char *(*const compress[])(const char *, size_t, size_t *) = { gzip_of, zstd_of };
	static const char *const names[] = { "gzip", "zstd" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct lina_plan_text_fault fault = { 0 };
		char expected[80];
		size_t n;
		char *whole = compress[i](text, text_bytes, &n);
		struct memory m = { .bytes = whole, .n = n - 1, .fail_at = SIZE_MAX };

		assert_int_equal(lines_fail(&m, &fault), -EINVAL);
		(void)snprintf(expected, sizeof(expected),
			"the %s data end too early, after %zu bytes", names[i], n - 1);
		assert_string_equal(fault.text, expected);
		free(whole);
	}
}

static void a_damaged_file_says_so(void **state)
{
	struct lina_plan_text_fault fault = { 0 };
	size_t n;
	char *whole = gzip_of(text, text_bytes, &n);
	struct memory m = { .bytes = whole, .n = n, .fail_at = SIZE_MAX };

	(void)state;
	whole[n / 2] = (char)(whole[n / 2] ^ 0x55);
	whole[n / 2 + 1] = (char)(whole[n / 2 + 1] ^ 0x55);
	assert_int_equal(lines_fail(&m, &fault), -EINVAL);
	assert_non_null(strstr(fault.text, "bad gzip data before byte"));
	free(whole);
}

static void a_read_that_fails_is_said(void **state)
{
	struct lina_plan_text_fault fault = { 0 };
	struct memory m = { .bytes = text, .n = text_bytes, .fail_at = 70000 };

	(void)state;
	assert_int_equal(lines_fail(&m, &fault), -EIO);
	assert_string_equal(fault.text, strerror(EIO));
}

static void a_line_without_end_is_refused(void **state)
{
	struct lina_plan_text_fault fault = { 0 };
	size_t n = LINA_INPUT_PIECE_MAX + 2;
	char *one = malloc(n);
	struct memory m = { .bytes = one, .n = n, .fail_at = SIZE_MAX };

	(void)state;
	assert_non_null(one);
	memset(one, 'x', n);
	one[0] = '\n';
	assert_int_equal(lines_fail(&m, &fault), -EFBIG);
	assert_int_equal(fault.line, 2);
	assert_string_equal(fault.text, "expected a line of at most 16777216 bytes");
	free(one);
}

static void lines_end_as_on_any_system(void **state)
{
	struct memory m = { .bytes = "a\r\n\r\nb\rc\r\nd\r", .n = 12, .fail_at = SIZE_MAX };
	static const char *const expected[] = { "a", "", "b\rc", "d\r" };
	struct lina_plan_text_fault fault;
	struct lina_input *in;
	char *line;
	size_t n;

	(void)state;
	assert_int_equal(lina_input_create(memory_read, &m, &in, &fault), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(lina_input_line(in, &line, &n, &fault), 1);
		assert_string_equal(line, expected[i]);
	}
	assert_int_equal(lina_input_line(in, &line, &n, &fault), 0);
	lina_input_close(in);
}

static void files_are_opened_and_know_their_size(void **state)
{
	char path[] = "/tmp/lina-input-XXXXXX";
	struct lina_plan_text_fault fault;
	struct lina_input *in;
	uint64_t done, all;
	const char *bytes;
	size_t n;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "0,1,2\n", 6), 6);
	assert_int_equal(lina_input_open(path, &in, &fault), 0);
	assert_int_equal(lina_input_peek(in, 100, &bytes, &n, &fault), 0);
	assert_int_equal(n, 6);
	lina_input_progress(in, &done, &all);
	assert_int_equal(done, 6);
	assert_int_equal(all, 6);
	lina_input_close(in);
	(void)close(fd);
	(void)unlink(path);
	assert_int_equal(lina_input_open(path, &in, &fault), -ENOENT);
	assert_int_equal(fault.line, 0);
}

static ssize_t blanks_read(void *arg, void *bytes, size_t room)
{
	(void)arg;
	memset(bytes, ' ', room);
	return (ssize_t)room;
}

/* One line of more than 2 GiB: what is said of its end has the last column that can be said. */
static void columns_end_where_numbers_do(void **state)
{
	struct lina_plan_text_fault fault;
	struct lina_input *in;
	const char *bytes;
	size_t n, gone = 0;

	(void)state;
	assert_int_equal(lina_input_create(blanks_read, NULL, &in, &fault), 0);
	while (gone <= INT_MAX) {
		assert_int_equal(lina_input_peek(in, 1, &bytes, &n, &fault), 0);
		lina_input_skip(in, n);
		gone += n;
	}
	assert_int_equal(lina_input_at_column(in), INT_MAX);
	assert_int_equal(lina_input_at_line(in), 1);
	lina_input_close(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_gzip_and_zstd_give_the_same),
		cmocka_unit_test(parts_that_follow_one_another_are_one),
		cmocka_unit_test(a_cut_file_says_so),
		cmocka_unit_test(a_damaged_file_says_so),
		cmocka_unit_test(a_read_that_fails_is_said),
		cmocka_unit_test(a_line_without_end_is_refused),
		cmocka_unit_test(lines_end_as_on_any_system),
		cmocka_unit_test(columns_end_where_numbers_do),
		cmocka_unit_test(files_are_opened_and_know_their_size),
	};

	return cmocka_run_group_tests(tests, text_make, text_free);
}
