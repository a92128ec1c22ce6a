/*
 * The sending end: what may move, and how it goes. Every lane that is free takes the next chunk of
 * the first latency message, and where there is none of the first bulk message, as far as the link
 * lets bulk go; a chunk that a lane has taken goes to its end.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/tcp_send.h"

enum {
	CHUNK_MAX_BYTES = 1 << 30,
	LITTLE_BYTES = 4096,
	LOOK_IDLE_TESTS = 16, /* tests without progress between two looks for the peer's end */
};

/* Stands in for a NULL of no bytes: adding even 0 to NULL is undefined. */
static uint8_t nothing[1];

/* What has ended is with the kernel, which delivers it: nobody has to wait for that. */
void tcp_sender_close(struct lina_conn *conn)
{
	struct tcp_sender *s = (struct tcp_sender *)conn;

	lina_pump_remove(&s->pumped);
	tcp_conn_flows_drop(&s->conn);
	tcp_conn_close_lanes(&s->conn);
	free(s);
}

int tcp_sender_fail(struct tcp_sender *s, int err)
{
	return tcp_conn_fail(&s->conn, err, "sending to");
}

/* --- what may move --- */

void tcp_send_post_bulk(struct tcp_sender *s)
{
	uint64_t may = s->bulk_left < s->grant_left ? s->bulk_left : s->grant_left;

	if (may > s->bulk_posted)
		lina_link_post(&s->flow[LINA_CLASS_BULK], may - s->bulk_posted);
	s->bulk_posted = may;
}

void tcp_send_move(struct tcp_sender *s, struct send_request *r)
{
	r->state = SEND_MOVES;
	TAILQ_INSERT_TAIL(&s->moving[r->cls], r, link);
	if (r->frame.bulk && !r->frame.early) {
		s->bulk_left += r->bytes;
		tcp_send_post_bulk(s);
	} else {
		lina_link_post(&s->flow[r->cls], r->bytes);
	}
	s->bulk_earlies += r->frame.bulk && r->frame.early;
}

/* --- chunks --- */

/* Stripes of equal size, so that all lanes end at the same time. */
static size_t latency_bytes(const struct tcp_sender *s, const struct send_request *r)
{
	if (r->frame.early)
		return r->bytes;
	size_t stripe = (r->bytes + (size_t)tcp_data_lanes(&s->conn) - 1) /
			(size_t)tcp_data_lanes(&s->conn);
	if (stripe < TCP_STRIPE_MIN_BYTES)
		stripe = TCP_STRIPE_MIN_BYTES;
	if (stripe > CHUNK_MAX_BYTES)
		stripe = CHUNK_MAX_BYTES;
	return stripe < r->bytes - r->cut ? stripe : r->bytes - r->cut;
}

/* With the kernel: unsent, or sent and not acknowledged. Bulk that a lane has taken counts too. */
static uint64_t below_bytes(const struct tcp_sender *s)
{
	uint64_t bytes = 0;

	for (int i = 0; i < tcp_data_lanes(&s->conn); i++) {
		const struct send_lane *lane = &s->lane[i];
		bytes += lina_sock_unacked(s->conn.fd[i]);
		if (lane->request && lane->request->cls == LINA_CLASS_BULK)
			bytes += lane->payload_left;
	}
	return bytes;
}

/* How much bulk the link lets go. What is below is looked at only where it may be what hinders. */
static uint64_t bulk_allowed(struct tcp_sender *s)
{
	struct lina_link_flow *flow = &s->flow[LINA_CLASS_BULK];

	uint64_t bytes = lina_link_ask(flow);
	if (bytes || !flow->flow.below_bytes)
		return bytes;
	uint64_t below = below_bytes(s);
	if (below >= flow->flow.below_bytes)
		return 0;
	lina_link_below(flow, below);
	return lina_link_ask(flow);
}

/* 0: not now. An early message goes in one piece, which is small. */
static size_t bulk_bytes(struct tcp_sender *s, const struct send_request *r)
{
	size_t left = r->bytes - r->cut;

	if (!r->frame.early && left > s->grant_left)
		left = (size_t)s->grant_left;
	if (!left)
		return 0;
	uint64_t allowed = bulk_allowed(s);
	if (allowed >= left || (allowed && r->frame.early))
		return left;
	return (size_t)allowed;
}

static void bulk_taken(struct tcp_sender *s, const struct send_request *r, size_t bytes)
{
	lina_link_sent(&s->flow[LINA_CLASS_BULK], bytes);
	if (r->frame.early) {
		s->bulk_earlies--;
		return;
	}
	s->bulk_left -= bytes;
	s->bulk_posted -= bytes;
	s->grant_left -= bytes;
}

