/* The knobs: defaults, ranges, NCCL's variables behind ours, and names nobody knows. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "plugin/config.h"
#include "plugin/log.h"

enum { NLINES = 8, LINE_BYTES = 512 };

static char lines[NLINES][LINE_BYTES];
static int nlines, wanted_level;

static void record(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void record(int level, unsigned long flags, const char *file, int line, const char *fmt, ...)
{
	va_list args;

	(void)flags, (void)file, (void)line;
	assert_int_equal(level, wanted_level);
	assert_true(nlines < NLINES);
	va_start(args, fmt);
	(void)vsnprintf(lines[nlines++], LINE_BYTES, fmt, args);
	va_end(args);
}

static int start(void **state)
{
	(void)state;
	nlines = 0;
	wanted_level = LINA_LOG_WARN;
	lina_log_set(record);
	return 0;
}

static int stop(void **state)
{
	(void)state;
	lina_log_set(NULL);
	return 0;
}

/* Reads the list of entries given, up to NULL. */
#define READ(config, ...) lina_config_read((char *const[]){ __VA_ARGS__, NULL }, config)

/* A value that no default has, to see what is not written. */
static struct lina_config untouched(void)
{
	struct lina_config config;

	memset(&config, 0x5a, sizeof(config));
	return config;
}

static void defaults_where_nothing_is_set(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "PATH=/bin", "LINA"), 0);
	assert_int_equal(config.lanes, 1);
	assert_int_equal(config.connect_timeout_ms, 30000);
	assert_int_equal(config.peer_timeout_ms, 30000);
	assert_string_equal(config.ifname, "");
	assert_string_equal(config.socket_family, "");
	assert_int_equal(nlines, 0);
}

static void values_are_taken(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "LINA_LANES=16", "LINA_CONNECT_TIMEOUT_MS=100",
				 "LINA_PEER_TIMEOUT_MS=3600000", "LINA_IFNAME=^lo,docker",
				 "LINA_SOCKET_FAMILY=AF_INET6"),
		0);
	assert_int_equal(config.lanes, 16);
	assert_int_equal(config.connect_timeout_ms, 100);
	assert_int_equal(config.peer_timeout_ms, 3600000);
	assert_string_equal(config.ifname, "^lo,docker");
	assert_string_equal(config.socket_family, "AF_INET6");
	assert_int_equal(nlines, 0);
}

static void no_value_is_not_set(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "LINA_LANES=", "LINA_IFNAME", "NCCL_SOCKET_IFNAME=eth"), 0);
	assert_int_equal(config.lanes, 1);
	assert_string_equal(config.ifname, "eth");
}

static void first_entry_of_a_name_holds(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "LINA_LANES2=9", "LINA_LANES=2", "LINA_LANES=3"), 0);
	assert_int_equal(config.lanes, 2);
}

static void bad_numbers_are_refused(void **state)
{
	static char *const bad[] = { "LINA_LANES=0", "LINA_LANES=17", "LINA_LANES=-1",
		"LINA_LANES=2x", "LINA_LANES=x", "LINA_LANES= ", "LINA_LANES=1.5", "LINA_LANES=0x4",
		"LINA_LANES=4294967298", "LINA_LANES=99999999999999999999" };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct lina_config config = untouched(), before = config;
		char expected[LINE_BYTES];

		nlines = 0;
		assert_int_equal(READ(&config, bad[i]), -EINVAL);
		assert_memory_equal(&config, &before, sizeof(config));
		assert_int_equal(nlines, 1);
		(void)snprintf(expected, sizeof(expected),
			"NET/Lina: %s: must be a whole number from 1 to 16 (sockets)", bad[i]);
		assert_string_equal(lines[0], expected);
	}
}

static void every_bad_value_is_named(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "LINA_SOCKET_FAMILY=AF_UNIX", "LINA_LANES=0",
				 "LINA_PEER_TIMEOUT_MS=999"),
		-EINVAL);
	assert_int_equal(nlines, 3);
	assert_non_null(strstr(lines[0], "LINA_LANES=0"));
	assert_non_null(strstr(lines[1], "LINA_PEER_TIMEOUT_MS=999"));
	assert_string_equal(
		lines[2], "NET/Lina: LINA_SOCKET_FAMILY=AF_UNIX: must be one of: AF_INET AF_INET6");
}

