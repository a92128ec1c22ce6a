#include "plugin/nccl_abi/drive.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define V8(drive)  ((const ncclNet_v8_t *)(drive)->table)
#define V9(drive)  ((const ncclNet_v9_t *)(drive)->table)
#define V10(drive) ((const ncclNet_v10_t *)(drive)->table)
#define V11(drive) ((const ncclNet_v11_t *)(drive)->table)
#define V12(drive) ((const ncclNet_v12_t *)(drive)->table)

/* A slot that has the same type in every version. */
#define SLOT(drive, slot)                                   \
	((drive)->version == 8           ? V8(drive)->slot  \
		: (drive)->version == 9  ? V9(drive)->slot  \
		: (drive)->version == 10 ? V10(drive)->slot \
		: (drive)->version == 11 ? V11(drive)->slot \
					 : V12(drive)->slot)

enum { SYMBOL_BYTES = 32 };

static void *table_of(void *library, int version)
{
	char symbol[SYMBOL_BYTES];

	(void)snprintf(symbol, sizeof(symbol), "ncclNetPlugin_v%d", version);
	return dlsym(library, symbol);
}

bool drive_has(const char *path, int version)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	bool has = library != NULL && table_of(library, version) != NULL;

	if (library != NULL)
		(void)dlclose(library);
	return has;
}

int drive_open(struct drive *drive_p, const char *path, int version)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void *table;

	if (library == NULL) {
		(void)fprintf(stderr, "%s\n", dlerror());
		return -1;
	}
	table = table_of(library, version);
	if (table == NULL) {
		(void)fprintf(stderr, "%s\n", dlerror());
		(void)dlclose(library);
		return -1;
	}
	*drive_p = (struct drive){ .version = version, .library = library, .table = table };
	return 0;
}

void drive_close(struct drive *drive)
{
	(void)dlclose(drive->library);
	drive->library = NULL;
	drive->table = NULL;
}

ncclResult_t drive_init(const struct drive *drive, void **ctx, uint64_t comm_id,
	const int *traffic_class, ncclDebugLogger_t log, ncclProfilerCallback_t profiler)
{
	ncclNetCommConfig_v11_t v11 = { .trafficClass = traffic_class ? *traffic_class : 0 };
	ncclNetCommConfig_v12_t v12 = { .trafficClass = traffic_class ? *traffic_class : 0 };

	switch (drive->version) {
	case 8:
		return V8(drive)->init(log);
	case 9:
		return V9(drive)->init(log);
	case 10:
		return V10(drive)->init(log, profiler);
	case 11:
		return V11(drive)->init(ctx, comm_id, traffic_class ? &v11 : NULL, log, profiler);
	default:
		return V12(drive)->init(ctx, comm_id, traffic_class ? &v12 : NULL, log, profiler);
	}
}

ncclResult_t drive_finalize(const struct drive *drive, void *ctx)
{
	switch (drive->version) {
	case 11:
		return V11(drive)->finalize(ctx);
	case 12:
		return V12(drive)->finalize(ctx);
	default:
		return ncclSuccess;
	}
}

ncclResult_t drive_devices(const struct drive *drive, int *ndev)
{
	return SLOT(drive, devices)(ndev);
}

/* --- properties: called with a guard behind the struct, decoded field by field --- */

enum { GUARD_BYTES = 64, GUARD = 0x5a };

static size_t guard_damage(const unsigned char *guard)
{
	size_t nbytes = GUARD_BYTES;

	while (nbytes > 0 && guard[nbytes - 1] == GUARD)
		nbytes--;
	return nbytes;
}

#define DECODE_V8(props, in)                          \
	(props)->name = (in)->name;                   \
	(props)->pciPath = (in)->pciPath;             \
	(props)->guid = (in)->guid;                   \
	(props)->ptrSupport = (in)->ptrSupport;       \
	(props)->regIsGlobal = (in)->regIsGlobal;     \
	(props)->speed = (in)->speed;                 \
	(props)->port = (in)->port;                   \
	(props)->latency = (in)->latency;             \
	(props)->maxComms = (in)->maxComms;           \
	(props)->maxRecvs = (in)->maxRecvs;           \
	(props)->netDeviceType = (in)->netDeviceType; \
	(props)->netDeviceVersion = (in)->netDeviceVersion;
#define DECODE_V9(props, in)                        \
	DECODE_V8(props, in)                        \
	(props)->forceFlush = (in)->forceFlush;     \
	(props)->maxP2pBytes = (in)->maxP2pBytes;   \
	(props)->maxCollBytes = (in)->maxCollBytes; \
	(props)->vProps.ndevs = (in)->vProps.ndevs; \
	memcpy((props)->vProps.devs, (in)->vProps.devs, sizeof((in)->vProps.devs));
#define DECODE_V10(props, in) DECODE_V9(props, in)
#define DECODE_V11(props, in) \
	DECODE_V10(props, in) \
	(props)->maxMultiRequestSize = (in)->maxMultiRequestSize;
