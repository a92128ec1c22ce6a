/* The rule for hot peers on a model of a network: NICs whose queue pairs take turns, a switch that
 * loses nothing, links of one packet a tick both ways, completions that come late. An all-to-all in
 * which large transfers meet at one receiver ends sooner by it, and no other later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "priority/peers.h"

enum {
	N = 4,
	PACKET = 4096,
	TICK_NS = 328, /* of a packet at 100 Gbit/s */
	LEAD = 250000, /* of 20 us */
	PORT = 8,      /* packets that the switch keeps from a sender for a receiver */
	LATE_MOST = 256,
	UNIT = 512, /* packets that an ordinary pair sends */
	WARM = 12,
	LIMIT = 40 * N * UNIT,
};

typedef int amount(int from, int to, int round);

static struct {
	struct lina_peers peers[N];
	struct lina_peer *peer[N][N];
	int left[N][N], posted[N][N], below[N][N]; /* packets: not posted, not on the link, both */
	int waiting[N][N];                         /* at the switch, by receiver */
	uint8_t done[LATE_MOST][N][N];             /* that complete at this tick */
	int turn[N], turn_out[N];
	int late; /* ticks until a completion is seen */
	uint64_t tick;
} net;

static bool first; /* hot peers first, or as posted */

static uint64_t now_ns(void)
{
	return net.tick * TICK_NS;
}

static void push(int i, int k)
{
	uint64_t left = (uint64_t)net.left[i][k] * PACKET;
	uint64_t most = first ? lina_peer_turn_bytes(&net.peers[i], net.peer[i][k], LEAD, now_ns())
			      : UINT64_MAX;
	uint64_t may = lina_peers_may(most, (uint64_t)net.below[i][k] * PACKET, left);
	int n = (int)(may / PACKET);

	net.left[i][k] -= n;
	net.posted[i][k] += n;
	net.below[i][k] += n;
}

/* The next queue pair with something for a receiver that the switch has room for. */
static void nic_send(int i)
{
	for (int n = 0; n < N; n++) {
		int k = (net.turn[i] + n) % N;
		if (!net.posted[i][k] || net.waiting[k][i] == PORT)
			continue;
		net.posted[i][k]--;
		net.waiting[k][i]++;
		net.turn[i] = (k + 1) % N;
		return;
	}
}

static int nic_receive(int k)
{
	for (int n = 0; n < N; n++) {
		int i = (net.turn_out[k] + n) % N;
		if (!net.waiting[k][i])
			continue;
		net.waiting[k][i]--;
		net.turn_out[k] = (i + 1) % N;
		net.done[(net.tick + (uint64_t)net.late) % LATE_MOST][i][k]++;
		return 1;
	}
	return 0;
}

static void completions_see(void)
{
	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++) {
			uint8_t *n = &net.done[net.tick % LATE_MOST][i][k];
			net.below[i][k] -= *n;
			lina_peer_sent(
				&net.peers[i], net.peer[i][k], (uint64_t)*n * PACKET, now_ns());
			*n = 0;
		}
}

/* Ticks until all is there. */
static int exchange(amount *pattern, int round)
{
	int left = 0, ticks = 0;

	for (int i = 0; i < N; i++)
		for (int k = 0; k < N; k++) {
			int n = i == k ? 0 : pattern(i, k, round);
			net.left[i][k] = n;
			left += n;
			lina_peer_post(
				&net.peers[i], net.peer[i][k], (uint64_t)n * PACKET, now_ns());
		}
	for (; left; ticks++, net.tick++) {
		assert_true(ticks < LIMIT);
		completions_see();
		for (int i = 0; i < N * N; i++)
			push(i / N, i % N);
		for (int i = 0; i < N; i++)
			nic_send(i);
		for (int k = 0; k < N; k++)
			left -= nic_receive(k);
	}
	for (int i = 0; i < 10 * LATE_MOST; i++, net.tick++) /* compute */
		completions_see();
	return ticks;
}

/* The last of several, when shares are known. */
static int ticks_of(amount *pattern, bool hot_first, int late)
{
	memset(&net, 0, sizeof(net));
	net.late = late;
	net.tick = 1;
	first = hot_first;
	for (int i = 0; i < N; i++) {
		lina_peers_init(&net.peers[i], &(struct lina_peers_times){ 500000, 20000000, 0 });
		for (int k = 0; k < N; k++)
			net.peer[i][k] = lina_peers_find(&net.peers[i], (uint64_t)k);
	}
	int ticks = 0, sum = 0;
	for (int round = 0; round < 2 * WARM; round++) {
		ticks = exchange(pattern, round);
		sum += round < WARM ? 0 : ticks;
	}
	return sum / WARM;
}

static int even(int from, int to, int round)
{
	(void)from, (void)to, (void)round;
	return UNIT;
}

static int hot(int from, int to, int round)
{
	(void)from, (void)round;
	return to == 0 ? 4 * UNIT : UNIT;
}

/* Two that have as much for one as for all others. */
static int few(int from, int to, int round)
{
	(void)round;
	if (to != 0)
		return UNIT;
	return from == 1 || from == 2 ? 2 * UNIT : 0;
}

static int any(int from, int to, int round)
{
	uint32_t x = (uint32_t)((round * N + from) * N + to) * 2654435761u;

	return UNIT / 16 << (x >> 20) % 6;
}

static const int lates[] = { 8, 30, 150 }; /* 2.6, 10 and 50 us */
enum { NLATES = sizeof(lates) / sizeof(*lates) };

static void what_meets_at_a_receiver_ends_sooner(void **state)
{
	(void)state;
	for (int i = 0; i < NLATES; i++) {
		int plain = ticks_of(few, false, lates[i]), ours = ticks_of(few, true, lates[i]);
		if (ours * 100 > plain * 88)
			fail_msg("late by %d: %d ticks, %d as posted", lates[i], ours, plain);
	}
}

static void no_later(amount *pattern, int permille)
{
	for (int i = 0; i < NLATES; i++) {
		int plain = ticks_of(pattern, false, lates[i]);
		int ours = ticks_of(pattern, true, lates[i]);
		if (ours * 1000 > plain * permille)
			fail_msg("late by %d: %d ticks, %d as posted", lates[i], ours, plain);
	}
}

static void nothing_that_stays_alike_ends_later(void **state)
{
	(void)state;
	no_later(even, 1000);
	no_later(hot, 1001);
}

/* Where each all-to-all is another, what was learned is of little use, and does little harm. */
static void what_is_always_another_ends_hardly_later(void **state)
{
	(void)state;
	no_later(any, 1030);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_meets_at_a_receiver_ends_sooner),
		cmocka_unit_test(nothing_that_stays_alike_ends_later),
		cmocka_unit_test(what_is_always_another_ends_hardly_later),
	};

	return cmocka_run_group_tests_name("peers_nic", tests, NULL, NULL);
}
