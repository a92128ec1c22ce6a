/* The contract: transfers and what NCCL says of them. */
#include <errno.h>
#include <limits.h>

#include "abi/contract.h"

/* --- transfers --- */

static const size_t wide_sizes[] = { 0, 1, INT_MAX, (size_t)INT_MAX + 1, UINT_MAX,
	((size_t)1 << 32) + 1, (size_t)1 << 40, ((size_t)3 << 31) + 12345 };
enum { NWIDE = sizeof(wide_sizes) / sizeof(wide_sizes[0]), NNARROW = 3 };

static size_t nsizes(void)
{
	return drive_has_wide_sizes(&drive) ? NWIDE : NNARROW;
}

static void send_passes_all(void **state)
{
	static const int tags[] = { 0, 5, INT_MAX, -1, INT_MIN };

	(void)state;
	for (size_t i = 0; i < nsizes() * 5; i++) {
		size_t bytes = wide_sizes[i / 5];
		void *request = NULL;

		rec_forget();
		assert_int_equal(drive_send(&drive, &things[1], &things[2], bytes, tags[i % 5],
					 &things[3], &things[4], &request),
			ncclSuccess);
		assert_int_equal(rec.call, REC_SEND);
		assert_ptr_equal(rec.object, &things[1]);
		assert_ptr_equal(rec.data, &things[2]);
		assert_true(rec.bytes == bytes);
		assert_int_equal(rec.tag, tags[i % 5]);
		assert_ptr_equal(rec.mr, &things[3]);
		assert_ptr_equal(rec.profile, drive_has_profiles(&drive) ? &things[4] : NULL);
		assert_ptr_equal(request, rec.made);
	}
}

struct group {
	void *data[LINA_RECVS_MAX], *mrs[LINA_RECVS_MAX], *profiles[LINA_RECVS_MAX];
	size_t sizes[LINA_RECVS_MAX];
	int tags[LINA_RECVS_MAX];
};

static struct group some_group(void)
{
	struct group group;

	for (int i = 0; i < LINA_RECVS_MAX; i++) {
		group.data[i] = &things[10 + i];
		group.mrs[i] = &things[20 + i];
		group.profiles[i] = &things[30 + i];
		group.sizes[i] = wide_sizes[((size_t)i + 3) % nsizes()];
		group.tags[i] = 1000 - 7 * i;
	}
	return group;
}

static void check_group(const struct group *group, int n)
{
	assert_int_equal(rec.n, n);
	for (int i = 0; i < n; i++) {
		assert_ptr_equal(rec.datas[i], group->data[i]);
		assert_ptr_equal(rec.mrs[i], group->mrs[i]);
		assert_true(rec.sizes[i] == group->sizes[i]);
	}
}

static void grouped_receives_pass_all(void **state)
{
	struct group group = some_group();

	(void)state;
	for (int n = 1; n <= LINA_RECVS_MAX; n++) {
		void *request = thing_hint();

		rec_forget();
		assert_int_equal(drive_recv(&drive, &things[1], n, group.data, group.sizes,
					 group.tags, group.mrs, group.profiles, &request),
			ncclSuccess);
		assert_int_equal(rec.call, REC_RECV);
		assert_ptr_equal(rec.object, &things[1]);
		check_group(&group, n);
		assert_int_equal(rec.has_profiles, drive_has_profiles(&drive));
		for (int i = 0; i < n; i++) {
			assert_int_equal(rec.tags[i], group.tags[i]);
			assert_ptr_equal(rec.profiles[i],
				drive_has_profiles(&drive) ? group.profiles[i] : NULL);
		}
		assert_ptr_equal(request, rec.made);
	}
}

static void receive_without_profiles_has_none(void **state)
{
	struct group group = some_group();
	void *request;

	(void)state;
	assert_int_equal(drive_recv(&drive, things, 2, group.data, group.sizes, group.tags,
				 group.mrs, NULL, &request),
		ncclSuccess);
	assert_int_equal(rec.call, REC_RECV);
	assert_false(rec.has_profiles);
}

/* Only where sizes are int must the adapter look at them; the core does the rest. */
static void narrow_sizes_are_checked(void **state)
{
	struct group group = some_group();
	void *request = things;

	(void)state;
	rec_forget();
	assert_int_equal(drive_send(&drive, things, things, (size_t)-1, 0, things, NULL, &request),
		ncclInvalidArgument);
	assert_null(request);
	for (int n = 0; n <= LINA_RECVS_MAX + 1; n += LINA_RECVS_MAX + 1) {
		request = things;
		assert_int_equal(drive_recv(&drive, things, n, group.data, group.sizes, group.tags,
					 group.mrs, NULL, &request),
			ncclInvalidArgument);
		assert_null(request);
	}
	group.sizes[4] = (size_t)-5;
	assert_int_equal(drive_recv(&drive, things, 8, group.data, group.sizes, group.tags,
				 group.mrs, NULL, &request),
		ncclInvalidArgument);
	assert_int_equal(rec.call, REC_NONE);
}

