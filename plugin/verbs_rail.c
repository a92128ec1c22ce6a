/*
 * Rails that break and come back. Both ends go through the same states; what they say to each other
 * goes over the socket, in order.
 *
 *   up -> ending    a request failed, the port went down, or the peer said "down"; the queue pairs
 *                   are stopped, so that from now on nothing comes in
 *   -> ended        what had come in by then has been looked at; "down" says how much that was
 *   -> down         the peer has said "down" too: neither end's memory is written to by this rail
 *                   any more, and what was not delivered may go on others
 *   -> rising       the sender's port is active again: "rise", and the receiver "risen" or "no"
 *   -> up           "go"
 *
 * Where none is up, work waits until one is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/verbs_conn.h"

/* A queue pair that was stopped flushes its requests; what does not come within this time will not,
 * and what had come in before is complete by then. */
static const uint64_t settle_ns = 20000000;

enum { OUTAGES_MAX = 3 };

static uint64_t retry_ns(const struct verbs_conn *c)
{
	return (uint64_t)c->sock.config->rail_retry_ms * 1000000u;
}

static void state_set(struct verbs_conn *c, struct verbs_rail *rail, enum verbs_rail_state state)
{
	c->nbroken += (state != VERBS_UP) - (rail->state != VERBS_UP);
	rail->state = state;
	rail->since_ns = tcp_now_ns();
	if (c->nbroken < c->nrails)
		c->dark_ns = 0;
	else if (!c->dark_ns)
		c->dark_ns = rail->since_ns;
}

void verbs_rail_lower(struct verbs_conn *c, struct verbs_rail *rail)
{
	verbs_rail_stop(c, rail);
	state_set(c, rail, VERBS_DOWN);
}

/* --- notes --- */

static int tell_push(struct verbs_conn *c)
{
	if (c->told_from == c->told_until)
		return 0;
	struct iovec iov = { c->tell + c->told_from, c->told_until - c->told_from };
	ssize_t n = lina_sock_send(c->sock.fd[0], &iov, 1);
	if (n < 0)
		return n == -EAGAIN ? 0 : verbs_conn_fail(c, (int)n, NULL);
	c->told_from += (size_t)n;
	if (c->told_from == c->told_until)
		c->told_from = c->told_until = 0;
	return 0;
}

/* Each state of a rail says at most one thing and waits for an answer, so that there is room. */
static int tell(struct verbs_conn *c, const struct verbs_rail *rail, enum verbs_note_type type)
{
	struct verbs_note note = {
		.type = type, .rail = (int)(rail - c->rail), .life = rail->life
	};

	if (c->told_until + VERBS_NOTE_BYTES > sizeof(c->tell))
		return verbs_conn_fail(c, -EPROTO, "the peer does not hear about its rails");
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		note.imms[cls] = rail->qp[cls].imms_in;
	verbs_note_encode(&note, c->tell + c->told_until);
	c->told_until += VERBS_NOTE_BYTES;
	return tell_push(c);
}

/* --- down --- */

static bool any_may_return(const struct verbs_conn *c)
{
	for (int i = 0; i < c->nrails; i++)
		if (verbs_rail_may_return(&c->rail[i]))
			return true;
	return false;
}

/* Where there are several, none being up may be over in a moment; but not if no data gets through
 * in between. */
static bool is_the_end(struct verbs_conn *c)
{
	if (c->nrails - c->nbroken > 1)
		return false;
	return c->nrails == 1 || ++c->outages > OUTAGES_MAX || !any_may_return(c);
}

/* where: " at the peer", or nothing. */
static int lose(struct verbs_conn *c, struct verbs_rail *rail, const char *where, const char *why)
{
	bool last = c->nrails - c->nbroken == 1;
	char text[256];

	if (is_the_end(c)) {
		(void)snprintf(text, sizeof(text), "%s%s: %s", rail->port->name, where, why);
		return verbs_conn_fail(c, -EIO, text);
	}
	lina_warn("%s %s: rail %s broke%s: %s; its work %s", c->doing, c->sock.base.peer_name,
		rail->port->name, where, why,
		last ? "waits for a rail that comes back" : "goes to the other rails");
	state_set(c, rail, VERBS_ENDING);
	verbs_rail_stop(c, rail);
	verbs_lost_forget(c, rail);
	return 0;
}