static void choices_are_whole_words(void **state)
{
	static char *const bad[] = { "LINA_SOCKET_FAMILY=AF", "LINA_SOCKET_FAMILY=AF_INE",
		"LINA_SOCKET_FAMILY=INET6", "LINA_SOCKET_FAMILY=AF_INET AF_INET6",
		"LINA_SOCKET_FAMILY=af_inet", "LINA_SOCKET_FAMILY=AF_INET66" };
	struct lina_config config = untouched();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		nlines = 0;
		assert_int_equal(READ(&config, bad[i]), -EINVAL);
		assert_int_equal(nlines, 1);
	}
	nlines = 0;
	assert_int_equal(READ(&config, "LINA_SOCKET_FAMILY=AF_INET"), 0);
	assert_string_equal(config.socket_family, "AF_INET");
}

static void nccls_variable_stands_in(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "NCCL_SOCKET_IFNAME==eth0", "NCCL_SOCKET_FAMILY=AF_INET",
				 "LINA_SOCKET_FAMILY=AF_INET6"),
		0);
	assert_string_equal(config.ifname, "=eth0");
	assert_string_equal(config.socket_family, "AF_INET6");
	assert_int_equal(nlines, 0);
}

static void bad_value_of_nccls_is_left_out(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "NCCL_SOCKET_FAMILY=IPX"), 0);
	assert_string_equal(config.socket_family, "");
	assert_int_equal(nlines, 2);
	assert_non_null(strstr(lines[0], "NCCL_SOCKET_FAMILY=IPX"));
	assert_non_null(strstr(lines[1], "NCCL_SOCKET_FAMILY is left out"));
}

static void nccls_number_stands_in(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "NCCL_IB_TIMEOUT=22", "NCCL_IB_SL=3", "LINA_BULK_SL=1",
				 "NCCL_IB_RETRY_CNT=8"),
		0);
	assert_int_equal(config.qp_timeout, 22);
	assert_int_equal(config.latency_sl, 3);
	assert_int_equal(config.bulk_sl, 1);
	assert_int_equal(config.qp_retries, 7);
	assert_non_null(strstr(lines[0], "NCCL_IB_RETRY_CNT=8"));
	assert_int_equal(config.gid_index, -1);
}

/* strtoll with base 0, as NCCL does: a traffic class is often written in hexadecimal digits. */
static void nccls_number_is_read_as_nccl_reads_it(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(
		READ(&config, "NCCL_IB_TC=0x6a", "NCCL_IB_SL=03", "NCCL_IB_TIMEOUT=0X16"), 0);
	assert_int_equal(config.latency_tc, 106);
	assert_int_equal(config.bulk_tc, 106);
	assert_int_equal(config.latency_sl, 3);
	assert_int_equal(config.qp_timeout, 22);
	assert_int_equal(nlines, 0);
}

static void long_text_is_refused(void **state)
{
	struct lina_config config = untouched();
	char entry[sizeof("LINA_IFNAME=") + LINA_CONFIG_TEXT_BYTES];

	(void)state;
	memset(entry, 'e', sizeof(entry));
	memcpy(entry, "LINA_IFNAME=", strlen("LINA_IFNAME="));
	entry[sizeof(entry) - 1] = '\0';
	assert_int_equal(READ(&config, entry), -EINVAL);
	assert_string_equal(
		lines[0], "NET/Lina: LINA_IFNAME: 4096 characters, must be at most 4095");
	entry[sizeof(entry) - 2] = '\0';
	assert_int_equal(READ(&config, entry), 0);
	assert_int_equal(strlen(config.ifname), 4095);
}

/* A list of devices that is left out would stand for all of them. */
static void long_text_of_nccls_is_refused_too(void **state)
{
	struct lina_config config = untouched();
	char entry[sizeof("NCCL_IB_HCA=") + LINA_CONFIG_TEXT_BYTES];

	(void)state;
	memset(entry, 'm', sizeof(entry));
	memcpy(entry, "NCCL_IB_HCA=", strlen("NCCL_IB_HCA="));
	entry[sizeof(entry) - 1] = '\0';
	assert_int_equal(READ(&config, entry), -EINVAL);
	assert_int_equal(nlines, 1);
	assert_string_equal(
		lines[0], "NET/Lina: NCCL_IB_HCA: 4096 characters, must be at most 4095");
	assert_int_equal(READ(&config, entry, "LINA_HCA=mlx5_0"), 0);
	assert_string_equal(config.hca, "mlx5_0");
}

