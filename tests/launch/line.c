#include "line.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Best effort: a launcher whose own output is gone still has ranks to look after. */
static void write_all(int fd, const char *text, size_t bytes)
{
	while (bytes > 0) {
		ssize_t n = write(fd, text, bytes);
		if (n < 0 && errno != EINTR)
			return;
		if (n > 0) {
			text += n;
			bytes -= (size_t)n;
		}
	}
}

static void emit(const struct line_reader *reader, const char *line, size_t bytes)
{
	char whole[sizeof(reader->prefix) + LINE_BYTES + 1];
	size_t prefix = strlen(reader->prefix);
	bool ended = bytes > 0 && line[bytes - 1] == '\n';

	memcpy(whole, reader->prefix, prefix);
	memcpy(whole + prefix, line, bytes);
	if (!ended)
		whole[prefix + bytes] = '\n';
	write_all(reader->to_fd, whole, prefix + bytes + !ended);
	if (reader->log_fd >= 0)
		write_all(reader->log_fd, line, bytes);
}

static void emit_lines(struct line_reader *reader)
{
	char *at = reader->text, *end = reader->text + reader->used, *newline;

	while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		emit(reader, at, (size_t)(newline + 1 - at));
		at = newline + 1;
	}
	reader->used = (size_t)(end - at);
	memmove(reader->text, at, reader->used);
	if (reader->used == LINE_BYTES) {
		emit(reader, reader->text, reader->used);
		reader->used = 0;
	}
}

static void close_stream(struct line_reader *reader)
{
	if (reader->used > 0)
		emit(reader, reader->text, reader->used);
	reader->used = 0;
	close(reader->from_fd);
	reader->from_fd = -1;
}

bool line_reader_pump(struct line_reader *reader)
{
	while (reader->from_fd >= 0) {
		ssize_t n = read(
			reader->from_fd, reader->text + reader->used, LINE_BYTES - reader->used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0) {
			close_stream(reader);
			break;
		}
		reader->used += (size_t)n;
		emit_lines(reader);
	}
	return false;
}

void line_reader_finish(struct line_reader *reader)
{
	if (line_reader_pump(reader))
		close_stream(reader);
}
