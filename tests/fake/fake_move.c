#include <string.h>

#include "fake/fake.h"

/* What came of the work that is next. */
enum outcome { MOVED, FAILED, WAITS };

/* As a device reads it: whole, where it may be written to meanwhile. */
static uint64_t word_at(const uint8_t *from)
{
	uint64_t word;

	if (((uintptr_t)from & 7) == 0)
		return __atomic_load_n((const uint64_t *)(const void *)from, __ATOMIC_ACQUIRE);
	memcpy(&word, from, 8);
	return word;
}

/* In order and word by word where a reader may look at it before its completion, as it may at what
 * a device writes: whoever polls such memory does so with atomic loads. */
static void copy(uint8_t *to, const uint8_t *from, size_t bytes)
{
	size_t i = 0;

#ifndef __SANITIZE_THREAD__
	if (bytes > 4096) {
		memcpy(to, from, bytes);
		return;
	}
#endif
	for (; ((uintptr_t)(to + i) & 7) && i < bytes; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELEASE);
	for (; i + 8 <= bytes; i += 8) {
		uint64_t word = word_at(from + i);
		__atomic_store_n((uint64_t *)(void *)(to + i), word, __ATOMIC_RELEASE);
	}
	for (; i < bytes; i++)
		__atomic_store_n(to + i, from[i], __ATOMIC_RELEASE);
}

/* The peer of a queue pair, if it answers: not where it waits for other packet numbers, or for
 * packets of another make. */
static struct fake_qp *find_peer(const struct fake_qp *qp)
{
	const struct fake_device *dev = fake_path_device(&qp->attr.ah_attr);
	uint32_t number = qp->attr.dest_qp_num;

	if (!dev || !fake_device_works(dev) || !fake_device_works(qp->context->dev) ||
		number >= FAKE_KEYS)
		return NULL;
	struct fake_qp *peer = fake.qps[number];
	if (!peer || peer->context->dev != dev || peer->attr.dest_qp_num != qp->base.qp_num ||
		peer->attr.rq_psn != qp->attr.sq_psn || peer->ece != qp->ece)
		return NULL;
	return peer->base.state == IBV_QPS_RTR || peer->base.state == IBV_QPS_RTS ? peer : NULL;
}

static enum outcome fail_work(struct fake_qp *qp, enum ibv_wc_status status)
{
	struct ibv_wc wc = { .vendor_err = 0 };

	fake_queue_done(qp, true, status, &wc);
	fake_qp_fail(qp);
	return FAILED;
}

/* 7 retries of a receiver that is not ready are endless ones (IBTA 9.7.5.2.8). */
static enum outcome try_again(struct fake_qp *qp, bool not_ready)
{
	int retries = not_ready ? qp->attr.rnr_retry : qp->attr.retry_cnt;

	fake.counts.rnr += not_ready;
	if (not_ready && retries == 7)
		return WAITS;
	if (++qp->attempts <= retries * fake.settings.attempts)
		return WAITS;
	return fail_work(qp, not_ready ? IBV_WC_RNR_RETRY_EXC_ERR : IBV_WC_RETRY_EXC_ERR);
}

/* The peer refuses, and cannot go on either. */
static enum outcome refuse(struct fake_qp *qp, struct fake_qp *peer)
{
	fake_event(peer->context, (struct ibv_async_event){ .event_type = IBV_EVENT_QP_ACCESS_ERR,
					  .element.qp = &peer->base });
	if (peer != qp)
		fake_qp_fail(peer);
	return fail_work(qp, IBV_WC_REM_ACCESS_ERR);
}

/* Between the pieces of memory that the work names and its remote memory. false: one of the pieces
 * is not what it says. */
static bool pieces_move(struct fake_qp *qp, const struct fake_work *work, uint8_t *remote)
{
	bool reads = work->opcode == IBV_WR_RDMA_READ;
	uint8_t *local[FABRIC_SGES_MAX];

	for (int i = 0; i < work->nsges; i++) {
		const struct ibv_sge *sge = &work->sges[i];
		local[i] = fake_memory(qp->base.pd, sge->lkey, sge->addr, sge->length,
			reads ? IBV_ACCESS_LOCAL_WRITE : 0);
		if (!local[i] && sge->length > 0)
			return false;
	}
	for (int i = 0; i < work->nsges; i++) {
		if (reads)
			copy(local[i], remote, work->sges[i].length);
		else
			copy(remote, local[i], work->sges[i].length);
		remote += work->sges[i].length;
	}
	return true;
}

static bool data_moves(struct fake_qp *qp, const struct fake_work *work, uint8_t *remote)
{
	if (work->bytes == 0)
		return true;
	if (!work->inlined)
		return pieces_move(qp, work, remote);
	copy(remote, work->data, work->bytes);
	return true;
}

