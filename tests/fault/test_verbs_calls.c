/* Every call to the RDMA library fails once, at every place where it is made; work fails; devices
 * allow little. What was begun is undone, nothing waits for ever, one line says why. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fake/fabric.h"
#include "net/cases.h"
#include "net/evil.h"
#include "priority/class.h"

enum { BYTES = 300000, MOST_CALLS = 400, MESSAGES = 40 };

/* Nothing here waits until the first is over, and a busy machine may stand still for long. */
#define SETTINGS "LINA_CONNECT_TIMEOUT_MS=10000 LINA_PEER_TIMEOUT_MS=1000 "

static uint8_t from[BYTES], to[BYTES];

static void class_set(struct lina_net *net, int op)
{
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	MUST(lina_net_attr_set(net, &attr));
}

/* One message; 0 or the first error. */
static int transfer(const struct pair *p, size_t bytes, uint64_t seed)
{
	struct lina_mr *send_mr = NULL, *recv_mr = NULL;
	struct lina_request *send = NULL, *recv = NULL;
	void *data = to;
	const int tag = 1;

	fill(from, bytes, seed);
	memset(to, 0, bytes);
	int err = lina_net_reg(p->send, from, BYTES, LINA_PTR_HOST, 0, -1, &send_mr);
	if (!err)
		err = lina_net_reg(p->recv, to, BYTES, LINA_PTR_HOST, 0, -1, &recv_mr);
	if (!err)
		err = lina_net_recv(p->recv, 1, &data, &bytes, &tag, &recv_mr, NULL, &recv);
	if (!err)
		err = lina_net_send(p->send, from, bytes, tag, send_mr, NULL, &send);
	if (!err && (!send || !recv))
		err = -EBUSY;
	if (!err)
		err = finish_both(send, recv, LIMIT_MS);
	if (!err)
		err = lina_net_dereg(p->send, send_mr);
	if (!err)
		err = lina_net_dereg(p->recv, recv_mr);
	if (!err && !is_filled(to, bytes, seed))
		fail_msg("data differs after a failed %s", fabric_failed_name());
	return err;
}

/* Opens, sends a small and a large message of each class, closes; 0 or the first error. */
static int run_all(const char *settings)
{
	struct pair p = { .net = NULL };

	int err = net_open(settings, &p.net);
	if (err)
		return err;
	err = pair_connect(p.net, &p);
	for (int i = 0; i < 4 && !err; i++) {
		class_set(p.net, i % 2 ? LINA_OP_ALLREDUCE : LINA_OP_ALLTOALL);
		err = transfer(&p, i < 2 ? 50 : BYTES, (uint64_t)i);
	}
	assert_int_equal(lina_net_close(p.net), 0);
	return err;
}

static void nothing_is_left(const char *what, long n, int err, int fds)
{
	struct fabric_live live = fabric_live();

	if (err == -EAGAIN)
		fail_msg("%s %ld: stands still", what, n);
	if (!fabric_nothing_live())
		fail_msg("%s %ld: left are %d contexts, %d domains, %d regions, %d completion "
			 "queues, %d queue pairs, %d events, %d lists",
			what, n, live.contexts, live.pds, live.mrs, live.cqs, live.qps, live.events,
			live.lists);
	if (fabric_counts().misuses > 0)
		fail_msg("%s %ld: calls that a device refuses", what, n);
	if (fds_open() != fds)
		fail_msg("%s %ld: %d descriptors are left", what, n, fds_open() - fds);
}

/* Returns how many places of the call were met. */
static int each_place_fails(const char *call, int call_err)
{
	int fds = fds_open();

	for (long n = 1;; n++) {
		struct fabric_settings settings = fabric_defaults();
		fabric_start(&settings);
		log_forget();
		fabric_fail(call, n, call_err);
		int err = run_all(SETTINGS);
		bool met = fabric_failed();
		nothing_is_left(call, n, err, fds);
		if (!met && err)
			fail_msg("%s: %s, though no call failed: %s", call, strerror(-err),
				log_text());
		if (err == -ETIMEDOUT)
			fail_msg("%s %ld: waits until its time is over", call, n);
		if (err && log_warnings() == 0)
			fail_msg("%s %ld: %s, and no word of it", call, n, strerror(-err));
		if (!met)
			return (int)n - 1;
		assert_true(n < MOST_CALLS);
	}
}

