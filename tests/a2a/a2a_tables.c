/* Tables that change while a job runs. */
#include "a2a/a2a_check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_io.h"

static void write_table(
	const struct test *test, const char *path, uint64_t seed, uint64_t generation)
{
	struct lina_plan *plan = check_plan(test->job.nranks, seed);

	plan->generation = generation;
	if (test->job.rank == 0)
		LINA(lina_plan_write(plan, path));
	lina_plan_destroy(plan);
}

/* The same table of each generation, in a file of this rank. */
static void write_own(const struct test *test, const char *path, uint64_t generation)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 20 + generation);

	plan->generation = generation;
	LINA(lina_plan_write(plan, path));
	lina_plan_destroy(plan);
}

/* Calls until all ranks know of the next table; on every rank it is the same call. */
static int call_until_next(struct test *test, struct lina_a2a *a2a, struct routed *routed)
{
	int ncalls = 0;

	while (lina_a2a_table_next(a2a) == NULL) {
		routed_run(routed, a2a, test->stream, 0);
		if (++ncalls > 2000)
			FAIL("the table has not been taken over: %s", lina_a2a_table_error(a2a));
	}
	return ncalls;
}

static void need_same(struct test *test, const char *name, int value)
{
	char what[2 * JOB_NAME_BYTES];
	int other;

	snprintf(what, sizeof(what), "%s.%d", name, test->job.rank);
	job_tell(&test->job, what, &value, sizeof(value));
	for (int r = 0; r < test->job.nranks; r++) {
		snprintf(what, sizeof(what), "%s.%d", name, r);
		job_ask(&test->job, what, &other, sizeof(other));
		if (other != value)
			FAIL("%s: %d on rank %d, %d here", name, other, r, value);
	}
}

static void bad_table_is_left(
	struct test *test, struct lina_a2a *a2a, struct routed *routed, const char *path)
{
	if (test->job.rank == 0) {
		char part[PATH_MAX + 8];
		snprintf(part, sizeof(part), "%s.part", path);
		FILE *file = fopen(part, "w");
		if (file == NULL || fputs("lina-placement 1\nlayers x\n", file) < 0 ||
			fclose(file) != 0 || rename(part, path) != 0)
			FAIL("cannot write %s", path);
	}
	job_barrier(&test->job, routed->hidden == 64 ? "bad" : "bad.bound");
	(void)lina_a2a_table_next(a2a);
	routed_run(routed, a2a, test->stream, 0);
	(void)lina_a2a_table_next(a2a);
	if (strstr(lina_a2a_table_error(a2a), ":2:8: ") == NULL)
		FAIL("'%s' does not say where the table is wrong", lina_a2a_table_error(a2a));
	routed_run(routed, a2a, test->stream, 0);
}

static void change_table(struct test *test, uint32_t bound)
{
	struct lina_a2a_settings s = check_settings(NULL, bound ? 63 : 64, ncclFloat32, 2);
	struct routed_shape shape = check_shape;
	struct lina_a2a_stats stats;
	struct lina_batch *batch;
	struct lina_a2a *a2a;
	struct routed routed;
	char path[PATH_MAX];

	shape.hidden = s.hidden;
	snprintf(path, sizeof(path), "%s/table.%u", test->job.rendezvous_dir, bound);
	write_table(test, path, 11, 1);
	job_barrier(&test->job, bound ? "written.bound" : "written");
	s.table_path = path;
	s.bound = bound;
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 12, &shape);
	routed_run(&routed, a2a, test->stream, 0);
	if (lina_a2a_table_switch(a2a) != -EAGAIN)
		FAIL("switched to no table");
	write_table(test, path, 13, 2);
	need_same(test, bound ? "calls.bound" : "calls", call_until_next(test, a2a, &routed));
	struct lina_tokens tokens = routed_tokens(&routed);
	LINA(lina_a2a_dispatch(a2a, &tokens, test->stream, &batch));
	if (lina_a2a_table_switch(a2a) != -EBUSY)
		FAIL("switched in the middle of a call");
	routed_experts(&routed, batch, test->stream);
	LINA(lina_a2a_combine(batch, batch->rows, routed.out, test->stream));
	LINA(lina_a2a_table_switch(a2a));
	if (lina_a2a_table(a2a)->generation != 2)
		FAIL("not generation 2");
	routed_run(&routed, a2a, test->stream, 0);
	bad_table_is_left(test, a2a, &routed, path);
	lina_a2a_stats(a2a, &stats);
	if (stats.tables_switched != 1 || stats.tables_refused != 1)
		FAIL("%lu tables taken, %lu refused", (unsigned long)stats.tables_switched,
			(unsigned long)stats.tables_refused);
	routed_close(&routed);
	lina_a2a_destroy(a2a);
}