static void lane_take(
	struct tcp_sender *s, struct send_lane *lane, struct send_request *r, size_t n)
{
	struct lina_wire_data frame = r->frame;

	frame.offset = r->cut;
	frame.length = (uint32_t)n;
	lina_data_encode(&frame, lane->head);
	lane->request = r;
	lane->head_left = sizeof(lane->head);
	lane->loaded_ns = lina_link_now_ns();
	lane->payload = lane->chunk = r->data + r->cut;
	lane->payload_left = n;
	r->cut += n;
	r->chunks++;
	if (r->cut == r->bytes)
		TAILQ_REMOVE(&s->moving[r->cls], r, link);
}

/* Gives the next chunk of the first request to a free lane; early ones go on the first lane. */
static void lane_load(struct tcp_sender *s, struct send_lane *lane)
{
	bool first = lane == &s->lane[0];
	struct send_request *r = TAILQ_FIRST(&s->moving[LINA_CLASS_LATENCY]);

	if (r && (first || !r->frame.early)) {
		lane_take(s, lane, r, latency_bytes(s, r));
		return;
	}
	r = TAILQ_FIRST(&s->moving[LINA_CLASS_BULK]);
	if (!r || (r->frame.early && !first))
		return;
	size_t n = bulk_bytes(s, r);
	if (!n && r->bytes)
		return;
	bulk_taken(s, r, n);
	lane_take(s, lane, r, n);
}

/* Little is gone before anybody could ask. */
static void latency_sent(struct tcp_sender *s, size_t bytes)
{
	struct lina_link_flow *flow = &s->flow[LINA_CLASS_LATENCY];

	if (bytes > LITTLE_BYTES)
		lina_link_below(flow, below_bytes(s));
	lina_link_sent(flow, bytes);
}

static void chunk_cost(
	struct tcp_sender *s, const struct send_lane *lane, const struct send_request *r)
{
	size_t bytes = (size_t)(lane->payload - lane->chunk);

	if (r->cls == LINA_CLASS_BULK && lane->loaded_ns)
		lina_link_cost(
			&s->flow[LINA_CLASS_BULK], bytes, lina_link_now_ns() - lane->loaded_ns);
}

static void lane_sent(struct tcp_sender *s, struct send_lane *lane, size_t n)
{
	struct send_request *r = lane->request;
	size_t head = n < lane->head_left ? n : lane->head_left;

	lane->head_left -= head;
	lane->payload += n - head;
	lane->payload_left -= n - head;
	if (r->cls == LINA_CLASS_LATENCY)
		latency_sent(s, n - head);
	if (lane->head_left || lane->payload_left)
		return;
	lane->request = NULL;
	chunk_cost(s, lane, r);
	if (--r->chunks == 0 && r->cut == r->bytes)
		r->state = SEND_DONE;
}

/* How much of what it has a lane may hand down now. While a hotter peer has something to send, a
 * colder one has less with the kernel, by as much as it is sent less in all: where flows share a
 * queue each gets of the link what it has in it, and all end together. */
static size_t payload_bytes(struct tcp_sender *s, const struct send_lane *lane, int fd)
{
	struct lina_link_flow *flow = &s->flow[LINA_CLASS_LATENCY];

	if (lane->request->cls != LINA_CLASS_LATENCY || !flow->hot.peer)
		return lane->payload_left;
	uint64_t most = lina_hot_most_bytes(&flow->hot, lina_link_now_ns());
	if (most == UINT64_MAX)
		return lane->payload_left;
	return (size_t)lina_peers_may(most, lina_sock_unacked(fd), lane->payload_left);
}

/* Sends on one lane until it is full or there is nothing left to send. */
static int lane_push(struct tcp_sender *s, struct send_lane *lane, int fd)
{
	for (;;) {
		if (!lane->request)
			lane_load(s, lane);
		if (!lane->request)
			return 0;
		size_t bytes = payload_bytes(s, lane, fd);
		if (!bytes && lane->payload_left)
			return 0;
		struct iovec iov[2] = {
			{ lane->head + sizeof(lane->head) - lane->head_left, lane->head_left },
			{ lane->payload, bytes },
		};
		ssize_t n = lina_sock_send(fd, iov, 2);
		if (n == -EAGAIN) {
			lane->loaded_ns = 0;
			return 0;
		}
		if (n < 0)
			return tcp_sender_fail(s, (int)n);
		s->conn.idle = 0;
		lane_sent(s, lane, (size_t)n);
	}
}

