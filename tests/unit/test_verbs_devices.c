/* Which RDMA devices there are, in which order, and what NCCL is told of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake/fabric.h"
#include "net/cases.h"
#include "plugin/verbs_dev.h"

static struct lina_net *net;

static struct fabric_settings fabric_of(int ndevices)
{
	struct fabric_settings fabric = fabric_defaults();

	fabric.ndevices = ndevices;
	return fabric;
}

static void open_with(const struct fabric_settings *fabric, const char *settings)
{
	fabric_start(fabric);
	log_forget();
	MUST(net_open(settings, &net));
}

static void close_all(void)
{
	MUST(lina_net_close(net));
	assert_true(fabric_nothing_live());
	(void)unsetenv("NCCL_IB_HCA");
	(void)unsetenv("NCCL_IB_MERGE_NICS");
}

static struct lina_net_props props_of(int dev)
{
	struct lina_net_props props;

	MUST(lina_net_props_get(dev, &props));
	return props;
}

static int count(void)
{
	int n = -1;

	MUST(lina_net_count(&n));
	return n;
}

/* --- a machine --- */

static char root[64];

static void must_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void must_run(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): a test's own tree */
}

static void function_make(const char *place)
{
	must_run("mkdir -p %s/pci/%s %s/bus/pci && ln -s %s/bus/pci %s/pci/%s/subsystem", root,
		place, root, root, root, place);
}

static void device_make(int dev, const char *place)
{
	must_run("mkdir -p %s/fake%d && ln -s %s/pci/%s %s/fake%d/device", root, dev, root, place,
		root, dev);
}

/* Two cards, of which one has two ports and a virtual function, and a device that is not on PCI; as
 * drivers happened to find them. */
static int machine_make(void **state)
{
	(void)state;
	(void)snprintf(root, sizeof(root), "/tmp/lina_devices.XXXXXX");
	assert_non_null(mkdtemp(root));
	static const char *const places[] = { "0000:82:00.0", "0000:41:00.1", "0000:41:00.0",
		"0000:41:01.2", NULL, "10000:01:00.0" };
	for (int i = 0; i < 6; i++) {
		if (!places[i])
			continue;
		function_make(places[i]);
		device_make(i, places[i]);
	}
	must_run("ln -s %s/pci/0000:41:00.1 %s/pci/0000:41:01.2/physfn", root, root);
	return 0;
}

static int machine_remove(void **state)
{
	(void)state;
	must_run("rm -r %s", root);
	return 0;
}

static void device_is(int dev, const char *name, const char *place, int port)
{
	struct lina_net_props props = props_of(dev);
	char path[128];

	assert_string_equal(props.name, name);
	assert_int_equal(props.port, port);
	if (!place) {
		assert_null(props.pci_path);
		return;
	}
	(void)snprintf(path, sizeof(path), "%s/pci/%s", root, place);
	assert_string_equal(props.pci_path, path);
}

/* NCCL tells ports of a card apart by their numbers, and takes them to be one card by its path. */
static void devices_are_in_the_order_of_their_places(void **state)
{
	struct fabric_settings fabric = fabric_of(6);

	(void)state;
	fabric.sysfs = root;
	open_with(&fabric, "");
	assert_int_equal(count(), 6);
	device_is(0, "fake2", "0000:41:00.0", 1);
	device_is(1, "fake1", "0000:41:00.0", 2);
	device_is(2, "fake3", "0000:41:00.0", 3);
	device_is(3, "fake0", "0000:82:00.0", 1);
	device_is(4, "fake5", "10000:01:00.0", 1);
	device_is(5, "fake4", NULL, 1);
	close_all();
}

static void order_and_functions_are_as_the_user_says(void **state)
{
	struct fabric_settings fabric = fabric_of(6);

	(void)state;
	fabric.sysfs = root;
	open_with(&fabric, "LINA_PCI_ORDER=0");
	device_is(0, "fake0", "0000:82:00.0", 1);
	device_is(1, "fake1", "0000:41:00.0", 1);
	device_is(2, "fake2", "0000:41:00.0", 2);
	close_all();
	open_with(&fabric, "LINA_MERGE_VFS=0");
	device_is(2, "fake3", "0000:41:01.2", 1);
	close_all();
}

