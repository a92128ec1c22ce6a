/*
 * Ports: which are of use, how fast they are, and which of their addresses packets carry.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "plugin/log.h"
#include "plugin/verbs_dev.h"

enum { GIDS_MAX = 256 };

/* --- speed --- */

/* Numbers of bits, from the lowest. InfiniBand's data rates of a lane and its widths (InfiniBand
 * Architecture Specification, PortInfo); the highest is XDR's. */
static const int lane_mbps[] = { 2500, 5000, 10000, 10000, 14000, 25000, 50000, 100000, 200000 };
static const int lanes[] = { 1, 4, 8, 12, 2 };
enum { NSPEEDS = sizeof(lane_mbps) / sizeof(*lane_mbps), NWIDTHS = sizeof(lanes) / sizeof(*lanes) };

int verbs_speed_mbps(uint32_t speed, unsigned width)
{
	int s = ffs((int)speed) - 1, w = ffs((int)width) - 1;
	int lane = lane_mbps[s < 0 ? 0 : s < NSPEEDS ? s : NSPEEDS - 1];

	return lane * lanes[w < 0 || w >= NWIDTHS ? 0 : w];
}

/* As the device says it where it can: a virtual function, or a port of several, may have less than
 * its lanes. */
static int port_mbps(const struct verbs_port *p)
{
	const struct verbs_device *d = p->device;
	uint64_t speed = 0;
	uint32_t ex = 0;

	int err = d->verbs->query_port_speed(d->context, p->number, &speed);
	if (!err && speed > 0 && speed <= INT32_MAX / 100)
		return (int)speed * 100;
	err = d->verbs->query_speed_ex(d->context, p->number, &ex);
	return verbs_speed_mbps(!err && ex ? ex : p->attr.active_speed, p->attr.active_width);
}

/* --- address --- */

static bool is_ethernet(const struct verbs_port *p)
{
	return p->attr.link_layer == IBV_LINK_LAYER_ETHERNET;
}

static int gid_read(const struct verbs_port *p, int index, struct ibv_gid_entry *entry_p)
{
	return p->device->verbs->query_gid(p->device->context, p->number, (uint32_t)index, entry_p);
}

static int gids_read(const struct verbs_port *p, struct ibv_gid_entry *entries)
{
	int n = 0;

	for (int i = 0; i < p->attr.gid_tbl_len && i < GIDS_MAX; i++)
		n += gid_read(p, i, &entries[n]) == 0;
	return n;
}

static void address_set(struct verbs_address *a, const struct ibv_gid_entry *entry, bool ethernet)
{
	a->gid = entry->gid;
	a->gid_index = (uint8_t)entry->gid_index;
	a->roce_version = 0;
	if (ethernet)
		a->roce_version = entry->gid_type == IBV_GID_TYPE_ROCE_V2 ? 2 : 1;
}

/* An entry by which routers know the port, if there is one, else the first. */
static int gid_find_infiniband(
	const struct lina_config *config, const struct verbs_port *p, struct ibv_gid_entry *entry_p)
{
	int index = config->flid_gid_index;

	if (index < p->attr.gid_tbl_len && gid_read(p, index, entry_p) == 0 &&
		verbs_gid_flid(entry_p->gid.raw))
		return 0;
	return gid_read(p, 0, entry_p);
}

static int gid_find_ethernet(
	const struct lina_config *config, const struct verbs_port *p, struct ibv_gid_entry *entry_p)
{
	struct ibv_gid_entry entries[GIDS_MAX];
	struct lina_gid_wish wish;
	int best = 0;

	int err = lina_gid_wish_read(config, &wish);
	if (!err)
		err = lina_gid_pick(&wish, entries, gids_read(p, entries), &best);
	if (!err)
		*entry_p = entries[best];
	return err;
}