static void every_call_fails_once(void **state)
{
	static const struct {
		const char *name;
		int err;
	} calls[] = { { "get_device_list", -ENOSYS }, { "open_device", -EIO },
		{ "query_device", -EIO }, { "query_port", -EIO }, { "query_gid", -EIO },
		{ "alloc_pd", -ENOMEM }, { "reg_mr", -ENOMEM }, { "create_cq", -ENOMEM },
		{ "create_qp", -ENOMEM }, { "modify_qp", -EINVAL }, { "post_send", -ENOMEM },
		{ "post_recv", -ENOMEM },
		/* What the kernel says at a limit of the user's; it is not worth another try. */
		{ "reg_mr", -EAGAIN }, { "create_cq", -EAGAIN }, { "create_qp", -EAGAIN },
		{ "modify_qp", -EAGAIN } };

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (each_place_fails(calls[i].name, calls[i].err) == 0)
			fail_msg("%s is never called", calls[i].name);
}

/* It is called as often as time allows: the first times, and none in a quiet moment. */
static void polls_fail(void **state)
{
	int fds = fds_open(), nfailed = 0;

	(void)state;
	for (long n = 1; n <= 30; n++) {
		struct fabric_settings settings = fabric_defaults();
		fabric_start(&settings);
		fabric_fail("poll_cq", n, -EIO);
		int err = run_all(SETTINGS);
		nothing_is_left("poll_cq", n, err, fds);
		nfailed += err != 0;
	}
	assert_true(nfailed > 0);
}

/* --- work that fails --- */

static void any_work_may_fail(void **state)
{
	static const enum ibv_wc_status statuses[] = { IBV_WC_RETRY_EXC_ERR, IBV_WC_REM_ACCESS_ERR,
		IBV_WC_WR_FLUSH_ERR };
	int fds = fds_open(), nfailed = 0;

	(void)state;
	for (long n = 1; n <= 24; n++) {
		struct fabric_settings settings = fabric_defaults();
		fabric_start(&settings);
		log_forget();
		fabric_fail_work(n, statuses[n % 3], n % 2);
		int err = run_all(SETTINGS);
		nothing_is_left("work", n, err, fds);
		if (err && log_warnings() == 0)
			fail_msg("work %ld: %s, and no word of it", n, strerror(-err));
		nfailed += err != 0;
	}
	assert_true(nfailed > 0);
}

/* --- order --- */

/* Many messages of both classes in flight; queue pairs take turns by chance. */
static void order_across_queue_pairs_does_not_matter(void **state)
{
	static uint8_t out[MESSAGES][9000], in[MESSAGES][9000];
	struct lina_request *sends[MESSAGES], *recvs[MESSAGES];
	struct fabric_settings settings = fabric_defaults();

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		settings.seed = seed;
		fabric_start(&settings);
		pair_open("LINA_CHUNK_BYTES=2048", &pair);
		for (int i = 0; i < MESSAGES; i++) {
			size_t bytes = (size_t)i * 229 % sizeof(out[0]);
			fill(out[i], bytes, seed + (uint64_t)i);
			class_set(pair.net, i % 3 ? LINA_OP_ALLREDUCE : LINA_OP_ALLTOALL);
			recvs[i] = post_recv(pair.recv, in[i], bytes, i % 4);
			sends[i] = post_send(pair.send, out[i], bytes, i % 4);
		}
		for (int i = MESSAGES - 1; i >= 0; i--) {
			MUST(finish_both(sends[i], recvs[i], LIMIT_MS));
			assert_true(is_filled(
				in[i], (size_t)i * 229 % sizeof(out[0]), seed + (uint64_t)i));
		}
		pair_close(&pair);
	}
}

/* --- limits --- */

static void transfers_work_with(struct fabric_settings settings)
{
	int fds = fds_open();

	fabric_start(&settings);
	log_forget();
	int err = run_all(SETTINGS);
	if (err)
		fail_msg("%s: %s", strerror(-err), log_text());
	nothing_is_left("limits", 0, 0, fds);
	assert_int_equal(fabric_counts().overruns, 0);
}

