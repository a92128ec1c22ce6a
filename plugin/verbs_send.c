/*
 * The sending end: what may move, and how it goes. On each rail all of the latency messages goes at
 * once, but to a peer that others are hotter than a chunk at a time; and of bulk a chunk at a time,
 * as far as grant and link let it.
 */
#include "plugin/verbs_send.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

enum {
	WRITE_MAX_BYTES = 8 << 20, /* so that completions come now and then on any link */
	WRITE_US = 250,            /* of the port, that a write takes at most */
	WRITES_BELOW = 4,
	PAGE_BYTES = 4096,                /* each write begins with one, where the message does */
	HOT_WRITE_MAX_BYTES = 64 << 10,   /* so that others hear how a hot peer gets on */
	BULK_CHUNK_MAX_BYTES = 512 << 10, /* so that a report fits an immediate */
	REPORT_LEAST_BYTES = 16 << 10,    /* of bulk that are worth an immediate, */
	REPORT_CHUNKS = 2,                /* or chunks */
	ANNOUNCE_BYTES = 16 << 10,        /* a larger latency message is announced ahead */
	LITTLE_BYTES = 4096,
	MESSAGE_WRITES = 4, /* its two of size, a chunk, and its immediate */
	COST_EVERY = 16,    /* chunks; one is measured */
};
_Static_assert((int)BULK_CHUNK_MAX_BYTES + (int)VERBS_REPORT_MAX_BYTES <= (int)VERBS_VALUE_MAX,
	"what is reported fits");

/* Stands in for a NULL of no bytes: adding even 0 to NULL is undefined. */
static const uint8_t nothing[1];

/* --- what may move --- */

/* Bulk that has a grant by now and that the link is to be told of. */
static uint64_t bulk_untold(struct verbs_send_rail *sr)
{
	uint64_t grant = sr->granted - sr->bulk_posted, told = sr->bulk_told;

	sr->bulk_told = sr->bulk_left < grant ? sr->bulk_left : grant;
	return sr->bulk_told > told ? sr->bulk_told - told : 0;
}

void verbs_part_queue(struct verbs_sender *s, struct verbs_part *part, int rail)
{
	enum lina_class cls = part->request->cls;
	struct verbs_send_rail *sr = &s->rail[rail];
	uint64_t left = part->until - part->at;

	part->rail = rail;
	STAILQ_INSERT_TAIL(&sr->moving[cls], part, link);
	if (cls == LINA_CLASS_BULK) {
		sr->bulk_left += left;
	} else if (s->conn.rail[rail].state == VERBS_UP) {
		sr->latency_untold += left;
	}
}

/* The rail that is number i of those that are up; any, if none is. */
static int up_rail(const struct verbs_sender *s, unsigned i)
{
	if (!s->conn.nbroken && i < (unsigned)s->conn.nrails)
		return (int)i;
	if (s->conn.dark_ns)
		return 0;
	for (int k = 0;; k = k + 1 < s->conn.nrails ? k + 1 : 0)
		if (s->conn.rail[k].state == VERBS_UP && i-- == 0)
			return k;
}

/* Part i of r is from at to until. */
static void part_begin(struct verbs_sender *s, struct verbs_send_request *r, int i, uint64_t at,
	uint64_t until, int rail)
{
	struct verbs_part *part = &r->part[i];

	part->request = r;
	part->ended = part->done = false;
	part->at = at;
	part->until = until;
	verbs_part_queue(s, part, rail);
}

static __attribute__((noinline)) void stripes_begin(
	struct verbs_sender *s, struct verbs_send_request *r, unsigned first)
{
	uint64_t at, until;

	for (int i = 0; i < r->nparts; i++) {
		verbs_part(r->bytes, r->nparts, i, &at, &until);
		part_begin(s, r, i, at, until, up_rail(s, first + (unsigned)i));
	}
}

/* inline: also into its callers in other files, where the build optimises across them. */
inline void verbs_send_move(struct verbs_sender *s, struct verbs_send_request *r)
{
	int nup = s->conn.dark_ns ? 1 : s->conn.nrails - s->conn.nbroken;

	r->state = VERBS_SEND_MOVES;
	r->begun = false;
	r->nparts = r->parts_left = verbs_nparts(r->bytes, nup);
	unsigned first = r->nparts < nup ? s->turn++ % (unsigned)nup : 0;
	if (r->nparts > 1)
		stripes_begin(s, r, first);
	else
		part_begin(s, r, 0, 0, r->bytes, up_rail(s, first));
}

/* --- chunks --- */

/* An immediate goes with w, about the message that r is. */
static void imm_set(struct verbs_write *w, const struct verbs_send_request *r,
	enum verbs_imm_kind kind, uint32_t value)
{
	w->piece.has_imm = true;
	w->piece.kind = kind;
	w->imm = verbs_imm_encode((struct verbs_imm){
		.kind = kind, .slot = r->credit.slot, .entry = r->credit.entry, .value = value });
}

