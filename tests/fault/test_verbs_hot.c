/* A cold peer on an RDMA device: what it has there while a hotter one has something, that it goes
 * on at any time, and that it waits for nobody else. */
#include <errno.h>

#include "fake/fabric.h"
#include "fault/hot.h"
#include "plugin/verbs_send.h"

enum {
	TRIES = 50,
	SOON_MS = 10, /* less than what makes a peer count as stuck */
	/* What is always worth it, and the cold one's part of what a port of 100 Gbit/s carries in
	 * 20 us: a quarter, as the table says, and some for the doubt when it turns out otherwise.
	 */
	COLD_MOST = LINA_PEERS_WORTH_BYTES + 250000 * 3 / 10
};

static struct transfer t[NPEERS];

static const struct verbs_qp *latency_qp(int i)
{
	return &((const struct verbs_conn *)peer[i].send)->rail[0].qp[LINA_CLASS_LATENCY];
}

static void both_begin(void)
{
	for (int i = 0; i < NPEERS; i++)
		transfer_expect(&t[i], i, 1);
	below_stop();
	for (int i = 0; i < NPEERS; i++)
		transfer_begin(&t[i], i);
}

/* Of a cold peer's message up to this goes at once, whoever else has something. */
static void little_goes_at_once(void **state)
{
	(void)state;
	peers_open(with_table(hot_table));
	both_begin();
	assert_int_equal(latency_qp(HOT)->below_bytes, HOT_BYTES);
	assert_true(latency_qp(COLD)->below_bytes >= LINA_PEERS_WORTH_BYTES);
	for (int i = 0; i < NPEERS; i++)
		transfer_finish(&t[i], i);
	peers_close();
}

/* Whether the cold one's message ends while the device does nothing for the hot one, and has but
 * its part there all the time. false as well where the machine took too long to tell. */
static bool cold_ends_alone(void)
{
	uint32_t hot = latency_qp(HOT)->qp->qp_num;
	uint64_t most = 0, from_ms = now_ms();
	int done = 0;

	fabric_hold(hot, true);
	both_begin();
	while (!done) {
		uint64_t below = latency_qp(COLD)->below_bytes;
		most = below > most ? below : most;
		MUST(lina_net_test(t[COLD].send[0], &done, NULL));
	}
	bool alone = latency_qp(HOT)->below_bytes == HOT_BYTES;
	bool soon = now_ms() - from_ms < SOON_MS;
	fabric_hold(hot, false);
	transfer_finish(&t[HOT], HOT);
	MUST(finish_within(t[COLD].recv[0], LIMIT_MS, NULL));
	sleep_ms(GAP_MS);
	assert_true(alone);
	assert_true(!soon || most <= COLD_MOST);
	return soon;
}

static void a_cold_peer_goes_on_in_its_part(void **state)
{
	bool seen = false;

	(void)state;
	peers_open(with_table(hot_table));
	for (int i = 0; i < TRIES && !seen; i++)
		seen = cold_ends_alone();
	assert_true(seen);
	peers_close();
}

static void after_the_hot_one_all_goes_at_once(void **state)
{
	(void)state;
	peers_open(with_table(hot_table));
	both_begin();
	transfer_finish(&t[HOT], HOT);
	transfer_finish(&t[COLD], COLD);
	transfer_expect(&t[COLD], COLD, 1);
	below_stop();
	transfer_begin(&t[COLD], COLD);
	assert_int_equal(latency_qp(COLD)->below_bytes, COLD_BYTES);
	transfer_finish(&t[COLD], COLD);
	peers_close();
}

/* The link knows of nothing that is not there any more. */
static void nothing_counts_once_all_is_there(void **state)
{
	(void)state;
	peers_open("LINA_HOT_FIRST=1");
	exchanges(2);
	for (int i = 0; i < NPEERS; i++) {
		const struct verbs_conn *conn = (const struct verbs_conn *)peer[i].send;
		const struct lina_hot_flow *flow = &conn->rail[0].flow[LINA_CLASS_LATENCY].hot;
		assert_non_null(flow->peer);
		assert_int_equal(flow->peer->sent_bytes, i == HOT ? HOT_BYTES : COLD_BYTES);
		assert_int_equal(flow->peer->queued_bytes, 0);
		assert_int_equal(flow->bytes, 0);
	}
	peers_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(little_goes_at_once),
		cmocka_unit_test(a_cold_peer_goes_on_in_its_part),
		cmocka_unit_test(after_the_hot_one_all_goes_at_once),
		cmocka_unit_test(nothing_counts_once_all_is_there),
	};

	return cmocka_run_group_tests_name("verbs_hot", tests, table_make, table_remove);
}
