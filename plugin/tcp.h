/*
 * The tcp transport, shared by its files:
 *   tcp.c         devices and the table of functions
 *   tcp_meet.h    how two ends find each other (tcp_dial.c, tcp_listen.c)
 *   tcp_conn.h    the sockets that both ends of a connection have (tcp_conn.c)
 *   tcp_send.c    the sending end: credits in, data out
 *   tcp_recv.c    the receiving end: receives and their credits
 *   tcp_lane.c    the receiving end: data in
 *
 * A connection has 2..LINA_LANES_MAX lanes, TCP sockets. All but the last carry data from the
 * sending end to the receiving end, and nothing the other way; the last one carries credits from
 * the receiving end, and nothing else. So the kernel delivers what it has of the data when the
 * sending end has closed or its process is gone, however that came about: a socket with bytes that
 * nobody reads any more would be reset.
 *
 * Data moves only against credit: that of a posted receive, which names the buffer it goes to, or
 * the standing credit of the connection, which lets small messages go before their receive is
 * posted (early, on lane 0). Every receive is announced by a credit; that of a receive whose
 * message went early gives the standing credit back.
 */
#ifndef LINA_PLUGIN_TCP_H
#define LINA_PLUGIN_TCP_H

#include "plugin/ifaces.h"
#include "plugin/tcp_meet.h"
#include "plugin/transport.h"
#include "topology/nic.h"

enum {
	TCP_REQUESTS = 64, /* of one end; NCCL has at most 32 in flight (NCCL_NET_MAX_REQUESTS) */
	TCP_STRIPE_MIN_BYTES = 64 << 10, /* smaller messages stay on one lane */
	TCP_EARLY_BULK_BYTES = 16 << 10, /* larger bulk messages wait for their receive */
	TCP_EARLIES = 256,               /* early messages whose receive has not been announced */
	TCP_DATA_LANES_MAX = LINA_LANES_MAX - 1,
};

/* Lanes that carry data: the first ones. */
static inline int tcp_data_lanes(const struct tcp_conn *conn)
{
	return conn->nlanes - 1;
}

/* The socket of the last one; the receiving end: -1 when nobody hears it any more. */
static inline int tcp_credit_fd(const struct tcp_conn *conn)
{
	return conn->fd[conn->nlanes - 1];
}

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

int tcp_sender_create(const struct tcp_end *end, struct lina_conn **conn_p);
int tcp_receiver_create(const struct tcp_end *end, struct lina_conn **conn_p);

void tcp_sender_close(struct lina_conn *conn);
void tcp_receiver_close(struct lina_conn *conn);

int tcp_send(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
	struct lina_mr *mr, struct lina_request **request_p);
int tcp_send_test(struct lina_request *request, int *done_p, int *bytes_p);

int tcp_recv(struct lina_conn *conn, enum lina_class cls, int n, void *const *data,
	const size_t *bytes, const int *tags, struct lina_mr *const *mrs,
	struct lina_request **request_p);
int tcp_recv_test(struct lina_request *request, int *done_p, int *bytes_p);

#endif