int verbs_rail_break(struct verbs_conn *c, struct verbs_rail *rail, const char *why)
{
	if (c->sock.err)
		return c->sock.err;
	return rail->state == VERBS_UP ? lose(c, rail, "", why) : 0;
}

static bool settled(const struct verbs_rail *rail, uint64_t now_ns)
{
	if (now_ns - rail->since_ns >= settle_ns)
		return true;
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		if (rail->qp[cls].recvs)
			return false;
	return true;
}

static void flows_drop(struct verbs_rail *rail)
{
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		lina_link_drop(&rail->flow[cls]);
}

/* Nothing moves on it at either end. What the peer has received has been delivered, whether its
 * completion came or not. */
static int down(struct verbs_conn *c, struct verbs_rail *rail)
{
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		struct verbs_qp *qp = &rail->qp[cls];
		if ((int32_t)(rail->peer_imms[cls] - qp->imms_completed) < 0)
			return verbs_conn_fail(c, -EIO,
				"the peer lost completions of receives, and with a rail what "
				"came");
		while (qp->imms_completed != rail->peer_imms[cls]) {
			if (qp->completed == qp->posted)
				return verbs_conn_fail(c, -EPROTO, NULL);
			verbs_qp_complete(c, rail, qp);
		}
	}
	rail->peer_ended = false;
	flows_drop(rail);
	state_set(c, rail, VERBS_DOWN);
	return c->rail_ended(c, rail);
}

static int ending_tend(struct verbs_conn *c, struct verbs_rail *rail)
{
	uint64_t now_ns = tcp_now_ns();
	bool is_settled = settled(rail, now_ns);

	int err = verbs_rail_poll(c, rail);
	if (!err && is_settled && !c->sock.base.sends)
		err = verbs_lost_last(c, rail, now_ns);
	if (err || !is_settled)
		return err == -EAGAIN ? 0 : err;
	state_set(c, rail, VERBS_ENDED);
	err = tell(c, rail, VERBS_NOTE_DOWN);
	return err || !rail->peer_ended ? err : down(c, rail);
}

static int down_heard(struct verbs_conn *c, struct verbs_rail *rail, const struct verbs_note *note)
{
	if (note->life != rail->life)
		return verbs_conn_fail(c, -EPROTO, NULL);
	rail->peer_ended = true;
	memcpy(rail->peer_imms, note->imms, sizeof(rail->peer_imms));
	if (rail->state == VERBS_ENDED)
		return down(c, rail);
	if (rail->state == VERBS_ENDING)
		return 0;
	if (rail->state != VERBS_UP)
		return verbs_conn_fail(c, -EPROTO, NULL);
	return lose(c, rail, " at the peer", "the peer's log says why");
}

/* --- up again --- */

/* The queue pairs begin a new life. */
static int rise(struct verbs_conn *c, struct verbs_rail *rail, uint32_t life)
{
	if (!verbs_rail_exists(rail) || !verbs_rail_may_return(rail) ||
		!verbs_port_is_active(rail->port))
		return -ENETDOWN;
	int err = verbs_rail_reset(c, rail);
	rail->life = life;
	return err ? err : verbs_rail_init(c, rail);
}

static int down_tend(struct verbs_conn *c, struct verbs_rail *rail)
{
	if (!c->sock.base.sends || tcp_now_ns() - rail->since_ns < retry_ns(c))
		return 0;
	state_set(c, rail, VERBS_DOWN); /* the next time after as long a pause */
	if (rise(c, rail, rail->life + 1))
		return 0;
	state_set(c, rail, VERBS_RISING);
	return tell(c, rail, VERBS_NOTE_RISE);
}

