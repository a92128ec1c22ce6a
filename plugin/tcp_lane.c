/*
 * The receiving end: data that arrives. Payload goes straight to the buffer it is for, but for what
 * was read together with a header, and early messages that had to make way.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/sock.h"
#include "plugin/tcp_recv.h"

void tcp_earlies_free(struct tcp_receiver *r)
{
	struct recv_early *e;

	while ((e = TAILQ_FIRST(&r->earlies))) {
		TAILQ_REMOVE(&r->earlies, e, link);
		free(e);
	}
}

/* --- a message meets its buffer --- */

/* What was set aside goes where it belongs. */
static void early_deliver(struct tcp_receiver *r, struct recv_early *e)
{
	memcpy(e->buffer->data, e->payload, e->bytes);
	e->buffer->got = e->bytes;
	e->buffer->request->left--;
	TAILQ_REMOVE(&r->earlies, e, link);
	r->nearlies--;
	free(e);
}

static int buffer_claim(struct tcp_receiver *r, struct recv_buffer *b, uint64_t message_bytes)
{
	if (message_bytes > b->room)
		return tcp_conn_fail_size(
			&r->conn, "receiving from", b->tag, message_bytes, b->room);
	b->known = true;
	b->message_bytes = message_bytes;
	return 0;
}

/* Standing credit is free again once the message has its buffer, which no other may share: it
 * counts as begun to its end. */
static int early_claim(struct tcp_receiver *r, struct recv_buffer *b, size_t bytes)
{
	r->early_left += bytes;
	r->early_owed += bytes;
	b->begun = bytes;
	return buffer_claim(r, b, bytes);
}

/* The first buffer of q that an early message may have, by the rule of struct lina_wire_data. */
static struct recv_buffer *early_buffer(struct recv_request *q, int tag, uint32_t seen)
{
	for (int i = 0; i < q->n; i++) {
		struct recv_buffer *b = &q->buffer[i];
		bool later = (int32_t)(q->first + (uint32_t)i - seen) >= 0;
		if (later && !b->known && b->tag == tag)
			return b;
	}
	return NULL;
}

/* NULL: not posted. */
static struct recv_buffer *early_posted(struct tcp_receiver *r, const struct lina_wire_data *d)
{
	struct recv_request *q;

	TAILQ_FOREACH(q, &r->posted, link)
	{
		struct recv_buffer *b = early_buffer(q, d->tag, d->seen);
		if (b)
			return b;
	}
	return NULL;
}

/* --- chunks --- */

static void chunk_end(struct tcp_receiver *r, struct recv_lane *lane)
{
	struct recv_buffer *b = lane->buffer;
	struct recv_early *e = lane->early;

	lane->busy = false;
	lane->early = NULL;
	lane->ack_due |= lane->granted;
	if (e) {
		e->whole = true;
		if (e->buffer)
			early_deliver(r, e);
		return;
	}
	b->got += lane->chunk_bytes;
	if (b->got == b->message_bytes)
		b->request->left--;
}

static void chunk_begin(
	struct tcp_receiver *r, struct recv_lane *lane, uint8_t *to, uint32_t length)
{
	lane->busy = true;
	lane->to = to;
	lane->payload_left = lane->chunk_bytes = length;
	if (length == 0)
		chunk_end(r, lane);
}

/* Tells the link that a message of latency class is on its way in. */
static void arrival_announce(struct tcp_receiver *r, bool bulk, uint64_t message_bytes)
{
	if (!bulk)
		lina_link_post(&r->flow[LINA_CLASS_LATENCY], message_bytes);
}

static void arrival_count(struct tcp_receiver *r, const struct recv_lane *lane, size_t n)
{
	if (!lane->bulk)
		lina_link_sent(&r->flow[LINA_CLASS_LATENCY], n);
	else if (lane->granted)
		r->bulk_got += n;
}

static void payload_take(struct tcp_receiver *r, struct recv_lane *lane, size_t n)
{
	arrival_count(r, lane, n);
	lane->to += n;
	lane->payload_left -= n;
	if (lane->payload_left == 0)
		chunk_end(r, lane);
}