static void both_ports_of_a_device_are_used(void **state)
{
	struct fabric_settings fabric = fabric_of(2);

	(void)state;
	fabric.sysfs = root;
	fabric.nports = 2;
	open_with(&fabric, "LINA_HCA=fake0,fake1:2");
	assert_int_equal(count(), 3);
	device_is(0, "fake1:2", "0000:41:00.0", 2);
	device_is(1, "fake0:1", "0000:82:00.0", 1);
	device_is(2, "fake0:2", "0000:82:00.0", 3);
	close_all();
}

/* --- what is of use --- */

static void devices_tell(int dev, struct ibv_device *device)
{
	if (dev == 0)
		device->transport_type = IBV_TRANSPORT_IWARP;
	if (dev == 1)
		device->transport_type = IBV_TRANSPORT_UNSPECIFIED; /* EFA */
}

static void ports_tell(int dev, int port, struct ibv_port_attr *attr)
{
	(void)port;
	if (dev == 2)
		attr->link_layer = IBV_LINK_LAYER_UNSPECIFIED;
	if (dev == 3)
		attr->state = IBV_PORT_INIT;
	if (dev == 4)
		attr->state = IBV_PORT_DOWN;
}

/* Who has only such devices goes on over tcp, and hears why in one line. */
static void what_has_no_reliable_connections_is_left_out(void **state)
{
	struct fabric_settings fabric = fabric_of(6);

	(void)state;
	fabric.device_tell = devices_tell;
	fabric.port_tell = ports_tell;
	open_with(&fabric, "");
	assert_int_equal(count(), 1);
	assert_string_equal(props_of(0).name, "fake5");
	assert_int_equal(log_notes("it is neither InfiniBand nor RoCE"), 3);
	assert_int_equal(log_notes("its port is not active"), 2);
	close_all();
	fabric.ndevices = 5;
	open_with(&fabric, "LINA_TRANSPORT=auto");
	assert_string_equal(props_of(0).name, "lo");
	assert_int_equal(log_notes("transport tcp, not verbs: of 5 RDMA devices none can be used: "
				   "fake0 is left out: it is neither InfiniBand nor RoCE"),
		1);
	close_all();
}

static void says_why(const char *settings, const char *why)
{
	assert_int_equal(net_open(settings, &net), 0);
	assert_string_equal(props_of(0).name, "lo");
	assert_int_equal(log_notes("transport tcp, not verbs"), 1);
	if (!log_notes(why))
		fail_msg("no \"%s\" in:\n%s", why, log_notes_text());
	assert_int_equal(log_warnings(), 0);
	close_all();
	log_forget();
}

static void one_line_says_why_tcp_serves(void **state)
{
	struct fabric_settings fabric = fabric_of(0);

	(void)state;
	log_forget();
	fabric_start(&fabric);
	says_why("LINA_TRANSPORT=auto", "not verbs: no RDMA device");
	fabric = fabric_of(1);
	fabric_start(&fabric);
	fabric_fail("open_device", 1, -EACCES);
	says_why("LINA_TRANSPORT=auto",
		"none can be used: fake0 is left out: it cannot be opened: Permission denied");
	says_why("LINA_TRANSPORT=auto NCCL_IB_HCA=mlx5",
		"none can be used: fake0 is left out: LINA_HCA or NCCL_IB_HCA does not choose it");
	fabric.missing = true;
	fabric_start(&fabric);
	says_why("LINA_TRANSPORT=auto", "not verbs: libibverbs.so.1: the fabric has none");
}

static void many_devices_are_used_as_far_as_there_is_room(void **state)
{
	struct fabric_settings fabric = fabric_of(FABRIC_DEVICES_MAX);

	(void)state;
	open_with(&fabric, "");
	assert_int_equal(count(), VERBS_PORTS_MAX);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("of 80 RDMA devices only the first are used, with 64 ports"));
	close_all();
	open_with(&fabric, "LINA_HCA==fake79,fake70");
	assert_int_equal(count(), 2);
	assert_string_equal(props_of(1).name, "fake79");
	assert_int_equal(log_warnings(), 0);
	close_all();
}

/* --- speed --- */

static void every_speed_and_width_is_known(void **state)
{
	static const int lanes[] = { 1, 4, 8, 12, 2 };
	static const int mbps[] = { 2500, 5000, 10000, 10000, 14000, 25000, 50000, 100000, 200000 };

	(void)state;
	for (int s = 0; s < 9; s++)
		for (int w = 0; w < 5; w++)
			assert_int_equal(verbs_speed_mbps(1u << s, 1u << w), mbps[s] * lanes[w]);
	assert_int_equal(verbs_speed_mbps(0, 0), 2500);
	assert_int_equal(verbs_speed_mbps(1u << 20, 2), 800000); /* at least the highest we know */
}

