/* Messages between two ends: which send meets which receive, whatever comes first; the pool of
 * requests; sizes, lanes and data. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { POOL_MIN = 32, LIMIT_MS = 60000, MESSAGE_BYTES = 700 };

static void must(int err, const char *what, int line)
{
	if (err)
		fail_msg("line %d: %s: %s\n%s", line, what, strerror(-err), log_text());
}

#define MUST(call) must((call), #call, __LINE__)

static uint8_t *bytes_new(size_t n)
{
	uint8_t *p = malloc(n ? n : 1);

	assert_non_null(p);
	return p;
}

static struct pair pair;

static int open_one_lane(void **state)
{
	(void)state;
	pair_open("", &pair);
	return 0;
}

static int open_three_lanes(void **state)
{
	(void)state;
	pair_open("LINA_LANES=3", &pair);
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	pair_close(&pair);
	return 0;
}

/* n messages with the tags of the table; each message's contents follow from its number. */
struct message {
	int tag;
	uint8_t from[MESSAGE_BYTES], to[MESSAGE_BYTES];
	struct lina_request *send, *recv;
};

static void message_send(struct message *m, uint64_t number)
{
	fill(m->from, sizeof(m->from), number);
	m->send = post_send(pair.send, m->from, sizeof(m->from), m->tag);
}

static void message_recv(struct message *m)
{
	memset(m->to, 0, sizeof(m->to));
	m->recv = post_recv(pair.recv, m->to, sizeof(m->to), m->tag);
}

static void sends_before_receives(void **state)
{
	static struct message m[6] = { { .tag = 5 }, { .tag = 5 }, { .tag = -1 }, { .tag = 0 },
		{ .tag = 5 }, { .tag = 0 } };

	(void)state;
	for (uint64_t i = 0; i < 6; i++)
		message_send(&m[i], i);
	for (int i = 0; i < 6; i++)
		message_recv(&m[i]);
	for (int i = 5; i >= 0; i--)
		MUST(finish_both(m[i].send, m[i].recv, LIMIT_MS));
	for (uint64_t i = 0; i < 6; i++)
		assert_true(is_filled(m[i].to, MESSAGE_BYTES, i));
}

static void receives_before_sends(void **state)
{
	static struct message m[6] = { { .tag = 5 }, { .tag = 5 }, { .tag = -1 }, { .tag = 0 },
		{ .tag = 5 }, { .tag = 0 } };

	(void)state;
	for (int i = 0; i < 6; i++)
		message_recv(&m[i]);
	for (uint64_t i = 0; i < 6; i++)
		message_send(&m[i], i);
	for (int i = 0; i < 6; i++)
		MUST(finish_both(m[i].send, m[i].recv, LIMIT_MS));
	for (uint64_t i = 0; i < 6; i++)
		assert_true(is_filled(m[i].to, MESSAGE_BYTES, i));
}

/* The k-th send of a tag meets the k-th receive of that tag, in every interleaving. */
static void tags_interleave_at_random(void **state)
{
	enum { N = 24, ROUNDS = 200, TAGS = 3 };
	static struct message m[N]; /* row i: the i-th send; its receive is found by counting */
	static uint8_t to[N][MESSAGE_BYTES];
	uint64_t random = 42;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int order[N], sent = 0, received = 0;
		struct lina_request *recvs[N];
		for (int i = 0; i < N; i++) {
			order[i] = m[i].tag = (int)(random_next(&random) % TAGS);
		}
		for (int i = N - 1; i > 0; i--) { /* receives in another order of tags */
			int k = (int)(random_next(&random) % (uint64_t)(i + 1));
			int swap = order[i];
			order[i] = order[k];
			order[k] = swap;
		}
		while (sent < N || received < N) {
			bool sends = received == N || (sent < N && random_next(&random) % 2);
			if (sends) {
				message_send(&m[sent], (uint64_t)sent);
				sent++;
			} else {
				recvs[received] = post_recv(
					pair.recv, to[received], MESSAGE_BYTES, order[received]);
				received++;
			}
		}
		for (int i = 0; i < N; i++)
			MUST(finish_both(m[i].send, recvs[i], LIMIT_MS));
		for (int i = 0; i < N; i++) {
			int nth = 0, k = 0;
			for (int j = 0; j < i; j++)
				nth += order[j] == order[i];
			while (m[k].tag != order[i] || nth-- > 0)
				k++;
			assert_true(is_filled(to[i], MESSAGE_BYTES, (uint64_t)k));
		}
	}
}

