/*
 * The sending end: credits and who gets them. A send takes the oldest credit with its tag and waits
 * without one; a credit goes to the oldest send with its tag. Credits are read in the order of
 * their receives.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include "plugin/verbs_send.h"

enum { REPORT_PARTS = 8 }; /* of a grant is worth an immediate */

static int size_fail(struct verbs_sender *s, int tag, uint64_t bytes, uint64_t room)
{
	(void)tcp_conn_fail_size(&s->conn.sock, s->conn.doing, tag, bytes, room);
	return verbs_conn_fail(&s->conn, -EMSGSIZE, NULL);
}

static int release(
	struct verbs_sender *s, struct verbs_send_request *r, const struct verbs_send_credit *c)
{
	if (r->bytes > c->to.room)
		return size_fail(s, r->tag, r->bytes, c->to.room);
	r->credit = *c;
	verbs_send_move(s, r);
	return 0;
}

/* --- what the receiver has written --- */

static int credit_take(struct verbs_sender *s, struct verbs_send_credit *c)
{
	struct verbs_send_request *r;

	TAILQ_FOREACH(r, &s->waiting, link)
	{
		if (r->tag != c->to.tag)
			continue;
		TAILQ_REMOVE(&s->waiting, r, link);
		return release(s, r, c);
	}
	TAILQ_INSERT_TAIL(&s->credits, c, link);
	return 0;
}

/* Whether a buffer of the receive that is due has its credit. The NIC writes behind our back. */
static bool is_here(const struct verbs_sender *s, const struct verbs_cts *cts)
{
	uint64_t number = __atomic_load_n(&cts->number, __ATOMIC_ACQUIRE);

	return be64toh(number) == s->next_number;
}

/* Of the receive that is due, if it is its turn. */
static const struct verbs_cts *due(const struct verbs_sender *s)
{
	return s->conn.control->cts[s->next_number % VERBS_REQUESTS];
}

/* The receive that is due, whose first buffer has its credit at cts, if all have: 1; 0: not yet. */
static int receive_take(struct verbs_sender *s, const struct verbs_cts *cts)
{
	unsigned slot = (unsigned)(s->next_number % VERBS_REQUESTS);
	struct verbs_send_credit *c = s->credit[slot];
	int n = 1;

	for (int i = 0; i < n; i++) {
		if (i > 0 && !is_here(s, &cts[i]))
			return 0;
		if (verbs_cts_decode(&cts[i], s->conn.nrails, &c[i].to) ||
			(i > 0 && c[i].to.n != n))
			return verbs_conn_fail(&s->conn, -EPROTO, NULL);
		c[i].number = s->next_number;
		c[i].slot = (uint8_t)slot;
		c[i].entry = (uint8_t)i;
		n = c[i].to.n;
	}
	s->next_number++;
	s->conn.sock.idle = 0;
	for (int i = 0; i < n; i++) {
		int err = credit_take(s, &c[i]);
		if (err)
			return err;
	}
	return 1;
}

void verbs_sender_grant(struct verbs_conn *conn, uint64_t bytes)
{
	struct verbs_sender *s = (struct verbs_sender *)conn;
	uint64_t part = bytes / REPORT_PARTS;

	s->report_bytes = part < VERBS_REPORT_MAX_BYTES ? part : VERBS_REPORT_MAX_BYTES;
	for (int i = 0; i < conn->nrails; i++)
		s->rail[i].granted = bytes;
}

void verbs_grants_pull(struct verbs_sender *s, struct verbs_send_rail *sr)
{
	const uint64_t *cells = s->conn.control->granted[sr - s->rail];

	for (int i = 0; i < VERBS_GRANT_CELLS; i++) {
		uint64_t granted = be64toh(__atomic_load_n(&cells[i], __ATOMIC_ACQUIRE));
		if (granted > sr->granted)
			sr->granted = granted;
	}
}

int verbs_credits_pull(struct verbs_sender *s)
{
	const struct verbs_cts *cts;
	int n = 1;

	while (n > 0 && (cts = due(s), is_here(s, cts)))
		n = receive_take(s, cts);
	return n < 0 ? n : 0;
}

/* --- a request looks for credit --- */

int verbs_credit_match(struct verbs_sender *s, struct verbs_send_request *r)
{
	struct verbs_send_credit *c;

	TAILQ_FOREACH(c, &s->credits, link)
	{
		if (c->to.tag != r->tag)
			continue;
		TAILQ_REMOVE(&s->credits, c, link);
		return release(s, r, c);
	}
	r->state = VERBS_SEND_WAITS;
	TAILQ_INSERT_TAIL(&s->waiting, r, link);
	return 0;
}
