/*
 * Queue pairs: from reset to ready and back, what is posted on them, and what completes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"
#include "plugin/verbs_conn.h"

enum {
	SIGNAL_EVERY = 16, /* requests; a completion is that of all before it too */
	AT_ONCE = 16,      /* completions that are taken, or receives that are posted */
	RNR_TIMER = 12,    /* 0.64 ms: never needed, as receives are posted ahead of credit */
	RNR_RETRIES = 7,   /* for ever */
	HOP_LIMIT = 255,
};

/* What a completion is of: bit 63 set for an immediate that came in; class; life; number. */
static uint64_t wr_id(bool recv, enum lina_class cls, uint32_t life, uint32_t number)
{
	return (uint64_t)recv << 63 | (uint64_t)cls << 62 | (uint64_t)(life & 0x3fffffff) << 32 |
	       number;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t power_of_two_below(uint32_t n)
{
	return n ? 1u << (31 - __builtin_clz(n)) : 0;
}

/* --- making --- */

/* Queues take locked memory, and there are many: only the receiver gets immediates, and of bulk it
 * posts no more than a question now and then. */
static uint32_t sends_of(
	const struct verbs_conn *c, const struct verbs_rail *rail, enum lina_class cls)
{
	if (rail->is_loop)
		return VERBS_REQUESTS;
	return c->dir == LINA_DIR_SEND || cls == LINA_CLASS_LATENCY ? VERBS_SENDS : SIGNAL_EVERY;
}

static uint32_t recvs_of(const struct verbs_conn *c, const struct verbs_rail *rail)
{
	return c->dir == LINA_DIR_RECV && !rail->is_loop ? VERBS_RECVS : 1;
}

static int nqps_of(const struct verbs_rail *rail)
{
	return rail->is_loop ? 1 : LINA_NCLASSES;
}

static int qp_open(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	struct verbs_device *d = rail->port->device;
	/* All of both queue pairs may complete before anybody looks. */
	uint32_t cqes = (uint32_t)d->attr.max_cqe / (2 * LINA_NCLASSES);
	uint32_t most = power_of_two_below(least((uint32_t)d->attr.max_qp_wr, cqes));
	struct ibv_qp_init_attr attr = {
		.send_cq = rail->cq,
		.recv_cq = rail->cq,
		.qp_context = &rail->health,
		.qp_type = IBV_QPT_RC,
		.cap = { .max_send_wr = least(sends_of(c, rail, qp->cls), most),
			.max_recv_wr = least(recvs_of(c, rail), most),
			.max_send_sge = 1,
			.max_recv_sge = 1,
			.max_inline_data = VERBS_INLINE_BYTES },
	};

	if (!most)
		return -EINVAL;
	qp->nsends = attr.cap.max_send_wr;
	qp->nrecvs = attr.cap.max_recv_wr;
	qp->piece = calloc(qp->nsends, sizeof(*qp->piece));
	if (!qp->piece)
		return -ENOMEM;
	int err = c->verbs->create_qp(d->pd, &attr, &qp->qp);
	if (err == -EINVAL) { /* it may be the inline data that the device dislikes */
		attr.cap.max_inline_data = 0;
		err = c->verbs->create_qp(d->pd, &attr, &qp->qp);
	}
	if (err)
		return err;
	qp->inline_bytes = least(attr.cap.max_inline_data, VERBS_INLINE_BYTES);
	qp->wr.sg_list = &qp->sge;
	pthread_mutex_lock(&d->lock);
	d->nqps++;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static void qp_close(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	struct verbs_device *d = rail->port->device;

	if (qp->qp) {
		(void)c->verbs->destroy_qp(qp->qp);
		pthread_mutex_lock(&d->lock);
		d->nqps--;
		pthread_mutex_unlock(&d->lock);
	}
	qp->qp = NULL;
	free(qp->piece);
	qp->piece = NULL;
}

static int modify(struct verbs_conn *c, struct verbs_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	return c->verbs->modify_qp(qp->qp, attr, mask | IBV_QP_STATE);
}

int verbs_rail_init(struct verbs_conn *c, struct verbs_rail *rail)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = rail->port->number,
		.pkey_index = (uint16_t)c->sock.config->pkey_index,
		.qp_access_flags =
			IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ,
	};
	const int mask = IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
	int err = 0;

	for (int cls = 0; cls < nqps_of(rail) && !err; cls++) {
		rail->qp[cls].wr_ids = wr_id(false, (enum lina_class)cls, rail->life, 0);
		err = modify(c, &rail->qp[cls], &attr, mask);
	}
	return err;
}

static int what_fails(struct verbs_rail *rail, int err, const char *what)
{
	char text[VERBS_ERROR_BYTES];

	lina_warn("%s", verbs_error(rail->port->device, err, what, text));
	return err;
}