/* Groups of eight whose tags come in another order than the sends. */
static void groups_meet_sends_in_any_order(void **state)
{
	enum { N = LINA_RECVS_MAX, ROUNDS = 100 };
	static uint8_t from[N][MESSAGE_BYTES], to[N][MESSAGE_BYTES];
	uint64_t random = 7;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		void *data[N];
		size_t room[N];
		int tags[N], got[N], n = 1 + (int)(random_next(&random) % N);
		struct lina_request *sends[N], *recv = NULL;
		size_t bytes[N];
		struct lina_mr *mrs[N] = { NULL };

		for (int i = 0; i < n; i++) {
			tags[i] = i * 3;
			data[i] = to[i];
			room[i] = MESSAGE_BYTES;
			bytes[i] = random_next(&random) % (MESSAGE_BYTES + 1);
			fill(from[i], MESSAGE_BYTES, (uint64_t)i);
			memset(to[i], 0xaa, MESSAGE_BYTES);
		}
		int first = (int)(random_next(&random) % (uint64_t)n);
		bool before = random_next(&random) % 2;
		if (before)
			MUST(lina_net_recv(pair.recv, n, data, room, tags, mrs, NULL, &recv));
		for (int i = 0; i < n; i++) {
			int k = (first + 5 * i) % n;
			if (n == 5)
				k = (first + 2 * i) % n;
			sends[k] = post_send(pair.send, from[k], bytes[k], tags[k]);
		}
		if (!before)
			MUST(lina_net_recv(pair.recv, n, data, room, tags, mrs, NULL, &recv));
		for (int i = 1; i < n; i++) {
			int sent = -1;
			MUST(finish_within(sends[i], LIMIT_MS, &sent));
			assert_int_equal(sent, (int)bytes[i]);
		}
		MUST(finish_within(sends[0], LIMIT_MS, NULL));
		MUST(finish_within(recv, LIMIT_MS, got));
		for (int i = 0; i < n; i++) {
			assert_int_equal(got[i], (int)bytes[i]);
			assert_true(is_filled(to[i], bytes[i], (uint64_t)i));
			for (size_t k = bytes[i]; k < MESSAGE_BYTES; k++)
				assert_int_equal(to[i][k], 0xaa);
		}
	}
}

/* A group whose sizes are not known yet is not done while one message is missing. */
static void group_waits_for_its_last_message(void **state)
{
	uint8_t from[4] = { 1, 2, 3, 4 }, a[4], b[4];
	void *data[2] = { a, b };
	const size_t room[2] = { 4, 4 };
	const int tags[2] = { 1, 2 };
	struct lina_mr *mrs[2] = { NULL };
	struct lina_request *recv;
	int done = 1;

	(void)state;
	MUST(lina_net_recv(pair.recv, 2, data, room, tags, mrs, NULL, &recv));
	MUST(finish_within(post_send(pair.send, from, 4, 2), LIMIT_MS, NULL));
	for (int i = 0; i < 1000; i++) {
		MUST(lina_net_test(recv, &done, NULL));
		assert_int_equal(done, 0);
	}
	MUST(finish_within(post_send(pair.send, from, 0, 1), LIMIT_MS, NULL));
	int got[2] = { -1, -1 };
	MUST(finish_within(recv, LIMIT_MS, got));
	assert_int_equal(got[0], 0);
	assert_int_equal(got[1], 4);
}

