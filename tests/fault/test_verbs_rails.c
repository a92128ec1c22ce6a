/* Several rails on RDMA devices of this process: each carries its part; one that breaks, at
 * whatever request, costs nobody a byte; one that comes back is used again. Without another rail
 * the connection fails, and nothing is left of it. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault/rails.h"
#include "plugin/verbs_conn.h"
#include "priority/class.h"

static void each_rail_carries_its_part(void **state)
{
	struct run r;

	(void)state;
	for (int nrails = 2; nrails <= 4; nrails++)
		for (int cls = 0; cls < RAILS_NCLASSES; cls++) {
			uint64_t share = MESSAGES * (512u << 10) / (unsigned)nrails;
			run_open(&r, nrails, rails_classes[cls]);
			fabric_posts_forget();
			for (int i = 0; i < MESSAGES; i++) {
				r.message[i].bytes = 512 << 10;
				message_post(&r, &r.message[i], i % 3);
			}
			assert_int_equal(messages_finish(&r), 0);
			messages_check(&r);
			for (int dev = 0; dev < nrails; dev++)
				assert_in_range(bytes_of(dev), share - 40000, share + 70000);
			run_close(&r);
		}
}

/* Where the n-th request that is done fails, whether its peer got it or not. */
static void rail_breaks_at(long n, bool moved, int cls)
{
	struct run r;

	run_open(&r, 2, rails_classes[cls]);
	fabric_fail_work(n, IBV_WC_RETRY_EXC_ERR, moved);
	messages_arrive(&r);
	messages_arrive(&r);
	assert_true(log_says("its work goes to the other rails"));
	run_close(&r);
}

static void rail_that_breaks_costs_no_byte(void **state)
{
	(void)state;
	for (int cls = 0; cls < RAILS_NWAYS; cls++)
		for (long n = 1; n < 60; n += n < 20 ? 1 : 4)
			for (int moved = 0; moved < 2; moved++)
				rail_breaks_at(n, moved, cls);
}

static void port_that_comes_back_is_used_again(void **state)
{
	struct run r;

	(void)state;
	for (int cls = 0; cls < RAILS_NCLASSES; cls++) {
		run_open(&r, 2, rails_classes[cls]);
		for (int life = 0; life < 3; life++) {
			int dev = life % 2;
			messages_post(&r);
			fabric_port(dev, false);
			assert_int_equal(messages_finish(&r), 0);
			messages_check(&r);
			messages_arrive(&r);
			fabric_port(dev, true);
			used_again(&r, dev);
		}
		run_close(&r);
	}
}

static void class_set(const struct run *r, int op)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	assert_int_equal(lina_net_attr_set(r->net, &attr), 0);
}

/* All that follows is bulk, in chunks of 4 KiB, since there was latency traffic before. The
 * receiver hears of several of them at once. */
static void run_open_small_chunks(struct run *r)
{
	run_open(r, 2, "alltoall=latency,all=bulk LINA_CHUNK_BYTES=4096 LINA_RELAX_MS=3600000");
	class_set(r, LINA_OP_ALLTOALL);
	messages_arrive(r);
	class_set(r, LINA_OP_ALLREDUCE);
}

/* The receiver has heard nothing yet of the chunks that came before the one that fails: they must
 * not count against what it grants for ever. */
static void rail_that_breaks_often_gets_grants_even_so(void **state)
{
	enum { ROUNDS = 40, BYTES = 14336, FAILS = 6 };
	struct run r;

	(void)state;
	run_open_small_chunks(&r);
	for (int i = 0; i < ROUNDS; i++) {
		r.message[0].bytes = BYTES;
		message_post(&r, &r.message[0], 1);
		fabric_fail_work(FAILS, IBV_WC_RETRY_EXC_ERR, false);
		int err = messages_finish(&r);
		if (err)
			fail_msg("%s: %s", strerror(-err), log_text());
		used_again(&r, 0);
		used_again(&r, 1);
	}
	run_close(&r);
}

