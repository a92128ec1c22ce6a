/* What send, receive, register and flush take, and what they refuse. */
#include <errno.h>
#include <stdint.h>

#include "net/cases.h"

static void memory_of_no_bytes_may_be_null(void **state)
{
	struct lina_mr *mr;

	(void)state;
	MUST(lina_net_reg(pair.send, NULL, 0, LINA_PTR_HOST, 0, -1, &mr));
	struct lina_request *recv = post_recv(pair.recv, NULL, 0, 1);
	MUST(finish_both(post_send(pair.send, NULL, 0, 1), recv, LIMIT_MS));
	MUST(lina_net_dereg(pair.send, mr));
}

static void memory_of_some_bytes_may_not(void **state)
{
	struct lina_request *request = (struct lina_request *)&pair, *const before = request;
	void *none = NULL;
	const size_t bytes = 1;
	const int tag = 1;

	(void)state;
	log_forget();
	assert_int_equal(lina_net_send(pair.send, NULL, 1, 1, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.recv, 1, &none, &bytes, &tag, NULL, NULL, &request), -EINVAL);
	assert_ptr_equal(request, before);
	assert_int_equal(log_warnings(), 2);
}

static void transfers_stay_within_their_registration(void **state)
{
	uint8_t data[100];
	struct lina_mr *mr = NULL, *none = NULL;
	struct lina_request *request = (struct lina_request *)&pair, *const before = request;
	const int tag = 1;

	(void)state;
	MUST(lina_net_reg(pair.send, data + 10, 80, LINA_PTR_HOST, 0, -1, &mr));
	static const struct {
		int at;
		size_t bytes;
		int expected;
	} rows[] = { { 10, 80, 0 }, { 89, 1, 0 }, { 10, 81, -EINVAL }, { 9, 1, -EINVAL },
		{ 90, 1, -EINVAL }, { 95, 1, -EINVAL }, { 90, 0, 0 }, { 50, SIZE_MAX, -EINVAL } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		log_forget();
		request = before;
		int err = lina_net_send(
			pair.send, data + rows[i].at, rows[i].bytes, tag, mr, NULL, &request);
		assert_int_equal(err, rows[i].expected);
		assert_int_equal(log_warnings(), err != 0);
		if (err) {
			assert_ptr_equal(request, before);
			void *to = data + rows[i].at;
			err = lina_net_recv(
				pair.recv, 1, &to, &rows[i].bytes, &tag, &mr, NULL, &request);
			assert_int_equal(err, -EINVAL);
			assert_ptr_equal(request, before);
		}
	}
	MUST(lina_net_dereg(pair.send, mr));
	log_forget();
	assert_int_equal(lina_net_reg(pair.send, data, 1, LINA_PTR_CUDA, 0, -1, &none), -EINVAL);
	assert_int_equal(lina_net_reg(pair.send, data, 1, LINA_PTR_HOST, 0, 0, &none), -EINVAL);
	assert_int_equal(lina_net_reg(pair.send, NULL, 1, LINA_PTR_HOST, 0, -1, &none), -EINVAL);
	assert_null(none);
	assert_int_equal(log_warnings(), 3);
}

static void flush_is_done_at_once(void **state)
{
	uint8_t data[8] = { 0 };
	void *const at = data;
	const int bytes = 8, bad = -1;
	struct lina_mr *mr = memory_at(pair.recv, data, 8);
	struct lina_request *request = (struct lina_request *)&pair;

	(void)state;
	MUST(lina_net_flush(pair.recv, 1, &at, &bytes, &mr, &request));
	assert_null(request);
	assert_int_equal(lina_net_flush(pair.recv, 1, &at, &bad, &mr, &request), -EINVAL);
	assert_int_equal(lina_net_flush(pair.recv, 9, &at, &bytes, &mr, &request), -EINVAL);
	assert_int_equal(lina_net_flush(pair.send, 1, &at, &bytes, &mr, &request), -EINVAL);
}

static void each_end_does_its_own_work_only(void **state)
{
	uint8_t data[8];
	void *at[LINA_RECVS_MAX + 1] = { data };
	size_t bytes[LINA_RECVS_MAX + 1] = { 8 };
	int tags[LINA_RECVS_MAX + 1] = { 0 };
	struct lina_request *request = (struct lina_request *)&pair, *const before = request;

	(void)state;
	assert_int_equal(lina_net_send(pair.recv, data, 8, 0, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.send, 1, at, bytes, tags, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.recv, 0, at, bytes, tags, NULL, NULL, &request), -EINVAL);
	assert_int_equal(
		lina_net_recv(pair.recv, 9, at, bytes, tags, NULL, NULL, &request), -EINVAL);
	assert_ptr_equal(request, before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(memory_of_no_bytes_may_be_null, open_one_lane),
		WITH(memory_of_some_bytes_may_not, open_one_lane),
		WITH(transfers_stay_within_their_registration, open_one_lane),
		WITH(flush_is_done_at_once, open_one_lane),
		WITH(each_end_does_its_own_work_only, open_one_lane),
	};

	return cmocka_run_group_tests_name("transfer_args", tests, NULL, NULL);
}
