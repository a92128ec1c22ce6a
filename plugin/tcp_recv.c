/*
 * The receiving end: receives and the credits they become.
 */
#include "plugin/tcp_recv.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/sock.h"

enum {
	CREDIT_IDLE_TESTS = 4, /* tests without data after which all credit is sent */
	GRANT_PARTS = 4,       /* a part of what may be granted ahead is worth a message */
};

/* Stands in for a NULL of no bytes: adding even 0 to NULL is undefined. */
static uint8_t nothing[1];

void tcp_receiver_close(struct lina_conn *conn)
{
	struct tcp_receiver *r = (struct tcp_receiver *)conn;

	tcp_conn_flows_drop(&r->conn);
	tcp_conn_close_lanes(&r->conn);
	tcp_earlies_free(r);
	free(r);
}

int tcp_receiver_create(const struct tcp_end *end, struct lina_conn **conn_p)
{
	struct tcp_receiver *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	TAILQ_INIT(&r->posted);
	TAILQ_INIT(&r->earlies);
	r->early_left = end->welcome.early_bytes;
	r->granted = r->grant_bytes = end->welcome.grant_bytes;
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		lina_link_flow_init(end->link, LINA_DIR_RECV, (enum lina_class)cls, &r->flow[cls]);
	r->conn.flow = r->flow;
	r->conn.nflows = LINA_NCLASSES;
	int err = tcp_conn_init(&r->conn, end);
	if (err) {
		free(r);
		return err;
	}
	*conn_p = &r->conn.base;
	return 0;
}

int tcp_receiver_fail(struct tcp_receiver *r, int err)
{
	return tcp_conn_fail(&r->conn, err, "receiving from");
}

/* The sender has gone, or hears of it now. What it sent before comes all the same, and then its
 * end. */
static void credits_stop(struct tcp_receiver *r)
{
	int *fd = &r->conn.fd[r->conn.nlanes - 1];

	lina_sock_close(*fd);
	*fd = -1;
}

static int credits_push(struct tcp_receiver *r)
{
	int fd = tcp_credit_fd(&r->conn);

	if (fd < 0)
		r->credit_from = r->credit_until = 0;
	if (r->credit_from == r->credit_until)
		return 0;
	struct iovec iov = { r->credit_buffer + r->credit_from, r->credit_until - r->credit_from };
	ssize_t n = lina_sock_send(fd, &iov, 1);
	if (n == -EAGAIN)
		return 0;
	if (n == -EPIPE || n == -ECONNRESET) {
		credits_stop(r);
		return 0;
	}
	if (n < 0)
		return tcp_receiver_fail(r, (int)n);
	r->credit_from += (size_t)n;
	if (r->credit_from == r->credit_until)
		r->early_owed = 0;
	return 0;
}

/* Makes room for one more credit; false while the peer takes none. */
static bool credit_room(struct tcp_receiver *r)
{
	if (r->credit_until + LINA_CREDIT_MAX_BYTES > sizeof(r->credit_buffer)) {
		r->credit_until -= r->credit_from;
		memmove(r->credit_buffer, r->credit_buffer + r->credit_from, r->credit_until);
		r->credit_from = 0;
	}
	return r->credit_until + LINA_CREDIT_MAX_BYTES <= sizeof(r->credit_buffer);
}

static void credit_add(struct tcp_receiver *r, const struct recv_request *q)
{
	struct lina_wire_credit credit = {
		.slot = (uint16_t)(q - r->request),
		.seq = q->seq,
		.n = q->n,
	};

	for (int i = 0; i < q->n; i++) {
		credit.entry[i].tag = q->buffer[i].tag;
		credit.entry[i].bytes = q->buffer[i].room;
	}
	r->credit_until += lina_credit_encode(&credit, r->credit_buffer + r->credit_until);
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
	for (int i = 0; i < n; i++) {
		int err = tcp_mr_check(mrs ? mrs[i] : NULL, data[i], bytes[i]);
		if (err)
			return err;
	}
	return 0;
}

