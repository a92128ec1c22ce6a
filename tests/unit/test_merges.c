/* Devices that NCCL has made of several are there as long as the library is loaded: NCCL makes them
 * once, and uses their numbers with communicators that come when all others have gone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake/fabric.h"
#include "net/fixture.h"

enum { DEVICES = 3 };

static struct lina_net *net;

static void open_on(int ndevices)
{
	struct fabric_settings settings = fabric_defaults();

	settings.ndevices = ndevices;
	fabric_start(&settings);
	assert_int_equal(net_open("", &net), 0);
}

static void close_all(void)
{
	assert_int_equal(lina_net_close(net), 0);
}

static int count(void)
{
	int n = -1;

	assert_int_equal(lina_net_count(&n), 0);
	return n;
}

static int merge_of(int first)
{
	int dev = -1;

	assert_int_equal(lina_net_merge(1, &first, &dev), 0);
	return dev;
}

static void is_made_of(int dev, int first)
{
	struct lina_net_props props;

	assert_int_equal(lina_net_props_get(dev, &props), 0);
	assert_int_equal(props.ndevs, 1);
	assert_int_equal(props.devs[0], first);
}

static void devices_outlive_their_communicators(void **state)
{
	(void)state;
	open_on(DEVICES);
	assert_int_equal(merge_of(2), DEVICES);
	assert_int_equal(merge_of(0), DEVICES + 1);
	for (int i = 0; i < 2; i++) {
		close_all();
		open_on(DEVICES);
		assert_int_equal(count(), DEVICES + 2);
		is_made_of(DEVICES, 2);
		is_made_of(DEVICES + 1, 0);
	}
	/* One more is the next. */
	assert_int_equal(merge_of(1), DEVICES + 2);
	close_all();
}

/* What cannot be made again is forgotten, and all after it, whose numbers would be others. */
static void of_devices_that_have_gone_there_are_none(void **state)
{
	(void)state;
	open_on(1);
	assert_int_equal(count(), 1);
	close_all();
	open_on(DEVICES);
	assert_int_equal(count(), DEVICES);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(devices_outlive_their_communicators),
		cmocka_unit_test(of_devices_that_have_gone_there_are_none),
	};

	return cmocka_run_group_tests_name("merges", tests, NULL, NULL);
}
