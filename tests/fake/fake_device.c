#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fake.h"

struct fake_context *fake_context(struct ibv_context *context)
{
	return (struct fake_context *)context;
}

int fake_context_check(const struct fake_context *context)
{
	return context->dev->removed ? -EIO : 0;
}

bool fake_device_works(const struct fake_device *dev)
{
	return dev->up && !dev->removed;
}

int fake_fork_init(void)
{
	int err = fake_enter("fork_init");

	return err ? err : fake_leave(0);
}

int fake_get_device_list(int *ndevices_p, struct ibv_device ***list_p)
{
	int err = fake_enter("get_device_list");
	if (err)
		return err;
	struct ibv_device **list = calloc(FABRIC_DEVICES_MAX + 1, sizeof(struct ibv_device *));
	if (!list)
		return fake_leave(-ENOMEM);
	int n = 0;
	for (int i = 0; i < fake.settings.ndevices; i++)
		if (!fake.devices[i].removed)
			list[n++] = &fake.devices[i].base;
	fake.live.lists++;
	*ndevices_p = n;
	*list_p = list;
	return fake_leave(0);
}

void fake_free_device_list(struct ibv_device **list)
{
	fake_lock();
	fake.live.lists--;
	free(list);
	(void)fake_leave(0);
}

int fake_open_device(struct ibv_device *device, struct ibv_context **context_p)
{
	struct fake_device *dev = (struct fake_device *)device;

	int err = fake_enter("open_device");
	if (err)
		return err;
	if (dev->removed)
		return fake_leave(-EIO);
	struct fake_context *context = calloc(1, sizeof(*context));
	if (!context)
		return fake_leave(-ENOMEM);
	context->base.device = device;
	context->base.num_comp_vectors = 1;
	context->base.async_fd = -1;
	context->dev = dev;
	LIST_INSERT_HEAD(&dev->contexts, context, link);
	fake.live.contexts++;
	*context_p = &context->base;
	return fake_leave(0);
}

int fake_close_device(struct ibv_context *ibv_context)
{
	struct fake_context *context = fake_context(ibv_context);

	fake_lock();
	if (context->nchildren > 0) {
		fake.counts.misuses++;
		return fake_leave(-EBUSY);
	}
	LIST_REMOVE(context, link);
	free(context);
	fake.live.contexts--;
	return fake_leave(0);
}

int fake_query_device(struct ibv_context *context, struct ibv_device_attr *attr_p)
{
	int err = fake_enter("query_device");
	if (err)
		return err;
	err = fake_context_check(fake_context(context));
	if (err)
		return fake_leave(err);
	uint64_t guid = 0x0200000000fa0000u + (uint64_t)fake_context(context)->dev->index;
	*attr_p = (struct ibv_device_attr){
		.node_guid = htobe64(guid),
		.sys_image_guid = htobe64(guid),
		.max_mr_size = UINT64_MAX,
		.page_size_cap = 4096,
		.max_qp = fake.settings.max_qp,
		.max_qp_wr = fake.settings.max_qp_wr,
		.max_sge = fake.settings.max_sge,
		.max_sge_rd = fake.settings.max_sge,
		.max_cq = fake.settings.max_cq,
		.max_cqe = fake.settings.max_cqe,
		.max_mr = fake.settings.max_mr,
		.max_pd = 1024,
		.max_qp_rd_atom = 16,
		.max_qp_init_rd_atom = 16,
		.phys_port_cnt = (uint8_t)fake.settings.nports,
	};
	return fake_leave(0);
}

static int port_check(struct ibv_context *context, uint8_t port)
{
	return port >= 1 && port <= fake.settings.nports ? fake_context_check(fake_context(context))
							 : -EINVAL;
}

int fake_query_port(struct ibv_context *ibv_context, uint8_t port, struct ibv_port_attr *attr_p)
{
	const struct fake_context *context = fake_context(ibv_context);
	bool infiniband = fake.settings.infiniband;

	int err = fake_enter("query_port");
	if (err)
		return err;
	err = port_check(ibv_context, port);
	if (err)
		return fake_leave(err);
	*attr_p = (struct ibv_port_attr){
		.state = context->dev->up ? IBV_PORT_ACTIVE : IBV_PORT_DOWN,
		.max_mtu = IBV_MTU_4096,
		.active_mtu = IBV_MTU_4096,
		.gid_tbl_len = FABRIC_GIDS,
		.max_msg_sz = 1u << 30,
		.pkey_tbl_len = FABRIC_PKEYS,
		.lid = (uint16_t)(infiniband ? context->dev->index + 1 : 0),
		.max_vl_num = 8,
		.active_width = 2,  /* 4 lanes */
		.active_speed = 32, /* of 25 Gbit/s */
		.phys_state = context->dev->up ? 5 : 3,
		.link_layer = infiniband ? IBV_LINK_LAYER_INFINIBAND : IBV_LINK_LAYER_ETHERNET,
	};
	if (fake.settings.port_tell)
		fake.settings.port_tell(context->dev->index, port, attr_p);
	return fake_leave(0);
}