static void immediate_arrives(struct fake_qp *peer, const struct fake_work *work)
{
	struct ibv_wc wc = { .opcode = IBV_WC_RECV_RDMA_WITH_IMM,
		.byte_len = work->bytes,
		.imm_data = work->imm,
		.wc_flags = IBV_WC_WITH_IMM };

	fake.counts.immediates++;
	fake_queue_done(peer, false, IBV_WC_SUCCESS, &wc);
}

static enum outcome carry_out(
	struct fake_qp *qp, struct fake_qp *peer, const struct fake_work *work)
{
	unsigned access =
		work->opcode == IBV_WR_RDMA_READ ? IBV_ACCESS_REMOTE_READ : IBV_ACCESS_REMOTE_WRITE;
	bool immediate = work->opcode == IBV_WR_RDMA_WRITE_WITH_IMM;
	uint8_t *remote = NULL;

	if (work->bytes > 0) {
		remote = fake_memory(
			peer->base.pd, work->rkey, work->remote_addr, work->bytes, access);
		if (!remote || !(peer->attr.qp_access_flags & access))
			return refuse(qp, peer);
	}
	if (immediate && !fake_queue_next(&peer->recv))
		return try_again(qp, true);
	if (!work->placed && !data_moves(qp, work, remote))
		return fail_work(qp, IBV_WC_LOC_PROT_ERR);
	if (immediate)
		immediate_arrives(peer, work);
	fake.counts.moved++;
	fake.counts.bytes += work->bytes;
	fake.counts.reads += work->opcode == IBV_WR_RDMA_READ;
	qp->attempts = 0;
	return MOVED;
}

static uint64_t dice(void)
{
	fake.settings.seed ^= fake.settings.seed << 13;
	fake.settings.seed ^= fake.settings.seed >> 7;
	fake.settings.seed ^= fake.settings.seed << 17;
	return fake.settings.seed;
}

static bool is_plain(const struct fake_work *work)
{
	return work && work->opcode == IBV_WR_RDMA_WRITE;
}

/* As where the network routes each packet its own way: the bytes of a write are there before those
 * of some that were posted before it, if none of them has to do with more than bytes. All complete
 * in their order even so. */
static void place_ahead(struct fake_qp *qp, struct fake_qp *peer)
{
	enum { FARTHEST = 4 };
	uint64_t nothers = 0, most = dice() % FARTHEST;

	while (nothers < most && is_plain(fake_queue_ahead(&qp->send, nothers)) &&
		is_plain(fake_queue_ahead(&qp->send, nothers + 1)))
		nothers++;
	struct fake_work *work = fake_queue_ahead(&qp->send, nothers);
	if (!nothers || work->placed || !work->bytes)
		return;
	uint8_t *remote = fake_memory(
		peer->base.pd, work->rkey, work->remote_addr, work->bytes, IBV_ACCESS_REMOTE_WRITE);
	work->placed = remote && data_moves(qp, work, remote);
}

/* Work that the script lets fail. */
static bool is_scripted(void)
{
	return fake.script.work_n > 0 && --fake.script.work_n == 0;
}

static enum outcome work_next(struct fake_qp *qp)
{
	const struct fake_work *work = fake_queue_next(&qp->send);
	struct ibv_wc wc = { .byte_len = work->bytes };

	struct fake_qp *peer = find_peer(qp);
	if (!peer)
		return try_again(qp, false);
	bool scripted = is_scripted();
	if (scripted && !fake.script.work_moves)
		return fail_work(qp, fake.script.work_status);
	if (fake.settings.adaptive)
		place_ahead(qp, peer);
	enum outcome outcome = carry_out(qp, peer, work);
	if (outcome != MOVED)
		return outcome;
	if (scripted)
		return fail_work(qp, fake.script.work_status);
	fake_queue_done(qp, true, IBV_WC_SUCCESS, &wc);
	fake_qp_busy(qp);
	return MOVED;
}

/* The queue pair whose turn it is, which goes to the end of the queue. */
static struct fake_qp *next_qp(void)
{
	struct fake_qp *qp = TAILQ_FIRST(&fake.busy);

	if (!qp)
		return NULL;
	if (fake.settings.seed)
		for (uint64_t skip = dice() % (uint64_t)fake.nbusy; skip > 0; skip--)
			qp = TAILQ_NEXT(qp, busy);
	TAILQ_REMOVE(&fake.busy, qp, busy);
	TAILQ_INSERT_TAIL(&fake.busy, qp, busy);
	return qp;
}

/* Ends when each that is left was looked at in vain; by chance some may be looked at more often. */
int fake_pump(int n)
{
	int ndone = 0, in_vain = 0;

	while ((n <= 0 || ndone < n) && in_vain < fake.nbusy) {
		struct fake_qp *qp = next_qp();
		if (!qp->held && !qp->broken && work_next(qp) != WAITS) {
			ndone++;
			in_vain = 0;
		} else {
			in_vain++;
		}
	}
	return ndone;
}
