#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD_BYTES = 256, CANARY = 0xa5, OPERATION_TIMEOUT_S = 60 };

void check_open(struct check *check, const struct job *job, ncclComm_t comm)
{
	memset(check, 0, sizeof(*check));
	check->job = job;
	check->comm = comm;
	NCCL(ncclCommUserRank(comm, &check->rank));
	NCCL(ncclCommCount(comm, &check->nranks));
	CUDA(cudaStreamCreateWithFlags(&check->stream, cudaStreamNonBlocking));
}

static void release(struct check_buffer *buffer)
{
	CUDA(cudaFree(buffer->device));
	free(buffer->image);
	free(buffer->got);
}

void check_close(struct check *check)
{
	CUDA(cudaStreamDestroy(check->stream));
	release(&check->send);
	release(&check->recv);
}

static void grow(struct check_buffer *buffer, size_t bytes)
{
	if (buffer->bytes >= bytes)
		return;
	release(buffer);
	CUDA(cudaMalloc((void **)&buffer->device, bytes));
	buffer->image = malloc(bytes);
	buffer->got = malloc(bytes);
	if (buffer->image == NULL || buffer->got == NULL)
		FAIL("out of memory: two buffers of %zu bytes", bytes);
	buffer->bytes = bytes;
}

/* ---- one operation
 * ------------------------------------------------------------------------------- */

static size_t element_bytes(const struct check *check)
{
	return check->call.pattern->type->bytes;
}

static void plan(struct check *check, const struct check_spec *spec)
{
	size_t size = spec->pattern->type->bytes;
	size_t count = (spec->bytes + size - 1) / size;
	size_t blocks = spec->collective->by_block ? (size_t)check->nranks : 1;

	check->collective = spec->collective;
	check->is_in_place = spec->in_place;
	check->call = (struct call){
		.rank = check->rank,
		.nranks = check->nranks,
		.root = (int)(check->operations % (unsigned long)check->nranks),
		.count = (count + blocks - 1) / blocks,
		.pattern = spec->pattern,
		.op = spec->op,
		.comm = check->comm,
		.stream = check->stream,
	};
	check->layout = spec->collective->layout(&check->call, spec->in_place);
	/* Every third operation has buffers that are aligned to one element and no more. */
	check->margin = GUARD_BYTES + (check->operations % 3 == 2 ? size : 0);
	check->operations++;
}

/* Bytes of an allocation in use: `count` elements at `at`, between two guards. */
static size_t span(const struct check *check, size_t at, size_t count)
{
	return check->margin + (at + count) * element_bytes(check) + GUARD_BYTES;
}

static size_t data_at(const struct check *check, size_t at)
{
	return check->margin + at * element_bytes(check);
}

static size_t send_span(const struct check *check)
{
	size_t send = span(check, check->layout.send_at, check->layout.send_count);
	size_t recv = span(check, check->layout.recv_at, check->layout.recv_count);

	return check->is_in_place && recv > send ? recv : send;
}

static size_t recv_span(const struct check *check)
{
	return span(check, check->layout.recv_at, check->layout.recv_count);
}

static void upload(struct check_buffer *buffer, size_t bytes)
{
	CUDA(cudaMemcpy(buffer->device, buffer->image, bytes, cudaMemcpyHostToDevice));
}

static void fill(struct check *check)
{
	size_t bytes = send_span(check);

	grow(&check->send, bytes);
	memset(check->send.image, CANARY, bytes);
	pattern_put(check->call.pattern, check->call.pattern->input[check->rank], 0,
		check->layout.send_count,
		check->send.image + data_at(check, check->layout.send_at));
	upload(&check->send, bytes);
	if (check->is_in_place)
		return;
	bytes = recv_span(check);
	grow(&check->recv, bytes);
	memset(check->recv.image, CANARY, bytes);
	upload(&check->recv, bytes);
}

static struct check_buffer *result_buffer(struct check *check)
{
	return check->is_in_place ? &check->send : &check->recv;
}

ncclResult_t check_try_launch(struct check *check, const struct check_spec *spec)
{
	plan(check, spec);
	fill(check);
	return check->collective->launch(&check->call,
		check->send.device + data_at(check, check->layout.send_at),
		result_buffer(check)->device + data_at(check, check->layout.recv_at));
}

void check_launch(struct check *check, const struct check_spec *spec)
{
	NCCL(check_try_launch(check, spec));
}

/* ---- comparing
 * ----------------------------------------------------------------------------------- */

static void describe(const struct check *check, char *text, size_t bytes)
{
	const struct pattern *pattern = check->call.pattern;

	snprintf(text, bytes, "%s of %zu %s%s%s%s, root %d, rank %d of %d", check->collective->name,
		check->call.count, pattern->type->name, pattern->op == OP_NONE ? "" : ", ",
		pattern->op == OP_NONE ? "" : value_op_names[pattern->op],
		check->is_in_place ? ", in place" : "", check->call.root, check->rank,
		check->nranks);
}

