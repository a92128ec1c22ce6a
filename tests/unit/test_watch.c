/* What a user sees of real connections: counters, trace and metrics say what was sent, and asking
 * for them, or being refused them, changes nothing else. */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "net/fixture.h"
#include "plugin/stats_read.h"
#include "plugin/writer.h"

enum { FINISH_MS = 10000, BULK_BYTES = 200000, LATENCY_BYTES = 3000, TEXT_BYTES = 1 << 20 };

static char directory[64], traced[96], metrics[96];

static void *do_nothing(void *arg)
{
	return arg;
}

/* A sanitizer may start a thread of its own with the first of ours, which then stays. */
static int make_directory(void **state)
{
	pthread_t first;

	(void)state;
	if (pthread_create(&first, NULL, do_nothing, NULL) || pthread_join(first, NULL))
		return -1;
	(void)snprintf(directory, sizeof(directory), "/tmp/lina-watch-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	(void)snprintf(traced, sizeof(traced), "%s/trace-%d", directory, (int)getpid());
	(void)snprintf(metrics, sizeof(metrics), "%s/metrics-%d", directory, (int)getpid());
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	return rmdir(directory);
}

/* --- transfers --- */

static void send_one(const struct pair *pair, enum lina_op op, size_t bytes)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };
	uint8_t *from = calloc(2, bytes), *to = from + bytes;

	assert_non_null(from);
	assert_int_equal(lina_net_attr_set(pair->net, &attr), 0);
	struct lina_request *recv = post_recv(pair->recv, to, bytes, 1);
	struct lina_request *send = post_send(pair->send, from, bytes, 1);
	assert_int_equal(finish_both(send, recv, FINISH_MS), 0);
	free(from);
}

static void send_both_classes(const struct pair *pair)
{
	send_one(pair, LINA_OP_ALLREDUCE, BULK_BYTES);
	send_one(pair, LINA_OP_ALLTOALL, LATENCY_BYTES);
	send_one(pair, LINA_OP_ALLTOALL, LATENCY_BYTES);
}

static void send_with(const char *settings)
{
	struct pair pair;

	pair_open(settings, &pair);
	send_both_classes(&pair);
	pair_close(&pair);
}

/* --- files --- */

static void file_text(const char *path, char *text)
{
	FILE *file = fopen(path, "r");

	if (!file)
		fail_msg("no %s", path);
	size_t n = fread(text, 1, TEXT_BYTES - 1, file);
	text[n] = '\0';
	(void)fclose(file);
	(void)unlink(path);
}

static void has_line(const char *text, const char *line)
{
	size_t n = strlen(line);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, line, n) == 0 && (at[n] == '\n' || at[n] == '\0'))
			return;
	}
	fail_msg("no line '%s' in:\n%s", line, text);
}

#define SENT "link=\"lo\",direction=\"send\",class="
#define GOT  "link=\"lo\",direction=\"recv\",class="

/* timed: every message; else only the first of each end, which is bulk. */
static void metrics_check(bool timed)
{
	static char text[TEXT_BYTES];

	file_text(metrics, text);
	has_line(text, "lina_bytes_total{" SENT "\"bulk\",peer=\"127.0.0.1\"} 200000");
	has_line(text, "lina_bytes_total{" SENT "\"latency\",peer=\"127.0.0.1\"} 6000");
	has_line(text, "lina_bytes_total{" GOT "\"bulk\",peer=\"127.0.0.1\"} 200000");
	has_line(text, "lina_bytes_total{" GOT "\"latency\",peer=\"127.0.0.1\"} 6000");
	has_line(text, "lina_messages_total{" SENT "\"bulk\",peer=\"127.0.0.1\"} 1");
	has_line(text, "lina_messages_total{" SENT "\"latency\",peer=\"127.0.0.1\"} 2");
	has_line(text, "lina_messages_total{" GOT "\"latency\",peer=\"127.0.0.1\"} 2");
	has_line(text, timed ? "lina_wait_seconds_count{" SENT "\"latency\"} 2"
			     : "lina_wait_seconds_count{" SENT "\"bulk\"} 1");
	has_line(text, "lina_queued_bytes{" SENT "\"bulk\",peer=\"127.0.0.1\"} 0");
	has_line(text, "lina_queued_bytes{" GOT "\"bulk\",peer=\"127.0.0.1\"} 0");
}

static const char *string_of(json_t *event, const char *key)
{
	const char *text = json_string_value(json_object_get(event, key));

	return text ? text : "";
}

/* Spans of requests that begin, with this name, direction and size. */
static int spans(json_t *events, const char *name, const char *dir, long long bytes)
{
	int n = 0;

	for (size_t i = 0; i < json_array_size(events); i++) {
		json_t *event = json_array_get(events, i), *args = json_object_get(event, "args");
		n += strcmp(string_of(event, "ph"), "b") == 0 &&
		     strcmp(string_of(event, "name"), name) == 0 &&
		     strcmp(string_of(args, "dir"), dir) == 0 &&
		     json_integer_value(json_object_get(args, "bytes")) == bytes;
	}
	return n;
}

