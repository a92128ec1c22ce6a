/*
 * Files that are read whole and replaced in one step. libc alone; no state.
 */
#ifndef LINA_COLLECTIVES_WHOLE_FILE_H
#define LINA_COLLECTIVES_WHOLE_FILE_H

#include <stddef.h>

enum { LINA_WHOLE_FILE_BYTES_MAX = 1 << 30 };

/* The contents of a file, to be freed by the caller; no zero is added. -errno of open and read,
 * -EFBIG above the maximum, -ENOMEM. */
int lina_file_load(const char *path, char **text_p, size_t *bytes_p);

/* Writes a file in one step: whoever reads path at any time, or after a crash at any time, sees the
 * old contents or the new, all of it. The new text is in path.tmp.PID meanwhile, of which nothing
 * remains when this fails. It may be read and written by whom the old one could be. Of a symbolic
 * link what it leads to is replaced, and path.tmp.PID is beside that. What is there and no regular
 * file, a device or a pipe, is written into and stays. -errno of what failed. */
int lina_file_replace(const char *path, const char *text, size_t bytes);

#endif
