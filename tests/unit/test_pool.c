/* The pool of requests: how many may be in flight, that it runs out without harm, and recovers. */
#include <stdint.h>
#include <string.h>

#include "net/cases.h"

enum { POOL_MIN = 32, GROUPS_MIN = 16 };

/* Posts until the pool is empty; *n_p is how many went in. */
static void sends_until_none(struct lina_request **requests, int max, const void *data, int *n_p)
{
	struct lina_mr *mr = memory_at(pair.send, data, 8);
	int n = 0;

	for (;;) {
		struct lina_request *request = (struct lina_request *)&pair;
		MUST(lina_net_send(pair.send, (void *)data, 8, 3, mr, NULL, &request));
		if (!request)
			break;
		assert_true(n < max);
		requests[n++] = request;
	}
	*n_p = n;
}

static void recvs_until_none(struct lina_request **requests, int max, uint8_t (*to)[8], int *n_p)
{
	const size_t room = 8;
	const int tag = 3;
	int n = 0;

	for (;;) {
		void *data = to[n];
		struct lina_mr *mr = memory_at(pair.recv, data, room);
		struct lina_request *request = (struct lina_request *)&pair;
		MUST(lina_net_recv(pair.recv, 1, &data, &room, &tag, &mr, NULL, &request));
		if (!request)
			break;
		assert_true(n < max);
		requests[n++] = request;
	}
	*n_p = n;
}

static void pools_run_out_and_recover(void **state)
{
	enum { MAX = 1024 };
	static struct lina_request *sends[MAX], *recvs[MAX];
	static uint8_t to[MAX + 1][8];
	const uint8_t from[8] = "message";
	int nsends, nrecvs;

	(void)state;
	for (int round = 0; round < 3; round++) {
		sends_until_none(sends, MAX, from, &nsends);
		assert_in_range(nsends, POOL_MIN, MAX);
		recvs_until_none(recvs, MAX, to, &nrecvs);
		assert_in_range(nrecvs, POOL_MIN, MAX);
		assert_int_equal(nsends, nrecvs);
		/* One that ends makes room for one. */
		MUST(finish_both(sends[0], recvs[0], LIMIT_MS));
		sends[0] = post_send(pair.send, from, 8, 3);
		recvs[0] = post_recv(pair.recv, to[0], 8, 3);
		for (int i = 1; i < nsends; i++)
			MUST(finish_both(sends[i], recvs[i], LIMIT_MS));
		MUST(finish_both(sends[0], recvs[0], LIMIT_MS));
		for (int i = 0; i < nrecvs; i++) {
			assert_memory_equal(to[i], from, 8);
			memset(to[i], 0, 8);
		}
	}
}

enum { GROUPS = 64, N = LINA_RECVS_MAX };
static struct {
	uint32_t to[N], from[N];
	struct lina_request *recv;
} group[GROUPS];

static bool group_post(int g)
{
	static const int tags[N] = { 7, 6, 5, 4, 3, 2, 1, 0 };
	struct lina_mr *mrs[N];
	void *data[N];
	size_t room[N];

	for (int i = 0; i < N; i++) {
		data[i] = &group[g].to[i];
		room[i] = sizeof(group[g].to[i]);
		group[g].from[i] = (uint32_t)(g * N + 7 - i);
	}
	memory_of(pair.recv, N, data, room, mrs);
	group[g].recv = NULL;
	MUST(lina_net_recv(pair.recv, N, data, room, tags, mrs, NULL, &group[g].recv));
	return group[g].recv != NULL;
}

/* Groups of 8 in flight, as many as there can be: all the credit there is. */
static void all_receives_in_groups_of_eight(void **state)
{
	int n = 0;

	(void)state;
	while (n < GROUPS && group_post(n))
		n++;
	assert_in_range(n, GROUPS_MIN, GROUPS);
	/* Group after group is complete; the last is asked for from the start, as NCCL asks all. */
	for (int g = 0; g < n; g++) {
		struct lina_request *sends[N];
		int done = 0;
		for (int i = 0; i < N; i++)
			sends[i] = post_send(pair.send, &group[g].from[i], 4, i);
		for (int i = 0; i < N; i++) {
			if (g < n - 1)
				MUST(lina_net_test(group[n - 1].recv, &done, NULL));
			assert_int_equal(done, 0);
			MUST(finish_within(sends[i], LIMIT_MS, NULL));
		}
	}
	for (int g = 0; g < n; g++) {
		MUST(finish_within(group[g].recv, LIMIT_MS, NULL));
		for (int i = 0; i < N; i++)
			assert_int_equal(group[g].to[i], g * N + i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(pools_run_out_and_recover, open_one_lane),
		WITH(all_receives_in_groups_of_eight, open_one_lane),
		WITH(all_receives_in_groups_of_eight, open_three_lanes),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
