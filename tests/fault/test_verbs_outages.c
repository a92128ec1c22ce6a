/* Rails on RDMA devices of this process that are all down for a while, or that cannot be set
 * up at first. */
#include <errno.h>

#include "fault/rails.h"

/* For ms, what moves does. */
static void messages_turn_for(struct run *r, uint64_t ms)
{
	for (uint64_t until_ms = now_ms() + ms; now_ms() < until_ms;)
		for (int i = 0; i < MESSAGES; i++) {
			assert_int_equal(turn(&r->message[i].send, NULL), 0);
			assert_int_equal(turn(&r->message[i].recv, NULL), 0);
		}
}

/* Neither has a link for a while: what was under way and what is begun meanwhile wait. */
static void all_rails_may_be_down_for_a_while(void **state)
{
	struct run r;

	(void)state;
	for (int cls = 0; cls < RAILS_NCLASSES; cls++)
		for (int first = 0; first < 2; first++) {
			run_open(&r, 2, rails_classes[cls]);
			messages_post(&r);
			fabric_port(0, false);
			fabric_port(1, false);
			messages_turn_for(&r, 100);
			assert_true(log_says("waits for a rail that comes back"));
			fabric_port(first, true);
			assert_int_equal(messages_finish(&r), 0);
			messages_check(&r);
			fabric_port(1 - first, true);
			used_again(&r, 1 - first);
			run_close(&r);
		}
}

/* Not for ever. */
static void all_rails_down_is_an_error(void **state)
{
	struct run r;

	(void)state;
	run_open(&r, 2, "all=bulk");
	messages_post(&r);
	fabric_port(0, false);
	fabric_port(1, false);
	uint64_t from_ms = now_ms();
	assert_true(messages_finish(&r) < 0);
	assert_in_range(now_ms() - from_ms, 900, 5000); /* LINA_PEER_TIMEOUT_MS=1000 */
	assert_true(log_says("no rail has come back within LINA_PEER_TIMEOUT_MS"));
	run_close(&r);
}

/* Work that can never succeed does not go round for ever. */
static void work_that_fails_on_every_rail_is_an_error(void **state)
{
	struct run r;
	int err = 0;

	(void)state;
	run_open(&r, 2, "all=latency");
	messages_post(&r);
	for (uint64_t until_ms = now_ms() + WAIT_MS; !err && now_ms() < until_ms;) {
		fabric_fail_work(1, IBV_WC_REM_ACCESS_ERR, false);
		err = turn(&r.message[0].send, NULL);
		if (!err)
			err = turn(&r.message[0].recv, NULL);
	}
	assert_int_equal(err, -EIO);
	run_close(&r);
}

/* --- set-up --- */

/* A connection of two rails whose n-th call fails, and what it is good for. false: no call did. */
static bool set_up_fails(const char *call, long n, int call_err, bool comes_back)
{
	struct run r;

	net_make(&r, 2, "all=bulk");
	log_forget();
	fabric_fail(call, n, call_err);
	run_connect(&r);
	bool failed = fabric_failed();
	fabric_fail(NULL, 0, 0);
	assert_int_equal(log_says("begins without rail"), failed);
	messages_arrive(&r);
	if (comes_back || !failed) {
		used_again(&r, 0);
		used_again(&r, 1);
	}
	run_close(&r);
	return failed;
}

static void rail_that_does_not_connect_is_tried_again(void **state)
{
	long n = 1;

	(void)state;
	while (set_up_fails("modify_qp", n, -ENETUNREACH, true))
		n++;
	assert_int_equal(n - 1, 2 * 2 * 2 * 3); /* ends, rails, classes, states */
}

static void rail_that_cannot_be_made_is_done_without(void **state)
{
	long n = 1;

	(void)state;
	while (set_up_fails("create_qp", n, -ENOMEM, false))
		n++;
	assert_int_equal(n - 1, 2 * 2 * 2);
	for (n = 1; set_up_fails("create_cq", n, -EIO, false);)
		n++;
	assert_int_equal(n - 1, 2 * 2);
}

/* Its device goes before a connection is made. */
static void removed_device_is_done_without(void **state)
{
	struct run r;

	(void)state;
	for (int dev = 0; dev < 2; dev++) {
		net_make(&r, 2, "all=latency");
		fabric_remove(dev);
		run_connect(&r);
		messages_arrive(&r);
		assert_int_equal(bytes_of(dev), 0);
		run_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rails_may_be_down_for_a_while),
		cmocka_unit_test(all_rails_down_is_an_error),
		cmocka_unit_test(work_that_fails_on_every_rail_is_an_error),
		cmocka_unit_test(rail_that_does_not_connect_is_tried_again),
		cmocka_unit_test(rail_that_cannot_be_made_is_done_without),
		cmocka_unit_test(removed_device_is_done_without),
	};
	return cmocka_run_group_tests_name("verbs_outages", tests, NULL, NULL);
}