static void flush_passes_all(void **state)
{
	struct group group = some_group();
	int bytes[LINA_RECVS_MAX];

	(void)state;
	for (int n = 1; n <= LINA_RECVS_MAX; n++) {
		void *request = things;

		group.sizes[n - 1] = (size_t)n * 1000;
		bytes[n - 1] = n * 1000;
		rec_forget();
		assert_int_equal(
			drive_flush(&drive, &things[1], n, group.data, bytes, group.mrs, &request),
			ncclSuccess);
		assert_int_equal(rec.call, REC_FLUSH);
		assert_ptr_equal(rec.object, &things[1]);
		check_group(&group, n);
		assert_ptr_equal(request, rec.made);
	}
}

/* A NULL request with success means that all is flushed, so "ask again" must not look like it. */
static void flush_that_did_nothing_is_no_success(void **state)
{
	void *data = things, *mr = things, *request = things;
	int bytes = 4;

	(void)state;
	rec.result = -EAGAIN;
	assert_int_equal(
		drive_flush(&drive, things, 1, &data, &bytes, &mr, &request), ncclSystemError);
	assert_null(request);
	rec.result = 0;
	rec.made = NULL;
	request = things;
	assert_int_equal(drive_flush(&drive, things, 1, &data, &bytes, &mr, &request), ncclSuccess);
	assert_null(request);
}

static void test_passes_all(void **state)
{
	int done = 5, bytes[LINA_RECVS_MAX] = { 0 };

	(void)state;
	rec.done = 1;
	rec.ntest_bytes = LINA_RECVS_MAX;
	for (int i = 0; i < LINA_RECVS_MAX; i++)
		rec.test_bytes[i] = 100 + i;
	assert_int_equal(drive_test(&drive, &things[6], &done, bytes), ncclSuccess);
	assert_int_equal(rec.call, REC_TEST);
	assert_ptr_equal(rec.object, &things[6]);
	assert_int_equal(done, 1);
	assert_memory_equal(bytes, rec.test_bytes, sizeof(bytes));
	assert_int_equal(drive_test(&drive, &things[6], &done, NULL), ncclSuccess);
	assert_false(rec.has_bytes);
	rec.done = 0;
	assert_int_equal(drive_test(&drive, &things[6], &done, NULL), ncclSuccess);
	assert_int_equal(done, 0);
}

static void failed_test_is_not_done(void **state)
{
	int done = 5;

	(void)state;
	rec.result = -EPIPE;
	assert_int_equal(drive_test(&drive, things, &done, NULL), ncclRemoteError);
	assert_int_equal(done, 0);
	rec.result = -EAGAIN;
	done = 5;
	assert_int_equal(drive_test(&drive, things, &done, NULL), ncclSuccess);
	assert_int_equal(done, 0);
}

static void attributes_pass_field_by_field(void **state)
{
	ncclNetAttr_v12_t attr = { .sendCommAttr = { 1, 2, 3, 4 },
		.recvCommAttr = { -5, 6, 7, 8 },
		.op = 0x80000010u,
		.algo = 0x0fffffffu,
		.proto = 9 };

	(void)state;
	assert_int_equal(drive_set_attr(&drive, ctx, &attr), ncclSuccess);
	assert_int_equal(rec.call, REC_ATTR);
	assert_ptr_equal(rec.object, ctx);
	assert_int_equal(rec.attr.send.max_concurrent, 1);
	assert_int_equal(rec.attr.send.min_concurrent, 2);
	assert_int_equal(rec.attr.send.max_flows, 3);
	assert_int_equal(rec.attr.send.min_flows, 4);
	assert_int_equal(rec.attr.recv.max_concurrent, -5);
	assert_int_equal(rec.attr.recv.min_concurrent, 6);
	assert_int_equal(rec.attr.recv.max_flows, 7);
	assert_int_equal(rec.attr.recv.min_flows, 8);
	assert_true(rec.attr.op == 0x80000010u);
	assert_true(rec.attr.algo == 0x0fffffffu);
	assert_int_equal(rec.attr.proto, 9);
	rec.result = -ENOMEM;
	assert_int_equal(drive_set_attr(&drive, ctx, &attr), ncclSystemError);
}

const struct contract contract_transfers[] = {
	CONTRACT_READY(send_passes_all),
	CONTRACT_READY(grouped_receives_pass_all),
	CONTRACT_READY_OF(receive_without_profiles_has_none, 10, 12),
	CONTRACT_READY_OF(narrow_sizes_are_checked, 8, 8),
	CONTRACT_READY(flush_passes_all),
	CONTRACT_READY(flush_that_did_nothing_is_no_success),
	CONTRACT_READY(test_passes_all),
	CONTRACT_READY(failed_test_is_not_done),
	CONTRACT_READY_OF(attributes_pass_field_by_field, 11, 12),
};
const size_t contract_ntransfers = sizeof(contract_transfers) / sizeof(contract_transfers[0]);
