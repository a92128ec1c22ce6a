#include "plugin/tcp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/sock.h"

enum { SPEED_DEFAULT_MBPS = 10000 }; /* of a link that does not say; NCCL's socket transport too */
enum { MAX_COMMS = 65536 };
static const size_t max_message_bytes = (size_t)1
					<< 40; /* a message's size is 64 bits on the wire */

static int devices_find(struct lina_transport *t)
{
	struct lina_iface ifaces[LINA_IFACES_MAX];

	int err = lina_ifaces_choose(t->config, ifaces, &t->ndevs);
	for (int i = 0; i < t->ndevs && !err; i++) {
		t->devs[i].iface = ifaces[i];
		err = lina_nic_read("/sys", ifaces[i].name, &t->devs[i].nic);
		if (!err)
			err = lina_link_open(t->config, ifaces[i].name, &t->devs[i].link);
		if (!err)
			err = lina_link_pump_open(t->devs[i].link);
	}
	return err;
}

static int speed_mbps(const struct tcp_device *d)
{
	return d->nic.speed_mbps ? d->nic.speed_mbps : SPEED_DEFAULT_MBPS;
}

static void devices_log(const struct lina_transport *t)
{
	char addr[LINA_ADDR_TEXT_BYTES];

	for (int i = 0; i < t->ndevs; i++) {
		const struct tcp_device *d = &t->devs[i];
		lina_info("tcp device %d: %s %s, %d Mbit/s%s, NUMA node %d, %s", i, d->iface.name,
			lina_addr_text(&d->iface.addr, addr), speed_mbps(d),
			d->nic.speed_mbps ? "" : " (assumed)", d->nic.numa_node,
			d->nic.pci_path[0] ? d->nic.pci_path : "not on PCI");
	}
}

static void tcp_close(struct lina_transport *t)
{
	for (int i = 0; i < t->ndevs; i++)
		lina_link_close(t->devs[i].link);
	free(t);
}

static int tcp_open(const struct lina_config *config, struct lina_transport **transport_p)
{
	struct lina_transport *t = calloc(1, sizeof(*t));
	if (!t) {
		lina_warn("no memory for the tcp transport");
		return -ENOMEM;
	}
	t->config = config;
	int err = devices_find(t);
	if (err) {
		tcp_close(t);
		return err;
	}
	devices_log(t);
	*transport_p = t;
	return 0;
}

static int tcp_count(const struct lina_transport *t)
{
	return t->ndevs;
}

static void tcp_props(const struct lina_transport *t, int dev, struct lina_net_props *props_p)
{
	const struct tcp_device *d = &t->devs[dev];

	*props_p = (struct lina_net_props){
		.name = d->iface.name,
		.pci_path = d->nic.pci_path[0] ? d->nic.pci_path : NULL,
		.guid = (uint64_t)dev,
		.ptr_support = LINA_PTR_HOST,
		.speed_mbps = speed_mbps(d),
		.max_comms = MAX_COMMS,
		.max_recvs = LINA_RECVS_MAX,
		.ndevs = 1,
		.devs = { dev },
		.max_p2p_bytes = max_message_bytes,
		.max_coll_bytes = max_message_bytes,
		.max_multi_request = 1,
		.rail_id = LINA_ID_UNSET,
		.plane_id = LINA_ID_UNSET,
	};
}

/* Received bytes are in host memory when the request is done: nothing to flush. */
static int tcp_flush(struct lina_conn *conn, int n, void *const *data, const int *bytes,
	struct lina_mr *const *mrs, struct lina_request **request_p)
{
	(void)conn;
	for (int i = 0; i < n; i++) {
		int err = bytes[i] < 0 ? -EINVAL : tcp_mr_check(mrs[i], data[i], (size_t)bytes[i]);
		if (err)
			return err;
	}
	*request_p = NULL;
	return 0;
}

static void tcp_conn_close(struct lina_conn *conn)
{
	if (conn->sends)
		tcp_sender_close(conn);
	else
		tcp_receiver_close(conn);
}

static int tcp_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	return request->conn->sends ? tcp_send_test(request, done_p, bytes_p)
				    : tcp_recv_test(request, done_p, bytes_p);
}

/* --- connections --- */

static struct tcp_meet meet_of(const struct lina_transport *t, int dev)
{
	const struct tcp_device *d = &t->devs[dev];

	return (struct tcp_meet){ .config = t->config,
		.transport = LINA_WIRE_TCP,
		.addr = d->iface.addr,
		.link = d->link,
		.nlanes = t->config->lanes + 1, /* for credits */
		.least_lanes = 2,
		.early_bytes = (uint32_t)t->config->early_bytes,
		.grant_bytes = (uint32_t)lina_link_grant_bytes(d->link) };
}

static int tcp_listen(struct lina_transport *t, int dev, struct lina_wire_handle *handle_p,
	struct lina_listener **listener_p)
{
	const struct tcp_meet meet = meet_of(t, dev);

	return tcp_meet_listen(&meet, handle_p, listener_p);
}

/* Makes an end of a connection; the sockets are its own, or closed. */
static int end_create(const struct tcp_end *end, struct lina_conn **conn_p, bool sends)
{
	char peer[LINA_ADDR_TEXT_BYTES];

	int err = sends ? tcp_sender_create(end, conn_p) : tcp_receiver_create(end, conn_p);
	if (!err)
		return 0;
	lina_warn("the connection with %s cannot be set up: %s", lina_addr_text(&end->peer, peer),
		strerror(-err));
	for (int i = 0; i < end->nlanes; i++)
		lina_sock_close(end->fd[i]);
	return err;
}

static int tcp_accept(struct lina_listener *listener, struct lina_conn **conn_p)
{
	struct tcp_end end;

	int err = tcp_meet_accept(listener, &end);
	return err ? err : end_create(&end, conn_p, false);
}

static int tcp_dial(struct lina_transport *t, int dev, const struct lina_wire_handle *handle,
	struct lina_dial **dial_p)
{
	const struct tcp_meet meet = meet_of(t, dev);

	return tcp_meet_dial(&meet, handle, dial_p);
}

static int tcp_dial_step(struct lina_dial *dial, struct lina_conn **conn_p)
{
	struct tcp_end end;

	int err = tcp_meet_step(dial, &end);
	return err ? err : end_create(&end, conn_p, true);
}

const struct lina_transport_ops lina_tcp_ops = {
	.name = "tcp",
	.open = tcp_open,
	.close = tcp_close,
	.count = tcp_count,
	.props = tcp_props,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.dial = tcp_dial,
	.dial_step = tcp_dial_step,
	.dial_close = tcp_meet_close,
	.reg = tcp_reg,
	.dereg = tcp_dereg,
	.conn_close = tcp_conn_close,
	.send = tcp_send,
	.recv = tcp_recv,
	.flush = tcp_flush,
	.test = tcp_test,
};
