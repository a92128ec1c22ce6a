/* LINA_CLASSES: what is understood, what is refused and how, and which rule decides. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "plugin/classes.h"
#include "plugin/log.h"
#include "priority/class_rules.h"

enum { LINE_BYTES = 512 };

static char said[LINE_BYTES];

static void record(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void record(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	(void)level, (void)flags, (void)file, (void)line;
	va_start(args, fmt);
	(void)vsnprintf(said, sizeof(said), fmt, args);
	va_end(args);
}

static struct lina_class_rules rules_of(const char *text)
{
	struct lina_class_rules rules;
	struct lina_class_fault fault;

	assert_int_equal(lina_class_rules_parse(text, &rules, &fault), 0);
	return rules;
}

static const char *class_of(const char *text, int op, const char *comm_name, int traffic_class)
{
	const struct lina_class_rules rules = rules_of(text);
	const struct lina_class_facts facts = { op, comm_name, traffic_class };

	return lina_class_name(lina_class_rules_find(&rules, &facts));
}

static void defaults_hold_without_rules(void **state)
{
	(void)state;
	assert_int_equal(rules_of("").nrules, 0);
	for (int op = 0; op < LINA_NOPS; op++)
		assert_string_equal(class_of("", op, "x", 1),
			lina_class_name(lina_class_of_op((enum lina_op)op)));
	assert_string_equal(class_of("", -1, NULL, -1), "bulk");
	assert_string_equal(class_of("", LINA_NOPS, NULL, -1), "bulk");
}

static void every_operation_is_a_key(void **state)
{
	(void)state;
	for (int op = 0; op < LINA_NOPS; op++) {
		bool is_bulk = lina_class_of_op((enum lina_op)op) == LINA_CLASS_BULK;
		const char *other = is_bulk ? "latency" : "bulk";
		char text[64];

		(void)snprintf(text, sizeof(text), "%s=%s", lina_op_name((enum lina_op)op), other);
		for (int of = 0; of < LINA_NOPS; of++)
			assert_string_equal(class_of(text, of, NULL, -1),
				of == op ? other
					 : lina_class_name(lina_class_of_op((enum lina_op)of)));
	}
}

static void traffic_class_is_a_key(void **state)
{
	(void)state;
	assert_string_equal(class_of("traffic:1=latency", LINA_OP_ALLREDUCE, NULL, 1), "latency");
	assert_string_equal(class_of("traffic:1=latency", -1, NULL, 1), "latency");
	assert_string_equal(class_of("traffic:1=latency", LINA_OP_ALLREDUCE, NULL, 0), "bulk");
	assert_string_equal(class_of("traffic:1=latency", LINA_OP_ALLREDUCE, NULL, -1), "bulk");
	assert_string_equal(class_of("traffic:0=latency", LINA_OP_ALLREDUCE, NULL, 0), "latency");
	assert_string_equal(
		class_of("traffic:2147483647=latency", LINA_OP_ALLREDUCE, NULL, INT32_MAX),
		"latency");
}

static void name_of_the_communicator_is_a_key(void **state)
{
	const char *rule = "comm:ep_*=latency";

	(void)state;
	assert_string_equal(class_of(rule, LINA_OP_ALLREDUCE, "ep_0", -1), "latency");
	assert_string_equal(class_of(rule, LINA_OP_ALLREDUCE, "dp_0", -1), "bulk");
	assert_string_equal(class_of(rule, LINA_OP_ALLREDUCE, NULL, -1), "bulk");
	assert_string_equal(class_of("comm:*=latency", LINA_OP_ALLREDUCE, NULL, -1), "bulk");
	assert_string_equal(class_of("comm:a=b=latency", LINA_OP_ALLREDUCE, "a=b", -1), "latency");
}

static void first_rule_that_fits_decides(void **state)
{
	const char *op_first = "alltoall=bulk,comm:a=latency,traffic:3=latency";
	const char *comm_first = "comm:a=latency,traffic:3=latency,alltoall=bulk";

	(void)state;
	assert_string_equal(class_of(op_first, LINA_OP_ALLTOALL, "a", 3), "bulk");
	assert_string_equal(class_of(op_first, LINA_OP_ALLREDUCE, "a", -1), "latency");
	assert_string_equal(class_of(op_first, LINA_OP_ALLREDUCE, "b", 3), "latency");
	assert_string_equal(class_of(comm_first, LINA_OP_ALLTOALL, "a", -1), "latency");
	assert_string_equal(class_of(comm_first, LINA_OP_ALLTOALL, "b", 3), "latency");
	assert_string_equal(class_of(comm_first, LINA_OP_ALLTOALL, "b", 4), "bulk");
	assert_string_equal(class_of("all=latency,all=bulk", -1, NULL, -1), "latency");
	assert_string_equal(class_of("send=latency,all=bulk", LINA_OP_ALLTOALL, NULL, -1), "bulk");
}

static void names_are_asked_for_only_where_a_rule_has_one(void **state)
{
	struct lina_class_rules rules = rules_of("all=bulk,traffic:1=bulk,send=bulk");

	(void)state;
	assert_false(lina_class_rules_want_name(&rules));
	rules = rules_of("all=bulk,comm:x=bulk");
	assert_true(lina_class_rules_want_name(&rules));
}

static void what_is_not_understood_is_named(void **state)
{
	static const struct {
		const char *text, *word, *says;
	} rows[] = {
		{ "alltoal=latency", "'alltoal'",
			"alltoall, scatter, gather, allgatherv, collective, comm:" },
		{ "send=bulk,All=bulk", "'All'", "traffic:NUMBER, all" },
		{ "=bulk", "''", "no such operation or key" },
		{ "all=fast", "'fast'", "no such class; there are: latency, bulk" },
		{ "all=", "''", "no such class; there are: latency, bulk" },
		{ "all=bulk ", "'bulk '", "no such class" },
		{ "alltoall", "'alltoall'", "must be KEY=CLASS" },
		{ "all=bulk,", "''", "must be KEY=CLASS" },
		{ ",all=bulk", "''", "must be KEY=CLASS" },
		{ "traffic:=bulk", "'traffic:'", "whole number from 0 on" },
		{ "traffic:-1=bulk", "'traffic:-1'", "whole number from 0 on" },
		{ "traffic:2147483648=bulk", "'traffic:2147483648'", "whole number from 0 on" },
		{ "traffic:1x=bulk", "'traffic:1x'", "whole number from 0 on" },
		{ "comm:=bulk", "'comm:'", "a pattern has 1 to 63 characters" },
	};

	(void)state;
	lina_log_set(record);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct lina_class_rules rules = { .nrules = 77 };

		said[0] = '\0';
		assert_int_equal(lina_classes_read(rows[i].text, &rules), -EINVAL);
		assert_int_equal(rules.nrules, 77);
		assert_non_null(strstr(said, "LINA_CLASSES"));
		assert_non_null(strstr(said, rows[i].word));
		assert_non_null(strstr(said, rows[i].says));
	}
	lina_log_set(NULL);
}

static void there_is_room_for_so_many(void **state)
{
	static const char rule[] = "all=bulk,";
	const size_t nrule = sizeof(rule) - 1;
	char text[sizeof(rule) * (LINA_CLASS_RULES_MAX + 2)];
	char pattern[LINA_CLASS_PATTERN_BYTES + 16];
	struct lina_class_rules rules;
	struct lina_class_fault fault;

	(void)state;
	for (size_t i = 0; i < LINA_CLASS_RULES_MAX; i++)
		memcpy(text + i * nrule, rule, nrule);
	text[LINA_CLASS_RULES_MAX * nrule - 1] = '\0';
	assert_int_equal(rules_of(text).nrules, LINA_CLASS_RULES_MAX);
	memcpy(text + LINA_CLASS_RULES_MAX * nrule - 1, ",send=bulk", sizeof(",send=bulk"));
	assert_int_equal(lina_class_rules_parse(text, &rules, &fault), -EINVAL);
	assert_int_equal(fault.what, LINA_CLASS_FAULT_TOO_MANY);
	assert_memory_equal(text + fault.at, "send=bulk", fault.bytes);

	(void)snprintf(pattern, sizeof(pattern), "comm:%0*d=bulk", LINA_CLASS_PATTERN_BYTES - 1, 0);
	assert_int_equal(rules_of(pattern).nrules, 1);
	(void)snprintf(pattern, sizeof(pattern), "comm:%0*d=bulk", LINA_CLASS_PATTERN_BYTES, 0);
	assert_int_equal(lina_class_rules_parse(pattern, &rules, &fault), -EINVAL);
	assert_int_equal(fault.what, LINA_CLASS_FAULT_PATTERN);
}

/* Number i as a word of up to n letters from letters. */
static void word_make(unsigned i, const char *letters, char *word)
{
	size_t n = strlen(letters);

	for (; i != 0; i = (unsigned)((i - 1) / n))
		*word++ = letters[(i - 1) % n];
	*word = '\0';
}

/* The C library's matcher knows these two signs in the same way. */
static void patterns_match_as_in_the_shell(void **state)
{
	char pattern[8], text[8];

	(void)state;
	for (unsigned i = 0; i < 1365; i++) {
		word_make(i, "a?*b", pattern);
		for (unsigned j = 0; j < 127; j++) {
			word_make(j, "ab", text);
			assert_int_equal(
				lina_glob_match(pattern, text), fnmatch(pattern, text, 0) == 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_without_rules),
		cmocka_unit_test(every_operation_is_a_key),
		cmocka_unit_test(traffic_class_is_a_key),
		cmocka_unit_test(name_of_the_communicator_is_a_key),
		cmocka_unit_test(first_rule_that_fits_decides),
		cmocka_unit_test(names_are_asked_for_only_where_a_rule_has_one),
		cmocka_unit_test(what_is_not_understood_is_named),
		cmocka_unit_test(there_is_room_for_so_many),
		cmocka_unit_test(patterns_match_as_in_the_shell),
	};

	return cmocka_run_group_tests_name("class rules", tests, NULL, NULL);
}