static void need_no_next(struct test *test, struct lina_a2a *a2a, struct routed *routed)
{
	for (int i = 0; i < 4; i++) {
		if (lina_a2a_table_next(a2a) != NULL)
			FAIL("generation %lu is agreed on",
				(unsigned long)lina_a2a_table_next(a2a)->generation);
		routed_run(routed, a2a, test->stream, 0);
	}
}

/* Each rank reads a file of its own, as where a file system shows a change to one host sooner than
 * to another: what not all have is nobody's next, though some have a later one by then. */
static void late_tables(struct test *test, uint32_t bound)
{
	struct lina_a2a_settings s = check_settings(NULL, 64, ncclFloat32, 2);
	int rank = test->job.rank;
	struct lina_a2a *a2a;
	struct routed routed;
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/late.%u.%d", test->job.rendezvous_dir, bound, rank);
	s.table_path = path;
	s.bound = bound;
	write_own(test, path, 1);
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 12, &check_shape);
	need_no_next(test, a2a, &routed);
	if (rank != 1)
		write_own(test, path, 2);
	if (test->job.nranks > 1)
		need_no_next(test, a2a, &routed);
	write_own(test, path, rank == 0 ? 3 : 2);
	if (test->job.nranks > 1)
		need_no_next(test, a2a, &routed);
	write_own(test, path, 3);
	need_same(test, bound ? "late.bound" : "late", call_until_next(test, a2a, &routed));
	LINA(lina_a2a_table_switch(a2a));
	if (lina_a2a_table(a2a)->generation != 3)
		FAIL("not generation 3");
	need_no_next(test, a2a, &routed);
	routed_close(&routed);
	lina_a2a_destroy(a2a);
}

/* A table that is written in place, in two parts, with calls between: half of it is no table. */
static void torn_table(struct test *test)
{
	struct lina_a2a_settings s = check_settings(NULL, 64, ncclFloat32, 2);
	struct lina_plan *plan = check_plan(test->job.nranks, 13);
	struct lina_a2a *a2a;
	struct routed routed;
	char path[PATH_MAX], *text;
	size_t bytes;
	FILE *file = NULL;

	snprintf(path, sizeof(path), "%s/torn", test->job.rendezvous_dir);
	write_table(test, path, 11, 1);
	job_barrier(&test->job, "torn");
	s.table_path = path;
	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 12, &check_shape);
	plan->generation = 2;
	LINA(lina_plan_encode(plan, &text, &bytes));
	if (test->job.rank == 0 &&
		((file = fopen(path, "w")) == NULL ||
			fwrite(text, 1, bytes / 2, file) != bytes / 2 || fflush(file) != 0))
		FAIL("cannot write %s", path);
	job_barrier(&test->job, "torn.half");
	need_no_next(test, a2a, &routed);
	if (strstr(lina_a2a_table_error(a2a), ": expected ") == NULL)
		FAIL("'%s' does not say where the table ends", lina_a2a_table_error(a2a));
	if (file != NULL &&
		(fwrite(text + bytes / 2, 1, bytes - bytes / 2, file) != bytes - bytes / 2 ||
			fclose(file) != 0))
		FAIL("cannot write %s", path);
	need_same(test, "torn.calls", call_until_next(test, a2a, &routed));
	LINA(lina_a2a_table_switch(a2a));
	routed_run(&routed, a2a, test->stream, 0);
	free(text);
	routed_close(&routed);
	lina_a2a_destroy(a2a);
	lina_plan_destroy(plan);
}

/* A table of one rank alone. */
static void set_table(struct test *test)
{
	struct lina_plan *plan = check_plan(test->job.nranks, 14);
	struct lina_plan *other = check_plan(test->job.nranks, 15);
	struct lina_a2a_settings s = check_settings(plan, 64, ncclFloat32, 2);
	struct lina_batch *batch;
	struct lina_a2a *a2a;
	struct routed routed;

	LINA(lina_a2a_create(test->comm, &s, &a2a));
	routed_open(&routed, &test->job, 12, &check_shape);
	struct lina_tokens tokens = routed_tokens(&routed);
	if (test->job.rank == 0)
		LINA(lina_a2a_table_set(a2a, other));
	int err = lina_a2a_dispatch(a2a, &tokens, test->stream, &batch);
	if (test->job.nranks > 1)
		need_error("dispatch", err, -ESTALE, "follows another table");
	else
		lina_a2a_release(batch, test->stream);
	if (test->job.rank != 0)
		LINA(lina_a2a_table_set(a2a, other));
	routed_run(&routed, a2a, test->stream, 0);
	routed_close(&routed);
	lina_a2a_destroy(a2a);
	lina_plan_destroy(other);
	lina_plan_destroy(plan);
}

void run_table(struct test *test)
{
	change_table(test, 0);
	change_table(test, 2 * CHECK_TOKENS);
	late_tables(test, 0);
	late_tables(test, 2 * CHECK_TOKENS);
	torn_table(test);
	set_table(test);
	printf("tables changed where they must\n");
}
