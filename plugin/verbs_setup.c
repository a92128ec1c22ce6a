/*
 * How a connection comes up. Over the socket of tcp_meet.h the sender says what it is made of, the
 * receiver connects its queue pairs and says the same, the sender connects its own and says
 * "ready", since nobody may write to it before. Each end goes through its part of the table of
 * states.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/verbs_conn.h"

enum setup_state {
	SETUP_MEET,
	SETUP_TELL_INFO,
	SETUP_HEAR_INFO,
	SETUP_CONNECT,
	SETUP_TELL_READY,
	SETUP_HEAR_READY,
	SETUP_DONE,
	SETUP_STATES,
};

/* One end of a connection to be. */
struct setup {
	struct lina_transport *transport;
	const struct verbs_nic *nic;
	enum setup_state state;
	struct tcp_end end;      /* from the state after SETUP_MEET on */
	struct verbs_conn *conn; /* NULL: not made yet */
	uint64_t deadline_ns;
	size_t moved; /* of bytes */
	uint8_t bytes[VERBS_INFO_BYTES];
};

struct verbs_dial {
	struct lina_dial base;
	struct lina_dial *meet;
	struct setup setup;
};

struct verbs_listener {
	struct lina_listener base;
	struct lina_listener *meet;
	struct setup setup; /* of the peer that is in, if state is not SETUP_MEET */
};

static const char *const state_names[SETUP_STATES] = {
	[SETUP_MEET] = "waiting for the peer",
	[SETUP_TELL_INFO] = "saying what its queue pairs are",
	[SETUP_HEAR_INFO] = "waiting to hear of the peer's queue pairs",
	[SETUP_CONNECT] = "connecting queue pairs",
	[SETUP_TELL_READY] = "saying that it is ready",
	[SETUP_HEAR_READY] = "waiting for the peer to be ready",
	[SETUP_DONE] = "ready",
};

/* --- steps of both ends: 0, -EAGAIN, or why it fails --- */

/* n more of nbytes have moved, or -errno. */
static int moved(struct setup *s, ssize_t n, size_t nbytes)
{
	if (n < 0)
		return (int)n;
	s->moved += (size_t)n;
	if (s->moved < nbytes)
		return -EAGAIN;
	s->moved = 0;
	return 0;
}

static int tell(struct setup *s, size_t nbytes)
{
	struct iovec rest = { s->bytes + s->moved, nbytes - s->moved };

	return moved(s, lina_sock_send(s->end.fd[0], &rest, 1), nbytes);
}

static int hear(struct setup *s, size_t nbytes)
{
	struct iovec rest = { s->bytes + s->moved, nbytes - s->moved };

	return moved(s, lina_sock_recv(s->end.fd[0], &rest, 1), nbytes);
}

static void info_write(struct setup *s)
{
	struct verbs_info info;

	verbs_conn_info(s->conn, &info);
	verbs_info_encode(&info, s->bytes);
}

static int info_use(struct setup *s)
{
	struct verbs_info info;

	int err = verbs_info_decode(s->bytes, &info);
	return err ? err : verbs_final(verbs_conn_connect(s->conn, &info));
}

/* With what the peer has said of itself. The kernel asks for the peer's hardware address, and says
 * that it timed out where it gets no answer: at the start of a large job as a link that comes up,
 * or too many who ask. Where there are several rails, the one comes up later by itself. */
static int connect_queues(struct setup *s)
{
	int err = info_use(s);

	return err == -ETIMEDOUT && s->conn->nrails == 1 ? -EAGAIN : err;
}

static void setup_begin(struct setup *s, enum setup_state state)
{
	s->state = state;
	s->moved = 0;
	s->deadline_ns =
		tcp_now_ns() + (uint64_t)s->transport->config->connect_timeout_ms * 1000000u;
}

/* Gives back what it has; it may begin again. */
static void setup_drop(struct setup *s)
{
	for (int i = 0; s->state != SETUP_MEET && i < s->end.nlanes; i++)
		lina_sock_close(s->end.fd[i]);
	if (s->conn)
		verbs_conn_close(s->conn);
	s->conn = NULL;
	s->state = SETUP_MEET;
}

