/*
 * The neutral core of the net plugin: what NCCL asks of a network, without any version of NCCL's
 * ABI. net_abi.c maps every ncclNet_vN_t onto these functions; transports stand behind them.
 *
 * Errors are 0 or -errno throughout; outputs are written only on success. Threads: functions that
 * take a lina_net may be called from any thread. A connection belongs to one caller at a time
 * (NCCL's proxy thread of its communicator); two connections never need the same caller. No call
 * blocks: where a peer must answer first, the call succeeds with a NULL output and is to be
 * repeated with the same arguments.
 */
#ifndef LINA_PLUGIN_NET_H
#define LINA_PLUGIN_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/log.h"

enum {
	LINA_HANDLE_BYTES = 128, /* NCCL_NET_HANDLE_MAXSIZE, the same in every net ABI */
	LINA_RECVS_MAX = 8,      /* buffers in one grouped receive; NCCL's own limit in net_ib */
	LINA_VDEV_MAX = 8,       /* physical devices behind one virtual device (net v12) */
	LINA_TRAFFIC_CLASS_UNSET = -1 /* NCCL_NET_TRAFFIC_CLASS_UNDEF */
};

/* NCCL_PTR_*: kinds of memory, as a bit set where a device says what it supports. */
enum lina_ptr { LINA_PTR_HOST = 1, LINA_PTR_CUDA = 2, LINA_PTR_DMABUF = 4 };

/* One network device as NCCL's topology search wants to see it. Strings live as long as a
 * context is open. */
struct lina_net_props {
	const char *name;
	const char *pci_path; /* sysfs path of the PCI device, NULL where there is none */
	uint64_t guid;        /* equal for functions of one NIC */
	int ptr_support;      /* bit set of lina_ptr */
	bool reg_is_global;   /* a registration serves every connection of the device */
	bool force_flush;
	int speed_mbps;
	int port;
	float latency_us;
	int max_comms;
	int max_recvs; /* 1..LINA_RECVS_MAX */
	int ndevs;     /* valid entries of devs */
	int devs[LINA_VDEV_MAX];
	size_t max_p2p_bytes; /* largest isend */
	size_t max_coll_bytes;
	int max_multi_request;
	int16_t rail_id, plane_id; /* LINA_ID_UNSET where unknown */
};
enum { LINA_ID_UNSET = -1 };

/* What NCCL says of the transfers that follow on the same thread (net v11's setNetAttr). Fields
 * are NCCL's; -1 = not said. op, algo and proto are bit masks over NCCL's enumerations. */
struct lina_net_peers {
	int32_t max_concurrent, min_concurrent, max_flows, min_flows;
};
struct lina_net_attr {
	struct lina_net_peers send, recv;
	uint32_t op, algo, proto;
};

/* NCCL's profiler callback (ncclProfilerCallback_t), NULL where the ABI has none. type is one of
 * ncclProfilerNetEvent*; event_p is kept by the caller between start and stop. */
typedef int lina_prof_fn(void **event_p, int type, void *parent, int64_t plugin_id, void *data);

struct lina_net;      /* one context: a communicator from net v11 on, the process before */
struct lina_listener; /* waits for one peer */
struct lina_conn;     /* one direction of one connection to a peer */
struct lina_mr;       /* registered memory */
struct lina_request;  /* a transfer on its way */

struct lina_net_params {
	uint64_t comm_id;  /* ncclComm's hash, 0 before net v11 */
	bool names_ops;    /* lina_net_attr_set will say what transfers are of: net v11 on */
	int traffic_class; /* LINA_TRAFFIC_CLASS_UNSET unless the user set one */
	lina_prof_fn *profiler;
	lina_log_fn *log; /* where messages go from now on; NULL: as before */
};

/* Opens a context. The first one of the process reads the environment and finds the devices; later
 * ones share them. -EINVAL: a LINA_* variable is out of range (logged with its name and range);
 * -ENODEV: no usable device; -ENOMEM. */
