/* Credit over RDMA: a receiver writes that of several receives at once while its sender has enough,
 * and no sender waits for it. */
#include <errno.h>
#include <string.h>

#include "fake/fabric.h"
#include "net/cases.h"

enum {
	BYTES = 8,
	LARGE = 1 << 20,
	DEPTH = 8,
	HELD = 3,
	MESSAGES = 400,
	TAG = 7,
	OTHER_TAG = 9,
	SHORT_MS = 50
};

static uint8_t from[MESSAGES][BYTES], to[MESSAGES][BYTES];
static uint8_t large[2][LARGE];
static struct lina_request *sends[MESSAGES], *recvs[MESSAGES];

/* A connection on which a message of so many bytes has come. */
static void begin(size_t bytes)
{
	struct fabric_settings fabric = fabric_defaults();

	fabric_start(&fabric);
	pair_open("", &pair);
	memset(to, 0, sizeof(to));
	for (int i = 0; i < MESSAGES; i++)
		fill(from[i], BYTES, (uint64_t)i + 1);
	struct lina_request *recv = post_recv(pair.recv, large[1], LARGE, TAG);
	MUST(finish_both(post_send(pair.send, large[0], bytes, TAG), recv, LIMIT_MS));
}

static void recvs_post(int first, int n, int tag)
{
	for (int i = first; i < first + n; i++)
		recvs[i] = post_recv(pair.recv, to[i], BYTES, tag);
}

static void sends_post(int first, int n, int tag)
{
	for (int i = first; i < first + n; i++)
		sends[i] = post_send(pair.send, from[i], BYTES, tag);
}

static void recvs_end(int first, int n)
{
	for (int i = first; i < first + n; i++) {
		MUST(finish_within(recvs[i], LIMIT_MS, NULL));
		assert_true(is_filled(to[i], BYTES, (uint64_t)i + 1));
	}
}

/* With nobody who looks after the receiver. */
static void sends_end(int first, int n)
{
	for (int i = first; i < first + n; i++)
		MUST(finish_within(sends[i], LIMIT_MS, NULL));
}

static void both_end(int first, int n)
{
	for (int i = first; i < first + n; i++) {
		MUST(finish_both(sends[i], recvs[i], LIMIT_MS));
		assert_true(is_filled(to[i], BYTES, (uint64_t)i + 1));
	}
}

/* Writes of control memory: those of data have an immediate here. */
static int control_writes(void)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	int n = fabric_posts(posts, FABRIC_POSTS_MAX), count = 0;

	for (int i = 0; i < n; i++)
		count += posts[i].opcode == IBV_WR_RDMA_WRITE;
	return count;
}

/* One message under way, and receives ahead of it as NCCL posts them. */
static void a_steady_stream_takes_a_write_for_several(void **state)
{
	(void)state;
	begin(BYTES);
	recvs_post(0, DEPTH, TAG);
	fabric_posts_forget();
	long fills = fabric_counts().fills;
	for (int i = 0; i < MESSAGES - DEPTH; i++) {
		sends_post(i, 1, TAG);
		both_end(i, 1);
		recvs_post(i + DEPTH, 1, TAG);
	}
	assert_true(control_writes() > 0);
	assert_true(control_writes() <= (MESSAGES - DEPTH) / 5);
	/* And receives for immediates are posted many at a time. */
	assert_in_range(fabric_counts().fills - fills, 1, (MESSAGES - DEPTH) / 10);
	pair_close(&pair);
}

/* All sends are there first, and receives come in two parts. */
static void a_sender_that_uses_all_goes_on(void **state)
{
	(void)state;
	begin(BYTES);
	for (int i = 0; i + DEPTH <= MESSAGES; i += DEPTH) {
		int n = 1 + i / DEPTH % DEPTH;
		sends_post(i, DEPTH, TAG);
		recvs_post(i, n, TAG);
		both_end(i, n);
		recvs_post(i + n, DEPTH - n, TAG);
		both_end(i + n, DEPTH - n);
	}
	pair_close(&pair);
}

/* The receiver's own idleness ends it, though it has others to give. */
static void a_hold_ends_where_nothing_comes(void **state)
{
	(void)state;
	begin(BYTES);
	recvs_post(0, DEPTH - 1, TAG);
	int before = control_writes();
	assert_int_equal(finish_within(recvs[0], SHORT_MS, NULL), -EAGAIN);
	assert_int_equal(control_writes(), before + 1);
	sends_post(0, DEPTH - 1, TAG);
	both_end(0, DEPTH - 1);
	pair_close(&pair);
}

/* What a write costs is nothing beside them. */
static void none_is_held_after_a_large_message(void **state)
{
	(void)state;
	begin(LARGE);
	recvs_post(0, DEPTH - 1, TAG);
	sends_post(0, DEPTH - 1, TAG);
	sends_end(0, DEPTH - 1);
	recvs_end(0, DEPTH - 1);
	pair_close(&pair);
}

/* The sender of another tag has no other credit: it does not wait for a test. */
static void another_tag_is_not_held(void **state)
{
	(void)state;
	begin(BYTES);
	recvs_post(0, DEPTH - HELD, TAG);
	recvs_post(DEPTH - HELD, HELD, OTHER_TAG);
	sends_post(DEPTH - HELD, HELD, OTHER_TAG);
	sends_end(DEPTH - HELD, HELD);
	sends_post(0, DEPTH - HELD, TAG);
	sends_end(0, DEPTH - HELD);
	recvs_end(0, DEPTH);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_steady_stream_takes_a_write_for_several),
		cmocka_unit_test(a_sender_that_uses_all_goes_on),
		cmocka_unit_test(a_hold_ends_where_nothing_comes),
		cmocka_unit_test(none_is_held_after_a_large_message),
		cmocka_unit_test(another_tag_is_not_held),
	};

	return cmocka_run_group_tests_name("verbs_credits", tests, NULL, NULL);
}
