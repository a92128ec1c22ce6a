/*
 * The sending end: credit, what arrives of it and who gets it. A send takes the oldest credit with
 * its tag; without one it goes early as far as the standing credit reaches, else it waits. Bulk
 * needs a grant besides, which is of the connection and not of a message.
 */
#include <errno.h>
#include <string.h>

#include "plugin/sock.h"
#include "plugin/tcp_send.h"

void tcp_credits_init(struct tcp_sender *s)
{
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->credits);
	TAILQ_INIT(&s->spare_credits);
	TAILQ_INIT(&s->earlies);
	TAILQ_INIT(&s->spare_earlies);
	for (int i = 0; i < CREDITS; i++)
		TAILQ_INSERT_TAIL(&s->spare_credits, &s->credit[i], link);
	for (int i = 0; i < TCP_EARLIES; i++)
		TAILQ_INSERT_TAIL(&s->spare_earlies, &s->early[i], link);
}

static int size_check(struct tcp_sender *s, int tag, size_t bytes, uint64_t room)
{
	return bytes <= room ? 0 : tcp_conn_fail_size(&s->conn, "sending to", tag, bytes, room);
}

/* The request's credit is there: it may move. */
static int request_release(struct tcp_sender *s, struct send_request *r, const struct credit *c)
{
	int err = size_check(s, r->tag, r->bytes, c->room);
	if (err)
		return err;
	r->frame = (struct lina_wire_data){ .bulk = r->cls == LINA_CLASS_BULK,
		.slot = c->slot,
		.seq = c->seq,
		.entry = c->entry,
		.message_bytes = r->bytes };
	tcp_send_move(s, r);
	return 0;
}

/* --- what arrives --- */

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
		return tcp_sender_fail(s, -EPROTO); /* more receives than the peer can have */
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

static int credits_take(struct tcp_sender *s, const struct lina_wire_credit *w)
{
	int err = 0;

	for (int i = 0; i < w->n && !err; i++)
		err = credit_take(s, &(struct credit){ .tag = w->entry[i].tag,
					     .room = w->entry[i].bytes,
					     .slot = w->slot,
					     .seq = w->seq,
					     .entry = (uint8_t)i });
	return err;
}

/* A grant never takes back what an earlier one gave. */
static int grant_take(struct tcp_sender *s, const struct lina_wire_grant *w)
{
	if (w->bytes < s->granted)
		return tcp_sender_fail(s, -EPROTO);
	s->grant_left += w->bytes - s->granted;
	s->granted = w->bytes;
	tcp_send_post_bulk(s);
	return 0;
}

/* Takes one credit or grant from the nbytes at in; the bytes it took, 0 if it is not complete, or
 * an error. */
static int one_take(struct tcp_sender *s, const uint8_t *in, size_t nbytes)
{
	struct lina_wire_credit credit;
	struct lina_wire_grant grant;
	bool is_grant = lina_is_grant(in[0]);

	int n = is_grant ? lina_grant_decode(in, nbytes, &grant)
			 : lina_credit_decode(in, nbytes, &credit);
	if (n < 0)
		return tcp_sender_fail(s, n);
	if (n == 0)
		return 0;
	int err = is_grant ? grant_take(s, &grant) : credits_take(s, &credit);
	return err ? err : n;
}

static int credits_decode(struct tcp_sender *s)
{
	size_t at = 0;

	while (at < s->credit_bytes) {
		int n = one_take(s, s->credit_buffer + at, s->credit_bytes - at);
		if (n < 0)
			return n;
		if (n == 0)
			break;
		at += (size_t)n;
	}
	s->credit_bytes -= at;
	memmove(s->credit_buffer, s->credit_buffer + at, s->credit_bytes);
	return 0;
}

int tcp_credits_pull(struct tcp_sender *s)
{
	struct iovec room = { s->credit_buffer + s->credit_bytes,
		sizeof(s->credit_buffer) - s->credit_bytes };

	ssize_t n = lina_sock_recv(tcp_credit_fd(&s->conn), &room, 1);
	if (n == -EAGAIN)
		return 0;
	if (n < 0)
		return tcp_sender_fail(s, (int)n);
	s->conn.idle = 0;
	s->credit_bytes += (size_t)n;
	return credits_decode(s);
}

/* --- a request looks for credit --- */

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

/* A message that would be striped gains more from its lanes than from an early start, and the
 * receiver cannot hold back bulk that goes early: only little of it may. */
static bool early_worth(const struct tcp_sender *s, const struct send_request *r)
{
	if (r->cls == LINA_CLASS_BULK && r->bytes > TCP_EARLY_BULK_BYTES)
		return false;
	return tcp_data_lanes(&s->conn) == 1 || r->bytes <= TCP_STRIPE_MIN_BYTES;
}

/* None may overtake one that waits, and early messages stay in their order, which is what the
 * receiver tells them apart by. */
static bool early_use(struct tcp_sender *s, struct send_request *r)
{
	struct early *e = TAILQ_FIRST(&s->spare_earlies);

	if (!e || !early_worth(s, r) || r->bytes > s->early_left || !TAILQ_EMPTY(&s->waiting))
		return false;
	if (r->cls == LINA_CLASS_LATENCY && s->bulk_earlies)
		return false;
	TAILQ_REMOVE(&s->spare_earlies, e, link);
	e->tag = r->tag;
	e->bytes = r->bytes;
	TAILQ_INSERT_TAIL(&s->earlies, e, link);
	s->early_left -= r->bytes;
	r->frame = (struct lina_wire_data){ .early = true,
		.bulk = r->cls == LINA_CLASS_BULK,
		.tag = r->tag,
		.seen = s->seen,
		.message_bytes = r->bytes };
	tcp_send_move(s, r);
	return true;
}

/* What has arrived is read only when standing credit runs low, so that one system call reads many.
 */
int tcp_credit_match(struct tcp_sender *s, struct send_request *r)
{
	int err = 0;

	if (credit_use(s, r, &err))
		return err;
	if (s->early_left >= s->early_bytes / 2 && early_use(s, r))
		return 0;
	err = tcp_credits_pull(s);
	if (err || credit_use(s, r, &err) || early_use(s, r))
		return err;
	r->state = SEND_WAITS;
	TAILQ_INSERT_TAIL(&s->waiting, r, link);
	return 0;
}
