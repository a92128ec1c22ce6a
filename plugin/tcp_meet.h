/*
 * How two ends find each other, in either transport: one listens, the other dials, over TCP and
 * with the listener's secret. What comes of it is the sockets of one connection. Threads and
 * errors: those of transport.h, whose functions these are the greater part of.
 */
#ifndef LINA_PLUGIN_TCP_MEET_H
#define LINA_PLUGIN_TCP_MEET_H

#include "plugin/tcp_conn.h"

enum { TCP_HELLO_TIMEOUT_MS = 10000 }; /* a stranger that says nothing for so long goes */

/* What an end comes with. */
struct tcp_meet {
	const struct lina_config *config; /* lives as long as listener or dial */
	enum lina_wire_transport transport;
	union lina_addr addr;   /* its interface's */
	struct lina_link *link; /* goes into the tcp_end as it is */
	int nlanes;             /* of the end that dials */
	int least_lanes;        /* of the end that listens: with fewer nobody is a peer */
	uint32_t early_bytes, grant_bytes; /* of the end that listens: its welcome's */
};

int tcp_meet_listen(const struct tcp_meet *meet, struct lina_wire_handle *handle_p,
	struct lina_listener **listener_p);
/* The sockets are the caller's. -EAGAIN: the peer is not there yet. */
int tcp_meet_accept(struct lina_listener *listener, struct tcp_end *end_p);

/* -EPROTO: the listener's transport is another one (logged). */
int tcp_meet_dial(const struct tcp_meet *meet, const struct lina_wire_handle *handle,
	struct lina_dial **dial_p);
/* The sockets are the caller's. -EAGAIN: not yet. */
int tcp_meet_step(struct lina_dial *dial, struct tcp_end *end_p);
void tcp_meet_close(struct lina_dial *dial); /* from any state; frees it */

#endif
