/* The model of a cluster: numbers, routes, costs, loads of links. */
#include "topology/topo.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "topology/topo_build.h"

static const struct lina_topo_wire nvlink = { LINA_LINK_NVLINK, 300e9, 300 };
static const struct lina_topo_wire pci = { LINA_LINK_PCI, 25e9, 500 };
static const struct lina_topo_wire between_cpus = { LINA_LINK_CPU, 10e9, 100 };

enum { GPUS = 4 };

/* Four GPUs on an NVSwitch; two and a NIC each are on a PCI switch of either CPU. */
static void node_add(struct lina_topo_builder *b, int node, double nic_bytes_per_s)
{
	int nvs = lina_topo_add(b, LINA_VERTEX_NVSWITCH, node, "");
	int cpu[2], sw[2];

	for (int i = 0; i < 2; i++) {
		cpu[i] = lina_topo_add(b, LINA_VERTEX_CPU, node, "");
		sw[i] = lina_topo_add(b, LINA_VERTEX_PCI, node, "");
		int nic = lina_topo_add_nic(b, node, "nic", -1, nic_bytes_per_s, 1350);
		lina_topo_join(b, cpu[i], sw[i], pci);
		lina_topo_join(b, sw[i], nic, pci);
	}
	lina_topo_join(b, cpu[0], cpu[1], between_cpus);
	for (int i = 0; i < GPUS; i++) {
		int gpu = lina_topo_add(b, LINA_VERTEX_DEVICE, node, "");
		lina_topo_join(b, gpu, nvs, nvlink);
		lina_topo_join(b, gpu, sw[i / 2], pci);
	}
}

static struct lina_topo *cluster(int nnodes, struct lina_topo_network network)
{
	struct lina_topo_builder b;
	struct lina_topo_fault fault;
	struct lina_topo *topo = NULL;

	lina_topo_builder_init(&b);
	for (int node = 0; node < nnodes; node++)
		node_add(&b, node, 20e9);
	assert_int_equal(lina_topo_build(&b, &network, &topo, &fault), 0);
	lina_topo_builder_clear(&b);
	return topo;
}

static const struct lina_topo_network one_pod = { .uplink_bytes_per_s = INFINITY };

static void test_numbers(void **state)
{
	struct lina_topo *t = cluster(3, one_pod);

	(void)state;
	assert_int_equal(t->nnodes, 3);
	assert_int_equal(t->ndevices, 12);
	assert_int_equal(t->nnics, 6);
	assert_int_equal(t->nrails, 2);
	for (int d = 0; d < t->ndevices; d++) {
		assert_int_equal(t->vertex[d].kind, LINA_VERTEX_DEVICE);
		assert_int_equal(lina_topo_node_of(t, d), d / GPUS);
		assert_int_equal(t->nic[d], d / 2);
		assert_int_equal(lina_topo_rail_of(t, d), d / 2 % 2);
	}
	for (int l = 0; l < t->nlinks; l += 2) {
		assert_int_equal(t->link[l].from, t->link[l + 1].to);
		assert_int_equal(t->link[l].to, t->link[l + 1].from);
	}
	lina_topo_destroy(t);
}

static void expect_cost(const struct lina_topo *t, int from, int to, double latency_ns, double rate)
{
	struct lina_topo_cost cost = lina_topo_cost_of(t, from, to);

	assert_float_equal(cost.latency_ns, latency_ns, 1e-6);
	assert_float_equal(cost.bytes_per_s, rate, 1e-3);
}

static void test_costs(void **state)
{
	struct lina_topo *t = cluster(2, one_pod);
	struct lina_topo_cost none = lina_topo_cost_of(t, 5, 5);

	(void)state;
	assert_float_equal(none.latency_ns, 0, 0);
	assert_true(isinf(none.bytes_per_s));
	expect_cost(t, 0, 3, 600, 300e9);
	/* GPU, PCI switch, NIC, leaf and down again; across rails there is the spine, here for
	 * nothing. */
	expect_cost(t, 0, 4, 4 * 500 + 2 * 1350, 20e9);
	expect_cost(t, 0, 7, 4 * 500 + 2 * 1350, 20e9);
	assert_float_equal(lina_topo_time_ns(t, 0, 4, 20e6), 4700 + 1e6, 1e-3);
	lina_topo_destroy(t);
}

/* Links follow on one another from one device to the other. */
static void test_routes_hang_together(void **state)
{
	struct lina_topo *t = cluster(4, (struct lina_topo_network){ 2, 5e9, 100 });
	int links[LINA_TOPO_HOPS_MAX];

	(void)state;
	for (int a = 0; a < t->ndevices; a++)
		for (int b = 0; b < t->ndevices; b++) {
			int n = lina_topo_route(t, a, b, links), at = a;
			for (int i = 0; i < n; i++) {
				assert_int_equal(t->link[links[i]].from, at);
				at = t->link[links[i]].to;
			}
			assert_int_equal(at, b);
		}
	/* Rail 0 within pod 0, between the pods. */
	expect_cost(t, 0, 4, 4700, 20e9);
	expect_cost(t, 0, 8, 4900, 5e9);
	lina_topo_destroy(t);
}