/* The peer is who it should be; still nothing that it says may make us write elsewhere. */
static int part_check(const struct tcp_receiver *r, const struct lina_wire_data *d)
{
	if (d->slot >= TCP_REQUESTS)
		return -EPROTO;
	const struct recv_request *q = &r->request[d->slot];
	if (!q->used || q->seq != d->seq || d->entry >= q->n)
		return -EPROTO;
	const struct recv_buffer *b = &q->buffer[d->entry];
	if (d->bulk && d->length > r->granted - r->bulk_begun)
		return -EPROTO;
	if (!b->known)
		return 0;
	if (b->bulk != d->bulk)
		return -EPROTO;
	bool whole = b->begun == b->message_bytes;
	if (whole || b->message_bytes != d->message_bytes ||
		d->length > b->message_bytes - b->begun)
		return -EPROTO;
	return 0;
}

static int part_begin(
	struct tcp_receiver *r, struct recv_lane *lane, const struct lina_wire_data *d)
{
	int err = part_check(r, d);
	if (err)
		return tcp_receiver_fail(r, err);
	struct recv_buffer *b = &r->request[d->slot].buffer[d->entry];
	if (!b->known) {
		err = buffer_claim(r, b, d->message_bytes);
		if (err)
			return err;
		b->bulk = d->bulk;
		arrival_announce(r, d->bulk, d->message_bytes);
	}
	b->begun += d->length;
	r->bulk_begun += d->bulk ? d->length : 0;
	lane->buffer = b;
	lane->bulk = lane->granted = d->bulk;
	chunk_begin(r, lane, b->data + d->offset, d->length);
	return 0;
}

/* An early message begins to be read. */
static void early_class(struct tcp_receiver *r, struct recv_lane *lane, bool bulk, uint64_t bytes)
{
	lane->bulk = bulk;
	lane->granted = false;
	arrival_announce(r, bulk, bytes);
}

static void early_begin(
	struct tcp_receiver *r, struct recv_lane *lane, struct recv_buffer *b, bool bulk)
{
	early_class(r, lane, bulk, b->message_bytes);
	lane->buffer = b;
	chunk_begin(r, lane, b->data, (uint32_t)b->message_bytes);
}

static int early_arrive(
	struct tcp_receiver *r, struct recv_lane *lane, const struct lina_wire_data *d)
{
	if (lane != &r->lane[0] || d->length > r->early_left)
		return tcp_receiver_fail(r, -EPROTO);
	r->early_left -= d->length;
	struct recv_buffer *b = early_posted(r, d);
	if (!b) {
		r->stalled = true;
		r->stall = *d;
		return 0;
	}
	int err = early_claim(r, b, d->length);
	if (!err)
		early_begin(r, lane, b, d->bulk);
	return err;
}

static int header_use(struct tcp_receiver *r, struct recv_lane *lane)
{
	struct lina_wire_data d;

	int err = lina_data_decode(lane->stage + lane->from, &d);
	if (err)
		return tcp_receiver_fail(r, err);
	lane->from += LINA_DATA_HEAD_BYTES;
	return d.early ? early_arrive(r, lane, &d) : part_begin(r, lane, &d);
}

/* --- lanes --- */

static bool lane_stalled(const struct tcp_receiver *r, const struct recv_lane *lane)
{
	return r->stalled && lane == &r->lane[0];
}

/* Uses up what is staged: payload first, then headers and what follows them. */
static int stage_use(struct tcp_receiver *r, struct recv_lane *lane)
{
	while (!lane_stalled(r, lane)) {
		size_t staged = lane->until - lane->from;
		if (lane->busy && staged) {
			size_t n = staged < lane->payload_left ? staged : lane->payload_left;
			memcpy(lane->to, lane->stage + lane->from, n);
			lane->from += n;
			payload_take(r, lane, n);
		} else if (!lane->busy && staged >= LINA_DATA_HEAD_BYTES) {
			int err = header_use(r, lane);
			if (err)
				return err;
		} else {
			break;
		}
	}
	return 0;
}

