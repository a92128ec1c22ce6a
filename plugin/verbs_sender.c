/*
 * The sending end: how it is made, and what becomes of what has gone.
 */
#include <errno.h>
#include <stdlib.h>

#include "plugin/verbs_send.h"

static void piece_done(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp,
	const struct verbs_piece *piece)
{
	struct verbs_part *part = piece->part;

	if (qp->cls == LINA_CLASS_LATENCY && rail->flow[LINA_CLASS_LATENCY].hot.peer)
		lina_hot_left(
			&rail->flow[LINA_CLASS_LATENCY].hot, piece->bytes, lina_link_now_ns());
	c->outages = 0;
	if (!piece->has_imm || (piece->kind != VERBS_END && piece->kind != VERBS_WHOLE))
		return;
	part->done = true;
	if (--part->request->parts_left == 0)
		part->request->state = VERBS_SEND_DONE;
}

static int no_imm(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint32_t imm)
{
	(void)rail;
	(void)qp;
	(void)imm;
	return verbs_conn_fail(c, -EPROTO, NULL);
}

int verbs_sender_create(
	struct lina_transport *transport, const struct verbs_nic *nic, struct verbs_conn **conn_p)
{
	struct verbs_sender *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->credits);
	s->next_number = 1;
	for (int i = 0; i < VERBS_RAILS_MAX; i++) {
		s->rail[i].rail = &s->conn.rail[i];
		for (int cls = 0; cls < LINA_NCLASSES; cls++)
			STAILQ_INIT(&s->rail[i].moving[cls]);
	}
	s->conn.piece_done = piece_done;
	s->conn.imm_take = no_imm;
	s->conn.rail_ended = verbs_send_rail_ended;
	s->conn.rail_up = verbs_send_rail_up;
	int err = verbs_conn_open(&s->conn, transport, nic, LINA_DIR_SEND);
	if (err) {
		verbs_conn_close(&s->conn);
		return err;
	}
	*conn_p = &s->conn;
	return 0;
}
