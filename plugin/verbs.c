#include "plugin/verbs.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Libibverbs' own, by their types. Those that the headers define as macros or inline functions
 * around another symbol are named by hand. */
static struct {
	int (*fork_init)(void);
	struct ibv_device **(*get_device_list)(int *);
	void (*free_device_list)(struct ibv_device **);
	struct ibv_context *(*open_device)(struct ibv_device *);
	int (*close_device)(struct ibv_context *);
	int (*query_device)(struct ibv_context *, struct ibv_device_attr *);
	int (*query_port)(struct ibv_context *, uint8_t, struct _compat_ibv_port_attr *);
	int (*query_port_speed)(struct ibv_context *, uint32_t, uint64_t *);
	int (*query_gid)(struct ibv_context *, uint8_t, int, union ibv_gid *);
	int (*query_gid_ex)(
		struct ibv_context *, uint32_t, uint32_t, struct ibv_gid_entry *, uint32_t, size_t);
	int (*get_async_event)(struct ibv_context *, struct ibv_async_event *);
	void (*ack_async_event)(struct ibv_async_event *);
	const char *(*event_type_str)(enum ibv_event_type);
	struct ibv_pd *(*alloc_pd)(struct ibv_context *);
	int (*dealloc_pd)(struct ibv_pd *);
	struct ibv_mr *(*reg_mr)(struct ibv_pd *, void *, size_t, int);
	struct ibv_mr *(*reg_mr_iova2)(struct ibv_pd *, void *, size_t, uint64_t, unsigned);
	struct ibv_mr *(*reg_dmabuf_mr)(struct ibv_pd *, uint64_t, size_t, uint64_t, int, int);
	int (*dereg_mr)(struct ibv_mr *);
	struct ibv_cq *(*create_cq)(
		struct ibv_context *, int, void *, struct ibv_comp_channel *, int);
	int (*destroy_cq)(struct ibv_cq *);
	const char *(*wc_status_str)(enum ibv_wc_status);
	struct ibv_qp *(*create_qp)(struct ibv_pd *, struct ibv_qp_init_attr *);
	int (*modify_qp)(struct ibv_qp *, struct ibv_qp_attr *, int);
	int (*query_ece)(struct ibv_qp *, struct ibv_ece *);
	int (*set_ece)(struct ibv_qp *, struct ibv_ece *);
	int (*destroy_qp)(struct ibv_qp *);
} lib;

#define ROW(member, symbol, needed)         \
	{                                   \
		&lib.member, symbol, needed \
	}
static const struct {
	void *slot;
	const char *symbol;
	bool needed;
} symbols[] = {
	ROW(fork_init, "ibv_fork_init", true),
	ROW(get_device_list, "ibv_get_device_list", true),
	ROW(free_device_list, "ibv_free_device_list", true),
	ROW(open_device, "ibv_open_device", true),
	ROW(close_device, "ibv_close_device", true),
	ROW(query_device, "ibv_query_device", true),
	ROW(query_port, "ibv_query_port", true),
	ROW(query_port_speed, "ibv_query_port_speed", false),
	ROW(query_gid, "ibv_query_gid", true),
	ROW(query_gid_ex, "_ibv_query_gid_ex", false),
	ROW(get_async_event, "ibv_get_async_event", true),
	ROW(ack_async_event, "ibv_ack_async_event", true),
	ROW(event_type_str, "ibv_event_type_str", true),
	ROW(alloc_pd, "ibv_alloc_pd", true),
	ROW(dealloc_pd, "ibv_dealloc_pd", true),
	ROW(reg_mr, "ibv_reg_mr", true),
	ROW(reg_mr_iova2, "ibv_reg_mr_iova2", false),
	ROW(reg_dmabuf_mr, "ibv_reg_dmabuf_mr", false),
	ROW(dereg_mr, "ibv_dereg_mr", true),
	ROW(create_cq, "ibv_create_cq", true),
	ROW(destroy_cq, "ibv_destroy_cq", true),
	ROW(wc_status_str, "ibv_wc_status_str", true),
	ROW(create_qp, "ibv_create_qp", true),
	ROW(modify_qp, "ibv_modify_qp", true),
	ROW(query_ece, "ibv_query_ece", false),
	ROW(set_ece, "ibv_set_ece", false),
	ROW(destroy_qp, "ibv_destroy_qp", true),
};
enum { NSYMBOLS = sizeof(symbols) / sizeof(symbols[0]) };

/* What the library leaves in errno; some of its providers forget to. */
static int last_error(void)
{
	return errno > 0 ? -errno : -EIO;
}

/* Of calls that return 0, an errno, or -1 and errno. */
static int result(int ret)
{
	if (ret == 0)
		return 0;
	return ret > 0 ? -ret : last_error();
}

/* Writes made to made_p if there is something. */
#define GIVE(type, call, made_p)             \
	do {                                 \
		errno = 0;                   \
		type made = (call);          \
		if (!made)                   \
			return last_error(); \
		*(made_p) = made;            \
		return 0;                    \
	} while (0)

