/*
 * The receiving end: what it writes to the sender's memory. Credit for receives, grants of bulk,
 * and which receives are complete.
 *
 * A write costs a request here and two packets, as much as a small message. So while messages are
 * small credits are held until several go in one, as long as the sender has at least CREDITS_LEAST
 * others of the same tag that no message has come for, or fewer while messages are so little that
 * sending them takes no time; no more than HELD_MOST are held. Where it has used up all of them
 * their messages are under way: they come and end the hold. Where none comes for HELD_IDLE_TESTS
 * tests the hold ends too, so that nothing that this end does not know of can make it last. A
 * receive has to be tested to come to an end, and who tests one that is not complete sees to all of
 * them.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "plugin/verbs_recv.h"

enum {
	LITTLE_CREDITS_LEAST = 2,
	CREDITS_LEAST = 5,
	HELD_MOST = 6, /* with the one that ends it all but one of what NCCL posts ahead */
	HELD_IDLE_TESTS = 1024,
	LITTLE_BYTES = 4096,
	SMALL_BYTES = 16 << 10,
	GRANT_PARTS = 4, /* a part of what may be granted ahead is worth a write */
};

/* Where i lies in either end's control memory. */
static uint64_t there(const struct verbs_receiver *r, const void *at)
{
	return r->conn.peer_control + (uint64_t)((const char *)at - (const char *)r->conn.control);
}

static int control_write(
	struct verbs_receiver *r, int i, const void *from, size_t bytes, bool signal)
{
	struct verbs_rail *rail = &r->conn.rail[i];

	return verbs_post(&r->conn, rail, &rail->qp[LINA_CLASS_LATENCY],
		&(struct verbs_write){ .piece = { .bytes = (uint32_t)bytes },
			.signal = signal,
			.from = from,
			.lkey = rail->control_mr->lkey,
			.to = there(r, from),
			.rkey = rail->peer.rkey });
}

bool verbs_control_room(const struct verbs_receiver *r, int i)
{
	return i >= 0 && verbs_qp_room(&r->conn.rail[i].qp[LINA_CLASS_LATENCY]) > 0;
}

/* --- credit --- */

/* Of q and of so many receives just before it, whose places are before its own. */
static int credit_write(
	struct verbs_receiver *r, const struct verbs_recv_request *q, unsigned nbefore)
{
	ptrdiff_t place = q - r->request;
	const struct verbs_cts *from = r->conn.control->cts[place - (ptrdiff_t)nbefore];
	size_t n = (size_t)nbefore * LINA_RECVS_MAX + (size_t)q->n;
	int i = verbs_first_up(&r->conn);

	if (i < 0) {
		r->credits_due = true;
		return 0;
	}
	return control_write(r, i, from, n * sizeof(*from), false);
}

int verbs_credits_write(struct verbs_receiver *r)
{
	int err = 0;

	r->credits_due = false;
	r->held = 0;
	for (int i = 0; i < VERBS_REQUESTS && !err; i++)
		err = r->request[i].used ? credit_write(r, &r->request[i], 0) : 0;
	return err;
}

static bool may_hold(const struct verbs_receiver *r)
{
	unsigned least = r->last_bytes <= LITTLE_BYTES ? LITTLE_CREDITS_LEAST : CREDITS_LEAST;

	return r->last_bytes <= SMALL_BYTES && r->held <= HELD_MOST &&
	       r->incomplete - r->held >= least && r->alike >= r->incomplete;
}

int verbs_credit_give(struct verbs_receiver *r, const struct verbs_recv_request *q)
{
	ptrdiff_t place = q - r->request;
	unsigned before = r->held++;
	bool alike = q->n == 1 && q->buffer[0].tag == r->tag;

	r->alike = alike ? r->alike + 1 : q->n == 1;
	r->tag = q->buffer[0].tag;
	/* Of the first place and the last none is held: what is held lies together. */
	if (place > 0 && place < VERBS_REQUESTS - 1 && may_hold(r))
		return 0;
	r->held = 0;
	return credit_write(r, q, before);
}

int verbs_credits_tend(struct verbs_receiver *r)
{
	const struct verbs_recv_request *last = &r->request[(r->next_number - 1) % VERBS_REQUESTS];

	if (!r->held || (may_hold(r) && r->conn.sock.idle < HELD_IDLE_TESTS) ||
		!verbs_control_room(r, verbs_first_up(&r->conn)))
		return 0;
	unsigned before = r->held - 1;
	r->held = 0;
	return credit_write(r, last, before);
}

/* --- grants --- */

/* The cell that is next has room: its last write has completed. */
static bool grant_room(const struct verbs_receiver *r, int i)
{
	const struct verbs_recv_rail *rr = &r->rail[i];
	const struct verbs_qp *qp = &r->conn.rail[i].qp[LINA_CLASS_LATENCY];

	return (int32_t)(qp->completed - rr->until[rr->ngrants % VERBS_GRANT_CELLS]) >= 0;
}

static int grant_write(struct verbs_receiver *r, int i)
{
	struct verbs_recv_rail *rr = &r->rail[i];
	unsigned k = rr->ngrants++ % VERBS_GRANT_CELLS;
	uint64_t *cell = &r->conn.control->granted[i][k];

	*cell = htobe64(rr->granted);
	rr->until[k] = r->conn.rail[i].qp[LINA_CLASS_LATENCY].posted + 1;
	return control_write(r, i, cell, sizeof(*cell), true);
}

int verbs_grant_again(struct verbs_receiver *r, int i)
{
	r->rail[i].ngrants = 0;
	memset(r->rail[i].until, 0, sizeof(r->rail[i].until));
	return grant_write(r, i);
}

static int grant_give(struct verbs_receiver *r, int i)
{
	struct verbs_rail *rail = &r->conn.rail[i];
	struct lina_link_flow *flow = &rail->flow[LINA_CLASS_BULK];
	struct verbs_recv_rail *rr = &r->rail[i];
	uint64_t ahead = rr->granted - rr->got;

	if (rail->state != VERBS_UP || r->grant_bytes - ahead < r->grant_bytes / GRANT_PARTS ||
		!verbs_control_room(r, i) || !grant_room(r, i))
		return 0;
	uint64_t given = lina_link_grant(flow, ahead, r->grant_bytes);
	if (!given)
		return 0;
	rr->granted += given;
	return grant_write(r, i);
}

int verbs_grants_give(struct verbs_receiver *r)
{
	int err = 0;

	for (int i = 0; i < r->conn.nrails && !err; i++)
		err = grant_give(r, i);
	return err;
}

/* --- what is complete --- */

int verbs_complete_say(struct verbs_receiver *r, const struct verbs_recv_request *q)
{
	uint64_t *cell = &r->conn.control->complete[q - r->request];
	int left = r->conn.nrails > 1 ? 2 : 0, err = 0;

	*cell = htobe64(q->number);
	for (int i = 0; i < r->conn.nrails && left && !err; i++) {
		if (r->conn.rail[i].state != VERBS_UP)
			continue;
		if (!verbs_control_room(r, i))
			err = verbs_rail_poll(&r->conn, &r->conn.rail[i]);
		if (!err && r->conn.rail[i].state == VERBS_UP && verbs_control_room(r, i))
			err = control_write(r, i, cell, sizeof(*cell), false);
		left--;
	}
	return err;
}