static json_t *trace_take(void)
{
	static char text[TEXT_BYTES];
	json_error_t error;

	file_text(traced, text);
	json_t *events = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	if (!events)
		fail_msg("%s at line %d", error.text, error.line);
	return events;
}

static int count(json_t *events, const char *phase, const char *name)
{
	int n = 0;

	for (size_t i = 0; i < json_array_size(events); i++)
		n += strcmp(string_of(json_array_get(events, i), "ph"), phase) == 0 &&
		     strcmp(string_of(json_array_get(events, i), "name"), name) == 0;
	return n;
}

/* --- cases --- */

static void all_files_say_what_was_sent(void **state)
{
	char settings[256];
	int threads = threads_alive(), fds = fds_open();

	(void)state;
	(void)snprintf(settings, sizeof(settings),
		"LINA_TRACE=%s/trace-%%p LINA_METRICS=%s/metrics-%%p", directory, directory);
	send_with(settings);
	assert_int_equal(threads_alive(), threads);
	assert_int_equal(fds_open(), fds);
	metrics_check(true);
	json_t *events = trace_take();
	assert_int_equal(spans(events, "allreduce", "send", BULK_BYTES), 1);
	assert_int_equal(spans(events, "allreduce", "recv", BULK_BYTES), 1);
	assert_int_equal(spans(events, "alltoall", "send", LATENCY_BYTES), 2);
	assert_int_equal(spans(events, "alltoall", "recv", LATENCY_BYTES), 2);
	assert_true(count(events, "i", "chunk") >= 1);
	assert_true(count(events, "C", "link lo sending bulk below") >= 1);
	assert_true(count(events, "C", "link lo sending latency queued") >= 1);
	json_decref(events);
}

/* The files of this process that lina-top would read. */
static int segments(char *path)
{
	char prefix[64];
	DIR *dir = opendir(LINA_STATS_DIRECTORY);
	struct dirent *entry;
	int n = 0;

	assert_non_null(dir);
	(void)snprintf(prefix, sizeof(prefix), LINA_STATS_PREFIX "%u-%d-", (unsigned)geteuid(),
		(int)getpid());
	while ((entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		(void)snprintf(path, PATH_MAX, LINA_STATS_DIRECTORY "/%.200s", entry->d_name);
		n++;
	}
	(void)closedir(dir);
	return n;
}

static const struct lina_stats_row *row_of(
	const struct lina_stats_view *view, enum lina_dir dir, enum lina_class cls)
{
	for (uint32_t i = 0; i < view->nrows; i++)
		if (view->links[view->rows[i].link].dir == (uint32_t)dir &&
			view->rows[i].cls == (uint32_t)cls)
			return &view->rows[i];
	fail_msg("no row");
	return NULL;
}

static void counters_are_there_while_it_runs(void **state)
{
	struct lina_stats_view view;
	struct pair pair;
	char path[PATH_MAX];
	size_t bytes;
	void *copy;

	(void)state;
	pair_open("", &pair);
	send_both_classes(&pair);
	assert_int_equal(segments(path), 1);
	assert_int_equal(lina_stats_load(path, &copy, &bytes), 0);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	const struct lina_stats_row *row = row_of(&view, LINA_DIR_SEND, LINA_CLASS_LATENCY);
	assert_int_equal(lina_stats_get(&row->bytes), 2 * LATENCY_BYTES);
	assert_int_equal(lina_stats_get(&row->messages), 2);
	assert_true(lina_stats_get(&view.links[row->link].chunk_bytes) > 0);
	free(copy);
	pair_close(&pair);
	assert_int_equal(segments(path), 0);
}

static void off_leaves_nothing(void **state)
{
	struct pair pair;
	char path[PATH_MAX];
	int threads = threads_alive();

	(void)state;
	pair_open("LINA_STATS=0", &pair);
	send_both_classes(&pair);
	assert_int_equal(segments(path), 0);
	assert_int_equal(threads_alive(), threads);
	pair_close(&pair);
}

static void metrics_need_no_shared_memory(void **state)
{
	char settings[256], path[PATH_MAX];
	struct pair pair;

	(void)state;
	(void)snprintf(
		settings, sizeof(settings), "LINA_STATS=0 LINA_METRICS=%s/metrics-%%p", directory);
	pair_open(settings, &pair);
	assert_int_equal(segments(path), 0);
	send_both_classes(&pair);
	pair_close(&pair);
	metrics_check(false);
}

/* The first and then one of seven, so that short jobs see some too. */
static void some_messages_are_timed(void **state)
{
	struct lina_stats_view view;
	uint64_t waits[LINA_STATS_BUCKETS];
	struct pair pair;
	char path[PATH_MAX];
	size_t bytes;
	void *copy;

	(void)state;
	pair_open("", &pair);
	for (int i = 0; i < 15; i++)
		send_one(&pair, LINA_OP_ALLREDUCE, 100);
	assert_int_equal(segments(path), 1);
	assert_int_equal(lina_stats_load(path, &copy, &bytes), 0);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	const struct lina_stats_row *row = row_of(&view, LINA_DIR_SEND, LINA_CLASS_BULK);
	lina_stats_waits(row, NULL, waits);
	assert_int_equal(lina_stats_count(waits), 3);
	assert_true(lina_stats_get(&row->wait_ns) > 0);
	assert_int_equal(lina_stats_get(&row->messages), 15);
	free(copy);
	pair_close(&pair);
}

/* What is posted counts as queued until it ends, or its connection does. */
static void requests_in_flight_are_given_back(void **state)
{
	struct lina_stats_view view;
	struct pair pair;
	uint8_t to[5000];
	char path[PATH_MAX];
	size_t bytes;
	void *copy;

	(void)state;
	pair_open("", &pair);
	const struct lina_net_attr attr = { .op = UINT32_C(1) << LINA_OP_ALLTOALL };
	assert_int_equal(lina_net_attr_set(pair.net, &attr), 0);
	assert_non_null(post_recv(pair.recv, to, sizeof(to), 1));
	assert_int_equal(segments(path), 1);
	for (int closed = 0; closed < 2; closed++) {
		assert_int_equal(lina_stats_load(path, &copy, &bytes), 0);
		assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
		const struct lina_stats_row *row = row_of(&view, LINA_DIR_RECV, LINA_CLASS_LATENCY);
		assert_int_equal(lina_stats_get(&row->queued_bytes), closed ? 0 : sizeof(to));
		free(copy);
		if (!closed)
			assert_int_equal(lina_net_close_recv(pair.recv), 0);
	}
	assert_int_equal(lina_net_close(pair.net), 0);
}

static void files_that_cannot_be_made_are_named_once(void **state)
{
	(void)state;
	log_forget();
	send_with("LINA_TRACE=/nonexistent/trace-%p");
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("LINA_TRACE=/nonexistent/trace-%p"));
	assert_true(log_says("No such file"));
	log_forget();
	send_with("LINA_METRICS=/nonexistent/metrics-%p");
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("LINA_METRICS"));
	assert_true(log_says("No such file"));
	log_forget();
}

