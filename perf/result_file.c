#include "perf/result_file.h"

#include "perf/die.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

FILE *result_file_open(const char *path, const char *suffix)
{
	char name[PATH_MAX];

	(void)snprintf(name, sizeof(name), "%s%s", path, suffix);
	FILE *file = fopen(name, "w");
	if (file == NULL)
		die("cannot write %s: %s", name, strerror(errno));
	return file;
}

void result_file_close(FILE *file)
{
	int failed = ferror(file);

	if (fclose(file) != 0 || failed)
		die("cannot write a result: %s", strerror(errno));
}
