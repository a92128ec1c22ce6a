#include "abi/recorder.h"

#include <string.h>
#include <unistd.h>

char rec_objects[REC_NOBJECTS];
struct recorder rec;

void rec_reset(void)
{
	memset(&rec, 0, sizeof(rec));
	rec.made = &rec_objects[0];
	rec.close_fd = -1;
}

void rec_forget(void)
{
	struct recorder told = { .result = rec.result,
		.open_result = rec.open_result,
		.made = rec.made,
		.ndev = rec.ndev,
		.props = rec.props,
		.done = rec.done,
		.ntest_bytes = rec.ntest_bytes,
		.close_fd = rec.close_fd };

	memcpy(told.test_bytes, rec.test_bytes, sizeof(told.test_bytes));
	told.nopens = atomic_load(&rec.nopens);
	told.ncloses = atomic_load(&rec.ncloses);
	rec = told;
}

static int make(void *object_p)
{
	if (rec.result == 0)
		memcpy(object_p, &rec.made, sizeof(rec.made));
	return rec.result;
}

static int note(enum recorded call, void *object)
{
	rec.call = call;
	rec.object = object;
	return rec.result;
}

/* Each open makes the next object, so that contexts can be told apart. */
int lina_net_open(const struct lina_net_params *params, struct lina_net **net_p)
{
	int nth = atomic_fetch_add(&rec.nopens, 1);

	rec.call = REC_OPEN;
	rec.params = *params;
	if (rec.open_result == 0)
		*net_p = (struct lina_net *)(void *)&rec_objects[1 + nth % (REC_NOBJECTS - 1)];
	return rec.open_result;
}

int lina_net_close(struct lina_net *net)
{
	if (net == NULL)
		return rec.result;
	atomic_fetch_add(&rec.ncloses, 1);
	if (rec.close_fd >= 0 && write(rec.close_fd, "c", 1) != 1)
		return -1;
	return note(REC_CLOSE, net);
}

int lina_net_count(int *ndev_p)
{
	if (rec.result == 0)
		*ndev_p = rec.ndev;
	return note(REC_COUNT, NULL);
}

int lina_net_props_get(int dev, struct lina_net_props *props_p)
{
	rec.dev = dev;
	if (rec.result == 0)
		*props_p = rec.props;
	return note(REC_PROPS, NULL);
}

int lina_net_merge(int ndevs, const int *devs, int *dev_p)
{
	rec.n = ndevs;
	for (int i = 0; i < ndevs && i < LINA_VDEV_MAX; i++)
		rec.devs[i] = devs[i];
	if (rec.result == 0)
		*dev_p = rec.ndev;
	return note(REC_MERGE, NULL);
}

int lina_net_attr_set(struct lina_net *net, const struct lina_net_attr *attr)
{
	rec.attr = *attr;
	return note(REC_ATTR, net);
}

int lina_net_listen(struct lina_net *net, int dev, void *handle, struct lina_listener **listener_p)
{
	(void)note(REC_LISTEN, net);
	rec.dev = dev;
	rec.handle = handle;
	return make((void *)listener_p);
}

int lina_net_connect(
	struct lina_net *net, int dev, int traffic_class, void *handle, struct lina_conn **conn_p)
{
	(void)note(REC_CONNECT, net);
	rec.dev = dev;
	rec.traffic_class = traffic_class;
	rec.handle = handle;
	return make((void *)conn_p);
}

int lina_net_accept(struct lina_listener *listener, struct lina_conn **conn_p)
{
	(void)note(REC_ACCEPT, listener);
	return make((void *)conn_p);
}

int lina_net_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset,
	int fd, struct lina_mr **mr_p)
{
	(void)note(REC_REG, conn);
	rec.data = data;
	rec.bytes = bytes;
	rec.type = type;
	rec.offset = offset;
	rec.fd = fd;
	return make((void *)mr_p);
}

int lina_net_dereg(struct lina_conn *conn, struct lina_mr *mr)
{
	rec.mr = mr;
	return note(REC_DEREG, conn);
}

int lina_net_send(struct lina_conn *conn, void *data, size_t bytes, int tag, struct lina_mr *mr,
	void *profile, struct lina_request **request_p)
{
	(void)note(REC_SEND, conn);
	rec.data = data;
	rec.bytes = bytes;
	rec.tag = tag;
	rec.mr = mr;
	rec.profile = profile;
	return make((void *)request_p);
}

static void note_arrays(int n, void *const *data, struct lina_mr *const *mrs)
{
	rec.n = n;
	for (int i = 0; i < n && i < LINA_RECVS_MAX; i++) {
		rec.datas[i] = data[i];
		rec.mrs[i] = mrs[i];
	}
}

int lina_net_recv(struct lina_conn *conn, int n, void *const *data, const size_t *bytes,
	const int *tags, struct lina_mr *const *mrs, void *const *profiles,
	struct lina_request **request_p)
{
	(void)note(REC_RECV, conn);
	note_arrays(n, data, mrs);
	rec.has_profiles = profiles != NULL;
	for (int i = 0; i < n && i < LINA_RECVS_MAX; i++) {
		rec.sizes[i] = bytes[i];
		rec.tags[i] = tags[i];
		rec.profiles[i] = profiles != NULL ? profiles[i] : NULL;
	}
	return make((void *)request_p);
}

int lina_net_flush(struct lina_conn *conn, int n, void *const *data, const int *bytes,
	struct lina_mr *const *mrs, struct lina_request **request_p)
{
	(void)note(REC_FLUSH, conn);
	note_arrays(n, data, mrs);
	for (int i = 0; i < n && i < LINA_RECVS_MAX; i++)
		rec.sizes[i] = (size_t)bytes[i];
	return make((void *)request_p);
}

int lina_net_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	rec.has_bytes = bytes_p != NULL;
	if (rec.result == 0) {
		*done_p = rec.done;
		for (int i = 0; bytes_p != NULL && i < rec.ntest_bytes; i++)
			bytes_p[i] = rec.test_bytes[i];
	}
	return note(REC_TEST, request);
}

int lina_net_close_send(struct lina_conn *conn)
{
	return note(REC_CLOSE_SEND, conn);
}

int lina_net_close_recv(struct lina_conn *conn)
{
	return note(REC_CLOSE_RECV, conn);
}

int lina_net_close_listen(struct lina_listener *listener)
{
	return note(REC_CLOSE_LISTEN, listener);
}