int verbs_rail_open(struct verbs_conn *c, struct verbs_rail *rail, unsigned control_access)
{
	struct verbs_device *d = rail->port->device;
	uint32_t wanted = 0;

	for (int cls = 0; cls < nqps_of(rail); cls++)
		wanted += sends_of(c, rail, (enum lina_class)cls) + recvs_of(c, rail);
	int err = c->verbs->create_cq(
		d->context, (int)least(wanted, (uint32_t)d->attr.max_cqe), &rail->cq);
	if (err)
		return what_fails(rail, err, "no completion queue");
	rail->cq->cq_context = &rail->health;
	err = c->verbs->reg_mr(
		d->pd, c->control, sizeof(*c->control), control_access, &rail->control_mr);
	if (err)
		return what_fails(rail, err, "no memory region for a connection");
	for (int cls = 0; cls < nqps_of(rail) && !err; cls++) {
		rail->qp[cls].cls = (enum lina_class)cls;
		err = qp_open(c, rail, &rail->qp[cls]);
	}
	return err ? what_fails(rail, err, "no queue pair") : 0;
}

void verbs_rail_close(struct verbs_conn *c, struct verbs_rail *rail)
{
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		qp_close(c, rail, &rail->qp[cls]);
	if (rail->control_mr)
		(void)c->verbs->dereg_mr(rail->control_mr);
	if (rail->cq)
		(void)c->verbs->destroy_cq(rail->cq);
	rail->control_mr = NULL;
	rail->cq = NULL;
}

/* --- connecting --- */

/* Where no knob says it, what the user wants of the communicator, as with NCCL's own transport. */
static int traffic_of(const struct verbs_conn *c, enum lina_class cls)
{
	const struct lina_config *config = c->sock.config;
	int tc = cls == LINA_CLASS_LATENCY ? config->latency_tc : config->bulk_tc;

	tc = tc < 0 ? c->traffic_class : tc;
	return tc < 0 ? 0 : tc;
}

static int level_of(const struct verbs_conn *c, const struct verbs_rail *rail, enum lina_class cls)
{
	enum { SL_MAX = 15 };
	const struct lina_config *config = c->sock.config;
	int sl = cls == LINA_CLASS_LATENCY ? config->latency_sl : config->bulk_sl;

	if (sl < 0 && !rail->own.roce_version)
		sl = c->traffic_class;
	return sl < 0 || sl > SL_MAX ? 0 : sl;
}

/* Ports of InfiniBand, by the prefixes of their addresses but for what routers know them by. */
static bool in_one_subnet(const uint8_t a[16], const uint8_t b[16])
{
	enum { FLID_AT = 4, FLID_END = 6, PREFIX_END = 8 };

	return memcmp(a, b, FLID_AT) == 0 &&
	       memcmp(a + FLID_END, b + FLID_END, PREFIX_END - FLID_END) == 0;
}

static struct ibv_ah_attr path_to(
	const struct verbs_conn *c, const struct verbs_rail *rail, enum lina_class cls)
{
	const struct verbs_address *own = &rail->address;
	uint16_t flid = verbs_gid_flid(rail->peer.gid);
	bool routed = !own->roce_version && !in_one_subnet(own->gid.raw, rail->peer.gid);
	struct ibv_ah_attr ah = { .port_num = rail->port->number,
		.dlid = routed && flid ? flid : rail->peer.lid,
		.sl = (uint8_t)level_of(c, rail, cls),
		.is_global = own->roce_version || routed || own->needs_grh };

	if (ah.is_global)
		ah.grh = (struct ibv_global_route){ .sgid_index = own->gid_index,
			.hop_limit = HOP_LIMIT,
			.traffic_class = (uint8_t)traffic_of(c, cls) };
	if (ah.is_global)
		memcpy(ah.grh.dgid.raw, rail->peer.gid, sizeof(ah.grh.dgid.raw));
	return ah;
}

/* The golden part of all packet numbers apart, the numbers of lives that follow each other stay
 * apart by millions (Knuth, The Art of Computer Programming 3, 6.4): a packet of an old one that
 * the network still has is none that is waited for. */
static uint32_t psn_of(uint32_t first, uint32_t life)
{
	return (first + life * 10368889u) & 0xffffff;
}

void verbs_ece_read(const struct verbs_conn *c, const struct verbs_qp *qp, struct verbs_ece *ece_p)
{
	struct ibv_ece ece;

	*ece_p = (struct verbs_ece){ .vendor = 0 };
	if (c->verbs->query_ece(qp->qp, &ece) == 0)
		*ece_p = (struct verbs_ece){ ece.vendor_id, ece.options, ece.comp_mask };
}

