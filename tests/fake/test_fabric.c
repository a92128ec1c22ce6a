/* What the fake does on cue, and what it refuses and counts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fabric.h"
#include "fake/verbs_ends.h"

static void open_with(struct fabric_settings settings)
{
	fabric_start(&settings);
	assert_int_equal(ends_open(NULL), 0);
}

static int two_by_hand(void **state)
{
	struct fabric_settings settings = fabric_defaults();

	(void)state;
	settings.ndevices = 2;
	settings.manual = true;
	settings.attempts = 2;
	open_with(settings);
	return 0;
}

static int close_all(void **state)
{
	assert_int_equal(ends_close(state), 0);
	assert_true(fabric_nothing_live());
	return 0;
}

static int polled(struct end *end, struct ibv_wc *wc)
{
	return ends.verbs->poll_cq(end->cq, 1, wc);
}

static void post(uint64_t wr_id)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, wr_id, wr_id, 1);

	assert_int_equal(end_post(&ends.a, &wr), 0);
}

static void expect(struct end *end, uint64_t wr_id, enum ibv_wc_status status)
{
	struct ibv_wc wc;

	assert_int_equal(polled(end, &wc), 1);
	assert_int_equal(wc.wr_id, wr_id);
	assert_int_equal(wc.status, status);
}

static void nothing_moves_but_by_hand(void **state)
{
	struct ibv_wc wc;

	(void)state;
	ends.a.memory[1] = 4;
	post(1);
	post(2);
	assert_int_equal(polled(&ends.a, &wc), 0);
	assert_int_equal(ends.b.memory[1], 0);
	assert_int_equal(fabric_pump(1), 1);
	assert_int_equal(ends.b.memory[1], 4);
	expect(&ends.a, 1, IBV_WC_SUCCESS);
	assert_int_equal(polled(&ends.a, &wc), 0);
	assert_int_equal(fabric_pump(0), 1);
	expect(&ends.a, 2, IBV_WC_SUCCESS);
	assert_int_equal(fabric_counts().moved, 2);
	assert_int_equal(fabric_counts().bytes, 2);
}

static void every_call_can_fail(void **state)
{
	struct ibv_pd *pd;

	(void)state;
	fabric_fail("alloc_pd", 2, -ENOMEM);
	assert_int_equal(ends.verbs->alloc_pd(ends.a.context, &pd), 0);
	assert_int_equal(ends.verbs->dealloc_pd(pd), 0);
	assert_false(fabric_failed());
	assert_int_equal(ends.verbs->alloc_pd(ends.a.context, &pd), -ENOMEM);
	assert_true(fabric_failed());
	assert_string_equal(fabric_failed_name(), "alloc_pd");
	fabric_fail(NULL, 1, -EIO);
	assert_int_equal(end_post_recv(&ends.a, 1), -EIO);
	assert_string_equal(fabric_failed_name(), "post_recv");
}

static void a_completion_can_be_lost(void **state)
{
	(void)state;
	fabric_lose(2);
	for (uint64_t i = 1; i <= 3; i++)
		post(i);
	assert_int_equal(fabric_pump(0), 3);
	expect(&ends.a, 1, IBV_WC_SUCCESS);
	expect(&ends.a, 3, IBV_WC_SUCCESS);
}

static void work_can_fail_before_and_after_it_moved(void **state)
{
	(void)state;
	ends.a.memory[1] = ends.a.memory[2] = 1;
	fabric_fail_work(2, IBV_WC_RETRY_EXC_ERR, true);
	post(1);
	post(2);
	post(3);
	assert_int_equal(fabric_pump(0), 2);
	expect(&ends.a, 1, IBV_WC_SUCCESS);
	expect(&ends.a, 2, IBV_WC_RETRY_EXC_ERR);
	expect(&ends.a, 3, IBV_WC_WR_FLUSH_ERR);
	assert_int_equal(ends.b.memory[2], 1);
}

static void a_port_that_is_down_lets_work_fail(void **state)
{
	struct ibv_async_event event;
	struct ibv_wc wc;

	(void)state;
	fabric_port(1, false);
	assert_int_equal(ends.verbs->get_async_event(ends.a.context, &event), -EAGAIN);
	assert_int_equal(ends.verbs->get_async_event(ends.b.context, &event), 0);
	assert_int_equal(event.event_type, IBV_EVENT_PORT_ERR);
	ends.verbs->ack_async_event(&event);
	post(1);
	for (int i = 0; i < 6; i++)
		assert_int_equal(fabric_pump(0), 0);
	assert_int_equal(polled(&ends.a, &wc), 0);
	assert_int_equal(fabric_pump(0), 1);
	expect(&ends.a, 1, IBV_WC_RETRY_EXC_ERR);
}

static void a_port_that_comes_back_in_time_loses_nothing(void **state)
{
	(void)state;
	fabric_port(0, false);
	post(1);
	assert_int_equal(fabric_pump(0), 0);
	fabric_port(0, true);
	assert_int_equal(fabric_pump(0), 1);
	expect(&ends.a, 1, IBV_WC_SUCCESS);
}

static void a_device_that_is_gone_fails_calls(void **state)
{
	struct ibv_async_event event;
	struct ibv_pd *pd;

	(void)state;
	post(1);
	fabric_remove(0);
	expect(&ends.a, 1, IBV_WC_WR_FLUSH_ERR);
	assert_int_equal(ends.verbs->get_async_event(ends.a.context, &event), 0);
	assert_int_equal(event.event_type, IBV_EVENT_DEVICE_FATAL);
	ends.verbs->ack_async_event(&event);
	assert_int_equal(ends.verbs->alloc_pd(ends.a.context, &pd), -EIO);
}

static void queue_pairs_can_be_held(void **state)
{
	struct ibv_wc wc;

	(void)state;
	fabric_hold(ends.a.qp->qp_num, true);
	post(1);
	assert_int_equal(fabric_pump(0), 0);
	assert_int_equal(polled(&ends.a, &wc), 0);
	fabric_hold(ends.a.qp->qp_num, false);
	assert_int_equal(fabric_pump(0), 1);
}

/* Only completions that are not polled can fill it: those of another pair of the same queue. */
static void a_queue_that_overflows_is_dead(void **state)
{
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC,
		.cap = { 0, 5 * ENDS_DEPTH, 1, 1, 0 } };
	struct end other = ends.a;
	struct ibv_wc wc;

	(void)state;
	attr.send_cq = attr.recv_cq = ends.a.cq;
	assert_int_equal(ends.verbs->create_qp(ends.a.pd, &attr, &other.qp), 0);
	assert_int_equal(end_step(&other, NULL, IBV_QPS_INIT), 0);
	for (int i = 0; i < 5 * ENDS_DEPTH; i++)
		assert_int_equal(end_post_recv(&other, 1), 0);
	assert_int_equal(end_post_recv(&other, 1), -ENOMEM);
	assert_int_equal(end_step(&other, NULL, IBV_QPS_ERR), 0);
	assert_int_equal(fabric_counts().overruns, 1);
	assert_int_equal(polled(&ends.a, &wc), -EIO);
	assert_int_equal(ends.verbs->destroy_qp(other.qp), 0);
}