int fake_query_speed_ex(struct ibv_context *context, uint8_t port, uint32_t *speed_p)
{
	int err = fake_enter("query_speed_ex");
	if (err)
		return err;
	err = port_check(context, port);
	if (!err)
		*speed_p = fake.settings.speed_ex;
	return fake_leave(err);
}

int fake_query_port_speed(struct ibv_context *context, uint8_t port, uint64_t *speed_p)
{
	int err = fake_enter("query_port_speed");
	if (err)
		return err;
	err = port_check(context, port);
	if (!err && !fake.settings.port_speed)
		err = -EOPNOTSUPP;
	if (!err)
		*speed_p = fake.settings.port_speed;
	return fake_leave(err);
}

/* Entries 0 and 1 are link-local, 2 and 3 of IPv4; the odd ones are of RoCE v2. There are no others
 * unless the settings tell so; of InfiniBand there is one. */
enum { USUAL_GIDS = 4 };

static union ibv_gid gid_of(int dev, uint32_t index)
{
	union ibv_gid gid = { .raw = { 0xfe, 0x80 } };

	if (index >= 2 && !fake.settings.infiniband)
		gid = (union ibv_gid){
			.raw = { [10] = 0xff, [11] = 0xff, [12] = 10, [13] = (uint8_t)dev }
		};
	gid.raw[14] = (uint8_t)(index < 2 ? dev : 0);
	gid.raw[15] = 1;
	if (index >= USUAL_GIDS || (fake.settings.infiniband && index > 0))
		gid = (union ibv_gid){ .raw = { 0 } };
	if (fake.settings.gid_tell)
		fake.settings.gid_tell(dev, index, &gid);
	return gid;
}

static bool is_none(union ibv_gid gid)
{
	static const union ibv_gid none;

	return memcmp(&gid, &none, sizeof(gid)) == 0;
}

int fake_query_gid(struct ibv_context *ibv_context, uint8_t port, uint32_t index,
	struct ibv_gid_entry *entry_p)
{
	const struct fake_context *context = fake_context(ibv_context);
	bool infiniband = fake.settings.infiniband;

	int err = fake_enter("query_gid");
	if (err)
		return err;
	err = port_check(ibv_context, port);
	if (!err && (index >= FABRIC_GIDS || is_none(gid_of(context->dev->index, index))))
		err = -ENODATA;
	if (err)
		return fake_leave(err);
	*entry_p = (struct ibv_gid_entry){
		.gid = gid_of(context->dev->index, index),
		.gid_index = index,
		.port_num = port,
		.gid_type = infiniband       ? IBV_GID_TYPE_IB
			    : index % 2 == 0 ? IBV_GID_TYPE_ROCE_V1
					     : IBV_GID_TYPE_ROCE_V2,
	};
	return fake_leave(0);
}

static bool has_gid(int dev, const union ibv_gid *gid)
{
	for (uint32_t i = 0; i < FABRIC_GIDS; i++) {
		union ibv_gid own = gid_of(dev, i);
		if (!is_none(own) && memcmp(&own, gid, sizeof(own)) == 0)
			return true;
	}
	return false;
}

static uint16_t lid_of(int dev)
{
	struct ibv_port_attr attr = { .lid = (uint16_t)(dev + 1) };

	if (fake.settings.port_tell)
		fake.settings.port_tell(dev, 1, &attr);
	return attr.lid;
}

struct fake_device *fake_path_device(const struct ibv_ah_attr *path)
{
	for (int i = 0; i < fake.settings.ndevices; i++)
		if (path->is_global ? has_gid(i, &path->grh.dgid)
				    : fake.settings.infiniband && path->dlid == lid_of(i))
			return &fake.devices[i];
	return NULL;
}

/* --- events --- */

