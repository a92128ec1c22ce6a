/* lina-top: what it shows of a process, and what it says when there is none. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "plugin/top_view.h"

/* --- numbers --- */

static void sizes_and_times_are_short(void **state)
{
	char text[LINA_TOP_TEXT_BYTES];

	(void)state;
	assert_string_equal(lina_top_size(0, text), "0");
	assert_string_equal(lina_top_size(1023, text), "1023");
	assert_string_equal(lina_top_size(1536, text), "1.5K");
	assert_string_equal(lina_top_size(1 << 20, text), "1.0M");
	assert_string_equal(lina_top_size(1.8e19, text), "15.6E");
	assert_string_equal(lina_top_time(0, text), "-");
	assert_string_equal(lina_top_time(999, text), "999 ns");
	assert_string_equal(lina_top_time(1500, text), "1.5 us");
	assert_string_equal(lina_top_time(2e6, text), "2.0 ms");
	assert_string_equal(lina_top_time(90e9, text), "90.0 s");
}

/* --- views --- */

static struct lina_stats *stats;
static struct lina_stats_link *link_row;
static struct lina_stats_row *slow, *fast;

static int stats_make(void **state)
{
	(void)state;
	if (lina_stats_open(NULL, &stats))
		return -1;
	link_row = lina_stats_link(stats, "eth0", LINA_DIR_SEND);
	slow = lina_stats_row(stats, link_row, LINA_CLASS_BULK, "10.0.0.2");
	fast = lina_stats_row(stats, link_row, LINA_CLASS_LATENCY, "10.0.0.3");
	lina_stats_add(&slow->bytes, 1 << 20);
	lina_stats_add(&slow->messages, 4);
	lina_stats_add(&slow->wait[20], 4);
	lina_stats_set(&link_row->chunk_bytes, 65536);
	return 0;
}

static int stats_drop(void **state)
{
	(void)state;
	lina_stats_close(stats);
	return 0;
}

static void *view_of(struct lina_stats_view *view)
{
	size_t bytes;
	void *copy = lina_stats_copy(stats, &bytes);

	assert_int_equal(lina_stats_check(copy, bytes, view), 0);
	return copy;
}

static char *printed(const struct lina_top_sample *sample, unsigned rows_max, bool json)
{
	char *text;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	if (json)
		lina_top_print_json(out, sample);
	else
		lina_top_print(out, sample, rows_max);
	assert_int_equal(fclose(out), 0);
	return text;
}

static json_t *row_of(json_t *process, size_t i)
{
	return json_array_get(json_object_get(process, "rows"), i);
}

static double number_of(json_t *object, const char *key)
{
	json_t *number = json_object_get(object, key);

	assert_true(json_is_number(number));
	return json_number_value(number);
}

/* Two looks, 2 s apart: totals are of the whole time, rates and waits of the 2 s. */
static void rates_are_of_the_time_between(void **state)
{
	struct lina_top_sample sample = { .seconds = 2, .up_seconds = 100 };
	struct lina_stats_view before;

	(void)state;
	void *first = view_of(&before);
	lina_stats_add(&slow->bytes, 4096);
	lina_stats_add(&slow->messages, 1);
	lina_stats_add(&slow->wait[10], 1);
	void *second = view_of(&sample.now);
	sample.before = &before;
	char *text = printed(&sample, 0, true);
	json_t *process = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(process);
	assert_true(number_of(process, "pid") == (double)getpid());
	json_t *row = row_of(process, 0);
	assert_string_equal(json_string_value(json_object_get(row, "peer")), "10.0.0.2");
	assert_string_equal(json_string_value(json_object_get(row, "class")), "bulk");
	assert_true(number_of(row, "bytes") == (1 << 20) + 4096);
	assert_true(number_of(row, "bytes_per_s") == 2048);
	assert_true(number_of(row, "messages") == 5);
	assert_true(number_of(row, "p99_ns") > 1024 && number_of(row, "p99_ns") <= 2048);
	assert_true(number_of(row_of(process, 1), "bytes_per_s") == 0);
	json_t *link = json_array_get(json_object_get(process, "links"), 0);
	assert_true(number_of(link, "chunk_bytes") == 65536);
	json_decref(process);
	free(text);
	free(first);
	free(second);
}

static void what_moved_most_comes_first(void **state)
{
	struct lina_top_sample sample = { .seconds = 1, .up_seconds = 1 };

	(void)state;
	lina_stats_add(&fast->bytes, 5 << 20);
	void *copy = view_of(&sample.now);
	char *text = printed(&sample, 0, false);
	const char *first = strstr(text, "10.0.0.3"), *second = strstr(text, "10.0.0.2");
	assert_true(first && second && first < second);
	assert_non_null(strstr(text, "5.0M/s"));
	assert_null(strstr(text, "more"));
	free(text);
	text = printed(&sample, 1, false);
	assert_non_null(strstr(text, "10.0.0.3"));
	assert_null(strstr(text, "10.0.0.2"));
	assert_non_null(strstr(text, "and 1 more"));
	free(text);
	free(copy);
}

/* --- the program --- */

static char directory[] = "/tmp/lina-top-XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* Its exit status; text gets what it says, on both streams. */
static int lina_top(const char *options, char *text, size_t bytes)
{
	char command[512];

	(void)snprintf(command, sizeof(command), "%s --directory=%s %s 2>&1", LINA_TOP, directory,
		options);
	FILE *out = popen(command, "r"); /* NOLINT(cert-env33-c) */
	assert_non_null(out);
	text[fread(text, 1, bytes - 1, out)] = '\0';
	int status = pclose(out);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void says_what_to_do_where_nothing_runs(void **state)
{
	char text[2048];

	(void)state;
	assert_int_equal(lina_top("--once", text, sizeof(text)), 1);
	assert_non_null(strstr(text, "no process"));
	assert_non_null(strstr(text, "LINA_STATS"));
	assert_int_equal(lina_top("--once --pid=1", text, sizeof(text)), 1);
	assert_non_null(strstr(text, "process 1 has no"));
	assert_int_equal(lina_top("--interval=nought", text, sizeof(text)) != 0, 1);
}

static void shows_a_process_that_runs(void **state)
{
	char text[8192], options[64];
	int until[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(until), 0);
	int ready[2];
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		struct lina_stats *s;
		if (lina_stats_open(directory, &s))
			_exit(1);
		(void)lina_stats_row(
			s, lina_stats_link(s, "ib7", LINA_DIR_RECV), LINA_CLASS_BULK, "node9");
		(void)close(until[1]);
		(void)!write(ready[1], "", 1);
		(void)!read(until[0], &byte, 1);
		lina_stats_close(s);
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(lina_top("--once", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "ib7"));
	assert_non_null(strstr(text, "node9"));
	(void)snprintf(options, sizeof(options), "--once --json --pid=%d", (int)pid);
	assert_int_equal(lina_top(options, text, sizeof(text)), 0);
	json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_array_size(all), 1);
	assert_true(number_of(json_array_get(all, 0), "pid") == (double)pid);
	json_decref(all);
	(void)close(until[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(until[0]);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_and_times_are_short),
		cmocka_unit_test_setup_teardown(
			rates_are_of_the_time_between, stats_make, stats_drop),
		cmocka_unit_test_setup_teardown(
			what_moved_most_comes_first, stats_make, stats_drop),
		cmocka_unit_test(says_what_to_do_where_nothing_runs),
		cmocka_unit_test(shows_a_process_that_runs),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
