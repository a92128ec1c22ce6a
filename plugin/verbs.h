/*
 * The calls of libibverbs that the verbs transport makes, as one table: what it knows of RDMA
 * besides the library's types. The real one opens libibverbs at run time, so that the plugin loads
 * where there is none; nothing links it. A test that stands in for the library defines
 * lina_verbs_load itself, which is the only symbol of verbs.c.
 *
 * Members are named after the calls they make, ibv_NAME, and take its arguments. Other than there,
 * all return 0 or -errno, and what they make comes last and is written only on success. Threads: as
 * libibverbs, any.
 */
#ifndef LINA_PLUGIN_VERBS_H
#define LINA_PLUGIN_VERBS_H

#include <infiniband/verbs.h>
#include <stddef.h>
#include <stdint.h>

struct lina_verbs {
	/* --- the process and its devices --- */
	int (*fork_init)(void);
	/* The list is NULL-terminated as well; device->name and device->ibdev_path are used. */
	int (*get_device_list)(int *ndevices_p, struct ibv_device ***list_p);
	void (*free_device_list)(struct ibv_device **list);
	int (*open_device)(struct ibv_device *device, struct ibv_context **context_p);
	int (*close_device)(struct ibv_context *context);
	int (*query_device)(struct ibv_context *context, struct ibv_device_attr *attr_p);
	int (*query_port)(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr_p);
	/* active_speed_ex of ibv_query_port, which newer libraries have; 0: none says. */
	int (*query_speed_ex)(struct ibv_context *context, uint8_t port, uint32_t *speed_p);
	/* In units of 100 Mbit/s. -EOPNOTSUPP: the library or the device has no such call. */
	int (*query_port_speed)(struct ibv_context *context, uint8_t port, uint64_t *speed_p);
	/* ibv_query_gid_ex; of a library before it (rdma-core 32) what ibv_query_gid and sysfs say,
	 * without the interface. -ENODATA: no such entry, or an empty one. */
	int (*query_gid)(struct ibv_context *context, uint8_t port, uint32_t index,
		struct ibv_gid_entry *entry_p);
	/* Does not wait. -EAGAIN: there is none. */
	int (*get_async_event)(struct ibv_context *context, struct ibv_async_event *event_p);
	void (*ack_async_event)(struct ibv_async_event *event);
	const char *(*event_type_str)(enum ibv_event_type type);

	/* --- memory --- */
	int (*alloc_pd)(struct ibv_context *context, struct ibv_pd **pd_p);
	int (*dealloc_pd)(struct ibv_pd *pd);
	/* access may have IBV_ACCESS_RELAXED_ORDERING, which an old library ignores. */
	int (*reg_mr)(
		struct ibv_pd *pd, void *addr, size_t bytes, unsigned access, struct ibv_mr **mr_p);
	/* -EOPNOTSUPP: the library has no such call. */
	int (*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t bytes, uint64_t iova,
		int fd, unsigned access, struct ibv_mr **mr_p);
	int (*dereg_mr)(struct ibv_mr *mr);

	/* --- queues --- */
	int (*create_cq)(struct ibv_context *context, int ncqes, struct ibv_cq **cq_p);
	int (*destroy_cq)(struct ibv_cq *cq);
	/* Returns how many of at most n completions it wrote to wc, or -errno. */
	int (*poll_cq)(struct ibv_cq *cq, int n, struct ibv_wc *wc);
	const char *(*wc_status_str)(enum ibv_wc_status status);
	/* attr->cap comes back with what was given. */
	int (*create_qp)(struct ibv_pd *pd, struct ibv_qp_init_attr *attr, struct ibv_qp **qp_p);
	int (*modify_qp)(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
	/* -EOPNOTSUPP: the library or the device has no such call. */
	int (*query_ece)(struct ibv_qp *qp, struct ibv_ece *ece_p);
	int (*set_ece)(struct ibv_qp *qp, struct ibv_ece *ece);
	int (*destroy_qp)(struct ibv_qp *qp);
	/* On failure *bad_p is the first request of the list that was not taken. */
	int (*post_send)(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_p);
	int (*post_recv)(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_p);
};

enum { LINA_VERBS_WHY_BYTES = 256 };

/* The table, constant and good until the process ends: libibverbs stays loaded, since its providers
 * cannot be unloaded. -ENOENT: no libibverbs, or one that lacks a call; why (LINA_VERBS_WHY_BYTES)
 * says which. Threads: any. */
int lina_verbs_load(const struct lina_verbs **verbs_p, char *why);

#endif
