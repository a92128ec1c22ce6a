/*
 * The receiving end and a peer that made a right handshake: [lanes] and steps. A receive that has
 * ended, in whatever way, is the caller's again; no other memory is written to at all.
 *   0  post: [n] and for each buffer [tag][room / 16]
 *   1  the peer sends: [lane][length][bytes]
 *   2  the peer sends what nobody has to spell out: [lane][length / 8]
 *   3  test: [request]
 *   4  the peer closes: [lane, or that of credits]
 *   5  the peer sends a header: [lane, bulk where the highest bit is set][slot][entry][seq][message
 * / 8][offset / 8][length / 8] 6  the same of an early message: [lane][tag][seen][message / 8]
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "fuzz/receiver.h"
#include "net/evil.h"
#include "plugin/tcp_recv.h"

const unsigned fuzz_inputs = 10000;

enum {
	GRANT_BYTES = 4096,
	POSTS_MAX = 24,
	LANES_MAX = 4,
	FED_MAX_BYTES = 32 << 10,
	TESTS_AT_END = 8
};

struct post {
	struct lina_request *request; /* NULL: has ended */
	int n;
	struct guarded buffer[LINA_RECVS_MAX];
};

struct run {
	struct lina_listener *listener;
	struct lina_conn *conn;
	int nlanes, fd[LANES_MAX + 1]; /* of data, and then the one of credits */
	size_t fed, received;          /* bytes that the peer sent; buffers whose message came */
	int nposts, err;
	uint64_t granted; /* as the peer has heard */
	size_t nheard;
	uint8_t heard[LINA_CREDIT_MAX_BYTES]; /* of a credit or grant */
	struct post post[POSTS_MAX];
};

static void run_open(struct run *r, int nlanes)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_net *net = fuzz_net("LINA_EARLY_BYTES=4096 LINA_GRANT_BYTES=4096 "
					"LINA_LINGER_US=0 LINA_HOLD_MAX_MS=1");

	*r = (struct run){ .nlanes = nlanes, .granted = GRANT_BYTES };
	log_forget();
	if (lina_net_listen(net, 0, handle, &r->listener))
		die("no listener");
	evil_sender(r->listener, handle, nlanes, r->fd, &r->conn);
}

static void post_end(struct post *p)
{
	p->request = NULL;
	for (int i = 0; i < p->n; i++)
		guarded_seal(&p->buffer[i]);
}

/* The first error is the last: each call gives it from now on, and the log has it once. */
static void run_fails(struct run *r, int err)
{
	FUZZ_CHECK(err < 0 && (!r->err || r->err == err));
	r->err = err;
	FUZZ_CHECK(log_warnings() == 1);
	for (int i = 0; i < r->nposts; i++)
		for (int k = 0; k < r->post[i].n; k++)
			guarded_seal(&r->post[i].buffer[k]);
}

static void post(struct run *r, struct script *s)
{
	int n = 1 + script_byte(s) % LINA_RECVS_MAX;
	void *data[LINA_RECVS_MAX];
	size_t bytes[LINA_RECVS_MAX];
	int tags[LINA_RECVS_MAX];

	if (r->nposts == POSTS_MAX)
		return;
	struct post *p = &r->post[r->nposts++];
	p->n = n;
	for (int i = 0; i < n; i++) {
		tags[i] = script_byte(s);
		bytes[i] = (size_t)script_byte(s) * 16;
		guarded_open(&p->buffer[i], bytes[i]);
		data[i] = guarded_data(&p->buffer[i]);
	}
	int err = lina_net_recv(r->conn, n, data, bytes, tags, NULL, NULL, &p->request);
	FUZZ_CHECK(!r->err || err == r->err);
	if (err) {
		p->request = NULL;
		run_fails(r, err);
	}
}

static void feed(struct run *r, int lane, const void *bytes, size_t n)
{
	r->fed += n;
	if (r->fd[lane] >= 0 && r->fed <= FED_MAX_BYTES)
		evil_send(r->fd[lane], bytes, n);
}

/* What the receiving end says is credits, and grants that grow and reach no further than they may.
 */
static void heard_check(struct run *r)
{
	struct lina_wire_credit credit;
	struct lina_wire_grant grant;
	bool is_grant = lina_is_grant(r->heard[0]);

	int n = is_grant ? lina_grant_decode(r->heard, r->nheard, &grant)
			 : lina_credit_decode(r->heard, r->nheard, &credit);
	FUZZ_CHECK(n >= 0);
	if (n == 0)
		return;
	r->nheard = 0;
	if (!is_grant)
		return;
	FUZZ_CHECK(grant.bytes > r->granted && grant.bytes <= GRANT_BYTES + r->fed);
	r->granted = grant.bytes;
}

