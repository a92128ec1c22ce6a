/*
 * The receiving end. A receive becomes a credit for the peer; the data that comes for it goes
 * straight to its buffers, but for what was read together with a header.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/tcp.h"

enum {
	STAGE_BYTES = 4096, /* a header and a small message in one system call */
	CREDIT_BUFFER_BYTES = TCP_REQUESTS * LINA_CREDIT_MAX_BYTES, /* all that can be unsent */
};

struct recv_buffer {
	uint8_t *data;
	size_t room;
	bool known; /* the message's size is */
	uint64_t message_bytes;
	uint64_t begun, got; /* of message_bytes: in chunks that began, in chunks that ended */
};

struct recv_request {
	struct lina_request base;
	uint32_t seq; /* tells this use of the slot from earlier ones */
	bool used;
	int n;
	int left; /* buffers whose message is not complete */
	struct recv_buffer buffer[LINA_RECVS_MAX];
};

struct recv_lane {
	bool ended;                   /* the peer has closed it */
	struct recv_request *request; /* that the rest of the payload is for */
	struct recv_buffer *buffer;
	uint8_t *to;
	size_t payload_left;
	uint32_t chunk_bytes;
	size_t from, until; /* what is left in stage */
	uint8_t stage[STAGE_BYTES];
};

struct tcp_receiver {
	struct tcp_conn conn;
	struct recv_lane lane[LINA_LANES_MAX];
	size_t credit_from, credit_until; /* what is left in credit_buffer */
	uint8_t credit_buffer[CREDIT_BUFFER_BYTES];
	struct recv_request request[TCP_REQUESTS];
};

static void receiver_close(struct lina_object *object)
{
	struct tcp_receiver *r = (struct tcp_receiver *)object;

	tcp_conn_close_lanes(&r->conn);
	free(r);
}

int tcp_receiver_create(
	const struct lina_config *config, const int *fd, int nlanes, struct lina_conn **conn_p)
{
	struct tcp_receiver *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->conn.base.object.close = receiver_close;
	int err = tcp_conn_init(&r->conn, config, fd, nlanes);
	if (err) {
		free(r);
		return err;
	}
	*conn_p = &r->conn.base;
	return 0;
}

static int receiver_fail(struct tcp_receiver *r, int err)
{
	return tcp_conn_fail(&r->conn, err, "receiving from");
}

static int credits_push(struct tcp_receiver *r)
{
	if (r->credit_from == r->credit_until)
		return 0;
	struct iovec iov = { r->credit_buffer + r->credit_from, r->credit_until - r->credit_from };
	ssize_t n = lina_sock_send(r->conn.fd[0], &iov, 1);
	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return receiver_fail(r, (int)n);
	r->credit_from += (size_t)n;
	return 0;
}

/* Only receives in flight have unsent credit, so the buffer has room for all of it. */
static void credit_add(struct tcp_receiver *r, const struct lina_wire_credit *credit)
{
	if (r->credit_until + LINA_CREDIT_MAX_BYTES > sizeof(r->credit_buffer)) {
		memmove(r->credit_buffer, r->credit_buffer + r->credit_from,
			r->credit_until - r->credit_from);
		r->credit_until -= r->credit_from;
		r->credit_from = 0;
	}
	r->credit_until += lina_credit_encode(credit, r->credit_buffer + r->credit_until);
}

static struct recv_request *request_get(struct tcp_receiver *r)
{
	for (int i = 0; i < TCP_REQUESTS; i++)
		if (!r->request[i].used)
			return &r->request[i];
	return NULL;
}

static int mrs_check(int n, void *const *data, const size_t *bytes, struct lina_mr *const *mrs)
{
	for (int i = 0; mrs && i < n; i++) {
		int err = tcp_mr_check(mrs[i], data[i], bytes[i]);
		if (err)
			return err;
	}
	return 0;
}

int tcp_recv(struct lina_conn *conn, int n, void *const *data, const size_t *bytes, const int *tags,
	struct lina_mr *const *mrs, struct lina_request **request_p)
{
	struct tcp_receiver *r = (struct tcp_receiver *)conn;
	struct lina_wire_credit credit;

	int err = r->conn.err ? r->conn.err : mrs_check(n, data, bytes, mrs);
	if (err)
		return err;
	struct recv_request *q = request_get(r);
	if (!q) {
		*request_p = NULL;
		return 0;
	}
	q->base.conn = conn;
	q->used = true;
	q->n = q->left = n;
	credit.slot = (uint16_t)(q - r->request);
	credit.seq = ++q->seq;
	credit.n = n;
	for (int i = 0; i < n; i++) {
		q->buffer[i] = (struct recv_buffer){ .data = data[i], .room = bytes[i] };
		credit.entry[i].tag = tags[i];
		credit.entry[i].bytes = bytes[i];
	}
	r->conn.in_flight++;
	credit_add(r, &credit);
	err = credits_push(r);
	if (err)
		return err;
	*request_p = &q->base;
	return 0;
}

static void chunk_end(struct recv_lane *lane)
{
	struct recv_buffer *b = lane->buffer;

	b->got += lane->chunk_bytes;
	if (b->got == b->message_bytes)
		lane->request->left--;
	lane->request = NULL;
}