static void test_loads(void **state)
{
	struct lina_topo *t = cluster(2, one_pod);
	double bytes[64] = { 0 };
	double *load = calloc((size_t)t->nlinks, sizeof(*load));
	bool users[8];
	int link;

	(void)state;
	assert_non_null(load);
	bytes[0 * 8 + 0] = 1e12; /* stays */
	assert_float_equal(lina_topo_exchange_ns(t, bytes, load, &link), 0, 0);
	assert_int_equal(link, -1);
	/* Devices 0 and 1 share a NIC; device 2 has another. */
	bytes[0 * 8 + 4] = 10e6;
	bytes[1 * 8 + 6] = 30e6;
	bytes[2 * 8 + 4] = 25e6;
	bytes[0 * 8 + 1] = 90e6;
	assert_float_equal(lina_topo_exchange_ns(t, bytes, load, &link), 4700 + 2e6, 1e-3);
	assert_int_equal(t->link[link].kind, LINA_LINK_NET);
	assert_float_equal(load[link], 40e6, 0);
	assert_int_equal(lina_topo_link_users(t, link, users), 2);
	assert_true(users[0] && users[1] && !users[2]);
	free(load);
	lina_topo_destroy(t);
}

/* Without a fabric of their own devices go by PCI, across the CPUs if need be. */
static void test_pci_only(void **state)
{
	struct lina_topo_builder b;
	struct lina_topo_fault fault;
	struct lina_topo *t;
	int cpu[2];

	(void)state;
	lina_topo_builder_init(&b);
	for (int i = 0; i < 2; i++) {
		cpu[i] = lina_topo_add(&b, LINA_VERTEX_CPU, 0, "");
		for (int j = 0; j < 2; j++)
			lina_topo_join(
				&b, cpu[i], lina_topo_add(&b, LINA_VERTEX_DEVICE, 0, ""), pci);
	}
	lina_topo_join(&b, cpu[0], cpu[1], between_cpus);
	assert_int_equal(lina_topo_build(&b, &one_pod, &t, &fault), 0);
	expect_cost(t, 0, 1, 1000, 25e9);
	expect_cost(t, 0, 2, 1100, 10e9);
	assert_int_equal(t->nic[0], -1);
	assert_int_equal(lina_topo_rail_of(t, 0), -1);
	lina_topo_destroy(t);
	lina_topo_builder_clear(&b);
}

/* A device and a NIC hand nothing on. */
static void test_ends_hand_nothing_on(void **state)
{
	struct lina_topo_builder b;
	struct lina_topo_fault fault;
	struct lina_topo *t = NULL;

	(void)state;
	lina_topo_builder_init(&b);
	int a = lina_topo_add(&b, LINA_VERTEX_DEVICE, 0, "");
	int middle = lina_topo_add(&b, LINA_VERTEX_DEVICE, 0, "");
	int c = lina_topo_add(&b, LINA_VERTEX_DEVICE, 0, "");
	lina_topo_join(&b, a, middle, nvlink);
	lina_topo_join(&b, middle, c, nvlink);
	assert_int_equal(lina_topo_build(&b, &one_pod, &t, &fault), -EINVAL);
	assert_string_equal(fault.text,
		"device 0 of node 0 cannot reach device 2: no links, or more than 28 hops");
	assert_null(t);
	lina_topo_builder_clear(&b);
}

/* Two NICs as near as one another are used in turn. */
static void test_nics_in_turn(void **state)
{
	struct lina_topo_builder b;
	struct lina_topo_fault fault;
	struct lina_topo *t;

	(void)state;
	lina_topo_builder_init(&b);
	int cpu = lina_topo_add(&b, LINA_VERTEX_CPU, 0, "");
	for (int i = 0; i < 4; i++)
		lina_topo_join(&b, cpu, lina_topo_add(&b, LINA_VERTEX_DEVICE, 0, ""), pci);
	for (int i = 0; i < 2; i++)
		lina_topo_join(&b, cpu, lina_topo_add_nic(&b, 0, "", -1, 1e9, 0), pci);
	assert_int_equal(lina_topo_build(&b, &one_pod, &t, &fault), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(t->nic[i], i % 2);
	lina_topo_destroy(t);
	lina_topo_builder_clear(&b);
}

static void test_refused(void **state)
{
	struct lina_topo_builder b;
	struct lina_topo_fault fault;
	struct lina_topo *t = NULL;

	(void)state;
	lina_topo_builder_init(&b);
	assert_int_equal(lina_topo_build(&b, &one_pod, &t, &fault), -EINVAL);
	assert_string_equal(fault.text, "there is no device");
	(void)lina_topo_add(&b, LINA_VERTEX_DEVICE, 2, "");
	assert_int_equal(lina_topo_build(&b, &one_pod, &t, &fault), -EINVAL);
	assert_string_equal(fault.text, "node 0 has no device");
	(void)lina_topo_add(&b, LINA_VERTEX_DEVICE, 1, "");
	(void)lina_topo_add(&b, LINA_VERTEX_DEVICE, 0, "");
	assert_int_equal(lina_topo_build(&b, &one_pod, &t, &fault), -EINVAL);
	assert_string_equal(fault.text, "device 0 has no NIC to leave node 0 by");
	assert_null(t);
	lina_topo_builder_clear(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_costs),
		cmocka_unit_test(test_routes_hang_together),
		cmocka_unit_test(test_loads),
		cmocka_unit_test(test_pci_only),
		cmocka_unit_test(test_ends_hand_nothing_on),
		cmocka_unit_test(test_nics_in_turn),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
