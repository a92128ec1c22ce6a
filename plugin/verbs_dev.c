#include "plugin/verbs_dev.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "plugin/hca_spec.h"
#include "plugin/log.h"

enum { GIDS_MAX = 256 };
static const uint64_t events_pause_ns = 10000000;

/* --- ports --- */

/* Of ibv_port_attr: numbers of bits, from the lowest. InfiniBand's data rates of a lane and its
 * widths (InfiniBand Architecture Specification, PortInfo). */
static const int lane_mbps[] = { 2500, 5000, 10000, 10000, 14000, 25000, 50000, 100000, 200000 };
static const int lanes[] = { 1, 4, 8, 12, 2 };

static int port_mbps(const struct ibv_port_attr *attr)
{
	const int nspeeds = sizeof(lane_mbps) / sizeof(*lane_mbps);
	const int nwidths = sizeof(lanes) / sizeof(*lanes);
	int speed = ffs(attr->active_speed) - 1, width = ffs(attr->active_width) - 1;

	if (speed < 0 || speed >= nspeeds || width < 0 || width >= nwidths)
		return lane_mbps[0];
	return lane_mbps[speed] * lanes[width];
}

static int gids_read(struct verbs_port *p, struct ibv_gid_entry *entries)
{
	struct verbs_device *d = p->device;
	int n = 0;

	for (int i = 0; i < p->attr.gid_tbl_len && i < GIDS_MAX; i++)
		n += d->verbs->query_gid(d->context, p->number, (uint32_t)i, &entries[n]) == 0;
	return n;
}

static int gid_find(const struct lina_config *config, struct verbs_port *p)
{
	struct ibv_gid_entry entries[GIDS_MAX];
	struct lina_gid_wish wish;
	int best = 0;

	int err = lina_gid_wish_read(config, &wish);
	if (err)
		return err;
	if (p->attr.link_layer != IBV_LINK_LAYER_ETHERNET && wish.index < 0)
		wish.index = 0;
	err = lina_gid_pick(&wish, entries, gids_read(p, entries), &best);
	if (err) {
		lina_info("%s is left out: it has no usable address%s", p->name,
			wish.index > 0 ? " at LINA_GID_INDEX or NCCL_IB_GID_INDEX" : "");
		return -ENODEV;
	}
	p->gid = entries[best].gid;
	p->gid_index = (uint8_t)entries[best].gid_index;
	return 0;
}

static int pkey_check(const struct lina_config *config, const struct verbs_port *p)
{
	if (config->pkey_index < p->attr.pkey_tbl_len)
		return 0;
	lina_info("%s is left out: its table of %d partition keys has no entry "
		  "LINA_PKEY_INDEX or NCCL_IB_PKEY=%d",
		p->name, p->attr.pkey_tbl_len, config->pkey_index);
	return -ENODEV;
}

/* -ENODEV: not to be used. */
static int port_open(const struct lina_config *config, struct verbs_device *d, uint8_t number,
	struct verbs_port *p)
{
	*p = (struct verbs_port){ .device = d, .number = number };
	if (!lina_hca_match(config->hca, d->name, number))
		return -ENODEV;
	(void)snprintf(p->name, sizeof(p->name), d->attr.phys_port_cnt > 1 ? "%s:%d" : "%s",
		d->name, number);
	int err = d->verbs->query_port(d->context, number, &p->attr);
	if (err)
		return err;
	if (p->attr.state != IBV_PORT_ACTIVE) {
		lina_info("%s is left out: its port is not active", p->name);
		return -ENODEV;
	}
	p->speed_mbps = port_mbps(&p->attr);
	err = pkey_check(config, p);
	if (!err)
		err = gid_find(config, p);
	if (!err)
		err = lina_link_open(config, p->name, &p->link);
	if (err)
		return err;
	lina_hot_completes(lina_link_hot(p->link), (uint64_t)p->speed_mbps);
	return 0;
}

bool verbs_port_is_down(const struct verbs_port *port)
{
	return port->device->gone || (port->device->down >> (port->number % 64) & 1);
}

bool verbs_port_is_active(const struct verbs_port *port)
{
	struct verbs_device *d = port->device;
	struct ibv_port_attr attr;

	if (d->gone || d->verbs->query_port(d->context, port->number, &attr))
		return false;
	return attr.state == IBV_PORT_ACTIVE;
}

/* --- devices --- */

/* Libraries that cannot register a dmabuf at all say so; those that can dislike the descriptor. */
static bool dmabuf_try(struct verbs_device *d)
{
	struct ibv_mr *mr;

	int err = d->verbs->reg_dmabuf_mr(
		d->pd, 0, (size_t)sysconf(_SC_PAGESIZE), 0, -1, IBV_ACCESS_LOCAL_WRITE, &mr);
	if (!err)
		(void)d->verbs->dereg_mr(mr);
	return !err || err == -EBADF;
}

