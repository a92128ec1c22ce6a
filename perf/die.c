#include "perf/die.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LINE_BYTES = 1024 };

void die(const char *format, ...)
{
	const char *rank = getenv("LINA_RANK");
	char text[LINE_BYTES];
	va_list args;

	va_start(args, format);
	/* clang-tidy 14 overlooks va_start in a function that does not return. */
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized) */
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "rank %s: %s\n", rank != NULL ? rank : "?", text);
	exit(1);
}
