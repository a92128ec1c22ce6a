/* A libibverbs as of 2019, for a test of what plugin/verbs.c makes of it: it has every call that
 * the plugin needs and none of those that came later. Those that the test makes do as little as
 * they can, the others fail. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake/old_ibverbs.h"

#undef ibv_query_port
#undef ibv_reg_mr

#define FAILS(type, name, ...)                  \
	type name(__VA_ARGS__)                  \
	{                                       \
		errno = ENOSYS;                 \
		return (type)(intptr_t)OLD_ERR; \
	}

int old_access;

int ibv_query_gid(struct ibv_context *context, uint8_t port, int index, union ibv_gid *gid)
{
	(void)context;
	memset(gid, 0, sizeof(*gid));
	if (index == OLD_GIDS)
		return -1;
	gid->raw[0] = (uint8_t)(index == OLD_EMPTY_GID ? 0 : 0xfe);
	gid->raw[15] = (uint8_t)(index == OLD_EMPTY_GID ? 0 : port);
	return 0;
}

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	static struct ibv_mr mr;

	mr = (struct ibv_mr){ .pd = pd, .addr = addr, .length = length };
	old_access = access;
	return &mr;
}

void ibv_free_device_list(struct ibv_device **list)
{
	free(list);
}

void ibv_ack_async_event(struct ibv_async_event *event)
{
	(void)event;
}

int ibv_dereg_mr(struct ibv_mr *mr)
{
	(void)mr;
	return 0;
}

/* NOLINTBEGIN(readability-named-parameter): none is looked at */
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define OLD_ERR (-1)
FAILS(int, ibv_fork_init, void)
FAILS(int, ibv_close_device, struct ibv_context *context)
FAILS(int, ibv_query_device, struct ibv_context *context, struct ibv_device_attr *attr)
FAILS(int, ibv_query_port, struct ibv_context *context, uint8_t port,
	struct _compat_ibv_port_attr *attr)
FAILS(int, ibv_get_async_event, struct ibv_context *context, struct ibv_async_event *event)
FAILS(int, ibv_dealloc_pd, struct ibv_pd *pd)
FAILS(int, ibv_destroy_cq, struct ibv_cq *cq)
FAILS(int, ibv_modify_qp, struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
FAILS(int, ibv_destroy_qp, struct ibv_qp *qp)
#undef OLD_ERR
#define OLD_ERR 0
FAILS(struct ibv_device **, ibv_get_device_list, int *n)
FAILS(struct ibv_context *, ibv_open_device, struct ibv_device *device)
FAILS(struct ibv_pd *, ibv_alloc_pd, struct ibv_context *context)
FAILS(struct ibv_cq *, ibv_create_cq, struct ibv_context *context, int cqe, void *cq_context,
	struct ibv_comp_channel *channel, int comp_vector)
FAILS(struct ibv_qp *, ibv_create_qp, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
FAILS(const char *, ibv_event_type_str, enum ibv_event_type event)
FAILS(const char *, ibv_wc_status_str, enum ibv_wc_status status)
/* NOLINTEND(readability-named-parameter) */
