/* Several rails on RDMA devices of this process: each carries its part; one that breaks, at
 * whatever request, costs nobody a byte; one that comes back is used again. Without another rail
 * the connection fails, and nothing is left of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake/fabric.h"
#include "net/fixture.h"

enum {
	MESSAGES = 8, /* of a round, all in flight at once */
	MESSAGE_MAX_BYTES = 700 << 10,
	WAIT_MS = 20000,
};

struct message {
	size_t bytes;
	uint8_t *from, *to;
	struct lina_mr *from_mr, *to_mr;
	struct lina_request *send, *recv;
};

struct run {
	struct lina_net *net;
	struct lina_listener *listener;
	struct lina_conn *send, *recv;
	struct message message[MESSAGES];
	uint64_t random;
};

/* --- a connection over nrails devices --- */

static void conns_open(struct run *r, int dev)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	uint64_t until_ms = now_ms() + WAIT_MS;

	assert_int_equal(lina_net_listen(r->net, dev, handle, &r->listener), 0);
	while (!r->send || !r->recv) {
		assert_true(now_ms() < until_ms);
		if (!r->send)
			assert_int_equal(lina_net_connect(r->net, dev, LINA_TRAFFIC_CLASS_UNSET,
						 handle, &r->send),
				0);
		if (!r->recv)
			assert_int_equal(lina_net_accept(r->listener, &r->recv), 0);
	}
}

static void messages_make(struct run *r)
{
	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = &r->message[i];
		m->from = malloc(MESSAGE_MAX_BYTES);
		m->to = malloc(MESSAGE_MAX_BYTES);
		assert_int_equal(lina_net_reg(r->send, m->from, MESSAGE_MAX_BYTES, LINA_PTR_HOST, 0,
					 -1, &m->from_mr),
			0);
		assert_int_equal(lina_net_reg(r->recv, m->to, MESSAGE_MAX_BYTES, LINA_PTR_HOST, 0,
					 -1, &m->to_mr),
			0);
	}
}

static void run_open(struct run *r, int nrails, const char *classes)
{
	struct fabric_settings settings = fabric_defaults();
	char text[256];

	*r = (struct run){ .random = 7 };
	settings.ndevices = nrails;
	fabric_start(&settings);
	(void)snprintf(text, sizeof(text),
		"LINA_TRANSPORT=verbs LINA_RAIL_RETRY_MS=10 LINA_GRANT_BYTES=131072 "
		"LINA_MERGE=1 LINA_CLASSES=%s",
		classes);
	assert_int_equal(net_open(text, &r->net), 0);
	conns_open(r, 0);
	messages_make(r);
	log_forget();
}

static void run_close(struct run *r)
{
	lina_net_close_send(r->send);
	lina_net_close_recv(r->recv);
	lina_net_close_listen(r->listener);
	lina_net_close(r->net);
	for (int i = 0; i < MESSAGES; i++) {
		free(r->message[i].from);
		free(r->message[i].to);
	}
	assert_true(fabric_nothing_live());
	assert_int_equal(fabric_counts().misuses, 0);
}

/* --- messages --- */

static void message_post(struct run *r, struct message *m, int tag)
{
	size_t room = MESSAGE_MAX_BYTES;
	void *to = m->to;

	fill(m->from, m->bytes, (uint64_t)tag + m->bytes);
	memset(m->to, 0, room);
	assert_int_equal(lina_net_recv(r->recv, 1, &to, &room, &tag, &m->to_mr, NULL, &m->recv), 0);
	assert_int_equal(
		lina_net_send(r->send, m->from, m->bytes, tag, m->from_mr, NULL, &m->send), 0);
	assert_non_null(m->recv);
	assert_non_null(m->send);
}

/* One test of request; its error. A request that has ended becomes NULL. */
static int turn(struct lina_request **request, int *bytes_p)
{
	int done = 0;

	int err = *request ? lina_net_test(*request, &done, bytes_p) : 0;
	if (done)
		*request = NULL;
	return err;
}

