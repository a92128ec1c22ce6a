/* Latency traffic to several peers: the hottest goes first, by what was sent before or by the
 * placement table; messages of a connection keep their order. */
#include <stdio.h>
#include <stdlib.h>

#include "fault/hot.h"
#include "plugin/placement.h"
#include "plugin/wire.h"

enum { TRIES = 50, SOON_MS = 10, COMM = 0x77 };

/* Both peers have something queued while nothing leaves what is below: whether the cold one waits.
 * false as well where the machine took so long that the hot one counts as stuck. */
static bool cold_waits(void)
{
	struct transfer t[NPEERS];

	for (int i = 0; i < NPEERS; i++)
		transfer_expect(&t[i], i, 1);
	below_stop();
	uint64_t since_ms = now_ms();
	transfer_begin(&t[HOT], HOT);
	bool busy = below_busy(peer[HOT].send, HOT_BYTES);
	transfer_begin(&t[COLD], COLD);
	bool waits = busy && below_kept_back(peer[COLD].send, COLD_BYTES) &&
		     now_ms() - since_ms < SOON_MS;
	below_go();
	transfer_finish(&t[HOT], HOT);
	transfer_finish(&t[COLD], COLD);
	sleep_ms(GAP_MS);
	return waits;
}

static bool cold_waits_once(void)
{
	for (int i = 0; i < TRIES; i++)
		if (cold_waits())
			return true;
	return false;
}

static void the_hottest_peer_goes_first_as_learned(void **state)
{
	(void)state;
	peers_open("LINA_EARLY_BYTES=0 LINA_HOT_FIRST=1");
	assert_false(cold_waits());
	exchanges(NLEARN);
	assert_true(cold_waits_once());
	peers_close();
}

static void nobody_waits(const char *settings)
{
	peers_open(settings);
	exchanges(NLEARN);
	for (int i = 0; i < 3; i++)
		assert_false(cold_waits());
	peers_close();
}

static void in_the_order_of_posting_where_nothing_is_asked_for(void **state)
{
	(void)state;
	nobody_waits(hot_settings);
}

static void a_table_is_of_no_use_where_it_is_turned_off(void **state)
{
	char settings[192];

	(void)state;
	(void)snprintf(settings, sizeof(settings), "%sLINA_HOT_FIRST=0", with_table(hot_table));
	nobody_waits(settings);
}

static void the_hottest_peer_goes_first_as_the_table_says(void **state)
{
	(void)state;
	peers_open(with_table(hot_table));
	assert_int_equal(log_warnings(), 0);
	assert_true(cold_waits_once());
	peers_close();
}

/* What is expected yields to what is seen. */
static void what_is_sent_counts_for_more_than_the_table(void **state)
{
	(void)state;
	peers_open(with_table("lina-placement 1\nlayers 1\nexperts 2\ndevices 2\n"
			      "devices-per-node 1\nslots-per-device 2\ngeneration 1\n"
			      "layer 0\ndevice 0: 0 -\ndevice 1: 1 1\nend\n"));
	assert_false(cold_waits());
	exchanges(NLEARN);
	assert_true(cold_waits_once());
	peers_close();
}

static void a_table_that_is_wrong_is_named_and_left_out(void **state)
{
	struct lina_net *net;
	char says[128];

	(void)state;
	log_forget();
	MUST(net_open(with_table("lina-placement 1\nlayers x\n"), &net));
	snprintf(says, sizeof(says), "LINA_PLACEMENT: %s:2:8: ", table_path());
	if (!log_says(says))
		fail_msg("no '%s' in: %s", says, log_text());
	assert_int_equal(log_warnings(), 1);
	MUST(lina_net_close(net));
	log_forget();
	MUST(net_open("LINA_PLACEMENT=/does/not/exist", &net));
	assert_true(log_says("LINA_PLACEMENT: /does/not/exist"));
	MUST(lina_net_close(net));
}

/* The rank of a communicator as large as the table, said by the profiler, is in its handles. */
static void a_listener_says_which_device_it_is(void **state)
{
	const struct lina_net_params params = {
		.comm_id = COMM, .traffic_class = LINA_TRAFFIC_CLASS_UNSET, .log = record_log
	};
	static const struct {
		int nranks, device;
	} cases[] = { { 2, 1 }, { 3, LINA_DEVICE_UNKNOWN } };

	(void)state;
	(void)with_table(hot_table);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t handle[LINA_HANDLE_BYTES];
		struct lina_wire_handle wire;
		struct lina_listener *listener;
		struct lina_net *net;
		assert_int_equal(setenv("LINA_PLACEMENT", table_path(), 1), 0);
		MUST(lina_net_open(&params, &net));
		lina_placement_rank_add(COMM, 1, cases[i].nranks);
		lina_placement_rank_add(COMM + 1, 0, 2); /* another communicator's */
		MUST(lina_net_listen(net, 0, handle, &listener));
		MUST(lina_handle_decode(handle, &wire));
		assert_int_equal(wire.device, cases[i].device);
		lina_placement_rank_remove(COMM, 1);
		lina_placement_rank_remove(COMM + 1, 0);
		MUST(lina_net_close_listen(listener));
		MUST(lina_net_close(net));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_hottest_peer_goes_first_as_learned),
		cmocka_unit_test(in_the_order_of_posting_where_nothing_is_asked_for),
		cmocka_unit_test(a_table_is_of_no_use_where_it_is_turned_off),
		cmocka_unit_test(the_hottest_peer_goes_first_as_the_table_says),
		cmocka_unit_test(what_is_sent_counts_for_more_than_the_table),
		cmocka_unit_test(a_table_that_is_wrong_is_named_and_left_out),
		cmocka_unit_test(a_listener_says_which_device_it_is),
	};

	return cmocka_run_group_tests(tests, table_make, table_remove);
}
