/* What is read of a network interface, from a sysfs tree made here: a NIC on PCI, links without
 * speed, without a device, with a device that is not PCI. */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "topology/nic.h"

static char root[PATH_MAX / 4]; /* resolved, so that paths compare */

static const char *path_of(const char *path)
{
	static char full[PATH_MAX];

	assert_true(snprintf(full, sizeof(full), "%s/%s", root, path) < (int)sizeof(full));
	return full;
}

static void make_dir(const char *path)
{
	char full[PATH_MAX];

	(void)snprintf(full, sizeof(full), "%s", path_of(path));
	for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(full, 0700) && errno != EEXIST)
			fail_msg("%s: %s", full, strerror(errno));
		*p = '/';
	}
	if (mkdir(full, 0700) && errno != EEXIST)
		fail_msg("%s: %s", full, strerror(errno));
}

static void make_file(const char *path, const char *text)
{
	FILE *f = fopen(path_of(path), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void make_link(const char *target, const char *path)
{
	assert_int_equal(symlink(target, path_of(path)), 0);
}

/* As the kernel has it: class/net/eth0 is a link into the device's own folder. */
static void make_pci_nic(void)
{
	make_dir("bus/pci");
	make_dir("class/net");
	make_dir("devices/pci0000:00/0000:00:1f.6/net/eth0");
	make_link("../../../bus/pci", "devices/pci0000:00/0000:00:1f.6/subsystem");
	make_file("devices/pci0000:00/0000:00:1f.6/numa_node", "1\n");
	make_file("devices/pci0000:00/0000:00:1f.6/net/eth0/speed", "100000\n");
	make_link("../../../0000:00:1f.6", "devices/pci0000:00/0000:00:1f.6/net/eth0/device");
	make_link("../../devices/pci0000:00/0000:00:1f.6/net/eth0", "class/net/eth0");
}

static void make_virtio_nic(void)
{
	make_dir("bus/virtio");
	make_dir("devices/pci0000:00/0000:00:02.0/virtio0/net/eth1");
	make_link("../../../../bus/virtio", "devices/pci0000:00/0000:00:02.0/virtio0/subsystem");
	make_link("../../../virtio0", "devices/pci0000:00/0000:00:02.0/virtio0/net/eth1/device");
	make_file("devices/pci0000:00/0000:00:02.0/virtio0/net/eth1/speed", "-1\n");
	make_link("../../devices/pci0000:00/0000:00:02.0/virtio0/net/eth1", "class/net/eth1");
}

/* A link of the kernel's own: no device, and a speed that is text of some kind. */
static void make_virtual(const char *name, const char *speed)
{
	char path[PATH_MAX / 4];

	(void)snprintf(path, sizeof(path), "class/net/%s", name);
	make_dir(path);
	if (!speed)
		return;
	(void)snprintf(path, sizeof(path), "class/net/%s/speed", name);
	make_file(path, speed);
}

static int tree_make(void **state)
{
	char name[] = "/tmp/lina-sysfs-XXXXXX";

	(void)state;
	if (!mkdtemp(name) || !realpath(name, root))
		return -1;
	make_pci_nic();
	make_virtio_nic();
	return 0;
}

static int tree_remove(void **state)
{
	char command[PATH_MAX];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command); /* NOLINT(cert-env33-c,bugprone-command-processor) */
}

/* Every field is written, whatever was there before. */
static struct lina_nic nic_read(const char *name)
{
	struct lina_nic nic;

	memset(&nic, 0x5a, sizeof(nic));
	assert_int_equal(lina_nic_read(root, name, &nic), 0);
	return nic;
}

static void nic_on_pci_has_speed_path_and_node(void **state)
{
	(void)state;
	struct lina_nic nic = nic_read("eth0");
	assert_int_equal(nic.speed_mbps, 100000);
	assert_int_equal(nic.numa_node, 1);
	assert_string_equal(nic.pci_path, path_of("devices/pci0000:00/0000:00:1f.6"));
}

static void node_may_be_unknown(void **state)
{
	(void)state;
	make_file("devices/pci0000:00/0000:00:1f.6/numa_node", "-1\n");
	assert_int_equal(nic_read("eth0").numa_node, -1);
	assert_int_equal(unlink(path_of("devices/pci0000:00/0000:00:1f.6/numa_node")), 0);
	assert_int_equal(nic_read("eth0").numa_node, -1);
}

static void device_that_is_not_pci_has_no_path(void **state)
{
	(void)state;
	struct lina_nic nic = nic_read("eth1");
	assert_string_equal(nic.pci_path, "");
	assert_int_equal(nic.speed_mbps, 0);
	assert_int_equal(nic.numa_node, -1);
}

static void virtual_link_has_a_speed_only_if_it_says_so(void **state)
{
	static const struct {
		const char *name, *text;
		int mbps;
	} rows[] = { { "none", NULL, 0 }, { "minus", "-1\n", 0 }, { "zero", "0\n", 0 },
		{ "empty", "", 0 }, { "word", "fast\n", 0 }, { "ten", "10000\n", 10000 },
		{ "unsigned", "4294967295\n", 0 }, { "wrapped", "4294977296\n", 0 },
		{ "long", "99999999999999999999\n", 0 }, { "bare", "25000", 25000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		make_virtual(rows[i].name, rows[i].text);
		struct lina_nic nic = nic_read(rows[i].name);
		assert_int_equal(nic.speed_mbps, rows[i].mbps);
		assert_string_equal(nic.pci_path, "");
		assert_int_equal(nic.numa_node, -1);
	}
}

static void link_that_is_not_there_is_unknown(void **state)
{
	(void)state;
	struct lina_nic nic = nic_read("gone0");
	assert_int_equal(nic.speed_mbps, 0);
	assert_string_equal(nic.pci_path, "");
}

static void names_that_leave_the_tree_are_refused(void **state)
{
	char long_root[PATH_MAX + 8];
	struct lina_nic nic;

	(void)state;
	assert_int_equal(lina_nic_read(root, "", &nic), -EINVAL);
	assert_int_equal(lina_nic_read(root, "../eth0", &nic), -EINVAL);
	assert_int_equal(lina_nic_read(root, "eth0/", &nic), -EINVAL);
	memset(long_root, 'a', sizeof(long_root) - 1);
	long_root[sizeof(long_root) - 1] = '\0';
	assert_int_equal(lina_nic_read(long_root, "eth0", &nic), -ENAMETOOLONG);
	/* The longest that fits the folder does not fit what lies in it. */
	long_root[PATH_MAX - (int)sizeof("/class/net/eth0")] = '\0';
	assert_int_equal(lina_nic_read(long_root, "eth0", &nic), 0);
	assert_int_equal(nic.speed_mbps, 0);
}

static void this_machine_can_be_read(void **state)
{
	struct lina_nic nic;

	(void)state;
	assert_int_equal(lina_nic_read("/sys", "lo", &nic), 0);
	assert_int_equal(nic.speed_mbps, 0);
	assert_string_equal(nic.pci_path, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nic_on_pci_has_speed_path_and_node),
		cmocka_unit_test(node_may_be_unknown),
		cmocka_unit_test(device_that_is_not_pci_has_no_path),
		cmocka_unit_test(virtual_link_has_a_speed_only_if_it_says_so),
		cmocka_unit_test(link_that_is_not_there_is_unknown),
		cmocka_unit_test(names_that_leave_the_tree_are_refused),
		cmocka_unit_test(this_machine_can_be_read),
	};

	return cmocka_run_group_tests_name("nic", tests, tree_make, tree_remove);
}
