/*
 * Completions that never come, at an end where something is waited for.
 *
 * Of a send: its queue pair knows that one is due. It breaks the rail; the receiver says what it
 * has got.
 *
 * Of a receive: the number of the next one tells, since those of a queue pair come in order. Where
 * none follows, what the sender's end knows to be delivered does. Only the immediate is lost, the
 * data is here. So the sender's memory keeps the last immediates, and the receiver reads them: by
 * the rail itself or, where that has broken, by another, and without anybody at that end, who may
 * have been told that all is done. Until it has, immediates of the queue pair are counted and not
 * taken; they are read in their order.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>

#include "plugin/log.h"
#include "plugin/verbs_conn.h"

/* How long a rail that has broken waits for another to be up and to bring the answer. */
static const uint64_t last_answer_ns = 250000000;

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

static bool is_behind(const struct verbs_qp *qp)
{
	return qp->imms_in != qp->imms_seen;
}

/* Reads, by way of a rail that is up, what the sender has said on qp. There may be none, or no
 * room; then it is asked again later. */
static int ask(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	unsigned i = (unsigned)(rail - c->rail);
	struct verbs_said *said = qp->said;
	int up = rail->state == VERBS_UP ? (int)i : verbs_first_up(c);

	if (qp->asked_by || up < 0)
		return 0;
	struct verbs_rail *by = &c->rail[up];
	if (!verbs_qp_room(&by->qp[qp->cls]) || verbs_port_is_down(by->port))
		return 0;
	qp->asked_by = by;
	qp->asked_to = qp->imms_seen;
	return verbs_post(c, by, &by->qp[qp->cls],
		&(struct verbs_write){ .piece = { .bytes = sizeof(*said),
					       .asks = (uint8_t)(i * LINA_NCLASSES + qp->cls + 1) },
			.reads = true,
			.by_nic = true,
			.from = said,
			.lkey = by->control_mr->lkey,
			.to = c->peer_control + (uint64_t)((char *)said - (char *)c->control),
			.rkey = by->peer.rkey,
			.signal = true });
}

/* They took as many receives. */
static int missed(
	struct verbs_conn *c, const struct verbs_rail *rail, struct verbs_qp *qp, uint32_t n)
{
	if (n > qp->recvs)
		return verbs_conn_fail(c, -EPROTO, NULL);
	lina_warn("%s %s: rail %s lost %u completions of receives: what came is read from the peer",
		c->doing, c->sock.base.peer_name, rail->port->name, n);
	qp->recvs -= n;
	qp->imms_seen += n;
	return 0;
}

int verbs_imm_in(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp,
	uint32_t number, uint32_t imm)
{
	int32_t n = (int32_t)(number - qp->imms_seen);

	if (n < 0) /* its completion was late, not lost */
		return 0;
	qp->recvs--;
	qp->imms_seen++;
	if (n > 0) {
		int err = missed(c, rail, qp, (uint32_t)n);
		return err ? err : ask(c, rail, qp);
	}
	if (qp->imms_in + 1 != qp->imms_seen) /* it comes after those that were missed */
		return 0;
	qp->imms_in++;
	return c->imm_take(c, rail, qp, imm);
}

/* How many immediates from number from on the sender knew to be delivered. */
static uint32_t delivered(const struct verbs_rail *rail, const struct verbs_qp *qp, uint32_t from)
{
	uint64_t known = be64toh(__atomic_load_n(&qp->said->delivered, __ATOMIC_ACQUIRE));
	int32_t n = (int32_t)((uint32_t)known - from);

	return (uint32_t)(known >> 32) == rail->life && n > 0 ? (uint32_t)n : 0;
}

/* The peer has been told that what was not taken by now is to come again. It may have ended it, and
 * then nobody looks after that end. */
static int answer_late(
	struct verbs_conn *c, const struct verbs_rail *rail, const struct verbs_qp *qp)
{
	if (rail->state != VERBS_ENDED || !delivered(rail, qp, qp->imms_in))
		return 0;
	return verbs_conn_fail(
		c, -EIO, "completions of receives were lost, and with a rail what came");
}

