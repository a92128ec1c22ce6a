/* Which of a port's addresses is used: what was asked for first, then the order of the wishes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "plugin/gid_pick.h"

static struct ibv_gid_entry entry(uint32_t index, uint32_t type, const char *address)
{
	struct ibv_gid_entry e = { .gid_index = index, .port_num = 1, .gid_type = type };

	assert_int_equal(inet_pton(AF_INET6, address, e.gid.raw), 1);
	return e;
}

enum { V1 = IBV_GID_TYPE_ROCE_V1, V2 = IBV_GID_TYPE_ROCE_V2 };
enum { NENTRIES = 6 };

/* What a RoCE port with two addresses has. */
static void table(struct ibv_gid_entry *e)
{
	e[0] = entry(0, V1, "fe80::1");
	e[1] = entry(1, V2, "fe80::1");
	e[2] = entry(2, V1, "::ffff:10.1.0.5");
	e[3] = entry(3, V2, "::ffff:10.1.0.5");
	e[4] = entry(4, V2, "fd00::5");
	e[5] = entry(7, V2, "::ffff:192.168.3.1");
}

/* The index that a configuration picks, or -errno. */
static int pick(struct lina_config *config)
{
	struct ibv_gid_entry entries[NENTRIES];
	struct lina_gid_wish wish;
	int best;

	table(entries);
	int err = lina_gid_wish_read(config, &wish);
	if (!err)
		err = lina_gid_pick(&wish, entries, NENTRIES, &best);
	return err ? err : (int)entries[best].gid_index;
}

static struct lina_config usual(void)
{
	return (struct lina_config){ .gid_index = -1, .roce_version = 2 };
}

static void routable_v2_of_ipv4_is_usual(void **state)
{
	struct lina_config config = usual();

	(void)state;
	assert_int_equal(pick(&config), 3);
}

static void family_and_version_are_heeded(void **state)
{
	struct lina_config config = usual();

	(void)state;
	strcpy(config.rdma_family, "AF_INET6");
	assert_int_equal(pick(&config), 4);
	config.roce_version = 1;
	assert_int_equal(pick(&config), 0); /* no other IPv6 address has version 1 */
	strcpy(config.rdma_family, "AF_INET");
	assert_int_equal(pick(&config), 2);
}

static void range_outweighs_all(void **state)
{
	struct lina_config config = usual();

	(void)state;
	strcpy(config.rdma_range, "192.168.0.0/16");
	assert_int_equal(pick(&config), 7);
	strcpy(config.rdma_range, "fd00::/8");
	assert_int_equal(pick(&config), 4);
	strcpy(config.rdma_range, "10.1.0.4/31");
	config.roce_version = 1;
	assert_int_equal(pick(&config), 2);
	strcpy(config.rdma_range, "10.1.0.6/31"); /* none is in it */
	assert_int_equal(pick(&config), 2);
}

static void index_is_an_order(void **state)
{
	struct lina_config config = usual();

	(void)state;
	config.gid_index = 7;
	assert_int_equal(pick(&config), 7);
	config.gid_index = 0;
	assert_int_equal(pick(&config), 0);
	config.gid_index = 5;
	assert_int_equal(pick(&config), -ENOENT);
}

static void empty_entries_are_passed_over(void **state)
{
	struct ibv_gid_entry e[2] = { entry(0, V2, "::"), entry(1, V1, "fe80::1") };
	struct lina_config config = usual();
	struct lina_gid_wish wish;
	int best = -1;

	(void)state;
	assert_int_equal(lina_gid_wish_read(&config, &wish), 0);
	assert_int_equal(lina_gid_pick(&wish, e, 2, &best), 0);
	assert_int_equal(best, 1);
	assert_int_equal(lina_gid_pick(&wish, e, 1, &best), -ENOENT);
	assert_int_equal(lina_gid_pick(&wish, e, 0, &best), -ENOENT);
	assert_int_equal(best, 1);
}

static void bad_ranges_are_refused(void **state)
{
	static const char *const bad[] = { "10.0.0.0", "/8", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "fd00::/129", "10.0.0/8", "10.0.0.0/8x", "all/0" };
	struct lina_gid_wish wish;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct lina_config config = usual();
		(void)snprintf(config.rdma_range, sizeof(config.rdma_range), "%s", bad[i]);
		assert_int_equal(lina_gid_wish_read(&config, &wish), -EINVAL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routable_v2_of_ipv4_is_usual),
		cmocka_unit_test(family_and_version_are_heeded),
		cmocka_unit_test(range_outweighs_all),
		cmocka_unit_test(index_is_an_order),
		cmocka_unit_test(empty_entries_are_passed_over),
		cmocka_unit_test(bad_ranges_are_refused),
	};
	return cmocka_run_group_tests_name("gid_pick", tests, NULL, NULL);
}