static void small_devices_are_used(void **state)
{
	struct fabric_settings settings = fabric_defaults();

	(void)state;
	settings.max_sge = 1;
	transfers_work_with(settings);
	settings.max_inline = 0;
	transfers_work_with(settings);
	settings.max_qp_wr = 64;
	transfers_work_with(settings);
	settings.infiniband = true;
	transfers_work_with(settings);
}

static void refused_with(struct fabric_settings settings, const char *figure)
{
	int fds = fds_open();

	fabric_start(&settings);
	log_forget();
	int err = run_all(SETTINGS);
	nothing_is_left("limits", 0, err, fds);
	assert_true(err < 0 && err != -EAGAIN);
	if (!log_says(figure))
		fail_msg("'%s' is not in: %s", figure, log_text());
}

static void limits_are_said_with_their_figures(void **state)
{
	struct fabric_settings settings = fabric_defaults();

	(void)state;
	settings.max_qp = 3; /* an end has two queue pairs */
	refused_with(settings, "3");
	settings = fabric_defaults();
	settings.max_locked_bytes = 200000;
	refused_with(settings, "ulimit -l");
}

/* As many connections as the device has queue pairs for, and a refusal that says so. */
static void queue_pairs_are_used_to_the_last(void **state)
{
	enum { PAIRS = 500, QPS_OF_PAIR = 4, FDS_MORE = 100 };
	static struct pair pairs[PAIRS + 1];
	struct fabric_settings settings = fabric_defaults();
	struct rlimit fds;

	(void)state;
	MUST(getrlimit(RLIMIT_NOFILE, &fds));
	assert_true(fds.rlim_max >= 2 * PAIRS + FDS_MORE);
	fds.rlim_cur = 2 * PAIRS + FDS_MORE;
	MUST(setrlimit(RLIMIT_NOFILE, &fds));
	settings.max_qp = PAIRS * QPS_OF_PAIR;
	fabric_start(&settings);
	log_forget();
	MUST(net_open(SETTINGS, &pairs[0].net));
	for (int i = 0; i < PAIRS; i++)
		MUST(pair_connect(pairs[0].net, &pairs[i]));
	assert_int_equal(fabric_live().qps, settings.max_qp);
	assert_int_equal(log_warnings(), 0);
	assert_true(pair_connect(pairs[0].net, &pairs[PAIRS]) < 0);
	assert_true(log_says("the device has 2000 queue pairs, 2000 of them in this process"));
	assert_int_equal(lina_net_close(pairs[0].net), 0);
	assert_true(fabric_nothing_live());
}

/* A peer that comes with more sockets than such a connection has, and says no more. */
static void sockets_of_a_set_up_that_ends_are_closed(void **state)
{
	struct fabric_settings settings = fabric_defaults();
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener;
	struct lina_conn *conn;
	struct lina_net *net;
	int fds = fds_open(), lane[2];

	(void)state;
	fabric_start(&settings);
	MUST(net_open(SETTINGS, &net));
	MUST(lina_net_listen(net, 0, handle, &listener));
	for (int i = 0; i < 2; i++) {
		lane[i] = evil_dial(handle);
		evil_hello(lane[i], handle, 1, i, 2);
	}
	assert_int_equal(accept_within(listener, 100, &conn), -EAGAIN);
	MUST(lina_net_close(net));
	for (int i = 0; i < 2; i++)
		(void)close(lane[i]);
	assert_int_equal(fds_open(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_fails_once),
		cmocka_unit_test(polls_fail),
		cmocka_unit_test(any_work_may_fail),
		cmocka_unit_test(order_across_queue_pairs_does_not_matter),
		cmocka_unit_test(small_devices_are_used),
		cmocka_unit_test(limits_are_said_with_their_figures),
		cmocka_unit_test(queue_pairs_are_used_to_the_last),
		cmocka_unit_test(sockets_of_a_set_up_that_ends_are_closed),
	};

	return cmocka_run_group_tests_name("verbs_calls", tests, NULL, NULL);
}
