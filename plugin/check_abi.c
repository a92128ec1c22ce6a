/* lina-check's way into a plugin: the calling side of NCCL's net ABI. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/check_net.h"
#include "plugin/nccl_abi/drive.h"
#include "priority/class.h"

_Static_assert((int)CHECK_ABI_FIRST == (int)DRIVE_FIRST && (int)CHECK_ABI_LAST == (int)DRIVE_LAST,
	"all versions that can be driven");

struct check_net {
	struct drive drive;
	void *ctx, *listener;
};

struct check_wire {
	struct check_net *net;
	bool sends;
	void *conn, *mr, *request;
	void *data; /* that mr is of */
	size_t bytes;
};

static char warning[CHECK_WARNING_BYTES];

static void logger(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void logger(ncclDebugLogLevel level, unsigned long flags, const char *file, int line,
	const char *fmt, ...)
{
	va_list args;

	(void)flags;
	(void)file;
	(void)line;
	if (level != NCCL_LOG_WARN)
		return;
	va_start(args, fmt);
	(void)vsnprintf(warning, sizeof(warning), fmt, args);
	va_end(args);
}

double check_now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

const char *check_net_warning(void)
{
	static char last[CHECK_WARNING_BYTES];

	memcpy(last, warning, sizeof(last));
	warning[0] = '\0';
	return last;
}

static int errno_of(ncclResult_t result)
{
	return result == ncclSuccess ? 0 : -EIO;
}

bool check_net_has(const char *path, int abi)
{
	struct drive drive;

	if (!drive_has(path, abi) || drive_open(&drive, path, abi) != 0)
		return false;
	bool has = drive_slots(&drive).needed;
	drive_close(&drive);
	return has;
}

int check_net_open(const char *path, int abi, struct check_net **net_p)
{
	struct check_net *net = calloc(1, sizeof(*net));

	if (!net)
		return -ENOMEM;
	if (drive_open(&net->drive, path, abi) != 0) {
		free(net);
		return -ENOENT;
	}
	if (drive_init(&net->drive, &net->ctx, 1, NULL, logger, NULL) != ncclSuccess) {
		drive_close(&net->drive);
		free(net);
		return -EIO;
	}
	*net_p = net;
	return 0;
}

void check_net_close(struct check_net *net)
{
	if (!net)
		return;
	if (net->listener)
		(void)drive_close_listen(&net->drive, net->listener);
	(void)drive_finalize(&net->drive, net->ctx);
	drive_close(&net->drive);
	free(net);
}

int check_net_devices(struct check_net *net, int *ndevs_p)
{
	return errno_of(drive_devices(&net->drive, ndevs_p));
}

int check_net_device(struct check_net *net, int dev, struct check_device *device_p)
{
	ncclNetProperties_v12_t props;
	size_t nbytes;

	if (drive_props(&net->drive, dev, &props, &nbytes) != ncclSuccess)
		return -EIO;
	*device_p = (struct check_device){
		.speed_mbps = props.speed,
		.max_comms = props.maxComms,
		.max_recvs = props.maxRecvs,
		.cuda = (props.ptrSupport & NCCL_PTR_CUDA) != 0,
		.dmabuf = (props.ptrSupport & NCCL_PTR_DMABUF) != 0,
	};
	(void)snprintf(device_p->name, sizeof(device_p->name), "%s", props.name);
	(void)snprintf(device_p->pci_path, sizeof(device_p->pci_path), "%s",
		props.pciPath ? props.pciPath : "");
	return 0;
}

void check_net_class(struct check_net *net, bool bulk)
{
	ncclNetAttr_v12_t attr;

	memset(&attr, 0xff, sizeof(attr)); /* not said */
	attr.op = UINT32_C(1) << (bulk ? LINA_OP_ALLREDUCE : LINA_OP_ALLTOALL);
	if (drive_has_context(&net->drive))
		(void)drive_set_attr(&net->drive, net->ctx, &attr);
}

/* --- connections --- */

static int wire_make(struct check_net *net, bool sends, void *conn, struct check_wire **wire_p)
{
	struct check_wire *wire = calloc(1, sizeof(*wire));

	if (!wire) {
		(void)(sends ? drive_close_send(&net->drive, conn)
			     : drive_close_recv(&net->drive, conn));
		return -ENOMEM;
	}
	*wire = (struct check_wire){ .net = net, .sends = sends, .conn = conn };
	*wire_p = wire;
	return 0;
}

static void pause_briefly(void)
{
	(void)nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

int check_net_listen(struct check_net *net, int dev, uint8_t handle[LINA_HANDLE_BYTES])
{
	return errno_of(drive_listen(&net->drive, net->ctx, dev, handle, &net->listener));
}

static int meet(
	struct check_net *net, int dev, uint8_t *handle, int timeout_ms, void **out, void **in)
{
	double until_s = check_now_s() + timeout_ms * 1e-3;

	while ((out && !*out) || (in && !*in)) {
		if (out && !*out &&
			drive_connect(&net->drive, net->ctx, dev, NULL, handle, out, NULL) !=
				ncclSuccess)
			return -EIO;
		if (in && !*in && drive_accept(&net->drive, net->listener, in, NULL) != ncclSuccess)
			return -EIO;
		if (check_now_s() > until_s)
			return -ETIMEDOUT;
		pause_briefly();
	}
	return 0;
}

int check_net_accept(struct check_net *net, int timeout_ms, struct check_wire **in_p)
{
	void *in = NULL;

	int err = meet(net, 0, NULL, timeout_ms, NULL, &in);
	return err ? err : wire_make(net, false, in, in_p);
}

int check_net_connect(struct check_net *net, int dev, uint8_t handle[LINA_HANDLE_BYTES],
	int timeout_ms, struct check_wire **out_p)
{
	void *out = NULL;

	int err = meet(net, dev, handle, timeout_ms, &out, NULL);
	return err ? err : wire_make(net, true, out, out_p);
}

int check_net_loop(struct check_net *net, int dev, int timeout_ms, struct check_wire **out_p,
	struct check_wire **in_p)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	void *out = NULL, *in = NULL;
	struct check_wire *out_wire;

	int err = check_net_listen(net, dev, handle);
	if (err)
		return err;
	err = meet(net, dev, handle, timeout_ms, &out, &in);
	(void)drive_close_listen(&net->drive, net->listener);
	net->listener = NULL;
	if (!err)
		err = wire_make(net, true, out, &out_wire);
	if (err)
		return err; /* what is open goes with the context */
	err = wire_make(net, false, in, in_p);
	if (err)
		check_wire_close(out_wire);
	else
		*out_p = out_wire;
	return err;
}

void check_wire_close(struct check_wire *wire)
{
	if (!wire)
		return;
	const struct drive *drive = &wire->net->drive;
	if (wire->mr)
		(void)drive_dereg(drive, wire->conn, wire->mr);
	(void)(wire->sends ? drive_close_send(drive, wire->conn)
			   : drive_close_recv(drive, wire->conn));
	free(wire);
}

/* Buffers are few and used again: one registration at a time. */
static int wire_register(struct check_wire *wire, void *data, size_t bytes)
{
	const struct drive *drive = &wire->net->drive;

	if (wire->mr && wire->data == data && wire->bytes == bytes)
		return 0;
	if (wire->mr)
		(void)drive_dereg(drive, wire->conn, wire->mr);
	wire->mr = NULL;
	int err = errno_of(drive_reg(drive, wire->conn, data, bytes, NCCL_PTR_HOST, &wire->mr));
	wire->data = data;
	wire->bytes = bytes;
	return err;
}

int check_wire_post(struct check_wire *wire, void *data, size_t bytes)
{
	const struct drive *drive = &wire->net->drive;
	int tag = 1;

	if (wire->request)
		return -EBUSY;
	int err = wire_register(wire, data, bytes);
	if (err)
		return err;
	err = errno_of(wire->sends ? drive_send(drive, wire->conn, data, bytes, tag, wire->mr, NULL,
					     &wire->request)
				   : drive_recv(drive, wire->conn, 1, &data, &bytes, &tag,
					     &wire->mr, NULL, &wire->request));
	return err ? err : wire->request ? 0 : -EAGAIN;
}

int check_wire_step(struct check_wire *wire)
{
	int done = 0, bytes;

	if (!wire->request)
		return 1;
	if (drive_test(&wire->net->drive, wire->request, &done, &bytes) != ncclSuccess)
		return -EIO;
	if (done)
		wire->request = NULL;
	return done;
}