#define DECODE_V12(props, in)           \
	DECODE_V11(props, in)           \
	(props)->railId = (in)->railId; \
	(props)->planeId = (in)->planeId;

#define DEFINE_PROPS(v, V)                                                \
	static ncclResult_t props_##v(const struct drive *drive, int dev, \
		ncclNetProperties_v12_t *props_p, size_t *nbytes_p)       \
	{                                                                 \
		struct {                                                  \
			ncclNetProperties_##v##_t props;                  \
			unsigned char guard[GUARD_BYTES];                 \
		} in;                                                     \
		ncclResult_t result;                                      \
                                                                          \
		memset(&in, GUARD, sizeof(in));                           \
		result = V(drive)->getProperties(dev, &in.props);         \
		DECODE_##V(props_p, &in.props);                           \
		*nbytes_p = guard_damage(in.guard);                       \
		return result;                                            \
	}
DEFINE_PROPS(v8, V8)
DEFINE_PROPS(v9, V9)
DEFINE_PROPS(v10, V10)
DEFINE_PROPS(v11, V11)
DEFINE_PROPS(v12, V12)

ncclResult_t drive_props(
	const struct drive *drive, int dev, ncclNetProperties_v12_t *props_p, size_t *nbytes_p)
{
	memset(props_p, GUARD, sizeof(*props_p));
	switch (drive->version) {
	case 8:
		return props_v8(drive, dev, props_p, nbytes_p);
	case 9:
		return props_v9(drive, dev, props_p, nbytes_p);
	case 10:
		return props_v10(drive, dev, props_p, nbytes_p);
	case 11:
		return props_v11(drive, dev, props_p, nbytes_p);
	default:
		return props_v12(drive, dev, props_p, nbytes_p);
	}
}

/* --- connections --- */

ncclResult_t drive_listen(
	const struct drive *drive, void *ctx, int dev, void *handle, void **listener)
{
	switch (drive->version) {
	case 8:
		return V8(drive)->listen(dev, handle, listener);
	case 9:
		return V9(drive)->listen(dev, handle, listener);
	case 10:
		return V10(drive)->listen(dev, handle, listener);
	case 11:
		return V11(drive)->listen(ctx, dev, handle, listener);
	default:
		return V12(drive)->listen(ctx, dev, handle, listener);
	}
}

ncclResult_t drive_connect(const struct drive *drive, void *ctx, int dev, const int *traffic_class,
	void *handle, void **conn, ncclNetDeviceHandle_v8_t **dev_handle)
{
	ncclNetCommConfig_v10_t v10 = { .trafficClass = traffic_class ? *traffic_class : 0 };

	switch (drive->version) {
	case 8:
		return V8(drive)->connect(dev, handle, conn, dev_handle);
	case 9:
		return V9(drive)->connect(dev, handle, conn, dev_handle);
	case 10:
		return V10(drive)->connect(
			dev, traffic_class ? &v10 : NULL, handle, conn, dev_handle);
	case 11:
		return V11(drive)->connect(ctx, dev, handle, conn, dev_handle);
	default:
		return V12(drive)->connect(ctx, dev, handle, conn, dev_handle);
	}
}

ncclResult_t drive_accept(const struct drive *drive, void *listener, void **conn,
	ncclNetDeviceHandle_v8_t **dev_handle)
{
	return SLOT(drive, accept)(listener, conn, dev_handle);
}

ncclResult_t drive_close_send(const struct drive *drive, void *conn)
{
	return SLOT(drive, closeSend)(conn);
}

ncclResult_t drive_close_recv(const struct drive *drive, void *conn)
{
	return SLOT(drive, closeRecv)(conn);
}

ncclResult_t drive_close_listen(const struct drive *drive, void *listener)
{
	return SLOT(drive, closeListen)(listener);
}

/* --- memory and transfers --- */

ncclResult_t drive_reg(
	const struct drive *drive, void *conn, void *data, size_t bytes, int type, void **mr)
{
	return SLOT(drive, regMr)(conn, data, bytes, type, mr);
}

ncclResult_t drive_reg_dmabuf(const struct drive *drive, void *conn, void *data, size_t bytes,
	int type, uint64_t offset, int fd, void **mr)
{
	return SLOT(drive, regMrDmaBuf)(conn, data, bytes, type, offset, fd, mr);
}

ncclResult_t drive_dereg(const struct drive *drive, void *conn, void *mr)
{
	return SLOT(drive, deregMr)(conn, mr);
}

ncclResult_t drive_send(const struct drive *drive, void *conn, void *data, size_t bytes, int tag,
	void *mr, void *profile, void **request)
{
	switch (drive->version) {
	case 8:
		return V8(drive)->isend(conn, data, (int)bytes, tag, mr, request);
	case 9:
		return V9(drive)->isend(conn, data, bytes, tag, mr, request);
	case 10:
		return V10(drive)->isend(conn, data, bytes, tag, mr, profile, request);
	case 11:
		return V11(drive)->isend(conn, data, bytes, tag, mr, profile, request);
	default:
		return V12(drive)->isend(conn, data, bytes, tag, mr, profile, request);
	}
}