static int fork_init(void)
{
	return result(lib.fork_init());
}

static int get_device_list(int *n_p, struct ibv_device ***list_p)
{
	GIVE(struct ibv_device **, lib.get_device_list(n_p), list_p);
}

static void free_device_list(struct ibv_device **list)
{
	lib.free_device_list(list);
}

static int open_device(struct ibv_device *device, struct ibv_context **context_p)
{
	GIVE(struct ibv_context *, lib.open_device(device), context_p);
}

static int close_device(struct ibv_context *context)
{
	return result(lib.close_device(context));
}

static int query_device(struct ibv_context *context, struct ibv_device_attr *attr_p)
{
	return result(lib.query_device(context, attr_p));
}

/* The symbol has the struct of its first days, which is how the struct still begins. */
static int query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr_p)
{
	struct ibv_port_attr attr = { 0 };

	int err = result(lib.query_port(context, port, (struct _compat_ibv_port_attr *)&attr));
	if (!err)
		*attr_p = attr;
	return err;
}

/* Where active_speed_ex lies, which the header may be too old to know. The library writes as much
 * of the struct as it knows itself. */
union long_port_attr {
	struct ibv_port_attr attr;
	uint32_t word[14];
};
enum { SPEED_EX_WORD = 13 };
_Static_assert(offsetof(struct ibv_port_attr, port_cap_flags2) + sizeof(uint32_t) ==
		       SPEED_EX_WORD * sizeof(uint32_t),
	"active_speed_ex comes next");

static int query_speed_ex(struct ibv_context *context, uint8_t port, uint32_t *speed_p)
{
	union long_port_attr long_attr = { .word = { 0 } };
	struct verbs_context *verbs = verbs_get_ctx_op(context, query_port);
	int err = 0;

	if (verbs)
		err = result(verbs->query_port(context, port, &long_attr.attr, sizeof(long_attr)));
	if (!err)
		*speed_p = long_attr.word[SPEED_EX_WORD];
	return err;
}

static int query_port_speed(struct ibv_context *context, uint8_t port, uint64_t *speed_p)
{
	uint64_t speed = 0;

	if (!lib.query_port_speed)
		return -EOPNOTSUPP;
	int err = result(lib.query_port_speed(context, port, &speed));
	if (!err)
		*speed_p = speed;
	return err;
}

/* --- addresses --- */

/* A kernel that does not say it knows one kind. */
static uint32_t gid_type(const struct ibv_context *context, uint8_t port, uint32_t index)
{
	char path[IBV_SYSFS_PATH_MAX + 64], text[16] = "";

	(void)snprintf(path, sizeof(path), "%s/ports/%d/gid_attrs/types/%u",
		context->device->ibdev_path, port, index);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, text, sizeof(text) - 1);
		text[n > 0 ? n : 0] = '\0';
		(void)close(fd);
	}
	return strncmp(text, "RoCE v2", 7) == 0 ? IBV_GID_TYPE_ROCE_V2 : IBV_GID_TYPE_ROCE_V1;
}

static int query_gid_old(
	struct ibv_context *context, uint8_t port, uint32_t index, struct ibv_gid_entry *entry_p)
{
	static const union ibv_gid none;
	union ibv_gid gid;

	if (lib.query_gid(context, port, (int)index, &gid))
		return -ENODATA;
	if (memcmp(&gid, &none, sizeof(gid)) == 0)
		return -ENODATA;
	*entry_p = (struct ibv_gid_entry){ .gid = gid,
		.gid_index = index,
		.port_num = port,
		.gid_type = gid_type(context, port, index) };
	return 0;
}

static int query_gid(
	struct ibv_context *context, uint8_t port, uint32_t index, struct ibv_gid_entry *entry_p)
{
	struct ibv_gid_entry entry;

	if (!lib.query_gid_ex)
		return query_gid_old(context, port, index, entry_p);
	int ret = lib.query_gid_ex(context, port, index, &entry, 0, sizeof(entry));
	if (ret)
		return ret > 0 ? -ret : ret;
	*entry_p = entry;
	return 0;
}

static int get_async_event(struct ibv_context *context, struct ibv_async_event *event_p)
{
	struct pollfd ready = { .fd = context->async_fd, .events = POLLIN };

	if (poll(&ready, 1, 0) != 1)
		return -EAGAIN;
	errno = 0;
	return lib.get_async_event(context, event_p) ? last_error() : 0;
}

static void ack_async_event(struct ibv_async_event *event)
{
	lib.ack_async_event(event);
}

static const char *event_type_str(enum ibv_event_type type)
{
	return lib.event_type_str(type);
}

static int alloc_pd(struct ibv_context *context, struct ibv_pd **pd_p)
{
	GIVE(struct ibv_pd *, lib.alloc_pd(context), pd_p);
}

static int dealloc_pd(struct ibv_pd *pd)
{
	return result(lib.dealloc_pd(pd));
}