static void speed_is(const struct fabric_settings *fabric, int mbps)
{
	open_with(fabric, "");
	assert_int_equal(props_of(0).speed_mbps, mbps);
	close_all();
}

/* XDR has no bit in the old field; a virtual function may have less than its port's lanes. */
static void newer_libraries_know_better(void **state)
{
	struct fabric_settings fabric = fabric_of(1);

	(void)state;
	speed_is(&fabric, 100000);
	fabric.speed_ex = 0x100;
	speed_is(&fabric, 800000);
	fabric.port_speed = 4000;
	speed_is(&fabric, 400000);
	fabric_start(&fabric);
}

/* --- rails, planes, merging --- */

static void rails_and_planes_are_the_users(void **state)
{
	struct fabric_settings fabric = fabric_of(4);
	int dev;

	(void)state;
	fabric.sysfs = root;
	open_with(&fabric, "NCCL_IB_HCA==fake2:1:7:0,fake1:1:7:1,fake3:1,fake0:1:9:1");
	assert_int_equal(props_of(0).rail_id, 7);
	assert_int_equal(props_of(0).plane_id, 0);
	assert_int_equal(props_of(1).plane_id, 1);
	assert_int_equal(props_of(2).rail_id, 2); /* its number, where nothing is said */
	assert_int_equal(props_of(2).plane_id, LINA_ID_UNSET);
	MUST(lina_net_merge(2, (const int[]){ 0, 1 }, &dev));
	assert_int_equal(props_of(dev).rail_id, 7);
	assert_int_equal(props_of(dev).plane_id, 1 << 14 | 1 << 1 | 1 << 0);
	MUST(lina_net_merge(2, (const int[]){ 1, 3 }, &dev));
	assert_int_equal(props_of(dev).rail_id, LINA_ID_UNSET);
	assert_int_equal(props_of(dev).plane_id, 1);
	assert_int_equal(lina_net_merge(2, (const int[]){ 0, 2 }, &dev), 0);
	assert_int_equal(props_of(dev).plane_id, LINA_ID_UNSET);
	close_all();
}

static void kinds_tell(int dev, int port, struct ibv_port_attr *attr)
{
	(void)port;
	if (dev == 1)
		attr->link_layer = IBV_LINK_LAYER_INFINIBAND;
}

static void ports_of_two_kinds_are_not_joined(void **state)
{
	struct fabric_settings fabric = fabric_of(6);

	(void)state;
	fabric.port_tell = kinds_tell;
	open_with(&fabric, "LINA_MERGE=1");
	assert_int_equal(count(), 1);
	assert_string_equal(props_of(0).name, "fake0+fake2+fake3+fake4");
	assert_int_equal(log_notes("fake1 is left out: it is not of the kind that fake0 is"), 1);
	close_all();
}

static void nothing_is_merged_where_the_user_does_not_want_it(void **state)
{
	struct fabric_settings fabric = fabric_of(4);
	int dev = -1;

	(void)state;
	fabric.sysfs = root;
	open_with(&fabric, "NCCL_IB_MERGE_NICS=0");
	assert_int_equal(lina_net_merge(2, (const int[]){ 0, 1 }, &dev), -EINVAL);
	assert_int_equal(dev, -1);
	MUST(lina_net_merge(1, (const int[]){ 1 }, &dev));
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_are_in_the_order_of_their_places),
		cmocka_unit_test(order_and_functions_are_as_the_user_says),
		cmocka_unit_test(both_ports_of_a_device_are_used),
		cmocka_unit_test(what_has_no_reliable_connections_is_left_out),
		cmocka_unit_test(one_line_says_why_tcp_serves),
		cmocka_unit_test(many_devices_are_used_as_far_as_there_is_room),
		cmocka_unit_test(every_speed_and_width_is_known),
		cmocka_unit_test(newer_libraries_know_better),
		cmocka_unit_test(rails_and_planes_are_the_users),
		cmocka_unit_test(ports_of_two_kinds_are_not_joined),
		cmocka_unit_test(nothing_is_merged_where_the_user_does_not_want_it),
	};

	return cmocka_run_group_tests_name("verbs_devices", tests, machine_make, machine_remove);
}