static void peer_hear(struct run *r)
{
	uint8_t bytes[4096];
	ssize_t n;

	const int fd = r->fd[r->nlanes];

	while (fd >= 0 && (n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			r->heard[r->nheard++] = bytes[i];
			heard_check(r);
		}
}

static void grants_check(const struct run *r)
{
	const struct tcp_receiver *t = (const struct tcp_receiver *)r->conn;

	FUZZ_CHECK(t->bulk_got <= t->bulk_begun && t->bulk_begun <= t->granted);
	FUZZ_CHECK(t->granted - t->bulk_got <= GRANT_BYTES);
}

static void test(struct run *r, struct post *p)
{
	int bytes[LINA_RECVS_MAX], done = 0;

	if (!p->request)
		return;
	int err = lina_net_test(p->request, &done, bytes);
	grants_check(r);
	peer_hear(r);
	FUZZ_CHECK(!r->err || err == r->err);
	if (err) {
		FUZZ_CHECK(!done);
		run_fails(r, err);
	} else if (done) {
		for (int i = 0; i < p->n; i++)
			FUZZ_CHECK(bytes[i] >= 0 && (size_t)bytes[i] <= p->buffer[i].bytes);
		r->received += (size_t)p->n;
		FUZZ_CHECK(r->fed >= r->received * LINA_DATA_HEAD_BYTES);
		post_end(p);
	}
}

static void header(struct run *r, int lane, const struct lina_wire_data *d)
{
	uint8_t head[LINA_DATA_HEAD_BYTES];

	lina_data_encode(d, head);
	feed(r, lane, head, sizeof(head));
}

static void part(struct run *r, int lane, bool bulk, struct script *s)
{
	struct lina_wire_data d = { .bulk = bulk, .slot = script_byte(s) };

	d.entry = script_byte(s);
	d.seq = script_byte(s);
	d.message_bytes = (uint64_t)script_byte(s) * 8;
	d.offset = (uint64_t)script_byte(s) * 8;
	d.length = script_byte(s) * 8u;
	header(r, lane, &d);
}

static void early(struct run *r, int lane, bool bulk, struct script *s)
{
	struct lina_wire_data d = { .early = true, .bulk = bulk, .tag = script_byte(s) };

	d.seen = script_byte(s);
	d.length = script_byte(s) * 8u;
	d.message_bytes = d.length;
	header(r, lane, &d);
}

static void peer_close(struct run *r, int lane)
{
	if (r->fd[lane] >= 0)
		(void)close(r->fd[lane]);
	r->fd[lane] = -1;
}

static void step(struct run *r, struct script *s)
{
	static const uint8_t filler[255 * 8] = { 1, 2, 3 };
	int what = script_byte(s) % STEPS;

	if (what == POST) {
		post(r, s);
		return;
	}
	unsigned which = script_byte(s);
	int lane = (int)(which % BULK % (unsigned)r->nlanes);
	if (what == SEND) {
		size_t n;
		const uint8_t *bytes = script_bytes(s, script_byte(s), &n);
		feed(r, lane, bytes, n);
	} else if (what == FILL) {
		feed(r, lane, filler, script_byte(s) * (size_t)8);
	} else if (what == TEST && r->nposts) {
		test(r, &r->post[which % (unsigned)r->nposts]);
	} else if (what == PART) {
		part(r, lane, which & BULK, s);
	} else if (what == EARLY) {
		early(r, lane, which & BULK, s);
	} else if (what == CLOSE) {
		peer_close(r, (int)(which % ((unsigned)r->nlanes + 1)));
	}
}

static void run_close(struct run *r)
{
	const struct lina_sched *sched =
		((const struct tcp_receiver *)r->conn)->flow[LINA_CLASS_BULK].flow.sched;

	peer_hear(r);
	for (int i = 0; i <= r->nlanes; i++)
		if (r->fd[i] >= 0)
			evil_reset(r->fd[i]);
	(void)lina_net_close_recv(r->conn);
	FUZZ_CHECK(sched->latency_queued_bytes == 0 && sched->nbulk == 0);
	(void)lina_net_close_listen(r->listener);
	FUZZ_CHECK(log_warnings() == (r->err ? 1 : 0));
	for (int i = 0; i < r->nposts; i++)
		for (int k = 0; k < r->post[i].n; k++)
			guarded_close(&r->post[i].buffer[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct run r;

	run_open(&r, 1 + script_byte(&s) % LANES_MAX);
	while (s.left)
		step(&r, &s);
	for (int i = 0; i < TESTS_AT_END; i++)
		for (int k = 0; k < r.nposts; k++)
			test(&r, &r.post[k]);
	run_close(&r);
	return 0;
}