static int gid_find(const struct lina_config *config, struct verbs_port *p)
{
	struct ibv_gid_entry entry;

	int err = is_ethernet(p) ? gid_find_ethernet(config, p, &entry)
				 : gid_find_infiniband(config, p, &entry);
	if (!err)
		address_set(&p->address, &entry, is_ethernet(p));
	return err;
}

static bool gid_is_the_same(const struct verbs_port *p)
{
	struct ibv_gid_entry entry;

	return gid_read(p, p->address.gid_index, &entry) == 0 &&
	       memcmp(&entry.gid, &p->address.gid, sizeof(entry.gid)) == 0;
}

static void path_set(struct verbs_address *a, const struct ibv_port_attr *attr)
{
	a->lid = attr->lid;
	a->mtu = (uint8_t)attr->active_mtu;
	a->needs_grh = attr->flags & IBV_QPF_GRH_REQUIRED;
}

void verbs_port_address(
	const struct lina_config *config, struct verbs_port *p, struct verbs_address *address_p)
{
	struct verbs_device *d = p->device;
	struct ibv_port_attr attr;

	pthread_mutex_lock(&d->lock);
	bool active = !d->gone && !d->verbs->query_port(d->context, p->number, &attr) &&
		      attr.state == IBV_PORT_ACTIVE;
	if (active) {
		path_set(&p->address, &attr);
		if (!gid_is_the_same(p) && !gid_find(config, p))
			lina_info(
				"%s: its address is number %d now", p->name, p->address.gid_index);
	}
	*address_p = p->address;
	pthread_mutex_unlock(&d->lock);
}

/* --- choice --- */

static int leave_out(const struct verbs_port *p, const char *misfit, char *why)
{
	(void)snprintf(why, LINA_VERBS_WHY_BYTES, "%s is left out: %s", p->name, misfit);
	return -ENODEV;
}

static int port_check(const struct lina_config *config, const struct verbs_port *p, char *why)
{
	char text[128];

	if (p->attr.state != IBV_PORT_ACTIVE)
		return leave_out(p, "its port is not active", why);
	if (!is_ethernet(p) && p->attr.link_layer != IBV_LINK_LAYER_INFINIBAND)
		return leave_out(p, "it is neither InfiniBand nor RoCE", why);
	if (config->pkey_index < p->attr.pkey_tbl_len)
		return 0;
	(void)snprintf(text, sizeof(text),
		"its table of %d partition keys has no entry LINA_PKEY_INDEX or NCCL_IB_PKEY=%d",
		p->attr.pkey_tbl_len, config->pkey_index);
	return leave_out(p, text, why);
}

static int address_check(const struct lina_config *config, struct verbs_port *p, char *why)
{
	bool by_index = config->gid_index >= 0 && is_ethernet(p);

	path_set(&p->address, &p->attr);
	int err = gid_find(config, p);
	if (!err || err == -EINVAL)
		return err;
	return leave_out(p,
		by_index ? "it has no usable address at LINA_GID_INDEX or NCCL_IB_GID_INDEX"
			 : "it has no usable address",
		why);
}

int verbs_port_open(const struct lina_config *config, struct verbs_device *d, uint8_t number,
	struct verbs_port *p, char *why)
{
	*p = (struct verbs_port){ .device = d, .number = number };
	(void)snprintf(p->name, sizeof(p->name), d->attr.phys_port_cnt > 1 ? "%s:%d" : "%s",
		d->name, number);
	if (!lina_hca_match(config->hca, d->name, number, &p->place))
		return leave_out(p, "LINA_HCA or NCCL_IB_HCA does not choose it", why);
	if (d->verbs->query_port(d->context, number, &p->attr))
		return leave_out(p, "its port cannot be asked", why);
	int err = port_check(config, p, why);
	if (!err)
		err = address_check(config, p, why);
	if (err)
		return err;
	p->speed_mbps = port_mbps(p);
	err = lina_link_open(config, p->name, &p->link);
	if (!err)
		lina_hot_completes(lina_link_hot(p->link), (uint64_t)p->speed_mbps);
	return err;
}

/* --- whether it works --- */

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
