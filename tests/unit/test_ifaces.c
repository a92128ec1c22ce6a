/* The language of LINA_IFNAME and NCCL_SOCKET_IFNAME, as NCCL 2.22 to 2.29 read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "plugin/ifaces.h"

struct row {
	const char *spec, *name;
	bool chosen;
};

static void check(const struct row *rows, size_t nrows)
{
	for (size_t i = 0; i < nrows; i++)
		if (lina_ifspec_match(rows[i].spec, rows[i].name) != rows[i].chosen)
			fail_msg("'%s' must%s choose %s", rows[i].spec,
				rows[i].chosen ? "" : " not", rows[i].name);
}

#define CHECK(rows) check(rows, sizeof(rows) / sizeof(*(rows)))

static void names_are_prefixes(void **state)
{
	static const struct row rows[] = {
		{ "eth", "eth0", true },
		{ "eth", "eth", true },
		{ "eth0", "eth", false },
		{ "eth", "veth0", false },
		{ "eth1", "eth10", true },
		{ "ib,eth", "eth0", true },
		{ "ib,eth", "ib3", true },
		{ "ib,eth", "lo", false },
		{ "eth0,eth0", "eth0", true },
	};

	(void)state;
	CHECK(rows);
}

static void equals_asks_for_whole_names(void **state)
{
	static const struct row rows[] = {
		{ "=eth", "eth0", false }, { "=eth0", "eth0", true }, { "=eth1", "eth10", false },
		{ "=eth0,eth1", "eth1", true }, { "=eth0,eth1", "eth10", false },
		{ "eth0,=eth1", "eth1", false }, /* only in front */
	};

	(void)state;
	CHECK(rows);
}

static void caret_leaves_names_out(void **state)
{
	static const struct row rows[] = {
		{ "^lo", "lo", false },
		{ "^lo", "lo0", false },
		{ "^lo", "eth0", true },
		{ "^docker,lo", "docker0", false },
		{ "^docker,lo", "lo", false },
		{ "^docker,lo", "eth0", true },
		{ "^=docker,lo", "docker0", true },
		{ "^=docker,lo", "lo", false },
		{ "=^lo", "lo", false }, /* a name that begins with '^' */
		{ "=^lo", "eth0", false },
		{ "lo,^eth", "eth0", false },
	};

	(void)state;
	CHECK(rows);
}

/* NCCL shares the parser with lists of hosts: a port may follow a name, and is of no matter. */
static void port_after_a_name_is_passed_over(void **state)
{
	static const struct row rows[] = {
		{ "eth0:1234", "eth0", true },
		{ "eth0:1234", "eth1", false },
		{ "=eth0:1234,lo", "eth0", true },
		{ "=eth0:1234,lo", "lo", true },
		{ "eth0:12:34,lo", "lo", true },
		{ "^eth0:1", "eth0", false },
		{ ":1,lo", "lo", true },
		{ ":1,lo", "eth0", false },
	};

	(void)state;
	CHECK(rows);
}

static void list_without_names_stands_for_all(void **state)
{
	static const struct row rows[] = {
		{ "", "eth0", true },
		{ "=", "eth0", true },
		{ ",,", "eth0", true },
		{ ":80", "eth0", true },
		{ "^,", "eth0", false },
		{ "^=", "eth0", false },
		{ ",lo,", "lo", true },
		{ ",lo,", "eth0", false },
		{ "^,lo,", "eth0", true },
	};

	(void)state;
	CHECK(rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_prefixes),
		cmocka_unit_test(equals_asks_for_whole_names),
		cmocka_unit_test(caret_leaves_names_out),
		cmocka_unit_test(port_after_a_name_is_passed_over),
		cmocka_unit_test(list_without_names_stands_for_all),
	};

	return cmocka_run_group_tests_name("ifaces", tests, NULL, NULL);
}
