/*
 * The receiving end: receives become credits in the sender's memory, immediates say what has come.
 */
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/verbs_recv.h"

enum {
	/* At least as many as a sender makes of the bulk it may have under way, and where there is
	 * room as many as it can make if the grant runs out again and again. */
	REPORTS_AHEAD = 16,
	REPORTS_AHEAD_MOST = 80,
	REPORTS_PARTS = 4, /* of all receives */
	SIZE_IMMS = 2,
};

/* --- what arrives --- */

/* Tells the links that a message of latency class is on its way in, in parts of equal size. */
static void announce(struct verbs_receiver *r, struct verbs_recv_buffer *b)
{
	b->announced = b->message_bytes / (unsigned)b->nparts;
	for (int i = 0; i < r->conn.nrails && i < b->nparts; i++) {
		if (r->conn.rail[i].state != VERBS_UP)
			continue;
		lina_link_post(&r->conn.rail[i].flow[LINA_CLASS_LATENCY], b->announced);
		b->announced_rails |= 1u << i;
	}
}

static void arrived(struct verbs_receiver *r, struct verbs_recv_buffer *b)
{
	for (int i = 0; i < r->conn.nrails; i++)
		if (b->announced_rails >> i & 1 && r->conn.rail[i].state == VERBS_UP)
			lina_link_sent(&r->conn.rail[i].flow[LINA_CLASS_LATENCY], b->announced);
}

static int size_known(struct verbs_receiver *r, struct verbs_recv_buffer *b)
{
	if (b->message_bytes <= b->room)
		return 0;
	(void)tcp_conn_fail_size(&r->conn.sock, r->conn.doing, b->tag, b->message_bytes, b->room);
	return verbs_conn_fail(&r->conn, -EMSGSIZE, NULL);
}

static int begin_take(
	struct verbs_receiver *r, struct verbs_recv_buffer *b, uint32_t value, bool bulk)
{
	struct verbs_begin begin = verbs_begin_of(value);

	if (b->low_known && !b->high_due)
		return verbs_conn_fail(&r->conn, -EPROTO, NULL);
	b->message_bytes |= begin.low;
	b->high_due |= begin.has_high;
	b->low_known = true;
	b->nparts = begin.nparts;
	b->bulk = bulk;
	if (b->high_due)
		return 0;
	if (!bulk)
		announce(r, b);
	return size_known(r, b);
}

/* Where a rail broke between the two, the first comes again with it. */
static int high_take(struct verbs_receiver *r, struct verbs_recv_buffer *b, uint32_t value)
{
	if (!b->low_known || !b->high_due)
		return verbs_conn_fail(&r->conn, -EPROTO, NULL);
	b->message_bytes |= (uint64_t)value << VERBS_LOW_BITS;
	b->high_due = false;
	if (!b->bulk)
		announce(r, b);
	return size_known(r, b);
}

static int whole_take(struct verbs_recv_buffer *b, uint32_t value)
{
	b->message_bytes = value;
	b->low_known = true;
	b->nparts = b->ends = 1;
	return 0;
}

static int imm_use(struct verbs_receiver *r, struct verbs_recv_buffer *b, int i, bool bulk,
	const struct verbs_imm *imm)
{
	if (bulk && (imm->kind == VERBS_WHOLE || imm->kind >= VERBS_PROGRESS))
		r->rail[i].got += imm->value;
	if (r->rail[i].got > r->rail[i].granted)
		return verbs_conn_fail(&r->conn, -EPROTO, NULL);
	switch (imm->kind) {
	case VERBS_WHOLE:
		return b->low_known || b->ends ? -EPROTO : whole_take(b, imm->value);
	case VERBS_BEGIN:
		return begin_take(r, b, imm->value, bulk);
	case VERBS_HIGH:
		return high_take(r, b, imm->value);
	case VERBS_END:
		b->ends++;
		return 0;
	default:
		return 0;
	}
}

/* The sender is who it should be; still nothing that it says may confuse what NCCL is told. */
static int imm_take(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint32_t in)
{
	struct verbs_receiver *r = (struct verbs_receiver *)c;
	struct verbs_imm imm;

	int err = verbs_imm_decode(in, &imm);
	if (err)
		return verbs_conn_fail(c, err, NULL);
	struct verbs_recv_request *q = &r->request[imm.slot];
	struct verbs_recv_buffer *b = &q->buffer[imm.entry];
	if (!q->used || imm.entry >= (unsigned)q->n || b->whole)
		return verbs_conn_fail(c, -EPROTO, NULL);
	c->outages = 0;
	err = imm_use(r, b, (int)(rail - c->rail), qp->cls == LINA_CLASS_BULK, &imm);
	if (!err && imm.kind == VERBS_WHOLE)
		err = size_known(r, b);
	if (!err && b->low_known && b->ends > b->nparts)
		err = -EPROTO;
	if (err)
		return verbs_conn_fail(c, err, NULL);
	if (b->low_known && !b->high_due && b->ends == b->nparts) {
		b->whole = true;
		r->incomplete -= --q->left == 0;
		r->last_bytes = b->message_bytes;
		arrived(r, b);
	}
	return 0;
}

