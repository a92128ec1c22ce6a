/* Clusters described in a line: what is understood, and what is said of mistakes. */
#include "topology/topo_text.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Without the zero, which the parser must not need. */
static int parse(const char *text, struct lina_topo **topo_p, struct lina_topo_fault *fault)
{
	size_t n = strlen(text);
	char *copy = malloc(n + 1);

	assert_non_null(copy);
	memcpy(copy, text, n); /* NOLINT(bugprone-not-null-terminated-result) */
	int err = lina_topo_parse(copy, n, topo_p, fault);
	free(copy);
	return err;
}

static struct lina_topo *topo_of(const char *text)
{
	struct lina_topo_fault fault;
	struct lina_topo *topo = NULL;

	if (parse(text, &topo, &fault))
		fail_msg("%s: %d:%d: %s", text, fault.line, fault.column, fault.text);
	return topo;
}

static void expect_cost(const struct lina_topo *t, int from, int to, double latency_ns, double rate)
{
	struct lina_topo_cost cost = lina_topo_cost_of(t, from, to);

	if (fabs(cost.latency_ns - latency_ns) > 1e-6 || fabs(cost.bytes_per_s - rate) > 1e-3)
		fail_msg("from %d to %d: %g ns, %g B/s, not %g ns, %g B/s", from, to,
			cost.latency_ns, cost.bytes_per_s, latency_ns, rate);
}

static void test_line(void **state)
{
	struct lina_topo *t = topo_of("4 nodes, 8 gpus, nvlink 300 GB/s, 8 nics 50 GB/s");

	(void)state;
	assert_int_equal(t->nnodes, 4);
	assert_int_equal(t->ndevices, 32);
	assert_int_equal(t->nnics, 32);
	assert_int_equal(t->nrails, 8);
	for (int d = 0; d < 32; d++) {
		assert_int_equal(t->nic[d], d);
		assert_int_equal(lina_topo_rail_of(t, d), d % 8);
	}
	expect_cost(t, 0, 7, 600, 300e9);
	expect_cost(t, 3, 11, 2700, 50e9);       /* on one rail */
	expect_cost(t, 3, 12, 2700 + 260, 50e9); /* through the spine */
	lina_topo_destroy(t);
}

static void test_one_nic_for_two(void **state)
{
	struct lina_topo *t =
		topo_of("2 nodes, 8 gpus, nvlink 600GB/s 1us, 4 nics 200 Gbit/s 2.5 us, 1 rail");

	(void)state;
	assert_int_equal(t->nrails, 1);
	assert_int_equal(t->nic[0], 0);
	assert_int_equal(t->nic[1], 0);
	assert_int_equal(t->nic[15], 7);
	expect_cost(t, 0, 1, 2000, 600e9);
	expect_cost(t, 0, 15, 5000, 25e9);
	lina_topo_destroy(t);
}

/* Without a fabric: PCI switches of two below one CPU. */
static void test_pcie(void **state)
{
	struct lina_topo *t = topo_of("4 gpus, pcie 24 GB/s 100 ns, 2 nics 12.5 GB/s");

	(void)state;
	assert_int_equal(t->nnodes, 1);
	expect_cost(t, 0, 1, 200, 24e9);
	expect_cost(t, 0, 2, 400, 24e9);
	lina_topo_destroy(t);
}

static void test_groups_and_pods(void **state)
{
	struct lina_topo *t = topo_of("# two kinds\n"
				      "2 nodes, 8 gpus\n"
				      "nvlink 300 GB/s, 8 nics 50 GB/s\n"
				      "\n"
				      "pods of 2 nodes, uplink 20 GB/s 1 us # narrow\n"
				      "; 2 nodes, 4 gpus, nvlink 100 GB/s, 4 nics 25 GB/s\n");

	(void)state;
	assert_int_equal(t->nnodes, 4);
	assert_int_equal(t->ndevices, 24);
	assert_int_equal(t->node_first[2], 16);
	assert_int_equal(lina_topo_node_of(t, 20), 3);
	expect_cost(t, 0, 8, 2700, 50e9);
	expect_cost(t, 16, 20, 2700, 25e9);
	expect_cost(t, 0, 16, 4700, 20e9);
	lina_topo_destroy(t);
}

