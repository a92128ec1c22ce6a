/*
 * Maps every exported ncclNet_vN_t onto plugin/net.h. No logic lives here.
 *
 * A thunk is named after the first ABI whose signature it has; a later ABI with the same signature
 * uses it too, and each goes straight to the core, so that no argument is lost on the way. A new
 * ABI costs one table and the thunks that changed.
 *
 * Outputs are set on every path: NCCL may have left a hint of its own in *request
 * (NCCL_NET_OPTIONAL_RECV_COMPLETION, which this network has no use for).
 */
#include <errno.h>
#include <string.h>

#include "plugin/nccl_abi/net.h"
#include "plugin/nccl_abi/result.h"
#include "plugin/net.h"
#include "plugin/process_net.h"

#define LINA_EXPORT __attribute__((visibility("default")))

/* For calls that make something: what NCCL gets is NULL unless they did. */
static ncclResult_t give(int err, void *made, void **out)
{
	*out = made;
	return lina_nccl_result(err);
}

/* For calls that NCCL repeats: a NULL object or request with success means "ask again". iflush is
 * none of them, there it would mean "done". */
static ncclResult_t give_or_again(int err, void *made, void **out)
{
	return give(err == -EAGAIN ? 0 : err, made, out);
}

/* --- properties: the structs differ in type but share field names --- */

static int copy_devs(int *devs, size_t capacity, const struct lina_net_props *props)
{
	size_t n = (size_t)props->ndevs < capacity ? (size_t)props->ndevs : capacity;

	memcpy(devs, props->devs, n * sizeof(*devs));
	return (int)n;
}

#define FILL_V8(out, props)                          \
	(out)->name = (char *)(props)->name;         \
	(out)->pciPath = (char *)(props)->pci_path;  \
	(out)->guid = (props)->guid;                 \
	(out)->ptrSupport = (props)->ptr_support;    \
	(out)->regIsGlobal = (props)->reg_is_global; \
	(out)->speed = (props)->speed_mbps;          \
	(out)->port = (props)->port;                 \
	(out)->latency = (props)->latency_us;        \
	(out)->maxComms = (props)->max_comms;        \
	(out)->maxRecvs = (props)->max_recvs;        \
	(out)->netDeviceType = NCCL_NET_DEVICE_HOST; \
	(out)->netDeviceVersion = NCCL_NET_DEVICE_INVALID_VERSION
#define FILL_V9(out, props)                                 \
	FILL_V8(out, props);                                \
	(out)->forceFlush = (props)->force_flush;           \
	(out)->maxP2pBytes = (props)->max_p2p_bytes;        \
	(out)->maxCollBytes = (props)->max_coll_bytes;      \
	(out)->vProps.ndevs = copy_devs((out)->vProps.devs, \
		sizeof((out)->vProps.devs) / sizeof((out)->vProps.devs[0]), props)
#define FILL_V10(out, props) FILL_V9(out, props)
#define FILL_V11(out, props)  \
	FILL_V10(out, props); \
	(out)->maxMultiRequestSize = (props)->max_multi_request
#define FILL_V12(out, props)              \
	FILL_V11(out, props);             \
	(out)->railId = (props)->rail_id; \
	(out)->planeId = (props)->plane_id

/* NCCL 2.22 reloads a plugin that it has unloaded and does not initialise it again; so with the
 * ABIs of that time every call that may be the first opens the context. */
static int process_props(int dev, struct lina_net_props *props_p)
{
	struct lina_net *net;
	int err = lina_process_net(NULL, NULL, &net);

	return err != 0 ? err : lina_net_props_get(dev, props_p);
}

#define DEFINE_PROPERTIES(v, FILL, props_get)                                       \
	static ncclResult_t properties_##v(int dev, ncclNetProperties_##v##_t *out) \
	{                                                                           \
		struct lina_net_props props;                                        \
		int err = props_get(dev, &props);                                   \
                                                                                    \
		if (err != 0)                                                       \
			return lina_nccl_result(err);                               \
		memset(out, 0, sizeof(*out));                                       \
		FILL(out, &props);                                                  \
		return ncclSuccess;                                                 \
	}
DEFINE_PROPERTIES(v8, FILL_V8, process_props)
DEFINE_PROPERTIES(v9, FILL_V9, process_props)
DEFINE_PROPERTIES(v10, FILL_V10, process_props)
DEFINE_PROPERTIES(v11, FILL_V11, lina_net_props_get)
DEFINE_PROPERTIES(v12, FILL_V12, lina_net_props_get)