static void device_close(struct verbs_device *d)
{
	if (d->pd)
		(void)d->verbs->dealloc_pd(d->pd);
	(void)d->verbs->close_device(d->context);
	lina_mr_cache_free(&d->cache);
	pthread_mutex_destroy(&d->lock);
}

static int device_open(
	const struct lina_verbs *verbs, struct ibv_device *found, struct verbs_device *d)
{
	*d = (struct verbs_device){ .verbs = verbs };
	(void)snprintf(d->name, sizeof(d->name), "%s", found->name);
	int err = verbs->open_device(found, &d->context);
	if (err)
		return err;
	pthread_mutex_init(&d->lock, NULL);
	err = verbs->query_device(d->context, &d->attr);
	if (!err)
		err = verbs->alloc_pd(d->context, &d->pd);
	if (err) {
		device_close(d);
		return err;
	}
	lina_nic_read_dir(found->ibdev_path, &d->nic);
	d->has_dmabuf = dmabuf_try(d);
	return 0;
}

/* Names fit: there are at most VERBS_RAILS_MAX of them. */
static void name_add(struct verbs_nic *nic, const char *name)
{
	size_t len = strlen(nic->name);

	if (len)
		nic->name[len++] = '+';
	memcpy(nic->name + len, name, strlen(name) + 1);
}

static void nic_add(struct verbs_hcas *h, struct verbs_port *p)
{
	struct verbs_nic *nic = &h->nic[h->nnics];

	*nic = (struct verbs_nic){
		.nports = 1, .port = { p }, .nindexes = 1, .index = { h->nnics }
	};
	name_add(nic, p->name);
	h->nnics++;
}

/* Opens what is to be used of one device; 0 also where that is nothing. */
static int device_take(
	const struct lina_config *config, struct verbs_hcas *h, struct ibv_device *found)
{
	struct verbs_device *d = &h->device[h->ndevices];
	int first = h->nports;

	int err = device_open(h->verbs, found, d);
	if (err) {
		lina_info("%s is left out: it cannot be opened: %s", found->name, strerror(-err));
		return 0;
	}
	for (int i = 1; i <= d->attr.phys_port_cnt && h->nports < VERBS_PORTS_MAX; i++) {
		struct verbs_port *p = &h->port[h->nports];
		err = port_open(config, d, (uint8_t)i, p);
		if (!err) {
			h->nports++;
			nic_add(h, p);
		} else if (err == -EINVAL || err == -ENOMEM) {
			break;
		}
		err = 0;
	}
	if (h->nports == first)
		device_close(d);
	else
		h->ndevices++;
	return err;
}

/* One device of all ports there is room for. */
static void nics_join(struct verbs_hcas *h)
{
	struct verbs_nic *nic = &h->nic[0];

	for (int i = 1; i < h->nports && i < VERBS_RAILS_MAX; i++) {
		nic->port[nic->nports++] = &h->port[i];
		name_add(nic, h->port[i].name);
	}
	h->nnics = 1;
	lina_info("verbs device 0 is %s (LINA_MERGE=1)", nic->name);
}

static void hcas_log(const struct verbs_hcas *h)
{
	for (int i = 0; i < h->nports; i++) {
		const struct verbs_port *p = &h->port[i];
		lina_info("verbs device %d: %s, %s, %d Mbit/s, MTU %d, address %d, NUMA node %d, "
			  "%s",
			i, p->name,
			p->attr.link_layer == IBV_LINK_LAYER_ETHERNET ? "RoCE" : "InfiniBand",
			p->speed_mbps, 128 << p->attr.active_mtu, p->gid_index,
			p->device->nic.numa_node,
			p->device->nic.pci_path[0] ? p->device->nic.pci_path : "not on PCI");
	}
}

int verbs_hcas_open(const struct lina_config *config, struct verbs_hcas *h, char *why)
{
	struct ibv_device **list;
	int n = 0;

	memset(h, 0, sizeof(*h));
	int err = lina_verbs_load(&h->verbs, why);
	if (err)
		return err;
	if (h->verbs->fork_init())
		lina_info("libibverbs cannot protect its memory when the process forks");
	err = h->verbs->get_device_list(&n, &list);
	if (err) {
		(void)snprintf(
			why, LINA_VERBS_WHY_BYTES, "no list of RDMA devices: %s", strerror(-err));
		return -ENODEV;
	}
	pthread_mutex_init(&h->lock, NULL);
	for (int i = 0; i < n && h->ndevices < VERBS_DEVICES_MAX && !err; i++)
		err = device_take(config, h, list[i]);
	h->verbs->free_device_list(list);
	if (!err && h->nports == 0) {
		(void)snprintf(why, LINA_VERBS_WHY_BYTES,
			n ? "of %d RDMA devices none has an "
			    "active port that LINA_HCA or NCCL_IB_HCA chooses"
			  : "no RDMA device",
			n);
		err = -ENODEV;
	}
	if (err) {
		verbs_hcas_close(h);
		return err;
	}
	hcas_log(h);
	if (config->merge)
		nics_join(h);
	return 0;
}