/* All messages to their end, or to the first error. */
static int messages_finish(struct run *r)
{
	uint64_t until_ms = now_ms() + WAIT_MS;
	int left = MESSAGES, err = 0;

	while (left && !err) {
		assert_true(now_ms() < until_ms);
		left = 0;
		for (int i = 0; i < MESSAGES && !err; i++) {
			struct message *m = &r->message[i];
			int got = -1;
			err = turn(&m->send, NULL);
			if (!err)
				err = turn(&m->recv, &got);
			assert_true(got < 0 || m->recv || (size_t)got == m->bytes);
			left += m->send || m->recv;
		}
	}
	return err;
}

static void messages_post(struct run *r)
{
	for (int i = 0; i < MESSAGES; i++) {
		struct message *m = &r->message[i];
		bool small = random_next(&r->random) % 4 == 0;
		m->bytes = random_next(&r->random) % (small ? 100 : MESSAGE_MAX_BYTES);
		message_post(r, m, i % 3);
	}
}

static void messages_check(const struct run *r)
{
	for (int i = 0; i < MESSAGES; i++) {
		const struct message *m = &r->message[i];
		assert_true(is_filled(m->to, m->bytes, (uint64_t)(i % 3) + m->bytes));
	}
}

static void messages_arrive(struct run *r)
{
	messages_post(r);
	int err = messages_finish(r);
	if (err)
		fail_msg("%s: %s", strerror(-err), log_text());
	messages_check(r);
}

static uint64_t bytes_of(int dev)
{
	static struct fabric_post posts[FABRIC_POSTS_MAX];
	uint64_t bytes = 0;

	int n = fabric_posts(posts, FABRIC_POSTS_MAX);
	for (int i = 0; i < n; i++)
		bytes += posts[i].dev == dev ? posts[i].bytes : 0;
	return bytes;
}

static const char *const classes[] = { "all=bulk", "all=latency" };
enum { NCLASSES = 2 };

static void each_rail_carries_its_part(void **state)
{
	struct run r;

	(void)state;
	for (int nrails = 2; nrails <= 4; nrails++)
		for (int cls = 0; cls < NCLASSES; cls++) {
			uint64_t share = MESSAGES * (512u << 10) / (unsigned)nrails;
			run_open(&r, nrails, classes[cls]);
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

	run_open(&r, 2, classes[cls]);
	fabric_fail_work(n, IBV_WC_RETRY_EXC_ERR, moved);
	messages_arrive(&r);
	messages_arrive(&r);
	assert_true(log_says("its work goes to the other rails"));
	run_close(&r);
}

static void rail_that_breaks_costs_no_byte(void **state)
{
	(void)state;
	for (int cls = 0; cls < NCLASSES; cls++)
		for (long n = 1; n < 60; n++)
			for (int moved = 0; moved < 2; moved++)
				rail_breaks_at(n, moved, cls);
}

/* Messages go on until dev has carried data since it was forgotten. */
static void used_again(struct run *r, int dev)
{
	uint64_t until_ms = now_ms() + WAIT_MS;

	do {
		assert_true(now_ms() < until_ms);
		fabric_posts_forget();
		messages_arrive(r);
	} while (bytes_of(dev) < 100000);
}

static void port_that_comes_back_is_used_again(void **state)
{
	struct run r;

	(void)state;
	for (int cls = 0; cls < NCLASSES; cls++) {
		run_open(&r, 2, classes[cls]);
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

static void removed_device_costs_no_byte(void **state)
{
	struct run r;

	(void)state;
	for (int cls = 0; cls < NCLASSES; cls++)
		for (int dev = 0; dev < 2; dev++) {
			run_open(&r, 2, classes[cls]);
			messages_post(&r);
			fabric_remove(dev);
			assert_int_equal(messages_finish(&r), 0);
			messages_check(&r);
			messages_arrive(&r);
			run_close(&r);
		}
}

/* GPU memory, which is known by a dmabuf: a flush reads by every rail and ends. */
static void gpu_memory_is_read_back(void **state)
{
	struct lina_request *flush = NULL;
	struct lina_mr *mr;
	struct run r;

	(void)state;
	run_open(&r, 2, classes[0]);
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
			run_open(&r, 1, classes[i % NCLASSES]);
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
		cmocka_unit_test(removed_device_costs_no_byte),
		cmocka_unit_test(gpu_memory_is_read_back),
		cmocka_unit_test(last_rail_that_breaks_is_an_error),
	};
	return cmocka_run_group_tests_name("verbs_rails", tests, NULL, NULL);
}
