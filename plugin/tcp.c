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

static int family_of(const char *text)
{
	if (strcmp(text, "AF_INET") == 0)
		return AF_INET;
	return strcmp(text, "AF_INET6") == 0 ? AF_INET6 : AF_UNSPEC;
}

static int ifaces_find(const struct lina_config *config, struct lina_iface *ifaces, int *n_p)
{
	const char *spec = config->ifname[0] ? config->ifname : NULL;

	int err = lina_ifaces_find(spec, family_of(config->socket_family), ifaces, n_p);
	if (err) {
		lina_warn("cannot list the network interfaces: %s", strerror(-err));
		return err;
	}
	if (*n_p > 0)
		return 0;
	lina_warn("no interface%s%s%s%s is up and has an address",
		spec ? " that LINA_IFNAME or NCCL_SOCKET_IFNAME chooses (" : "", spec ? spec : "",
		spec ? ")" : "", config->socket_family[0] ? " of the chosen family" : "");
	return -ENODEV;
}

static int devices_find(struct lina_transport *t)
{
	struct lina_iface ifaces[LINA_IFACES_MAX];

	int err = ifaces_find(t->config, ifaces, &t->ndevs);
	for (int i = 0; i < t->ndevs && !err; i++) {
		t->devs[i].iface = ifaces[i];
		err = lina_nic_read("/sys", ifaces[i].name, &t->devs[i].nic);
		if (!err)
			err = lina_link_open(t->config, ifaces[i].name, &t->devs[i].link);
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
	.dial_close = tcp_dial_close,
	.reg = tcp_reg,
	.dereg = tcp_dereg,
	.conn_close = tcp_conn_close,
	.send = tcp_send,
	.recv = tcp_recv,
	.flush = tcp_flush,
	.test = tcp_test,
};
