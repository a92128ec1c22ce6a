/* The timeline: every event is JSON as the format has it, whatever it is about; the file is whole
 * whatever happens to the process; and what finds no room is counted. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "plugin/trace.h"

enum { HEAD_EVENTS = 2, NTHREADS = 2, EACH = 20000, TEXT_BYTES = 1 << 26 };

static char directory[64], pattern[128];

static int make_directory(void **state)
{
	(void)state;
	(void)snprintf(directory, sizeof(directory), "/tmp/lina-trace-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	(void)snprintf(pattern, sizeof(pattern), "%s/trace-%%p.json", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* --- the format --- */

static const struct lina_trace_names names = { "comm 1f", "10.0.0.2", 42, 7 };

static json_t *parsed(const char *text)
{
	json_error_t error;
	json_t *array = json_loads(text, JSON_REJECT_DUPLICATES, &error);

	if (!array)
		fail_msg("%s at %d:%d of: %.400s", error.text, error.line, error.column, text);
	assert_true(json_is_array(array));
	return array;
}

static json_t *formatted(const struct lina_trace_event *event, const struct lina_trace_names *n)
{
	char text[LINA_TRACE_EVENT_BYTES], array[LINA_TRACE_EVENT_BYTES + 8];

	size_t length = lina_trace_format(event, n, text);
	assert_true(length > 0);
	assert_int_equal(length, strlen(text));
	(void)snprintf(array, sizeof(array), "[%s]", text);
	return parsed(array);
}

static const char *text_of(json_t *events, size_t i, const char *key)
{
	const char *text = json_string_value(json_object_get(json_array_get(events, i), key));

	assert_non_null(text);
	return text;
}

static double number_of(json_t *events, size_t i, const char *key)
{
	json_t *number = json_object_get(json_array_get(events, i), key);

	assert_true(json_is_number(number));
	return json_number_value(number);
}

static json_t *arg_of(json_t *events, size_t i, const char *key)
{
	return json_object_get(json_object_get(json_array_get(events, i), "args"), key);
}

static void request_is_a_pair(void **state)
{
	const struct lina_trace_event event = { .kind = LINA_TRACE_REQUEST,
		.begin_ns = 5000001,
		.end_ns = 6000500,
		.bytes = 4096,
		.track = 3,
		.cls = LINA_CLASS_LATENCY,
		.what = LINA_OP_ALLTOALL };

	(void)state;
	json_t *events = formatted(&event, &names);
	assert_int_equal(json_array_size(events), 2);
	assert_string_equal(text_of(events, 0, "ph"), "b");
	assert_string_equal(text_of(events, 1, "ph"), "e");
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(text_of(events, i, "name"), "alltoall");
		assert_string_equal(text_of(events, i, "cat"), "latency");
		assert_string_equal(text_of(events, i, "id"), "42.7");
		assert_true(number_of(events, i, "pid") == 42);
		assert_true(number_of(events, i, "tid") == 3);
	}
	assert_true(number_of(events, 0, "ts") == 5000.001);
	assert_true(number_of(events, 1, "ts") == 6000.5);
	assert_int_equal(json_integer_value(arg_of(events, 0, "bytes")), 4096);
	assert_string_equal(json_string_value(arg_of(events, 0, "peer")), "10.0.0.2");
	assert_string_equal(json_string_value(arg_of(events, 0, "dir")), "send");
	assert_string_equal(json_string_value(arg_of(events, 0, "of")), "comm 1f");
	json_decref(events);
}

static void hold_has_a_duration(void **state)
{
	const struct lina_trace_event event = {
		.kind = LINA_TRACE_HOLD, .begin_ns = 1000, .end_ns = 3500, .cls = LINA_CLASS_BULK
	};

	(void)state;
	json_t *events = formatted(&event, &names);
	assert_string_equal(text_of(events, 0, "ph"), "X");
	assert_string_equal(text_of(events, 0, "name"), "hold");
	assert_true(number_of(events, 0, "dur") == 2.5);
	json_decref(events);
}

