/* The sentences of priority/peers.h, and all of it against a twin that remembers everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "priority/peers.h"

enum { GAP = 100, STUCK = 10000, LINGER = 50, HOT = 3000, COLD = 1000 };

static struct lina_peers peers;
static uint64_t now;

static int setup(void **state)
{
	(void)state;
	now = 1;
	lina_peers_init(&peers, &(struct lina_peers_times){ GAP, STUCK, LINGER });
	return 0;
}

static void move(struct lina_peer *peer, uint64_t bytes)
{
	lina_peer_post(&peers, peer, bytes, now);
	lina_peer_sent(&peers, peer, bytes, now);
}

/* One exchange in which each of two gets so much, and the time until the next. */
static void exchange(struct lina_peer *a, uint64_t a_bytes, struct lina_peer *b, uint64_t b_bytes)
{
	move(a, a_bytes);
	move(b, b_bytes);
	now += GAP;
}

static void alike_as_long_as_nothing_is_known(void **state)
{
	struct lina_peer *a = lina_peers_find(&peers, 7), *b = lina_peers_find(&peers, 8);

	(void)state;
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(lina_peers_find(&peers, 7), a);
	lina_peer_post(&peers, a, HOT, now);
	lina_peer_post(&peers, b, COLD, now);
	assert_int_equal(lina_peer_permille(&peers, a, now), LINA_PEERS_HOTTEST);
	assert_int_equal(lina_peer_permille(&peers, b, now), LINA_PEERS_HOTTEST);
}

static void learns_who_gets_how_much(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *cold = lina_peers_find(&peers, 8);

	(void)state;
	for (int i = 0; i < 40; i++)
		exchange(hot, HOT, cold, COLD);
	lina_peer_post(&peers, cold, 1, now);
	assert_int_equal(lina_peer_permille(&peers, cold, now), LINA_PEERS_HOTTEST);
	lina_peer_post(&peers, hot, 1, now);
	assert_int_equal(lina_peer_permille(&peers, hot, now), LINA_PEERS_HOTTEST);
	assert_in_range(lina_peer_permille(&peers, cold, now), 333, 334);
	lina_peer_drop(&peers, hot, 1); /* it has nothing queued any more */
	assert_int_equal(lina_peer_permille(&peers, cold, now), LINA_PEERS_HOTTEST);
	lina_peer_post(&peers, hot, 1, now);
	lina_peer_sent(&peers, hot, 1, now); /* it may well have more soon */
	assert_in_range(lina_peer_permille(&peers, cold, now + LINGER - 1), 333, 334);
	assert_int_equal(lina_peer_permille(&peers, cold, now + LINGER), LINA_PEERS_HOTTEST);
}

static void takes_what_is_expected_until_it_knows(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *cold = lina_peers_find(&peers, 8);

	(void)state;
	lina_peer_expect(&peers, hot, 0.4);
	lina_peer_expect(&peers, cold, 0.1);
	lina_peer_post(&peers, hot, 1, now);
	lina_peer_post(&peers, cold, 1, now);
	assert_int_equal(lina_peer_permille(&peers, cold, now), 250);
	lina_peer_sent(&peers, hot, 1, now);
	lina_peer_sent(&peers, cold, 1, now);
	now += GAP;
	for (int i = 0; i < 100; i++)
		exchange(hot, COLD, cold, HOT);
	lina_peer_expect(&peers, hot, 1); /* too late */
	lina_peer_post(&peers, hot, 1, now);
	lina_peer_post(&peers, cold, 1, now);
	assert_int_equal(lina_peer_permille(&peers, cold, now), LINA_PEERS_HOTTEST);
	assert_in_range(lina_peer_permille(&peers, hot, now), 333, 334);
}

static void a_peer_that_is_new_is_like_the_hottest(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *cold = lina_peers_find(&peers, 8);

	(void)state;
	for (int i = 0; i < 40; i++)
		exchange(hot, HOT, cold, COLD);
	struct lina_peer *other = lina_peers_find(&peers, 9);
	lina_peer_post(&peers, hot, 1, now);
	lina_peer_post(&peers, other, 1, now);
	assert_int_equal(lina_peer_permille(&peers, other, now), LINA_PEERS_HOTTEST);
	assert_in_range(lina_peer_permille(&peers, cold, now), 333, 334);
}

