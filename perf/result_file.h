/* Files that results are written to. An error ends the program, which names the file. */
#ifndef LINA_PERF_RESULT_FILE_H
#define LINA_PERF_RESULT_FILE_H

#include <stdio.h>

/* The file whose name is `path` with `suffix` after it, emptied. The caller closes it with
 * result_file_close(). */
FILE *result_file_open(const char *path, const char *suffix);

void result_file_close(FILE *file);

#endif
