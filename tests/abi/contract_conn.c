/* The contract: connections, memory, errors. */
#include <errno.h>

#include "abi/contract.h"

static void *context(void)
{
	return drive_has_context(&drive) ? ctx : &rec_objects[1];
}

/* --- connections --- */

static void listen_passes_all(void **state)
{
	void *listener = NULL;

	(void)state;
	assert_int_equal(drive_listen(&drive, ctx, 3, &things[1], &listener), ncclSuccess);
	assert_int_equal(rec.call, REC_LISTEN);
	assert_ptr_equal(rec.object, context());
	assert_int_equal(rec.dev, 3);
	assert_ptr_equal(rec.handle, &things[1]);
	assert_ptr_equal(listener, rec.made);
	rec.result = -EMFILE;
	assert_int_equal(drive_listen(&drive, ctx, 3, &things[1], &listener), ncclSystemError);
	assert_null(listener);
	rec.result = -EAGAIN;
	assert_int_equal(drive_listen(&drive, ctx, 3, &things[1], &listener), ncclSystemError);
}

static void connect_passes_all(void **state)
{
	int traffic_class = 23;
	ncclNetDeviceHandle_v8_t *dev_handle = (void *)&things[9];
	void *conn = NULL;

	(void)state;
	assert_int_equal(
		drive_connect(&drive, ctx, 4, &traffic_class, &things[2], &conn, &dev_handle),
		ncclSuccess);
	assert_int_equal(rec.call, REC_CONNECT);
	assert_ptr_equal(rec.object, context());
	assert_int_equal(rec.dev, 4);
	assert_int_equal(rec.traffic_class, drive.version == 10 ? 23 : UNSET);
	assert_ptr_equal(rec.handle, &things[2]);
	assert_ptr_equal(conn, rec.made);
	assert_ptr_equal(dev_handle, &things[9]);
	assert_int_equal(drive_connect(&drive, ctx, 4, NULL, &things[2], &conn, NULL), ncclSuccess);
	assert_int_equal(rec.traffic_class, UNSET);
}

static void accept_passes_all(void **state)
{
	ncclNetDeviceHandle_v8_t *dev_handle = (void *)&things[9];
	void *conn = NULL;

	(void)state;
	assert_int_equal(drive_accept(&drive, &things[3], &conn, &dev_handle), ncclSuccess);
	assert_int_equal(rec.call, REC_ACCEPT);
	assert_ptr_equal(rec.object, &things[3]);
	assert_ptr_equal(conn, rec.made);
	assert_ptr_equal(dev_handle, &things[9]);
	assert_int_equal(drive_accept(&drive, &things[3], &conn, NULL), ncclSuccess);
}

/* Calls connect, accept, isend or irecv with something old in their output. */
static ncclResult_t call_repeated(int which, void **out)
{
	void *data = &things[4], *mr = &things[5];
	size_t bytes = 8;
	int tag = 1;

	*out = thing_hint();
	switch (which) {
	case 0:
		return drive_connect(&drive, ctx, 0, NULL, things, out, NULL);
	case 1:
		return drive_accept(&drive, things, out, NULL);
	case 2:
		return drive_send(&drive, things, data, bytes, tag, mr, NULL, out);
	default:
		return drive_recv(&drive, things, 1, &data, &bytes, &tag, &mr, NULL, out);
	}
}

static void not_yet_is_success_with_null(void **state)
{
	(void)state;
	for (int which = 0; which < 4; which++) {
		void *out;

		rec.result = -EAGAIN;
		assert_int_equal(call_repeated(which, &out), ncclSuccess);
		assert_null(out);
		rec.result = 0;
		rec.made = NULL;
		assert_int_equal(call_repeated(which, &out), ncclSuccess);
		assert_null(out);
		rec.made = &rec_objects[9];
		assert_int_equal(call_repeated(which, &out), ncclSuccess);
		assert_ptr_equal(out, &rec_objects[9]);
		rec.result = -ECONNRESET;
		assert_int_equal(call_repeated(which, &out), ncclRemoteError);
		assert_null(out);
	}
}

static void close_passes_all(void **state)
{
	(void)state;
	assert_int_equal(drive_close_send(&drive, &things[1]), ncclSuccess);
	assert_int_equal(rec.call, REC_CLOSE_SEND);
	assert_ptr_equal(rec.object, &things[1]);
	assert_int_equal(drive_close_recv(&drive, &things[2]), ncclSuccess);
	assert_int_equal(rec.call, REC_CLOSE_RECV);
	assert_ptr_equal(rec.object, &things[2]);
	assert_int_equal(drive_close_listen(&drive, &things[3]), ncclSuccess);
	assert_int_equal(rec.call, REC_CLOSE_LISTEN);
	assert_ptr_equal(rec.object, &things[3]);
	rec.result = -EIO;
	assert_int_equal(drive_close_send(&drive, things), ncclSystemError);
	assert_int_equal(drive_close_recv(&drive, things), ncclSystemError);
	assert_int_equal(drive_close_listen(&drive, things), ncclSystemError);
}

/* --- memory --- */