static void objects_in_use_stay(void **state)
{
	(void)state;
	assert_int_equal(ends.verbs->destroy_cq(ends.a.cq), -EBUSY);
	assert_int_equal(ends.verbs->dealloc_pd(ends.a.pd), -EBUSY);
	assert_int_equal(ends.verbs->close_device(ends.a.context), -EBUSY);
	assert_int_equal(fabric_counts().misuses, 3);
}

static void limits_are_kept(void **state)
{
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC, .cap = { 1, 1, 1, 1, 0 } };
	struct fabric_settings settings = fabric_defaults();
	struct ibv_qp *qp;
	struct ibv_mr *mr;

	(void)state;
	settings.max_qp = 2;
	settings.max_inline = ENDS_INLINE;
	settings.max_locked_bytes = 2ull * ENDS_BYTES;
	open_with(settings);
	attr.send_cq = attr.recv_cq = ends.a.cq;
	assert_int_equal(ends.verbs->create_qp(ends.a.pd, &attr, &qp), -ENOMEM);
	assert_int_equal(ends.verbs->reg_mr(ends.a.pd, &settings, 1, 0, &mr), -ENOMEM);
	attr.cap.max_inline_data = ENDS_INLINE + 1;
	assert_int_equal(ends.verbs->create_qp(ends.a.pd, &attr, &qp), -EINVAL);
}

static void the_library_can_be_missing(void **state)
{
	struct fabric_settings settings = fabric_defaults();
	char why[LINA_VERBS_WHY_BYTES] = "";
	const struct lina_verbs *verbs;

	(void)state;
	settings.missing = true;
	fabric_start(&settings);
	assert_int_equal(lina_verbs_load(&verbs, why), -ENOENT);
	assert_non_null(strstr(why, "libibverbs"));
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, two_by_hand, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(nothing_moves_but_by_hand),
		EACH(every_call_can_fail),
		EACH(a_completion_can_be_lost),
		EACH(work_can_fail_before_and_after_it_moved),
		EACH(a_port_that_is_down_lets_work_fail),
		EACH(a_port_that_comes_back_in_time_loses_nothing),
		EACH(a_device_that_is_gone_fails_calls),
		EACH(queue_pairs_can_be_held),
		EACH(a_queue_that_overflows_is_dead),
		EACH(objects_in_use_stay),
		cmocka_unit_test_teardown(limits_are_kept, close_all),
		cmocka_unit_test(the_library_can_be_missing),
	};

	return cmocka_run_group_tests_name("fabric", tests, NULL, NULL);
}
