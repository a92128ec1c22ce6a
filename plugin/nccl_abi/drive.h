/*
 * Calls a net plugin through any of its tables as NCCL would: one set of functions over all
 * versions of the ABI. What a version cannot express is left out, and the caller knows from the
 * features which that is.
 */
#ifndef LINA_NCCL_ABI_DRIVE_H
#define LINA_NCCL_ABI_DRIVE_H

#include <stdbool.h>

#include "plugin/nccl_abi/net.h"
#include "plugin/net.h"

enum { DRIVE_FIRST = 8, DRIVE_LAST = 12, DRIVE_NVERSIONS = DRIVE_LAST - DRIVE_FIRST + 1 };

struct drive {
	int version; /* of the ABI */
	void *library;
	const void *table;
};

/* What the versions differ in. */
static inline bool drive_has_wide_sizes(const struct drive *drive)
{
	return drive->version >= 9;
}
static inline bool drive_has_profiles(const struct drive *drive)
{
	return drive->version >= 10;
}
static inline bool drive_has_context(const struct drive *drive)
{
	return drive->version >= 11;
}
static inline size_t drive_max_devs(const struct drive *drive)
{
	return drive->version >= 12 ? 8 : drive->version >= 9 ? 4 : 0;
}

/* Whether the library at path can be loaded and has the table, without a word. */
bool drive_has(const char *path, int version);

/* Loads the library as NCCL does and finds the table. 0, or -1 with a message on stderr. */
int drive_open(struct drive *drive_p, const char *path, int version);
void drive_close(struct drive *drive);

/* The slots. ctx and comm_id are not passed on before v11, profiler and traffic_class not before
 * v10 (at init from v11 on, at connect with v10), profiles not before v10. */
ncclResult_t drive_init(const struct drive *drive, void **ctx, uint64_t comm_id,
	const int *traffic_class, ncclDebugLogger_t log, ncclProfilerCallback_t profiler);
ncclResult_t drive_finalize(const struct drive *drive, void *ctx);
ncclResult_t drive_devices(const struct drive *drive, int *ndev);

/* The version's properties as v12 has them, fields that the version lacks filled with 0x5a;
 * *nbytes_p: how far the plugin wrote behind the struct. */
ncclResult_t drive_props(
	const struct drive *drive, int dev, ncclNetProperties_v12_t *props_p, size_t *nbytes_p);

ncclResult_t drive_listen(
	const struct drive *drive, void *ctx, int dev, void *handle, void **listener);
ncclResult_t drive_connect(const struct drive *drive, void *ctx, int dev, const int *traffic_class,
	void *handle, void **conn, ncclNetDeviceHandle_v8_t **dev_handle);
ncclResult_t drive_accept(const struct drive *drive, void *listener, void **conn,
	ncclNetDeviceHandle_v8_t **dev_handle);
ncclResult_t drive_reg(
	const struct drive *drive, void *conn, void *data, size_t bytes, int type, void **mr);
ncclResult_t drive_reg_dmabuf(const struct drive *drive, void *conn, void *data, size_t bytes,
	int type, uint64_t offset, int fd, void **mr);
ncclResult_t drive_dereg(const struct drive *drive, void *conn, void *mr);

/* bytes: cut to int before v9. n may be out of range, of the arrays max(n, 0) entries are read. */
ncclResult_t drive_send(const struct drive *drive, void *conn, void *data, size_t bytes, int tag,
	void *mr, void *profile, void **request);
ncclResult_t drive_recv(const struct drive *drive, void *conn, int n, void **data, size_t *bytes,
	int *tags, void **mrs, void **profiles, void **request);
ncclResult_t drive_flush(const struct drive *drive, void *conn, int n, void **data, int *bytes,
	void **mrs, void **request);
ncclResult_t drive_test(const struct drive *drive, void *request, int *done, int *bytes);
ncclResult_t drive_close_send(const struct drive *drive, void *conn);
ncclResult_t drive_close_recv(const struct drive *drive, void *conn);
ncclResult_t drive_close_listen(const struct drive *drive, void *listener);

/* From v11 on; ncclInvalidUsage before. */
ncclResult_t drive_set_attr(const struct drive *drive, void *ctx, ncclNetAttr_v12_t *attr);

/* makeVDevice, from v9 on; ncclInvalidUsage before, and for more devices than the ABI has room for.
 */
ncclResult_t drive_merge(const struct drive *drive, int *dev, int ndevs, const int *devs);

/* Slots as pointers, to see which are there: NULL where the table has NULL or the ABI no such slot.
 */
struct drive_slots {
	const char *name;
	bool needed;   /* every slot that NCCL calls without looking is there */
	bool optional; /* getDeviceMr or irecvConsumed is there */
};
struct drive_slots drive_slots(const struct drive *drive);

#endif
