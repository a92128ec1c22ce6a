#include "fake/verbs_ends.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* 4.096 us * 2^16, a quarter of a second: a real device on a busy machine answers within it. */
struct ends ends = { .timeout = 16, .retries = 3, .rnr_retries = 7 };

static uint64_t now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* The first address of RoCE v2 for IPv4, or the only one there is. */
static void gid_choose(struct end *end)
{
	static const uint8_t ipv4[12] = { [10] = 0xff, [11] = 0xff };
	struct ibv_gid_entry entry;

	for (uint32_t i = 0; i < 16; i++) {
		if (ends.verbs->query_gid(end->context, 1, i, &entry) != 0)
			continue;
		end->gid = entry.gid;
		end->gid_index = i;
		if (entry.gid_type == IBV_GID_TYPE_ROCE_V2 &&
			memcmp(entry.gid.raw, ipv4, sizeof(ipv4)) == 0)
			return;
	}
}

static void end_open(struct end *end, struct ibv_device *device)
{
	const struct lina_verbs *verbs = ends.verbs;
	struct ibv_qp_init_attr attr = { .qp_type = IBV_QPT_RC,
		.cap = { ENDS_DEPTH, ENDS_DEPTH, 1, 1, ENDS_INLINE } };

	assert_int_equal(verbs->open_device(device, &end->context), 0);
	assert_int_equal(verbs->query_port(end->context, 1, &end->port), 0);
	gid_choose(end);
	assert_int_equal(verbs->alloc_pd(end->context, &end->pd), 0);
	assert_int_equal(verbs->create_cq(end->context, 4 * ENDS_DEPTH, &end->cq), 0);
	attr.send_cq = attr.recv_cq = end->cq;
	assert_int_equal(verbs->create_qp(end->pd, &attr, &end->qp), 0);
	end->memory = calloc(1, ENDS_BYTES);
	assert_non_null(end->memory);
	assert_int_equal(
		verbs->reg_mr(end->pd, end->memory, ENDS_BYTES,
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
			&end->mr),
		0);
}

static void end_close(struct end *end)
{
	const struct lina_verbs *verbs = ends.verbs;

	if (end->qp)
		assert_int_equal(verbs->destroy_qp(end->qp), 0);
	assert_int_equal(verbs->dereg_mr(end->mr), 0);
	assert_int_equal(verbs->destroy_cq(end->cq), 0);
	assert_int_equal(verbs->dealloc_pd(end->pd), 0);
	assert_int_equal(verbs->close_device(end->context), 0);
	free(end->memory);
	memset(end, 0, sizeof(*end));
}

static int to_init(struct end *end)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ };

	return ends.verbs->modify_qp(end->qp, &attr,
		IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

static int to_rtr(struct end *end, const struct end *peer)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTR,
		.path_mtu = end->port.active_mtu,
		.dest_qp_num = peer->qp->qp_num,
		.rq_psn = 7,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 1,
		.ah_attr = { .is_global = 1,
			.port_num = 1,
			.dlid = peer->port.lid,
			.grh = { .dgid = peer->gid,
				.sgid_index = (uint8_t)end->gid_index,
				.hop_limit = 64 } } };

	return ends.verbs->modify_qp(end->qp, &attr,
		IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
}

static int to_rts(struct end *end)
{
	struct ibv_qp_attr attr = { .qp_state = IBV_QPS_RTS,
		.timeout = ends.timeout,
		.retry_cnt = ends.retries,
		.rnr_retry = ends.rnr_retries,
		.sq_psn = 7,
		.max_rd_atomic = 1 };

	return ends.verbs->modify_qp(end->qp, &attr,
		IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

int end_step(struct end *end, const struct end *peer, enum ibv_qp_state to)
{
	struct ibv_qp_attr attr = { .qp_state = to };

	switch (to) {
	case IBV_QPS_INIT:
		return to_init(end);
	case IBV_QPS_RTR:
		return to_rtr(end, peer);
	case IBV_QPS_RTS:
		return to_rts(end);
	default:
		return ends.verbs->modify_qp(end->qp, &attr, IBV_QP_STATE);
	}
}

static void join(void)
{
	for (enum ibv_qp_state state = IBV_QPS_INIT; state <= IBV_QPS_RTS; state++) {
		assert_int_equal(end_step(&ends.a, &ends.b, state), 0);
		assert_int_equal(end_step(&ends.b, &ends.a, state), 0);
	}
}

int ends_open(void **state)
{
	struct ibv_device **list;
	char why[LINA_VERBS_WHY_BYTES] = "";
	int n;

	(void)state;
	if (lina_verbs_load(&ends.verbs, why) != 0)
		fail_msg("no verbs: %s", why);
	assert_int_equal(ends.verbs->get_device_list(&n, &list), 0);
	assert_true(n > 0);
	end_open(&ends.a, list[0]);
	end_open(&ends.b, list[n > 1]);
	ends.verbs->free_device_list(list);
	join();
	return 0;
}

int ends_close(void **state)
{
	(void)state;
	end_close(&ends.a);
	end_close(&ends.b);
	ends.retries = 3;
	ends.rnr_retries = 7;
	return 0;
}

struct ibv_send_wr ends_write(struct ibv_sge *sge, uint64_t wr_id, size_t at, uint32_t bytes)
{
	*sge = (struct ibv_sge){ (uintptr_t)ends.a.memory + at, bytes, ends.a.mr->lkey };
	return (struct ibv_send_wr){ .wr_id = wr_id,
		.sg_list = sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = { (uintptr_t)ends.b.memory + at, ends.b.mr->rkey } };
}

int end_post(struct end *end, struct ibv_send_wr *wr)
{
	struct ibv_send_wr *bad = NULL;

	int err = ends.verbs->post_send(end->qp, wr, &bad);
	if (err)
		assert_ptr_equal(bad, wr);
	return err;
}

int end_post_recv(struct end *end, uint64_t wr_id)
{
	struct ibv_recv_wr wr = { .wr_id = wr_id }, *bad = NULL;

	return ends.verbs->post_recv(end->qp, &wr, &bad);
}

struct ibv_wc end_wait(struct end *end)
{
	uint64_t deadline = now_ms() + ENDS_LIMIT_MS;
	struct ibv_wc wc = { .wr_id = 0 };

	for (;;) {
		int n = ends.verbs->poll_cq(end->cq, 1, &wc);
		assert_true(n >= 0);
		if (n == 1)
			return wc;
		assert_true(now_ms() < deadline);
	}
}

void end_has_none(struct end *end)
{
	struct ibv_wc wc;

	for (uint64_t until = now_ms() + 20; now_ms() < until;)
		assert_int_equal(ends.verbs->poll_cq(end->cq, 1, &wc), 0);
}