/* What the sender can do the receiver's device reduces to what both can, and the sender's takes
 * that over. A receiver that cannot says so by saying nothing. */
static int ece_set(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	const struct verbs_ece *peer = &rail->peer.ece[qp->cls];
	struct verbs_ece *own = &rail->own.ece[qp->cls];
	struct ibv_ece ece = { peer->vendor, peer->options, peer->mask };

	bool both = own->vendor && peer->vendor;
	int err = both ? c->verbs->set_ece(qp->qp, &ece) : 0;
	if (!both || err)
		*own = (struct verbs_ece){ .vendor = 0 };
	return c->dir == LINA_DIR_RECV ? 0 : err;
}

static int ready_to_receive(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	uint8_t mtu = rail->own.mtu;
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = rail->peer.mtu < mtu ? rail->peer.mtu : mtu,
		.dest_qp_num = rail->peer.qpn[qp->cls],
		.rq_psn = psn_of(rail->peer.psn[qp->cls], rail->life),
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = RNR_TIMER,
		.ah_attr = path_to(c, rail, qp->cls),
	};
	const int mask = IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			 IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;

	return modify(c, qp, &attr, mask);
}

static int ready_to_send(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTS,
		.sq_psn = psn_of(rail->own.psn[qp->cls], rail->life),
		.timeout = (uint8_t)c->sock.config->qp_timeout,
		.retry_cnt = (uint8_t)c->sock.config->qp_retries,
		.rnr_retry = RNR_RETRIES,
		.max_rd_atomic = 1,
	};
	const int mask = IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			 IBV_QP_MAX_QP_RD_ATOMIC;

	return modify(c, qp, &attr, mask);
}

int verbs_rail_connect(struct verbs_conn *c, struct verbs_rail *rail)
{
	int err = 0;

	for (int cls = 0; cls < nqps_of(rail) && !err; cls++) {
		err = ece_set(c, rail, &rail->qp[cls]);
		if (!err)
			err = ready_to_receive(c, rail, &rail->qp[cls]);
		if (!err && rail->own.ece[cls].vendor)
			verbs_ece_read(c, &rail->qp[cls], &rail->own.ece[cls]);
		if (!err)
			err = ready_to_send(c, rail, &rail->qp[cls]);
	}
	return err;
}

void verbs_rail_stop(struct verbs_conn *c, struct verbs_rail *rail)
{
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		if (rail->qp[cls].qp)
			(void)modify(c, &rail->qp[cls],
				&(struct ibv_qp_attr){ .qp_state = IBV_QPS_ERR }, 0);
}

static void qp_forget(struct verbs_qp *qp)
{
	qp->posted = qp->completed = qp->unsignalled = qp->imms_completed = 0;
	qp->unreported = qp->unreported_done = qp->recvs = qp->signalled = 0;
	qp->imms_said = qp->imms_seen = qp->imms_in = 0;
	qp->below_bytes = qp->waits_ns = qp->asked_ns = 0;
	qp->asked_by = NULL;
	qp->asked_last = false;
}

int verbs_rail_reset(struct verbs_conn *c, struct verbs_rail *rail)
{
	int err = 0;

	for (int cls = 0; cls < LINA_NCLASSES && !err; cls++) {
		err = modify(
			c, &rail->qp[cls], &(struct ibv_qp_attr){ .qp_state = IBV_QPS_RESET }, 0);
		qp_forget(&rail->qp[cls]);
	}
	rail->health.qp_event = 0;
	return err;
}

/* --- posting --- */

static void piece_note(struct verbs_qp *qp, const struct verbs_piece *piece)
{
	qp->piece[qp->posted++ & (qp->nsends - 1)] = *piece;
	qp->below_bytes += piece->bytes;
}

static enum ibv_wr_opcode opcode_of(const struct verbs_write *w)
{
	if (w->reads)
		return IBV_WR_RDMA_READ;
	return w->piece.has_imm ? IBV_WR_RDMA_WRITE_WITH_IMM : IBV_WR_RDMA_WRITE;
}

inline int verbs_post(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp,
	const struct verbs_write *w)
{
	struct ibv_send_wr *wr = &qp->wr, *bad;
	uint32_t bytes = w->piece.bytes;

	wr->wr_id = qp->wr_ids | qp->posted;
	wr->num_sge = bytes > 0;
	wr->opcode = opcode_of(w);
	wr->imm_data = htonl(w->imm);
	wr->wr.rdma.remote_addr = w->to;
	wr->wr.rdma.rkey = w->rkey;
	wr->send_flags = bytes && bytes <= qp->inline_bytes && !w->by_nic ? IBV_SEND_INLINE : 0;
	qp->sge = (struct ibv_sge){ (uintptr_t)w->from, bytes, w->lkey };
	if (w->signal || ++qp->unsignalled >= SIGNAL_EVERY) {
		qp->unsignalled = 0;
		qp->signalled = qp->posted + 1;
		wr->send_flags |= IBV_SEND_SIGNALED;
	}
	if (w->piece.has_imm)
		verbs_imm_say(qp, wr->imm_data);
	piece_note(qp, &w->piece);
	int err = c->verbs->post_send(qp->qp, wr, &bad);
	return err ? verbs_rail_break(c, rail, strerror(-err)) : 0;
}

