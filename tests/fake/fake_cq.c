#include <errno.h>
#include <stdlib.h>

#include "fake/fake.h"

int fake_create_cq(struct ibv_context *context, int ncqes, struct ibv_cq **cq_p)
{
	int err = fake_enter("create_cq");
	if (err)
		return err;
	err = fake_context_check(fake_context(context));
	if (!err && (ncqes < 1 || ncqes > fake.settings.max_cqe))
		err = -EINVAL;
	if (!err && fake.live.cqs >= fake.settings.max_cq)
		err = -ENOMEM;
	if (err)
		return fake_leave(err);
	struct fake_cq *cq = calloc(1, sizeof(*cq));
	struct fake_cqe *ring = calloc((size_t)ncqes, sizeof(*ring));
	if (!cq || !ring) {
		free(ring);
		free(cq);
		return fake_leave(-ENOMEM);
	}
	cq->base.context = context;
	cq->base.cqe = cq->depth = ncqes;
	cq->context = fake_context(context);
	cq->context->nchildren++;
	cq->ring = ring;
	fake.live.cqs++;
	*cq_p = &cq->base;
	return fake_leave(0);
}

int fake_destroy_cq(struct ibv_cq *ibv_cq)
{
	struct fake_cq *cq = (struct fake_cq *)ibv_cq;

	fake_lock();
	if (cq->nqps > 0) {
		fake.counts.misuses++;
		return fake_leave(-EBUSY);
	}
	fake_events_end(cq->context, cq, &cq->ntaken);
	cq->context->nchildren--;
	free(cq->ring);
	free(cq);
	fake.live.cqs--;
	return fake_leave(0);
}

static void die(struct fake_cq *cq)
{
	fake.counts.overruns++;
	cq->dead = true;
	fake_event(cq->context, (struct ibv_async_event){
					.event_type = IBV_EVENT_CQ_ERR, .element.cq = &cq->base });
}

/* Whether this is the one that n was counting down to; 0: none. */
static bool counts_down(long *n)
{
	return *n > 0 && --*n == 0;
}

void fake_complete(struct fake_cq *cq, const struct fake_cqe *cqe)
{
	bool good = cqe->wc.status == IBV_WC_SUCCESS;

	if (good && counts_down(&fake.script.lose_n))
		return;
	if (good && cqe->sends && counts_down(&fake.script.lose_send_n))
		return;
	if (good && !cqe->sends && counts_down(&fake.script.lose_recv_n))
		return;
	if (cq->dead || cq->silent)
		return;
	if (cq->n == cq->depth) {
		die(cq);
		return;
	}
	cq->ring[(cq->first + cq->n++) % cq->depth] = *cqe;
}

void fake_cq_clean(struct fake_cq *cq, const struct fake_qp *qp)
{
	int kept = 0;

	for (int i = 0; i < cq->n; i++) {
		struct fake_cqe cqe = cq->ring[(cq->first + i) % cq->depth];
		if (cqe.qp != qp)
			cq->ring[(cq->first + kept++) % cq->depth] = cqe;
	}
	cq->n = kept;
}

int fake_poll_cq(struct ibv_cq *ibv_cq, int n, struct ibv_wc *wc)
{
	struct fake_cq *cq = (struct fake_cq *)ibv_cq;
	int got = 0;

	int err = fake_enter("poll_cq");
	if (err)
		return err;
	if (!fake.settings.manual)
		(void)fake_pump(64);
	if (cq->dead)
		return fake_leave(-EIO);
	while (got < n && cq->n > 0) {
		const struct fake_cqe *cqe = &cq->ring[cq->first];
		struct fake_queue *queue = cqe->sends ? &cqe->qp->send : &cqe->qp->recv;
		queue->freed = cqe->upto;
		wc[got++] = cqe->wc;
		cq->first = (cq->first + 1) % cq->depth;
		cq->n--;
	}
	fake.counts.polled += got;
	return fake_leave(got);
}
