/*
 * What the files of the fake verbs share:
 *   fabric.c       settings, counts, scripts, the table
 *   fake_device.c  devices, ports, addresses, events
 *   fake_memory.c  protection domains and memory regions
 *   fake_cq.c      completion queues
 *   fake_qp.c      queue pairs: states, what is posted
 *   fake_move.c    the work itself
 * All of it is guarded by one lock, which fake_enter takes and fake_leave gives back.
 */
#ifndef LINA_TESTS_FAKE_FAKE_H
#define LINA_TESTS_FAKE_FAKE_H

#include <sys/queue.h>

#include "fake/fabric.h"

enum {
	FAKE_EVENTS = 64,
	FAKE_KEYS = 1 << 16, /* queue pairs at a time, and memory regions */
	FAKE_FIRST_QP = 17,  /* as if there had been others */
};

struct fake_device {
	struct ibv_device base;
	int index;
	bool up, removed;
	LIST_HEAD(, fake_context) contexts;
};

struct fake_context {
	struct ibv_context base;
	LIST_ENTRY(fake_context) link;
	struct fake_device *dev;
	int nchildren; /* protection domains and completion queues */
	int nevents;
	struct ibv_async_event events[FAKE_EVENTS];
};

struct fake_pd {
	struct ibv_pd base;
	int nchildren; /* memory regions and queue pairs */
};

struct fake_mr {
	struct ibv_mr base;
	unsigned access;
	uint64_t iova;   /* where the region begins in keys' addresses */
	uint8_t *memory; /* where it begins here */
	bool mapped;     /* a dmabuf's: to be unmapped */
};

/* A completion, and what it gives back when it is polled: all work of the queue up to it. */
struct fake_cqe {
	struct ibv_wc wc;
	struct fake_qp *qp;
	bool sends;
	uint64_t upto;
};

struct fake_cq {
	struct ibv_cq base;
	struct fake_context *context;
	int nqps, depth, first, n;
	bool dead, silent;     /* polls fail; there is never anything */
	int ntaken;            /* events about it that were not acknowledged */
	struct fake_cqe *ring; /* [depth] */
};

struct fake_work {
	uint64_t wr_id, remote_addr;
	enum ibv_wr_opcode opcode;
	bool signaled, inlined;
	bool placed; /* ahead of work before it */
	uint32_t rkey, bytes;
	__be32 imm;
	int nsges;
	struct ibv_sge sges[FABRIC_SGES_MAX];
	uint8_t *data; /* room for what is inline */
};

/* Work posted, done, and given back by a polled completion, counted since the queue was empty. */
struct fake_queue {
	uint64_t posted, done, freed;
	int depth, max_sge;
	struct fake_work *ring; /* [depth] */
};

struct fake_qp {
	struct ibv_qp base;
	TAILQ_ENTRY(fake_qp) busy;
	bool is_busy, held, broken; /* broken: until it is reset */
	struct fake_context *context;
	struct ibv_qp_cap cap;
	bool sig_all;
	struct ibv_qp_attr attr;
	uint32_t ece; /* options in use */
	struct fake_queue send, recv;
	uint8_t *inline_room; /* what the sends' data point into */
	int attempts;         /* of the work that is next */
	int ntaken;           /* as of a completion queue */
};

struct fake_script {
	const char *call; /* NULL: any */
	long call_n;      /* 0: none */
	int call_err;
	bool met;
	const char *met_name;
	long work_n, lose_n, lose_send_n, lose_recv_n;
	enum ibv_wc_status work_status;
	bool work_moves;
};

struct fake_fabric {
	struct fabric_settings settings;
	struct fabric_live live;
	struct fabric_counts counts;
	struct fake_script script;
	struct fake_device devices[FABRIC_DEVICES_MAX];
	TAILQ_HEAD(, fake_qp) busy; /* queue pairs with work that is not done */
	int nbusy;
	uint32_t next_qp, next_mr; /* numbers that were not used for longest */
	uint32_t life;             /* of keys: the upper half of each */
	struct fake_qp *qps[FAKE_KEYS];
	struct fake_mr *mrs[FAKE_KEYS];
	struct fabric_post posts[FABRIC_POSTS_MAX];
	uint64_t nposts;
};
extern struct fake_fabric fake;

