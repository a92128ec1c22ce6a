#include "plugin/verbs_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/verbs_flush.h"

enum {
	LOOK_IDLE_TESTS = 64, /* tests that move nothing between two looks at peer and ports */
};
/* How long what the peer received before it closed may take to complete here. */
static const uint64_t gone_grace_ns = 200000000;

/* --- from nothing to connected --- */

static int control_make(struct verbs_conn *c)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t bytes = (sizeof(*c->control) + page - 1) / page * page;

	c->control = aligned_alloc(page, bytes); /* pages of its own: a fork takes none away */
	if (!c->control) {
		lina_warn("no memory for a connection");
		return -ENOMEM;
	}
	memset(c->control, 0, bytes);
	return 0;
}

/* Where routes are adaptive more bytes than that go ahead of their immediate. */
static uint32_t whole_bytes(const struct lina_config *config, const struct verbs_address *address)
{
	bool adaptive = config->adaptive_routing == LINA_ROUTING_INFINIBAND
				? !address->roce_version
				: config->adaptive_routing;

	return adaptive ? (uint32_t)config->adaptive_bytes : UINT32_MAX;
}

static int own_info(const struct verbs_conn *c, struct verbs_rail *rail)
{
	const struct verbs_address *address = &rail->address;

	rail->own = (struct verbs_rail_info){
		.lid = address->lid,
		.mtu = address->mtu,
		.roce_version = address->roce_version,
		.rkey = rail->control_mr ? rail->control_mr->rkey : 0,
	};
	memcpy(rail->own.gid, address->gid.raw, sizeof(rail->own.gid));
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		uint32_t psn;
		if (getrandom(&psn, sizeof(psn), 0) != sizeof(psn))
			return -EIO;
		rail->own.qpn[cls] = rail->qp[cls].qp ? rail->qp[cls].qp->qp_num : 0;
		rail->own.psn[cls] = psn & 0xffffff;
		if (c->sock.config->ece && rail->qp[cls].qp)
			verbs_ece_read(c, &rail->qp[cls], &rail->own.ece[cls]);
	}
	return 0;
}

/* A rail that cannot be made is left out where there are others. */
static int rails_make(struct verbs_conn *c, unsigned access)
{
	int nmade = 0, first_err = 0, err = 0;

	for (int i = 0; i < c->nrails && !err; i++) {
		struct verbs_rail *rail = &c->rail[i];
		verbs_port_address(c->sock.config, rail->port, &rail->address);
		rail->whole_bytes = whole_bytes(c->sock.config, &rail->address);
		int rail_err = verbs_rail_open(c, rail, access);
		if (rail_err)
			verbs_rail_close(c, rail);
		for (int cls = 0; cls < LINA_NCLASSES; cls++)
			rail->qp[cls].said = &c->control->said[i][cls];
		first_err = first_err ? first_err : rail_err;
		nmade += !rail_err;
		err = own_info(c, rail);
	}
	return err || nmade ? err : first_err;
}

int verbs_conn_open(struct verbs_conn *c, struct lina_transport *transport,
	const struct verbs_nic *nic, enum lina_dir dir)
{
	unsigned access = IBV_ACCESS_LOCAL_WRITE;

	c->transport = transport;
	c->verbs = transport->hcas.verbs;
	c->sock.config = transport->config;
	c->dir = dir;
	c->traffic_class = -1;
	c->doing = dir == LINA_DIR_SEND ? "sending to" : "receiving from";
	if (dir == LINA_DIR_SEND) /* the receiver writes to it, and reads some of it */
		access |= IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	c->sock.flow = c->flow;
	int err = control_make(c);
	if (err)
		return err;
	for (int i = 0; i < verbs_nrails(transport->config, nic); i++) {
		struct verbs_rail *rail = &c->rail[i];
		rail->port = nic->port[i % nic->nports]; /* the peer's too, where it has fewer */
		rail->flow = &c->flow[(size_t)i * LINA_NCLASSES];
		for (int cls = 0; cls < LINA_NCLASSES; cls++)
			lina_link_flow_init(
				rail->port->link, dir, (enum lina_class)cls, &rail->flow[cls]);
		c->sock.nflows += LINA_NCLASSES;
		c->nrails++;
	}
	return rails_make(c, access);
}

static void rails_close(struct verbs_conn *c)
{
	verbs_flush_stop(c);
	for (int i = 0; i < c->nrails; i++)
		verbs_rail_close(c, &c->rail[i]);
}

void verbs_conn_close(struct verbs_conn *c)
{
	tcp_conn_flows_drop(&c->sock);
	verbs_flush_close(c);
	rails_close(c);
	tcp_conn_close_lanes(&c->sock);
	free(c->control);
	free(c);
}

