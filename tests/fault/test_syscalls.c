/* Each system call and each allocation fails once, at every place where it is made: what was begun
 * is undone, the caller's memory is left alone, one line says why. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "net/faults.h"
#include "net/fixture.h"

enum { LIMIT_MS = 30000, BYTES = 50000, MOST_CALLS = 5000 };

/* Outputs that no failed call may write. */
static char mark;
#define UNTOUCHED(type) ((struct type *)&mark)

struct run {
	struct lina_net *net;
	struct lina_listener *listener;
	struct lina_conn *send, *recv;
	struct lina_mr *mr;
	struct lina_request *sent, *received;
	uint8_t handle[LINA_HANDLE_BYTES], unused_handle[LINA_HANDLE_BYTES];
	bool connected, accepted;
};

static uint8_t from[BYTES], to[BYTES];

/* A failed call leaves its output as it was. */
static int checked(int err, const void *output, const char *what)
{
	if (err && output != &mark)
		fail_msg("%s of %s wrote its output and failed: %s", what, faults_name(),
			strerror(-err));
	return err;
}

static int run_open(struct run *run, const char *settings)
{
	run->net = UNTOUCHED(lina_net);
	return checked(net_open(settings, &run->net), run->net, "open");
}

static int run_listen(struct run *run)
{
	run->listener = UNTOUCHED(lina_listener);
	memset(run->handle, 0x5a, sizeof(run->handle));
	memset(run->unused_handle, 0x5a, sizeof(run->handle));
	int err = lina_net_listen(run->net, 0, run->handle, &run->listener);
	if (err)
		assert_memory_equal(run->handle, run->unused_handle, sizeof(run->handle));
	return checked(err, run->listener, "listen");
}

static int run_connect(struct run *run)
{
	run->send = UNTOUCHED(lina_conn);
	int err = checked(
		lina_net_connect(run->net, 0, LINA_TRAFFIC_CLASS_UNSET, run->handle, &run->send),
		run->send, "connect");
	run->connected = !err && run->send;
	return err;
}

static int run_accept(struct run *run)
{
	run->recv = UNTOUCHED(lina_conn);
	int err = checked(lina_net_accept(run->listener, &run->recv), run->recv, "accept");
	run->accepted = !err && run->recv;
	if (run->accepted) /* as NCCL does */
		assert_int_equal(lina_net_close_listen(run->listener), 0);
	return err;
}

static int run_meet(struct run *run)
{
	uint64_t deadline = now_ms() + LIMIT_MS;
	int err = 0;

	while (!err && !(run->connected && run->accepted)) {
		if (!run->connected)
			err = run_connect(run);
		if (!err && !run->accepted)
			err = run_accept(run);
		if (!err && now_ms() > deadline)
			fail_msg("stands still after a failed %s", faults_name());
	}
	return err;
}

static int run_send(struct run *run, size_t bytes, int tag)
{
	run->sent = UNTOUCHED(lina_request);
	return checked(lina_net_send(run->send, from, bytes, tag, NULL, NULL, &run->sent),
		run->sent, "send");
}

static int run_recv(struct run *run, size_t bytes, int tag)
{
	void *data = to;

	run->received = UNTOUCHED(lina_request);
	return checked(lina_net_recv(run->recv, 1, &data, &bytes, &tag, NULL, NULL, &run->received),
		run->received, "recv");
}

/* A message against credit, an early one, and one that is set aside on its way. */
static int run_transfer(struct run *run)
{
	struct lina_request *aside;

	run->mr = UNTOUCHED(lina_mr);
	int err = checked(lina_net_reg(run->send, from, BYTES, LINA_PTR_HOST, 0, -1, &run->mr),
		run->mr, "reg");
	if (!err)
		err = run_recv(run, BYTES, 1);
	if (!err)
		err = run_send(run, BYTES, 1);
	if (!err)
		err = finish_both(run->sent, run->received, LIMIT_MS);
	if (!err)
		err = run_send(run, 3000, 2);
	aside = run->sent;
	if (!err)
		err = run_recv(run, 10, 3);
	if (!err)
		err = run_send(run, 10, 3);
	if (!err)
		err = finish_both(run->sent, run->received, LIMIT_MS);
	if (!err)
		err = run_recv(run, 3000, 2);
	if (!err)
		err = finish_both(aside, run->received, LIMIT_MS);
	return err;
}

/* 0 or the first error; what is open then goes with the context. */
static int run_all(const char *settings)
{
	struct run run = { 0 };

	int err = run_open(&run, settings);
	if (err)
		return err;
	err = run_listen(&run);
	if (!err)
		err = run_meet(&run);
	if (!err)
		err = run_transfer(&run);
	assert_int_equal(lina_net_close(run.net), 0);
	return err;
}

/* A peer whose welcome is lost dials again, and the listener is done: short, that ends by timeout.
 */
