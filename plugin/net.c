#include "plugin/net.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "plugin/classes.h"
#include "plugin/dials.h"
#include "plugin/log.h"
#include "plugin/origin.h"
#include "plugin/placement.h"
#include "plugin/rest.h"
#include "plugin/transport.h"

struct lina_net {
	pid_t pid; /* a child made by fork has copies of the sockets, but they are not its own */
	struct lina_origin origin; /* of its transfers */
	struct lina_dials dials;
	pthread_mutex_t lock;
	LIST_HEAD(, lina_object) objects; /* listeners and connections. Guarded by lock */
};

enum { MERGES_MAX = 128 };

/* A device made of others. */
struct merge {
	int dev, ndevs, devs[LINA_VDEV_MAX];
};

/* What all contexts of the process share: made by the first, given back by the last, but for
 * merges: NCCL makes such devices once, and knows them by their numbers when all contexts have been
 * closed and one is opened again. */
static struct {
	pthread_mutex_t lock;
	int users; /* contexts that are open. All fields: guarded by lock, constant while users > 0
		    */
	struct lina_config config;
	struct lina_class_rules rules;
	const struct lina_transport_ops *ops;
	struct lina_transport *transport;
	uint64_t who; /* the process, to its peers */
	int nmerges;
	struct merge merge[MERGES_MAX];
} process = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* RDMA where there is any, if not one of them is asked for by name. */
static int transport_open(void)
{
	const char *wanted = process.config.transport;
	int err = -ENODEV;

	process.ops = &lina_verbs_ops;
	if (strcmp(wanted, "tcp") != 0)
		err = process.ops->open(&process.config, &process.transport);
	if (err != -ENODEV || strcmp(wanted, "verbs") == 0)
		return err;
	process.ops = &lina_tcp_ops;
	return process.ops->open(&process.config, &process.transport);
}

static int merge_make(int ndevs, const int *devs, int *dev_p)
{
	if (!process.ops->merge) {
		lina_info("devices of transport %s cannot be merged", process.ops->name);
		return -EINVAL;
	}
	return process.ops->merge(process.transport, ndevs, devs, dev_p);
}

static void merge_note(int ndevs, const int *devs, int dev)
{
	if (process.nmerges == MERGES_MAX || ndevs > LINA_VDEV_MAX)
		return;
	struct merge *m = &process.merge[process.nmerges++];
	m->dev = dev;
	m->ndevs = ndevs;
	memcpy(m->devs, devs, (size_t)ndevs * sizeof(*devs));
}

/* As far as each gets the number it had: there may be other devices now. */
static void merges_again(void)
{
	int n = 0;

	for (; n < process.nmerges; n++) {
		struct merge *m = &process.merge[n];
		if (process.ops->count(process.transport) != m->dev ||
			merge_make(m->ndevs, m->devs, &m->dev))
			break;
	}
	process.nmerges = n;
}

static int process_open(void)
{
	int err = lina_config_read(environ, &process.config);
	if (!err)
		err = lina_classes_read(process.config.classes, &process.rules);
	if (err)
		return err;
	if (getrandom(&process.who, sizeof(process.who), 0) < 0)
		process.who = (uint64_t)getpid(); /* it only has to differ */
	lina_watch_open(&process.config);
	bool table = lina_placement_open(process.config.placement);
	if (process.config.hot_first == LINA_HOT_FIRST_TABLE)
		process.config.hot_first = table;
	err = transport_open();
	if (err) {
		lina_placement_close();
		lina_watch_close();
		return err;
	}
	merges_again();
	return 0;
}

static int process_get(void)
{
	pthread_mutex_lock(&process.lock);
	int err = process.users == 0 ? process_open() : 0;
	if (!err)
		process.users++;
	pthread_mutex_unlock(&process.lock);
	return err;
}

static void process_put(void)
{
	pthread_mutex_lock(&process.lock);
	if (--process.users == 0) {
		process.ops->close(process.transport);
		process.transport = NULL;
		lina_placement_close();
		lina_watch_close();
	}
	pthread_mutex_unlock(&process.lock);
}

int lina_net_open(const struct lina_net_params *params, struct lina_net **net_p)
{
	if (params->log != NULL)
		lina_log_set(params->log);
	struct lina_net *net = calloc(1, sizeof(*net));
	if (!net) {
		lina_warn("no memory for a communicator");
		return -ENOMEM;
	}
	int err = process_get();
	if (err) {
		free(net);
		return err;
	}
	lina_origin_open(&net->origin, params, &process.rules);
	net->pid = getpid();
	pthread_mutex_init(&net->lock, NULL);
	LIST_INIT(&net->objects);
	lina_dials_init(&net->dials);
	*net_p = net;
	return 0;
}