static void memory_is_registered(void **state)
{
	const size_t bytes = ((size_t)1 << 33) + 5;
	void *mr = NULL;

	(void)state;
	assert_int_equal(
		drive_reg(&drive, &things[1], &things[2], bytes, NCCL_PTR_CUDA, &mr), ncclSuccess);
	assert_int_equal(rec.call, REC_REG);
	assert_ptr_equal(rec.object, &things[1]);
	assert_ptr_equal(rec.data, &things[2]);
	assert_true(rec.bytes == bytes);
	assert_int_equal(rec.type, LINA_PTR_CUDA);
	assert_true(rec.offset == 0);
	assert_int_equal(rec.fd, -1);
	assert_ptr_equal(mr, rec.made);
	assert_int_equal(drive_dereg(&drive, &things[3], mr), ncclSuccess);
	assert_int_equal(rec.call, REC_DEREG);
	assert_ptr_equal(rec.object, &things[3]);
	assert_ptr_equal(rec.mr, mr);
	rec.result = -EINVAL;
	assert_int_equal(
		drive_reg(&drive, things, things, 1, NCCL_PTR_HOST, &mr), ncclInvalidArgument);
	assert_int_equal(rec.type, LINA_PTR_HOST);
	assert_null(mr);
	assert_int_equal(drive_dereg(&drive, things, things), ncclInvalidArgument);
}

static void dmabuf_is_registered(void **state)
{
	const uint64_t offset = ((uint64_t)1 << 34) + 3;
	const size_t bytes = ((size_t)1 << 35) + 1;
	void *mr = NULL;

	(void)state;
	assert_int_equal(drive_reg_dmabuf(&drive, &things[1], &things[2], bytes, NCCL_PTR_CUDA,
				 offset, 77, &mr),
		ncclSuccess);
	assert_int_equal(rec.call, REC_REG);
	assert_ptr_equal(rec.object, &things[1]);
	assert_ptr_equal(rec.data, &things[2]);
	assert_true(rec.bytes == bytes);
	assert_int_equal(rec.type, LINA_PTR_CUDA);
	assert_true(rec.offset == offset);
	assert_int_equal(rec.fd, 77);
	assert_ptr_equal(mr, rec.made);
	rec.result = -ENOTSUP;
	assert_int_equal(drive_reg_dmabuf(&drive, things, things, 1, NCCL_PTR_CUDA, 0, 3, &mr),
		ncclInvalidUsage);
	assert_null(mr);
}

/* --- errors --- */

static void errors_become_nccls(void **state)
{
	static const struct {
		int err;
		ncclResult_t result;
	} map[] = {
		{ 0, ncclSuccess },
		{ -ECONNREFUSED, ncclRemoteError },
		{ -ECONNRESET, ncclRemoteError },
		{ -ECONNABORTED, ncclRemoteError },
		{ -EPIPE, ncclRemoteError },
		{ -ESHUTDOWN, ncclRemoteError },
		{ -ETIMEDOUT, ncclRemoteError },
		{ -EHOSTUNREACH, ncclRemoteError },
		{ -EHOSTDOWN, ncclRemoteError },
		{ -ENETUNREACH, ncclRemoteError },
		{ -ENETRESET, ncclRemoteError },
		{ -ENOTCONN, ncclRemoteError },
		{ -EPROTO, ncclRemoteError },
		{ -EBADMSG, ncclRemoteError },
		{ -EMSGSIZE, ncclRemoteError },
		{ -EAGAIN, ncclSystemError },
		{ -ENOMEM, ncclSystemError },
		{ -ENOBUFS, ncclSystemError },
		{ -ENOSPC, ncclSystemError },
		{ -EMFILE, ncclSystemError },
		{ -ENFILE, ncclSystemError },
		{ -EACCES, ncclSystemError },
		{ -EPERM, ncclSystemError },
		{ -EIO, ncclSystemError },
		{ -ENODEV, ncclSystemError },
		{ -ENETDOWN, ncclSystemError },
		{ -EADDRINUSE, ncclSystemError },
		{ -EADDRNOTAVAIL, ncclSystemError },
		{ -EAFNOSUPPORT, ncclSystemError },
		{ -EINVAL, ncclInvalidArgument },
		{ -ERANGE, ncclInvalidArgument },
		{ -ENOTSUP, ncclInvalidUsage },
		{ -EDOM, ncclInternalError },
		{ -4095, ncclInternalError },
		{ 1, ncclInternalError },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++) {
		void *out;

		rec.result = map[i].err;
		assert_int_equal(drive_listen(&drive, ctx, 0, things, &out), map[i].result);
		rec.result = 0;
	}
}

const struct contract contract_conns[] = {
	CONTRACT_READY(listen_passes_all),
	CONTRACT_READY(connect_passes_all),
	CONTRACT_READY(accept_passes_all),
	CONTRACT_READY(not_yet_is_success_with_null),
	CONTRACT_READY(close_passes_all),
	CONTRACT_READY(memory_is_registered),
	CONTRACT_READY(dmabuf_is_registered),
	CONTRACT_READY(errors_become_nccls),
};
const size_t contract_nconns = sizeof(contract_conns) / sizeof(contract_conns[0]);