static void each_call_fails_once(const char *settings)
{
	int fds = fds_open();
	long live = faults_live();
	int nfailed = 0, nlate = 0;

	for (long n = 1;; n++) {
		assert_true(n < MOST_CALLS);
		log_forget();
		faults_at(n);
		int err = run_all(settings);
		bool met = faults_met();
		faults_at(0);
		if (err == -EAGAIN)
			fail_msg("call %ld, %s: stands still", n, faults_name());
		if (fds_open() != fds || faults_live() != live)
			fail_msg("call %ld, %s: %d descriptors and %ld pieces of memory lost", n,
				faults_name(), fds_open() - fds, faults_live() - live);
		if (log_warnings() != (err != 0))
			fail_msg("call %ld, %s: %s, %d lines: %s", n, faults_name(), strerror(-err),
				log_warnings(), log_text());
		nfailed += err != 0;
		if (!met && !err)
			break;
		if (!met) { /* the machine was busy for the whole of a short timeout */
			assert_int_equal(err, -ETIMEDOUT);
			assert_in_range(++nlate, 1, 20);
			n--;
		}
	}
	assert_in_range(nfailed, 15, MOST_CALLS); /* faults were met, and made it to the caller */
}

static void on_one_lane(void **state)
{
	(void)state;
	each_call_fails_once("LINA_CONNECT_TIMEOUT_MS=200");
}

static void on_three_lanes(void **state)
{
	(void)state;
	each_call_fails_once("LINA_CONNECT_TIMEOUT_MS=200 LINA_LANES=3");
}

static void without_standing_credit(void **state)
{
	(void)state;
	each_call_fails_once("LINA_CONNECT_TIMEOUT_MS=200 LINA_EARLY_BYTES=0");
}

/* --- what the kernel says of the peer --- */

enum { TESTS_PER_LOOK = 256 };

/* Tests for ms; 0 or the error that ended it. */
static int idle_for(struct lina_request *request, int ms)
{
	int done = 0, err = 0;

	for (uint64_t until = now_ms() + (uint64_t)ms; !err && now_ms() < until;)
		err = lina_net_test(request, &done, NULL);
	return err;
}

static void silence_counts_when_an_answer_is_owed(void **state)
{
	struct pair pair;

	(void)state;
	log_forget();
	pair_open("LINA_PEER_TIMEOUT_MS=5000", &pair);
	struct lina_request *r = post_recv(pair.recv, to, 10, 1);
	faults_silence(100000, 0, 0); /* silent, and owes nothing */
	assert_int_equal(idle_for(r, 2500), 0);
	faults_silence(4900, 1, 1); /* owes, and has time left */
	assert_int_equal(idle_for(r, 2500), 0);
	faults_silence(5100, 0, 1);
	assert_int_equal(idle_for(r, LIMIT_MS), -ETIMEDOUT);
	faults_silence(-1, 0, 0);
	assert_int_equal(log_warnings(), 1);
	assert_true(log_says("waiting for 127.0.0.1:"));
	pair_close(&pair);
}

/* The kernel pauses between its questions: one that has just gone out is given time. */
static void question_just_asked_is_not_silence(void **state)
{
	struct pair pair;

	(void)state;
	log_forget();
	pair_open("LINA_PEER_TIMEOUT_MS=5000", &pair);
	struct lina_request *r = post_recv(pair.recv, to, 10, 1);
	for (int i = 0; i < 3; i++) {
		faults_silence(60000, 0, 1);
		assert_int_equal(idle_for(r, 900), 0);
		faults_silence(20, 0, 0);
		assert_int_equal(idle_for(r, 1100), 0);
	}
	faults_silence(-1, 0, 0);
	assert_int_equal(log_warnings(), 0);
	pair_close(&pair);
}

/* Header and payload in one call, against standing credit: nothing has to come back first. */
static void a_small_message_is_one_write_and_needs_no_answer(void **state)
{
	static const size_t sizes[] = { 0, 1, 8, 4096, 16384 };
	struct pair pair;

	(void)state;
	pair_open("", &pair);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		fill(from, sizes[i], i);
		struct lina_request *received = post_recv(pair.recv, to, sizes[i], 1);
		long before = faults_sends();
		struct lina_request *sent = post_send(pair.send, from, sizes[i], 1);
		assert_int_equal(finish_within(sent, LIMIT_MS, NULL), 0);
		assert_int_equal(faults_sends() - before, 1);
		int done = 0;
		while (!done)
			assert_int_equal(lina_net_test(received, &done, NULL), 0);
		assert_true(is_filled(to, sizes[i], i));
		assert_int_equal(faults_sends() - before, 1);
	}
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_one_lane),
		cmocka_unit_test(on_three_lanes),
		cmocka_unit_test(without_standing_credit),
		cmocka_unit_test(silence_counts_when_an_answer_is_owed),
		cmocka_unit_test(question_just_asked_is_not_silence),
		cmocka_unit_test(a_small_message_is_one_write_and_needs_no_answer),
	};

	return cmocka_run_group_tests_name("syscalls", tests, NULL, NULL);
}
