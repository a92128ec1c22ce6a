/* lina-top: what it shows of a process, and what it says when there is none. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
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

/* A process that has counters until it is ended. */
struct job {
	pid_t pid;
	int until;
};

static void job_run(int ready, int until)
{
	struct lina_stats *s;
	char byte;

	if (lina_stats_open(directory, &s))
		_exit(1);
	(void)lina_stats_row(s, lina_stats_link(s, "ib7", LINA_DIR_RECV), LINA_CLASS_BULK, "node9");
	(void)!write(ready, "", 1);
	(void)!read(until, &byte, 1);
	lina_stats_close(s);
	_exit(0);
}

static struct job job_start(void)
{
	int until[2], ready[2];
	char byte;

	assert_int_equal(pipe(until), 0);
	assert_int_equal(pipe(ready), 0);
	pid_t pid = fork();
	if (pid == 0) {
		(void)close(until[1]);
		job_run(ready[1], until[0]);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	(void)close(until[0]);
	(void)close(ready[0]);
	(void)close(ready[1]);
	return (struct job){ .pid = pid, .until = until[1] };
}

static void job_end(const struct job *job)
{
	(void)close(job->until);
	assert_int_equal(waitpid(job->pid, NULL, 0), job->pid);
}

static void shows_a_process_that_runs(void **state)
{
	char text[8192], options[64];

	(void)state;
	struct job job = job_start();
	assert_int_equal(lina_top("--once", text, sizeof(text)), 0);
	assert_non_null(strstr(text, "ib7"));
	assert_non_null(strstr(text, "node9"));
	(void)snprintf(options, sizeof(options), "--once --json --pid=%d", (int)job.pid);
	assert_int_equal(lina_top(options, text, sizeof(text)), 0);
	json_t *all = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_int_equal(json_array_size(all), 1);
	assert_true(number_of(json_array_get(all, 0), "pid") == (double)job.pid);
	json_decref(all);
	job_end(&job);
}

/* --- on a terminal --- */

/* It runs on a terminal of this kind; NULL: of none that is named. */
static pid_t terminal_start(const char *kind, int *master_p)
{
	char where[sizeof(directory) + 16];
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	(void)snprintf(where, sizeof(where), "--directory=%s", directory);
	const char *slave = ptsname(master);
	pid_t pid = fork();
	if (pid == 0) {
		int fd = open(slave, O_RDWR | O_NOCTTY);
		if (kind ? setenv("TERM", kind, 1) : unsetenv("TERM"))
			_exit(1);
		(void)dup2(fd, STDOUT_FILENO);
		(void)execl(LINA_TOP, LINA_TOP, "--interval=0.05", where, (char *)NULL);
		_exit(1);
	}
	*master_p = master;
	return pid;
}

static int times(const char *text, const char *word)
{
	int n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

/* What the terminal gets until the second look is there. */
static void terminal_gets(const char *kind, char *text, size_t bytes)
{
	size_t got = 0;
	int master;
	pid_t pid = terminal_start(kind, &master);

	text[0] = '\0';
	while (times(text, "node9") < 2 && got + 1 < bytes) {
		ssize_t n = read(master, text + got, bytes - 1 - got);
		assert_true(n > 0);
		got += (size_t)n;
		text[got] = '\0';
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)close(master);
}

static void only_a_terminal_that_can_is_cleared(void **state)
{
	static const char *const cannot[] = { NULL, "", "dumb" };
	char text[8192];

	(void)state;
	struct job job = job_start();
	terminal_gets("xterm", text, sizeof(text));
	assert_int_equal(times(text, "\033[2J"), 2);
	for (size_t i = 0; i < sizeof(cannot) / sizeof(*cannot); i++) {
		terminal_gets(cannot[i], text, sizeof(text));
		assert_null(strchr(text, '\033'));
	}
	job_end(&job);
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
		cmocka_unit_test(only_a_terminal_that_can_is_cleared),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