static void points_are_instants_of_their_track(void **state)
{
	static const struct {
		struct lina_trace_event event;
		const char *name;
	} rows[] = {
		{ { .kind = LINA_TRACE_GRANT, .dir = LINA_DIR_SEND, .cls = LINA_CLASS_BULK },
			"chunk" },
		{ { .kind = LINA_TRACE_GRANT, .dir = LINA_DIR_RECV, .cls = LINA_CLASS_BULK },
			"grant" },
		{ { .kind = LINA_TRACE_BOUND, .what = LINA_BOUND_HOLD, .cls = LINA_CLASS_BULK },
			"bound: hold" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_t *events = formatted(&rows[i].event, &names);
		assert_string_equal(text_of(events, 0, "ph"), "i");
		assert_string_equal(text_of(events, 0, "s"), "t");
		assert_string_equal(text_of(events, 0, "name"), rows[i].name);
		json_decref(events);
	}
}

static void counter_is_named_after_its_track(void **state)
{
	const struct lina_trace_event event = {
		.kind = LINA_TRACE_LEVEL, .bytes = 99, .cls = LINA_CLASS_LATENCY
	};

	(void)state;
	json_t *events = formatted(&event, &names);
	assert_string_equal(text_of(events, 0, "ph"), "C");
	assert_string_equal(text_of(events, 0, "name"), "comm 1f latency queued");
	assert_int_equal(json_integer_value(arg_of(events, 0, "bytes")), 99);
	json_decref(events);
}

static void what_makes_no_sense_is_left_out(void **state)
{
	const struct lina_trace_event events[] = {
		{ .kind = LINA_TRACE_NKINDS },
		{ .kind = LINA_TRACE_GRANT, .cls = LINA_NCLASSES },
		{ .kind = LINA_TRACE_HOLD, .begin_ns = 2, .end_ns = 1 },
		{ .kind = LINA_TRACE_REQUEST, .begin_ns = 2, .end_ns = 1 },
	};
	char text[LINA_TRACE_EVENT_BYTES];

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		assert_int_equal(lina_trace_format(&events[i], &names, text), 0);
}

static void any_name_is_json(void **state)
{
	char odd[LINA_TRACE_NAME_BYTES];
	struct lina_trace_event event = { .kind = LINA_TRACE_REQUEST,
		.begin_ns = UINT64_MAX,
		.end_ns = UINT64_MAX,
		.bytes = INT64_MAX,
		.track = UINT16_MAX,
		.what = -1 };
	struct lina_trace_names odds = { odd, odd, INT_MAX, UINT64_MAX };

	(void)state;
	for (int c = 1; c < 256; c++) {
		memset(odd, c, sizeof(odd) - 1);
		odd[sizeof(odd) - 1] = '\0';
		for (event.kind = 0; event.kind < LINA_TRACE_NKINDS; event.kind++)
			json_decref(formatted(&event, &odds));
	}
	memcpy(odd, "a\"b\\c\n", 7);
	json_t *events = formatted(&(struct lina_trace_event){ 0 }, &odds);
	assert_string_equal(json_string_value(arg_of(events, 0, "peer")), "a\"b\\c\n");
	json_decref(events);
}

/* --- files --- */

static void paths_name_host_and_process(void **state)
{
	char path[PATH_MAX], expected[PATH_MAX], host[64] = "";

	(void)state;
	(void)gethostname(host, sizeof(host) - 1);
	assert_int_equal(lina_trace_path("/a/%h-%p%%.json", path, sizeof(path)), 0);
	(void)snprintf(expected, sizeof(expected), "/a/%s-%d%%.json", host, (int)getpid());
	assert_string_equal(path, expected);
	assert_int_equal(lina_trace_path("/a/100%", path, sizeof(path)), 0);
	(void)snprintf(expected, sizeof(expected), "/a/100%%.%s.%d", host, (int)getpid());
	assert_string_equal(path, expected);
	assert_int_equal(lina_trace_path("/a/%p", path, 4), -ENAMETOOLONG);
	assert_int_equal(lina_trace_path("/a/b", path, 6), -ENAMETOOLONG);
}

/* What the file has, with a bracket where the process did not come to write it. */
static json_t *file_parsed(const char *path, bool whole)
{
	char *text = malloc(TEXT_BYTES);
	FILE *file = fopen(path, "r");

	assert_non_null(text);
	assert_non_null(file);
	size_t n = fread(text, 1, TEXT_BYTES - 2, file);
	(void)fclose(file);
	(void)snprintf(text + n, 2, "%s", whole ? "" : "]");
	json_t *events = parsed(text);
	free(text);
	(void)unlink(path);
	return events;
}

static size_t count_named(json_t *events, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < json_array_size(events); i++)
		n += strcmp(text_of(events, i, "name"), name) == 0;
	return n;
}

