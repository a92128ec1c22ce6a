/*
 * As many connections as devices grant queue pairs for, between two of them in one process: each
 * carries a byte, one more is refused with figures, and all closes.
 *
 * Usage: many_qps DEVICE DEVICE LEAST
 * LEAST: connections that there must be at least. Says "full" when there are no more to be had, and
 * goes on at the end of its input.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/fixture.h"

enum { CONNS_MAX = 4096, WAIT_MS = 20000, REST_MS = 700, TAG = 3 };

struct joined {
	struct lina_conn *send, *recv;
	struct lina_mr *from, *to; /* all of these */
	struct lina_request *sent, *received;
};

static struct lina_net *net;
static struct joined joined[CONNS_MAX];
static int njoined;
/* A byte of each connection. */
static _Alignas(4096) uint8_t from[CONNS_MAX], to[CONNS_MAX];

/* --- opening --- */

/* A connection has two sockets, one at each end. */
static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		die("RLIMIT_NOFILE: %s", strerror(errno));
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		die("RLIMIT_NOFILE: %s", strerror(errno));
}

/* Both directions in turn. 0, or why there is not one more. */
static int join(int i)
{
	struct joined *j = &joined[i];
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_listener *listener = NULL;
	int err = lina_net_listen(net, i % 2, handle, &listener);

	for (uint64_t until_ms = now_ms() + WAIT_MS; !err && (!j->send || !j->recv);) {
		if (now_ms() > until_ms)
			die("connection %d is not there after %d ms", i, WAIT_MS);
		if (!j->send)
			err = lina_net_connect(
				net, 1 - i % 2, LINA_TRAFFIC_CLASS_UNSET, handle, &j->send);
		if (!err && !j->recv)
			err = lina_net_accept(listener, &j->recv);
	}
	if (listener)
		lina_net_close_listen(listener);
	if (!err)
		err = lina_net_reg(j->send, from, sizeof(from), LINA_PTR_HOST, 0, -1, &j->from);
	return err ? err : lina_net_reg(j->recv, to, sizeof(to), LINA_PTR_HOST, 0, -1, &j->to);
}

static void part(struct joined *j)
{
	if (j->send)
		lina_net_close_send(j->send);
	if (j->recv)
		lina_net_close_recv(j->recv);
}

/* Until there are no more to be had. */
static void all_join(int least)
{
	int err = 0;

	while (njoined < CONNS_MAX && !(err = join(njoined)))
		njoined++;
	if (!err)
		die("%d connections and no limit", njoined);
	part(&joined[njoined]);
	(void)printf("refused after %d: %s", njoined, log_text());
	if (njoined < least)
		die("that is less than %d", least);
	if (!log_says("queue pairs, ") || !log_says("memory that may be locked"))
		die("without figures");
	log_forget();
}

/* --- moving --- */

static void byte_await(int i)
{
	struct joined *j = &joined[i];
	int tag = TAG;
	size_t room = 1;
	void *data = &to[i];

	if (lina_net_recv(j->recv, 1, &data, &room, &tag, &j->to, NULL, &j->received) ||
		!j->received)
		die("no receive on connection %d: %s", i, log_text());
}

static void byte_send(int i)
{
	struct joined *j = &joined[i];

	from[i] = (uint8_t)(i % 251 + 1);
	if (lina_net_send(j->send, &from[i], 1, TAG, j->from, NULL, &j->sent) || !j->sent)
		die("no send on connection %d: %s", i, log_text());
}

static int turn(struct lina_request **request)
{
	int done = 0;

	if (*request && lina_net_test(*request, &done, NULL))
		die("%s", log_text());
	if (done)
		*request = NULL;
	return *request != NULL;
}

static int turn_all(void)
{
	int left = 0;

	for (int i = 0; i < njoined; i++)
		left += turn(&joined[i].sent) + turn(&joined[i].received);
	return left;
}

/* The receivers wait first, until each has asked its sender's end what it missed. */
static void all_move(void)
{
	for (int i = 0; i < njoined; i++)
		byte_await(i);
	for (uint64_t until_ms = now_ms() + REST_MS; now_ms() < until_ms;)
		(void)turn_all();
	for (int i = 0; i < njoined; i++)
		byte_send(i);
	for (uint64_t until_ms = now_ms() + WAIT_MS; turn_all();)
		if (now_ms() > until_ms)
			die("not all has moved after %d ms", WAIT_MS);
	for (int i = 0; i < njoined; i++)
		if (to[i] != from[i])
			die("byte %d is %d, not %d", i, to[i], from[i]);
}

static void go_wait(void)
{
	(void)puts("full");
	(void)fflush(stdout);
	while (getchar() != EOF)
		;
}

int main(int argc, char **argv)
{
	char settings[256];

	if (argc != 4)
		die("usage: many_qps DEVICE DEVICE LEAST");
	(void)snprintf(settings, sizeof(settings),
		"LINA_TRANSPORT=verbs LINA_PEER_TIMEOUT_MS=1000 LINA_HCA==%s,%s", argv[1], argv[2]);
	descriptors_raise();
	if (net_open(settings, &net))
		die("%s", log_text());
	uint64_t began_ms = now_ms();
	all_join(atoi(argv[3]));
	uint64_t open_ms = now_ms();
	go_wait();
	uint64_t went_ms = now_ms();
	all_move();
	uint64_t moved_ms = now_ms();
	for (int i = 0; i < njoined; i++)
		part(&joined[i]);
	lina_net_close(net);
	(void)printf("%d connections: opened in %d ms, a byte moved on each in %d ms, closed in %d "
		     "ms\n",
		njoined, (int)(open_ms - began_ms), (int)(moved_ms - went_ms),
		(int)(now_ms() - moved_ms));
	return EXIT_SUCCESS;
}