static void where_each_exchange_is_another_all_are_alike(void **state)
{
	struct lina_peer *a = lina_peers_find(&peers, 7), *b = lina_peers_find(&peers, 8);

	(void)state;
	for (int i = 0; i < 40; i++)
		exchange(a, i % 2 ? HOT : COLD, b, i % 2 ? COLD : HOT);
	lina_peer_post(&peers, a, 1, now);
	lina_peer_post(&peers, b, 1, now);
	assert_int_equal(lina_peer_permille(&peers, a, now), LINA_PEERS_HOTTEST);
	assert_int_equal(lina_peer_permille(&peers, b, now), LINA_PEERS_HOTTEST);
}

static void little_exchanges_between_large_ones_do_not_count(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *cold = lina_peers_find(&peers, 8);

	(void)state;
	for (int i = 0; i < 40; i++) {
		exchange(hot, HOT, cold, COLD);
		exchange(hot, 10, cold, 10);
	}
	lina_peer_post(&peers, hot, 1, now);
	assert_in_range(lina_peer_permille(&peers, cold, now), 333, 334);
}

static void who_does_not_move_does_not_count(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *cold = lina_peers_find(&peers, 8);

	(void)state;
	for (int i = 0; i < 40; i++)
		exchange(hot, HOT, cold, COLD);
	lina_peer_post(&peers, hot, 10, now);
	lina_peer_post(&peers, cold, 10, now);
	assert_in_range(lina_peer_permille(&peers, cold, now + STUCK - 1), 333, 334);
	assert_int_equal(lina_peer_permille(&peers, cold, now + STUCK), LINA_PEERS_HOTTEST);
	lina_peer_sent(&peers, hot, 1, now + STUCK);
	assert_in_range(lina_peer_permille(&peers, cold, now + STUCK), 333, 334);
}

static void a_time_that_goes_back_counts_as_the_latest(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *cold = lina_peers_find(&peers, 8);

	(void)state;
	for (int i = 0; i < 40; i++)
		exchange(hot, HOT, cold, COLD);
	lina_peer_post(&peers, cold, 10, now + STUCK);
	lina_peer_post(&peers, hot, 10, 1);
	assert_in_range(lina_peer_permille(&peers, cold, 1), 333, 334);
}

static void no_more_peers_than_there_is_room_for(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < LINA_PEERS_MAX; i++)
		assert_non_null(lina_peers_find(&peers, i));
	assert_null(lina_peers_find(&peers, LINA_PEERS_MAX));
	assert_non_null(lina_peers_find(&peers, 5));
}

/* --- what may be below --- */

static void has_less_below_in_proportion_but_always_some(void **state)
{
	struct lina_peer *hot = lina_peers_find(&peers, 7), *warm = lina_peers_find(&peers, 8);
	struct lina_peer *cold = lina_peers_find(&peers, 9), *near = lina_peers_find(&peers, 10);
	const uint64_t most = 1 << 20;

	(void)state;
	lina_peer_expect(&peers, hot, 0.4);
	lina_peer_expect(&peers, near, 0.36);
	lina_peer_expect(&peers, warm, 0.2);
	lina_peer_expect(&peers, cold, 0.004);
	assert_true(lina_peer_most_bytes(&peers, cold, most, now) == UINT64_MAX);
	lina_peer_post(&peers, hot, 1, now);
	assert_true(lina_peer_most_bytes(&peers, hot, most, now) == UINT64_MAX);
	assert_true(lina_peer_most_bytes(&peers, near, most, now) == UINT64_MAX);
	assert_in_range(lina_peer_most_bytes(&peers, warm, most, now), most / 2 - 1100, most / 2);
	assert_int_equal(lina_peer_most_bytes(&peers, cold, most, now), LINA_PEERS_COLD_BYTES);
}

static void what_is_hardly_worth_it_does_not_go(void **state)
{
	const uint64_t most = LINA_PEERS_COLD_BYTES, worth = most / 4;

	(void)state;
	assert_int_equal(lina_peers_may(UINT64_MAX, 5 * most, 9 * most), 9 * most);
	assert_int_equal(lina_peers_may(most, 0, 9 * most), most);
	assert_int_equal(lina_peers_may(most, most - worth, 9 * most), worth);
	assert_int_equal(lina_peers_may(most, most - worth + 1, 9 * most), 0);
	assert_int_equal(lina_peers_may(most, most - worth + 1, worth - 1), worth - 1);
	assert_int_equal(lina_peers_may(most, 2 * most, 1), 0);
	assert_int_equal(lina_peers_may(most, 2 * most, 0), 0);
}