/* A write without bytes, for its immediate. */
static int say(
	struct verbs_sender *s, struct verbs_part *part, enum verbs_imm_kind kind, uint32_t value)
{
	struct verbs_send_request *r = part->request;
	struct verbs_rail *rail = &s->conn.rail[part->rail];
	struct verbs_write w = { .piece = { .part = part },
		.to = r->credit.to.addr,
		.rkey = r->credit.to.rkey[part->rail] };

	imm_set(&w, r, kind, value);
	return verbs_post(&s->conn, rail, &rail->qp[r->cls], &w);
}

/* Whether n more bytes are all of the message, and nobody has to hear of it before they are there.
 */
static bool is_whole(const struct verbs_send_request *r, enum lina_class cls, size_t n)
{
	return n == r->bytes && !r->begun && (cls == LINA_CLASS_BULK || n <= ANNOUNCE_BYTES);
}

/* Says the size ahead of the first bytes of part. The rail may break. */
static int begin(struct verbs_sender *s, struct verbs_part *part)
{
	struct verbs_send_request *r = part->request;
	uint32_t value = verbs_begin_value(r->bytes, r->nparts);

	r->begun = true;
	int err = say(s, part, VERBS_BEGIN, value);
	if (!err && verbs_begin_of(value).has_high)
		err = say(s, part, VERBS_HIGH, verbs_high_value(r->bytes));
	return err;
}

/* Its next n bytes are posted. */
static void bulk_count(struct verbs_send_rail *sr, uint64_t n)
{
	sr->bulk_left -= n;
	sr->bulk_told -= n;
	sr->bulk_posted += n;
}

/* Whether the receiver should hear what has been posted since it last did, of which n bytes just
 * now. It grants against what it has heard of, and while latency traffic comes it grants little
 * ahead and chunks are small: so every few of them, and at the latest when no more may be posted,
 * or each end would wait for the other. */
static bool is_report_due(const struct verbs_sender *s, const struct verbs_send_rail *sr,
	const struct verbs_qp *qp, uint64_t n)
{
	uint64_t due =
		n * REPORT_CHUNKS > REPORT_LEAST_BYTES ? n * REPORT_CHUNKS : REPORT_LEAST_BYTES;

	return qp->unreported >= (due < s->report_bytes ? due : s->report_bytes) ||
	       (qp->cls == LINA_CLASS_BULK && sr->granted == sr->bulk_posted);
}

static void imm_choose(struct verbs_sender *s, struct verbs_qp *qp, enum lina_class cls,
	const struct verbs_part *part, bool whole, struct verbs_write *w)
{
	const struct verbs_send_request *r = part->request;

	if (cls == LINA_CLASS_BULK)
		qp->unreported += w->piece.bytes;
	if (whole)
		imm_set(w, r, VERBS_WHOLE, w->piece.bytes);
	else if (part->ended || is_report_due(s, &s->rail[part->rail], qp, w->piece.bytes))
		imm_set(w, r, part->ended ? VERBS_END : VERBS_PROGRESS, qp->unreported);
	if (w->piece.has_imm)
		qp->unreported = 0;
}

/* Its bytes first, and its immediate in a request of its own: devices route only requests without
 * one each packet its own way. The rail may break in between. */
static int split_post(struct verbs_sender *s, struct verbs_rail *rail, struct verbs_qp *qp,
	const struct verbs_write *whole)
{
	struct verbs_write data = *whole, imm = *whole;

	data.piece.has_imm = data.signal = false;
	imm.piece.offset += imm.piece.bytes;
	imm.piece.bytes = 0;
	int err = verbs_post(&s->conn, rail, qp, &data);
	if (err || rail->state != VERBS_UP)
		return err;
	return verbs_post(&s->conn, rail, qp, &imm);
}

/* Posts the next n bytes of part, which is the first of its class's queue, and ahead of them the
 * size of the message, if it has to be said. The rail may break. Inline, as each of its two callers
 * has one class. */
static inline __attribute__((always_inline)) int chunk_post(struct verbs_sender *s,
	struct verbs_send_rail *sr, enum lina_class cls, struct verbs_part *part, size_t n)
{
	struct verbs_send_request *r = part->request;
	struct verbs_rail *rail = sr->rail;
	struct verbs_qp *qp = &rail->qp[cls];
	bool whole = is_whole(r, cls, n);

