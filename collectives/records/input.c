#include "collectives/records/input.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectives/records/codec.h"

enum { RAW_BYTES = 64 << 10, TEXT_BYTES = 64 << 10 };

struct lina_input {
	lina_input_read_fn *read;
	void *arg;
	int fd;         /* of lina_input_open; -1: none to close */
	uint64_t taken; /* of the file */
	uint64_t size;  /* of the file; 0: not known */
	const struct lina_codec *codec;
	void *state;      /* the codec's */
	bool whole;       /* the codec would not mind the end */
	bool raw_ends;    /* no more comes from read */
	bool ends;        /* nor from the codec */
	size_t from, to;  /* the part of raw that the codec has not had */
	size_t at, limit; /* the part of text that nobody has taken */
	size_t room;      /* of text */
	int line, column;
	bool line_taken; /* the newline behind the last line is still to be counted */
	char *text;
	char raw[RAW_BYTES];
};

int lina_input_fault(
	struct lina_plan_text_fault *fault_p, int line, int column, const char *fmt, ...)
{
	va_list args;

	fault_p->line = line;
	fault_p->column = column;
	va_start(args, fmt);
	(void)vsnprintf(fault_p->text, sizeof(fault_p->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

/* --- bytes of the file --- */

static ssize_t fd_read(void *arg, void *bytes, size_t room)
{
	const struct lina_input *in = arg;
	ssize_t n;

	do
		n = read(in->fd < 0 ? STDIN_FILENO : in->fd, bytes, room);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* Makes room in raw and reads to it once. */
static int raw_fill(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	ssize_t n;

	memmove(in->raw, in->raw + in->from, in->to - in->from);
	in->to -= in->from;
	in->from = 0;
	n = in->read(in->arg, in->raw + in->to, sizeof(in->raw) - in->to);
	if (n < 0) {
		(void)lina_input_fault(fault_p, 0, 0, "%s", strerror((int)-n));
		return (int)n;
	}
	in->raw_ends = n == 0;
	in->to += (size_t)n;
	in->taken += (size_t)n;
	return 0;
}

/* --- bytes that were compressed --- */

static int text_room(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	size_t room = 2 * in->room;
	char *text;

	if (in->at) {
		memmove(in->text, in->text + in->at, in->limit - in->at);
		in->limit -= in->at;
		in->at = 0;
	}
	if (in->limit < in->room)
		return 0;
	text = realloc(in->text, room + 1);
	if (!text) {
		(void)lina_input_fault(fault_p, 0, 0, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	in->text = text;
	in->room = room;
	return 0;
}

static int early_end(const struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	return lina_input_fault(fault_p, 0, 0, "the %s data end too early, after %llu bytes",
		in->codec->name, (unsigned long long)in->taken);
}

/* One step of the codec to the free part of text, which is not empty. */
static int text_fill(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	struct lina_codec_step step;
	const char *wrong;

	if (in->from == in->to && !in->raw_ends) {
		int err = raw_fill(in, fault_p);

		if (err)
			return err;
	}
	step = (struct lina_codec_step){ in->raw + in->from, in->to - in->from,
		in->text + in->limit, in->room - in->limit };
	wrong = in->codec->step(in->state, &step, &in->whole);
	if (wrong)
		return lina_input_fault(fault_p, 0, 0, "bad %s data before byte %llu: %s",
			in->codec->name, (unsigned long long)(in->taken - step.nin), wrong);
	in->ends = in->raw_ends && step.nin == 0 && step.out == in->text + in->limit;
	in->from = in->to - step.nin;
	in->limit = (size_t)(step.out - in->text);
	return in->ends && !in->whole ? early_end(in, fault_p) : 0;
}

int lina_input_peek(struct lina_input *in, size_t n, const char **bytes_p, size_t *n_p,
	struct lina_plan_text_fault *fault_p)
{
	if (n > LINA_INPUT_PIECE_MAX) {
		(void)lina_input_fault(fault_p, in->line, in->column, "too much for one piece");
		return -EFBIG;
	}
	while (in->limit - in->at < n && !in->ends) {
		int err = in->limit == in->room ? text_room(in, fault_p) : 0;

		if (!err)
			err = text_fill(in, fault_p);
		if (err)
			return err;
	}
	*bytes_p = in->text + in->at;
	*n_p = in->limit - in->at;
	return 0;
}

void lina_input_skip(struct lina_input *in, size_t n)
{
	const char *at = in->text + in->at, *end = at + n;

	for (const char *newline; (newline = memchr(at, '\n', (size_t)(end - at)));
		at = newline + 1) {
		in->line++;
		in->column = 1;
	}
	/* A line of 2 GiB is not unheard of in JSON; further on its columns stay the last there is.
	 */
	in->column = end - at < INT_MAX - in->column ? in->column + (int)(end - at) : INT_MAX;
	in->at += n;
}

int lina_input_line(
	struct lina_input *in, char **line_p, size_t *n_p, struct lina_plan_text_fault *fault_p)
{
	const char *newline = NULL, *bytes;
	size_t n = 0, looked = 0;

	if (in->line_taken)
		in->line++;
	in->line_taken = false;
	in->column = 1;
	for (;;) {
		int err = lina_input_peek(in, n + 1, &bytes, &n, fault_p);

		if (err == -EFBIG)
			(void)lina_input_fault(fault_p, in->line, 1,
				"expected a line of at most %d bytes", LINA_INPUT_PIECE_MAX);
		if (err)
			return err;
		newline = n > looked ? memchr(bytes + looked, '\n', n - looked) : NULL;
		if (newline || in->ends)
			break;
		looked = n;
	}
	if (!n)
		return 0;
	*line_p = in->text + in->at;
	*n_p = newline ? (size_t)(newline - bytes) : n;
	in->at += *n_p + (newline ? 1 : 0);
	in->line_taken = newline;
	if (newline && *n_p && (*line_p)[*n_p - 1] == '\r')
		(*n_p)--;
	(*line_p)[*n_p] = '\0';
	return 1;
}

int lina_input_at_line(const struct lina_input *in)
{
	return in->line;
}

int lina_input_at_column(const struct lina_input *in)
{
	return in->column;
}

void lina_input_progress(const struct lina_input *in, uint64_t *done_p, uint64_t *all_p)
{
	*done_p = in->taken;
	*all_p = in->size;
}

/* --- life --- */

/* Reads the first bytes and finds what decompresses them. */
static int codec_open(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	while (in->to < 4 && !in->raw_ends) {
		int err = raw_fill(in, fault_p);

		if (err)
			return err;
	}
	in->codec = lina_codec_find((const unsigned char *)in->raw, in->to);
	in->state = in->codec->open();
	if (in->state)
		return 0;
	(void)lina_input_fault(fault_p, 0, 0, "%s", strerror(ENOMEM));
	return -ENOMEM;
}

static uint64_t size_of(int fd)
{
	struct stat s;

	return fd >= 0 && !fstat(fd, &s) && S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0;
}

/* Takes fd over, whatever comes of it; -1: there is none. */
static int create(lina_input_read_fn *read, void *arg, int fd, struct lina_input **in_p,
	struct lina_plan_text_fault *fault_p)
{
	struct lina_input *in = calloc(1, sizeof(*in));
	int err = -ENOMEM;

	if (!in) {
		if (fd >= 0)
			(void)close(fd);
		return lina_input_fault(fault_p, 0, 0, "%s", strerror(ENOMEM)), -ENOMEM;
	}
	in->read = read;
	in->arg = read == fd_read ? in : arg;
	in->fd = fd;
	in->size = size_of(fd);
	in->line = 1;
	in->column = 1;
	in->room = TEXT_BYTES;
	in->text = malloc(in->room + 1); /* and a zero behind a last line */
	if (!in->text)
		(void)lina_input_fault(fault_p, 0, 0, "%s", strerror(ENOMEM));
	else
		err = codec_open(in, fault_p);
	if (err) {
		lina_input_close(in);
		return err;
	}
	*in_p = in;
	return 0;
}

int lina_input_create(lina_input_read_fn *read, void *arg, struct lina_input **in_p,
	struct lina_plan_text_fault *fault_p)
{
	return create(read, arg, -1, in_p, fault_p);
}

int lina_input_open(
	const char *path, struct lina_input **in_p, struct lina_plan_text_fault *fault_p)
{
	int fd = -1;

	if (strcmp(path, "-") != 0) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			int err = -errno;

			(void)lina_input_fault(fault_p, 0, 0, "%s", strerror(-err));
			return err;
		}
	}
	return create(fd_read, NULL, fd, in_p, fault_p);
}

void lina_input_close(struct lina_input *in)
{
	if (!in)
		return;
	if (in->state)
		in->codec->close(in->state);
	if (in->fd >= 0)
		(void)close(in->fd);
	free(in->text);
	free(in);
}