void verbs_traffic_class_set(struct verbs_conn *c, int traffic_class)
{
	if (traffic_class >= 0 && traffic_class <= UINT8_MAX)
		c->traffic_class = traffic_class;
	else if (traffic_class != LINA_TRAFFIC_CLASS_UNSET)
		lina_info(
			"traffic class %d is none that packets can have (0 to 255)", traffic_class);
}

void verbs_conn_info(const struct verbs_conn *c, struct verbs_info *info_p)
{
	*info_p = (struct verbs_info){ .nrails = c->nrails,
		.control = (uintptr_t)c->control,
		.traffic_class = c->traffic_class };
	for (int i = 0; i < c->nrails; i++) {
		info_p->rail[i] = c->rail[i].own;
		info_p->rail[i].is_down = c->rail[i].state != VERBS_UP || !c->rail[i].qp[0].qp;
	}
}

/* Rails pair up in their order; what one end has more is left idle. */
static void rails_fit(struct verbs_conn *c, int nrails)
{
	if (nrails != c->nrails)
		lina_info("the peer has %d rails where this end has %d: the smaller number is used",
			nrails, c->nrails);
	while (c->nrails > nrails)
		verbs_rail_close(c, &c->rail[--c->nrails]);
	c->sock.nflows = c->nrails * LINA_NCLASSES;
}

static int rail_connect(struct verbs_conn *c, struct verbs_rail *rail)
{
	char text[VERBS_ERROR_BYTES];

	if (rail->peer.is_down || !verbs_rail_exists(rail))
		return -ENETDOWN;
	int err = verbs_rail_init(c, rail);
	if (!err)
		err = verbs_rail_connect(c, rail);
	if (!err)
		return 0;
	(void)verbs_error(rail->port->device, err, "a queue pair does not connect", text);
	if (err == -ETIMEDOUT && c->nrails == 1) {
		lina_info("%s; it is tried again", text);
		(void)verbs_rail_reset(c, rail);
	} else {
		lina_warn("%s", text);
	}
	return err;
}

static int kinds_check(const struct verbs_rail *rail)
{
	uint8_t own = rail->own.roce_version, peer = rail->peer.roce_version;

	if (!peer != !own) {
		lina_warn("%s is %s and the peer's port is not", rail->port->name,
			own ? "RoCE" : "InfiniBand");
		return -EPROTO;
	}
	if (peer != own)
		lina_info("%s (address %d) is of RoCE v%d and the peer's of v%d: few devices "
			  "understand both; see LINA_ROCE_VERSION, LINA_GID_INDEX",
			rail->port->name, rail->address.gid_index, own, peer);
	return 0;
}

static int rails_connect(struct verbs_conn *c)
{
	int first_err = 0;

	for (int i = 0; i < c->nrails; i++) {
		struct verbs_rail *rail = &c->rail[i];
		int err = rail_connect(c, rail);
		if (!err)
			continue;
		if (c->nrails == 1)
			return err;
		first_err = first_err ? first_err : err;
		verbs_rail_lower(c, rail);
		lina_warn("%s begins without rail %s, which could not be set up at %s", c->doing,
			rail->port->name, rail->peer.is_down ? "the peer" : "this end");
	}
	return c->nbroken < c->nrails ? 0 : first_err;
}

int verbs_conn_connect(struct verbs_conn *c, const struct verbs_info *info)
{
	int err = 0;

	rails_fit(c, info->nrails);
	c->peer_control = info->control;
	if (c->dir == LINA_DIR_RECV)
		c->traffic_class = info->traffic_class;
	for (int i = 0; i < c->nrails && !err; i++) {
		c->rail[i].peer = info->rail[i];
		err = kinds_check(&c->rail[i]);
	}
	return err ? err : rails_connect(c);
}

/* --- the end --- */

/* A queue pair that is gone touches no memory any more. */
int verbs_conn_fail(struct verbs_conn *c, int err, const char *why)
{
	if (why)
		(void)tcp_conn_fail_why(&c->sock, err, c->doing, why);
	else
		(void)tcp_conn_fail(&c->sock, err, c->doing);
	rails_close(c);
	return c->sock.err;
}

int verbs_first_up(const struct verbs_conn *c)
{
	for (int i = 0; i < c->nrails; i++)
		if (c->rail[i].state == VERBS_UP)
			return i;
	return -1;
}

/* --- nothing moves --- */

/* Why a rail that is up cannot go on; NULL: it can. */
static const char *trouble_of(const struct verbs_conn *c, const struct verbs_rail *rail)
{
	int event = rail->health.qp_event;

	if (rail->port->device->gone)
		return "the device was removed";
	if (rail->health.cq_failed)
		return c->verbs->event_type_str(IBV_EVENT_CQ_ERR);
	if (event)
		return c->verbs->event_type_str((enum ibv_event_type)event);
	/* Where there is no other rail, the link may come back before the retries end. */
	return c->nrails > 1 && verbs_port_is_down(rail->port) ? "the port has no link" : NULL;
}

