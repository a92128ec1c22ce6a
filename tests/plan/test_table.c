/* Placement tables: what is written is read back, what is wrong is named with its place, and a file
 * is the old one or the new one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collectives/plan_io.h"
#include "plan/cases.h"

static const char good[] = "lina-placement 1\n"
			   "layers 2\n"
			   "experts 3  # per layer\n"
			   "devices 2\r\n"
			   "devices-per-node 1\n"
			   "slots-per-device 2\n"
			   "generation 7\n"
			   "\n"
			   "layer 0\n"
			   "device 0: 0 1\n"
			   "device 1: 2 -\n"
			   "layer 1\n"
			   "device 0: 0:0.25 1\n"
			   "device 1: 2 0:0.75\n"
			   "end\n";

static void a_table_is_understood(void **state)
{
	static const int expected[] = { 0, 1, 2, LINA_SLOT_EMPTY, 0, 1, 2, 0 };
	static const double shares[] = { 1, 1, 1, 0, 0.25, 1, 1, 0.75 };
	struct lina_plan_text_fault fault;
	struct lina_plan *plan;

	(void)state;
	assert_int_equal(lina_plan_decode(good, strlen(good), &plan, &fault), 0);
	assert_int_equal(plan->generation, 7);
	assert_memory_equal(plan->expert, expected, sizeof(expected));
	for (int i = 0; i < 8; i++)
		assert_true(plan->share[i] == shares[i]);
	lina_plan_destroy(plan);
}

/* A good table with one text for another, and where and what is found wrong. */
static const struct {
	const char *from, *to;
	int line, column;
	const char *text;
} wrong[] = {
	{ "lina-placement 1", "lina-placement 2", 1, 16, "a number from 1 to 1, not '2'" },
	{ "lina-placement 1", "hello", 1, 1, "'lina-placement', not 'hello'" },
	{ "layers 2", "layers 0", 2, 8, "from 1 to 4096" },
	{ "layers 2", "layers", 2, 7, "the line ends" },
	{ "layers 2", "layers 2 3", 2, 10, "the end of the line, not '3'" },
	{ "experts 3", "experts 99999999999999999999", 3, 9, "a number" },
	{ "experts 3", "experts 5", 6, 1, "a slot at least for each of 5 experts" },
	{ "devices-per-node 1", "devices-per-node 3", 5, 18, "from 1 to 2" },
	{ "slots-per-device 2", "slots-per-device 4000", 6, 1, "than the text has room for" },
	{ "layer 0", "layer 1", 9, 1, "'layer 0'" },
	{ "device 1: 2 -", "device 1: 3 -", 11, 11, "an expert from 0 to 2 or '-', not '3'" },
	{ "device 1: 2 -", "device 1: 2", 11, 12, "for each slot" },
	{ "device 1: 2 -", "device 1: 2 - 1", 11, 15, "the end of the line, not '1'" },
	{ "device 1: 2 -", "device 1: 1 -", 11, 14, "a slot with expert 2 in layer 0" },
	{ "device 1: 2 -", "device 0: 2 -", 11, 1, "'device 1:'" },
	{ "0:0.25", "0:0.5", 14, 19, "with a sum of 1, not 1.25" },
	{ "0:0.25", "0", 14, 19, "at all replicas of expert 0 in layer 1 or at none" },
	{ "0:0.25", "0:x", 13, 13, "a share from 0 to 1, not 'x'" },
	{ "0:0.25", "0:1e400", 13, 13, "a share from 0 to 1" },
	{ "0:0.25", "0:-1", 13, 13, "a share from 0 to 1" },
	{ "end\n", "", 15, 1, "'end', but the text ends" },
	{ "end\n", "end\nmore", 16, 1, "nothing after 'end', not 'more'" },
	{ "generation 7", "generation \033[2J", 7, 12, "not '?[2J'" },
};

static char *replaced(const char *from, const char *to)
{
	const char *at = strstr(good, from);
	size_t room = sizeof(good) + strlen(to);
	char *text = malloc(room);

	assert_non_null(at);
	assert_non_null(text);
	(void)snprintf(text, room, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
	return text;
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		char *text = replaced(wrong[i].from, wrong[i].to);
		struct lina_plan_text_fault fault = { 0 };
		struct lina_plan *plan = NULL;

		assert_int_equal(lina_plan_decode(text, strlen(text), &plan, &fault), -EINVAL);
		assert_null(plan);
		if (fault.line != wrong[i].line || fault.column != wrong[i].column ||
			!strstr(fault.text, wrong[i].text))
			fail_msg(
				"%s: %d:%d: %s", wrong[i].to, fault.line, fault.column, fault.text);
		free(text);
	}
}

/* Every table that ends too early is refused. */
static void no_part_of_a_table_is_one(void **state)
{
	struct lina_plan_text_fault fault;
	struct lina_plan *plan = NULL;

	(void)state;
	for (size_t n = 0; n < strlen(good) - 1; n++) {
		assert_int_equal(lina_plan_decode(good, n, &plan, &fault), -EINVAL);
		assert_null(plan);
		assert_true(fault.line > 0 && fault.column > 0);
	}
}