static int recvs_post(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint32_t n)
{
	struct ibv_recv_wr wr[AT_ONCE], *bad;

	n = least(n, AT_ONCE);
	for (uint32_t i = 0; i < n; i++)
		wr[i] = (struct ibv_recv_wr){ .wr_id = wr_id(true, qp->cls, rail->life,
						      qp->imms_seen + qp->recvs + i),
			.next = i + 1 < n ? &wr[i + 1] : NULL };
	int err = c->verbs->post_recv(qp->qp, wr, &bad);
	if (!err)
		qp->recvs += n;
	return err;
}

int verbs_recvs_fill(struct verbs_conn *c, struct verbs_rail *rail, uint32_t need)
{
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		struct verbs_qp *qp = &rail->qp[cls];
		uint32_t most = qp->recvs < need ? least(need + AT_ONCE - 1, qp->nrecvs) : 0;
		while (qp->recvs < most) {
			int err = recvs_post(c, rail, qp, most - qp->recvs);
			if (err)
				return verbs_rail_break(c, rail, strerror(-err));
		}
	}
	return 0;
}

/* --- completions --- */

void verbs_qp_complete(struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp)
{
	const struct verbs_piece *piece = &qp->piece[qp->completed & (qp->nsends - 1)];

	qp->completed++;
	if (piece->has_imm)
		verbs_imm_completed(rail, qp);
	qp->below_bytes -= piece->bytes;
	qp->unreported_done = verbs_piece_reports(piece) ? 0 : qp->unreported_done + piece->bytes;
	if (piece->part)
		c->piece_done(c, rail, qp, piece);
}

static int send_done(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, uint32_t number)
{
	if (number - qp->completed >= qp->posted - qp->completed)
		return verbs_conn_fail(c, -EPROTO, "a completion of nothing");
	for (int err = 0; qp->completed != number + 1 && !err;) {
		unsigned asks = qp->piece[qp->completed & (qp->nsends - 1)].asks;
		verbs_qp_complete(c, rail, qp);
		err = asks ? verbs_lost_answer(c, rail, asks) : 0;
	}
	return c->sock.err;
}

static int recv_done(
	struct verbs_conn *c, struct verbs_rail *rail, struct verbs_qp *qp, const struct ibv_wc *wc)
{
	if (wc->opcode != IBV_WC_RECV_RDMA_WITH_IMM || !(wc->wc_flags & IBV_WC_WITH_IMM))
		return verbs_conn_fail(c, -EPROTO, "something other than an immediate came");
	return verbs_imm_in(c, rail, qp, (uint32_t)wc->wr_id, ntohl(wc->imm_data));
}

static int wc_take(struct verbs_conn *c, struct verbs_rail *rail, const struct ibv_wc *wc)
{
	bool recv = wc->wr_id >> 63;
	struct verbs_qp *qp = &rail->qp[wc->wr_id >> 62 & 1];
	char why[128];

	if ((wc->wr_id >> 32 & 0x3fffffff) != (rail->life & 0x3fffffff))
		return 0;
	if (wc->status == IBV_WC_SUCCESS)
		return recv ? recv_done(c, rail, qp, wc)
			    : send_done(c, rail, qp, (uint32_t)wc->wr_id);
	qp->recvs -= recv;
	if (rail->state != VERBS_UP)
		return 0;
	(void)snprintf(why, sizeof(why), "%s (status %d, vendor error %u)",
		c->verbs->wc_status_str(wc->status), (int)wc->status, wc->vendor_err);
	return verbs_rail_break(c, rail, why);
}

int verbs_rail_poll(struct verbs_conn *c, struct verbs_rail *rail)
{
	struct ibv_wc wc[AT_ONCE];
	int n;

	if (!rail->cq)
		return 0;
	do {
		n = c->verbs->poll_cq(rail->cq, AT_ONCE, wc);
		if (n < 0)
			return verbs_rail_break(c, rail, "its completion queue cannot be read");
		if (n > 0)
			c->sock.idle = 0;
		for (int i = 0; i < n; i++) {
			int err = wc_take(c, rail, &wc[i]);
			if (err)
				return err;
		}
	} while (n == AT_ONCE);
	return 0;
}