/* Posts until the pool is empty; *n_p is how many went in. */
static void sends_until_none(struct lina_request **requests, int max, const void *data, int *n_p)
{
	int n = 0;

	for (;;) {
		struct lina_request *request = (struct lina_request *)&pair;
		MUST(lina_net_send(pair.send, (void *)(uintptr_t)data, 8, 3, NULL, NULL, &request));
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
	struct lina_mr *mr = NULL;
	int n = 0;

	for (;;) {
		void *data = to[n];
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

/* 64 groups of 8 in flight: all the credit there can be. */
static void all_receives_in_groups_of_eight(void **state)
{
	enum { GROUPS = 64, N = LINA_RECVS_MAX };
	static uint32_t to[GROUPS][N], from[GROUPS][N];
	static struct lina_request *recvs[GROUPS];
	struct lina_mr *mrs[N] = { NULL };
	const int tags[N] = { 7, 6, 5, 4, 3, 2, 1, 0 };

	(void)state;
	for (int g = 0; g < GROUPS; g++) {
		void *data[N];
		size_t room[N];
		for (int i = 0; i < N; i++) {
			data[i] = &to[g][i];
			room[i] = sizeof(to[g][i]);
			from[g][i] = (uint32_t)(g * N + 7 - i);
		}
		MUST(lina_net_recv(pair.recv, N, data, room, tags, mrs, NULL, &recvs[g]));
		assert_non_null(recvs[g]);
	}
	/* Group after group is complete; the last is asked for from the start, as NCCL asks all. */
	for (int g = 0; g < GROUPS; g++) {
		struct lina_request *sends[N];
		int done = 0;
		for (int i = 0; i < N; i++)
			sends[i] = post_send(pair.send, &from[g][i], 4, i);
		for (int i = 0; i < N; i++) {
			if (g < GROUPS - 1)
				MUST(lina_net_test(recvs[GROUPS - 1], &done, NULL));
			assert_int_equal(done, 0);
			MUST(finish_within(sends[i], LIMIT_MS, NULL));
		}
	}
	for (int g = 0; g < GROUPS; g++) {
		MUST(finish_within(recvs[g], LIMIT_MS, NULL));
		for (int i = 0; i < N; i++)
			assert_int_equal(to[g][i], g * N + i);
	}
}

/* --- a model of both ends at random --- */

enum { MODEL_TAGS = 3, MODEL_MESSAGES = 400, MODEL_FLIGHT = 40, MODEL_MAX = 5000 };

/* Message k of a tag, as sent and as received; one of the two may not have happened yet. */
struct model_message {
	size_t bytes;
	uint8_t *from, *to;
	struct lina_request *send; /* NULL: not sent, or ended */
	int tag;
};

struct model_group {
	struct lina_request *request; /* NULL: free */
	int n;
	struct model_message *message[LINA_RECVS_MAX];
};

/* The k-th send of a tag belongs to the k-th buffer of that tag: row k of that tag. */
static struct {
	struct model_message message[MODEL_TAGS][MODEL_MESSAGES];
	int sent[MODEL_TAGS], received[MODEL_TAGS];
	struct model_group group[MODEL_FLIGHT];
	uint64_t random;
} model;

static size_t model_below(size_t n)
{
	return (size_t)(random_next(&model.random) % n);
}

static void model_fill(void)
{
	for (int tag = 0; tag < MODEL_TAGS; tag++) {
		model.sent[tag] = model.received[tag] = 0;
		for (int k = 0; k < MODEL_MESSAGES; k++) {
			struct model_message *m = &model.message[tag][k];
			m->tag = tag;
			m->bytes = model_below(4) ? model_below(200) : model_below(MODEL_MAX);
			m->from = bytes_new(m->bytes);
			m->to = bytes_new(m->bytes);
			m->send = NULL;
			fill(m->from, m->bytes, (uint64_t)(tag * MODEL_MESSAGES + k));
			memset(m->to, 0xaa, m->bytes);
		}
	}
}

static void model_free(void)
{
	for (int tag = 0; tag < MODEL_TAGS; tag++) {
		for (int k = 0; k < MODEL_MESSAGES; k++) {
			free(model.message[tag][k].from);
			free(model.message[tag][k].to);
		}
	}
}

/* Neither end runs further ahead of the other than the pools reach. */
static void model_send(void)
{
	int tag = (int)model_below(MODEL_TAGS);
	int k = model.sent[tag];

	if (k == MODEL_MESSAGES || k > model.received[tag] + 12)
		return;
	struct model_message *m = &model.message[tag][k];
	MUST(lina_net_send(pair.send, m->from, m->bytes, tag, NULL, NULL, &m->send));
	model.sent[tag] += m->send != NULL;
}

static void model_recv(void)
{
	struct model_group *g = &model.group[model_below(MODEL_FLIGHT)];
	void *data[LINA_RECVS_MAX];
	size_t room[LINA_RECVS_MAX];
	int tags[LINA_RECVS_MAX];
	int n = 1 + (int)model_below(LINA_RECVS_MAX), posted = 0;

	if (g->request)
		return;
	for (int i = 0; i < n; i++) {
		int tag = (int)model_below(MODEL_TAGS);
		int k = model.received[tag];
		if (k == MODEL_MESSAGES || k > model.sent[tag] + 12)
			continue;
		struct model_message *m = &model.message[tag][k];
		model.received[tag]++;
		g->message[posted] = m;
		data[posted] = m->to;
		room[posted] = m->bytes;
		tags[posted++] = tag;
	}
	g->n = posted;
	if (posted > 0)
		MUST(lina_net_recv(pair.recv, posted, data, room, tags, NULL, NULL, &g->request));
	if (posted > 0 && !g->request)
		for (int i = posted - 1; i >= 0; i--)
			model.received[tags[i]]--;
}

static void model_test_send(struct model_message *m)
{
	int done = 0, bytes = -1;

	MUST(lina_net_test(m->send, &done, &bytes));
	if (!done)
		return;
	assert_int_equal(bytes, (int)m->bytes);
	m->send = NULL;
}

static void model_test_recv(struct model_group *g)
{
	int done = 0, bytes[LINA_RECVS_MAX];

	MUST(lina_net_test(g->request, &done, bytes));
	if (!done)
		return;
	for (int i = 0; i < g->n; i++) {
		const struct model_message *m = g->message[i];
		uint64_t number =
			(uint64_t)(m - &model.message[m->tag][0] + m->tag * MODEL_MESSAGES);
		assert_int_equal(bytes[i], (int)m->bytes);
		assert_true(is_filled(m->to, m->bytes, number));
	}
	g->request = NULL;
}

/* One request at random, or all in flight: what is never asked for may stand still. */
static bool model_test(bool all)
{
	bool any = false;

	for (int tag = 0; tag < MODEL_TAGS; tag++) {
		for (int k = 0; k < model.sent[tag]; k++) {
			struct model_message *m = &model.message[tag][k];
			any = any || m->send;
			if (m->send && (all || model_below(8) == 0))
				model_test_send(m);
		}
	}
	for (int i = 0; i < MODEL_FLIGHT; i++) {
		struct model_group *g = &model.group[i];
		any = any || g->request;
		if (g->request && (all || model_below(8) == 0))
			model_test_recv(g);
	}
	return any;
}

static bool model_ended(void)
{
	for (int tag = 0; tag < MODEL_TAGS; tag++)
		if (model.sent[tag] < MODEL_MESSAGES || model.received[tag] < MODEL_MESSAGES)
			return false;
	return true;
}

static void model_run(uint64_t seed, const char *settings)
{
	uint64_t deadline = now_ms() + LIMIT_MS;

	model.random = seed;
	model_fill();
	pair_open(settings, &pair);
	while (!model_ended()) {
		size_t dice = model_below(10);
		if (dice < 5)
			model_send();
		else if (dice < 7)
			model_recv();
		else
			(void)model_test(dice == 9);
		if (now_ms() > deadline)
			fail_msg("seed %llu with '%s' stands still", (unsigned long long)seed,
				settings);
	}
	while (model_test(true) && now_ms() < deadline)
		;
	if (model_test(true))
		fail_msg("seed %llu with '%s' does not end", (unsigned long long)seed, settings);
	pair_close(&pair);
	model_free();
}

static void random_runs_agree_with_the_rule(void **state)
{
	static const char *const settings[] = { "", "LINA_EARLY_BYTES=0", "LINA_EARLY_BYTES=3000",
		"LINA_LANES=3", "LINA_LANES=2 LINA_EARLY_BYTES=7000" };

	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++)
		model_run(seed, settings[seed % (sizeof(settings) / sizeof(*settings))]);
}

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
			fill(from[i], bytes[i], (uint64_t)(round * N + i));
			recvs[i] = post_recv(pair.recv, to[i], bytes[i] + (size_t)(i % 10), i % 4);
		}
		for (int i = 0; i < N; i++)
			sends[i] = post_send(pair.send, from[i], bytes[i], i % 4);
		for (int i = 0; i < N; i++)
			MUST(finish_both(sends[i], recvs[i], LIMIT_MS));
		for (int i = 0; i < N; i++)
			assert_true(is_filled(to[i], bytes[i], (uint64_t)(round * N + i)));
	}
	for (int i = 0; i < N; i++) {
		free(from[i]);
		free(to[i]);
	}
}

