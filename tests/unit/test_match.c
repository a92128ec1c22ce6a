/* Which send meets which receive, by their tags and their order, whatever comes first. */
#include <stdint.h>
#include <string.h>

#include "net/cases.h"

enum { MESSAGE_BYTES = 700 };

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

enum { MIXED = 24, MIXED_TAGS = 3 };

/* The same tags in two orders, that of the sends and that of the receives. */
static struct {
	struct message sent[MIXED]; /* but for its receive, which is found by counting */
	int order[MIXED];           /* the tags of the receives */
	uint8_t to[MIXED][MESSAGE_BYTES];
	struct lina_request *recv[MIXED];
} mix;

static void mix_tags(uint64_t *random)
{
	for (int i = 0; i < MIXED; i++)
		mix.order[i] = mix.sent[i].tag = (int)(random_next(random) % MIXED_TAGS);
	for (int i = MIXED - 1; i > 0; i--) {
		int k = (int)(random_next(random) % (uint64_t)(i + 1));
		int swap = mix.order[i];
		mix.order[i] = mix.order[k];
		mix.order[k] = swap;
	}
}

static void mix_post(uint64_t *random)
{
	for (int sent = 0, received = 0; sent < MIXED || received < MIXED;) {
		if (received == MIXED || (sent < MIXED && random_next(random) % 2)) {
			message_send(&mix.sent[sent], (uint64_t)sent);
			sent++;
		} else {
			mix.recv[received] = post_recv(
				pair.recv, mix.to[received], MESSAGE_BYTES, mix.order[received]);
			received++;
		}
	}
}

/* The send that the i-th receive meets: as many of its tag went before the one as the other. */
static int mix_sender_of(int i)
{
	int before = 0, k = 0;

	for (int j = 0; j < i; j++)
		before += mix.order[j] == mix.order[i];
	while (mix.sent[k].tag != mix.order[i] || before-- > 0)
		k++;
	return k;
}

/* The k-th send of a tag meets the k-th receive of that tag, in every interleaving. */
static void tags_interleave_at_random(void **state)
{
	enum { ROUNDS = 200 };
	uint64_t random = 42;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		mix_tags(&random);
		mix_post(&random);
		for (int i = 0; i < MIXED; i++)
			MUST(finish_both(mix.sent[i].send, mix.recv[i], LIMIT_MS));
		for (int i = 0; i < MIXED; i++)
			assert_true(
				is_filled(mix.to[i], MESSAGE_BYTES, (uint64_t)mix_sender_of(i)));
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
		struct lina_mr *mrs[N];

		for (int i = 0; i < n; i++) {
			tags[i] = i * 3;
			data[i] = to[i];
			room[i] = MESSAGE_BYTES;
			bytes[i] = random_next(&random) % (MESSAGE_BYTES + 1);
			fill(from[i], MESSAGE_BYTES, (uint64_t)i);
			memset(to[i], 0xaa, MESSAGE_BYTES);
		}
		memory_of(pair.recv, n, data, room, mrs);
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
	struct lina_mr *mrs[2];
	struct lina_request *recv;
	int done = 1;

	(void)state;
	memory_of(pair.recv, 2, data, room, mrs);
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
	};

	return cmocka_run_group_tests_name("match", tests, NULL, NULL);
}