/* Takes the lock. If the script says that this call fails, gives it back and returns the error. */
int fake_enter(const char *call);
void fake_lock(void);
/* Gives it back. Returns err. */
int fake_leave(int err);

/* --- devices --- */
struct fake_context *fake_context(struct ibv_context *context);
/* -EIO: the device is gone. */
int fake_context_check(const struct fake_context *context);
void fake_event(struct fake_context *context, struct ibv_async_event event);
/* Before element is destroyed, as libibverbs does: waits until the events about it that were taken
 * are acknowledged, and forgets the others. The lock is free meanwhile. */
void fake_events_end(struct fake_context *context, const void *element, const int *ntaken);
/* The device that a path leads to; NULL: none. */
struct fake_device *fake_path_device(const struct ibv_ah_attr *path);
/* Whether something arrives on this device's port. */
bool fake_device_works(const struct fake_device *dev);

/* --- memory --- */
/* The bytes behind a key, NULL unless all of them are in a region of pd that gives this access. */
uint8_t *fake_memory(
	const struct ibv_pd *pd, uint32_t key, uint64_t addr, uint64_t bytes, unsigned access);

/* --- completions --- */
void fake_complete(struct fake_cq *cq, const struct fake_cqe *cqe);
/* Those of a queue pair that goes. */
void fake_cq_clean(struct fake_cq *cq, const struct fake_qp *qp);

/* --- queue pairs --- */
struct fake_qp *fake_qp(struct ibv_qp *qp);
void fake_qp_fail(struct fake_qp *qp); /* to the error state; what is posted is flushed */
void fake_qp_busy(struct fake_qp *qp); /* has work, or none: as it is */
void fake_queue_done(struct fake_qp *qp, bool sends, enum ibv_wc_status status, struct ibv_wc *wc);
struct fake_work *fake_queue_next(struct fake_queue *queue); /* not done; NULL: none */
/* The same, after so many others. */
struct fake_work *fake_queue_ahead(struct fake_queue *queue, uint64_t nothers);

/* --- the work --- */
int fake_pump(int n);

/* The table's functions, by the file they are in. */
int fake_fork_init(void);
int fake_get_device_list(int *ndevices_p, struct ibv_device ***list_p);
void fake_free_device_list(struct ibv_device **list);
int fake_open_device(struct ibv_device *device, struct ibv_context **context_p);
int fake_close_device(struct ibv_context *context);
int fake_query_device(struct ibv_context *context, struct ibv_device_attr *attr_p);
int fake_query_port(struct ibv_context *context, uint8_t port, struct ibv_port_attr *attr_p);
int fake_query_speed_ex(struct ibv_context *context, uint8_t port, uint32_t *speed_p);
int fake_query_port_speed(struct ibv_context *context, uint8_t port, uint64_t *speed_p);
int fake_query_gid(
	struct ibv_context *context, uint8_t port, uint32_t index, struct ibv_gid_entry *entry_p);
int fake_get_async_event(struct ibv_context *context, struct ibv_async_event *event_p);
void fake_ack_async_event(struct ibv_async_event *event);
int fake_alloc_pd(struct ibv_context *context, struct ibv_pd **pd_p);
int fake_dealloc_pd(struct ibv_pd *pd);
int fake_reg_mr(struct ibv_pd *pd, void *addr, size_t bytes, unsigned access, struct ibv_mr **mr_p);
int fake_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t bytes, uint64_t iova, int fd,
	unsigned access, struct ibv_mr **mr_p);
int fake_dereg_mr(struct ibv_mr *mr);
int fake_create_cq(struct ibv_context *context, int ncqes, struct ibv_cq **cq_p);
int fake_destroy_cq(struct ibv_cq *cq);
int fake_poll_cq(struct ibv_cq *cq, int n, struct ibv_wc *wc);
int fake_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr, struct ibv_qp **qp_p);
int fake_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
int fake_query_ece(struct ibv_qp *qp, struct ibv_ece *ece_p);
int fake_set_ece(struct ibv_qp *qp, struct ibv_ece *ece);
int fake_destroy_qp(struct ibv_qp *qp);
int fake_post_send(struct ibv_qp *qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_p);
int fake_post_recv(struct ibv_qp *qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_p);

#endif
