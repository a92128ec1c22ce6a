/* Bulk waits for latency traffic on queue pairs of their own, on an RDMA device of this process. */
#include <errno.h>
#include <string.h>

#include "fake/fabric.h"
#include "net/cases.h"
#include "plugin/link_state.h"
#include "plugin/verbs_conn.h"
#include "priority/class.h"

/* SMALL is announced to the receiver. */
enum { SMALL = 20000, LARGE = 1 << 20, BULK_TC = 96, LINGER_MS = 300 };

/* More of the kind is expected for 300 ms after latency traffic. */
#define SETTINGS                                                                    \
	"LINA_LINGER_US=300000 LINA_HOLD_MAX_MS=3600000 LINA_BULK_SHARE_PERCENT=0 " \
	"LINA_BULK_TC=96 LINA_RELAX_MS=3600000 "

static uint8_t small[2][SMALL], large[2][LARGE];

static void class_set(int op)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	MUST(lina_net_attr_set(pair.net, &attr));
}

/* Bytes that queue pairs of the bulk class were given. */
static uint64_t bulk_posted(void)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	uint64_t bytes = 0;

	int n = fabric_posts(posts, FABRIC_POSTS_MAX);
	for (int i = 0; i < n; i++)
		bytes += posts[i].traffic_class == BULK_TC ? posts[i].bytes : 0;
	return bytes;
}

/* A latency message to its end, and at once a large one of op, whose requests come back. */
static void small_then_large(
	const char *settings, int op, struct lina_request **send_p, struct lina_request **recv_p)
{
	struct fabric_settings fabric = fabric_defaults();

	fabric_start(&fabric);
	pair_open(settings, &pair);
	fill(small[0], SMALL, 1);
	fill(large[0], LARGE, 2);
	memset(large[1], 0, LARGE);
	class_set(LINA_OP_ALLTOALL);
	struct lina_request *recv = post_recv(pair.recv, small[1], SMALL, 1);
	MUST(finish_both(post_send(pair.send, small[0], SMALL, 1), recv, LIMIT_MS));
	class_set(op);
	*recv_p = post_recv(pair.recv, large[1], LARGE, 2);
	*send_p = post_send(pair.send, large[0], LARGE, 2);
}

static void bulk_waits_while_latency_traffic_may_go_on(void **state)
{
	struct lina_request *send, *recv;

	(void)state;
	uint64_t from_ms = now_ms();
	small_then_large(SETTINGS, LINA_OP_ALLREDUCE, &send, &recv);
	assert_int_equal(finish_both(send, recv, LINGER_MS / 3), -EAGAIN);
	if (now_ms() - from_ms < LINGER_MS)
		assert_int_equal(bulk_posted(), 0);
	MUST(finish_both(send, recv, LIMIT_MS));
	assert_true(now_ms() - from_ms >= LINGER_MS);
	assert_int_equal(bulk_posted(), LARGE);
	assert_true(is_filled(large[1], LARGE, 2));
	pair_close(&pair);
}

/* The same without priority: nobody waits, and no queue pair is for bulk. */
static void what_is_of_one_class_does_not_wait(void **state)
{
	struct lina_request *send, *recv;

	(void)state;
	small_then_large(SETTINGS "LINA_CLASSES=all=latency", LINA_OP_ALLREDUCE, &send, &recv);
	MUST(finish_both(send, recv, LIMIT_MS));
	assert_int_equal(bulk_posted(), 0);
	assert_true(is_filled(large[1], LARGE, 2));
	pair_close(&pair);
}

/* What a message of latency class has below at most, on a port of 2.5 Gbit/s. */
static void a_slow_port_gets_a_millisecond_at_once(void **state)
{
	enum { MILLISECOND_BYTES = 312500 };
	struct fabric_settings fabric = fabric_defaults();
	uint64_t most = 0;
	int done = 0;

	(void)state;
	fabric.port_speed = 25;
	fabric_start(&fabric);
	pair_open("LINA_CLASSES=all=latency", &pair);
	fill(large[0], LARGE, 3);
	memset(large[1], 0, LARGE);
	struct lina_request *recv = post_recv(pair.recv, large[1], LARGE, 1);
	struct lina_request *send = post_send(pair.send, large[0], LARGE, 1);
	const struct verbs_qp *qp =
		&((const struct verbs_conn *)pair.send)->rail[0].qp[LINA_CLASS_LATENCY];
	for (uint64_t until_ms = now_ms() + LIMIT_MS; !done && now_ms() < until_ms;) {
		most = qp->below_bytes > most ? qp->below_bytes : most;
		MUST(lina_net_test(send, &done, NULL));
	}
	assert_true(done);
	assert_in_range(most, MILLISECOND_BYTES / 2, MILLISECOND_BYTES);
	MUST(finish_within(recv, LIMIT_MS, NULL));
	assert_true(is_filled(large[1], LARGE, 3));
	pair_close(&pair);
}

/* As on a slow link: the receiver grants less ahead than the sender reports at once where it has
 * much. Neither waits for the other. */
static void bulk_goes_on_where_little_is_granted_ahead(void **state)
{
	struct lina_request *send, *recv;

	(void)state;
	small_then_large("LINA_RELAX_MS=3600000 LINA_HOLD_MAX_MS=3600000 LINA_GRANT_BYTES=262144 "
			 "LINA_CHUNK_BYTES=4096 LINA_LINGER_US=300000",
		LINA_OP_ALLREDUCE, &send, &recv);
	struct verbs_conn *conn = (struct verbs_conn *)pair.recv;
	struct lina_link_dir *in = conn->rail[0].flow[LINA_CLASS_BULK].dir;
	pthread_mutex_lock(&in->lock);
	in->sched.params.window_bytes = 8192;
	pthread_mutex_unlock(&in->lock);
	MUST(finish_both(send, recv, LIMIT_MS));
	assert_true(is_filled(large[1], LARGE, 2));
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bulk_waits_while_latency_traffic_may_go_on),
		cmocka_unit_test(what_is_of_one_class_does_not_wait),
		cmocka_unit_test(a_slow_port_gets_a_millisecond_at_once),
		cmocka_unit_test(bulk_goes_on_where_little_is_granted_ahead),
	};

	return cmocka_run_group_tests_name("verbs_holds", tests, NULL, NULL);
}
