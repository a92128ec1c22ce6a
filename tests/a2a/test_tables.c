/* The placement table of a running job: what a poll reads of its file, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "a2a/cases.h"
#include "collectives/a2a_table.h"
#include "collectives/plan_io.h"
#include "collectives/whole_file.h"

static const struct lina_plan_shape shape = { 1, 4, 2, 1, 2 };

static void write_table(const char *path, uint64_t generation)
{
	uint64_t random = generation;
	struct lina_plan *plan = case_plan(&random, &shape);

	plan->generation = generation;
	assert_int_equal(lina_plan_write(plan, path), 0);
	lina_plan_destroy(plan);
}

/* No file can be opened: the process has as many as it may. Returns the limit before. */
static struct rlimit take_files(void)
{
	struct rlimit before, none;
	int first = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(first >= 0);
	assert_int_equal(close(first), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = before;
	none.rlim_cur = (rlim_t)first;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	return before;
}

/* Makes a file of path, a template of mkstemp, with a table in it, and opens it. */
static void open_tables(char *path, struct lina_tables *tables_p)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	write_table(path, 1);
	assert_int_equal(lina_tables_open(tables_p, path, NULL), 0);
}

static void what_could_not_be_opened_is_read_later(void **state)
{
	char path[] = "/tmp/lina-tables-XXXXXX";
	struct lina_tables tables;

	(void)state;
	open_tables(path, &tables);
	write_table(path, 2);
	struct rlimit files = take_files();
	lina_tables_poll(&tables);
	lina_tables_poll(&tables);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	assert_null(tables.next);
	assert_non_null(strstr(tables.error, "Too many open files"));
	assert_int_equal(tables.nrefused, 0);
	lina_tables_poll(&tables);
	assert_non_null(tables.next);
	assert_int_equal(tables.next->generation, 2);
	assert_string_equal(tables.error, "");
	lina_tables_close(&tables);
	assert_int_equal(unlink(path), 0);
}

/* Which is said once and not with each poll. */
static void what_is_wrong_is_read_once(void **state)
{
	char path[] = "/tmp/lina-tables-XXXXXX";
	struct lina_tables tables;

	(void)state;
	open_tables(path, &tables);
	assert_int_equal(lina_file_replace(path, "rubbish\n", 8), 0);
	for (int i = 0; i < 3; i++)
		lina_tables_poll(&tables);
	assert_null(tables.next);
	assert_int_equal(tables.nrefused, 1);
	assert_non_null(strstr(tables.error, ":1:1: expected 'lina-placement'"));
	lina_tables_close(&tables);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_could_not_be_opened_is_read_later),
		cmocka_unit_test(what_is_wrong_is_read_once),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