void fake_event(struct fake_context *context, struct ibv_async_event event)
{
	if (context->nevents < FAKE_EVENTS)
		context->events[context->nevents++] = event;
}

/* What counts the events about one object that were taken; NULL: it is of a port or a device. */
static int *ntaken_of(const struct ibv_async_event *event)
{
	switch (event->event_type) {
	case IBV_EVENT_CQ_ERR:
		return &((struct fake_cq *)event->element.cq)->ntaken;
	case IBV_EVENT_QP_FATAL:
	case IBV_EVENT_QP_ACCESS_ERR:
		return &fake_qp(event->element.qp)->ntaken;
	default:
		return NULL;
	}
}

void fake_events_end(struct fake_context *context, const void *element, const int *ntaken)
{
	int nkept = 0;

	while (*ntaken > 0) {
		(void)fake_leave(0);
		(void)sched_yield();
		fake_lock();
	}
	for (int i = 0; i < context->nevents; i++)
		if (!ntaken_of(&context->events[i]) || context->events[i].element.qp != element)
			context->events[nkept++] = context->events[i];
	context->nevents = nkept;
}

static void event_to_all(struct fake_device *dev, enum ibv_event_type type)
{
	struct fake_context *context;

	LIST_FOREACH(context, &dev->contexts, link)
	fake_event(context, (struct ibv_async_event){ .event_type = type, .element.port_num = 1 });
}

int fake_get_async_event(struct ibv_context *ibv_context, struct ibv_async_event *event_p)
{
	struct fake_context *context = fake_context(ibv_context);

	int err = fake_enter("get_async_event");
	if (err)
		return err;
	if (context->nevents == 0)
		return fake_leave(-EAGAIN);
	*event_p = context->events[0];
	context->nevents--;
	memmove(context->events, context->events + 1,
		(size_t)context->nevents * sizeof(context->events[0]));
	int *ntaken = ntaken_of(event_p);
	if (ntaken)
		++*ntaken;
	fake.live.events++;
	return fake_leave(0);
}

void fake_ack_async_event(struct ibv_async_event *event)
{
	fake_lock();
	int *ntaken = ntaken_of(event);
	if (ntaken)
		--*ntaken;
	fake.live.events--;
	(void)fake_leave(0);
}

void fabric_port(int dev, bool up)
{
	fake_lock();
	if (fake.devices[dev].up != up)
		event_to_all(&fake.devices[dev], up ? IBV_EVENT_PORT_ACTIVE : IBV_EVENT_PORT_ERR);
	fake.devices[dev].up = up;
	(void)fake_leave(0);
}

void fabric_tell(int dev, enum ibv_event_type type)
{
	fake_lock();
	event_to_all(&fake.devices[dev], type);
	(void)fake_leave(0);
}

void fabric_remove(int dev)
{
	fake_lock();
	fake.devices[dev].removed = true;
	event_to_all(&fake.devices[dev], IBV_EVENT_DEVICE_FATAL);
	for (uint32_t i = FAKE_FIRST_QP; i < FAKE_KEYS; i++)
		if (fake.qps[i] && fake.qps[i]->context->dev->index == dev)
			fake_qp_fail(fake.qps[i]);
	(void)fake_leave(0);
}

/* --- objects that fail in silence --- */

static void cq_break(struct fake_cq *cq)
{
	if (cq->silent)
		return;
	cq->silent = true;
	cq->n = 0;
	fake_event(cq->context, (struct ibv_async_event){
					.event_type = IBV_EVENT_CQ_ERR, .element.cq = &cq->base });
}

static void qp_break(struct fake_qp *qp)
{
	qp->broken = true;
	fake_event(qp->context, (struct ibv_async_event){ .event_type = IBV_EVENT_QP_FATAL,
					.element.qp = &qp->base });
}

static void each_qp(int dev, bool cqs)
{
	fake_lock();
	for (uint32_t i = FAKE_FIRST_QP; i < FAKE_KEYS; i++) {
		struct fake_qp *qp = fake.qps[i];
		if (!qp || qp->context->dev->index != dev)
			continue;
		if (cqs)
			cq_break((struct fake_cq *)qp->base.recv_cq);
		else
			qp_break(qp);
	}
	(void)fake_leave(0);
}

void fabric_break_cqs(int dev)
{
	each_qp(dev, true);
}

void fabric_break_qps(int dev)
{
	each_qp(dev, false);
}