/* By now the completions of all that was delivered before the question have come, if they do. */
int verbs_lost_answer(struct verbs_conn *c, const struct verbs_rail *by, unsigned asks)
{
	struct verbs_rail *rail = &c->rail[(asks - 1) / LINA_NCLASSES];
	struct verbs_qp *qp = &rail->qp[(asks - 1) % LINA_NCLASSES];
	int err = 0;

	if (qp->asked_by != by)
		return 0;
	qp->asked_by = NULL;
	if (rail->state != VERBS_UP && rail->state != VERBS_ENDING)
		return answer_late(c, rail, qp);
	uint32_t n = delivered(rail, qp, qp->imms_seen);
	if (n) {
		err = missed(c, rail, qp, n);
		qp->asked_to = qp->imms_seen;
	}
	while (qp->imms_in != qp->asked_to && !err) {
		const uint32_t *cell = &qp->said->imm[qp->imms_in++ & (VERBS_IMMS - 1)];
		err = c->imm_take(c, rail, qp, ntohl(__atomic_load_n(cell, __ATOMIC_RELAXED)));
	}
	return err || !is_behind(qp) ? err : ask(c, rail, qp);
}

void verbs_lost_forget(struct verbs_conn *c, const struct verbs_rail *by)
{
	for (int i = 0; i < c->nrails * LINA_NCLASSES; i++) {
		struct verbs_qp *qp = &c->rail[i / LINA_NCLASSES].qp[i % LINA_NCLASSES];
		if (qp->asked_by != by)
			continue;
		qp->asked_by = NULL;
		qp->asked_last = false;
	}
}

/* Of what is known to have been missed, and else once: nobody may send it again. */
static bool wants_last(
	const struct verbs_conn *c, const struct verbs_rail *rail, const struct verbs_qp *qp)
{
	return is_behind(qp) ||
	       (!qp->asked_last && (rail->health.cq_failed || verbs_first_up(c) >= 0));
}

int verbs_lost_last(struct verbs_conn *c, struct verbs_rail *rail, uint64_t now_ns)
{
	bool waits = false;
	int err = 0;

	if (now_ns - rail->since_ns > last_answer_ns)
		return 0;
	for (int cls = 0; cls < LINA_NCLASSES && !err; cls++) {
		struct verbs_qp *qp = &rail->qp[cls];
		if (!qp->asked_by && !wants_last(c, rail, qp))
			continue;
		waits = true;
		err = ask(c, rail, qp);
		qp->asked_last = qp->asked_by;
	}
	return waits && !err ? -EAGAIN : err;
}

static int recv_look(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint64_t now_ns)
{
	if (is_behind(qp) && rail->state == VERBS_UP)
		return ask(c, rail, qp);
	if (!qp->asked_ns || qp->asked_at != qp->imms_in) {
		qp->asked_at = qp->imms_in;
		qp->asked_ns = now_ns;
		return 0;
	}
	if (now_ns - qp->asked_ns < timeout_ns(c) / 2)
		return 0;
	qp->asked_ns = now_ns;
	return ask(c, rail, qp);
}

int verbs_lost_look(struct verbs_conn *c, uint64_t now_ns)
{
	int err = 0;

	for (int i = 0; i < c->nrails * LINA_NCLASSES && !err; i++) {
		struct verbs_rail *rail = &c->rail[i / LINA_NCLASSES];
		struct verbs_qp *qp = &rail->qp[i % LINA_NCLASSES];
		if (rail->state == VERBS_UP)
			err = send_look(c, rail, qp, now_ns);
		bool asks = rail->state == VERBS_UP || rail->state == VERBS_ENDED;
		if (!err && asks && !c->sock.base.sends)
			err = recv_look(c, rail, qp, now_ns);
	}
	return err;
}
