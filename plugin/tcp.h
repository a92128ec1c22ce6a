/*
 * The tcp transport, shared by its files:
 *   tcp.c         devices and the table of functions
 *   tcp_dial.c    connects: a table of states for each lane
 *   tcp_listen.c  listens, tells strangers from the peer, accepts
 *   tcp_conn.c    what both ends of a connection have in common
 *   tcp_send.c    the sending end: credits in, data out
 *   tcp_recv.c    the receiving end: receives and their credits
 *   tcp_lane.c    the receiving end: data in
 *
 * A connection has 1..LINA_LANES_MAX lanes, TCP sockets that carry data from the sending end to the
 * receiving end; lane 0 carries credits the other way. Data moves only against credit: that of a
 * posted receive, which names the buffer it goes to, or the standing credit of the connection,
 * which lets small messages go before their receive is posted (early, on lane 0). Every receive is
 * announced by a credit; that of a receive whose message went early gives the standing credit back.
 */
#ifndef LINA_PLUGIN_TCP_H
#define LINA_PLUGIN_TCP_H

#include "plugin/ifaces.h"
#include "plugin/link.h"
#include "plugin/transport.h"
#include "topology/nic.h"

enum {
	TCP_REQUESTS = 64, /* of one end; NCCL has at most 32 in flight (NCCL_NET_MAX_REQUESTS) */
	TCP_STRIPE_MIN_BYTES = 64 << 10, /* smaller messages stay on one lane */
	TCP_EARLY_BULK_BYTES = 16 << 10, /* larger bulk messages wait for their receive */
	TCP_EARLIES = 256,               /* early messages whose receive has not been announced */
	TCP_HELLO_TIMEOUT_MS = 10000,    /* a stranger that says nothing for so long goes */
};

struct tcp_device {
	struct lina_iface iface;
	struct lina_nic nic;
	struct lina_link *link;
};

struct lina_transport {
	const struct lina_config *config;
	int ndevs;
	struct tcp_device devs[LINA_IFACES_MAX];
};

struct tcp_conn {
	struct lina_conn base;
	const struct lina_config *config;
	int nlanes;
	int fd[LINA_LANES_MAX]; /* -1: none */
	union lina_addr peer;
	struct lina_link_flow *flow; /* [LINA_NCLASSES], of its end, set before tcp_conn_init */
	int in_flight;               /* requests that have not ended */
	int err;                     /* 0, or why the connection is of no more use; it stays so */
	unsigned idle;               /* tests in a row that moved nothing */
	uint64_t check_ns;           /* when the peer's silence was last looked at */
	uint64_t suspect_ns[LINA_LANES_MAX]; /* and found too long; 0: it was not */
};

uint64_t tcp_now_ns(void);

/* What an end of a connection is made of. */
struct tcp_end {
	const struct lina_config *config;
	struct lina_link *link;
	union lina_addr peer;
	int nlanes;
	int fd[LINA_LANES_MAX];           /* connected sockets; the connection's on success */
	struct lina_wire_welcome welcome; /* what the receiving end gave or was given */
};

int tcp_sender_create(const struct tcp_end *end, struct lina_conn **conn_p);
int tcp_receiver_create(const struct tcp_end *end, struct lina_conn **conn_p);

void tcp_sender_close(struct lina_conn *conn);
void tcp_receiver_close(struct lina_conn *conn);

/* Fills in conn and takes the sockets over, last and without fail after all that can. */
int tcp_conn_init(struct tcp_conn *conn, const struct tcp_end *end);
void tcp_conn_close_lanes(struct tcp_conn *conn);
/* The link expects nothing more of it. */
void tcp_conn_flows_drop(struct tcp_conn *conn);

/* Makes conn fail with err, drops its flows, closes its sockets so that the peer hears of it, logs
 * why (once; what: "sending to", ...) and returns err. */
int tcp_conn_fail(struct tcp_conn *conn, int err, const char *what);

/* The same for a message that is larger than its receive; -EMSGSIZE. */
int tcp_conn_fail_size(
	struct tcp_conn *conn, const char *what, int tag, uint64_t bytes, uint64_t room);

/* To be called by a test that moved nothing: finds a peer whose host has gone. 0 or the
 * connection's error. */
int tcp_conn_idle(struct tcp_conn *conn);

/* Host memory needs no registration; what is registered is remembered, so that a transfer outside
 * of it is found. */
int tcp_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset, int fd,
	struct lina_mr **mr_p);
int tcp_dereg(struct lina_conn *conn, struct lina_mr *mr);
/* lina_mr may be NULL: not known. -EINVAL (logged): outside of it, or bytes at NULL. */
int tcp_mr_check(const struct lina_mr *lina_mr, const void *data, size_t bytes);

int tcp_listen(struct lina_transport *transport, int dev, struct lina_wire_handle *handle_p,
	struct lina_listener **listener_p);
int tcp_accept(struct lina_listener *listener, struct lina_conn **conn_p);

int tcp_dial(struct lina_transport *transport, int dev, const struct lina_wire_handle *handle,
	struct lina_dial **dial_p);
int tcp_dial_step(struct lina_dial *lina_dial, struct lina_conn **conn_p);
void tcp_dial_close(struct lina_dial *lina_dial);

int tcp_send(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
	struct lina_mr *mr, struct lina_request **request_p);
int tcp_send_test(struct lina_request *request, int *done_p, int *bytes_p);

int tcp_recv(struct lina_conn *conn, enum lina_class cls, int n, void *const *data,
	const size_t *bytes, const int *tags, struct lina_mr *const *mrs,
	struct lina_request **request_p);
int tcp_recv_test(struct lina_request *request, int *done_p, int *bytes_p);

#endif
