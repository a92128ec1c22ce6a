/* Peers that are stopped or have nothing to say: slow is not dead. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "child.h"

enum { TIMEOUT_MS = 1000, STOPPED_MS = 8000 };

/* Receives on one connection and sends on another, for ever slowly: it is stopped meanwhile. */
static void child_is_slow(int from, int to)
{
	uint8_t *data = large_new(), sent[SMALL], more;

	child_open();
	struct lina_conn *recv = child_accept(to), *send = child_connect(from);
	struct lina_request *r = post_recv(recv, data, LARGE, 0);
	for (int i = 0, done = 0; i < 100 && !done; i++)
		(void)lina_net_test(r, &done, NULL);
	pipe_write(to, "", 1);
	pipe_read(from, &more, 1);
	fill(sent, SMALL, 5);
	int err = finish_within(r, LIMIT_MS, NULL);
	if (!err)
		err = finish_within(post_send(send, sent, SMALL, 0), LIMIT_MS, NULL);
	if (err || !is_filled(data, LARGE, 4))
		die("in the child: %s", strerror(-err));
	pipe_read(from, &more, 1); /* the parent has all */
	_exit(0);
}

static void both_move(
	struct lina_request *send, struct lina_request *recv, int *sent, int *received)
{
	if (!*sent)
		assert_int_equal(lina_net_test(send, sent, NULL), 0);
	if (!*received)
		assert_int_equal(lina_net_test(recv, received, NULL), 0);
}

static void stopped_peer_is_waited_for(void **state)
{
	uint8_t *data = large_new(), got[SMALL] = { 0 };
	int sent = 0, received = 0;

	(void)state;
	fill(data, LARGE, 4);
	struct child child = child_start(child_is_slow);
	parent_open();
	struct lina_conn *send = parent_connect(&child), *recv = parent_accept(&child);
	struct lina_request *s = post_send(send, data, LARGE, 0),
			    *r = post_recv(recv, got, SMALL, 0);
	child_is_ready(&child);
	assert_int_equal(kill(child.pid, SIGSTOP), 0);
	for (uint64_t until = now_ms() + STOPPED_MS; now_ms() < until;)
		both_move(s, r, &sent, &received);
	assert_false(sent || received);
	assert_int_equal(kill(child.pid, SIGCONT), 0);
	pipe_write(child.to, "", 1);
	for (uint64_t until = now_ms() + LIMIT_MS; now_ms() < until && !(sent && received);)
		both_move(s, r, &sent, &received);
	assert_true(sent && received);
	assert_true(is_filled(got, SMALL, 5));
	pipe_write(child.to, "", 1);
	assert_int_equal(child_end(&child, 0), 0);
	assert_int_equal(log_warnings(), 0);
	free(data);
}

/* Nothing to say for three times the timeout, on either end, is no reason either. */
static void idle_peer_is_waited_for(void **state)
{
	struct pair pair;
	uint8_t got[SMALL];
	int done = 0;

	(void)state;
	pair_open(child_settings, &pair);
	struct lina_request *r = post_recv(pair.recv, got, SMALL, 0);
	struct lina_request *s = post_send(pair.send, got, SMALL, 1); /* never meets */
	for (uint64_t until = now_ms() + 4ull * TIMEOUT_MS; now_ms() < until;) {
		assert_int_equal(lina_net_test(r, &done, NULL), 0);
		assert_int_equal(lina_net_test(s, &done, NULL), 0);
		assert_int_equal(done, 0);
	}
	assert_int_equal(log_warnings(), 0);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(stopped_peer_is_waited_for),
		CASE(idle_peer_is_waited_for),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("slow", tests, NULL, NULL);
}
