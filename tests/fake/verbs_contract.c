/*
 * What the transport relies on in a reliable connection. The same cases run on the fake and on real
 * libibverbs, so that the fake is known to do what devices do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake/verbs_ends.h"

static void expect_wc(struct ibv_wc wc, uint64_t wr_id, enum ibv_wc_status status)
{
	assert_int_equal(wc.wr_id, wr_id);
	assert_int_equal(wc.status, status);
}

static void a_write_moves_bytes(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 5, 100, 50000);

	(void)state;
	for (int i = 0; i < ENDS_BYTES; i++)
		ends.a.memory[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(end_post(&ends.a, &wr), 0);
	struct ibv_wc wc = end_wait(&ends.a);
	expect_wc(wc, 5, IBV_WC_SUCCESS);
	assert_int_equal(wc.opcode, IBV_WC_RDMA_WRITE);
	assert_int_equal(wc.qp_num, ends.a.qp->qp_num);
	assert_memory_equal(ends.b.memory + 100, ends.a.memory + 100, 50000);
	assert_int_equal(ends.b.memory[99] | ends.b.memory[50100], 0);
	end_has_none(&ends.b);
}

static void an_immediate_is_told(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 6, 0, 3000);

	(void)state;
	wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	wr.imm_data = 0x01020304;
	memset(ends.a.memory, 3, 3000);
	assert_int_equal(end_post_recv(&ends.b, 77), 0);
	assert_int_equal(end_post(&ends.a, &wr), 0);
	struct ibv_wc wc = end_wait(&ends.b);
	expect_wc(wc, 77, IBV_WC_SUCCESS);
	assert_int_equal(wc.opcode, IBV_WC_RECV_RDMA_WITH_IMM);
	assert_int_equal(wc.imm_data, 0x01020304);
	assert_int_equal(wc.byte_len, 3000);
	assert_true(wc.wc_flags & IBV_WC_WITH_IMM);
	assert_memory_equal(ends.b.memory, ends.a.memory, 3000);
	expect_wc(end_wait(&ends.a), 6, IBV_WC_SUCCESS);
}

static void an_immediate_may_come_alone(void **state)
{
	struct ibv_send_wr wr = { .wr_id = 1,
		.opcode = IBV_WR_RDMA_WRITE_WITH_IMM,
		.imm_data = 9,
		.send_flags = IBV_SEND_SIGNALED };

	(void)state;
	assert_int_equal(end_post_recv(&ends.b, 2), 0);
	assert_int_equal(end_post(&ends.a, &wr), 0);
	struct ibv_wc wc = end_wait(&ends.b);
	assert_int_equal(wc.imm_data, 9);
	assert_int_equal(wc.byte_len, 0);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_SUCCESS);
}

/* RNR retries without end: it waits for a receive, and all behind it. */
static void an_immediate_waits_for_a_receive(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 8);

	(void)state;
	wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	assert_int_equal(end_post(&ends.a, &wr), 0);
	struct ibv_send_wr next = ends_write(&sge, 2, 0, 8);
	assert_int_equal(end_post(&ends.a, &next), 0);
	end_has_none(&ends.a);
	assert_int_equal(end_post_recv(&ends.b, 3), 0);
	expect_wc(end_wait(&ends.b), 3, IBV_WC_SUCCESS);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_SUCCESS);
	expect_wc(end_wait(&ends.a), 2, IBV_WC_SUCCESS);
}

static void a_read_fetches(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 8, 0, 1000);

	(void)state;
	wr.opcode = IBV_WR_RDMA_READ;
	memset(ends.b.memory, 0x5a, 1001);
	assert_int_equal(end_post(&ends.a, &wr), 0);
	struct ibv_wc wc = end_wait(&ends.a);
	expect_wc(wc, 8, IBV_WC_SUCCESS);
	assert_int_equal(wc.opcode, IBV_WC_RDMA_READ);
	assert_memory_equal(ends.a.memory, ends.b.memory, 1000);
	assert_int_equal(ends.a.memory[1000], 0);
}