static void fail_at(const struct check *check, const char *what, size_t index, const void *got,
	const void *want)
{
	const struct value_type *type = check->call.pattern->type;
	uint64_t g = value_load(type, got), w = value_load(type, want);
	char text[256];

	describe(check, text, sizeof(text));
	if (type->kind == VALUE_FLOAT)
		FAIL("%s: %s %zu is 0x%llx (%.17g), not 0x%llx (%.17g)", text, what, index,
			(unsigned long long)g, value_decode(type, g), (unsigned long long)w,
			value_decode(type, w));
	FAIL("%s: %s %zu is 0x%llx, not 0x%llx", text, what, index, (unsigned long long)g,
		(unsigned long long)w);
}

/* What nobody may have written to: bytes [from, to) of a buffer. */
static void compare_untouched(
	const struct check *check, const struct check_buffer *buffer, size_t from, size_t to)
{
	char text[256];
	size_t i = from;

	if (memcmp(buffer->got + from, buffer->image + from, to - from) == 0)
		return;
	while (buffer->got[i] == buffer->image[i])
		i++;
	describe(check, text, sizeof(text));
	FAIL("%s: byte %ld of the %s buffer was overwritten", text, (long)i - (long)check->margin,
		buffer == &check->send ? "send" : "receive");
}

static void download(struct check_buffer *buffer, size_t bytes)
{
	CUDA(cudaMemcpy(buffer->got, buffer->device, bytes, cudaMemcpyDeviceToHost));
}

static void compare_result(struct check *check)
{
	struct check_buffer *buffer = result_buffer(check);
	size_t at = data_at(check, check->layout.recv_at), count = check->layout.recv_count;
	size_t size = element_bytes(check);
	size_t first = check->call.count * (size_t)check->rank; /* of reduce-scatter */

	check->collective->expect(&check->call, buffer->image + at);
	size_t bad = pattern_compare(check->call.pattern, check->call.pattern->bound,
		check->collective->by_block ? first : 0, buffer->got + at, buffer->image + at,
		count);
	if (bad < count)
		fail_at(check, "element", bad, buffer->got + at + bad * size,
			buffer->image + at + bad * size);
	check->elements += count;
}

void check_finish(struct check *check)
{
	size_t from = data_at(check, check->layout.recv_at);
	size_t to = data_at(check, check->layout.recv_at + check->layout.recv_count);
	struct check_buffer *result = result_buffer(check);
	size_t bytes = check->is_in_place ? send_span(check) : recv_span(check);
	char text[256];

	ncclResult_t state = job_wait(check->comm, check->stream, OPERATION_TIMEOUT_S);
	if (state != ncclSuccess) {
		describe(check, text, sizeof(text));
		FAIL("%s: %s", text,
			state == JOB_TIMED_OUT ? "not done in a minute"
					       : ncclGetErrorString(state));
	}
	download(result, bytes);
	if (check->operations == check->plant_at && to > from)
		result->got[to - 1] ^= 1;
	compare_result(check);
	compare_untouched(check, result, 0, from);
	compare_untouched(check, result, to, bytes);
	if (check->is_in_place)
		return;
	download(&check->send, send_span(check));
	compare_untouched(check, &check->send, 0, send_span(check));
}

/* ---- reduction operations
 * ------------------------------------------------------------------------- */

static ncclRedOp_t create_premul(struct check *check, const struct value_type *type, bool on_device)
{
	uint64_t scalar = value_scalar(type);
	static void *device; /* stays: NCCL reads it when the operation runs */
	ncclRedOp_t op;

	if (on_device && device == NULL)
		CUDA(cudaMalloc(&device, sizeof(scalar)));
	if (on_device)
		CUDA(cudaMemcpy(device, &scalar, sizeof(scalar), cudaMemcpyHostToDevice));
	NCCL(ncclRedOpCreatePreMulSum(&op, on_device ? device : &scalar, type->nccl,
		on_device ? ncclScalarDevice : ncclScalarHostImmediate, check->comm));
	return op;
}

ncclRedOp_t check_op_create(struct check *check, const struct value_type *type, enum value_op op)
{
	static const ncclRedOp_t built_in[NOPS] = {
		[OP_SUM] = ncclSum,
		[OP_PROD] = ncclProd,
		[OP_MIN] = ncclMin,
		[OP_MAX] = ncclMax,
		[OP_AVG] = ncclAvg,
	};

	if (op == OP_PREMUL_HOST || op == OP_PREMUL_DEVICE)
		return create_premul(check, type, op == OP_PREMUL_DEVICE);
	return built_in[op];
}

void check_op_destroy(struct check *check, enum value_op op, ncclRedOp_t made)
{
	if (op == OP_PREMUL_HOST || op == OP_PREMUL_DEVICE)
		NCCL(ncclRedOpDestroy(made, check->comm));
}