static void request_post(struct tcp_receiver *r, struct recv_request *q, int n, void *const *data,
	const size_t *bytes, const int *tags)
{
	q->base.conn = &r->conn.base;
	q->used = true;
	q->seq++;
	q->n = q->left = n;
	q->first = r->nbuffers;
	r->nbuffers += (uint32_t)n;
	for (int i = 0; i < n; i++)
		q->buffer[i] = (struct recv_buffer){ .request = q,
			.data = bytes[i] ? data[i] : nothing,
			.room = bytes[i],
			.tag = tags[i] };
	TAILQ_INSERT_TAIL(&r->posted, q, link);
	r->conn.in_flight++;
	credit_add(r, q);
}

/* Whether the sender may need the credit of q now. A message of such a size goes early, unless the
 * standing credit is used up. */
static bool credit_urgent(const struct tcp_receiver *r, const struct recv_request *q)
{
	size_t early = tcp_data_lanes(&r->conn) > 1 ? TCP_STRIPE_MIN_BYTES
						    : (size_t)r->conn.config->early_bytes / 2;

	if (q->cls == LINA_CLASS_BULK && early > TCP_EARLY_BULK_BYTES)
		early = TCP_EARLY_BULK_BYTES;
	for (int i = 0; i < q->n; i++)
		if (!q->buffer[i].known && q->buffer[i].room > early)
			return true;
	return r->conn.config->early_bytes == 0;
}

/* Standing credit goes back before the sender runs short of it, and whatever is unsent goes when
 * nothing comes: the sender may wait for just that. */
static int credits_return(struct tcp_receiver *r)
{
	size_t unsent = r->credit_until - r->credit_from;
	bool due = unsent > sizeof(r->credit_buffer) / 4 ||
		   r->early_owed > (size_t)r->conn.config->early_bytes / 4;

	return due || r->conn.idle > CREDIT_IDLE_TESTS ? credits_push(r) : 0;
}

/* Bulk that has come makes room for more, which is granted when the link lets it and it is worth a
 * message. */
static int grants_give(struct tcp_receiver *r)
{
	struct lina_link_flow *flow = &r->flow[LINA_CLASS_BULK];
	uint64_t ahead = r->granted - r->bulk_got;

	if (r->grant_bytes - ahead < r->grant_bytes / GRANT_PARTS || !credit_room(r))
		return 0;
	uint64_t given = lina_link_grant(flow, ahead, r->grant_bytes);
	if (!given)
		return 0;
	r->granted += given;
	lina_grant_encode(
		&(struct lina_wire_grant){ r->granted }, r->credit_buffer + r->credit_until);
	r->credit_until += LINA_GRANT_BYTES;
	return credits_push(r);
}

int tcp_recv(struct lina_conn *conn, enum lina_class cls, int n, void *const *data,
	const size_t *bytes, const int *tags, struct lina_mr *const *mrs,
	struct lina_request **request_p)
{
	struct tcp_receiver *r = (struct tcp_receiver *)conn;

	int err = r->conn.err ? r->conn.err : mrs_check(n, data, bytes, mrs);
	if (err)
		return err;
	struct recv_request *q = request_get(r);
	if (!q || !credit_room(r)) {
		*request_p = NULL;
		return 0;
	}
	q->cls = cls;
	request_post(r, q, n, data, bytes, tags);
	err = tcp_early_meet(r, q);
	if (!err && credit_urgent(r, q))
		err = credits_push(r);
	if (err)
		return err;
	*request_p = &q->base;
	return 0;
}

static int progress(struct tcp_receiver *r, const struct recv_request *request)
{
	int err = credits_return(r);
	if (!err)
		err = tcp_lanes_pull(r, request);
	if (!err)
		err = grants_give(r);
	return err ? err : tcp_conn_idle(&r->conn);
}

int tcp_recv_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct recv_request *q = (struct recv_request *)request;
	struct tcp_receiver *r = (struct tcp_receiver *)request->conn;

	*done_p = 0;
	int err = r->conn.err;
	if (!err)
		err = q->left ? progress(r, q) : credits_return(r);
	if (err)
		return err;
	if (q->left)
		return 0;
	for (int i = 0; bytes_p && i < q->n; i++)
		bytes_p[i] = q->buffer[i].message_bytes < INT_MAX ? (int)q->buffer[i].message_bytes
								  : INT_MAX;
	TAILQ_REMOVE(&r->posted, q, link);
	q->used = false;
	/* Nobody asks while nothing is received: it must not look like bulk that is held. */
	if (--r->conn.in_flight == 0)
		lina_link_drop(&r->flow[LINA_CLASS_BULK]);
	*done_p = 1;
	return 0;
}