/* The connection takes the socket over. */
static int setup_finish(struct setup *s, struct lina_conn **conn_p)
{
	int err = tcp_conn_init(&s->conn->sock, &s->end);
	if (err)
		return err;
	*conn_p = &s->conn->sock.base;
	s->conn = NULL;
	s->state = SETUP_MEET;
	return 0;
}

static int setup_fail(const struct setup *s, int err)
{
	char peer[LINA_ADDR_TEXT_BYTES], why[LINA_ERROR_TEXT_BYTES];

	lina_warn("setting up a connection with %s failed while %s: %s",
		lina_addr_text(&s->end.peer, peer), state_names[s->state],
		lina_sock_error(err, why));
	return err;
}

static int setup_wait(const struct setup *s)
{
	return tcp_now_ns() < s->deadline_ns ? -EAGAIN : -ETIMEDOUT;
}

/* --- the sender --- */

static void ready_write(struct setup *s)
{
	struct verbs_note note = { .type = VERBS_NOTE_READY };

	for (int i = 0; i < s->conn->nrails; i++)
		if (s->conn->rail[i].state == VERBS_UP)
			note.rails |= 1u << i;
	verbs_note_encode(&note, s->bytes);
}

static int sender_step(struct setup *s)
{
	int err = 0;

	switch (s->state) {
	case SETUP_TELL_INFO:
		err = tell(s, VERBS_INFO_BYTES);
		break;
	case SETUP_HEAR_INFO:
		err = hear(s, VERBS_INFO_BYTES);
		break;
	case SETUP_CONNECT:
		err = connect_queues(s);
		if (!err)
			ready_write(s);
		break;
	case SETUP_TELL_READY:
		err = tell(s, VERBS_NOTE_BYTES);
		break;
	default:
		break;
	}
	if (err)
		return err;
	s->state = s->state == SETUP_TELL_READY ? SETUP_DONE : (enum setup_state)(s->state + 1);
	return 0;
}

static struct tcp_meet meet_of(struct lina_transport *t, const struct verbs_nic *nic)
{
	return (struct tcp_meet){ .config = t->config,
		.transport = LINA_WIRE_VERBS,
		.addr = t->addr,
		.link = nic->port[0]->link,
		.nlanes = 1,
		.least_lanes = 1,
		.grant_bytes = (uint32_t)lina_link_grant_bytes(nic->port[0]->link) };
}

int verbs_dial(struct lina_transport *t, int dev, const struct lina_wire_handle *handle,
	struct lina_dial **dial_p)
{
	struct verbs_dial *dial = calloc(1, sizeof(*dial));
	if (!dial) {
		lina_warn("no memory to connect");
		return -ENOMEM;
	}
	dial->setup.transport = t;
	dial->setup.nic = &t->hcas.nic[dev];
	const struct tcp_meet meet = meet_of(t, dial->setup.nic);
	int err = tcp_meet_dial(&meet, handle, &dial->meet);
	if (err) {
		free(dial);
		return err;
	}
	*dial_p = &dial->base;
	return 0;
}

static int sender_make(struct setup *s, int traffic_class)
{
	setup_begin(s, SETUP_TELL_INFO);
	int err = verbs_final(verbs_sender_create(s->transport, s->nic, &s->conn));
	if (!err) {
		verbs_traffic_class_set(s->conn, traffic_class);
		info_write(s);
	}
	return err;
}

int verbs_dial_step(struct lina_dial *lina_dial, struct lina_conn **conn_p)
{
	struct verbs_dial *dial = (struct verbs_dial *)lina_dial;
	struct setup *s = &dial->setup;
	int err = 0;

	if (s->state == SETUP_MEET) {
		err = tcp_meet_step(dial->meet, &s->end);
		if (err)
			return err;
		err = sender_make(s, lina_dial->traffic_class);
	}
	while (!err && s->state != SETUP_DONE)
		err = sender_step(s);
	if (err == -EAGAIN)
		err = setup_wait(s);
	if (err)
		return err == -EAGAIN ? err : setup_fail(s, err);
	verbs_sender_grant(s->conn, s->end.welcome.grant_bytes);
	for (int i = 0; i < s->conn->nrails; i++)
		tcp_end_flow_peer(&s->end, &s->conn->rail[i].flow[LINA_CLASS_LATENCY]);
	return setup_finish(s, conn_p);
}

