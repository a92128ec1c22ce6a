/* Messages of all sizes on one lane and on many: what comes is what was sent, and no byte more. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/cases.h"

static void sizes_on_lanes(const char *settings)
{
	static const size_t sizes[] = { 0, 1, 2, 7, 31, 32, 33, 4063, 4064, 4065, 4096, 65535,
		65536, 65537, 131071, 131073, 999983, 1 << 20, (4 << 20) + 1, (16 << 20) - 5,
		16 << 20 };
	uint8_t *from = bytes_new(16 << 20), *to = bytes_new((16 << 20) + 1);

	pair_open(settings, &pair);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t n = sizes[i];
		int sent = -1, got = -1;
		fill(from, n, i);
		memset(to, 0, n < 4096 ? n : 4096);
		to[n] = 0x77;
		struct lina_request *recv = NULL, *send = NULL;
		if (i % 2)
			send = post_send(pair.send, from, n, (int)i);
		recv = post_recv(pair.recv, to, n, (int)i);
		if (!send)
			send = post_send(pair.send, from, n, (int)i);
		uint64_t deadline = now_ms() + LIMIT_MS;
		int send_done = 0, recv_done = 0;
		while (!(send_done && recv_done) && now_ms() < deadline) {
			if (!send_done)
				MUST(lina_net_test(send, &send_done, &sent));
			if (!recv_done)
				MUST(lina_net_test(recv, &recv_done, &got));
		}
		assert_int_equal(sent, (int)n);
		assert_int_equal(got, (int)n);
		assert_true(is_filled(to, n, i));
		assert_int_equal(to[n], 0x77);
	}
	pair_close(&pair);
	free(from);
	free(to);
}

static void all_sizes_on_one_lane(void **state)
{
	(void)state;
	sizes_on_lanes("LINA_LANES=1");
}

static void all_sizes_on_two_lanes(void **state)
{
	(void)state;
	sizes_on_lanes("LINA_LANES=2");
}

static void all_sizes_on_seven_lanes(void **state)
{
	(void)state;
	sizes_on_lanes("LINA_LANES=7");
}

static void all_sizes_on_sixteen_lanes(void **state)
{
	(void)state;
	sizes_on_lanes("LINA_LANES=16");
}

/* Many sizes in flight at once on several lanes, some receives larger than their message. */
static void many_in_flight_on_several_lanes(void **state)
{
	enum { N = 32, ROUNDS = 12, MAX = 300000 };
	static struct lina_request *sends[N], *recvs[N];
	static size_t bytes[N];
	uint8_t *from[N], *to[N];
	uint64_t random = 99;

	(void)state;
	for (int i = 0; i < N; i++) {
		from[i] = bytes_new(MAX);
		to[i] = bytes_new(MAX + 10);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < N; i++) {
			bytes[i] = random_next(&random) % MAX;
			fill(from[i], bytes[i], (uint64_t)round * N + (uint64_t)i);
			recvs[i] = post_recv(pair.recv, to[i], bytes[i] + (size_t)(i % 10), i % 4);
		}
		for (int i = 0; i < N; i++)
			sends[i] = post_send(pair.send, from[i], bytes[i], i % 4);
		for (int i = 0; i < N; i++)
			MUST(finish_both(sends[i], recvs[i], LIMIT_MS));
		for (int i = 0; i < N; i++)
			assert_true(is_filled(to[i], bytes[i], (uint64_t)round * N + (uint64_t)i));
	}
	for (int i = 0; i < N; i++) {
		free(from[i]);
		free(to[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_sizes_on_one_lane),
		cmocka_unit_test(all_sizes_on_two_lanes),
		cmocka_unit_test(all_sizes_on_seven_lanes),
		cmocka_unit_test(all_sizes_on_sixteen_lanes),
		WITH(many_in_flight_on_several_lanes, open_three_lanes),
	};

	return cmocka_run_group_tests_name("lanes", tests, NULL, NULL);
}