/* --- rails --- */

/* Of nrecvs receives that may be posted. */
static uint32_t reports_ahead(uint32_t nrecvs)
{
	const uint32_t part = nrecvs / REPORTS_PARTS;

	if (part < REPORTS_AHEAD)
		return REPORTS_AHEAD;
	return part < REPORTS_AHEAD_MOST ? part : REPORTS_AHEAD_MOST;
}

static int rail_fill(struct verbs_receiver *r, struct verbs_rail *rail)
{
	return verbs_recvs_fill(&r->conn, rail, r->need + reports_ahead(r->nrecvs));
}

static void rail_up(struct verbs_conn *c, struct verbs_rail *rail)
{
	struct verbs_receiver *r = (struct verbs_receiver *)c;
	int i = (int)(rail - c->rail);

	int err = rail_fill(r, rail);
	if (!err && rail->state == VERBS_UP)
		err = verbs_grant_again(r, i);
	if (!err && rail->state == VERBS_UP && r->credits_due)
		(void)verbs_credits_write(r);
}

/* What credit the sender got by the rail is not known. */
static int rail_ended(struct verbs_conn *c, struct verbs_rail *rail)
{
	struct verbs_receiver *r = (struct verbs_receiver *)c;
	unsigned bit = 1u << (rail - c->rail);
	int up = verbs_first_up(c);

	for (int i = 0; i < VERBS_REQUESTS; i++)
		for (int k = 0; k < r->request[i].n; k++)
			r->request[i].buffer[k].announced_rails &= ~bit;
	int err = up < 0 ? 0 : verbs_rail_poll(c, &c->rail[up]); /* which makes room */
	return err ? err : verbs_credits_write(r);
}

static int recvs_fill(struct verbs_receiver *r)
{
	int err = 0;

	for (int i = 0; i < r->conn.nrails && !err; i++)
		if (r->conn.rail[i].state == VERBS_UP)
			err = rail_fill(r, &r->conn.rail[i]);
	return err;
}

/* --- the end's calls --- */

static void no_piece(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp,
	const struct verbs_piece *piece)
{
	(void)c;
	(void)rail;
	(void)qp;
	(void)piece;
}

int verbs_receiver_create(
	struct lina_transport *transport, const struct verbs_nic *nic, struct verbs_conn **conn_p)
{
	struct verbs_receiver *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->next_number = 1;
	r->last_bytes = UINT64_MAX;
	r->conn.piece_done = no_piece;
	r->conn.imm_take = imm_take;
	r->conn.rail_ended = rail_ended;
	r->conn.rail_up = rail_up;
	int err = verbs_conn_open(&r->conn, transport, nic, LINA_DIR_RECV);
	if (err) {
		verbs_conn_close(&r->conn);
		return err;
	}
	*conn_p = &r->conn;
	return 0;
}

int verbs_receiver_grant(struct verbs_conn *conn, uint64_t bytes)
{
	struct verbs_receiver *r = (struct verbs_receiver *)conn;

	r->grant_bytes = bytes;
	r->nrecvs = VERBS_RECVS;
	for (int i = 0; i < conn->nrails; i++) {
		r->rail[i].granted = bytes;
		uint32_t n = conn->rail[i].qp[0].nrecvs;
		if (verbs_rail_exists(&conn->rail[i]) && n < r->nrecvs)
			r->nrecvs = n;
	}
	return recvs_fill(r);
}

/* Immediates that a receive of n buffers may bring on one queue pair: after a rail broke, all of
 * them may come on one. */
static uint32_t imms_of(const struct verbs_receiver *r, int n)
{
	return (uint32_t)n * (SIZE_IMMS + (uint32_t)r->conn.nrails);
}

static bool recvs_room(const struct verbs_receiver *r, int n)
{
	return r->need + imms_of(r, n) + reports_ahead(r->nrecvs) <= r->nrecvs;
}

