/*
 * The sending end. A send takes the oldest credit with its tag; without one it goes early as far as
 * the standing credit reaches, else it waits. Those that may go queue up, and every lane that is
 * free takes the next chunk of the first of them.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/tcp.h"

enum {
	CREDITS = TCP_REQUESTS * LINA_RECVS_MAX,
	CREDIT_BUFFER_BYTES = 4096,
	CHUNK_MAX_BYTES = 1 << 30,
	LOOK_IDLE_TESTS = 16, /* tests without progress between two looks for the peer's end */
};

enum send_state { SEND_FREE, SEND_WAITS, SEND_MOVES, SEND_DONE };

struct send_request {
	struct lina_request base;
	TAILQ_ENTRY(send_request) link; /* in waiting or moving */
	enum send_state state;
	uint8_t *data;     /* read only; iovec has no const */
	size_t bytes, cut; /* size, and how much of it has become chunks */
	int tag;
	int chunks;                  /* cut and not yet wholly with the kernel */
	struct lina_wire_data frame; /* as of all its chunks, but for offset and length */
};

struct credit {
	TAILQ_ENTRY(credit) link;
	int tag;
	uint64_t room;
	uint16_t slot;
	uint32_t seq;
	uint8_t entry;
};

/* A message that went before its credit. */
struct early {
	TAILQ_ENTRY(early) link;
	int tag;
	size_t bytes;
};

/* One chunk on its way through one lane. */
struct send_lane {
	struct send_request *request; /* NULL: free */
	uint8_t head[LINA_DATA_HEAD_BYTES];
	size_t head_left;
	uint8_t *payload;
	size_t payload_left;
};

/* Stands in for a NULL of no bytes: adding even 0 to NULL is undefined. */
static uint8_t nothing[1];

TAILQ_HEAD(send_queue, send_request);
TAILQ_HEAD(credit_queue, credit);
TAILQ_HEAD(early_queue, early);

struct tcp_sender {
	struct tcp_conn conn;
	struct send_queue waiting; /* for credit, in the order of their isend */
	struct send_queue moving;  /* with bytes that are not cut yet */
	struct credit_queue credits, spare_credits;
	struct early_queue earlies, spare_earlies;
	size_t early_bytes, early_left; /* standing credit: all of it, and what is not in use */
	uint32_t seen;                  /* buffers that credit has come for; wraps */
	struct send_lane lane[LINA_LANES_MAX];
	size_t credit_bytes; /* in credit_buffer, not decoded yet */
	uint8_t credit_buffer[CREDIT_BUFFER_BYTES];
	struct send_request request[TCP_REQUESTS];
	struct credit credit[CREDITS];
	struct early early[TCP_EARLIES];
};

void tcp_sender_close(struct lina_conn *conn)
{
	struct tcp_sender *s = (struct tcp_sender *)conn;

	tcp_conn_close_lanes(&s->conn);
	free(s);
}

static void queues_init(struct tcp_sender *s)
{
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->moving);
	TAILQ_INIT(&s->credits);
	TAILQ_INIT(&s->spare_credits);
	TAILQ_INIT(&s->earlies);
	TAILQ_INIT(&s->spare_earlies);
	for (int i = 0; i < CREDITS; i++)
		TAILQ_INSERT_TAIL(&s->spare_credits, &s->credit[i], link);
	for (int i = 0; i < TCP_EARLIES; i++)
		TAILQ_INSERT_TAIL(&s->spare_earlies, &s->early[i], link);
}

int tcp_sender_create(const struct lina_config *config, const union lina_addr *peer, const int *fd,
	int nlanes, uint32_t early_bytes, struct lina_conn **conn_p)
{
	struct tcp_sender *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	queues_init(s);
	s->early_bytes = s->early_left = early_bytes;
	int err = tcp_conn_init(&s->conn, config, peer, fd, nlanes);
	if (err) {
		free(s);
		return err;
	}
	*conn_p = &s->conn.base;
	return 0;
}

static int sender_fail(struct tcp_sender *s, int err)
{
	return tcp_conn_fail(&s->conn, err, "sending to");
}

static int size_check(struct tcp_sender *s, int tag, size_t bytes, uint64_t room)
{
	return bytes <= room ? 0 : tcp_conn_fail_size(&s->conn, "sending to", tag, bytes, room);
}

static void request_move(struct tcp_sender *s, struct send_request *r)
{
	r->state = SEND_MOVES;
	TAILQ_INSERT_TAIL(&s->moving, r, link);
}

/* The request's credit is there: it may move. */
static int request_release(struct tcp_sender *s, struct send_request *r, const struct credit *c)
{
	int err = size_check(s, r->tag, r->bytes, c->room);
	if (err)
		return err;
	r->frame = (struct lina_wire_data){
		.slot = c->slot, .seq = c->seq, .entry = c->entry, .message_bytes = r->bytes
	};
	request_move(s, r);
	return 0;
}