/* The peer is who it should be; still nothing that it says may make us write elsewhere. */
static int chunk_check(const struct tcp_receiver *r, const struct lina_wire_data *d)
{
	if (d->slot >= TCP_REQUESTS)
		return -EPROTO;
	const struct recv_request *q = &r->request[d->slot];
	if (!q->used || q->seq != d->seq || d->entry >= q->n)
		return -EPROTO;
	const struct recv_buffer *b = &q->buffer[d->entry];
	if (d->message_bytes > b->room)
		return -EMSGSIZE;
	if (!b->known)
		return 0;
	bool whole = b->begun == b->message_bytes;
	if (whole || b->message_bytes != d->message_bytes ||
		d->length > b->message_bytes - b->begun)
		return -EPROTO;
	return 0;
}

static int chunk_begin(struct tcp_receiver *r, struct recv_lane *lane)
{
	struct lina_wire_data d;

	int err = lina_data_decode(lane->stage + lane->from, &d);
	if (!err)
		err = chunk_check(r, &d);
	if (err)
		return receiver_fail(r, err);
	lane->from += LINA_DATA_HEAD_BYTES;
	lane->request = &r->request[d.slot];
	lane->buffer = &lane->request->buffer[d.entry];
	lane->buffer->known = true;
	lane->buffer->message_bytes = d.message_bytes;
	lane->buffer->begun += d.length;
	lane->to = lane->buffer->data + d.offset;
	lane->payload_left = d.length;
	lane->chunk_bytes = d.length;
	if (d.length == 0)
		chunk_end(lane);
	return 0;
}

static void payload_take(struct recv_lane *lane, size_t n)
{
	lane->to += n;
	lane->payload_left -= n;
	if (lane->payload_left == 0)
		chunk_end(lane);
}

/* Uses up what is staged: payload first, then headers and what follows them. */
static int stage_use(struct tcp_receiver *r, struct recv_lane *lane)
{
	for (;;) {
		size_t staged = lane->until - lane->from;
		if (lane->request && staged) {
			size_t n = staged < lane->payload_left ? staged : lane->payload_left;
			memcpy(lane->to, lane->stage + lane->from, n);
			lane->from += n;
			payload_take(lane, n);
		} else if (!lane->request && staged >= LINA_DATA_HEAD_BYTES) {
			int err = chunk_begin(r, lane);
			if (err)
				return err;
		} else {
			return 0;
		}
	}
}

/* Reads once: the rest of the payload to its place, what comes after it to stage. */
static ssize_t lane_read(struct recv_lane *lane, int fd)
{
	memmove(lane->stage, lane->stage + lane->from, lane->until - lane->from);
	lane->until -= lane->from;
	lane->from = 0;
	size_t direct = lane->request ? lane->payload_left : 0;
	struct iovec iov[2] = {
		{ lane->to, direct },
		{ lane->stage + lane->until, sizeof(lane->stage) - lane->until },
	};
	ssize_t n = lina_sock_recv(fd, direct ? iov : iov + 1, direct ? 2 : 1);
	if (n <= 0)
		return n;
	size_t placed = (size_t)n < direct ? (size_t)n : direct;
	if (placed)
		payload_take(lane, placed);
	lane->until += (size_t)n - placed;
	return n;
}

/* A lane that ends is no error while another may still bring the rest. */
static int lane_end(struct tcp_receiver *r, struct recv_lane *lane)
{
	lane->ended = true;
	for (int i = 0; i < r->conn.nlanes; i++)
		if (!r->lane[i].ended)
			return 0;
	return receiver_fail(r, -ESHUTDOWN);
}

/* Receives on one lane until it is empty or request is complete. */
static int lane_pull(struct tcp_receiver *r, int i, const struct recv_request *request)
{
	struct recv_lane *lane = &r->lane[i];

	while (!lane->ended && request->left) {
		ssize_t n = lane_read(lane, r->conn.fd[i]);
		if (n == -EAGAIN)
			return 0;
		if (n == -ESHUTDOWN)
			return lane_end(r, lane);
		if (n < 0)
			return receiver_fail(r, (int)n);
		r->conn.idle = 0;
		int err = stage_use(r, lane);
		if (err)
			return err;
	}
	return 0;
}

static int progress(struct tcp_receiver *r, const struct recv_request *request)
{
	int err = credits_push(r);
	for (int i = 0; i < r->conn.nlanes && !err; i++)
		err = lane_pull(r, i, request);
	return err ? err : tcp_conn_idle(&r->conn);
}

int tcp_recv_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct recv_request *q = (struct recv_request *)request;
	struct tcp_receiver *r = (struct tcp_receiver *)request->conn;

	*done_p = 0;
	int err = r->conn.err;
	if (!err && q->left)
		err = progress(r, q);
	if (err)
		return err;
	if (q->left)
		return 0;
	for (int i = 0; bytes_p && i < q->n; i++)
		bytes_p[i] = q->buffer[i].message_bytes < INT_MAX ? (int)q->buffer[i].message_bytes
								  : INT_MAX;
	q->used = false;
	r->conn.in_flight--;
	*done_p = 1;
	return 0;
}
