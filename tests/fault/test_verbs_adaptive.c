/* A network that routes each packet its own way: devices do so only with writes that have no
 * immediate, and such writes reach memory in any order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fabric.h"
#include "net/cases.h"
#include "priority/class.h"

enum { BYTES = 3 << 20, TAG = 1, THRESHOLD = 8192, SEEDS = 12, SHORT = 1000, IDLE_TURNS = 200 };

static uint8_t from[BYTES], to[BYTES];

static void goes(size_t bytes)
{
	fill(from, bytes, bytes);
	memset(to, 0, bytes);
	struct lina_request *recv = post_recv(pair.recv, to, BYTES, TAG);
	MUST(finish_both(post_send(pair.send, from, bytes, TAG), recv, LIMIT_MS));
	assert_true(is_filled(to, bytes, bytes));
}

/* The most bytes that went with an immediate, and whether there were immediates. */
static uint32_t most_with_immediate(void)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	int n = fabric_posts(posts, FABRIC_POSTS_MAX), nimms = 0;
	uint32_t most = 0;

	for (int i = 0; i < n; i++) {
		if (posts[i].opcode != IBV_WR_RDMA_WRITE_WITH_IMM)
			continue;
		nimms++;
		most = posts[i].bytes > most ? posts[i].bytes : most;
	}
	assert_true(nimms > 0);
	return most;
}

static uint32_t most_of(bool infiniband, const char *settings)
{
	static const size_t sizes[] = { 1, THRESHOLD, THRESHOLD + 1, 15000, 100000, BYTES };
	struct fabric_settings fabric = fabric_defaults();

	fabric.infiniband = infiniband;
	fabric_start(&fabric);
	pair_open(settings, &pair);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		goes(sizes[i]);
	uint32_t most = most_with_immediate();
	pair_close(&pair);
	assert_int_equal(fabric_counts().misuses, 0);
	(void)unsetenv("NCCL_IB_ADAPTIVE_ROUTING");
	(void)unsetenv("NCCL_IB_AR_THRESHOLD");
	return most;
}

static void what_is_large_goes_ahead_of_its_immediate(void **state)
{
	static const char *const classes[] = { "LINA_CLASSES=all=bulk",
		"LINA_CLASSES=all=latency" };
	char settings[128];

	(void)state;
	for (int i = 0; i < 2; i++) {
		(void)snprintf(
			settings, sizeof(settings), "%s NCCL_IB_ADAPTIVE_ROUTING=0", classes[i]);
		assert_true(most_of(true, settings) > THRESHOLD);
		assert_int_equal(most_of(true, classes[i]), THRESHOLD);
		(void)snprintf(settings, sizeof(settings), "%s NCCL_IB_AR_THRESHOLD=0", classes[i]);
		assert_int_equal(most_of(true, settings), 0);
		assert_true(most_of(false, classes[i]) > THRESHOLD);
		(void)snprintf(
			settings, sizeof(settings), "%s NCCL_IB_ADAPTIVE_ROUTING=1", classes[i]);
		assert_int_equal(most_of(false, settings), THRESHOLD);
	}
}

/* The queue pair that the receiver writes credits and grants by, of a cache line and of a word. */
static uint32_t control_qp(void)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	int n = fabric_posts(posts, FABRIC_POSTS_MAX);

	for (int i = n - 1; i >= 0; i--)
		if (posts[i].opcode == IBV_WR_RDMA_WRITE && posts[i].bytes <= 64)
			return posts[i].qp_num;
	fail_msg("no credit was written");
	return 0;
}

/* A step of the network at a time, until both have ended or nothing has moved for long. */
static bool both_end(struct lina_request *send, struct lina_request *recv)
{
	int sent = 0, received = 0;

	for (int idle = 0; idle < IDLE_TURNS && !(sent && received); idle++) {
		if (fabric_pump(1))
			idle = 0;
		if (!sent)
			MUST(lina_net_test(send, &sent, NULL));
		if (!received)
			MUST(lina_net_test(recv, &received, NULL));
	}
	return sent && received;
}

/* A message of an operation arrives, not before what its receiver writes does. */
static bool is_held(enum lina_op op, bool held)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	MUST(lina_net_attr_set(pair.net, &attr));
	fill(from, BYTES, (uint64_t)op);
	struct lina_request *recv = post_recv(pair.recv, to, BYTES, TAG);
	(void)fabric_pump(0); /* its credit */
	uint32_t qp = control_qp();
	fabric_hold(qp, held);
	struct lina_request *send = post_send(pair.send, from, BYTES, TAG);
	bool ended = both_end(send, recv);
	fabric_hold(qp, false);
	return ended != held && (ended || both_end(send, recv)) &&
	       is_filled(to, BYTES, (uint64_t)op);
}

/* Grants wait in a network that is full: each that is written meanwhile is a word of its own. */
static void no_write_undoes_a_later_one(void **state)
{
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	fabric.infiniband = fabric.adaptive = fabric.manual = true;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		fabric.seed = seed;
		fabric_start(&fabric);
		/* Bulk in small chunks, since there was latency traffic before. */
		pair_open("LINA_CLASSES=alltoall=latency,all=bulk LINA_CHUNK_BYTES=4096 "
			  "LINA_RELAX_MS=3600000 LINA_GRANT_BYTES=65536",
			&pair);
		assert_true(is_held(LINA_OP_ALLTOALL, false));
		assert_true(is_held(LINA_OP_ALLREDUCE, true));
		assert_int_equal(fabric_counts().races, 0);
		pair_close(&pair);
	}
}

/* Grants overtake each other, and credits; none is lost, so that nobody waits for ever. */
static void writes_in_any_order_lose_nothing(void **state)
{
	struct fabric_settings fabric = fabric_defaults();

	(void)state;
	fabric.infiniband = fabric.adaptive = true;
	for (uint64_t seed = 1; seed <= SEEDS; seed++) {
		fabric.seed = seed;
		fabric_start(&fabric);
		pair_open("LINA_CLASSES=all=bulk LINA_GRANT_BYTES=65536", &pair);
		for (int i = 0; i < 4; i++)
			goes(BYTES);
		for (int i = 0; i < SHORT; i++)
			goes((size_t)i % 100);
		pair_close(&pair);
		assert_int_equal(fabric_counts().misuses, 0);
		assert_int_equal(fabric_counts().races, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_large_goes_ahead_of_its_immediate),
		cmocka_unit_test(no_write_undoes_a_later_one),
		cmocka_unit_test(writes_in_any_order_lose_nothing),
	};

	return cmocka_run_group_tests_name("verbs_adaptive", tests, NULL, NULL);
}
