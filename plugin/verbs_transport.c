#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/ifaces.h"
#include "plugin/log.h"
#include "plugin/verbs_flush.h"

/* --- devices --- */

/* What the library and the devices are good for. Whoever asked for verbs by name hears of it as an
 * error; for everybody else tcp serves. */
static int open_fail(const struct lina_config *config, int err, const char *why)
{
	bool asked = strcmp(config->transport, "verbs") == 0;

	if (err == -ENOENT)
		err = -ENODEV;
	if (asked || err != -ENODEV)
		lina_warn("transport verbs: %s", err == -ENODEV ? why : strerror(-err));
	else
		lina_info("transport tcp, not verbs: %s", why);
	return err;
}

static bool is_off(const struct lina_config *config)
{
	return config->no_rdma && strcmp(config->transport, "verbs") != 0;
}

static int verbs_open(const struct lina_config *config, struct lina_transport **transport_p)
{
	struct lina_iface ifaces[LINA_IFACES_MAX];
	char why[LINA_VERBS_WHY_BYTES] = "";
	int nifaces = 0;

	if (is_off(config))
		return open_fail(config, -ENODEV, "NCCL_IB_DISABLE or LINA_NO_RDMA is set");

	struct lina_transport *t = calloc(1, sizeof(*t));
	if (!t)
		return open_fail(config, -ENOMEM, why);
	t->config = config;
	int err = verbs_hcas_open(config, &t->hcas, why);
	if (err) {
		free(t);
		return open_fail(config, err, why);
	}
	/* Connections are set up over what would serve tcp first. */
	err = lina_ifaces_choose(config, ifaces, &nifaces);
	if (err) {
		verbs_hcas_close(&t->hcas);
		free(t);
		return err;
	}
	t->addr = ifaces[0].addr;
	t->has_peer_memory = verbs_peer_memory("/sys");
	*transport_p = t;
	return 0;
}

static void verbs_close(struct lina_transport *t)
{
	verbs_hcas_close(&t->hcas);
	free(t);
}

static int verbs_count(const struct lina_transport *t)
{
	return t->hcas.nnics;
}

static int merge(struct lina_transport *t, int ndevs, const int *devs, int *dev_p)
{
	if (ndevs > 1 && !t->config->merge_nics) {
		lina_info("NCCL merges no devices: LINA_MERGE_NICS or NCCL_IB_MERGE_NICS is 0");
		return -EINVAL;
	}
	return verbs_hcas_merge(&t->hcas, ndevs, devs, dev_p);
}

static int ptr_support(const struct lina_transport *t, const struct verbs_nic *nic)
{
	bool dmabuf = true;

	for (int i = 0; i < nic->nports; i++)
		dmabuf = dmabuf && nic->port[i]->device->has_dmabuf;
	return LINA_PTR_HOST | (t->has_peer_memory ? LINA_PTR_CUDA : 0) |
	       (dmabuf ? LINA_PTR_DMABUF : 0);
}

/* As the user said; else ports of different hosts are on one rail where their order is the same. */
static int16_t rail_id(const struct verbs_nic *nic, int dev)
{
	_Static_assert(VERBS_NICS_MAX <= INT16_MAX, "a device's number is a rail's");
	int16_t id = nic->port[0]->place.rail;

	for (int i = 1; i < nic->nports; i++)
		if (nic->port[i]->place.rail != id)
			id = LINA_HCA_UNSET;
	if (id != LINA_HCA_UNSET)
		return id;
	return (int16_t)(nic->nports == 1 ? dev : LINA_ID_UNSET);
}

/* NCCL lets no two devices talk that are on different planes: a device with ports on several has
 * one of its own, which says which. */
static int16_t plane_id(const struct verbs_nic *nic)
{
	int planes = 1 << LINA_HCA_PLANES;
	bool several = false;

	for (int i = 0; i < nic->nports; i++) {
		int16_t plane = nic->port[i]->place.plane;
		if (plane == LINA_HCA_UNSET)
			return LINA_ID_UNSET;
		several = several || plane != nic->port[0]->place.plane;
		planes |= 1 << plane;
	}
	if (several)
		return (int16_t)planes;
	return nic->port[0]->place.plane;
}

static uint64_t guid_of(const struct verbs_device *d)
{
	return be64toh(d->attr.sys_image_guid ? d->attr.sys_image_guid : d->attr.node_guid);
}

static void verbs_props(const struct lina_transport *t, int dev, struct lina_net_props *props_p)
{
	const struct verbs_nic *nic = &t->hcas.nic[dev];
	const struct verbs_device *d = nic->port[0]->device;
	/* Of one port: those of others may be of other devices. */
	int qps = verbs_nrails(t->config, nic) / nic->nports;

	*props_p = (struct lina_net_props){
		.name = nic->name,
		.pci_path = d->pci_path[0] ? d->pci_path : NULL,
		.guid = guid_of(d),
		.ptr_support = ptr_support(t, nic),
		.port = nic->port[0]->card_number,
		.max_comms = d->attr.max_qp / LINA_NCLASSES / qps,
		.max_recvs = LINA_RECVS_MAX,
		.ndevs = nic->nindexes,
		.max_p2p_bytes = VERBS_MESSAGE_MAX_BYTES,
		.max_coll_bytes = VERBS_MESSAGE_MAX_BYTES,
		.max_multi_request = 1,
		.rail_id = rail_id(nic, dev),
		.plane_id = plane_id(nic),
	};
	for (int i = 0; i < nic->nports; i++)
		props_p->speed_mbps += nic->port[i]->speed_mbps;
	for (int i = 0; i < nic->nindexes; i++)
		props_p->devs[i] = nic->index[i];
}

/* --- transfers --- */

static void verbs_conn_close_any(struct lina_conn *conn)
{
	verbs_conn_close((struct verbs_conn *)conn);
}

static int verbs_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	if (verbs_flush_owns((struct verbs_conn *)request->conn, request))
		return verbs_flush_test(request, done_p);
	return request->conn->sends ? verbs_send_test(request, done_p, bytes_p)
				    : verbs_recv_test(request, done_p, bytes_p);
}

const struct lina_transport_ops lina_verbs_ops = {
	.name = "verbs",
	.open = verbs_open,
	.close = verbs_close,
	.count = verbs_count,
	.props = verbs_props,
	.merge = merge,
	.listen = verbs_listen,
	.accept = verbs_accept,
	.dial = verbs_dial,
	.dial_step = verbs_dial_step,
	.dial_close = verbs_dial_close,
	.reg = verbs_reg,
	.dereg = verbs_dereg,
	.conn_close = verbs_conn_close_any,
	.send = verbs_send,
	.recv = verbs_recv,
	.flush = verbs_flush,
	.test = verbs_test,
};