/* Optional access flags came with the second symbol. */
static int reg_mr(
	struct ibv_pd *pd, void *addr, size_t bytes, unsigned access, struct ibv_mr **mr_p)
{
	if ((access & IBV_ACCESS_OPTIONAL_RANGE) && lib.reg_mr_iova2)
		GIVE(struct ibv_mr *, lib.reg_mr_iova2(pd, addr, bytes, (uintptr_t)addr, access),
			mr_p);
	access &= ~(unsigned)IBV_ACCESS_OPTIONAL_RANGE;
	GIVE(struct ibv_mr *, lib.reg_mr(pd, addr, bytes, (int)access), mr_p);
}

static int reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t bytes, uint64_t iova, int fd,
	unsigned access, struct ibv_mr **mr_p)
{
	if (!lib.reg_dmabuf_mr)
		return -EOPNOTSUPP;
	GIVE(struct ibv_mr *, lib.reg_dmabuf_mr(pd, offset, bytes, iova, fd, (int)access), mr_p);
}

static int dereg_mr(struct ibv_mr *mr)
{
	return result(lib.dereg_mr(mr));
}

static int create_cq(struct ibv_context *context, int ncqes, struct ibv_cq **cq_p)
{
	GIVE(struct ibv_cq *, lib.create_cq(context, ncqes, NULL, NULL, 0), cq_p);
}

static int destroy_cq(struct ibv_cq *cq)
{
	return result(lib.destroy_cq(cq));
}

static int poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc)
{
	int got = ibv_poll_cq(cq, n, wc);

	return got < 0 ? -EIO : got;
}

static const char *wc_status_str(enum ibv_wc_status status)
{
	return lib.wc_status_str(status);
}

static int create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr, struct ibv_qp **qp_p)
{
	GIVE(struct ibv_qp *, lib.create_qp(pd, attr), qp_p);
}

static int modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	return result(lib.modify_qp(qp, attr, mask));
}

static int query_ece(struct ibv_qp *qp, struct ibv_ece *ece_p)
{
	struct ibv_ece ece = { .vendor_id = 0 };

	if (!lib.query_ece)
		return -EOPNOTSUPP;
	int err = result(lib.query_ece(qp, &ece));
	if (!err)
		*ece_p = ece;
	return err;
}

static int set_ece(struct ibv_qp *qp, struct ibv_ece *ece)
{
	return lib.set_ece ? result(lib.set_ece(qp, ece)) : -EOPNOTSUPP;
}

static int destroy_qp(struct ibv_qp *qp)
{
	return result(lib.destroy_qp(qp));
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_p)
{
	return result(ibv_post_send(qp, wr, bad_p));
}

static int post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_p)
{
	return result(ibv_post_recv(qp, wr, bad_p));
}

static const struct lina_verbs real = {
	.fork_init = fork_init,
	.get_device_list = get_device_list,
	.free_device_list = free_device_list,
	.open_device = open_device,
	.close_device = close_device,
	.query_device = query_device,
	.query_port = query_port,
	.query_speed_ex = query_speed_ex,
	.query_port_speed = query_port_speed,
	.query_gid = query_gid,
	.get_async_event = get_async_event,
	.ack_async_event = ack_async_event,
	.event_type_str = event_type_str,
	.alloc_pd = alloc_pd,
	.dealloc_pd = dealloc_pd,
	.reg_mr = reg_mr,
	.reg_dmabuf_mr = reg_dmabuf_mr,
	.dereg_mr = dereg_mr,
	.create_cq = create_cq,
	.destroy_cq = destroy_cq,
	.poll_cq = poll_cq,
	.wc_status_str = wc_status_str,
	.create_qp = create_qp,
	.modify_qp = modify_qp,
	.query_ece = query_ece,
	.set_ece = set_ece,
	.destroy_qp = destroy_qp,
	.post_send = post_send,
	.post_recv = post_recv,
};

static int symbols_find(void *library, char *why)
{
	for (int i = 0; i < NSYMBOLS; i++) {
		void *symbol = dlsym(library, symbols[i].symbol);
		if (!symbol && symbols[i].needed) {
			snprintf(why, LINA_VERBS_WHY_BYTES, "libibverbs.so.1 has no %s",
				symbols[i].symbol);
			return -ENOENT;
		}
		memcpy(symbols[i].slot, &symbol, sizeof(symbol));
	}
	return 0;
}

int lina_verbs_load(const struct lina_verbs **verbs_p, char *why)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static void *library; /* Guarded by lock, as is lib until it is complete */
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!library) {
		library = dlopen("libibverbs.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		if (!library)
			snprintf(why, LINA_VERBS_WHY_BYTES, "%s", dlerror());
		err = library ? symbols_find(library, why) : -ENOENT;
		if (err && library) {
			dlclose(library);
			library = NULL;
		}
	}
	pthread_mutex_unlock(&lock);
	if (!err)
		*verbs_p = &real;
	return err;
}