static struct lina_trace_event chunk(uint16_t track)
{
	return (struct lina_trace_event){
		.kind = LINA_TRACE_GRANT, .track = track, .cls = LINA_CLASS_BULK, .begin_ns = 1
	};
}

static void file_has_what_was_added(void **state)
{
	struct lina_trace *t;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(lina_trace_open(pattern, &t), 0);
	(void)snprintf(path, sizeof(path), "%s", lina_trace_file(t));
	uint16_t track = lina_trace_name(t, "eth0 send");
	assert_int_equal(lina_trace_name(t, "eth0 send"), track);
	assert_int_not_equal(lina_trace_name(t, "eth0 recv"), track);
	for (uint64_t i = 0; i < 3; i++) {
		struct lina_trace_event event = chunk(track);
		event.bytes = i;
		lina_trace_add(t, &event);
	}
	assert_int_equal(lina_trace_drain(t), 0);
	lina_trace_close(t);
	json_t *events = file_parsed(path, true);
	assert_int_equal(json_array_size(events), HEAD_EVENTS + 1 + 3);
	assert_string_equal(text_of(events, HEAD_EVENTS, "name"), "thread_name");
	assert_string_equal(json_string_value(arg_of(events, HEAD_EVENTS, "name")), "eth0 send");
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			json_integer_value(arg_of(events, HEAD_EVENTS + 1 + i, "bytes")), i);
	json_decref(events);
}

static void results_are_not_overwritten(void **state)
{
	struct lina_trace *first, *second;
	char path[2][PATH_MAX];

	(void)state;
	assert_int_equal(lina_trace_open(pattern, &first), 0);
	assert_int_equal(lina_trace_open(pattern, &second), 0);
	(void)snprintf(path[0], PATH_MAX, "%s", lina_trace_file(first));
	(void)snprintf(path[1], PATH_MAX, "%s", lina_trace_file(second));
	assert_string_not_equal(path[0], path[1]);
	lina_trace_close(first);
	lina_trace_close(second);
	json_decref(file_parsed(path[0], true));
	json_decref(file_parsed(path[1], true));
	assert_int_equal(lina_trace_open("/nonexistent/trace-%p", &first), -ENOENT);
}

static void what_finds_no_room_is_counted(void **state)
{
	struct lina_trace *t;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(lina_trace_open(pattern, &t), 0);
	(void)snprintf(path, sizeof(path), "%s", lina_trace_file(t));
	const struct lina_trace_event event = chunk(0);
	for (int i = 0; i < LINA_TRACE_EVENTS + 10; i++)
		lina_trace_add(t, &event);
	assert_int_equal(lina_trace_dropped(t), 10);
	assert_int_equal(lina_trace_drain(t), 0);
	for (int i = 0; i < 5; i++)
		lina_trace_add(t, &event);
	lina_trace_close(t);
	json_t *events = file_parsed(path, true);
	assert_int_equal(count_named(events, "chunk"), LINA_TRACE_EVENTS + 5);
	assert_int_equal(count_named(events, "dropped"), 1);
	assert_int_equal(
		json_integer_value(arg_of(events, json_array_size(events) - 6, "events")), 10);
	json_decref(events);
}