/* An object is in its context's list from the moment NCCL knows of it until it closes it. */
static void object_add(struct lina_net *net, struct lina_object *object)
{
	object->net = net;
	pthread_mutex_lock(&net->lock);
	LIST_INSERT_HEAD(&net->objects, object, link);
	pthread_mutex_unlock(&net->lock);
}

static void object_remove(struct lina_object *object)
{
	pthread_mutex_lock(&object->net->lock);
	LIST_REMOVE(object, link);
	pthread_mutex_unlock(&object->net->lock);
}

static int object_close(struct lina_object *object)
{
	if (object->net->pid != getpid())
		return 0;
	object_remove(object);
	object->close(object);
	return 0;
}

int lina_net_count(int *ndev_p)
{
	pthread_mutex_lock(&process.lock);
	int n = process.transport ? process.ops->count(process.transport) : -ENODEV;
	pthread_mutex_unlock(&process.lock);
	if (n < 0)
		return n;
	*ndev_p = n;
	return 0;
}

static int dev_check(int dev)
{
	int n = 0;

	int err = lina_net_count(&n);
	if (err)
		return err;
	if (dev >= 0 && dev < n)
		return 0;
	lina_warn("device %d does not exist: there are %d, counted from 0", dev, n);
	return -EINVAL;
}

int lina_net_props_get(int dev, struct lina_net_props *props_p)
{
	int err = dev_check(dev);
	if (err)
		return err;
	process.ops->props(process.transport, dev, props_p);
	return 0;
}

int lina_net_merge(int ndevs, const int *devs, int *dev_p)
{
	int dev;

	pthread_mutex_lock(&process.lock);
	int err = process.transport ? merge_make(ndevs, devs, &dev) : -ENODEV;
	if (!err)
		merge_note(ndevs, devs, dev);
	pthread_mutex_unlock(&process.lock);
	if (!err)
		*dev_p = dev;
	return err;
}

int lina_net_attr_set(struct lina_net *net, const struct lina_net_attr *attr)
{
	if (!net || !attr)
		return -EINVAL;
	lina_origin_told(&net->origin, attr->op);
	return 0;
}

int lina_net_listen(struct lina_net *net, int dev, void *handle, struct lina_listener **listener_p)
{
	struct lina_wire_handle wire = { .ticket = 0 };
	struct lina_listener *listener;

	int err = dev_check(dev);
	if (err)
		return err;
	err = process.ops->listen(process.transport, dev, &wire, &listener);
	if (err)
		return err;
	listener->ops = process.ops;
	wire.who = process.who;
	wire.device = lina_placement_device(net->origin.params.comm_id);
	object_add(net, &listener->object);
	lina_handle_encode(&wire, handle);
	*listener_p = listener;
	return 0;
}

static void conn_close(struct lina_object *object)
{
	struct lina_conn *conn = (struct lina_conn *)object;
	struct lina_mr *mr;

	lina_origin_conn_remove(&object->net->origin, conn);
	while ((mr = LIST_FIRST(&conn->mrs))) {
		LIST_REMOVE(mr, link);
		(void)conn->ops->dereg(conn, mr);
	}
	lina_watch_conn_close(&conn->watch);
	conn->ops->conn_close(conn);
}

static void conn_add(struct lina_net *net, struct lina_conn *conn, bool sends, int traffic_class)
{
	conn->ops = process.ops;
	conn->sends = sends;
	LIST_INIT(&conn->mrs);
	conn->object.close = conn_close;
	lina_watch_conn_open(&conn->watch, conn->link_name, sends ? LINA_DIR_SEND : LINA_DIR_RECV,
		conn->peer_name, net->origin.params.comm_id);
	object_add(net, &conn->object);
	lina_origin_conn_add(&net->origin, conn, traffic_class);
}

int lina_net_connect(
	struct lina_net *net, int dev, int traffic_class, void *handle, struct lina_conn **conn_p)
{
	struct lina_dial *dial;
	struct lina_conn *conn;

	int err = dev_check(dev);
	if (!err)
		err = lina_dial_get(
			&net->dials, process.ops, process.transport, dev, handle, &dial);
	if (err)
		return err;
	dial->traffic_class = traffic_class != LINA_TRAFFIC_CLASS_UNSET
				      ? traffic_class
				      : net->origin.params.traffic_class;
	err = process.ops->dial_step(dial, &conn);
	if (err == -EAGAIN) {
		*conn_p = NULL;
		return 0;
	}
	lina_handle_ticket_set(handle, 0);
	lina_dial_remove(&net->dials, process.ops, dial);
	if (err)
		return err;
	conn_add(net, conn, true, traffic_class);
	*conn_p = conn;
	return 0;
}

int lina_net_accept(struct lina_listener *listener, struct lina_conn **conn_p)
{
	struct lina_conn *conn;

	int err = listener->ops->accept(listener, &conn);
	if (err == -EAGAIN) {
		*conn_p = NULL;
		return 0;
	}
	if (err)
		return err;
	conn_add(listener->object.net, conn, false, LINA_TRAFFIC_CLASS_UNSET);
	*conn_p = conn;
	return 0;
}

