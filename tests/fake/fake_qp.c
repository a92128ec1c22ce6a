#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fake/fake.h"

struct fake_qp *fake_qp(struct ibv_qp *qp)
{
	return (struct fake_qp *)qp;
}

/* --- to make and destroy --- */

static int check_caps(const struct ibv_qp_cap *cap)
{
	const struct fabric_settings *settings = &fake.settings;

	if (cap->max_send_wr > (uint32_t)settings->max_qp_wr ||
		cap->max_recv_wr > (uint32_t)settings->max_qp_wr ||
		cap->max_send_sge > (uint32_t)settings->max_sge ||
		cap->max_recv_sge > (uint32_t)settings->max_sge ||
		cap->max_inline_data > (uint32_t)settings->max_inline)
		return -EINVAL;
	return fake.live.qps >= settings->max_qp ? -ENOMEM : 0;
}

/* What is inline has its room in one piece. */
static int queues_open(struct fake_qp *qp, const struct ibv_qp_cap *cap)
{
	size_t nsends = cap->max_send_wr + 1, nrecvs = cap->max_recv_wr + 1;

	qp->send.depth = (int)cap->max_send_wr;
	qp->send.max_sge = (int)cap->max_send_sge;
	qp->recv.depth = (int)cap->max_recv_wr;
	qp->recv.max_sge = (int)cap->max_recv_sge;
	qp->send.ring = calloc(nsends, sizeof(struct fake_work));
	qp->recv.ring = calloc(nrecvs, sizeof(struct fake_work));
	qp->inline_room = malloc(nsends * cap->max_inline_data + 1);
	if (!qp->send.ring || !qp->recv.ring || !qp->inline_room)
		return -ENOMEM;
	for (size_t i = 0; i < nsends; i++)
		qp->send.ring[i].data = qp->inline_room + i * cap->max_inline_data;
	return 0;
}

static void qp_free(struct fake_qp *qp)
{
	free(qp->inline_room);
	free(qp->recv.ring);
	free(qp->send.ring);
	free(qp);
}

static void next_number(void)
{
	if (++fake.next_qp == FAKE_KEYS)
		fake.next_qp = FAKE_FIRST_QP;
}

static void qp_publish(struct fake_qp *qp, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	qp->context = fake_context(pd->context);
	qp->cap = attr->cap;
	qp->sig_all = attr->sq_sig_all;
	qp->base.context = pd->context;
	qp->base.qp_context = attr->qp_context;
	qp->base.pd = pd;
	qp->base.send_cq = attr->send_cq;
	qp->base.recv_cq = attr->recv_cq;
	qp->base.qp_type = attr->qp_type;
	qp->base.state = IBV_QPS_RESET;
	while (fake.qps[fake.next_qp])
		next_number();
	qp->base.qp_num = fake.next_qp;
	next_number();
	fake.qps[qp->base.qp_num] = qp;
	((struct fake_pd *)pd)->nchildren++;
	((struct fake_cq *)attr->send_cq)->nqps++;
	((struct fake_cq *)attr->recv_cq)->nqps++;
	fake.live.qps++;
}

int fake_create_qp(struct ibv_pd *pd, struct ibv_qp_init_attr *attr, struct ibv_qp **qp_p)
{
	int err = fake_enter("create_qp");
	if (err)
		return err;
	err = fake_context_check(fake_context(pd->context));
	if (!err && (attr->qp_type != IBV_QPT_RC || !attr->send_cq || !attr->recv_cq || attr->srq))
		err = -EINVAL;
	if (!err)
		err = check_caps(&attr->cap);
	if (err)
		return fake_leave(err);
	struct fake_qp *qp = calloc(1, sizeof(*qp));
	if (!qp)
		return fake_leave(-ENOMEM);
	err = queues_open(qp, &attr->cap);
	if (err) {
		qp_free(qp);
		return fake_leave(err);
	}
	qp_publish(qp, pd, attr);
	*qp_p = &qp->base;
	return fake_leave(0);
}

static void qp_clean(struct fake_qp *qp)
{
	fake_cq_clean((struct fake_cq *)qp->base.send_cq, qp);
	fake_cq_clean((struct fake_cq *)qp->base.recv_cq, qp);
	qp->send.posted = qp->send.done = qp->send.freed = 0;
	qp->recv.posted = qp->recv.done = qp->recv.freed = 0;
	qp->attempts = 0;
	qp->broken = false;
	qp->ece = 0;
	fake_qp_busy(qp);
}