/* As far as the link's peers go. A rail that is about to end keeps until then what the receiver has
 * said to be complete. */
static void nothing_is_queued(const struct run *r)
{
	const struct verbs_conn *conn = (const struct verbs_conn *)r->send;

	for (int i = 0; i < conn->nrails; i++)
		if (conn->rail[i].state == VERBS_UP)
			assert_int_equal(conn->rail[i].flow[LINA_CLASS_LATENCY].hot.bytes, 0);
}

static void messages_turn(struct run *r, int n)
{
	for (int i = 0; i < n; i++) {
		struct message *m = &r->message[i % MESSAGES];
		assert_int_equal(turn(&m->send, NULL), 0);
		assert_int_equal(turn(&m->recv, NULL), 0);
	}
}

static void nobody_is_up_within(struct run *r, uint64_t ms)
{
	const struct verbs_conn *conn = (const struct verbs_conn *)r->send;
	uint64_t until_ms = now_ms() + ms;

	while (conn->rail[0].state != VERBS_DOWN || conn->rail[1].state != VERBS_DOWN) {
		assert_true(now_ms() < until_ms);
		messages_turn(r, MESSAGES);
	}
}

/* What waited for any rail goes by the first that comes back, and the link is told once. */
static void all_that_waits_is_told_once(void **state)
{
	struct run r;

	(void)state;
	for (int first = 0; first < 2; first++) {
		run_open(&r, 2, "all=latency");
		const struct verbs_conn *conn = (const struct verbs_conn *)r.send;
		messages_post(&r);
		messages_turn(&r, 1); /* credits have come, and no message has gone */
		fabric_port(0, false);
		fabric_port(1, false);
		nobody_is_up_within(&r, 900);
		fabric_port(first, true);
		assert_int_equal(messages_finish(&r), 0);
		messages_check(&r);
		assert_int_equal(conn->rail[first].flow[LINA_CLASS_LATENCY].flow.queued_bytes, 0);
		run_close(&r);
	}
}

/* A rail breaks at some request of each round, and is back in one of the next; or the other breaks
 * before. */
static void rails_come_and_go(void **state)
{
	enum { ROUNDS = 12 };
	struct run r;

	(void)state;
	for (int cls = 0; cls < RAILS_NWAYS; cls++) {
		if (cls == 0)
			run_open_small_chunks(&r);
		else
			run_open(&r, 2, rails_classes[cls]);
		for (int i = 0; i < ROUNDS; i++) {
			uint64_t dice = random_next(&r.random);
			fabric_fail_work(
				(long)(1 + dice % 300), IBV_WC_RETRY_EXC_ERR, dice >> 32 & 1);
			messages_arrive(&r);
			used_again(&r, 0);
			used_again(&r, 1);
			nothing_is_queued(&r);
		}
		run_close(&r);
	}
}

static void removed_device_costs_no_byte(void **state)
{
	struct run r;

	(void)state;
	for (int cls = 0; cls < RAILS_NCLASSES; cls++)
		for (int dev = 0; dev < 2; dev++) {
			run_open(&r, 2, rails_classes[cls]);
			messages_post(&r);
			fabric_remove(dev);
			assert_int_equal(messages_finish(&r), 0);
			messages_check(&r);
			messages_arrive(&r);
			run_close(&r);
		}
}

/* Queue pairs that have posted much data since posts were forgotten. */
static int busy_qps(void)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	enum { QPS_MAX = 256, MUCH = 100000 };
	uint64_t bytes[QPS_MAX] = { 0 };
	int n = fabric_posts(posts, FABRIC_POSTS_MAX), nbusy = 0;

	for (int i = 0; i < n; i++)
		bytes[posts[i].qp_num % QPS_MAX] += posts[i].bytes;
	for (int i = 0; i < QPS_MAX; i++)
		nbusy += bytes[i] > MUCH;
	return nbusy;
}

/* Rails of one port are as good as those of several: they share the traffic, and one that breaks,
 * as where one of several ways through the network fails, costs nothing. */