int lina_net_close(struct lina_net *net)
{
	if (!net || net->pid != getpid())
		return 0;
	struct lina_object *object;
	lina_dials_close(&net->dials, process.ops);
	while ((object = LIST_FIRST(&net->objects)))
		object_close(object);
	lina_origin_close(&net->origin);
	pthread_mutex_destroy(&net->lock);
	free(net);
	process_put();
	return 0;
}

int lina_net_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset,
	int fd, struct lina_mr **mr_p)
{
	struct lina_mr *mr;

	int err = conn->ops->reg(conn, data, bytes, type, offset, fd, &mr);
	if (err)
		return err;
	struct lina_net *net = conn->object.net;
	pthread_mutex_lock(&net->lock);
	LIST_INSERT_HEAD(&conn->mrs, mr, link);
	pthread_mutex_unlock(&net->lock);
	lina_origin_reg(&net->origin, conn);
	*mr_p = mr;
	return 0;
}

int lina_net_dereg(struct lina_conn *conn, struct lina_mr *mr)
{
	if (!mr)
		return 0;
	pthread_mutex_lock(&conn->object.net->lock);
	LIST_REMOVE(mr, link);
	pthread_mutex_unlock(&conn->object.net->lock);
	return conn->ops->dereg(conn, mr);
}

int lina_net_send(struct lina_conn *conn, void *data, size_t bytes, int tag, struct lina_mr *mr,
	void *profile, struct lina_request **request_p)
{
	if (!conn->sends)
		return -EINVAL;
	struct lina_origin *origin = &conn->object.net->origin;
	struct lina_source from = lina_origin_find(origin, conn, profile);
	uint64_t since_ns = lina_watch_begin(&conn->watch);
	int err = conn->ops->send(conn, from.cls, data, bytes, tag, mr, request_p);
	if (!err && *request_p) {
		(*request_p)->cls = from.cls;
		lina_rest_posted(from.cls);
		lina_traffic_add(&origin->sent, from.op, from.cls, bytes);
		lina_watch_post(
			&conn->watch, &(*request_p)->watch, since_ns, from.cls, from.op, 1, bytes);
	}
	return err;
}

int lina_net_recv(struct lina_conn *conn, int n, void *const *data, const size_t *bytes,
	const int *tags, struct lina_mr *const *mrs, void *const *profiles,
	struct lina_request **request_p)
{
	if (conn->sends || n < 1 || n > LINA_RECVS_MAX) {
		lina_warn("receive of %d buffers: 1 to %d, on a receiving connection", n,
			LINA_RECVS_MAX);
		return -EINVAL;
	}
	/* NCCL groups receives of one operation only. */
	struct lina_origin *origin = &conn->object.net->origin;
	struct lina_source from = lina_origin_find(origin, conn, profiles ? profiles[0] : NULL);
	uint64_t since_ns = lina_watch_begin(&conn->watch);
	int err = conn->ops->recv(conn, from.cls, n, data, bytes, tags, mrs, request_p);
	if (err || !*request_p)
		return err;
	(*request_p)->cls = from.cls;
	lina_rest_posted(from.cls);
	uint64_t sum = 0;
	for (int i = 0; i < n; i++) {
		lina_traffic_add(&origin->received, from.op, from.cls, bytes[i]);
		sum += bytes[i];
	}
	lina_watch_post(&conn->watch, &(*request_p)->watch, since_ns, from.cls, from.op, n, sum);
	return 0;
}

int lina_net_flush(struct lina_conn *conn, int n, void *const *data, const int *bytes,
	struct lina_mr *const *mrs, struct lina_request **request_p)
{
	if (conn->sends || n < 1 || n > LINA_RECVS_MAX)
		return -EINVAL;
	return conn->ops->flush(conn, n, data, bytes, mrs, request_p);
}

int lina_net_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct lina_conn *conn = request->conn;
	int bytes[LINA_RECVS_MAX];

	if (!bytes_p)
		bytes_p = bytes;
	int err = conn->ops->test(request, done_p, bytes_p);
	if (!err && *done_p) {
		lina_rest_ended(request->cls);
		lina_watch_end(&conn->watch, &request->watch, bytes_p);
	} else if (!err) {
		lina_rest_take(request);
	}
	return err;
}

int lina_net_close_send(struct lina_conn *conn)
{
	return conn ? object_close(&conn->object) : 0;
}

int lina_net_close_recv(struct lina_conn *conn)
{
	return conn ? object_close(&conn->object) : 0;
}

int lina_net_close_listen(struct lina_listener *listener)
{
	return listener ? object_close(&listener->object) : 0;
}