/* The credit of a message that went early is no more than its standing credit given back. */
static bool early_settle(struct tcp_sender *s, const struct credit *arrived, int *err_p)
{
	struct early *e;

	TAILQ_FOREACH(e, &s->earlies, link)
	{
		if (e->tag != arrived->tag)
			continue;
		TAILQ_REMOVE(&s->earlies, e, link);
		TAILQ_INSERT_HEAD(&s->spare_earlies, e, link);
		s->early_left += e->bytes;
		*err_p = size_check(s, e->tag, e->bytes, arrived->room);
		return true;
	}
	return false;
}

static int credit_keep(struct tcp_sender *s, const struct credit *arrived)
{
	struct credit *c = TAILQ_FIRST(&s->spare_credits);
	if (!c)
		return sender_fail(s, -EPROTO); /* more receives than the peer can have */
	TAILQ_REMOVE(&s->spare_credits, c, link);
	c->tag = arrived->tag;
	c->room = arrived->room;
	c->slot = arrived->slot;
	c->seq = arrived->seq;
	c->entry = arrived->entry;
	TAILQ_INSERT_TAIL(&s->credits, c, link);
	return 0;
}

/* A credit goes to the oldest message with its tag: one that went early, one that waits, or one
 * that is still to come. */
static int credit_take(struct tcp_sender *s, const struct credit *arrived)
{
	struct send_request *r;
	int err = 0;

	s->seen++;
	if (early_settle(s, arrived, &err))
		return err;
	TAILQ_FOREACH(r, &s->waiting, link)
	{
		if (r->tag != arrived->tag)
			continue;
		TAILQ_REMOVE(&s->waiting, r, link);
		return request_release(s, r, arrived);
	}
	return credit_keep(s, arrived);
}

static int credits_decode(struct tcp_sender *s)
{
	size_t at = 0;

	while (at < s->credit_bytes) {
		struct lina_wire_credit w;
		int n = lina_credit_decode(s->credit_buffer + at, s->credit_bytes - at, &w);
		if (n < 0)
			return sender_fail(s, n);
		if (n == 0)
			break;
		at += (size_t)n;
		for (int i = 0; i < w.n; i++) {
			int err = credit_take(s, &(struct credit){ .tag = w.entry[i].tag,
							 .room = w.entry[i].bytes,
							 .slot = w.slot,
							 .seq = w.seq,
							 .entry = (uint8_t)i });
			if (err)
				return err;
		}
	}
	s->credit_bytes -= at;
	memmove(s->credit_buffer, s->credit_buffer + at, s->credit_bytes);
	return 0;
}

/* Reads what credit has arrived. */
static int credits_pull(struct tcp_sender *s)
{
	struct iovec room = { s->credit_buffer + s->credit_bytes,
		sizeof(s->credit_buffer) - s->credit_bytes };

	ssize_t n = lina_sock_recv(s->conn.fd[0], &room, 1);
	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return sender_fail(s, (int)n);
	s->conn.idle = 0;
	s->credit_bytes += (size_t)n;
	return credits_decode(s);
}

/* Stripes of equal size, so that all lanes end at the same time. */
static size_t chunk_bytes(const struct tcp_sender *s, const struct send_request *r)
{
	if (r->frame.early)
		return r->bytes;
	size_t stripe = (r->bytes + (size_t)s->conn.nlanes - 1) / (size_t)s->conn.nlanes;
	if (stripe < TCP_STRIPE_MIN_BYTES)
		stripe = TCP_STRIPE_MIN_BYTES;
	if (stripe > CHUNK_MAX_BYTES)
		stripe = CHUNK_MAX_BYTES;
	return stripe < r->bytes - r->cut ? stripe : r->bytes - r->cut;
}

/* Gives the next chunk of the first request to a free lane. */
static void lane_load(struct tcp_sender *s, struct send_lane *lane)
{
	struct send_request *r = TAILQ_FIRST(&s->moving);
	if (!r || (r->frame.early && lane != &s->lane[0]))
		return;
	struct lina_wire_data frame = r->frame;
	frame.offset = r->cut;
	frame.length = (uint32_t)chunk_bytes(s, r);
	lina_data_encode(&frame, lane->head);
	lane->request = r;
	lane->head_left = sizeof(lane->head);
	lane->payload = r->data + r->cut;
	lane->payload_left = frame.length;
	r->cut += frame.length;
	r->chunks++;
	if (r->cut == r->bytes)
		TAILQ_REMOVE(&s->moving, r, link);
}

static void lane_sent(struct send_lane *lane, size_t n)
{
	size_t head = n < lane->head_left ? n : lane->head_left;
	lane->head_left -= head;
	lane->payload += n - head;
	lane->payload_left -= n - head;
	if (lane->head_left || lane->payload_left)
		return;
	struct send_request *r = lane->request;
	lane->request = NULL;
	if (--r->chunks == 0 && r->cut == r->bytes)
		r->state = SEND_DONE;
}