	int err = whole || r->begun ? 0 : begin(s, part);
	if (err || rail->state != VERBS_UP)
		return err;
	if (cls == LINA_CLASS_BULK)
		bulk_count(sr, n);
	struct verbs_write w = {
		.piece = { .part = part, .offset = part->at, .bytes = (uint32_t)n },
		.signal = true,
		.by_nic = n && r->mr->type != LINA_PTR_HOST,
		.from = r->data + part->at,
		.to = r->credit.to.addr + part->at,
		.lkey = n ? r->mr->mr[part->rail]->lkey : 0,
		.rkey = r->credit.to.rkey[part->rail]
	};
	part->at += n;
	part->ended = part->at == part->until;
	if (part->ended)
		STAILQ_REMOVE_HEAD(&sr->moving[cls], link);
	imm_choose(s, qp, cls, part, whole, &w);
	return w.piece.has_imm && n > rail->whole_bytes ? split_post(s, rail, qp, &w)
							: verbs_post(&s->conn, rail, qp, &w);
}

static bool can_post(const struct verbs_rail *rail, enum lina_class cls)
{
	return rail->state == VERBS_UP && verbs_qp_room(&rail->qp[cls]) >= MESSAGE_WRITES;
}

static uint64_t below_bytes(const struct verbs_rail *rail)
{
	return rail->qp[LINA_CLASS_LATENCY].below_bytes + rail->qp[LINA_CLASS_BULK].below_bytes;
}

/* Of n bytes of a latency message to a peer that is told apart from others, what may go now. A
 * request that was posted cannot be called back: what a colder peer has not posted yet is behind
 * all that the hot one has. */
static uint64_t hot_bytes(struct verbs_rail *rail, uint64_t n)
{
	struct lina_hot_flow *flow = &rail->flow[LINA_CLASS_LATENCY].hot;

	n = n < HOT_WRITE_MAX_BYTES ? n : HOT_WRITE_MAX_BYTES;
	uint64_t most = lina_hot_most_bytes(flow, lina_link_now_ns());
	return lina_peers_may(most, rail->qp[LINA_CLASS_LATENCY].below_bytes, n);
}

/* Enough for a millisecond of the port, in which somebody looks again; on a fast one that is more
 * than NCCL has under way. Soft-RoCE sends what is posted by the processor that posts it, and what
 * has to wait there by the one that receives, which has enough to do. */
static uint64_t latency_bytes(struct verbs_rail *rail, const struct verbs_part *part)
{
	uint64_t n = part->until - part->at, below = rail->qp[LINA_CLASS_LATENCY].below_bytes;
	uint64_t most = (uint64_t)rail->port->speed_mbps * WRITE_US / 8 / PAGE_BYTES * PAGE_BYTES;

	most = most < WRITE_MAX_BYTES ? most : WRITE_MAX_BYTES;
	most = most < rail->port->attr.max_msg_sz ? most : rail->port->attr.max_msg_sz;
	n = n < most ? n : most;
	if (below && below + n > WRITES_BELOW * most)
		return 0;
	return rail->flow[LINA_CLASS_LATENCY].hot.peer ? hot_bytes(rail, n) : n;
}

/* The link learns of latency messages before they go, but of a little one when it has gone: that is
 * one call in place of two. */
static void latency_tell(struct verbs_send_rail *sr, uint64_t known_little)
{
	uint64_t n = sr->latency_untold;

	if (n <= known_little)
		return;
	sr->latency_untold = 0;
	lina_link_post(&sr->rail->flow[LINA_CLASS_LATENCY], n);
}

static void latency_sent(struct verbs_send_rail *sr, uint64_t n)
{
	struct verbs_rail *rail = sr->rail;
	struct lina_link_flow *flow = &rail->flow[LINA_CLASS_LATENCY];
	uint64_t untold = sr->latency_untold;

	if (n > LITTLE_BYTES)
		lina_link_below(flow, below_bytes(rail));
	sr->latency_untold = 0;
	lina_link_went(flow, untold, n);
}

static int latency_push(struct verbs_sender *s, struct verbs_send_rail *sr)
{
	struct verbs_rail *rail = sr->rail;
	struct verbs_part *part;

	if (STAILQ_EMPTY(&sr->moving[LINA_CLASS_LATENCY]))
		return 0;
	latency_tell(sr, rail->flow[LINA_CLASS_LATENCY].hot.peer ? 0 : LITTLE_BYTES);
	while ((part = STAILQ_FIRST(&sr->moving[LINA_CLASS_LATENCY])) &&
		can_post(rail, LINA_CLASS_LATENCY)) {
		uint64_t n = latency_bytes(rail, part);
		if (!n && part->at < part->until)
			break;
		int err = chunk_post(s, sr, LINA_CLASS_LATENCY, part, n);
		if (err || rail->state != VERBS_UP)
			return err;
		latency_sent(sr, n);
	}
	latency_tell(sr, 0);
	return 0;
}