static void memory_of_no_bytes_may_be_null(void **state)
{
	struct lina_mr *mr;

	(void)state;
	MUST(lina_net_reg(pair.send, NULL, 0, LINA_PTR_HOST, 0, -1, &mr));
	struct lina_request *recv = post_recv(pair.recv, NULL, 0, 1);
	MUST(finish_both(post_send(pair.send, NULL, 0, 1), recv, LIMIT_MS));
	MUST(lina_net_dereg(pair.send, mr));
}

static void memory_of_some_bytes_may_not(void **state)
{
	struct lina_request *request = (struct lina_request *)&pair, *const before = request;
	void *none = NULL;
	const size_t bytes = 1;
	const int tag = 1;

	(void)state;
	log_forget();
	assert_int_equal(lina_net_send(pair.send, NULL, 1, 1, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.recv, 1, &none, &bytes, &tag, NULL, NULL, &request), -EINVAL);
	assert_ptr_equal(request, before);
	assert_int_equal(log_warnings(), 2);
}

static void transfers_stay_within_their_registration(void **state)
{
	uint8_t data[100];
	struct lina_mr *mr = NULL, *none = NULL;
	struct lina_request *request = (struct lina_request *)&pair, *const before = request;
	const int tag = 1;

	(void)state;
	MUST(lina_net_reg(pair.send, data + 10, 80, LINA_PTR_HOST, 0, -1, &mr));
	static const struct {
		int at;
		size_t bytes;
		int expected;
	} rows[] = { { 10, 80, 0 }, { 89, 1, 0 }, { 10, 81, -EINVAL }, { 9, 1, -EINVAL },
		{ 90, 1, -EINVAL }, { 95, 1, -EINVAL }, { 90, 0, 0 }, { 50, SIZE_MAX, -EINVAL } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		log_forget();
		request = before;
		int err = lina_net_send(
			pair.send, data + rows[i].at, rows[i].bytes, tag, mr, NULL, &request);
		assert_int_equal(err, rows[i].expected);
		assert_int_equal(log_warnings(), err != 0);
		if (err) {
			assert_ptr_equal(request, before);
			void *to = data + rows[i].at;
			err = lina_net_recv(
				pair.recv, 1, &to, &rows[i].bytes, &tag, &mr, NULL, &request);
			assert_int_equal(err, -EINVAL);
			assert_ptr_equal(request, before);
		}
	}
	MUST(lina_net_dereg(pair.send, mr));
	log_forget();
	assert_int_equal(lina_net_reg(pair.send, data, 1, LINA_PTR_CUDA, 0, -1, &none), -EINVAL);
	assert_int_equal(lina_net_reg(pair.send, data, 1, LINA_PTR_HOST, 0, 0, &none), -EINVAL);
	assert_int_equal(lina_net_reg(pair.send, NULL, 1, LINA_PTR_HOST, 0, -1, &none), -EINVAL);
	assert_null(none);
	assert_int_equal(log_warnings(), 3);
}