static void *add_many(void *arg)
{
	struct lina_trace_event event = chunk(0);

	for (int i = 0; i < EACH; i++)
		lina_trace_add(arg, &event);
	return NULL;
}

static void threads_lose_nothing(void **state)
{
	struct lina_trace *t;
	pthread_t thread[NTHREADS];
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(lina_trace_open(pattern, &t), 0);
	(void)snprintf(path, sizeof(path), "%s", lina_trace_file(t));
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, add_many, t), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(lina_trace_drain(t), 0);
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(thread[i], NULL), 0);
	uint64_t dropped = lina_trace_dropped(t);
	lina_trace_close(t);
	json_t *events = file_parsed(path, true);
	assert_int_equal(count_named(events, "chunk") + dropped, NTHREADS * EACH);
	json_decref(events);
}

static void a_killed_process_leaves_a_good_file(void **state)
{
	char path[PATH_MAX];
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct lina_trace *t;
		if (lina_trace_open(pattern, &t) == 0) {
			(void)add_many(t);
			(void)lina_trace_drain(t);
			(void)add_many(t);
			(void)kill(getpid(), SIGKILL);
		}
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	(void)snprintf(path, sizeof(path), "%s/trace-%d.json", directory, (int)pid);
	json_t *events = file_parsed(path, false);
	assert_int_equal(count_named(events, "chunk"), EACH);
	json_decref(events);
}

/* No space: what is there stays good, what comes is counted as dropped. */
static void a_full_disk_leaves_a_good_file(void **state)
{
	const struct rlimit little = { 100000, 200000 }, more = { 200000, 200000 };
	char path[PATH_MAX];
	int status;

	(void)state;
	pid_t pid = fork();
	if (pid == 0) {
		struct lina_trace *t;
		(void)signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(RLIMIT_FSIZE, &little) || lina_trace_open(pattern, &t))
			_exit(1);
		(void)add_many(t);
		if (lina_trace_drain(t) != -EFBIG || setrlimit(RLIMIT_FSIZE, &more))
			_exit(2);
		uint64_t before = lina_trace_dropped(t);
		(void)add_many(t);
		if (lina_trace_drain(t) || lina_trace_dropped(t) < before + EACH)
			_exit(3);
		lina_trace_close(t);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)snprintf(path, sizeof(path), "%s/trace-%d.json", directory, (int)pid);
	json_t *events = file_parsed(path, false);
	assert_true(count_named(events, "chunk") > 0);
	json_decref(events);
}

static void names_run_out(void **state)
{
	struct lina_trace *t;
	char path[PATH_MAX], name[16];

	(void)state;
	assert_int_equal(lina_trace_open(pattern, &t), 0);
	(void)snprintf(path, sizeof(path), "%s", lina_trace_file(t));
	for (int i = 1; i <= LINA_TRACE_NAMES; i++) {
		(void)snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(lina_trace_name(t, name), i < LINA_TRACE_NAMES ? i : 0);
	}
	lina_trace_close(t);
	json_decref(file_parsed(path, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_is_a_pair),
		cmocka_unit_test(hold_has_a_duration),
		cmocka_unit_test(points_are_instants_of_their_track),
		cmocka_unit_test(counter_is_named_after_its_track),
		cmocka_unit_test(what_makes_no_sense_is_left_out),
		cmocka_unit_test(any_name_is_json),
		cmocka_unit_test(paths_name_host_and_process),
		cmocka_unit_test(file_has_what_was_added),
		cmocka_unit_test(results_are_not_overwritten),
		cmocka_unit_test(what_finds_no_room_is_counted),
		cmocka_unit_test(threads_lose_nothing),
		cmocka_unit_test(a_killed_process_leaves_a_good_file),
		cmocka_unit_test(a_full_disk_leaves_a_good_file),
		cmocka_unit_test(names_run_out),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
