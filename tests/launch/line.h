/* Output of the ranks, line by line: each line gets its rank's prefix and is written whole. */
#ifndef LINA_TESTS_LAUNCH_LINE_H
#define LINA_TESTS_LAUNCH_LINE_H

#include <stdbool.h>
#include <stddef.h>

enum { LINE_BYTES = 8192 }; /* a longer line is written in parts */

/* One stream of one rank. Zeroed but for the first three it is ready for use. */
struct line_reader {
	int from_fd; /* non-blocking end of a pipe; -1: at its end */
	int to_fd;   /* where the prefixed line goes */
	int log_fd;  /* where the bare line goes as well; -1: nowhere */
	char prefix[16];
	size_t used;
	char text[LINE_BYTES];
};

/* Reads what is there and writes every whole line. Returns false at the end of the stream, where a
 * last line without its newline is written too; from_fd is closed then. */
bool line_reader_pump(struct line_reader *reader);

/* Reads what is there, writes what is left over and closes from_fd: nothing more will come. */
void line_reader_finish(struct line_reader *reader);

#endif
