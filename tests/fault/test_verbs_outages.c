/* Rails on RDMA devices of this process that are all down for a while, that lose completions, or
 * that cannot be set up at first. */
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

/* --- completions that are lost --- */

/* One message whose only completion at its sender is lost, over nrails. 0 or the error. */
static int completion_is_lost(struct run *r, int nrails, const char *class)
{
	struct message *m = &r->message[0];

	run_open(r, nrails, class);
	fabric_lose_send(1);
	m->bytes = 40000;
	message_post(r, m, 1);
	uint64_t from_ms = now_ms();
	int err = messages_finish(r);
	assert_in_range(now_ms() - from_ms, 900, 5000); /* LINA_PEER_TIMEOUT_MS=1000 */
	return err;
}

static void lost_completion_breaks_its_rail(void **state)
{
	struct run r;

	(void)state;
	assert_int_equal(completion_is_lost(&r, 2, "all=bulk"), 0);
	assert_true(is_filled(r.message[0].to, 40000, 1 + 40000));
	assert_true(log_says("LINA_PEER_TIMEOUT_MS"));
	messages_arrive(&r);
	run_close(&r);
}

static void lost_completion_of_the_only_rail_is_an_error(void **state)
{
	struct run r;

	(void)state;
	assert_int_equal(completion_is_lost(&r, 1, "all=latency"), -EIO);
	assert_true(log_says("LINA_PEER_TIMEOUT_MS"));
	assert_int_equal(fabric_live().qps, 2); /* of the receiver: the sender's are gone */
	run_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_rails_may_be_down_for_a_while),
		cmocka_unit_test(all_rails_down_is_an_error),
		cmocka_unit_test(work_that_fails_on_every_rail_is_an_error),
		cmocka_unit_test(lost_completion_breaks_its_rail),
		cmocka_unit_test(lost_completion_of_the_only_rail_is_an_error),
	};
	return cmocka_run_group_tests_name("verbs_outages", tests, NULL, NULL);
}