/* A child that the job forks, a data loader perhaps, ends by exit(): that is not the job's end. */
static void a_forked_child_takes_nothing_away(void **state)
{
	char settings[256], path[PATH_MAX];
	struct pair pair;
	int status;

	(void)state;
	(void)snprintf(settings, sizeof(settings), "LINA_TRACE=%s/trace-%%p", directory);
	pair_open(settings, &pair);
	send_both_classes(&pair);
	pid_t pid = fork();
	if (pid == 0)
		exit(0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(segments(path), 1);
	pair_close(&pair);
	json_t *events = trace_take();
	assert_int_equal(spans(events, "allreduce", "send", BULK_BYTES), 1);
	assert_int_equal(spans(events, "alltoall", "send", LATENCY_BYTES), 2);
	json_decref(events);
}

/* A program may end without closing anything; NCCL's oldest net ABIs give no occasion to. */
static void exit_leaves_files_and_no_segment(void **state)
{
	char settings[256], path[PATH_MAX];
	int status;

	(void)state;
	(void)snprintf(settings, sizeof(settings),
		"LINA_TRACE=%s/trace-%%p LINA_METRICS=%s/metrics-%%p", directory, directory);
	pid_t pid = fork();
	if (pid == 0) {
		struct pair pair;
		pair_open(settings, &pair);
		send_both_classes(&pair);
		exit(segments(path) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	(void)snprintf(traced, sizeof(traced), "%s/trace-%d", directory, (int)pid);
	(void)snprintf(metrics, sizeof(metrics), "%s/metrics-%d", directory, (int)pid);
	static char text[TEXT_BYTES];
	file_text(traced, text);
	(void)strncat(text, "]", 2);
	json_t *events = json_loads(text, 0, NULL);
	assert_non_null(events);
	assert_int_equal(spans(events, "alltoall", "send", LATENCY_BYTES), 2);
	json_decref(events);
	metrics_check(true);
	(void)snprintf(path, sizeof(path), LINA_STATS_DIRECTORY "/" LINA_STATS_PREFIX "%u-%d",
		(unsigned)geteuid(), (int)pid);
	DIR *dir = opendir(LINA_STATS_DIRECTORY);
	struct dirent *entry;
	while ((entry = readdir(dir)))
		assert_null(strstr(entry->d_name, strrchr(path, '/') + 1));
	(void)closedir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_files_say_what_was_sent),
		cmocka_unit_test(counters_are_there_while_it_runs),
		cmocka_unit_test(off_leaves_nothing),
		cmocka_unit_test(metrics_need_no_shared_memory),
		cmocka_unit_test(some_messages_are_timed),
		cmocka_unit_test(requests_in_flight_are_given_back),
		cmocka_unit_test(files_that_cannot_be_made_are_named_once),
		cmocka_unit_test(a_forked_child_takes_nothing_away),
		cmocka_unit_test(exit_leaves_files_and_no_segment),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