/* Reads once: the rest of the payload to its place, what comes after it to stage. */
static ssize_t lane_read(struct tcp_receiver *r, struct recv_lane *lane, int fd)
{
	memmove(lane->stage, lane->stage + lane->from, lane->until - lane->from);
	lane->until -= lane->from;
	lane->from = 0;
	size_t direct = lane->busy ? lane->payload_left : 0;
	struct iovec iov[2] = {
		{ lane->to, direct },
		{ lane->stage + lane->until, sizeof(lane->stage) - lane->until },
	};
	ssize_t n = lina_sock_recv(fd, direct ? iov : iov + 1, direct ? 2 : 1);
	if (n <= 0)
		return n;
	size_t placed = (size_t)n < direct ? (size_t)n : direct;
	if (placed)
		payload_take(r, lane, placed);
	lane->until += (size_t)n - placed;
	return n;
}

/* A lane that ends between messages is no error while another may still bring the rest. */
static int lane_end(struct tcp_receiver *r, struct recv_lane *lane)
{
	lane->ended = true;
	if (lane->busy || lane->until > lane->from)
		return tcp_receiver_fail(r, -ESHUTDOWN);
	for (int i = 0; i < tcp_data_lanes(&r->conn); i++)
		if (!r->lane[i].ended)
			return 0;
	return tcp_receiver_fail(r, -ESHUTDOWN);
}

/* The message that heads lane 0 makes way for what others wait for. It fits: its sender had
 * standing credit for it. */
static int stall_set_aside(struct tcp_receiver *r)
{
	struct recv_lane *lane = &r->lane[0];

	if (r->nearlies == TCP_EARLIES)
		return tcp_receiver_fail(r, -EPROTO);
	struct recv_early *e = malloc(sizeof(*e) + r->stall.length);
	if (!e)
		return tcp_receiver_fail(r, -ENOMEM);
	*e = (struct recv_early){
		.tag = r->stall.tag, .seen = r->stall.seen, .bytes = r->stall.length
	};
	TAILQ_INSERT_TAIL(&r->earlies, e, link);
	r->nearlies++;
	r->stalled = false;
	lane->early = e;
	early_class(r, lane, r->stall.bulk, e->bytes);
	chunk_begin(r, lane, e->payload, r->stall.length);
	return stage_use(r, lane);
}

static int lane_pull(struct tcp_receiver *r, int i, const struct recv_request *request)
{
	struct recv_lane *lane = &r->lane[i];

	while (!lane->ended && request->left) {
		if (lane_stalled(r, lane)) {
			int err = stall_set_aside(r);
			if (err)
				return err;
			continue;
		}
		ssize_t n = lane_read(r, lane, r->conn.fd[i]);
		if (n == -EAGAIN)
			return 0;
		if (n == -ESHUTDOWN)
			return lane_end(r, lane);
		if (n < 0)
			return tcp_receiver_fail(r, (int)n);
		r->conn.idle = 0;
		int err = stage_use(r, lane);
		if (err)
			return err;
		if (lane->ack_due)
			lina_sock_ack(r->conn.fd[i]);
		lane->ack_due = false;
	}
	return 0;
}

int tcp_lanes_pull(struct tcp_receiver *r, const struct recv_request *request)
{
	int err = 0;

	for (int i = 0; i < tcp_data_lanes(&r->conn) && !err; i++)
		err = lane_pull(r, i, request);
	return err;
}

/* --- a receive is posted --- */

static int asides_meet(struct tcp_receiver *r, struct recv_request *q)
{
	struct recv_early *e, *next;
	int err = 0;

	for (e = TAILQ_FIRST(&r->earlies); e && !err; e = next) {
		next = TAILQ_NEXT(e, link);
		struct recv_buffer *b = e->buffer ? NULL : early_buffer(q, e->tag, e->seen);
		if (!b)
			continue;
		e->buffer = b;
		err = early_claim(r, b, e->bytes);
		if (!err && e->whole)
			early_deliver(r, e);
	}
	return err;
}

/* What was set aside came before what heads the lane, and that before what follows it. */
int tcp_early_meet(struct tcp_receiver *r, struct recv_request *q)
{
	int err = asides_meet(r, q);
	if (err || !r->stalled)
		return err;
	struct recv_buffer *b = early_buffer(q, r->stall.tag, r->stall.seen);
	if (!b)
		return 0;
	r->stalled = false;
	err = early_claim(r, b, r->stall.length);
	if (err)
		return err;
	early_begin(r, &r->lane[0], b, r->stall.bulk);
	return stage_use(r, &r->lane[0]);
}
