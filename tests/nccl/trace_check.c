/* trace_check FILE NAME...: the trace is JSON as the format has it, every request that begins ends,
 * and each NAME is the name of a request that moved bytes. */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *string_of(json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

static bool is(json_t *event, const char *phase, const char *name)
{
	return strcmp(string_of(event, "ph"), phase) == 0 &&
	       (!name || strcmp(string_of(event, "name"), name) == 0);
}

/* A process that ended without closing its communicators leaves the bracket out, which the format
 * allows. */
static json_t *trace_read(const char *path)
{
	json_error_t error;
	FILE *file = fopen(path, "r");
	char *text;
	size_t bytes;
	char part[1 << 14];
	size_t n;

	if (!file)
		return NULL;
	FILE *whole = open_memstream(&text, &bytes);
	while ((n = fread(part, 1, sizeof(part), file)) > 0)
		(void)fwrite(part, 1, n, whole);
	(void)fclose(file);
	(void)fflush(whole);
	if (bytes < 2 || strcmp(text + bytes - 2, "]\n") != 0)
		(void)fputs("]", whole);
	(void)fclose(whole);
	json_t *events = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!events)
		(void)fprintf(stderr, "%s: line %d: %s\n", path, error.line, error.text);
	free(text);
	return events;
}

static unsigned count(json_t *events, const char *phase, const char *name)
{
	unsigned n = 0;

	for (size_t i = 0; i < json_array_size(events); i++)
		n += is(json_array_get(events, i), phase, name);
	return n;
}

static json_int_t bytes_of(json_t *events, const char *name)
{
	json_int_t bytes = 0;

	for (size_t i = 0; i < json_array_size(events); i++) {
		json_t *event = json_array_get(events, i);
		if (is(event, "b", name))
			bytes += json_integer_value(
				json_object_get(json_object_get(event, "args"), "bytes"));
	}
	return bytes;
}

int main(int argc, char **argv)
{
	json_t *events = argc > 2 ? trace_read(argv[1]) : NULL;
	int failed = 0;

	if (!events) {
		(void)fprintf(stderr, "no trace, or no names\n");
		return 1;
	}
	if (count(events, "b", NULL) != count(events, "e", NULL)) {
		(void)fprintf(stderr, "%s: %u requests begin, %u end\n", argv[1],
			count(events, "b", NULL), count(events, "e", NULL));
		failed = 1;
	}
	for (int i = 2; i < argc; i++) {
		json_int_t bytes = bytes_of(events, argv[i]);
		(void)printf("%s: %u requests, %lld bytes\n", argv[i], count(events, "b", argv[i]),
			(long long)bytes);
		failed |= bytes == 0;
	}
	json_decref(events);
	return failed;
}
