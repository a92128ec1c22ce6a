/* Which interfaces serve as devices, in a network namespace that is made up link by link. A machine
 * that cannot have one exits with 77. */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "plugin/ifaces.h"

enum { SOON_MS = 5000 };

static int run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static int run(const char *fmt, ...)
{
	char command[512];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	return system(command); /* NOLINT(cert-env33-c,bugprone-command-processor) */
}

/* A link that is up, as one end of a pair whose other end has no address. */
static void link_add(const char *name, const char *addrs)
{
	assert_int_equal(run("ip link add %s type veth peer name x%s && "
			     "ip link set %s addrgenmode none && "
			     "ip link set x%s addrgenmode none up && ip link set %s up && "
			     "for a in %s; do case $a in *:*) d=nodad ;; *) d= ;; esac; "
			     "ip addr add $a dev %s $d || exit 1; done",
				 name, name, name, name, name, addrs, name),
		0);
}

static int links_remove(void **state)
{
	(void)state;
	return run("for l in $(ip -o link show type veth | sed 's/.*: \\(.*\\)@.*/\\1/'); do "
		   "ip link del $l 2>/dev/null; done; "
		   "ip addr flush dev lo; ip addr add 127.0.0.1/8 dev lo; "
		   "ip addr add ::1/128 dev lo");
}

/* "name address name address ..." as found. */
static const char *found(const char *spec, int family)
{
	static char text[4096];
	struct lina_iface ifaces[LINA_IFACES_MAX];
	int n = -1;
	size_t used = 0;

	assert_int_equal(lina_ifaces_find(spec, family, ifaces, &n), 0);
	assert_in_range(n, 0, LINA_IFACES_MAX);
	text[0] = '\0';
	for (int i = 0; i < n; i++) {
		char addr[INET6_ADDRSTRLEN];
		const union lina_addr *a = &ifaces[i].addr;
		bool v6 = a->sa.sa_family == AF_INET6;
		const void *bytes =
			v6 ? (const void *)&a->in6.sin6_addr : (const void *)&a->in.sin_addr;
		assert_non_null(inet_ntop(a->sa.sa_family, bytes, addr, sizeof(addr)));
		assert_int_equal(v6 ? a->in6.sin6_port : a->in.sin_port, 0);
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s %s",
			used ? " " : "", ifaces[i].name, addr);
	}
	return text;
}

static void loopback_is_the_last_resort(void **state)
{
	(void)state;
	assert_string_equal(found(NULL, AF_UNSPEC), "lo 127.0.0.1");
	link_add("virbr0", "10.0.3.1/24");
	assert_string_equal(found(NULL, AF_UNSPEC), "lo 127.0.0.1");
	link_add("docker0", "10.0.2.1/24");
	assert_string_equal(found(NULL, AF_UNSPEC), "docker0 10.0.2.1");
	link_add("eth0", "10.0.1.1/24");
	link_add("eth1", "10.0.4.1/24");
	assert_string_equal(found(NULL, AF_UNSPEC), "eth0 10.0.1.1 eth1 10.0.4.1");
	link_add("ib0", "10.0.0.1/24");
	assert_string_equal(found(NULL, AF_UNSPEC), "ib0 10.0.0.1");
	assert_int_equal(run("ip addr flush dev lo"), 0);
	assert_string_equal(found("virbr,lo", AF_UNSPEC), "virbr0 10.0.3.1");
}

static void only_virtual_bridges_beside_a_bare_loopback(void **state)
{
	(void)state;
	link_add("virbr0", "10.0.3.1/24");
	assert_int_equal(run("ip addr flush dev lo"), 0);
	assert_string_equal(found(NULL, AF_UNSPEC), "virbr0 10.0.3.1");
	assert_int_equal(run("ip addr flush dev virbr0"), 0);
	assert_string_equal(found(NULL, AF_UNSPEC), "");
}

/* NCCL passes over a value of NCCL_SOCKET_IFNAME of less than two characters. */
static void single_character_counts_as_not_set(void **state)
{
	static const char *const specs[] = { "", "^", "=", "e", "l" };

	(void)state;
	link_add("docker0", "10.0.2.1/24");
	link_add("eth0", "10.0.1.1/24");
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++)
		assert_string_equal(found(specs[i], AF_UNSPEC), "eth0 10.0.1.1");
	assert_string_equal(found("do", AF_UNSPEC), "docker0 10.0.2.1");
	assert_string_equal(found("none", AF_UNSPEC), "");
}