/* The link, the kernel or a hotter peer does. */
static bool keeps_back(const struct tcp_sender *s)
{
	for (int i = 0; i < tcp_data_lanes(&s->conn); i++)
		if (s->lane[i].request)
			return true;
	return s->flow[LINA_CLASS_LATENCY].flow.queued_bytes ||
	       s->flow[LINA_CLASS_BULK].flow.queued_bytes;
}

static int lanes_push(struct tcp_sender *s)
{
	int err = 0;

	for (int i = 0; i < tcp_data_lanes(&s->conn) && !err; i++)
		err = lane_push(s, &s->lane[i], s->conn.fd[i]);
	lina_pump_wants(&s->pumped, !s->conn.err && keeps_back(s));
	return err;
}

/* An error stays with the connection, whose owner will hear of it. */
static void pumped_push(struct lina_pumped *member)
{
	struct tcp_sender *s =
		(struct tcp_sender *)((char *)member - offsetof(struct tcp_sender, pumped));

	if (!s->conn.err)
		(void)lanes_push(s);
}

int tcp_sender_create(const struct tcp_end *end, struct lina_conn **conn_p)
{
	struct tcp_sender *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	tcp_credits_init(s);
	s->early_bytes = s->early_left = end->welcome.early_bytes;
	s->granted = s->grant_left = end->welcome.grant_bytes;
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		TAILQ_INIT(&s->moving[cls]);
		lina_link_flow_init(end->link, LINA_DIR_SEND, (enum lina_class)cls, &s->flow[cls]);
	}
	s->flow[LINA_CLASS_BULK].stays = lina_sock_stays(end->fd[0]);
	tcp_end_flow_peer(end, &s->flow[LINA_CLASS_LATENCY]);
	s->conn.flow = s->flow;
	s->conn.nflows = LINA_NCLASSES;
	int err = tcp_conn_init(&s->conn, end);
	if (err) {
		free(s);
		return err;
	}
	lina_pump_add(lina_link_pump(end->link), &s->pumped, pumped_push);
	*conn_p = &s->conn.base;
	return 0;
}

static struct send_request *request_get(struct tcp_sender *s)
{
	for (int i = 0; i < TCP_REQUESTS; i++)
		if (s->request[i].state == SEND_FREE)
			return &s->request[i];
	return NULL;
}

/* *request_p is NULL where there are too many. */
static int request_make(struct tcp_sender *s, enum lina_class cls, void *data, size_t bytes,
	int tag, struct lina_request **request_p)
{
	if (s->conn.err)
		return s->conn.err;
	struct send_request *r = request_get(s);
	if (!r) {
		*request_p = NULL;
		return 0;
	}
	r->base.conn = &s->conn.base;
	r->cls = cls;
	r->data = bytes ? data : nothing;
	r->bytes = bytes;
	r->cut = 0;
	r->chunks = 0;
	r->tag = tag;
	s->conn.in_flight++;
	int err = tcp_credit_match(s, r);
	if (!err)
		err = lanes_push(s);
	if (err)
		return err;
	*request_p = &r->base;
	return 0;
}

int tcp_send(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
	struct lina_mr *mr, struct lina_request **request_p)
{
	struct tcp_sender *s = (struct tcp_sender *)conn;

	int err = tcp_mr_check(mr, data, bytes);
	if (err)
		return err;
	pthread_mutex_lock(&s->pumped.lock);
	err = request_make(s, cls, data, bytes, tag, request_p);
	pthread_mutex_unlock(&s->pumped.lock);
	return err;
}

static int progress(struct tcp_sender *s)
{
	/* Where nothing moves the peer may have gone, which only reading tells. */
	bool wants = !TAILQ_EMPTY(&s->waiting) || s->bulk_left > s->grant_left;
	bool look = wants || s->conn.idle % LOOK_IDLE_TESTS == 1;
	int err = look ? tcp_credits_pull(s) : 0;
	if (!err)
		err = lanes_push(s);
	return err ? err : tcp_conn_idle(&s->conn);
}

static int request_test(struct tcp_sender *s, struct send_request *r, int *done_p, int *bytes_p)
{
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

int tcp_send_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct tcp_sender *s = (struct tcp_sender *)request->conn;

	pthread_mutex_lock(&s->pumped.lock);
	int err = request_test(s, (struct send_request *)request, done_p, bytes_p);
	pthread_mutex_unlock(&s->pumped.lock);
	return err;
}