static void one_port_may_have_several_rails(void **state)
{
	static const char *const settings[] = { "all=bulk LINA_QPS=3", "all=latency LINA_QPS=3" };
	struct run r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		run_open(&r, 1, settings[i]);
		fabric_posts_forget();
		messages_arrive(&r);
		assert_int_equal(busy_qps(), 3);
		fabric_fail_work(20, IBV_WC_RETRY_EXC_ERR, i);
		messages_arrive(&r);
		messages_arrive(&r);
		assert_true(log_says("its work goes to the other rails"));
		sleep_ms(20); /* LINA_RAIL_RETRY_MS */
		messages_arrive(&r);
		fabric_posts_forget();
		messages_arrive(&r);
		assert_int_equal(busy_qps(), 3);
		run_close(&r);
	}
	run_open(&r, 2, "all=bulk LINA_QPS=128");
	fabric_posts_forget();
	messages_arrive(&r);
	assert_int_equal(busy_qps(), VERBS_RAILS_MAX);
	assert_true(bytes_of(0) > 100000 && bytes_of(1) > 100000);
	run_close(&r);
}

/* GPU memory, which is known by a dmabuf: a flush reads by every rail and ends. */
static void gpu_memory_is_read_back(void **state)
{
	struct lina_request *flush = NULL;
	struct lina_mr *mr;
	struct run r;

	(void)state;
	run_open(&r, 2, rails_classes[0]);
	void *data = aligned_alloc(4096, 8192);
	int bytes = 5000, done = 0, fd = memfd_create("gpu", MFD_CLOEXEC);
	assert_true(fd >= 0 && ftruncate(fd, 8192) == 0);
	assert_int_equal(lina_net_reg(r.recv, data, 8192, LINA_PTR_CUDA, 0, fd, &mr), 0);
	for (int i = 0; i < 100; i++) {
		long reads = fabric_counts().reads;
		assert_int_equal(lina_net_flush(r.recv, 1, &data, &bytes, &mr, &flush), 0);
		assert_non_null(flush);
		uint64_t until_ms = now_ms() + WAIT_MS;
		for (done = 0; !done && now_ms() < until_ms;)
			assert_int_equal(lina_net_test(flush, &done, NULL), 0);
		assert_true(done);
		assert_int_equal(fabric_counts().reads - reads, 2);
	}
	assert_int_equal(lina_net_dereg(r.recv, mr), 0);
	run_close(&r);
	free(data);
	(void)close(fd);
}

/* Unless the request was one that no message needed any more. */
static void last_rail_that_breaks_is_an_error(void **state)
{
	static const enum ibv_wc_status statuses[] = { IBV_WC_RETRY_EXC_ERR, IBV_WC_REM_ACCESS_ERR,
		IBV_WC_WR_FLUSH_ERR };
	int nerrors = 0;
	struct run r;

	(void)state;
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		for (long n = 1; n < 30; n += 3) {
			run_open(&r, 1, rails_classes[i % RAILS_NCLASSES]);
			fabric_fail_work(n, statuses[i], false);
			messages_post(&r);
			if (messages_finish(&r))
				nerrors++;
			else
				messages_check(&r);
			run_close(&r);
		}
	assert_true(nerrors >= 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rail_carries_its_part),
		cmocka_unit_test(rail_that_breaks_costs_no_byte),
		cmocka_unit_test(port_that_comes_back_is_used_again),
		cmocka_unit_test(rail_that_breaks_often_gets_grants_even_so),
		cmocka_unit_test(all_that_waits_is_told_once),
		cmocka_unit_test(rails_come_and_go),
		cmocka_unit_test(removed_device_costs_no_byte),
		cmocka_unit_test(one_port_may_have_several_rails),
		cmocka_unit_test(gpu_memory_is_read_back),
		cmocka_unit_test(last_rail_that_breaks_is_an_error),
	};
	return cmocka_run_group_tests_name("verbs_rails", tests, NULL, NULL);
}