/* Inline bytes are taken when they are posted, from memory that needs no key. */
static void inline_bytes_are_taken_at_once(void **state)
{
	uint8_t local[ENDS_INLINE];
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 4, 0, ENDS_INLINE);

	(void)state;
	sge = (struct ibv_sge){ (uintptr_t)local, ENDS_INLINE, 0 };
	wr.send_flags |= IBV_SEND_INLINE;
	memset(local, 0x11, sizeof(local));
	assert_int_equal(end_post(&ends.a, &wr), 0);
	memset(local, 0xee, sizeof(local));
	expect_wc(end_wait(&ends.a), 4, IBV_WC_SUCCESS);
	for (int i = 0; i < ENDS_INLINE; i++)
		assert_int_equal(ends.b.memory[i], 0x11);
}

/* Only what is signaled is told, and in order. */
static void completions_come_in_order(void **state)
{
	struct ibv_sge sge;

	(void)state;
	for (uint64_t i = 0; i < ENDS_DEPTH; i++) {
		struct ibv_send_wr wr = ends_write(&sge, i, 0, 4096);
		wr.send_flags = i % 3 == 1 ? IBV_SEND_SIGNALED : 0;
		assert_int_equal(end_post(&ends.a, &wr), 0);
	}
	expect_wc(end_wait(&ends.a), 1, IBV_WC_SUCCESS);
	expect_wc(end_wait(&ends.a), 4, IBV_WC_SUCCESS);
	expect_wc(end_wait(&ends.a), 7, IBV_WC_SUCCESS);
	end_has_none(&ends.a);
}

static void a_wrong_key_ends_both(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 100);

	(void)state;
	wr.wr.rdma.rkey ^= 0xff00;
	assert_int_equal(end_post(&ends.a, &wr), 0);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_REM_ACCESS_ERR);
	wr = ends_write(&sge, 2, 0, 100);
	assert_int_equal(end_post(&ends.a, &wr), 0);
	expect_wc(end_wait(&ends.a), 2, IBV_WC_WR_FLUSH_ERR);
}

static void bytes_beyond_a_region_are_refused(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 100);

	(void)state;
	wr.wr.rdma.remote_addr += ENDS_BYTES - 99;
	assert_int_equal(end_post(&ends.a, &wr), 0);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_REM_ACCESS_ERR);
}

/* A protection error (IBTA 11.6.2); Soft-RoCE calls it an operation error. */
static void a_wrong_local_key_is_an_error(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 100);

	(void)state;
	sge.lkey ^= 0xff00;
	assert_int_equal(end_post(&ends.a, &wr), 0);
	struct ibv_wc wc = end_wait(&ends.a);
	assert_true(wc.status == IBV_WC_LOC_PROT_ERR || wc.status == IBV_WC_LOC_QP_OP_ERR);
}

/* All that was posted comes back, signaled or not, sends and receives. */
static void the_error_state_flushes(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 8);
	int nsends = 0, nrecvs = 0;

	(void)state;
	wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	wr.send_flags = 0;
	assert_int_equal(end_post_recv(&ends.a, 10), 0);
	assert_int_equal(end_post_recv(&ends.a, 10), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(end_post(&ends.a, &wr), 0);
	assert_int_equal(end_step(&ends.a, NULL, IBV_QPS_ERR), 0);
	for (int i = 0; i < 5; i++) {
		struct ibv_wc wc = end_wait(&ends.a);
		assert_int_equal(wc.status, IBV_WC_WR_FLUSH_ERR);
		nsends += wc.wr_id == 1;
		nrecvs += wc.wr_id == 10;
	}
	assert_int_equal(nsends, 3);
	assert_int_equal(nrecvs, 2);
	end_has_none(&ends.a);
}