void verbs_dial_close(struct lina_dial *lina_dial)
{
	struct verbs_dial *dial = (struct verbs_dial *)lina_dial;

	setup_drop(&dial->setup);
	tcp_meet_close(dial->meet);
	free(dial);
}

/* --- the receiver --- */

static int receiver_connect(struct setup *s)
{
	int err = connect_queues(s);
	if (!err)
		err = verbs_final(verbs_receiver_grant(s->conn, s->end.welcome.grant_bytes));
	if (!err)
		info_write(s);
	return err;
}

static int ready_check(struct setup *s)
{
	struct verbs_note note;

	int err = verbs_note_decode(s->bytes, &note);
	if (err)
		return err;
	if (note.type != VERBS_NOTE_READY)
		return -EPROTO;
	for (int i = 0; i < s->conn->nrails; i++)
		if (s->conn->rail[i].state == VERBS_UP && !(note.rails >> i & 1))
			verbs_rail_lower(s->conn, &s->conn->rail[i]);
	return s->conn->nbroken < s->conn->nrails ? 0 : -ENETDOWN;
}

static int receiver_step(struct setup *s)
{
	int err = 0;

	switch (s->state) {
	case SETUP_HEAR_INFO:
		err = hear(s, VERBS_INFO_BYTES);
		if (!err)
			err = verbs_final(verbs_receiver_create(s->transport, s->nic, &s->conn));
		if (!err)
			s->state = SETUP_CONNECT;
		break;
	case SETUP_CONNECT:
		err = receiver_connect(s);
		if (!err)
			s->state = SETUP_TELL_INFO;
		break;
	case SETUP_TELL_INFO:
		err = tell(s, VERBS_INFO_BYTES);
		if (!err)
			s->state = SETUP_HEAR_READY;
		break;
	default:
		err = hear(s, VERBS_NOTE_BYTES);
		if (!err)
			err = ready_check(s);
		if (!err)
			s->state = SETUP_DONE;
	}
	return err;
}

static void listener_close(struct lina_object *object)
{
	struct verbs_listener *l = (struct verbs_listener *)object;

	setup_drop(&l->setup);
	l->meet->object.close(&l->meet->object);
	free(l);
}

int verbs_listen(struct lina_transport *t, int dev, struct lina_wire_handle *handle_p,
	struct lina_listener **listener_p)
{
	struct verbs_listener *l = calloc(1, sizeof(*l));
	if (!l) {
		lina_warn("no memory to listen");
		return -ENOMEM;
	}
	l->base.object.close = listener_close;
	l->setup.transport = t;
	l->setup.nic = &t->hcas.nic[dev];
	const struct tcp_meet meet = meet_of(t, l->setup.nic);
	int err = tcp_meet_listen(&meet, handle_p, &l->meet);
	if (err) {
		free(l);
		return err;
	}
	*listener_p = &l->base;
	return 0;
}

int verbs_accept(struct lina_listener *listener, struct lina_conn **conn_p)
{
	struct verbs_listener *l = (struct verbs_listener *)listener;
	struct setup *s = &l->setup;
	int err = 0;

	if (s->state == SETUP_MEET) {
		err = tcp_meet_accept(l->meet, &s->end);
		if (err)
			return err;
		setup_begin(s, SETUP_HEAR_INFO);
	}
	while (!err && s->state != SETUP_DONE)
		err = receiver_step(s);
	if (err == -EAGAIN)
		err = setup_wait(s);
	if (!err)
		err = setup_finish(s, conn_p);
	if (err && err != -EAGAIN) {
		(void)setup_fail(s, err);
		setup_drop(s);
	}
	return err;
}
