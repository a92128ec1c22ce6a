/* A program may have set a locale in which a fraction begins with a comma, as graphical toolkits do
 * where the user lives: what others read, and what others wrote, has a point all the same. The
 * locale is made here; where it cannot be, the test skips. */
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "collectives/plan_io.h"
#include "plugin/metrics.h"

static void metrics_have_a_point(void **state)
{
	struct lina_stats_view view;
	struct lina_stats *stats;
	char *text;
	size_t bytes;

	(void)state;
	assert_int_equal(lina_stats_open(NULL, &stats), 0);
	struct lina_stats_link *link = lina_stats_link(stats, "eth0", LINA_DIR_SEND);
	lina_stats_set(&link->held_ns, 1500000000);
	void *copy = lina_stats_copy(stats, &bytes);
	assert_int_equal(lina_stats_check(copy, bytes, &view), 0);
	FILE *out = open_memstream(&text, &bytes);
	assert_non_null(out);
	lina_metrics_print(out, &view);
	assert_int_equal(fclose(out), 0);
	assert_non_null(
		strstr(text, "lina_held_seconds_total{link=\"eth0\",direction=\"send\"} 1.5\n"));
	free(text);
	free(copy);
	lina_stats_close(stats);
}

static void tables_have_a_point(void **state)
{
	static const char table[] = "lina-placement 1\nlayers 1\nexperts 1\ndevices 2\n"
				    "devices-per-node 1\nslots-per-device 1\ngeneration 1\n"
				    "layer 0\ndevice 0: 0:0.25\ndevice 1: 0:0.75\nend\n";
	struct lina_plan_text_fault fault;
	struct lina_plan *plan;
	char *text;
	size_t bytes;

	(void)state;
	if (lina_plan_decode(table, strlen(table), &plan, &fault))
		fail_msg("line %d: %s", fault.line, fault.text);
	assert_int_equal(lina_plan_encode(plan, &text, &bytes), 0);
	assert_string_equal(text, table);
	free(text);
	lina_plan_destroy(plan);
}

/* The program's own numbers stay as it wants them. */
static void comma_is_left_to_the_program(void **state)
{
	char text[8];

	(void)state;
	(void)snprintf(text, sizeof(text), "%.1f", 0.5);
	assert_string_equal(text, "0,5");
}

/* Whether there is such a locale from now on. */
static bool comma_set(void)
{
	static const char make[] =
		"cd \"$LOCPATH\" && printf 'LC_NUMERIC\\ndecimal_point \",\"\\n"
		"thousands_sep \".\"\\ngrouping -1\\nEND LC_NUMERIC\\n' >source && "
		"localedef -c -i source -f ANSI_X3.4-1968 ./comma >made 2>&1; test -d comma";
	char folder[] = "/tmp/lina-locale-XXXXXX", away[64];

	if (!mkdtemp(folder) || setenv("LOCPATH", folder, 1))
		return false;
	bool set = system(make) == 0 && /* NOLINT(cert-env33-c,bugprone-command-processor) */
		   setlocale(LC_NUMERIC, "comma") != NULL;
	(void)snprintf(away, sizeof(away), "rm -r %s", folder);
	(void)system(away); /* NOLINT(cert-env33-c,bugprone-command-processor) */
	return set;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_have_a_point),
		cmocka_unit_test(tables_have_a_point),
		cmocka_unit_test(comma_is_left_to_the_program),
	};

	if (!comma_set()) {
		(void)printf("skipped: no locale can be made (localedef, package locales)\n");
		return 77;
	}
	return cmocka_run_group_tests_name("locale", tests, NULL, NULL);
}
