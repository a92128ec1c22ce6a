#include "plugin/verbs_flush.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/log.h"

enum { WCS = 16 };

struct flush_request {
	struct lina_request base;
	bool used;
	int reads; /* that have not completed */
	uint64_t since_ns;
};

struct verbs_flush {
	struct verbs_rail loop[VERBS_RAILS_MAX]; /* of each rail, with itself */
	struct flush_request request[VERBS_REQUESTS];
};

void verbs_flush_stop(struct verbs_conn *c)
{
	for (int i = 0; c->flush && i < c->nrails; i++)
		if (c->flush->loop[i].port)
			verbs_rail_close(c, &c->flush->loop[i]);
}

void verbs_flush_close(struct verbs_conn *c)
{
	verbs_flush_stop(c);
	free(c->flush);
	c->flush = NULL;
}

static int loop_open(struct verbs_conn *c, int i)
{
	struct verbs_rail *loop = &c->flush->loop[i];

	if (loop->port)
		return 0;
	loop->port = c->rail[i].port;
	loop->address = c->rail[i].address;
	loop->is_loop = true;
	int err = verbs_rail_open(c, loop, IBV_ACCESS_LOCAL_WRITE);
	if (!err)
		err = verbs_rail_init(c, loop);
	if (err)
		return err;
	loop->own = loop->peer = c->rail[i].own;
	memset(loop->own.ece, 0, sizeof(loop->own.ece));
	loop->peer.qpn[LINA_CLASS_LATENCY] = loop->qp[LINA_CLASS_LATENCY].qp->qp_num;
	return verbs_rail_connect(c, loop);
}

static int flush_open(struct verbs_conn *c)
{
	if (!c->flush)
		c->flush = calloc(1, sizeof(*c->flush));
	return c->flush ? 0 : -ENOMEM;
}

static struct flush_request *request_get(struct verbs_flush *f)
{
	for (int i = 0; i < VERBS_REQUESTS; i++)
		if (!f->request[i].used)
			return &f->request[i];
	return NULL;
}

/* The byte goes where nobody looks, into the control memory's copy of what is complete. */
static int read_post(struct verbs_conn *c, int i, struct flush_request *q, const void *data,
	const struct verbs_mr *mr)
{
	struct verbs_rail *loop = &c->flush->loop[i];
	struct ibv_sge sge = { (uintptr_t)&c->control->flushed, 1, loop->control_mr->lkey };
	struct ibv_send_wr *bad, wr;

	memset(&wr, 0, sizeof(wr));
	wr.wr_id = (uint64_t)(q - c->flush->request);
	wr.sg_list = &sge;
	wr.num_sge = 1;
	wr.opcode = IBV_WR_RDMA_READ;
	wr.send_flags = IBV_SEND_SIGNALED;
	wr.wr.rdma.remote_addr = (uintptr_t)data;
	wr.wr.rdma.rkey = mr->mr[i]->rkey;
	int err = c->verbs->post_send(loop->qp[LINA_CLASS_LATENCY].qp, &wr, &bad);
	q->reads += !err;
	return err;
}

static int reads_post(
	struct verbs_conn *c, struct flush_request *q, const void *data, const struct verbs_mr *mr)
{
	int err = 0;

	for (int i = 0; i < c->nrails && !err; i++)
		if (c->rail[i].state == VERBS_UP) {
			err = loop_open(c, i);
			if (!err)
				err = read_post(c, i, q, data, mr);
		}
	return err;
}

static bool wants_flush(const struct lina_mr *mr, int bytes)
{
	return bytes > 0 && mr && ((const struct verbs_mr *)mr)->type != LINA_PTR_HOST;
}

/* A read pushes ahead whatever its NIC has written to the GPU before it: one does, of the last. */
static int args_check(
	int n, void *const *data, const int *bytes, struct lina_mr *const *mrs, int *last_p)
{
	int last = -1;

	for (int i = 0; i < n; i++) {
		int err =
			bytes[i] < 0 ? -EINVAL : verbs_mr_check(mrs[i], data[i], (size_t)bytes[i]);
		if (err)
			return err;
		last = wants_flush(mrs[i], bytes[i]) ? i : last;
	}
	*last_p = last;
	return 0;
}

int verbs_flush(struct lina_conn *conn, int n, void *const *data, const int *bytes,
	struct lina_mr *const *mrs, struct lina_request **request_p)
{
	struct verbs_conn *c = (struct verbs_conn *)conn;
	int last;

	int err = c->sock.err ? c->sock.err : args_check(n, data, bytes, mrs, &last);
	if (err)
		return err;
	*request_p = NULL;
	if (last < 0)
		return 0;
	err = flush_open(c);
	struct flush_request *q = err ? NULL : request_get(c->flush);
	if (!q) /* NULL with success would say that it is done */
		return verbs_conn_fail(c, err ? err : -EBUSY, "memory of a GPU cannot be flushed");
	*q = (struct flush_request){ .base = { .conn = conn, .cls = LINA_CLASS_BULK },
		.used = true,
		.since_ns = tcp_now_ns() };
	err = reads_post(c, q, data[last], (const struct verbs_mr *)mrs[last]);
	if (err)
		return verbs_conn_fail(c, err, "memory of a GPU cannot be flushed");
	*request_p = &q->base;
	return 0;
}

bool verbs_flush_owns(const struct verbs_conn *c, const struct lina_request *request)
{
	const struct flush_request *q = (const struct flush_request *)request;

	return c->flush && q >= c->flush->request && q < c->flush->request + VERBS_REQUESTS;
}

/* A rail that broke has nothing under way any more that a flush could push ahead. */
static int loop_poll(struct verbs_conn *c, int i)
{
	struct ibv_wc wc[WCS];

	if (!c->flush->loop[i].cq)
		return 0;
	int n = c->verbs->poll_cq(c->flush->loop[i].cq, WCS, wc);
	for (int k = 0; k < n; k++) {
		if (wc[k].status != IBV_WC_SUCCESS && c->rail[i].state == VERBS_UP)
			return verbs_conn_fail(c, -EIO, c->verbs->wc_status_str(wc[k].status));
		c->flush->request[wc[k].wr_id % VERBS_REQUESTS].reads--;
	}
	return n < 0 ? verbs_conn_fail(c, n, NULL) : 0;
}

/* Without its read nobody knows what is there; and of several rails no other can say it. */
static int wait_look(struct verbs_conn *c, const struct flush_request *q)
{
	const uint64_t most_ns = (uint64_t)c->sock.config->peer_timeout_ms * 1000000u;

	if (tcp_now_ns() - q->since_ns > most_ns)
		return verbs_conn_fail(
			c, -EIO, "a flush has not ended within LINA_PEER_TIMEOUT_MS");
	for (int i = 0; i < c->nrails; i++) { /* what has come is not to look as if it had not */
		int err = verbs_rail_poll(c, &c->rail[i]);
		if (err)
			return err;
	}
	return verbs_conn_idle(c);
}

int verbs_flush_test(struct lina_request *request, int *done_p)
{
	struct flush_request *q = (struct flush_request *)request;
	struct verbs_conn *c = (struct verbs_conn *)request->conn;
	int err = c->sock.err;

	*done_p = 0;
	for (int i = 0; i < c->nrails && q->reads && !err; i++)
		err = loop_poll(c, i);
	if (!err && q->reads)
		err = wait_look(c, q);
	if (err || q->reads)
		return err;
	q->used = false;
	*done_p = 1;
	return 0;
}