/* The link learns of bulk that moves when it is asked; here of bulk that has to wait for room. */
static void bulk_tell(struct verbs_send_rail *sr)
{
	uint64_t n = bulk_untold(sr);

	if (n)
		lina_link_post(&sr->rail->flow[LINA_CLASS_BULK], n);
}

/* Takes of part, the first of its queue, what grant and link let go. */
static uint64_t bulk_take(struct verbs_send_rail *sr, const struct verbs_part *part)
{
	struct verbs_rail *rail = sr->rail;
	uint64_t left = part->until - part->at, grant = sr->granted - sr->bulk_posted;

	left = left < grant ? left : grant;
	left = left < BULK_CHUNK_MAX_BYTES ? left : BULK_CHUNK_MAX_BYTES;
	if (!left)
		return 0;
	return lina_link_take(&rail->flow[LINA_CLASS_BULK], bulk_untold(sr), left,
		rail->qp[LINA_CLASS_BULK].below_bytes);
}

static int bulk_push(struct verbs_sender *s, struct verbs_send_rail *sr)
{
	struct verbs_rail *rail = sr->rail;
	struct verbs_part *part;

	if (sr->bulk_left > sr->granted - sr->bulk_posted)
		verbs_grants_pull(s, sr);
	while ((part = STAILQ_FIRST(&sr->moving[LINA_CLASS_BULK])) && rail->state == VERBS_UP) {
		if (!can_post(rail, LINA_CLASS_BULK)) {
			bulk_tell(sr);
			return 0;
		}
		bool measure = s->chunks++ % COST_EVERY == 0;
		uint64_t from_ns = measure ? lina_link_now_ns() : 0;
		uint64_t n = bulk_take(sr, part);
		if (!n && part->at < part->until)
			return 0;
		int err = chunk_post(s, sr, LINA_CLASS_BULK, part, n);
		if (err || rail->state != VERBS_UP)
			return err;
		if (measure)
			lina_link_cost(
				&rail->flow[LINA_CLASS_BULK], n, lina_link_now_ns() - from_ns);
	}
	return 0;
}

/* inline: as verbs_send_move. */
inline int verbs_send_push(struct verbs_sender *s)
{
	struct verbs_send_rail *sr = s->rail, *const end = sr + s->conn.nrails;
	int err = 0;

	for (; sr < end && !err; sr++) {
		err = latency_push(s, sr);
		if (!err)
			err = bulk_push(s, sr);
	}
	return err;
}

/* --- the end's calls --- */

static struct verbs_send_request *request_get(struct verbs_sender *s)
{
	struct verbs_send_request *r = s->request, *const end = r + VERBS_REQUESTS;

	for (; r < end; r++)
		if (r->state == VERBS_SEND_FREE)
			return r;
	return NULL;
}

int verbs_send(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
	struct lina_mr *mr, struct lina_request **request_p)
{
	struct verbs_sender *s = (struct verbs_sender *)conn;

	int err = s->conn.sock.err ? s->conn.sock.err : verbs_mr_check(mr, data, bytes);
	if (!err)
		err = verbs_credits_pull(s);
	if (err)
		return err;
	struct verbs_send_request *r = request_get(s);
	if (!r) {
		*request_p = NULL;
		return 0;
	}
	r->base.conn = conn;
	r->cls = cls;
	r->data = bytes ? data : nothing;
	r->bytes = bytes;
	r->tag = tag;
	r->mr = (const struct verbs_mr *)mr;
	s->conn.sock.in_flight++;
	err = verbs_credit_match(s, r);
	if (!err)
		err = verbs_send_push(s);
	if (err)
		return err;
	*request_p = &r->base;
	return 0;
}

static int progress(struct verbs_sender *s, const struct verbs_send_request *r)
{
	int err = verbs_credits_pull(s);
	for (int i = 0; i < s->conn.nrails && !err; i++)
		err = verbs_rail_poll(&s->conn, &s->conn.rail[i]);
	if (!err && s->conn.nbroken)
		verbs_send_settle(s);
	if (!err)
		err = verbs_send_push(s);
	return err || r->state == VERBS_SEND_DONE ? err : verbs_conn_idle(&s->conn);
}

int verbs_send_test(struct lina_request *request, int *done_p, int *bytes_p)
{
	struct verbs_send_request *r = (struct verbs_send_request *)request;
	struct verbs_sender *s = (struct verbs_sender *)request->conn;

	*done_p = 0;
	if (s->conn.sock.err)
		return s->conn.sock.err;
	int err = r->state == VERBS_SEND_DONE ? 0 : progress(s, r);
	if (err)
		return err;
	if (r->state != VERBS_SEND_DONE)
		return 0;
	if (bytes_p)
		*bytes_p = r->bytes < INT_MAX ? (int)r->bytes : INT_MAX;
	r->state = VERBS_SEND_FREE;
	s->conn.sock.in_flight--;
	*done_p = 1;
	return 0;
}
