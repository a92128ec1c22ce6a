/* A plugin that was built without libibverbs' headers: it says so, and goes on over tcp unless RDMA
 * was asked for by name. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/fixture.h"

static void tcp_serves_in_its_place(void **state)
{
	struct pair pair;

	(void)state;
	log_forget();
	pair_open("LINA_TRANSPORT=auto", &pair);
	assert_int_equal(log_notes("built without libibverbs' headers"), 1);
	assert_int_equal(log_warnings(), 0);
	pair_close(&pair);
}

static void rdma_by_name_is_an_error(void **state)
{
	struct lina_net *net = NULL;

	(void)state;
	log_forget();
	assert_int_equal(net_open("LINA_TRANSPORT=verbs", &net), -ENODEV);
	assert_null(net);
	assert_true(log_says("built without libibverbs' headers"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_serves_in_its_place),
		cmocka_unit_test(rdma_by_name_is_an_error),
	};
	return cmocka_run_group_tests_name("verbs_none", tests, NULL, NULL);
}
