/* Whoever has told NCCL to leave RDMA devices alone has told the plugin too. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake/fabric.h"
#include "net/fixture.h"

/* The name of the first device with settings, of which there is one of each transport. */
static void first_device_is(const char *settings, const char *name)
{
	struct fabric_settings fabric = fabric_defaults();
	struct lina_net_props props;
	struct lina_net *net;

	fabric_start(&fabric);
	log_forget();
	assert_int_equal(net_open(settings, &net), 0);
	assert_int_equal(lina_net_props_get(0, &props), 0);
	assert_string_equal(props.name, name);
	assert_int_equal(lina_net_close(net), 0);
	assert_int_equal(unsetenv("NCCL_IB_DISABLE"), 0);
	assert_int_equal(log_warnings(), 0);
}

static void nccls_switch_holds(void **state)
{
	(void)state;
	first_device_is("LINA_TRANSPORT=auto NCCL_IB_DISABLE=1", "lo");
	assert_int_equal(log_notes("tcp, not verbs: NCCL_IB_DISABLE"), 1);
	first_device_is("LINA_TRANSPORT= NCCL_IB_DISABLE=1", "lo");
	first_device_is("LINA_TRANSPORT=auto NCCL_IB_DISABLE=0", "fake0");
}

static void ours_goes_before(void **state)
{
	(void)state;
	first_device_is("LINA_TRANSPORT=auto LINA_NO_RDMA=1", "lo");
	first_device_is("LINA_TRANSPORT=auto LINA_NO_RDMA=0 NCCL_IB_DISABLE=1", "fake0");
	first_device_is("LINA_TRANSPORT=verbs NCCL_IB_DISABLE=1", "fake0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nccls_switch_holds),
		cmocka_unit_test(ours_goes_before),
	};

	return cmocka_run_group_tests_name("rdma_off", tests, NULL, NULL);
}