static void a_peer_that_is_gone_exceeds_retries(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 8);

	(void)state;
	assert_int_equal(ends.verbs->destroy_qp(ends.b.qp), 0);
	ends.b.qp = NULL;
	assert_int_equal(end_post(&ends.a, &wr), 0);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_RETRY_EXC_ERR);
}

/* Back from the error state, as a rail that returns: nothing of before is seen. */
static void a_pair_can_be_joined_again(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 8);

	(void)state;
	assert_int_equal(end_post_recv(&ends.a, 10), 0);
	assert_int_equal(end_step(&ends.a, NULL, IBV_QPS_ERR), 0);
	assert_int_equal(end_step(&ends.b, NULL, IBV_QPS_ERR), 0);
	expect_wc(end_wait(&ends.a), 10, IBV_WC_WR_FLUSH_ERR);
	assert_int_equal(end_step(&ends.a, NULL, IBV_QPS_RESET), 0);
	assert_int_equal(end_step(&ends.b, NULL, IBV_QPS_RESET), 0);
	for (enum ibv_qp_state next = IBV_QPS_INIT; next <= IBV_QPS_RTS; next++) {
		assert_int_equal(end_step(&ends.a, &ends.b, next), 0);
		assert_int_equal(end_step(&ends.b, &ends.a, next), 0);
	}
	ends.a.memory[3] = 9;
	assert_int_equal(end_post(&ends.a, &wr), 0);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_SUCCESS);
	assert_int_equal(ends.b.memory[3], 9);
}

static void states_cannot_be_skipped(void **state)
{
	(void)state;
	assert_int_equal(end_step(&ends.a, NULL, IBV_QPS_RESET), 0);
	assert_int_not_equal(end_step(&ends.a, &ends.b, IBV_QPS_RTR), 0);
	assert_int_not_equal(end_step(&ends.a, &ends.b, IBV_QPS_RTS), 0);
	assert_int_equal(end_step(&ends.a, &ends.b, IBV_QPS_INIT), 0);
	assert_int_not_equal(end_step(&ends.a, &ends.b, IBV_QPS_RTS), 0);
}

/* A send queue takes what was agreed and no more; what is signaled makes room when it is polled. */
static void a_full_queue_says_so(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 8);
	int n = 0;

	(void)state;
	wr.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
	while (n <= 1024 && end_post(&ends.a, &wr) == 0)
		n++;
	assert_in_range(n, ENDS_DEPTH, 1024);
	for (int i = 0; i < ENDS_DEPTH; i++)
		assert_int_equal(end_post_recv(&ends.b, 1), 0);
	expect_wc(end_wait(&ends.a), 1, IBV_WC_SUCCESS);
	assert_int_equal(end_post(&ends.a, &wr), 0);
}

static void inline_has_a_limit(void **state)
{
	struct ibv_sge sge;
	struct ibv_send_wr wr = ends_write(&sge, 1, 0, 8192);

	(void)state;
	wr.send_flags |= IBV_SEND_INLINE;
	assert_int_not_equal(end_post(&ends.a, &wr), 0);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, ends_open, ends_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		EACH(a_write_moves_bytes),
		EACH(an_immediate_is_told),
		EACH(an_immediate_may_come_alone),
		EACH(an_immediate_waits_for_a_receive),
		EACH(a_read_fetches),
		EACH(inline_bytes_are_taken_at_once),
		EACH(completions_come_in_order),
		EACH(a_wrong_key_ends_both),
		EACH(bytes_beyond_a_region_are_refused),
		EACH(a_wrong_local_key_is_an_error),
		EACH(the_error_state_flushes),
		EACH(a_peer_that_is_gone_exceeds_retries),
		EACH(a_pair_can_be_joined_again),
		EACH(states_cannot_be_skipped),
		EACH(a_full_queue_says_so),
		EACH(inline_has_a_limit),
	};

	return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