int lina_net_open(const struct lina_net_params *params, struct lina_net **net_p);

/* Closes a context and everything below it that NCCL left open. The last one gives back what the
 * first one took, so that the library can be unloaded. NULL is allowed. */
int lina_net_close(struct lina_net *net);

/* Devices found by the first lina_net_open. -ENODEV before that. */
int lina_net_count(int *ndev_p);

/* -EINVAL: no device dev. */
int lina_net_props_get(int dev, struct lina_net_props *props_p);

/* Makes one device of ndevs, whose numbers are at devs; it has the next number, and lasts as long
 * as they do: it is there again when all contexts were closed and one is opened, if they are.
 * -EINVAL (logged): the transport, or these devices, cannot be merged; -ENODEV. */
int lina_net_merge(int ndevs, const int *devs, int *dev_p);

/* Latched for the calling thread until its next call. */
int lina_net_attr_set(struct lina_net *net, const struct lina_net_attr *attr);

/* Starts to listen on dev. handle (LINA_HANDLE_BYTES) is for the peer: it holds an address and a
 * secret without which nobody is let in. */
int lina_net_listen(struct lina_net *net, int dev, void *handle, struct lina_listener **listener_p);

/* Connects to the listener that made handle; *conn_p stays NULL until the connection is ready.
 * traffic_class: of this connection (net v10), or LINA_TRAFFIC_CLASS_UNSET for the context's.
 * handle must be the same memory on every repetition: the attempt is remembered in it.
 * -EPROTO: handle is not one of ours or of another version. -ETIMEDOUT, -ECONNREFUSED, ... */
int lina_net_connect(
	struct lina_net *net, int dev, int traffic_class, void *handle, struct lina_conn **conn_p);

/* Takes the peer in; *conn_p stays NULL until it is there. */
int lina_net_accept(struct lina_listener *listener, struct lina_conn **conn_p);

/* Registers memory for transfers on conn. type: one of lina_ptr. fd >= 0 names a dmabuf and offset
 * the place in it. -EINVAL: a type the device does not support, or no memory. */
int lina_net_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset,
	int fd, struct lina_mr **mr_p);
/* What is not deregistered goes with its connection. NULL is allowed. */
int lina_net_dereg(struct lina_conn *conn, struct lina_mr *mr);

/* Sends bytes from data, which stays untouched until the request is done; it meets the earliest
 * receive of the peer with the same tag. *request_p = NULL: nothing done, ask again.
 * profile: NCCL's profiler handle, NULL where the ABI has none. */
int lina_net_send(struct lina_conn *conn, void *data, size_t bytes, int tag, struct lina_mr *mr,
	void *profile, struct lina_request **request_p);

/* Receives n (1..LINA_RECVS_MAX) messages as one request: message i has tags[i] and at most
 * bytes[i] bytes. mrs, profiles: [n], profiles may be NULL. */
int lina_net_recv(struct lina_conn *conn, int n, void *const *data, const size_t *bytes,
	const int *tags, struct lina_mr *const *mrs, void *const *profiles,
	struct lina_request **request_p);

/* Makes received data visible to the device that owns the memory. *request_p = NULL: it is. */
int lina_net_flush(struct lina_conn *conn, int n, void *const *data, const int *bytes,
	struct lina_mr *const *mrs, struct lina_request **request_p);

/* Moves the connection along and says whether request has ended. With *done_p set the request is
 * gone; bytes_p (NULL allowed) gets the size of each message: [1] for a send, [n] for a receive. */
int lina_net_test(struct lina_request *request, int *done_p, int *bytes_p);

/* Close from any state, with requests in flight, in any order; all requests of the connection are
 * gone with it. NULL is allowed. */
int lina_net_close_send(struct lina_conn *conn);
int lina_net_close_recv(struct lina_conn *conn);
int lina_net_close_listen(struct lina_listener *listener);

#endif