static struct lina_plan *random_plan(struct random_source *r)
{
	struct lina_best_settings settings = { .trials = 50 };
	int nexperts = 1 + random_below(r, 20), per_node = 1 + random_below(r, 3);
	int ndevices = per_node * (1 + random_below(r, 3));
	int slots = (nexperts + ndevices - 1) / ndevices + random_below(r, 3);
	struct lina_place place = case_open(
		counts_skewed(r, 1 + random_below(r, 3), nexperts), ndevices, per_node, slots);
	struct lina_plan *plan;

	assert_int_equal(random_below(r, 2) ? lina_place_uniform(&place, &plan)
					    : lina_place_best(&place, &settings, &plan),
		0);
	plan->generation = random_next(r);
	case_close(&place);
	return plan;
}

static void check_same(const struct lina_plan *a, const struct lina_plan *b)
{
	size_t n = (size_t)a->shape.nlayers * (size_t)lina_plan_nslots(&a->shape);

	assert_memory_equal(&a->shape, &b->shape, sizeof(a->shape));
	assert_int_equal(a->generation, b->generation);
	assert_memory_equal(a->expert, b->expert, n * sizeof(*a->expert));
	assert_memory_equal(a->share, b->share, n * sizeof(*a->share));
}

static void what_is_written_is_read_back(void **state)
{
	struct random_source r = { 21 };
	struct lina_plan_text_fault fault;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct lina_plan *plan = random_plan(&r), *back;
		size_t bytes;
		char *text;

		assert_int_equal(lina_plan_encode(plan, &text, &bytes), 0);
		assert_int_equal(strlen(text), bytes);
		assert_int_equal(lina_plan_decode(text, bytes, &back, &fault), 0);
		check_same(plan, back);
		free(text);
		lina_plan_destroy(plan);
		lina_plan_destroy(back);
	}
}

static int files_in(const char *directory)
{
	char command[128];
	int n = -1;

	(void)snprintf(command, sizeof(command), "ls -A %s | wc -l", directory);
	FILE *out = popen(command, "r");
	assert_non_null(out);
	assert_int_equal(fscanf(out, "%d", &n), 1);
	(void)pclose(out);
	return n;
}

static void a_file_is_replaced_in_one_step(void **state)
{
	char directory[] = "/tmp/lina-table-XXXXXX", path[64], nowhere[64];
	struct random_source r = { 22 };
	struct lina_plan *plan = random_plan(&r), *later = random_plan(&r), *back;
	struct lina_plan_text_fault fault;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/table", directory);
	(void)snprintf(nowhere, sizeof(nowhere), "%s/not/there", directory);
	assert_int_equal(lina_plan_read(path, &back, &fault), -ENOENT);
	assert_int_equal(fault.line, 0);
	assert_int_equal(lina_plan_write(plan, path), 0);
	assert_int_equal(lina_plan_write(later, path), 0);
	assert_int_equal(lina_plan_read(path, &back, &fault), 0);
	check_same(later, back);
	lina_plan_destroy(back);
	assert_int_equal(files_in(directory), 1);
	assert_int_equal(lina_plan_write(plan, nowhere), -ENOENT);
	assert_int_equal(unlink(path), 0);
	/* What is in the way stays, and nothing is left beside it. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(lina_plan_write(plan, path) < 0);
	assert_int_equal(files_in(directory), 1);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(directory), 0);
	lina_plan_destroy(plan);
	lina_plan_destroy(later);
}

/* A job reads what the link leads to, and may be another user's. */
static void a_file_keeps_its_place_and_its_mode(void **state)
{
	char directory[] = "/tmp/lina-table-XXXXXX", path[64], link[64];
	struct random_source r = { 23 };
	struct lina_plan *plan = random_plan(&r), *later = random_plan(&r), *back;
	struct lina_plan_text_fault fault;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/table", directory);
	(void)snprintf(link, sizeof(link), "%s/link", directory);
	assert_int_equal(symlink("table", link), 0);
	assert_int_equal(lina_plan_write(plan, path), 0);
	assert_int_equal(chmod(path, 0604), 0);
	assert_int_equal(lina_plan_write(later, link), 0);
	assert_int_equal(lina_plan_read(path, &back, &fault), 0);
	check_same(later, back);
	lina_plan_destroy(back);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0604);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(files_in(directory), 2);
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(directory), 0);
	lina_plan_destroy(plan);
	lina_plan_destroy(later);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_understood),
		cmocka_unit_test(what_is_wrong_is_named_with_its_place),
		cmocka_unit_test(no_part_of_a_table_is_one),
		cmocka_unit_test(what_is_written_is_read_back),
		cmocka_unit_test(a_file_is_replaced_in_one_step),
		cmocka_unit_test(a_file_keeps_its_place_and_its_mode),
	};

	return cmocka_run_group_tests_name("table", tests, NULL, NULL);
}