/* --- slots whose signature no exported ABI has changed --- */

static ncclResult_t accept_v8(void *listener, void **out, ncclNetDeviceHandle_v8_t **dev_handle)
{
	struct lina_conn *conn = NULL;
	int err = lina_net_accept(listener, &conn);

	(void)dev_handle;
	return give_or_again(err, conn, out);
}

static ncclResult_t reg_dmabuf_v8(
	void *conn, void *data, size_t bytes, int type, uint64_t offset, int fd, void **out)
{
	struct lina_mr *mr = NULL;
	int err = lina_net_reg(conn, data, bytes, type, offset, fd, &mr);

	return give(err, mr, out);
}

static ncclResult_t reg_v8(void *conn, void *data, size_t bytes, int type, void **out)
{
	struct lina_mr *mr = NULL;
	int err = lina_net_reg(conn, data, bytes, type, 0, -1, &mr);

	return give(err, mr, out);
}

static ncclResult_t dereg_v8(void *conn, void *mr)
{
	return lina_nccl_result(lina_net_dereg(conn, mr));
}

static ncclResult_t flush_v8(void *conn, int n, void **data, int *bytes, void **mrs, void **out)
{
	struct lina_request *request = NULL;
	int err = lina_net_flush(conn, n, data, bytes, (struct lina_mr *const *)mrs, &request);

	return give(err, request, out);
}

static ncclResult_t test_v8(void *request, int *done, int *bytes)
{
	int err;

	*done = 0;
	err = lina_net_test(request, done, bytes);
	return lina_nccl_result(err == -EAGAIN ? 0 : err);
}

static ncclResult_t close_send_v8(void *conn)
{
	return lina_nccl_result(lina_net_close_send(conn));
}

static ncclResult_t close_recv_v8(void *conn)
{
	return lina_nccl_result(lina_net_close_recv(conn));
}

static ncclResult_t close_listen_v8(void *listener)
{
	return lina_nccl_result(lina_net_close_listen(listener));
}

/* --- v8: int sizes, no context --- */

static ncclResult_t init_v8(ncclDebugLogger_t log)
{
	struct lina_net *net;

	return lina_nccl_result(lina_process_net((lina_log_fn *)log, NULL, &net));
}

static ncclResult_t devices_v8(int *ndev)
{
	struct lina_net *net;
	int err = lina_process_net(NULL, NULL, &net);

	return lina_nccl_result(err != 0 ? err : lina_net_count(ndev));
}

static ncclResult_t listen_v8(int dev, void *handle, void **out)
{
	struct lina_net *net;
	struct lina_listener *listener = NULL;
	int err = lina_process_net(NULL, NULL, &net);

	if (err == 0)
		err = lina_net_listen(net, dev, handle, &listener);
	return give(err, listener, out);
}

static ncclResult_t process_connect(int dev, int traffic_class, void *handle, void **out)
{
	struct lina_net *net;
	struct lina_conn *conn = NULL;
	int err = lina_process_net(NULL, NULL, &net);

	if (err == 0)
		err = lina_net_connect(net, dev, traffic_class, handle, &conn);
	return give_or_again(err, conn, out);
}

static ncclResult_t connect_v8(
	int dev, void *handle, void **out, ncclNetDeviceHandle_v8_t **dev_handle)
{
	(void)dev_handle;
	return process_connect(dev, LINA_TRAFFIC_CLASS_UNSET, handle, out);
}

static ncclResult_t send_v8(void *conn, void *data, int bytes, int tag, void *mr, void **out)
{
	struct lina_request *request = NULL;
	int err = -EINVAL;

	if (bytes >= 0)
		err = lina_net_send(conn, data, (size_t)bytes, tag, mr, NULL, &request);
	return give_or_again(err, request, out);
}

static int widen(size_t *wide, const int *bytes, int n)
{
	if (n < 1 || n > LINA_RECVS_MAX)
		return -EINVAL;
	for (int i = 0; i < n; i++) {
		if (bytes[i] < 0)
			return -EINVAL;
		wide[i] = (size_t)bytes[i];
	}
	return 0;
}