int fake_destroy_qp(struct ibv_qp *ibv_qp)
{
	struct fake_qp *qp = fake_qp(ibv_qp);

	fake_lock();
	fake_events_end(qp->context, qp, &qp->ntaken);
	qp_clean(qp);
	fake.qps[qp->base.qp_num] = NULL;
	((struct fake_pd *)qp->base.pd)->nchildren--;
	((struct fake_cq *)qp->base.send_cq)->nqps--;
	((struct fake_cq *)qp->base.recv_cq)->nqps--;
	fake.live.qps--;
	qp_free(qp);
	return fake_leave(0);
}

/* --- what vendors add --- */

static struct ibv_ece ece_of(const struct fake_qp *qp)
{
	struct ibv_ece ece = { .vendor_id = 0xfab, .options = 7 };

	if (fake.settings.ece_tell)
		fake.settings.ece_tell(qp->context->dev->index, &ece);
	return ece;
}

/* Before it was set, what there may be; from then on what is in use. */
int fake_query_ece(struct ibv_qp *ibv_qp, struct ibv_ece *ece_p)
{
	const struct fake_qp *qp = fake_qp(ibv_qp);

	int err = fake_enter("query_ece");
	if (err)
		return err;
	*ece_p = ece_of(qp);
	if (qp->ece)
		ece_p->options = qp->ece;
	return fake_leave(ece_p->vendor_id ? 0 : -EOPNOTSUPP);
}

int fake_set_ece(struct ibv_qp *ibv_qp, struct ibv_ece *ece)
{
	struct fake_qp *qp = fake_qp(ibv_qp);

	int err = fake_enter("set_ece");
	if (err)
		return err;
	struct ibv_ece own = ece_of(qp);
	if (ece->vendor_id != own.vendor_id || ece->comp_mask || ibv_qp->state != IBV_QPS_INIT)
		return fake_leave(-EINVAL);
	qp->ece = ece->options & own.options;
	return fake_leave(0);
}

/* --- states --- */

static const int to_init = IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
static const int to_rtr = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
			  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
static const int to_rts = IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;

static int check_path(const struct ibv_qp_attr *attr)
{
	const struct ibv_ah_attr *path = &attr->ah_attr;

	if (path->port_num != 1 || attr->path_mtu < IBV_MTU_256 || attr->path_mtu > IBV_MTU_4096)
		return -EINVAL;
	if (!fake.settings.infiniband && (!path->is_global || path->grh.sgid_index >= FABRIC_GIDS))
		return -EINVAL;
	return 0;
}

static int init_to(struct fake_qp *qp, const struct ibv_qp_attr *attr)
{
	if (attr->port_num != 1 || attr->pkey_index >= FABRIC_PKEYS)
		return -EINVAL;
	qp->attr.pkey_index = attr->pkey_index;
	qp->attr.qp_access_flags = attr->qp_access_flags;
	return 0;
}

static int rtr_to(struct fake_qp *qp, const struct ibv_qp_attr *attr)
{
	int err = check_path(attr);
	if (err)
		return err;
	qp->attr.ah_attr = attr->ah_attr;
	qp->attr.path_mtu = attr->path_mtu;
	qp->attr.dest_qp_num = attr->dest_qp_num;
	qp->attr.rq_psn = attr->rq_psn;
	return 0;
}

static int rts_to(struct fake_qp *qp, const struct ibv_qp_attr *attr)
{
	if (attr->retry_cnt > 7 || attr->rnr_retry > 7)
		return -EINVAL;
	qp->attr.sq_psn = attr->sq_psn;
	qp->attr.retry_cnt = attr->retry_cnt;
	qp->attr.rnr_retry = attr->rnr_retry;
	return 0;
}

/* Steps one state up, with what that step needs and nothing else. */
static int step(struct fake_qp *qp, const struct ibv_qp_attr *attr, int mask)
{
	enum ibv_qp_state from = qp->base.state, to = attr->qp_state;

	if (from == IBV_QPS_RESET && to == IBV_QPS_INIT && mask == to_init)
		return init_to(qp, attr);
	if (from == IBV_QPS_INIT && to == IBV_QPS_RTR && mask == to_rtr)
		return rtr_to(qp, attr);
	if (from == IBV_QPS_RTR && to == IBV_QPS_RTS && mask == to_rts)
		return rts_to(qp, attr);
	return -EINVAL;
}