static ncclResult_t recv_narrow(const struct drive *drive, void *conn, int n, void **data,
	const size_t *bytes, int *tags, void **mrs, void **request)
{
	int narrow[LINA_RECVS_MAX + 1];

	for (int i = 0; i < n && i <= LINA_RECVS_MAX; i++)
		narrow[i] = (int)bytes[i];
	return V8(drive)->irecv(conn, n, data, narrow, tags, mrs, request);
}

ncclResult_t drive_recv(const struct drive *drive, void *conn, int n, void **data, size_t *bytes,
	int *tags, void **mrs, void **profiles, void **request)
{
	switch (drive->version) {
	case 8:
		return recv_narrow(drive, conn, n, data, bytes, tags, mrs, request);
	case 9:
		return V9(drive)->irecv(conn, n, data, bytes, tags, mrs, request);
	case 10:
		return V10(drive)->irecv(conn, n, data, bytes, tags, mrs, profiles, request);
	case 11:
		return V11(drive)->irecv(conn, n, data, bytes, tags, mrs, profiles, request);
	default:
		return V12(drive)->irecv(conn, n, data, bytes, tags, mrs, profiles, request);
	}
}

ncclResult_t drive_flush(const struct drive *drive, void *conn, int n, void **data, int *bytes,
	void **mrs, void **request)
{
	return SLOT(drive, iflush)(conn, n, data, bytes, mrs, request);
}

ncclResult_t drive_test(const struct drive *drive, void *request, int *done, int *bytes)
{
	return SLOT(drive, test)(request, done, bytes);
}

ncclResult_t drive_set_attr(const struct drive *drive, void *ctx, ncclNetAttr_v12_t *attr)
{
	ncclNetAttr_v11_t v11;

	_Static_assert(sizeof(v11) == sizeof(*attr), "v11 and v12 have the same attributes");
	memcpy(&v11, attr, sizeof(v11));
	switch (drive->version) {
	case 11:
		return V11(drive)->setNetAttr(ctx, &v11);
	case 12:
		return V12(drive)->setNetAttr(ctx, attr);
	default:
		return ncclInvalidUsage;
	}
}

#define DEFINE_MERGE(v, V)                                                                 \
	static ncclResult_t merge_##v(                                                     \
		const struct drive *drive, int *dev, int ndevs, const int *devs)           \
	{                                                                                  \
		ncclNetVDeviceProps_##v##_t props = { .ndevs = ndevs };                    \
                                                                                           \
		if (ndevs < 0 || (size_t)ndevs > sizeof(props.devs) / sizeof(*props.devs)) \
			return ncclInvalidUsage;                                           \
		memcpy(props.devs, devs, (size_t)ndevs * sizeof(*devs));                   \
		return V(drive)->makeVDevice(dev, &props);                                 \
	}
DEFINE_MERGE(v9, V9)
DEFINE_MERGE(v10, V10)
DEFINE_MERGE(v11, V11)
DEFINE_MERGE(v12, V12)

ncclResult_t drive_merge(const struct drive *drive, int *dev, int ndevs, const int *devs)
{
	switch (drive->version) {
	case 9:
		return merge_v9(drive, dev, ndevs, devs);
	case 10:
		return merge_v10(drive, dev, ndevs, devs);
	case 11:
		return merge_v11(drive, dev, ndevs, devs);
	case 12:
		return merge_v12(drive, dev, ndevs, devs);
	default:
		return ncclInvalidUsage;
	}
}

#define NEEDED(t)                                                                              \
	((t)->init && (t)->devices && (t)->getProperties && (t)->listen && (t)->connect &&     \
		(t)->accept && (t)->regMr && (t)->regMrDmaBuf && (t)->deregMr && (t)->isend && \
		(t)->irecv && (t)->iflush && (t)->test && (t)->closeSend && (t)->closeRecv &&  \
		(t)->closeListen)

struct drive_slots drive_slots(const struct drive *drive)
{
	struct drive_slots slots = { .name = SLOT(drive, name) };

	slots.optional = SLOT(drive, getDeviceMr) || SLOT(drive, irecvConsumed);
	switch (drive->version) {
	case 8:
		slots.needed = NEEDED(V8(drive));
		break;
	case 9:
		slots.needed = NEEDED(V9(drive));
		slots.needed = slots.needed && V9(drive)->makeVDevice;
		break;
	case 10:
		slots.needed = NEEDED(V10(drive));
		slots.needed = slots.needed && V10(drive)->makeVDevice;
		break;
	case 11:
		slots.needed = NEEDED(V11(drive)) && V11(drive)->finalize && V11(drive)->setNetAttr;
		slots.needed = slots.needed && V11(drive)->makeVDevice;
		break;
	default:
		slots.needed = NEEDED(V12(drive)) && V12(drive)->finalize && V12(drive)->setNetAttr;
		slots.needed = slots.needed && V12(drive)->makeVDevice;
		break;
	}
	return slots;
}