/* Sends on one lane until it is full or there is nothing left to send. */
static int lane_push(struct tcp_sender *s, struct send_lane *lane, int fd)
{
	for (;;) {
		if (!lane->request)
			lane_load(s, lane);
		if (!lane->request)
			return 0;
		struct iovec iov[2] = {
			{ lane->head + sizeof(lane->head) - lane->head_left, lane->head_left },
			{ lane->payload, lane->payload_left },
		};
		ssize_t n = lina_sock_send(fd, iov, 2);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return sender_fail(s, (int)n);
		s->conn.idle = 0;
		lane_sent(lane, (size_t)n);
	}
}

static int lanes_push(struct tcp_sender *s)
{
	for (int i = 0; i < s->conn.nlanes; i++) {
		int err = lane_push(s, &s->lane[i], s->conn.fd[i]);
		if (err)
			return err;
	}
	return 0;
}

static struct send_request *request_get(struct tcp_sender *s)
{
	for (int i = 0; i < TCP_REQUESTS; i++)
		if (s->request[i].state == SEND_FREE)
			return &s->request[i];
	return NULL;
}

static bool credit_use(struct tcp_sender *s, struct send_request *r, int *err_p)
{
	struct credit *c;

	TAILQ_FOREACH(c, &s->credits, link)
	{
		if (c->tag != r->tag)
			continue;
		TAILQ_REMOVE(&s->credits, c, link);
		TAILQ_INSERT_HEAD(&s->spare_credits, c, link);
		*err_p = request_release(s, r, c);
		return true;
	}
	return false;
}

/* A message that would be striped gains more from its lanes than from an early start. None may
 * overtake one that waits. */
static bool early_use(struct tcp_sender *s, struct send_request *r)
{
	struct early *e = TAILQ_FIRST(&s->spare_earlies);
	bool striped = s->conn.nlanes > 1 && r->bytes > TCP_STRIPE_MIN_BYTES;

	if (!e || striped || r->bytes > s->early_left || !TAILQ_EMPTY(&s->waiting))
		return false;
	TAILQ_REMOVE(&s->spare_earlies, e, link);
	e->tag = r->tag;
	e->bytes = r->bytes;
	TAILQ_INSERT_TAIL(&s->earlies, e, link);
	s->early_left -= r->bytes;
	r->frame = (struct lina_wire_data){
		.early = true, .tag = r->tag, .seen = s->seen, .message_bytes = r->bytes
	};
	request_move(s, r);
	return true;
}

/* Finds credit for the request. What has arrived is read only when standing credit runs low, so
 * that one system call reads many. */
static int request_match(struct tcp_sender *s, struct send_request *r)
{
	int err = 0;

	if (credit_use(s, r, &err))
		return err;
	if (s->early_left >= s->early_bytes / 2 && early_use(s, r))
		return 0;
	err = credits_pull(s);
	if (err || credit_use(s, r, &err) || early_use(s, r))
		return err;
	r->state = SEND_WAITS;
	TAILQ_INSERT_TAIL(&s->waiting, r, link);
	return 0;
}

int tcp_send(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
	struct lina_mr *mr, struct lina_request **request_p)
{
	(void)cls;
	struct tcp_sender *s = (struct tcp_sender *)conn;

	int err = s->conn.err ? s->conn.err : tcp_mr_check(mr, data, bytes);
	if (err)
		return err;
	struct send_request *r = request_get(s);
	if (!r) {
		*request_p = NULL;
		return 0;
	}
	r->base.conn = conn;
	r->data = bytes ? data : nothing;
	r->bytes = bytes;
	r->cut = 0;
	r->chunks = 0;
	r->tag = tag;
	s->conn.in_flight++;
	err = request_match(s, r);
	if (!err)
		err = lanes_push(s);
	if (err)
		return err;
	*request_p = &r->base;
	return 0;
}

static int progress(struct tcp_sender *s)
{
	/* Where nothing moves the peer may have gone, which only reading tells. */
	bool look = !TAILQ_EMPTY(&s->waiting) || s->conn.idle % LOOK_IDLE_TESTS == 1;
	int err = look ? credits_pull(s) : 0;
	if (!err)
		err = lanes_push(s);
	return err ? err : tcp_conn_idle(&s->conn);
}

int tcp_send_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct send_request *r = (struct send_request *)request;
	struct tcp_sender *s = (struct tcp_sender *)request->conn;

	*done_p = 0;
	if (s->conn.err)
		return s->conn.err;
	int err = r->state == SEND_DONE ? 0 : progress(s);
	if (err)
		return err;
	if (r->state != SEND_DONE)
		return 0;
	if (bytes_p)
		*bytes_p = r->bytes < INT_MAX ? (int)r->bytes : INT_MAX;
	r->state = SEND_FREE;
	s->conn.in_flight--;
	*done_p = 1;
	return 0;
}