static int rails_look(struct verbs_conn *c, uint64_t now_ns)
{
	int err = 0;

	for (int i = 0; i < c->nrails && !err; i++) {
		struct verbs_rail *rail = &c->rail[i];
		verbs_device_events(rail->port->device, now_ns);
		const char *why = rail->state == VERBS_UP ? trouble_of(c, rail) : NULL;
		err = why ? verbs_rail_break(c, rail, why) : 0;
	}
	return err;
}

static bool below_any(const struct verbs_conn *c)
{
	for (int i = 0; i < c->nrails; i++)
		for (int cls = 0; cls < LINA_NCLASSES; cls++)
			if (c->rail[i].qp[cls].posted != c->rail[i].qp[cls].completed)
				return true;
	return false;
}

/* What the peer sent before it closed is here, since its requests had completed; so is what says
 * that it has got ours, but for what is on its way. */
static int gone_check(struct verbs_conn *c, uint64_t now_ns)
{
	if (!c->gone_ns || (below_any(c) && now_ns - c->gone_ns < gone_grace_ns))
		return 0;
	return verbs_conn_fail(c, -ESHUTDOWN, NULL);
}

int verbs_conn_idle(struct verbs_conn *c)
{
	int err = tcp_conn_idle(&c->sock);
	if (err)
		return verbs_conn_fail(c, err, NULL);
	bool look = c->idle_tests++ % LOOK_IDLE_TESTS == 0;
	if (!look && !c->nbroken && !c->gone_ns)
		return 0;
	uint64_t now_ns = tcp_now_ns();
	err = gone_check(c, now_ns);
	if (!err)
		err = verbs_rails_tend(c);
	if (!err)
		err = verbs_lost_look(c, now_ns);
	return err ? err : rails_look(c, now_ns);
}

/* --- memory of NCCL --- */

static int type_check(const struct verbs_conn *c, int type, int fd)
{
	bool peer = c->transport->has_peer_memory || fd >= 0;

	if (type == LINA_PTR_HOST || (type == LINA_PTR_CUDA && peer))
		return 0;
	lina_warn("memory of type %d cannot be registered%s", type,
		type == LINA_PTR_CUDA ? ": no driver on this host makes GPU memory known to the "
					"NIC (nvidia_peermem)"
				      : "");
	return -EINVAL;
}

int verbs_dereg(struct lina_conn *conn, struct lina_mr *lina_mr)
{
	struct verbs_mr *mr = (struct verbs_mr *)lina_mr;
	int err = 0;

	(void)conn;
	for (int i = 0; i < mr->n; i++) {
		int one = mr->mr[i] ? verbs_mr_put(mr->device[i], mr->mr[i]) : 0;
		err = err ? err : one;
	}
	free(mr);
	return err;
}

/* Such a rail needs no memory. */
static int will_never_be_up(struct verbs_conn *c, struct verbs_rail *rail, bool *never_p)
{
	bool gone = rail->port->device->gone;

	int err = gone ? verbs_rail_break(c, rail, "the device was removed") : 0;
	*never_p = gone || !verbs_rail_exists(rail);
	return err;
}

int verbs_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset, int fd,
	struct lina_mr **mr_p)
{
	struct verbs_conn *c = (struct verbs_conn *)conn;

	int err = type_check(c, type, fd);
	if (err)
		return err;
	if (!data && bytes) {
		lina_warn("registration of %zu bytes at NULL", bytes);
		return -EINVAL;
	}
	struct verbs_mr *mr = calloc(1, sizeof(*mr));
	if (!mr) {
		lina_warn("no memory for a registration");
		return -ENOMEM;
	}
	mr->range = (struct tcp_mr){ .data = data, .bytes = bytes };
	mr->type = type;
	mr->n = c->nrails;
	for (int i = 0; i < c->nrails && bytes && !err; i++) {
		mr->device[i] = c->rail[i].port->device;
		bool never = false;
		err = will_never_be_up(c, &c->rail[i], &never);
		if (!err && !never)
			err = verbs_mr_get(mr->device[i], data, bytes, offset, fd,
				c->sock.config->relaxed_ordering != 0, &mr->mr[i]);
	}
	if (err) {
		(void)verbs_dereg(conn, &mr->range.base);
		return err;
	}
	*mr_p = &mr->range.base;
	return 0;
}

int verbs_mr_refuse(const struct lina_mr *mr, const void *data, size_t bytes)
{
	if (bytes && !mr) {
		lina_warn("transfer of %zu bytes at %p, which is not registered", bytes, data);
		return -EINVAL;
	}
	return tcp_mr_check(mr, data, bytes);
}