static int mrs_check(int n, void *const *data, const size_t *bytes, struct lina_mr *const *mrs)
{
	for (int i = 0; i < n; i++) {
		int err = verbs_mr_check(mrs ? mrs[i] : NULL, data[i], bytes[i]);
		if (err)
			return err;
	}
	return 0;
}

static uint32_t rkey_of(const struct verbs_mr *mr, int rail)
{
	return mr->mr[rail] ? mr->mr[rail]->rkey : 0;
}

static void request_make(struct verbs_receiver *r, struct verbs_recv_request *q, int n,
	void *const *data, const size_t *bytes, const int *tags, struct lina_mr *const *mrs)
{
	struct verbs_cts *cts = r->conn.control->cts[q - r->request];

	q->base.conn = &r->conn.sock.base;
	q->used = true;
	q->number = r->next_number;
	q->n = q->left = n;
	for (int i = 0; i < n; i++) {
		struct verbs_credit credit = {
			.addr = (uintptr_t)data[i], .room = bytes[i], .tag = tags[i], .n = n
		};
		for (int k = 0; k < r->conn.nrails && bytes[i]; k++)
			credit.rkey[k] = rkey_of((const struct verbs_mr *)mrs[i], k);
		verbs_cts_encode(&credit, r->next_number, &cts[i]);
		q->buffer[i] = (struct verbs_recv_buffer){ .room = bytes[i], .tag = tags[i] };
	}
	r->next_number++;
	r->incomplete++;
	r->need += imms_of(r, n);
	r->conn.sock.in_flight++;
}

int verbs_recv(struct lina_conn *conn, enum lina_class cls, int n, void *const *data,
	const size_t *bytes, const int *tags, struct lina_mr *const *mrs,
	struct lina_request **request_p)
{
	struct verbs_receiver *r = (struct verbs_receiver *)conn;

	(void)cls;
	int err = r->conn.sock.err ? r->conn.sock.err : mrs_check(n, data, bytes, mrs);
	if (err)
		return err;
	struct verbs_recv_request *q = &r->request[r->next_number % VERBS_REQUESTS];
	if (q->used || !recvs_room(r, n)) {
		*request_p = NULL;
		return 0;
	}
	int up = verbs_first_up(&r->conn);
	if (!verbs_control_room(r, up)) {
		*request_p = NULL;
		return up < 0 ? verbs_conn_idle(&r->conn)
			      : verbs_rail_poll(&r->conn, &r->conn.rail[up]);
	}
	request_make(r, q, n, data, bytes, tags, mrs);
	err = recvs_fill(r);
	if (!err)
		err = verbs_credit_give(r, q);
	if (err)
		return err;
	*request_p = &q->base;
	return 0;
}

static int progress(struct verbs_receiver *r, const struct verbs_recv_request *q)
{
	int err = 0;

	for (int i = 0; i < r->conn.nrails && !err; i++)
		err = verbs_rail_poll(&r->conn, &r->conn.rail[i]);
	if (!err)
		err = recvs_fill(r); /* before more may come */
	if (!err)
		err = verbs_credits_tend(r);
	if (!err)
		err = verbs_grants_give(r);
	/* A receive that is whole is cut off until what broke has been looked after. */
	return err || (!q->left && !r->conn.nbroken) ? err : verbs_conn_idle(&r->conn);
}

/* Nothing has told the sender, who may be waiting for that, that a receive is complete: no rail is
 * up, and the socket has not said yet what came on those that broke. */
static bool is_cut_off(const struct verbs_receiver *r)
{
	return r->conn.dark_ns && !r->conn.gone_ns && !verbs_rails_told(&r->conn);
}

int verbs_recv_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct verbs_recv_request *q = (struct verbs_recv_request *)request;
	struct verbs_receiver *r = (struct verbs_receiver *)request->conn;

	*done_p = 0;
	int err = r->conn.sock.err;
	if (!err && (q->left || is_cut_off(r)))
		err = progress(r, q);
	if (err)
		return err;
	if (q->left || is_cut_off(r))
		return 0;
	for (int i = 0; bytes_p && i < q->n; i++)
		bytes_p[i] = q->buffer[i].message_bytes < INT_MAX ? (int)q->buffer[i].message_bytes
								  : INT_MAX;
	q->used = false;
	err = verbs_complete_say(r, q);
	if (err)
		return err;
	r->need -= imms_of(r, q->n);
	/* Nobody asks while nothing is received: it must not look like bulk that is held. */
	if (--r->conn.sock.in_flight == 0)
		for (int i = 0; i < r->conn.nrails; i++)
			lina_link_drop(&r->conn.rail[i].flow[LINA_CLASS_BULK]);
	*done_p = 1;
	return 0;
}
