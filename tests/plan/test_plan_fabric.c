/* What the planner keeps of a topology. */
#include "collectives/fabric.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "topology/topo_text.h"

static struct lina_fabric *fabric_of(const char *text)
{
	struct lina_topo_fault fault;
	struct lina_topo *topo;
	struct lina_fabric *fabric;

	if (lina_topo_parse(text, strlen(text), &topo, &fault))
		fail_msg("%s: %s", text, fault.text);
	assert_int_equal(lina_fabric_of_topo(topo, &fabric), 0);
	lina_topo_destroy(topo);
	return fabric;
}

static void expect(double got, double expected)
{
	if (fabs(got - expected) > 1e-9)
		fail_msg("%g, not %g", got, expected);
}

static void test_rates(void **state)
{
	struct lina_fabric *f = fabric_of("2 nodes, 8 gpus, nvlink 400 GB/s, 4 nics 50 GB/s");

	(void)state;
	assert_int_equal(f->ndevices, 16);
	assert_int_equal(f->nnics, 8);
	for (int d = 0; d < 16; d++) {
		assert_int_equal(f->nic[d], d / 2);
		expect(f->port_byte_ns[d], 1 / 400.0);
		expect(f->nic_byte_ns[f->nic[d]], 1 / 50.0);
	}
	expect(f->within_alpha_ns, 600);
	expect(f->between_alpha_ns, 2960);
	lina_fabric_destroy(f);
}

/* A slow node is slow at its own links; NICs go no faster than what they meet there. */
static void test_uneven(void **state)
{
	struct lina_fabric *f = fabric_of("1 node, 2 gpus, nvlink 400 GB/s, 2 nics 50 GB/s;"
					  "1 node, 2 gpus, pcie 10 GB/s, 2 nics 25 GB/s");

	(void)state;
	expect(f->port_byte_ns[0], 1 / 400.0);
	expect(f->port_byte_ns[2], 1 / 10.0);
	expect(f->nic_byte_ns[2], 1 / 10.0);
	lina_fabric_destroy(f);
}

static void test_uplink(void **state)
{
	struct lina_fabric *f = fabric_of(
		"4 nodes, 2 gpus, nvlink 400 GB/s, 2 nics 50 GB/s, pods of 2, uplink 60 GB/s");

	(void)state;
	for (int i = 0; i < f->nnics; i++)
		expect(f->nic_byte_ns[i], 1 / 30.0);
	lina_fabric_destroy(f);
}

static void test_unused(void **state)
{
	struct lina_fabric *one_node = fabric_of("4 gpus, nvlink 100 GB/s");
	struct lina_fabric *one_each = fabric_of("2 nodes, 1 gpu, 1 nic 10 GB/s");

	(void)state;
	assert_int_equal(one_node->nnics, 4);
	expect(one_node->nic_byte_ns[one_node->nic[3]], 1 / 100.0);
	expect(one_each->port_byte_ns[0], 1 / 10.0);
	lina_fabric_destroy(one_node);
	lina_fabric_destroy(one_each);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_uneven),
		cmocka_unit_test(test_uplink),
		cmocka_unit_test(test_unused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
