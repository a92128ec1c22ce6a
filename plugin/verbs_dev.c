#include "plugin/verbs_dev.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugin/log.h"

static const uint64_t events_pause_ns = 10000000;

/* --- devices --- */

/* What libibverbs lists. */
struct found {
	struct ibv_device *device;
	int number; /* in its list */
	struct lina_nic nic;
};

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

static int device_open(const struct lina_config *config, const struct lina_verbs *verbs,
	const struct found *f, struct verbs_device *d)
{
	struct ibv_device *found = f->device;

	*d = (struct verbs_device){ .verbs = verbs, .nic = f->nic };
	(void)snprintf(d->name, sizeof(d->name), "%s", found->name);
	lina_nic_card_path(f->nic.pci_path, config->merge_vfs, d->pci_path);
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

/* Notes why something is left out; the first reason is the one that is told where nothing is left.
 */
static void leave_out(struct verbs_hcas *h, const char *why)
{
	lina_info("%s", why);
	if (!h->first_why[0])
		(void)snprintf(h->first_why, sizeof(h->first_why), "%s", why);
}

/* Ports of one card that were found before. */
static int earlier_ports(const struct verbs_hcas *h, const struct verbs_port *p)
{
	int n = 0;

	for (int i = 0; i < h->nports; i++)
		n += p->device->pci_path[0] &&
		     strcmp(h->port[i].device->pci_path, p->device->pci_path) == 0;
	return n;
}

static int ports_take(
	const struct lina_config *config, struct verbs_hcas *h, struct verbs_device *d)
{
	char why[LINA_VERBS_WHY_BYTES];

	for (int i = 1; i <= d->attr.phys_port_cnt && h->nports < VERBS_PORTS_MAX; i++) {
		struct verbs_port *p = &h->port[h->nports];
		int err = verbs_port_open(config, d, (uint8_t)i, p, why);
		if (err == -ENODEV) {
			leave_out(h, why);
			continue;
		}
		if (err)
			return err;
		p->card_number = i + earlier_ports(h, p);
		h->nports++;
		nic_add(h, p);
	}
	return 0;
}

/* Opens what is to be used of one device; 0 also where that is nothing. */
static int device_take(
	const struct lina_config *config, struct verbs_hcas *h, const struct found *found)
{
	struct verbs_device *d = &h->device[h->ndevices];
	char why[LINA_VERBS_WHY_BYTES];
	int first = h->nports;

	if (found->device->transport_type != IBV_TRANSPORT_IB) {
		(void)snprintf(why, sizeof(why),
			"%s is left out: it is neither InfiniBand nor RoCE", found->device->name);
		leave_out(h, why);
		return 0;
	}
	int err = device_open(config, h->verbs, found, d);
	if (err) {
		(void)snprintf(why, sizeof(why), "%s is left out: it cannot be opened: %s",
			found->device->name, strerror(-err));
		leave_out(h, why);
		return 0;
	}
	err = ports_take(config, h, d);
	if (h->nports == first)
		device_close(d);
	else
		h->ndevices++;
	return err;
}

/* One device of all ports there is room for, but for those of another kind than the first. */
static void nics_join(struct verbs_hcas *h)
{
	struct verbs_nic *nic = &h->nic[0];

	for (int i = 1; i < h->nports && nic->nports < VERBS_RAILS_MAX; i++) {
		if (h->port[i].attr.link_layer != h->port[0].attr.link_layer) {
			lina_info("%s is left out: it is not of the kind that %s is",
				h->port[i].name, h->port[0].name);
			continue;
		}
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
			p->speed_mbps, 128 << p->attr.active_mtu, p->address.gid_index,
			p->device->nic.numa_node,
			p->device->nic.pci_path[0] ? p->device->nic.pci_path : "not on PCI");
	}
}

/* --- all of them --- */

/* NCCL takes a port to be on the rail of the others with its number, on whatever host: so numbers
 * follow the place in the machine, which is the same in all, not the order in which drivers were
 * loaded. Devices elsewhere than on PCI come last, in that order. */
static int by_place(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	const char *px = x->nic.pci_path, *py = y->nic.pci_path;

	if (!*px || !*py)
		return *px ? -1 : *py ? 1 : x->number - y->number;
	px = strrchr(px, '/');
	py = strrchr(py, '/');
	size_t nx = strlen(px), ny = strlen(py); /* a domain may have more digits */
	if (nx != ny)
		return nx < ny ? -1 : 1;
	return strcmp(px, py);
}

static int devices_find(
	const struct lina_config *config, struct ibv_device **list, int n, struct found **found_p)
{
	struct found *found = calloc((size_t)n + 1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		found[i].device = list[i];
		found[i].number = i;
		lina_nic_read_dir(list[i]->ibdev_path, &found[i].nic);
	}
	if (config->pci_order)
		qsort(found, (size_t)n, sizeof(*found), by_place);
	*found_p = found;
	return 0;
}

static int devices_take(
	const struct lina_config *config, struct verbs_hcas *h, struct ibv_device **list, int n)
{
	struct found *found;
	int i;

	int err = devices_find(config, list, n, &found);
	if (err)
		return err;
	for (i = 0; i < n && h->ndevices < VERBS_DEVICES_MAX && h->nports < VERBS_PORTS_MAX && !err;
		i++)
		err = device_take(config, h, &found[i]);
	if (!err && i < n)
		lina_warn("of %d RDMA devices only the first are used, with %d ports; LINA_HCA or "
			  "NCCL_IB_HCA chooses others",
			n, h->nports);
	free(found);
	return err;
}

static int hcas_fill(const struct lina_config *config, struct verbs_hcas *h, char *why)
{
	struct ibv_device **list;
	int n = 0;

	int err = h->verbs->get_device_list(&n, &list);
	if (err) {
		(void)snprintf(
			why, LINA_VERBS_WHY_BYTES, "no list of RDMA devices: %s", strerror(-err));
		return -ENODEV;
	}
	err = devices_take(config, h, list, n);
	h->verbs->free_device_list(list);
	if (err || h->nports)
		return err;
	(void)snprintf(why, LINA_VERBS_WHY_BYTES,
		n ? "of %d RDMA devices none can be used: %.200s" : "no RDMA device", n,
		h->first_why);
	return -ENODEV;
}

int verbs_hcas_open(const struct lina_config *config, struct verbs_hcas *h, char *why)
{
	memset(h, 0, sizeof(*h));
	int err = lina_verbs_load(&h->verbs, why);
	if (err)
		return err;
	if (h->verbs->fork_init())
		lina_info("libibverbs cannot protect its memory when the process forks");
	pthread_mutex_init(&h->lock, NULL);
	err = hcas_fill(config, h, why);
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
	case IBV_EVENT_GID_CHANGE:
	case IBV_EVENT_LID_CHANGE:
	case IBV_EVENT_PKEY_CHANGE:
		lina_info("%s port %d: %s; connections from now on heed it", d->name,
			event->element.port_num, d->verbs->event_type_str(event->event_type));
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