static int rise_heard(struct verbs_conn *c, struct verbs_rail *rail, const struct verbs_note *note)
{
	if (c->sock.base.sends || rail->state != VERBS_DOWN)
		return verbs_conn_fail(c, -EPROTO, NULL);
	int err = rise(c, rail, note->life);
	if (!err)
		err = verbs_rail_connect(c, rail);
	if (err)
		return tell(c, rail, VERBS_NOTE_NO);
	state_set(c, rail, VERBS_RISING);
	c->rail_up(c, rail); /* receives for immediates */
	return c->sock.err ? c->sock.err : tell(c, rail, VERBS_NOTE_RISEN);
}

static void up(struct verbs_conn *c, struct verbs_rail *rail)
{
	state_set(c, rail, VERBS_UP);
	lina_info(
		"%s %s: rail %s is used again", c->doing, c->sock.base.peer_name, rail->port->name);
	c->rail_up(c, rail);
}

static int risen_heard(struct verbs_conn *c, struct verbs_rail *rail)
{
	if (!c->sock.base.sends || rail->state != VERBS_RISING)
		return verbs_conn_fail(c, -EPROTO, NULL);
	if (verbs_rail_connect(c, rail)) {
		state_set(c, rail, VERBS_DOWN);
		return tell(c, rail, VERBS_NOTE_NO);
	}
	up(c, rail);
	return c->sock.err ? c->sock.err : tell(c, rail, VERBS_NOTE_GO);
}

static int note_take(struct verbs_conn *c, const struct verbs_note *note)
{
	if (note->rail >= c->nrails)
		return verbs_conn_fail(c, -EPROTO, NULL);
	struct verbs_rail *rail = &c->rail[note->rail];
	switch (note->type) {
	case VERBS_NOTE_DOWN:
		return down_heard(c, rail, note);
	case VERBS_NOTE_RISE:
		return rise_heard(c, rail, note);
	case VERBS_NOTE_RISEN:
		return risen_heard(c, rail);
	case VERBS_NOTE_NO:
		if (rail->state == VERBS_RISING)
			state_set(c, rail, VERBS_DOWN);
		return 0;
	case VERBS_NOTE_GO:
		if (rail->state != VERBS_RISING || c->sock.base.sends)
			break;
		up(c, rail);
		return c->sock.err;
	default:
		break;
	}
	return verbs_conn_fail(c, -EPROTO, NULL);
}

static int hear(struct verbs_conn *c)
{
	while (!c->gone_ns) {
		struct iovec room = { c->hear + c->heard, sizeof(c->hear) - c->heard };
		ssize_t n = lina_sock_recv(c->sock.fd[0], &room, 1);
		if (n == -EAGAIN)
			return 0;
		if (n == -ESHUTDOWN || n == -ECONNRESET) {
			c->gone_ns = tcp_now_ns();
			return 0;
		}
		if (n < 0)
			return verbs_conn_fail(c, (int)n, NULL);
		c->heard += (size_t)n;
		if (c->heard < sizeof(c->hear))
			continue;
		struct verbs_note note;
		int err = verbs_note_decode(c->hear, &note);
		c->heard = 0;
		err = err ? verbs_conn_fail(c, err, NULL) : note_take(c, &note);
		if (err)
			return err;
	}
	return 0;
}

static int dark_check(struct verbs_conn *c)
{
	const uint64_t most_ns = (uint64_t)c->sock.config->peer_timeout_ms * 1000000u;

	if (!c->dark_ns || tcp_now_ns() - c->dark_ns < most_ns)
		return 0;
	return verbs_conn_fail(c, -EIO, "no rail has come back within LINA_PEER_TIMEOUT_MS");
}

bool verbs_rails_told(const struct verbs_conn *c)
{
	for (int i = 0; i < c->nrails; i++)
		if (c->rail[i].state == VERBS_ENDING)
			return false;
	return c->told_from == c->told_until;
}

int verbs_rails_tend(struct verbs_conn *c)
{
	int err = hear(c);
	if (!err)
		err = tell_push(c);
	if (!err)
		err = dark_check(c);
	for (int i = 0; i < c->nrails && !err && c->nbroken; i++) {
		struct verbs_rail *rail = &c->rail[i];
		if (rail->state == VERBS_ENDING)
			err = ending_tend(c, rail);
		else if (rail->state == VERBS_DOWN)
			err = down_tend(c, rail);
	}
	return err;
}
