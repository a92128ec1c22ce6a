/* NCCL's XML: what is joined to what, and what is said of mistakes. Whole machines are in
 * topology.sh. */
#include "topology/topo_nccl.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static int read_text(const char *text, struct lina_topo **topo_p, struct lina_topo_fault *fault)
{
	static const struct lina_topo_network network = LINA_TOPO_NETWORK_FLAT;
	struct lina_topo_builder b;
	int nnodes = 0;

	lina_topo_builder_init(&b);
	int err = lina_topo_nccl_add(&b, 0, text, strlen(text), &nnodes, fault);
	if (!err)
		err = lina_topo_build(&b, &network, topo_p, fault);
	lina_topo_builder_clear(&b);
	return err;
}

#define GPU(BUS, SM, INSIDE)                                                                   \
	"<pci busid=\"" BUS "\" class=\"0x030200\" link_speed=\"16.0 GT/s PCIe\" "             \
	"link_width=\"16\"><gpu dev=\"0\" sm=\"" SM "\" rank=\"0\" gdr=\"1\">" INSIDE "</gpu>" \
	"</pci>"

static struct lina_topo *topo_of(const char *text)
{
	struct lina_topo_fault fault;
	struct lina_topo *topo = NULL;

	if (read_text(text, &topo, &fault))
		fail_msg("%d:%d: %s", fault.line, fault.column, fault.text);
	return topo;
}

static void expect_rate(const struct lina_topo *t, int from, int to, double bytes_per_s)
{
	double got = lina_topo_cost_of(t, from, to).bytes_per_s;

	if (fabs(got - bytes_per_s) > 1)
		fail_msg("from %d to %d: %g B/s, not %g", from, to, got, bytes_per_s);
}

/* An <nvlink> at both ends is one cable; at one end it is one too. */
static void test_nvlinks(void **state)
{
	struct lina_topo *t = topo_of("<system><cpu numaid=\"0\">" GPU(
		"a", "80", "<nvlink target=\"b\" count=\"4\" tclass=\"0x030200\"/>") GPU("b", "80",
		"<nvlink target=\"a\" count=\"4\" tclass=\"0x030200\"/>"
		"<nvlink target=\"c\" count=\"2\" tclass=\"0x030200\"/>"
		"<nvlink target=\"gone\" count=\"2\" tclass=\"0x030200\"/>")
			GPU("c", "80", "") "</cpu></system>");
	int nvlinks = 0;

	(void)state;
	for (int l = 0; l < t->nlinks; l += 2)
		nvlinks += t->link[l].kind == LINA_LINK_NVLINK;
	assert_int_equal(nvlinks, 2);
	expect_rate(t, 0, 1, 80e9);
	expect_rate(t, 1, 2, 40e9);
	expect_rate(t, 0, 2, 24e9);
	lina_topo_destroy(t);
}

static void test_c2c(void **state)
{
	struct lina_topo *t = topo_of(
		"<system><cpu numaid=\"0\">" GPU("a", "90", "<c2c bw=\"22000\" count=\"10\"/>")
			GPU("b", "90", "<c2c bw=\"22000\" count=\"10\"/>") "</cpu></system>");

	(void)state;
	expect_rate(t, 0, 1, 220e9);
	lina_topo_destroy(t);
}

/* Each <gpu> of a <pci> but the first is a device beside it, with its name: however many there are,
 * and wherever the arrays grow. */
static void test_parts_of_gpus(void **state)
{
	enum { PARTS = 300 };
	static char text[64 * PARTS];
	struct lina_topo *t;
	size_t n = 0;

	(void)state;
	n += (size_t)snprintf(text, sizeof(text), "<system><cpu><pci busid=\"0000:06:00.0\">");
	for (int i = 0; i < PARTS; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "<gpu sm=\"90\"/>");
	(void)snprintf(text + n, sizeof(text) - n, "</pci></cpu></system>");
	t = topo_of(text);
	assert_int_equal(t->ndevices, PARTS);
	for (int i = 0; i < PARTS; i++)
		assert_string_equal(t->vertex[i].name, "0000:06:00.0");
	lina_topo_destroy(t);
}

static double cpu_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

/* As many as a text may have are no reason to wait: to look at each switch for each way of each
 * device took half a minute. */
