/* Contexts and connections of many threads at once; TSan looks on in its build. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/fixture.h"

enum { NTHREADS = 8, ROUNDS = 30, OPENINGS = 60, BYTES = 200000, LIMIT_MS = 60000 };

static const struct lina_net_params params = { .traffic_class = LINA_TRAFFIC_CLASS_UNSET,
	.log = record_log };
static pthread_barrier_t start;

/* Asserts of cmocka belong to the main thread; here a failure ends the program. */
static void must(int err, const char *what)
{
	if (err)
		die("%s: %s", what, strerror(-err));
}

static void exchange(const struct pair *pair, uint64_t seed)
{
	static _Thread_local uint8_t from[BYTES], to[BYTES];
	size_t n = seed * 977 % BYTES;

	fill(from, n, seed);
	memset(to, 0, n);
	struct lina_request *r = post_recv(pair->recv, to, n, 1);
	must(finish_both(post_send(pair->send, from, n, 1), r, LIMIT_MS), "exchange");
	if (!is_filled(to, n, seed))
		die("thread data differs");
}

static void *connections_of_one_thread(void *arg)
{
	uint64_t seed = *(const uint64_t *)arg * 1000;
	struct lina_net *net;
	struct lina_mr *mr;
	struct pair pair[2];

	(void)pthread_barrier_wait(&start);
	must(lina_net_open(&params, &net), "open");
	must(pair_connect(net, &pair[0]), "first pair");
	must(pair_connect(net, &pair[1]), "second pair");
	for (uint64_t i = 0; i < ROUNDS; i++) {
		must(lina_net_reg(pair[0].send, &pair, sizeof(pair), LINA_PTR_HOST, 0, -1, &mr),
			"reg");
		exchange(&pair[i % 2], seed + i);
		must(lina_net_dereg(pair[0].send, mr), "dereg");
	}
	must(lina_net_close_send(pair[0].send), "close");
	must(lina_net_close(net), "close");
	return NULL;
}

static void *contexts_of_one_thread(void *arg)
{
	(void)arg;
	(void)pthread_barrier_wait(&start);
	for (int i = 0; i < OPENINGS; i++) {
		struct lina_net *net;
		struct lina_net_props props;
		uint8_t handle[LINA_HANDLE_BYTES];
		struct lina_listener *listener;
		int n = 0;

		must(lina_net_open(&params, &net), "open");
		must(lina_net_count(&n), "count");
		must(lina_net_props_get(n - 1, &props), "props");
		must(lina_net_listen(net, 0, handle, &listener), "listen");
		must(lina_net_close(net), "close");
	}
	return NULL;
}

static void run_all(void *(*run)(void *), bool gives_back)
{
	pthread_t threads[NTHREADS];
	uint64_t number[NTHREADS]; /* each thread's own */
	int fds = fds_open();

	log_forget();
	assert_int_equal(pthread_barrier_init(&start, NULL, NTHREADS), 0);
	for (uint64_t i = 0; i < NTHREADS; i++) {
		number[i] = i;
		assert_int_equal(pthread_create(&threads[i], NULL, run, &number[i]), 0);
	}
	for (int i = 0; i < NTHREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(pthread_barrier_destroy(&start), 0);
	if (gives_back)
		assert_int_equal(fds_open(), fds);
	if (log_warnings())
		fail_msg("%s", log_text());
}

static void threads_have_connections_of_their_own(void **state)
{
	(void)state;
	run_all(connections_of_one_thread, true);
}

static void threads_open_and_close_contexts(void **state)
{
	(void)state;
	run_all(contexts_of_one_thread, true);
}

/* One context for all: NCCL's threads share it; each connection has one user. */
static struct lina_net *shared;

static void *pairs_in_a_shared_context(void *arg)
{
	uint64_t seed = *(const uint64_t *)arg * 1000;

	(void)pthread_barrier_wait(&start);
	for (uint64_t i = 0; i < 10; i++) {
		struct pair pair;
		must(pair_connect(shared, &pair), "pair");
		exchange(&pair, seed + i);
		must(lina_net_close_recv(pair.recv), "close");
		if (i % 2)
			must(lina_net_close_send(pair.send), "close");
	}
	return NULL;
}

/* Registration may come from another thread than the transfers (NCCL's proxy has two). */
static struct pair common;
static atomic_bool stop;

static void *registers_while_others_transfer(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		struct lina_mr *mr;
		must(lina_net_reg(common.send, &common, sizeof(common), LINA_PTR_HOST, 0, -1, &mr),
			"reg");
		must(lina_net_dereg(common.send, mr), "dereg");
	}
	return NULL;
}

static void threads_share_a_context(void **state)
{
	pthread_t registrar;
	int fds = fds_open();

	(void)state;
	assert_int_equal(net_open("LINA_LANES=2", &shared), 0);
	assert_int_equal(pair_connect(shared, &common), 0);
	atomic_store(&stop, false);
	assert_int_equal(
		pthread_create(&registrar, NULL, registers_while_others_transfer, NULL), 0);
	run_all(pairs_in_a_shared_context, false);
	for (uint64_t i = 0; i < 20; i++)
		exchange(&common, i);
	atomic_store(&stop, true);
	assert_int_equal(pthread_join(registrar, NULL), 0);
	assert_int_equal(lina_net_close(shared), 0);
	assert_int_equal(fds_open(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_have_connections_of_their_own),
		cmocka_unit_test(threads_open_and_close_contexts),
		cmocka_unit_test(threads_share_a_context),
	};
	struct lina_net *net;

	/* Sets the environment, which threads read, and no more. */
	if (net_open("", &net) || lina_net_close(net))
		die("no context");
	return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