void verbs_hcas_close(struct verbs_hcas *h)
{
	for (int i = 0; i < h->nports; i++)
		lina_link_close(h->port[i].link);
	for (int i = 0; i < h->ndevices; i++)
		device_close(&h->device[i]);
	pthread_mutex_destroy(&h->lock);
}

/* --- several ports as one device --- */

/* NCCL finds no way to a device that it has merged where the parts are not on PCI, and goes on
 * without merging where that is refused. */
static bool may_merge(const struct verbs_hcas *h, int dev)
{
	return h->nic[0].nports == 1 && h->port[dev].device->nic.pci_path[0];
}

static int merge_check(const struct verbs_hcas *h, int ndevs, const int *devs)
{
	if (ndevs < 1 || ndevs > VERBS_RAILS_MAX || h->nnics == VERBS_NICS_MAX) {
		lina_warn("cannot merge %d devices into one: 1 to %d, and %d devices at most",
			ndevs, VERBS_RAILS_MAX, VERBS_NICS_MAX);
		return -EINVAL;
	}
	for (int i = 0; i < ndevs; i++) {
		if (devs[i] < 0 || devs[i] >= h->nports) {
			lina_warn("cannot merge device %d: there are %d, counted from 0", devs[i],
				h->nports);
			return -EINVAL;
		}
		if (ndevs > 1 && !may_merge(h, devs[i])) {
			lina_info("%s is not merged: not on PCI, or LINA_MERGE is set",
				h->port[devs[i]].name);
			return -EINVAL;
		}
		if (h->port[devs[i]].attr.link_layer != h->port[devs[0]].attr.link_layer) {
			lina_warn("cannot merge %s and %s: one is InfiniBand, one is RoCE",
				h->port[devs[0]].name, h->port[devs[i]].name);
			return -EINVAL;
		}
	}
	return 0;
}

int verbs_hcas_merge(struct verbs_hcas *h, int ndevs, const int *devs, int *dev_p)
{
	pthread_mutex_lock(&h->lock);
	int err = merge_check(h, ndevs, devs);
	if (!err) {
		struct verbs_nic *nic = &h->nic[h->nnics];
		nic->nports = nic->nindexes = ndevs;
		for (int i = 0; i < ndevs; i++) {
			nic->port[i] = &h->port[devs[i]];
			nic->index[i] = devs[i];
			name_add(nic, nic->port[i]->name);
		}
		*dev_p = h->nnics++;
		lina_info("verbs device %d: %s", *dev_p, nic->name);
	}
	pthread_mutex_unlock(&h->lock);
	return err;
}

/* --- what happens to a device --- */

/* What they are of cannot be destroyed before the event is acknowledged. */
static void cq_event(struct verbs_health *health)
{
	if (health)
		health->cq_failed = true;
}

static void qp_event(struct verbs_health *health, enum ibv_event_type type)
{
	if (health)
		health->qp_event = (int)type;
}

static void event_take(struct verbs_device *d, const struct ibv_async_event *event)
{
	uint64_t bit = UINT64_C(1) << (event->element.port_num % 64);

	switch (event->event_type) {
	case IBV_EVENT_DEVICE_FATAL:
		lina_info("%s: %s", d->name, d->verbs->event_type_str(event->event_type));
		d->gone = true;
		break;
	case IBV_EVENT_PORT_ERR:
		lina_info("%s port %d has no link", d->name, event->element.port_num);
		d->down |= bit;
		break;
	case IBV_EVENT_PORT_ACTIVE:
		lina_info("%s port %d has its link again", d->name, event->element.port_num);
		d->down &= ~bit;
		break;
	case IBV_EVENT_CQ_ERR:
		cq_event(event->element.cq->cq_context);
		break;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_REQ_ERR:
	case IBV_EVENT_QP_ACCESS_ERR:
		qp_event(event->element.qp->qp_context, event->event_type);
		break;
	default: /* harmless */
		break;
	}
}

void verbs_device_events(struct verbs_device *d, uint64_t now_ns)
{
	struct ibv_async_event event;
	uint64_t last_ns = d->events_ns;

	if (now_ns - last_ns < events_pause_ns ||
		!atomic_compare_exchange_strong(&d->events_ns, &last_ns, now_ns))
		return;
	while (d->verbs->get_async_event(d->context, &event) == 0) {
		event_take(d, &event);
		d->verbs->ack_async_event(&event);
	}
}
