/* The log: what reaches NCCL's logger, what stderr, and what is held back. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugin/log.h"

enum { NTHREADS = 4, NROUNDS = 2000 };

static struct {
	int n, level, line;
	unsigned long flags;
	char file[64], text[4096];
} last;

static void record(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void record(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	last.n++;
	last.level = level;
	last.flags = flags;
	last.line = line;
	(void)snprintf(last.file, sizeof(last.file), "%s", file);
	va_start(args, fmt);
	(void)vsnprintf(last.text, sizeof(last.text), fmt, args);
	va_end(args);
	errno = ERANGE;
}

static int use_recorder(void **state)
{
	(void)state;
	memset(&last, 0, sizeof(last));
	lina_log_set(record);
	return 0;
}

static int use_none(void **state)
{
	(void)state;
	lina_log_set(NULL);
	return 0;
}

static void warning_reaches_the_logger(void **state)
{
	(void)state;
	errno = ENOENT;
	lina_warn("peer %s: %d%%", "10.0.0.1", 7);
	assert_int_equal(last.line, __LINE__ - 1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(last.n, 1);
	assert_int_equal(last.level, 2);
	assert_true(last.flags == ~0UL);
	assert_string_equal(last.text, "NET/Lina: peer 10.0.0.1: 7%");
	assert_string_equal(last.file, "tests/unit/test_log.c");
}

static void info_is_of_init_and_net(void **state)
{
	(void)state;
	lina_info("up");
	assert_int_equal(last.level, 3);
	assert_int_equal(last.flags, 0x11);
	assert_string_equal(last.text, "NET/Lina: up");
}

static void percent_in_an_argument_is_text(void **state)
{
	(void)state;
	lina_warn("%s", "%s%n%d");
	assert_string_equal(last.text, "NET/Lina: %s%n%d");
}

static void long_line_is_cut(void **state)
{
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	lina_warn("%s", text);
	assert_int_equal(strlen(last.text), 1023);
}

static void once_is_once(void **state)
{
	atomic_bool said = false;

	(void)state;
	for (int i = 0; i < 3; i++)
		lina_warn_once(&said, "number %d", i);
	assert_int_equal(last.n, 1);
	assert_string_equal(last.text, "NET/Lina: number 0");
}

static void trace_is_off_unless_built_in(void **state)
{
	(void)state;
	lina_trace("%d", 1);
	assert_int_equal(last.n, LINA_TRACING);
}

/* Runs say with stderr in a pipe; what came is in text. */
static void read_stderr(void (*say)(void), char *text, size_t bytes)
{
	int pipe_fds[2];
	int saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_true(saved >= 0);
	assert_return_code(pipe(pipe_fds), errno);
	assert_return_code(dup2(pipe_fds[1], STDERR_FILENO), errno);
	say();
	assert_return_code(dup2(saved, STDERR_FILENO), errno);
	(void)close(pipe_fds[1]);
	n = read(pipe_fds[0], text, bytes - 1);
	(void)close(pipe_fds[0]);
	(void)close(saved);
	assert_true(n >= 0);
	text[n] = '\0';
}

static void say_all(void)
{
	lina_info("quiet");
	lina_trace("quiet");
	lina_warn("loud %d", 1);
}

static void without_logger_warnings_go_to_stderr(void **state)
{
	char text[256];

	(void)state;
	read_stderr(say_all, text, sizeof(text));
	assert_non_null(strstr(text, "tests/unit/test_log.c:"));
	assert_non_null(strstr(text, ": NET/Lina: loud 1\n"));
	assert_null(strstr(text, "quiet"));
}

static void gate_passes_one_per_interval(void **state)
{
	struct lina_log_gate gate = { 0 };
	uint64_t nheld = 99;

	(void)state;
	assert_true(lina_log_gate(&gate, 5, 100, &nheld));
	assert_int_equal(nheld, 0);
	assert_false(lina_log_gate(&gate, 6, 100, &nheld));
	assert_false(lina_log_gate(&gate, 104, 100, &nheld));
	assert_true(lina_log_gate(&gate, 105, 100, &nheld));
	assert_int_equal(nheld, 2);
	assert_true(lina_log_gate(&gate, 1000, 100, &nheld));
	assert_int_equal(nheld, 0);
}

static struct lina_log_gate shared_gate;
static _Atomic uint64_t npassed, nheld_in_all;

static void *push_at_gate(void *arg)
{
	(void)arg;
	for (uint64_t now = 1; now <= NROUNDS; now++) {
		uint64_t nheld;

		if (lina_log_gate(&shared_gate, now, 10, &nheld)) {
			atomic_fetch_add(&npassed, 1);
			atomic_fetch_add(&nheld_in_all, nheld);
		}
	}
	return NULL;
}

static void gate_counts_every_thread(void **state)
{
	pthread_t threads[NTHREADS];
	uint64_t nheld;

	(void)state;
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, push_at_gate, NULL), 0);
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(lina_log_gate(&shared_gate, (uint64_t)NROUNDS * 2, 10, &nheld));
	assert_true(npassed > 0 && npassed <= NROUNDS / 10);
	assert_int_equal(npassed + nheld_in_all + nheld, (uint64_t)NTHREADS * NROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(warning_reaches_the_logger, use_recorder, use_none),
		cmocka_unit_test_setup_teardown(info_is_of_init_and_net, use_recorder, use_none),
		cmocka_unit_test_setup_teardown(
			percent_in_an_argument_is_text, use_recorder, use_none),
		cmocka_unit_test_setup_teardown(long_line_is_cut, use_recorder, use_none),
		cmocka_unit_test_setup_teardown(once_is_once, use_recorder, use_none),
		cmocka_unit_test_setup_teardown(
			trace_is_off_unless_built_in, use_recorder, use_none),
		cmocka_unit_test_setup(without_logger_warnings_go_to_stderr, use_none),
		cmocka_unit_test(gate_passes_one_per_interval),
		cmocka_unit_test(gate_counts_every_thread),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