static void test_units(void **state)
{
	static const struct {
		const char *rate;
		double bytes_per_s;
	} rates[] = {
		{ "1 B/s", 1 },
		{ "8 bit/s", 1 },
		{ "100Gb/s", 12.5e9 },
		{ "100 Gbit/s", 12.5e9 },
		{ "1.5 kB/s", 1500 },
		{ "2 MiB/s", 2097152 },
		{ "0.25 TB/s", 0.25e12 },
		{ "1 GiB/s", 1073741824 },
		{ "1 Tibit/s", 137438953472 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
		char text[64];
		(void)snprintf(text, sizeof(text), "2 gpus, nvlink %s", rates[i].rate);
		struct lina_topo *t = topo_of(text);
		expect_cost(t, 0, 1, 600, rates[i].bytes_per_s);
		lina_topo_destroy(t);
	}
}

static const struct {
	const char *text;
	int line, column;
	const char *said;
} mistakes[] = {
	{ "", 1, 1, "expected a number, 'nvlink', 'pcie', 'pods' or 'uplink', not the end" },
	{ "4 nodes", 1, 8,
		"expected how many gpus there are, as in '8 gpus', before this, not the "
		"end" },
	{ "4 nodes, 8 gpu, nvlink 300 GB, 8 nics 50 GB/s", 1, 28,
		"expected a unit of bandwidth, as 'GB/s' or 'Gbit/s', not 'GB'" },
	{ "4 nodes, 8 gpus nvlink 300 GB/s", 1, 17, "expected ',' or ';', not 'nvlink'" },
	{ "4 nodes,, 8 gpus", 1, 9,
		"expected a number, 'nvlink', 'pcie', 'pods' or 'uplink', not ','" },
	{ "8 gpus,", 1, 8,
		"expected 'nvlink' or 'pcie', which join 8 gpus, before this, not the "
		"end" },
	{ "0 nodes", 1, 1, "expected a number from 1 to 65536, not '0'" },
	{ "1.5 nodes", 1, 1, "expected a number from 1 to 65536, not '1.5'" },
	{ "99999999999999999999 gpus", 1, 1,
		"expected a number from 1 to 65536, not '99999999999999999999'" },
	{ "5000 gpus", 1, 6, "expected at most 512 in a node before this word, not 'gpus'" },
	{ "8 apples", 1, 3, "expected 'nodes', 'gpus', 'nics' or 'rails', not 'apples'" },
	{ "8 gpus\nnvlink 1 GB/s, 8 gpus", 2, 18,
		"expected no 'gpus' again in this group, not 'gpus'" },
	{ "2 gpus, nvlink 1 GB/s; 1 gpu, pods of 2, pods of 3", 1, 42,
		"expected no 'pods' again in the cluster, not 'pods'" },
	{ "2 gpus, nvlink fast", 1, 16, "expected a bandwidth, as in '50 GB/s', not 'fast'" },
	{ "2 gpus, nvlink 0 GB/s", 1, 16, "expected a bandwidth from 1 B/s to 1000 TB/s, not '0'" },
	{ "2 gpus, nvlink 1.2.3 GB/s", 1, 16,
		"expected a bandwidth, as in '50 GB/s', not '1.2.3'" },
	{ "2 gpus, nvlink 1 GB/s 3 s", 1, 25, "expected 'ns', 'us' or 'ms', not 's'" },
	{ "2 gpus, nvlink 1 GB/s 3000 ms", 1, 23, "expected a time up to 1000 ms, not '3000'" },
	{ "2 gpus, nvlink 1 GB/s, pods 2", 1, 29, "expected 'of', not '2'" },
	{ "2 gpus, nvlink 1 GB/s, 2 nics 1 GB/s, 3 rails", 1, 46,
		"expected no more rails than the 2 nics, before this, not the end" },
	{ "2 gpus, nvlink 1 GB/s\n\x1b[31m", 2, 1,
		"expected a number, 'nvlink', 'pcie', 'pods' or 'uplink', not '?'" },
	{ "2 nodes, 1 gpu", 0, 0,
		"2 nodes, but no 'nics' in group 1: expected how many join it to the "
		"others, as in "
		"'8 nics 50 GB/s'" },
	{ "65536 nodes, 8 gpus, nvlink 1 GB/s, 1 nic 1 GB/s", 0, 0,
		"65536 nodes with 524288 gpus are more than 65536" },
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		struct lina_topo_fault fault = { 0 };
		struct lina_topo *topo = NULL;
		assert_int_equal(parse(mistakes[i].text, &topo, &fault), -EINVAL);
		assert_null(topo);
		assert_string_equal(fault.text, mistakes[i].said);
		assert_int_equal(fault.line, mistakes[i].line);
		assert_int_equal(fault.column, mistakes[i].column);
	}
}

/* The largest cluster that the planner knows, and a node of the largest kind. */
static void test_sizes(void **state)
{
	struct lina_topo *t = topo_of("8192 nodes, 8 gpus, nvlink 1 GB/s, 8 nics 1 GB/s");
	struct lina_topo_fault fault;

	(void)state;
	assert_int_equal(t->ndevices, 65536);
	expect_cost(t, 0, 65535, 2700 + 260, 1e9);
	lina_topo_destroy(t);
	t = topo_of("512 gpus, nvlink 1 GB/s, 512 nics 1 GB/s, pcie 1 GB/s");
	expect_cost(t, 0, 511, 600, 1e9);
	lina_topo_destroy(t);
	assert_int_equal(
		parse("128 nodes, 512 gpus, nvlink 1 GB/s, 512 nics 1 GB/s", &t, &fault), -EINVAL);
	assert_string_equal(fault.text, "too large: node 31, with 1024 devices and NICs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_one_nic_for_two),
		cmocka_unit_test(test_pcie),
		cmocka_unit_test(test_groups_and_pods),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
