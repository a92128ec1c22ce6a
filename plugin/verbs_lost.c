/*
 * Completions that never come, at an end where something is waited for.
 *
 * Of a send: its queue pair knows that one is due. It breaks the rail; the receiver says what it
 * has got.
 *
 * Of a receive: the number of the next one tells, since those of a queue pair come in order. Where
 * none follows, what the sender's end knows to be delivered does, which is read from its memory, as
 * nobody may look after that end any more. As the sender may have been told that all is done, there
 * is nobody who could send it again: the connection ends.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>

#include "plugin/verbs_conn.h"

static uint64_t timeout_ns(const struct verbs_conn *c)
{
	return (uint64_t)c->sock.config->peer_timeout_ms * 1000000u;
}

/* --- of sends --- */

/* Whether a completion that is to come has been missed for longer than anything takes. */
static bool is_lost(struct verbs_qp *qp, uint64_t now_ns, uint64_t most_ns)
{
	bool due = (int32_t)(qp->signalled - qp->completed) > 0;

	if (!due || !qp->waits_ns || qp->waits_at != qp->completed) {
		qp->waits_at = qp->completed;
		qp->waits_ns = due ? now_ns : 0;
	}
	return due && now_ns - qp->waits_ns > most_ns;
}

static int send_look(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint64_t now_ns)
{
	if (!is_lost(qp, now_ns, timeout_ns(c)))
		return 0;
	return verbs_rail_break(c, rail, "a completion has not come within LINA_PEER_TIMEOUT_MS");
}

/* --- of receives --- */

int verbs_lost_imms(struct verbs_conn *c, const struct verbs_rail *rail, uint32_t n)
{
	char text[160];

	(void)snprintf(text, sizeof(text),
		"%s: the completion of a receive was lost, or of %u, and with it what came",
		rail->port->name, n);
	return verbs_conn_fail(c, -EIO, text);
}

/* How many immediates the sender knew to be delivered, when it was last asked, that were never
 * seen. */
static uint32_t missing(const struct verbs_rail *rail, const struct verbs_qp *qp, uint64_t *cell)
{
	uint64_t delivered = be64toh(__atomic_load_n(cell, __ATOMIC_ACQUIRE));
	int32_t n = (int32_t)((uint32_t)delivered - qp->imms_in);

	return (uint32_t)(delivered >> 32) == rail->life && n > 0 ? (uint32_t)n : 0;
}

static int delivered_ask(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint64_t *cell)
{
	uint64_t at = (uint64_t)((char *)cell - (char *)c->control);

	if (!verbs_qp_room(qp) || verbs_port_is_down(rail->port))
		return 0;
	return verbs_post(c, rail, qp,
		&(struct verbs_write){ .piece = { .bytes = sizeof(*cell) },
			.reads = true,
			.by_nic = true,
			.from = cell,
			.lkey = rail->control_mr->lkey,
			.to = c->peer_control + at,
			.rkey = rail->peer.rkey,
			.signal = true });
}

/* What was answered is looked at when it is time to ask again: what had come before the answer has
 * completed by then, if it ever does. */
static int recv_look(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint64_t now_ns)
{
	uint64_t *cell = &c->control->delivered[rail - c->rail][qp->cls];

	if (!qp->asked_ns || qp->asked_at != qp->imms_in) {
		qp->asked_at = qp->imms_in;
		qp->asked_ns = now_ns;
		return 0;
	}
	if (now_ns - qp->asked_ns < timeout_ns(c) / 2)
		return 0;
	qp->asked_ns = now_ns;
	uint32_t n = missing(rail, qp, cell);
	return n ? verbs_lost_imms(c, rail, n) : delivered_ask(c, rail, qp, cell);
}

int verbs_lost_look(struct verbs_conn *c, uint64_t now_ns)
{
	int err = 0;

	for (int i = 0; i < c->nrails * LINA_NCLASSES && !err; i++) {
		struct verbs_rail *rail = &c->rail[i / LINA_NCLASSES];
		struct verbs_qp *qp = &rail->qp[i % LINA_NCLASSES];
		if (rail->state == VERBS_UP)
			err = send_look(c, rail, qp, now_ns);
		if (!err && rail->state == VERBS_UP && !c->sock.base.sends)
			err = recv_look(c, rail, qp, now_ns);
	}
	return err;
}
