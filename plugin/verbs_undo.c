/*
 * The sending end: what a broken rail has and has not delivered.
 */
#include <endian.h>

#include "plugin/verbs_send.h"

/* A request that the receiver has not got: its part goes back to where it was before. */
static void piece_undo(struct verbs_sender *s, int i, const struct verbs_piece *piece)
{
	struct verbs_part *part = piece->part;

	if (piece->has_imm && !verbs_piece_reports(piece)) {
		part->request->begun = false;
		return;
	}
	if (piece->offset < part->at)
		part->at = piece->offset;
	if (part->ended) { /* then it is in no queue */
		part->ended = false;
		STAILQ_INSERT_TAIL(&s->rail[i].moving[part->request->cls], part, link);
	}
}

/* What the receiver has not got, or has not been told of, counts against no grant: it knows nothing
 * of it. */
static void qp_undo(struct verbs_sender *s, int i, struct verbs_qp *qp)
{
	uint64_t bytes = qp->unreported_done;

	qp->unreported_done = 0;
	while (qp->completed != qp->posted) {
		const struct verbs_piece *piece = &qp->piece[qp->completed++ & (qp->nsends - 1)];
		qp->below_bytes -= piece->bytes;
		bytes += piece->bytes;
		if (piece->part)
			piece_undo(s, i, piece);
	}
	if (qp->cls == LINA_CLASS_BULK)
		s->rail[i].bulk_posted -= bytes;
}

/* What is in it now: to may be the rail that from is of. */
static void queue_move(struct verbs_sender *s, struct verbs_part_queue *from, int to)
{
	struct verbs_part *part = STAILQ_FIRST(from), *next;

	STAILQ_INIT(from);
	for (; part; part = next) {
		next = STAILQ_NEXT(part, link);
		verbs_part_queue(s, part, to);
	}
}

/* What waits on rail i, which has nothing under way, goes on rail to, which is up. */
static void parts_move(struct verbs_sender *s, int i, int to)
{
	struct verbs_send_rail *sr = &s->rail[i];

	sr->bulk_left = sr->bulk_told = sr->latency_untold = 0;
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		queue_move(s, &sr->moving[cls], to);
}

int verbs_send_rail_ended(struct verbs_conn *c, struct verbs_rail *rail)
{
	struct verbs_sender *s = (struct verbs_sender *)c;
	int i = (int)(rail - c->rail), to = verbs_first_up(c);

	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		qp_undo(s, i, &rail->qp[cls]);
	if (to < 0) /* until one is up */
		return 0;
	parts_move(s, i, to);
	return verbs_send_push(s);
}

static bool has_ended(const struct verbs_rail *rail)
{
	return rail->state == VERBS_DOWN || rail->state == VERBS_RISING;
}

void verbs_send_rail_up(struct verbs_conn *c, struct verbs_rail *rail)
{
	struct verbs_sender *s = (struct verbs_sender *)c;
	int to = (int)(rail - c->rail);

	parts_move(s, to, to); /* before others come to them: the link is told of each once */
	for (int i = 0; i < c->nrails; i++)
		if (i != to && has_ended(&c->rail[i]))
			parts_move(s, i, to);
}

/* --- what the receiver has, as it says --- */

static bool is_complete(const struct verbs_sender *s, const struct verbs_send_request *r)
{
	const uint64_t *cell = &s->conn.control->complete[r->credit.slot];

	return be64toh(__atomic_load_n(cell, __ATOMIC_ACQUIRE)) >= r->credit.number;
}

/* A rail that is up says itself what it has delivered, in a moment. */
static bool is_all_broken(const struct verbs_sender *s, const struct verbs_send_request *r)
{
	for (int i = 0; i < r->nparts; i++)
		if (!r->part[i].done && s->conn.rail[r->part[i].rail].state == VERBS_UP)
			return false;
	return true;
}

/* What was posted of r is nobody's from now on. */
static void qp_forget(struct verbs_qp *qp, const struct verbs_send_request *r)
{
	for (uint32_t k = qp->completed; k != qp->posted; k++) {
		struct verbs_piece *piece = &qp->piece[k & (qp->nsends - 1)];
		if (piece->part && piece->part->request == r)
			piece->part = NULL;
	}
}

void verbs_send_settle(struct verbs_sender *s)
{
	for (int i = 0; i < VERBS_REQUESTS; i++) {
		struct verbs_send_request *r = &s->request[i];
		if (r->state != VERBS_SEND_MOVES || !is_complete(s, r) || !is_all_broken(s, r))
			continue;
		for (int k = 0; k < s->conn.nrails; k++)
			qp_forget(&s->conn.rail[k].qp[r->cls], r);
		r->state = VERBS_SEND_DONE;
	}
}