static ncclResult_t recv_v8(
	void *conn, int n, void **data, int *bytes, int *tags, void **mrs, void **out)
{
	struct lina_request *request = NULL;
	size_t wide[LINA_RECVS_MAX];
	int err = widen(wide, bytes, n);

	if (err == 0)
		err = lina_net_recv(
			conn, n, data, wide, tags, (struct lina_mr *const *)mrs, NULL, &request);
	return give_or_again(err, request, out);
}

/* --- v9: size_t sizes --- */

static ncclResult_t send_v9(void *conn, void *data, size_t bytes, int tag, void *mr, void **out)
{
	struct lina_request *request = NULL;
	int err = lina_net_send(conn, data, bytes, tag, mr, NULL, &request);

	return give_or_again(err, request, out);
}

static ncclResult_t recv_v9(
	void *conn, int n, void **data, size_t *bytes, int *tags, void **mrs, void **out)
{
	struct lina_request *request = NULL;
	int err = lina_net_recv(
		conn, n, data, bytes, tags, (struct lina_mr *const *)mrs, NULL, &request);

	return give_or_again(err, request, out);
}

/* --- v10: profiler handles; traffic class at connect --- */

static ncclResult_t init_v10(ncclDebugLogger_t log, ncclProfilerCallback_t profiler)
{
	struct lina_net *net;

	return lina_nccl_result(
		lina_process_net((lina_log_fn *)log, (lina_prof_fn *)profiler, &net));
}

static ncclResult_t connect_v10(int dev, ncclNetCommConfig_v10_t *config, void *handle, void **out,
	ncclNetDeviceHandle_v10_t **dev_handle)
{
	int traffic_class = config != NULL ? config->trafficClass : LINA_TRAFFIC_CLASS_UNSET;

	(void)dev_handle;
	return process_connect(dev, traffic_class, handle, out);
}

static ncclResult_t send_v10(
	void *conn, void *data, size_t bytes, int tag, void *mr, void *profile, void **out)
{
	struct lina_request *request = NULL;
	int err = lina_net_send(conn, data, bytes, tag, mr, profile, &request);

	return give_or_again(err, request, out);
}

static ncclResult_t recv_v10(void *conn, int n, void **data, size_t *bytes, int *tags, void **mrs,
	void **profiles, void **out)
{
	struct lina_request *request = NULL;
	int err = lina_net_recv(
		conn, n, data, bytes, tags, (struct lina_mr *const *)mrs, profiles, &request);

	return give_or_again(err, request, out);
}

/* --- v11: a context per communicator; traffic class at init --- */

/* v11 and v12 differ in the name of a type only. */
#define DEFINE_WITH_CONTEXT(v)                                                                    \
	static ncclResult_t init_##v(void **out, uint64_t comm_id,                                \
		ncclNetCommConfig_##v##_t *config, ncclDebugLogger_t log,                         \
		ncclProfilerCallback_t profiler)                                                  \
	{                                                                                         \
		const struct lina_net_params params = {                                           \
			.comm_id = comm_id,                                                       \
			.names_ops = true,                                                        \
			.traffic_class =                                                          \
				config != NULL ? config->trafficClass : LINA_TRAFFIC_CLASS_UNSET, \
			.profiler = (lina_prof_fn *)profiler,                                     \
			.log = (lina_log_fn *)log,                                                \
		};                                                                                \
		struct lina_net *net = NULL;                                                      \
		int err = lina_net_open(&params, &net);                                           \
                                                                                                  \
		return give(err, net, out);                                                       \
	}                                                                                         \
	static struct lina_net_peers peers_##v(const ncclNetCommAttr_##v##_t *attr)               \
	{                                                                                         \
		return (struct lina_net_peers){                                                   \
			.max_concurrent = attr->maxConcurrentPeers,                               \
			.min_concurrent = attr->minConcurrentPeers,                               \
			.max_flows = attr->maxFlowsPerPeer,                                       \
			.min_flows = attr->minFlowsPerPeer,                                       \
		};                                                                                \
	}                                                                                         \
	static ncclResult_t set_attr_##v(void *net, ncclNetAttr_##v##_t *in)                      \
	{                                                                                         \
		const struct lina_net_attr attr = {                                               \
			.send = peers_##v(&in->sendCommAttr),                                     \
			.recv = peers_##v(&in->recvCommAttr),                                     \
			.op = in->op,                                                             \
			.algo = in->algo,                                                         \
			.proto = in->proto,                                                       \
		};                                                                                \
                                                                                                  \
		return lina_nccl_result(lina_net_attr_set(net, &attr));                           \
	}