static void test_many_switches(void **state)
{
	enum { DEVICES = 1000, SWITCHES = 4000 };
	static char text[20 * (DEVICES + SWITCHES) + 100];
	size_t n = (size_t)snprintf(text, sizeof(text), "<system><cpu><pci busid=\"a\">");
	double from_s = cpu_s();
	struct lina_topo *t;

	(void)state;
	for (int i = 0; i < DEVICES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "<gpu/>");
	n += (size_t)snprintf(text + n, sizeof(text) - n, "</pci>");
	for (int i = 0; i < SWITCHES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "<pci busid=\"b\"/>");
	(void)snprintf(text + n, sizeof(text) - n, "</cpu></system>");
	t = topo_of(text);
	assert_int_equal(t->ndevices, DEVICES);
	assert_true(cpu_s() - from_s < 10);
	lina_topo_destroy(t);
}

/* Hosts are nodes; NICs on the CPU, without a speed, fused ones; rails as given. */
static void test_hosts_and_nics(void **state)
{
	static const char text[] =
		"<system version=\"1\"><cpu host_hash=\"0x1\" numaid=\"0\">" GPU("a", "90",
			"") "<nic><net name=\"eth0\" dev=\"0\" speed=\"100000\" rail=\"3\" "
			    "latency=\"1.5\"/>"
			    "<net name=\"half\" dev=\"1\" net=\"0\" speed=\"50000\"/></nic></cpu>"
			    "<cpu host_hash=\"0x2\" numaid=\"0\">" GPU(
				    "a", "90", "") "<nic><net name=\"eth0\" dev=\"0\" speed=\"-1\" "
						   "rail=\"3\"/></nic></cpu><new/></system>";
	struct lina_topo *t = topo_of(text);

	(void)state;
	assert_int_equal(t->nnodes, 2);
	assert_int_equal(t->nnics, 2);
	assert_int_equal(t->nrails, 4);
	assert_int_equal(lina_topo_rail_of(t, 1), 3);
	assert_string_equal(lina_topo_nic_vertex(t, 0)->name, "eth0");
	expect_rate(t, 0, 1, 1.25e9);
	assert_float_equal(lina_topo_cost_of(t, 0, 1).latency_ns, 2 * 500 + 2 * 1350 + 1500, 1e-3);
	lina_topo_destroy(t);
}

static const struct {
	const char *text;
	int line, column;
	const char *said;
} mistakes[] = {
	{ "", 1, 1, "no element found" },
	{ "<system>", 1, 9, "no element found" },
	{ "<system><cpu></system>", 1, 16, "mismatched tag" },
	{ "<topology/>", 1, 1, "expected <system>, not <topology>" },
	{ "<!DOCTYPE system [<!ENTITY a \"b\">]><system/>", 1, 18, "expected no <!DOCTYPE>" },
	{ "<system>\n <cpu numaid=\"x\"/></system>", 2, 2,
		"numaid: expected a number from -1 to 65535, not 'x'" },
	{ "<system><cpu><pci class=\"0x03\"/></cpu></system>", 1, 14,
		"expected <pci> to have a busid" },
	{ "<system><cpu><nic><net speed=\"1e9\"/></nic></cpu></system>", 1, 19,
		"speed: expected a number from -1 to 100000000, not '1e9'" },
	{ "<system><cpu><nic><net latency=\"-1\"/></nic></cpu></system>", 1, 19,
		"latency: expected microseconds up to 1000000, not '-1'" },
	{ "<system><cpu/></system>", 0, 0, "there is no device" },
};

static void test_mistakes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(*mistakes); i++) {
		struct lina_topo_fault fault = { 0 };
		struct lina_topo *topo = NULL;
		assert_int_equal(read_text(mistakes[i].text, &topo, &fault), -EINVAL);
		assert_null(topo);
		assert_string_equal(fault.text, mistakes[i].said);
		assert_int_equal(fault.line, mistakes[i].line);
		assert_int_equal(fault.column, mistakes[i].column);
	}
}

/* head, then n times part, then tail. */
static char *text_of(const char *head, const char *part, int n, const char *tail)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	assert_non_null(out);
	(void)fputs(head, out);
	for (int i = 0; i < n; i++)
		(void)fputs(part, out);
	(void)fputs(tail, out);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void test_bounds(void **state)
{
	char *deep = text_of("<system>", "<a>", 100, ""),
	     *many = text_of("<system>", "<a/>", 20000, "</system>");
	struct lina_topo_fault fault;
	struct lina_topo *topo = NULL;

	(void)state;
	assert_int_equal(read_text(deep, &topo, &fault), -EINVAL);
	assert_string_equal(fault.text, "expected elements no more than 64 deep");
	assert_int_equal(read_text(many, &topo, &fault), -EINVAL);
	assert_string_equal(fault.text, "expected no more than 16384 elements");
	free(deep);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nvlinks),
		cmocka_unit_test(test_c2c),
		cmocka_unit_test(test_parts_of_gpus),
		cmocka_unit_test(test_many_switches),
		cmocka_unit_test(test_hosts_and_nics),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