static void each_name_once_with_its_best_address(void **state)
{
	(void)state;
	link_add("eth0", "10.0.1.1/24 10.0.1.2/24 10.0.9.1/24 fd00::1/64 fe80::7/64");
	link_add("eth1", "fd00:1::1/64 fe80::8/64");
	link_add("eth2", "fe80::9/64");
	assert_string_equal(found("eth", AF_UNSPEC), "eth0 10.0.1.1 eth1 fd00:1::1 eth2 fe80::9");
	assert_string_equal(found("eth", AF_INET), "eth0 10.0.1.1");
	assert_string_equal(found("eth", AF_INET6), "eth0 fd00::1 eth1 fd00:1::1 eth2 fe80::9");
}

static void link_local_address_has_its_link(void **state)
{
	struct lina_iface ifaces[LINA_IFACES_MAX];
	int n;

	(void)state;
	link_add("eth2", "fe80::9/64");
	assert_int_equal(lina_ifaces_find("=eth2", AF_UNSPEC, ifaces, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(ifaces[0].addr.in6.sin6_scope_id, if_nametoindex("eth2"));
}

/* ::1 never serves, asked for or not; another address of loopback does. */
static void ipv6_loopback_address_is_left_out(void **state)
{
	(void)state;
	assert_string_equal(found("lo", AF_INET6), "");
	assert_string_equal(found(NULL, AF_INET6), "");
	assert_int_equal(run("ip addr add fd00:9::1/128 dev lo nodad"), 0);
	assert_string_equal(found("=lo", AF_INET6), "lo fd00:9::1");
	assert_string_equal(found("=lo", AF_UNSPEC), "lo 127.0.0.1");
	assert_int_equal(run("ip addr del 127.0.0.1/8 dev lo"), 0);
	assert_string_equal(found("=lo", AF_UNSPEC), "lo fd00:9::1");
}

/* The kernel notes some time later that a link has lost its carrier. */
static void assert_found_soon(const char *choice, const char *expected)
{
	for (int i = 0; i < SOON_MS && strcmp(found(choice, AF_UNSPEC), expected) != 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_string_equal(found(choice, AF_UNSPEC), expected);
}

static void link_that_is_down_or_has_no_carrier_is_left_out(void **state)
{
	(void)state;
	link_add("eth0", "10.0.1.1/24");
	link_add("eth1", "10.0.2.1/24");
	assert_int_equal(run("ip link set xeth0 down"), 0);
	assert_found_soon("eth", "eth1 10.0.2.1");
	assert_int_equal(run("ip link set eth1 down"), 0);
	assert_string_equal(found("eth", AF_UNSPEC), "");
}

static void no_more_than_there_is_room_for(void **state)
{
	char name[16], addr[32];

	(void)state;
	for (int i = 0; i < LINA_IFACES_MAX + 2; i++) {
		(void)snprintf(name, sizeof(name), "eth%d", i);
		(void)snprintf(addr, sizeof(addr), "10.0.%d.1/24", i);
		link_add(name, addr);
	}
	struct lina_iface ifaces[LINA_IFACES_MAX];
	int n;
	assert_int_equal(lina_ifaces_find("eth", AF_UNSPEC, ifaces, &n), 0);
	assert_int_equal(n, LINA_IFACES_MAX);
	assert_string_equal(ifaces[0].name, "eth0");
	assert_string_equal(ifaces[n - 1].name, "eth31");
}

static void namespace_enter(void)
{
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		(void)printf("skipped: no network namespace can be made: %s\n", strerror(errno));
		exit(77);
	}
	if (run("ip link set lo up && ip link add probe type veth peer name xprobe && "
		"ip link del probe")) {
		(void)printf("skipped: no links can be made in a network namespace\n");
		exit(77);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(loopback_is_the_last_resort, links_remove),
		cmocka_unit_test_setup(only_virtual_bridges_beside_a_bare_loopback, links_remove),
		cmocka_unit_test_setup(single_character_counts_as_not_set, links_remove),
		cmocka_unit_test_setup(each_name_once_with_its_best_address, links_remove),
		cmocka_unit_test_setup(link_local_address_has_its_link, links_remove),
		cmocka_unit_test_setup(ipv6_loopback_address_is_left_out, links_remove),
		cmocka_unit_test_setup(
			link_that_is_down_or_has_no_carrier_is_left_out, links_remove),
		cmocka_unit_test_setup(no_more_than_there_is_room_for, links_remove),
	};

	namespace_enter();
	return cmocka_run_group_tests_name("ifaces_find", tests, NULL, NULL);
}