DEFINE_WITH_CONTEXT(v11)
DEFINE_WITH_CONTEXT(v12)

static ncclResult_t devices_v11(int *ndev)
{
	return lina_nccl_result(lina_net_count(ndev));
}

/* --- devices made of several, from v9 on: the structs differ in their room --- */

#define DEFINE_MERGE(v)                                                                  \
	static ncclResult_t merge_##v(int *dev, ncclNetVDeviceProps_##v##_t *props)      \
	{                                                                                \
		return lina_nccl_result(lina_net_merge(props->ndevs, props->devs, dev)); \
	}
DEFINE_MERGE(v9)
DEFINE_MERGE(v10)
DEFINE_MERGE(v11)
DEFINE_MERGE(v12)

static ncclResult_t listen_v11(void *net, int dev, void *handle, void **out)
{
	struct lina_listener *listener = NULL;
	int err = lina_net_listen(net, dev, handle, &listener);

	return give(err, listener, out);
}

static ncclResult_t connect_v11(
	void *net, int dev, void *handle, void **out, ncclNetDeviceHandle_v11_t **dev_handle)
{
	struct lina_conn *conn = NULL;
	int err = lina_net_connect(net, dev, LINA_TRAFFIC_CLASS_UNSET, handle, &conn);

	(void)dev_handle;
	return give_or_again(err, conn, out);
}

static ncclResult_t finalize_v11(void *net)
{
	return lina_nccl_result(lina_net_close(net));
}

/* --- the exported tables: one table shows what is special about one ABI --- */

/* NCCL_NET and ncclConfig_t's netName ask for a network by this name, in any case. */
#define SINCE_V8                                                                              \
	.name = "lina", .accept = accept_v8, .regMr = reg_v8, .regMrDmaBuf = reg_dmabuf_v8,   \
	.deregMr = dereg_v8, .iflush = flush_v8, .test = test_v8, .closeSend = close_send_v8, \
	.closeRecv = close_recv_v8, .closeListen = close_listen_v8, .getDeviceMr = NULL,      \
	.irecvConsumed = NULL

LINA_EXPORT extern const ncclNet_v8_t ncclNetPlugin_v8;
LINA_EXPORT extern const ncclNet_v9_t ncclNetPlugin_v9;
LINA_EXPORT extern const ncclNet_v10_t ncclNetPlugin_v10;
LINA_EXPORT extern const ncclNet_v11_t ncclNetPlugin_v11;
LINA_EXPORT extern const ncclNet_v12_t ncclNetPlugin_v12;

const ncclNet_v8_t ncclNetPlugin_v8 = {
	SINCE_V8,
	.init = init_v8,
	.devices = devices_v8,
	.getProperties = properties_v8,
	.listen = listen_v8,
	.connect = connect_v8,
	.isend = send_v8,
	.irecv = recv_v8,
};

const ncclNet_v9_t ncclNetPlugin_v9 = {
	SINCE_V8,
	.init = init_v8,
	.devices = devices_v8,
	.getProperties = properties_v9,
	.listen = listen_v8,
	.connect = connect_v8,
	.isend = send_v9,
	.irecv = recv_v9,
	.makeVDevice = merge_v9,
};

const ncclNet_v10_t ncclNetPlugin_v10 = {
	SINCE_V8,
	.init = init_v10,
	.devices = devices_v8,
	.getProperties = properties_v10,
	.listen = listen_v8,
	.connect = connect_v10,
	.isend = send_v10,
	.irecv = recv_v10,
	.makeVDevice = merge_v10,
};

const ncclNet_v11_t ncclNetPlugin_v11 = {
	SINCE_V8,
	.init = init_v11,
	.devices = devices_v11,
	.getProperties = properties_v11,
	.listen = listen_v11,
	.connect = connect_v11,
	.isend = send_v10,
	.irecv = recv_v10,
	.makeVDevice = merge_v11,
	.finalize = finalize_v11,
	.setNetAttr = set_attr_v11,
};

const ncclNet_v12_t ncclNetPlugin_v12 = {
	SINCE_V8,
	.init = init_v12,
	.devices = devices_v11,
	.getProperties = properties_v12,
	.listen = listen_v11,
	.connect = connect_v11,
	.isend = send_v10,
	.irecv = recv_v10,
	.makeVDevice = merge_v12,
	.finalize = finalize_v11,
	.setNetAttr = set_attr_v12,
};