int fake_modify_qp(struct ibv_qp *ibv_qp, struct ibv_qp_attr *attr, int mask)
{
	struct fake_qp *qp = fake_qp(ibv_qp);

	int err = fake_enter("modify_qp");
	if (err)
		return err;
	if (!(mask & IBV_QP_STATE))
		return fake_leave(-EINVAL);
	if (attr->qp_state == IBV_QPS_ERR) {
		fake_qp_fail(qp);
		return fake_leave(0);
	}
	err = fake_context_check(qp->context);
	if (err)
		return fake_leave(err);
	if (attr->qp_state == IBV_QPS_RESET)
		qp_clean(qp);
	else
		err = step(qp, attr, mask);
	if (!err)
		qp->base.state = attr->qp_state;
	return fake_leave(err);
}

/* --- queues --- */

struct fake_work *fake_queue_ahead(struct fake_queue *queue, uint64_t nothers)
{
	uint64_t number = queue->done + nothers;

	return number < queue->posted ? &queue->ring[number % (uint64_t)(queue->depth + 1)] : NULL;
}

struct fake_work *fake_queue_next(struct fake_queue *queue)
{
	return fake_queue_ahead(queue, 0);
}

static bool is_full(const struct fake_queue *queue)
{
	return queue->posted - queue->freed >= (uint64_t)queue->depth;
}

static enum ibv_wc_opcode completed(enum ibv_wr_opcode opcode)
{
	return opcode == IBV_WR_RDMA_READ ? IBV_WC_RDMA_READ : IBV_WC_RDMA_WRITE;
}

/* Ends the next work of a queue. A success is told only of signaled sends; a failure always. */
void fake_queue_done(struct fake_qp *qp, bool sends, enum ibv_wc_status status, struct ibv_wc *wc)
{
	struct fake_queue *queue = sends ? &qp->send : &qp->recv;
	const struct fake_work *work = fake_queue_next(queue);
	struct fake_cqe cqe = { .wc = *wc, .qp = qp, .sends = sends, .upto = ++queue->done };

	cqe.wc.wr_id = work->wr_id;
	cqe.wc.status = status;
	cqe.wc.qp_num = qp->base.qp_num;
	if (sends)
		cqe.wc.opcode = completed(work->opcode);
	if (status != IBV_WC_SUCCESS || !sends || work->signaled)
		fake_complete(
			(struct fake_cq *)(sends ? qp->base.send_cq : qp->base.recv_cq), &cqe);
}

void fake_qp_busy(struct fake_qp *qp)
{
	bool busy = qp->base.state == IBV_QPS_RTS && qp->send.done != qp->send.posted;

	if (busy == qp->is_busy)
		return;
	qp->is_busy = busy;
	fake.nbusy += busy ? 1 : -1;
	if (busy)
		TAILQ_INSERT_TAIL(&fake.busy, qp, busy);
	else
		TAILQ_REMOVE(&fake.busy, qp, busy);
}

static void flush(struct fake_qp *qp)
{
	struct ibv_wc wc = { .vendor_err = 0 };

	while (fake_queue_next(&qp->send))
		fake_queue_done(qp, true, IBV_WC_WR_FLUSH_ERR, &wc);
	while (fake_queue_next(&qp->recv))
		fake_queue_done(qp, false, IBV_WC_WR_FLUSH_ERR, &wc);
	fake_qp_busy(qp);
}

void fake_qp_fail(struct fake_qp *qp)
{
	qp->base.state = IBV_QPS_ERR;
	flush(qp);
}

/* --- to post --- */

static uint64_t sum(const struct ibv_sge *sges, int n)
{
	uint64_t bytes = 0;

	for (int i = 0; i < n; i++)
		bytes += sges[i].length;
	return bytes;
}

static bool takes_sends(const struct fake_qp *qp)
{
	return qp->base.state == IBV_QPS_RTS || qp->base.state == IBV_QPS_ERR;
}

static int check_send(const struct fake_qp *qp, const struct ibv_send_wr *wr)
{
	bool writes = wr->opcode == IBV_WR_RDMA_WRITE || wr->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	uint64_t bytes =
		wr->num_sge <= qp->send.max_sge ? sum(wr->sg_list, wr->num_sge) : UINT64_MAX;

	if (!takes_sends(qp) || (!writes && wr->opcode != IBV_WR_RDMA_READ) || bytes > 1u << 30)
		return -EINVAL;
	if ((wr->send_flags & IBV_SEND_INLINE) && (!writes || bytes > qp->cap.max_inline_data))
		return -EINVAL;
	return is_full(&qp->send) ? -ENOMEM : 0;
}

