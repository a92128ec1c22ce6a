/*
 * The sockets of a connection, as either transport has them, and what goes with them: the peer's
 * name and silence, the end of the connection, memory that is registered.
 */
#ifndef LINA_PLUGIN_TCP_CONN_H
#define LINA_PLUGIN_TCP_CONN_H

#include "plugin/link.h"
#include "plugin/transport.h"

uint64_t tcp_now_ns(void);

struct tcp_conn {
	struct lina_conn base;
	const struct lina_config *config;
	int nlanes;             /* sockets */
	int fd[LINA_LANES_MAX]; /* -1: none */
	union lina_addr peer;
	struct lina_link_flow *flow; /* [nflows], of its end, set before tcp_conn_init */
	int nflows;
	int in_flight;     /* requests that have not ended */
	int err;           /* 0, or why the connection is of no more use; it stays so */
	unsigned idle;     /* tests in a row that moved nothing */
	uint64_t check_ns; /* when the peer's silence was last looked at */
	uint64_t suspect_ns[LINA_LANES_MAX]; /* and found too long; 0: it was not */
};

/* What an end of a connection is made of. */
struct tcp_end {
	const struct lina_config *config;
	struct lina_link *link;
	union lina_addr peer;
	uint64_t who;   /* the listener's process, known to who dials */
	int32_t device; /* the device that it is; LINA_DEVICE_UNKNOWN */
	int nlanes;
	int fd[LINA_LANES_MAX];           /* connected sockets; the connection's on success */
	struct lina_wire_welcome welcome; /* what the receiving end gave or was given */
};

/* Fills in conn and takes the sockets over, last and without fail after all that can. */
int tcp_conn_init(struct tcp_conn *conn, const struct tcp_end *end);
void tcp_conn_close_lanes(struct tcp_conn *conn);
/* A latency flow of the end that dialled knows whom it sends to from now on, where that makes a
 * difference (LINA_HOT_FIRST). */
void tcp_end_flow_peer(const struct tcp_end *end, struct lina_link_flow *flow);
/* The link expects nothing more of it. */
void tcp_conn_flows_drop(struct tcp_conn *conn);

/* Makes conn fail with err, drops its flows, closes its sockets so that the peer hears of it, logs
 * why (once; what: "sending to", ...) and returns err. */
int tcp_conn_fail(struct tcp_conn *conn, int err, const char *what);

/* The same with a reason of its own in place of err's. */
int tcp_conn_fail_why(struct tcp_conn *conn, int err, const char *what, const char *why);

/* The same for a message that is larger than its receive; -EMSGSIZE. */
int tcp_conn_fail_size(
	struct tcp_conn *conn, const char *what, int tag, uint64_t bytes, uint64_t room);

/* To be called by a test that moved nothing: finds a peer whose host has gone. 0 or the
 * connection's error. */
int tcp_conn_idle(struct tcp_conn *conn);

/* Host memory needs no registration; what is registered is remembered, so that a transfer outside
 * of it is found. */
struct tcp_mr {
	struct lina_mr base;
	const char *data;
	size_t bytes;
};

int tcp_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset, int fd,
	struct lina_mr **mr_p);
int tcp_dereg(struct lina_conn *conn, struct lina_mr *mr);
/* Whether all of bytes at data are in it. */
static inline bool tcp_mr_holds(const struct tcp_mr *mr, const void *data, size_t bytes)
{
	uintptr_t at = (uintptr_t)data - (uintptr_t)mr->data; /* wraps: far beyond it */

	return at <= mr->bytes && bytes <= mr->bytes - at;
}

/* lina_mr may be NULL: not known. -EINVAL (logged): outside of it, or bytes at NULL. */
int tcp_mr_check(const struct lina_mr *lina_mr, const void *data, size_t bytes);

#endif
