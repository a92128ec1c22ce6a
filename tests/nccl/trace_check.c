/* trace_check FILE NAME...: the trace is JSON, every event is one as the Chrome trace event format
 * has it, every request that begins ends, and each NAME is the name of a request that moved bytes.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES = 128 };

/* Times are decimals with three digits, which a double rounds. */
#define CLOCK_DIGIT_US 0.0015

static const char *string_of(json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

/* Negative: there is none. */
static double number_of(json_t *event, const char *key)
{
	json_t *number = json_object_get(event, key);

	return json_is_number(number) ? json_number_value(number) : -1;
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

/* --- the rules of the format, by kind of event; NULL, or what is wrong --- */

/* What is known of the events so far. */
struct seen {
	json_t *begun;  /* requests that have not ended: by category and id */
	json_t *named;  /* tracks with a name, by number */
	json_t *tracks; /* tracks with events: when the last span of each ended */
};

static const char *key_of(json_t *event, const char *a, const char *b, char key[KEY_BYTES])
{
	(void)snprintf(key, KEY_BYTES, "%s/%s", string_of(event, a), string_of(event, b));
	return key;
}

static const char *track_of(json_t *event, char key[KEY_BYTES])
{
	(void)snprintf(key, KEY_BYTES, "%" JSON_INTEGER_FORMAT,
		json_integer_value(json_object_get(event, "tid")));
	return key;
}

static const char *name_wrong(struct seen *seen, json_t *event)
{
	char key[KEY_BYTES];

	if (!json_string_length(json_object_get(json_object_get(event, "args"), "name")))
		return "a name that is empty";
	if (is(event, "M", "thread_name"))
		json_object_set_new(seen->named, track_of(event, key), json_true());
	else if (!is(event, "M", "process_name"))
		return "metadata of a kind that is not written";
	return NULL;
}

static const char *begin_wrong(struct seen *seen, json_t *event)
{
	char key[KEY_BYTES];

	key_of(event, "cat", "id", key);
	if (!*string_of(event, "id"))
		return "no id";
	if (json_object_get(seen->begun, key))
		return "an id that is in use";
	json_object_set(seen->begun, key, event);
	return NULL;
}

static const char *end_wrong(struct seen *seen, json_t *event)
{
	char key[KEY_BYTES];

	json_t *begin = json_object_get(seen->begun, key_of(event, "cat", "id", key));
	if (!begin)
		return "an end without a beginning";
	bool other = strcmp(string_of(begin, "name"), string_of(event, "name")) != 0;
	bool backwards = number_of(event, "ts") < number_of(begin, "ts");
	json_object_del(seen->begun, key);
	if (other)
		return "another name than its beginning";
	return backwards ? "an end before its beginning" : NULL;
}

/* Spans of one track must nest; ours follow one another. */
static const char *span_wrong(struct seen *seen, json_t *event)
{
	double dur = number_of(event, "dur");
	char key[KEY_BYTES];

	track_of(event, key);
	double last = json_number_value(json_object_get(seen->tracks, key));
	if (dur < 0)
		return "no duration";
	if (number_of(event, "ts") < last - CLOCK_DIGIT_US)
		return "a span that begins within another";
	json_object_set_new(seen->tracks, key, json_real(number_of(event, "ts") + dur));
	return NULL;
}

static const char *instant_wrong(json_t *event)
{
	const char *scope = string_of(event, "s");

	return strlen(scope) == 1 && strchr("gpt", *scope) ? NULL : "no scope";
}

static const char *counter_wrong(json_t *event)
{
	json_t *args = json_object_get(event, "args"), *value;
	const char *key;

	if (!json_object_size(args))
		return "a counter without a value";
	json_object_foreach(args, key, value)
	{
		if (!json_is_number(value))
			return "a counter that is no number";
	}
	return NULL;
}

static const char *kind_wrong(struct seen *seen, json_t *event)
{
	switch (*string_of(event, "ph")) {
	case 'M':
		return name_wrong(seen, event);
	case 'b':
		return begin_wrong(seen, event);
	case 'e':
		return end_wrong(seen, event);
	case 'X':
		return span_wrong(seen, event);
	case 'i':
		return instant_wrong(event);
	case 'C':
		return counter_wrong(event);
	default:
		return "a kind that is not written";
	}
}

static const char *event_wrong(struct seen *seen, json_t *event)
{
	char key[KEY_BYTES];

	if (strlen(string_of(event, "ph")) != 1)
		return "no kind";
	if (!*string_of(event, "name"))
		return "no name";
	if (!json_is_integer(json_object_get(event, "pid")))
		return "no process";
	if (!is(event, "M", "process_name") && !json_is_integer(json_object_get(event, "tid")))
		return "no track";
	if (!is(event, "M", NULL) && (number_of(event, "ts") < 0 || !*string_of(event, "cat")))
		return "no time or no category";
	track_of(event, key);
	if (!is(event, "M", NULL) && !json_object_get(seen->tracks, key))
		json_object_set_new(seen->tracks, key, json_real(0));
	return kind_wrong(seen, event);
}

static int end_check(const struct seen *seen, const char *path)
{
	const char *key;
	json_t *value;
	int failed = 0;

	json_object_foreach(seen->begun, key, value)
	{
		(void)fprintf(stderr, "%s: request %s does not end\n", path, key);
		failed = 1;
	}
	json_object_foreach(seen->tracks, key, value)
	{
		if (strcmp(key, "0") == 0 || json_object_get(seen->named, key))
			continue;
		(void)fprintf(stderr, "%s: track %s has no name\n", path, key);
		failed = 1;
	}
	return failed;
}

static int format_check(json_t *events, const char *path)
{
	struct seen seen = { json_object(), json_object(), json_object() };
	int failed = 0;

	for (size_t i = 0; i < json_array_size(events); i++) {
		const char *wrong = event_wrong(&seen, json_array_get(events, i));
		if (wrong)
			(void)fprintf(stderr, "%s: event %zu: %s\n", path, i, wrong);
		failed |= wrong != NULL;
	}
	failed |= end_check(&seen, path);
	json_decref(seen.begun);
	json_decref(seen.named);
	json_decref(seen.tracks);
	return failed;
}

/* --- what was traced --- */

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

	if (!events) {
		(void)fprintf(stderr, "no trace, or no names\n");
		return 1;
	}
	int failed = format_check(events, argv[1]);
	for (int i = 2; i < argc; i++) {
		json_int_t bytes = bytes_of(events, argv[i]);
		(void)printf("%s: %u requests, %lld bytes\n", argv[i], count(events, "b", argv[i]),
			(long long)bytes);
		failed |= bytes == 0;
	}
	json_decref(events);
	return failed;
}