static void flush_is_done_at_once(void **state)
{
	uint8_t data[8];
	void *const at = data;
	const int bytes = 8, bad = -1;
	struct lina_mr *mr = NULL;
	struct lina_request *request = (struct lina_request *)&pair;

	(void)state;
	MUST(lina_net_flush(pair.recv, 1, &at, &bytes, &mr, &request));
	assert_null(request);
	assert_int_equal(lina_net_flush(pair.recv, 1, &at, &bad, &mr, &request), -EINVAL);
	assert_int_equal(lina_net_flush(pair.recv, 9, &at, &bytes, &mr, &request), -EINVAL);
	assert_int_equal(lina_net_flush(pair.send, 1, &at, &bytes, &mr, &request), -EINVAL);
}

static void each_end_does_its_own_work_only(void **state)
{
	uint8_t data[8];
	void *at[LINA_RECVS_MAX + 1] = { data };
	size_t bytes[LINA_RECVS_MAX + 1] = { 8 };
	int tags[LINA_RECVS_MAX + 1] = { 0 };
	struct lina_request *request = (struct lina_request *)&pair, *const before = request;

	(void)state;
	assert_int_equal(lina_net_send(pair.recv, data, 8, 0, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.send, 1, at, bytes, tags, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.recv, 0, at, bytes, tags, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.recv, 9, at, bytes, tags, NULL, NULL, &request), -EINVAL);
	assert_ptr_equal(request, before);
}

