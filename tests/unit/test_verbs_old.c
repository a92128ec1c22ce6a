/* A libibverbs that is older than the plugin's headers, or newer: what is missing is missed, and
 * what is there is found in another way where there is one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake/old_ibverbs.h"
#include "plugin/verbs.h"

static const struct lina_verbs *verbs;
static struct ibv_device device;
static struct ibv_context context = { .device = &device };

static void attribute_write(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int library_load(void **state)
{
	static const char *const dirs[] = { "", "/ports", "/ports/1", "/ports/1/gid_attrs",
		"/ports/1/gid_attrs/types" };
	char why[LINA_VERBS_WHY_BYTES], path[IBV_SYSFS_PATH_MAX + 64];

	(void)state;
	if (lina_verbs_load(&verbs, why)) {
		(void)fprintf(stderr, "%s\n", why);
		return -1;
	}
	(void)snprintf(device.ibdev_path, sizeof(device.ibdev_path), "/tmp/lina_old.XXXXXX");
	assert_non_null(mkdtemp(device.ibdev_path));
	for (size_t i = 1; i < sizeof(dirs) / sizeof(*dirs); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", device.ibdev_path, dirs[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	(void)snprintf(path, sizeof(path), "%s/ports/1/gid_attrs/types/0", device.ibdev_path);
	attribute_write(path, "IB/RoCE v1\n");
	path[strlen(path) - 1] = '1';
	attribute_write(path, "RoCE v2\n");
	return 0;
}

static int library_leave(void **state)
{
	char command[IBV_SYSFS_PATH_MAX + 16];

	(void)state;
	(void)snprintf(command, sizeof(command), "rm -r %s", device.ibdev_path);
	return system(command); /* NOLINT(cert-env33-c): a test's own tree */
}

static void gid_is(uint32_t index, uint32_t type)
{
	struct ibv_gid_entry entry;

	memset(&entry, 0xee, sizeof(entry));
	assert_int_equal(verbs->query_gid(&context, 1, index, &entry), 0);
	assert_int_equal(entry.gid.raw[15], 1);
	assert_int_equal(entry.gid_index, index);
	assert_int_equal(entry.port_num, 1);
	assert_int_equal(entry.gid_type, type);
}

static void addresses_are_read_one_by_one(void **state)
{
	struct ibv_gid_entry entry;

	(void)state;
	gid_is(0, IBV_GID_TYPE_ROCE_V1);
	gid_is(1, IBV_GID_TYPE_ROCE_V2);
	gid_is(3, IBV_GID_TYPE_ROCE_V1); /* of a kernel that does not say */
	assert_int_equal(verbs->query_gid(&context, 1, OLD_EMPTY_GID, &entry), -ENODATA);
	assert_int_equal(verbs->query_gid(&context, 1, OLD_GIDS, &entry), -ENODATA);
}

static void what_came_later_is_not_there(void **state)
{
	struct ibv_ece ece = { .vendor_id = 1 };
	uint64_t speed = 5;
	struct ibv_mr *mr;
	struct ibv_qp qp;

	(void)state;
	memset(&qp, 0, sizeof(qp));
	assert_int_equal(verbs->query_ece(&qp, &ece), -EOPNOTSUPP);
	assert_int_equal(verbs->set_ece(&qp, &ece), -EOPNOTSUPP);
	assert_int_equal(verbs->query_port_speed(&context, 1, &speed), -EOPNOTSUPP);
	assert_int_equal(verbs->reg_dmabuf_mr(NULL, 0, 4096, 0, -1, 0, &mr), -EOPNOTSUPP);
	assert_true(ece.vendor_id == 1 && speed == 5);
}

/* Such a library refuses flags that it does not know. */
static void optional_flags_are_left_out(void **state)
{
	const unsigned plain = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	struct ibv_mr *mr;
	char byte;

	(void)state;
	assert_int_equal(
		verbs->reg_mr(NULL, &byte, 1, plain | IBV_ACCESS_RELAXED_ORDERING, &mr), 0);
	assert_int_equal(old_access, plain);
}

/* --- a port's speed --- */

enum { OLD_BYTES = 52, NEW_BYTES = 56, XDR = 0x100 };
static size_t known_bytes; /* of the struct, to the library */

/* As libibverbs does: what the caller has room for is cleared, and what is known is written. */
static int query_port(
	struct ibv_context *of, uint8_t port, struct ibv_port_attr *attr, size_t attr_bytes)
{
	uint8_t known[NEW_BYTES] = { 0 };
	uint32_t speed = XDR;

	assert_true(of && port == 1);
	assert_true(attr_bytes >= known_bytes);
	memset(attr, 0, attr_bytes);
	memcpy(known + OLD_BYTES, &speed, sizeof(speed));
	memcpy(attr, known, known_bytes);
	return 0;
}

static void only_a_new_library_tells_xdr(void **state)
{
	struct verbs_context extended;
	uint32_t speed = 5;

	(void)state;
	assert_int_equal(verbs->query_speed_ex(&context, 1, &speed), 0);
	assert_int_equal(speed, 0);
	memset(&extended, 0, sizeof(extended));
	extended.sz = sizeof(extended);
	extended.query_port = query_port;
	extended.context.abi_compat = __VERBS_ABI_IS_EXTENDED;
	known_bytes = OLD_BYTES;
	speed = 5;
	assert_int_equal(verbs->query_speed_ex(&extended.context, 1, &speed), 0);
	assert_int_equal(speed, 0);
	known_bytes = NEW_BYTES;
	assert_int_equal(verbs->query_speed_ex(&extended.context, 1, &speed), 0);
	assert_int_equal(speed, XDR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_read_one_by_one),
		cmocka_unit_test(what_came_later_is_not_there),
		cmocka_unit_test(optional_flags_are_left_out),
		cmocka_unit_test(only_a_new_library_tells_xdr),
	};

	return cmocka_run_group_tests_name("verbs_old", tests, library_load, library_leave);
}
