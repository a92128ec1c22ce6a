#include "engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/link_state.h"
#include "plugin/tcp_recv.h"
#include "plugin/tcp_send.h"

enum { STUCK_MS = 20, WAITING_TESTS = 2000 };

struct engine engine;

static void move_open(struct move *move, size_t bytes)
{
	*move = (struct move){ .from = calloc(1, bytes), .to = calloc(1, bytes), .bytes = bytes };
	if (!move->from || !move->to)
		die("no memory");
}

void engine_open(const char *settings)
{
	log_forget();
	pair_open(settings, &engine.slow);
	int err = pair_connect(engine.slow.net, &engine.quick);
	if (err)
		die("no second connection: %s", strerror(-err));
	move_open(&engine.latency, LARGE);
	move_open(&engine.bulk, BULK);
	fill(engine.bulk.from, BULK, 3);
}

static void move_close(struct move *move)
{
	free(move->from);
	free(move->to);
}

int engine_close(void **state)
{
	(void)state;
	(void)lina_net_close(engine.slow.net);
	move_close(&engine.latency);
	move_close(&engine.bulk);
	engine = (struct engine){ .latency = { .bytes = 0 } };
	return 0;
}

static void class_set(enum lina_class cls, struct lina_conn *conn)
{
	const int op = cls == LINA_CLASS_LATENCY ? LINA_OP_ALLTOALL : LINA_OP_ALLREDUCE;
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	int err = lina_net_attr_set(conn->object.net, &attr);
	if (err)
		die("attributes: %s", strerror(-err));
}

struct lina_request *recv_as(
	enum lina_class cls, struct lina_conn *conn, void *data, size_t bytes, int tag)
{
	class_set(cls, conn);
	return post_recv(conn, data, bytes, tag);
}

struct lina_request *send_as(
	enum lina_class cls, struct lina_conn *conn, const void *data, size_t bytes, int tag)
{
	class_set(cls, conn);
	return post_send(conn, data, bytes, tag);
}

const struct lina_sched *sched_out(const struct lina_conn *conn)
{
	return ((const struct tcp_sender *)conn)->flow[LINA_CLASS_BULK].flow.sched;
}

const struct lina_sched *sched_in(const struct lina_conn *conn)
{
	return ((const struct tcp_receiver *)conn)->flow[LINA_CLASS_BULK].flow.sched;
}

uint64_t bulk_got(const struct lina_conn *conn)
{
	return ((const struct tcp_receiver *)conn)->bulk_got;
}

static void step(struct lina_request **request)
{
	int done = 0;

	if (!*request)
		return;
	int err = lina_net_test(*request, &done, NULL);
	if (err)
		die("test: %s", strerror(-err));
	if (done)
		*request = NULL;
}

/* Under the lock: where the link has a thread it sends too. */
static uint64_t latency_queued(void)
{
	struct lina_link_dir *dir =
		((struct tcp_sender *)engine.slow.send)->flow[LINA_CLASS_LATENCY].dir;

	pthread_mutex_lock(&dir->lock);
	uint64_t bytes = dir->sched.latency_queued_bytes;
	pthread_mutex_unlock(&dir->lock);
	return bytes;
}

/* Sends until the kernel has taken nothing for a while. */
static void latency_push(void)
{
	uint64_t queued = latency_queued(), since_ms = now_ms();

	while (now_ms() - since_ms < STUCK_MS) {
		step(&engine.latency.send);
		if (latency_queued() != queued)
			since_ms = now_ms();
		queued = latency_queued();
	}
	if (!queued)
		die("the kernel takes %d bytes that nobody reads", LARGE);
}

void latency_get_stuck(bool with_recv)
{
	struct move *m = &engine.latency;

	if (with_recv)
		m->recv = recv_as(LINA_CLASS_LATENCY, engine.slow.recv, m->to, m->bytes, 1);
	m->send = send_as(LINA_CLASS_LATENCY, engine.slow.send, m->from, m->bytes, 1);
	latency_push();
}

void latency_move(void)
{
	uint64_t queued = latency_queued(), deadline = now_ms() + LIMIT_MS;

	step(&engine.latency.recv);
	while (latency_queued() == queued) {
		step(&engine.latency.send);
		if (now_ms() > deadline)
			die("the kernel takes no more");
	}
	latency_push();
}

static int move_finish(struct move *m)
{
	int err = finish_both(m->send, m->recv, LIMIT_MS);

	m->send = m->recv = NULL;
	return err;
}

int latency_finish(void)
{
	struct move *m = &engine.latency;

	if (!m->recv)
		m->recv = recv_as(LINA_CLASS_LATENCY, engine.slow.recv, m->to, m->bytes, 1);
	return move_finish(m);
}

void bulk_post(void)
{
	struct move *m = &engine.bulk;

	memset(m->to, 0, m->bytes);
	m->recv = recv_as(LINA_CLASS_BULK, engine.quick.recv, m->to, m->bytes, BULK_TAG);
	m->send = send_as(LINA_CLASS_BULK, engine.quick.send, m->from, m->bytes, BULK_TAG);
}

void bulk_waits(void)
{
	for (int i = 0; i < WAITING_TESTS; i++) {
		step(&engine.bulk.send);
		step(&engine.bulk.recv);
		if (!engine.bulk.send || !engine.bulk.recv)
			fail_msg("bulk has ended");
	}
}

int bulk_finish(void)
{
	int err = move_finish(&engine.bulk);
	if (err)
		return err;
	return is_filled(engine.bulk.to, BULK, 3) ? 0 : -EBADMSG;
}