enum { NSENDERS = 8, SHARE_BYTES = 20000 };

/* A link that serves at random what its senders have below, in packets; sender i has i + 1 parts.
 */
static struct {
	struct lina_peer *peer;
	uint64_t left, below;
} sender[NSENDERS];

static uint64_t seed = 88172645463325252u;

static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static void sender_push(int i, uint64_t hottest)
{
	const uint64_t bound = hottest / 2; /* of what differs at all from the hottest: 8 and 4 */
	uint64_t most = lina_peer_most_bytes(&peers, sender[i].peer, hottest, now);
	uint64_t bytes = lina_peers_may(most, sender[i].below, sender[i].left);

	if (!sender[i].below && sender[i].left)
		assert_true(bytes > 0);
	sender[i].left -= bytes;
	sender[i].below += bytes;
	if (i == NSENDERS - 1)
		assert_int_equal(sender[i].left, 0);
	else if (i < NSENDERS / 2 && sender[NSENDERS - 1].below)
		assert_true(sender[i].below <= bound);
}

static void link_serve(void)
{
	int i = (int)any(NSENDERS);
	uint64_t bytes = sender[i].below < 4096 ? sender[i].below : 4096;

	if (!bytes)
		return;
	sender[i].below -= bytes;
	lina_peer_sent(&peers, sender[i].peer, bytes, now);
}

/* In whatever order a link serves them: nobody starves, the hottest is never kept back, and as long
 * as it has something the others have but their part below. */
static void nobody_starves_and_the_hottest_never_waits(void **state)
{
	uint64_t left = 0;

	(void)state;
	for (int i = 0; i < NSENDERS; i++) {
		uint64_t bytes = (uint64_t)(i + 1) * SHARE_BYTES * 10;
		sender[i].peer = lina_peers_find(&peers, (uint64_t)i);
		sender[i].left = bytes;
		sender[i].below = 0;
		lina_peer_expect(&peers, sender[i].peer, (i + 1) / 36.0);
		left += bytes;
	}
	for (int i = 0; i < NSENDERS; i++)
		lina_peer_post(&peers, sender[i].peer, sender[i].left, now);
	for (uint64_t steps = 0; peers.queued_bytes; steps++) {
		assert_true(steps < left);
		sender_push(steps < NSENDERS ? NSENDERS - 1 - (int)steps : (int)any(NSENDERS),
			256 << 10);
		link_serve();
	}
}

/* --- the twin: all exchanges from the first, and a look at every peer --- */

enum { NPEERS = 9, NEXCHANGES = 1000, STEPS = 60000 };

static struct {
	uint64_t sent[NEXCHANGES][NPEERS];
	int n; /* that have ended; sent[n] is going on */
	uint64_t queued[NPEERS], moved[NPEERS], moved_any, now;
	bool known[NPEERS], lingers[NPEERS];
	double mean[NPEERS], deviation[NPEERS];
} twin;

static uint64_t sum_of(const uint64_t *bytes)
{
	uint64_t sum = 0;

	for (int i = 0; i < NPEERS; i++)
		sum += bytes[i];
	return sum;
}

static double distance(double a, double b)
{
	return a > b ? a - b : b - a;
}

/* From the beginning, for one peer. */
static void twin_learn(int i)
{
	uint64_t usual = 0;
	double mean = 0, deviation = 0;
	bool known = false;

	for (int k = 0; k < twin.n; k++) {
		uint64_t bytes = sum_of(twin.sent[k]);
		double part = (double)twin.sent[k][i] / (double)bytes;
		bool counts = bytes >= usual / 4;
		if (k == 0)
			usual = bytes;
		usual = usual - usual / (counts ? 4 : 64) + bytes / (counts ? 4 : 64);
		if (!counts)
			continue;
		deviation = known ? 0.75 * deviation + 0.25 * distance(part, mean) : part / 2;
		mean = known ? 0.875 * mean + 0.125 * part : part;
		known |= part > 0;
	}
	twin.known[i] = known;
	twin.mean[i] = mean;
	twin.deviation[i] = deviation;
}

