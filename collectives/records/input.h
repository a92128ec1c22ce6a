/*
 * The bytes of a file as they come, whatever it is compressed with: plain, gzip or zstd, found by
 * its first bytes. Read once, from front to back, so that pipes serve and no file is too large.
 *
 * Memory: 128 KiB, what the decompressor keeps (32 KiB for gzip; for zstd the window that the file
 * was made with, 8 MiB up to level 19, 128 MiB at most, more is refused) and the longest piece that
 * is asked for in one go, LINA_INPUT_PIECE_MAX at most.
 *
 * One thread at a time.
 */
#ifndef LINA_COLLECTIVES_RECORDS_INPUT_H
#define LINA_COLLECTIVES_RECORDS_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collectives/plan_io.h"

enum { LINA_INPUT_PIECE_MAX = 16 << 20 };

struct lina_input;

/* As read(2): up to room bytes to bytes, how many they are, 0 at the end, or -errno. */
typedef ssize_t lina_input_read_fn(void *arg, void *bytes, size_t room);

/* What read gives, called with arg until lina_input_close. -errno: what read failed with, -EINVAL
 * where the first bytes promise a compressed file and break the promise, -ENOMEM; *fault_p says
 * which, here and below. */
int lina_input_create(lina_input_read_fn *read, void *arg, struct lina_input **in_p,
	struct lina_plan_text_fault *fault_p);

/* A file; "-" is the standard input. */
int lina_input_open(
	const char *path, struct lina_input **in_p, struct lina_plan_text_fault *fault_p);
/* NULL is allowed. */
void lina_input_close(struct lina_input *in);

/* The next bytes, without going on: *bytes_p has *n_p of them, n or more, fewer only where the
 * input ends. They stay until the next call. -EFBIG: n is above LINA_INPUT_PIECE_MAX. */
int lina_input_peek(struct lina_input *in, size_t n, const char **bytes_p, size_t *n_p,
	struct lina_plan_text_fault *fault_p);

/* Goes on by n bytes, which the last peek has shown. */
void lina_input_skip(struct lina_input *in, size_t n);

/* The next line, with a zero in place of its newline (LF or CR LF), and goes behind it. The line
 * stays, and may be written to, until the next call. 1; 0 at the end; -EFBIG: it is longer than
 * LINA_INPUT_PIECE_MAX. */
int lina_input_line(
	struct lina_input *in, char **line_p, size_t *n_p, struct lina_plan_text_fault *fault_p);

/* Where the input is: the line, from 1, and the column, from 1, of the next byte; and behind a
 * lina_input_line the line that it gave, column 1. */
int lina_input_at_line(const struct lina_input *in);
int lina_input_at_column(const struct lina_input *in);

/* Bytes taken from the file so far, compressed as they are, and its size; 0: not known. */
void lina_input_progress(const struct lina_input *in, uint64_t *done_p, uint64_t *all_p);

/* Says what is wrong at a place; -EINVAL, so that one may return it. */
int lina_input_fault(struct lina_plan_text_fault *fault_p, int line, int column, const char *fmt,
	...) __attribute__((format(printf, 4, 5)));

#endif