#define WITH(test, open) cmocka_unit_test_setup_teardown(test, open, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(sends_before_receives, open_one_lane),
		WITH(receives_before_sends, open_one_lane),
		WITH(sends_before_receives, open_three_lanes),
		WITH(tags_interleave_at_random, open_one_lane),
		WITH(tags_interleave_at_random, open_three_lanes),
		WITH(groups_meet_sends_in_any_order, open_one_lane),
		WITH(groups_meet_sends_in_any_order, open_three_lanes),
		WITH(group_waits_for_its_last_message, open_one_lane),
		WITH(pools_run_out_and_recover, open_one_lane),
		WITH(all_receives_in_groups_of_eight, open_one_lane),
		WITH(all_receives_in_groups_of_eight, open_three_lanes),
		cmocka_unit_test(random_runs_agree_with_the_rule),
		cmocka_unit_test(all_sizes_on_one_lane),
		cmocka_unit_test(all_sizes_on_two_lanes),
		cmocka_unit_test(all_sizes_on_seven_lanes),
		cmocka_unit_test(all_sizes_on_sixteen_lanes),
		WITH(many_in_flight_on_several_lanes, open_three_lanes),
		WITH(memory_of_no_bytes_may_be_null, open_one_lane),
		WITH(memory_of_some_bytes_may_not, open_one_lane),
		WITH(transfers_stay_within_their_registration, open_one_lane),
		WITH(flush_is_done_at_once, open_one_lane),
		WITH(each_end_does_its_own_work_only, open_one_lane),
	};

	return cmocka_run_group_tests_name("transfer", tests, NULL, NULL);
}