static void unknown_name_is_warned_of(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(
		READ(&config, "LINA_LANE=3", "LINA_TIMEOUT_MS", "LINA_IFNAMES=eth0", "XLINA_X=1"),
		0);
	assert_int_equal(config.lanes, 1);
	assert_int_equal(nlines, 3);
	assert_string_equal(
		lines[0], "NET/Lina: LINA_LANE: no such variable; did you mean LINA_LANES?");
	assert_string_equal(lines[1],
		"NET/Lina: LINA_TIMEOUT_MS: no such variable; did you mean LINA_PEER_TIMEOUT_MS?");
	assert_string_equal(
		lines[2], "NET/Lina: LINA_IFNAMES: no such variable; did you mean LINA_IFNAME?");
}

static void very_long_unknown_name_is_survived(void **state)
{
	struct lina_config config = untouched();
	char entry[4096];

	(void)state;
	memset(entry, 'A', sizeof(entry));
	memcpy(entry, "LINA_", 5);
	entry[sizeof(entry) - 1] = '\0';
	assert_int_equal(READ(&config, entry), 0);
	assert_int_equal(nlines, 1);
}

static void other_programs_variables_are_not(void **state)
{
	struct lina_config config = untouched();

	(void)state;
	assert_int_equal(READ(&config, "LINA_RANK=0", "LINA_NRANKS=2", "LINA_RENDEZVOUS=x",
				 "LINA_HOST=h0", "LINA_CACHE=/tmp"),
		0);
	assert_int_equal(nlines, 0);
}

/* What every row must have, whichever are added. */
static void rows_are_whole(void **state)
{
	size_t nknobs;
	const struct lina_knob *knobs = lina_config_knobs(&nknobs);

	(void)state;
	assert_true(nknobs >= 5);
	for (size_t i = 0; i < nknobs; i++) {
		assert_memory_equal(knobs[i].name, "LINA_", 5);
		assert_true(strlen(knobs[i].help) > 10);
		if (knobs[i].kind == LINA_KNOB_INT) {
			assert_true(knobs[i].initial >= knobs[i].lowest);
			assert_true(knobs[i].initial <= knobs[i].highest);
			assert_true(knobs[i].unit[0] != '\0');
			assert_non_null(knobs[i].stand_in);
		} else {
			assert_non_null(knobs[i].stand_in);
			assert_non_null(knobs[i].choices);
		}
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(knobs[i].name, knobs[j].name);
	}
}

/* Of NCCL's variables for RDMA, those that nothing here reads. */
static void what_has_no_effect_is_told(void **state)
{
	struct lina_config config;

	(void)state;
	wanted_level = LINA_LOG_INFO;
	assert_int_equal(READ(&config, "NCCL_IB_TIMEOUT=20", "NCCL_IB_TC=-1", "NCCL_IB_FIFO_TC=3",
				 "NCCL_IBEXT_DISABLE=1", "NCCL_IB_GDR_LEVEL=PIX"),
		0);
	assert_int_equal(config.qp_timeout, 20);
	assert_int_equal(config.bulk_tc, -1);
	assert_int_equal(nlines, 1);
	assert_string_equal(lines[0], "NET/Lina: NCCL_IB_FIFO_TC is for NCCL's own transport and "
				      "has no effect here");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_has_no_effect_is_told, start, stop),
		cmocka_unit_test(defaults_where_nothing_is_set),
		cmocka_unit_test(values_are_taken),
		cmocka_unit_test(no_value_is_not_set),
		cmocka_unit_test(first_entry_of_a_name_holds),
		cmocka_unit_test(bad_numbers_are_refused),
		cmocka_unit_test(every_bad_value_is_named),
		cmocka_unit_test(choices_are_whole_words),
		cmocka_unit_test(nccls_variable_stands_in),
		cmocka_unit_test(bad_value_of_nccls_is_left_out),
		cmocka_unit_test(nccls_number_stands_in),
		cmocka_unit_test(nccls_number_is_read_as_nccl_reads_it),
		cmocka_unit_test(long_text_is_refused),
		cmocka_unit_test(long_text_of_nccls_is_refused_too),
		cmocka_unit_test(unknown_name_is_warned_of),
		cmocka_unit_test(very_long_unknown_name_is_survived),
		cmocka_unit_test(other_programs_variables_are_not),
		cmocka_unit_test(rows_are_whole),
	};
	const size_t ntests = sizeof(tests) / sizeof(tests[0]);
	struct CMUnitTest logged[sizeof(tests) / sizeof(tests[0])];

	memcpy(logged, tests, sizeof(tests));
	for (size_t i = 0; i < ntests; i++) {
		logged[i].setup_func = start;
		logged[i].teardown_func = stop;
	}
	return cmocka_run_group_tests_name("config", logged, NULL, NULL);
}