static void twin_post(int i, uint64_t bytes)
{
	if (!sum_of(twin.queued) && sum_of(twin.sent[twin.n]) && twin.now - twin.moved_any >= GAP) {
		twin.n++;
		assert_true(twin.n < NEXCHANGES);
		for (int k = 0; k < NPEERS; k++)
			twin_learn(k);
		memset(twin.lingers, 0, sizeof(twin.lingers));
	}
	if (!twin.queued[i])
		twin.moved[i] = twin.now;
	twin.queued[i] += bytes;
}

static bool twin_counts(int i)
{
	uint64_t age = twin.now - twin.moved[i];

	return twin.queued[i] ? age < STUCK : twin.lingers[i] && age < LINGER;
}

static double twin_ratio(int i)
{
	double least = 0;

	for (int k = 0; k < NPEERS; k++) {
		double low = twin.mean[k] - twin.deviation[k];
		if (twin_counts(k) && low > least)
			least = low;
	}
	double most = twin.mean[i] + twin.deviation[i];
	return twin.known[i] && most < least ? most / least : 1;
}

/* Some steps fill the queues, the next ones empty them. */
static void step(struct lina_peer **peer, bool fills)
{
	int i = (int)any(NPEERS);
	uint64_t bytes = any((uint64_t)(i + 1) * 100) + 1;

	twin.now += any(20) ? any(30) : any(STUCK);
	if (fills && any(2)) {
		lina_peer_post(&peers, peer[i], bytes, twin.now);
		twin_post(i, bytes);
	} else if (any(12) == 0) {
		bytes = any(twin.queued[i] + 1);
		lina_peer_drop(&peers, peer[i], bytes);
		twin.queued[i] -= bytes;
		twin.lingers[i] &= twin.queued[i] != 0;
	} else if (twin.queued[i]) {
		bytes = any(3) ? twin.queued[i] : any(twin.queued[i]) + 1;
		lina_peer_sent(&peers, peer[i], bytes, twin.now);
		twin.queued[i] -= bytes;
		twin.sent[twin.n][i] += bytes;
		twin.moved[i] = twin.moved_any = twin.now;
		twin.lingers[i] = true;
	}
}

static void does_as_its_twin(void **state)
{
	struct lina_peer *peer[NPEERS];
	int below = 0;

	(void)state;
	memset(&twin, 0, sizeof(twin));
	for (int i = 0; i < NPEERS; i++)
		peer[i] = lina_peers_find(&peers, (uint64_t)i);
	for (int n = 0; n < STEPS; n++) {
		step(peer, n / 80 % 2 == 0);
		int i = (int)any(NPEERS);
		double is = lina_peer_permille(&peers, peer[i], twin.now);
		double expected = twin_ratio(i) * LINA_PEERS_HOTTEST;
		if (distance(is, expected) > 1.001)
			fail_msg("step %d, peer %d: %g, not %g", n, i, is, expected);
		below += is < LINA_PEERS_HOTTEST;
	}
	assert_true(twin.n > 50);  /* exchanges did end */
	assert_true(below > 1000); /* and peers did differ */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(alike_as_long_as_nothing_is_known, setup),
		cmocka_unit_test_setup(learns_who_gets_how_much, setup),
		cmocka_unit_test_setup(takes_what_is_expected_until_it_knows, setup),
		cmocka_unit_test_setup(a_peer_that_is_new_is_like_the_hottest, setup),
		cmocka_unit_test_setup(where_each_exchange_is_another_all_are_alike, setup),
		cmocka_unit_test_setup(little_exchanges_between_large_ones_do_not_count, setup),
		cmocka_unit_test_setup(who_does_not_move_does_not_count, setup),
		cmocka_unit_test_setup(a_time_that_goes_back_counts_as_the_latest, setup),
		cmocka_unit_test_setup(no_more_peers_than_there_is_room_for, setup),
		cmocka_unit_test_setup(has_less_below_in_proportion_but_always_some, setup),
		cmocka_unit_test(what_is_hardly_worth_it_does_not_go),
		cmocka_unit_test_setup(nobody_starves_and_the_hottest_never_waits, setup),
		cmocka_unit_test_setup(does_as_its_twin, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