static void remember(const struct fake_qp *qp, const struct fake_work *work)
{
	const struct ibv_ah_attr *path = &qp->attr.ah_attr;

	fake.posts[fake.nposts++ % FABRIC_POSTS_MAX] = (struct fabric_post){
		.dev = qp->context->dev->index,
		.qp_num = qp->base.qp_num,
		.service_level = path->sl,
		.traffic_class = path->grh.traffic_class,
		.is_global = path->is_global,
		.dlid = path->dlid,
		.sgid_index = path->grh.sgid_index,
		.mtu = (uint8_t)qp->attr.path_mtu,
		.ece = qp->ece,
		.pkey_index = qp->attr.pkey_index,
		.opcode = work->opcode,
		.bytes = work->bytes,
		.inlined = work->inlined,
		.signaled = work->signaled,
	};
	fake.counts.posts++;
	fake.counts.signaled += work->signaled;
	fake.counts.inlined += work->inlined;
}

/* Which of two that overlap stays in memory is open: none may depend on it. */
static bool races(struct fake_qp *qp, const struct ibv_send_wr *wr)
{
	uint64_t from = wr->wr.rdma.remote_addr, until = from + sum(wr->sg_list, wr->num_sge);
	const struct fake_work *work;

	if (!fake.settings.adaptive || wr->opcode != IBV_WR_RDMA_WRITE)
		return false;
	for (uint64_t i = 0; (work = fake_queue_ahead(&qp->send, i)); i++)
		if (work->opcode == IBV_WR_RDMA_WRITE && work->remote_addr < until &&
			from < work->remote_addr + work->bytes)
			return true;
	return false;
}

static void send_add(struct fake_qp *qp, const struct ibv_send_wr *wr)
{
	struct fake_work *work = &qp->send.ring[qp->send.posted % (uint64_t)(qp->send.depth + 1)];
	size_t at = 0;

	fake.counts.races += races(qp, wr);
	work->wr_id = wr->wr_id;
	work->opcode = wr->opcode;
	work->imm = wr->imm_data;
	work->remote_addr = wr->wr.rdma.remote_addr;
	work->rkey = wr->wr.rdma.rkey;
	work->signaled = qp->sig_all || (wr->send_flags & IBV_SEND_SIGNALED);
	work->inlined = wr->send_flags & IBV_SEND_INLINE;
	work->placed = false;
	work->nsges = wr->num_sge;
	work->bytes = (uint32_t)sum(wr->sg_list, wr->num_sge);
	for (int i = 0; i < wr->num_sge; i++) {
		/* NOLINTNEXTLINE(performance-no-int-to-ptr): verbs name memory so */
		const void *from = (const void *)(uintptr_t)wr->sg_list[i].addr;
		uint32_t length = wr->sg_list[i].length;
		work->sges[i] = wr->sg_list[i];
		if (work->inlined && length > 0)
			memcpy(work->data + at, from, length);
		at += length;
	}
	qp->send.posted++;
	remember(qp, work);
}

int fake_post_send(struct ibv_qp *ibv_qp, struct ibv_send_wr *wr, struct ibv_send_wr **bad_p)
{
	struct fake_qp *qp = fake_qp(ibv_qp);

	int err = fake_enter("post_send");
	if (err) {
		*bad_p = wr;
		return err;
	}
	for (; wr; wr = wr->next) {
		err = check_send(qp, wr);
		if (err)
			break;
		send_add(qp, wr);
	}
	if (err) {
		fake.counts.misuses++;
		*bad_p = wr;
	}
	if (qp->base.state == IBV_QPS_ERR)
		flush(qp);
	fake_qp_busy(qp);
	return fake_leave(err);
}

static int recv_add(struct fake_qp *qp, const struct ibv_recv_wr *wr)
{
	struct fake_work *work = &qp->recv.ring[qp->recv.posted % (uint64_t)(qp->recv.depth + 1)];

	if (qp->base.state == IBV_QPS_RESET || wr->num_sge > qp->recv.max_sge)
		return -EINVAL;
	if (is_full(&qp->recv))
		return -ENOMEM;
	work->wr_id = wr->wr_id;
	qp->recv.posted++;
	return 0;
}

int fake_post_recv(struct ibv_qp *ibv_qp, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad_p)
{
	struct fake_qp *qp = fake_qp(ibv_qp);

	int err = fake_enter("post_recv");
	if (err) {
		*bad_p = wr;
		return err;
	}
	fake.counts.fills++;
	for (; !err && wr; wr = wr->next) {
		err = recv_add(qp, wr);
		if (err) {
			fake.counts.misuses++;
			*bad_p = wr;
			break;
		}
	}
	if (qp->base.state == IBV_QPS_ERR)
		flush(qp);
	return fake_leave(err);
}
