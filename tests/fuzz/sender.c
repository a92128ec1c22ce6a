/*
 * The sending end and a peer that made a right handshake: [standing credit / 64][first grant / 64]
 * and steps. What it sends keeps to the protocol and to what was granted and is what it was given,
 * whatever credit it is told of.
 *   0  post: [tag, bulk where the highest bit is set][bytes / 16]
 *   1  the peer sends: [length][bytes]
 *   2  test: [request]
 *   3  the peer reads
 *   4  the peer closes
 *   5  the peer grants: [bytes in all / 64]
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "fuzz/fuzz.h"
#include "net/evil.h"
#include "plugin/tcp_send.h"

const unsigned fuzz_inputs = 10000;

enum { POSTS_MAX = 48, TESTS_AT_END = 8, CONTENT = 0x5a };
enum { POST, SEND, TEST, READ, CLOSE, GRANT, STEPS };
enum { BULK = 0x80 };

struct post {
	struct lina_request *request; /* NULL: has ended */
	struct guarded data;
};

struct run {
	struct lina_conn *conn;
	int fd, credit_fd; /* of data, of what the peer says */
	int nposts, err;
	struct post post[POSTS_MAX];
	size_t head_got; /* of a frame that the peer reads */
	uint64_t payload_left;
	uint8_t head[LINA_DATA_HEAD_BYTES];
	uint64_t granted, bulk; /* in all: by the peer, and what it read against that */
	bool nonsense;          /* what the peer says is none of the protocol any more */
	size_t nsaid;
	uint8_t said[LINA_CREDIT_MAX_BYTES]; /* of a credit or grant */
};

static void run_open(struct run *r, uint32_t early_bytes, uint32_t grant_bytes)
{
	struct lina_net *net = fuzz_net("LINA_LINGER_US=0 LINA_HOLD_MAX_MS=1");

	int fd[2];

	*r = (struct run){ .granted = grant_bytes };
	log_forget();
	evil_first_grant(grant_bytes);
	evil_receiver(net, early_bytes, fd, &r->conn);
	r->fd = fd[0];
	r->credit_fd = fd[1];
}

static void run_fails(struct run *r, int err)
{
	FUZZ_CHECK(err < 0 && (!r->err || r->err == err));
	r->err = err;
	FUZZ_CHECK(log_warnings() == 1);
}

static void post(struct run *r, struct script *s)
{
	int tag = script_byte(s);
	size_t bytes = script_byte(s) * (size_t)16;
	const int op = tag & BULK ? LINA_OP_ALLREDUCE : LINA_OP_ALLTOALL;
	const struct lina_net_attr attr = { .op = UINT32_C(1) << op };

	if (r->nposts == POSTS_MAX)
		return;
	struct post *p = &r->post[r->nposts++];
	guarded_open(&p->data, bytes);
	memset(guarded_data(&p->data), CONTENT, bytes);
	FUZZ_CHECK(lina_net_attr_set(r->conn->object.net, &attr) == 0);
	int err = lina_net_send(
		r->conn, guarded_data(&p->data), bytes, tag & ~BULK, NULL, NULL, &p->request);
	FUZZ_CHECK(!r->err || err == r->err);
	if (err) {
		p->request = NULL;
		run_fails(r, err);
	}
}

static void test(struct run *r, struct post *p)
{
	int bytes = 0, done = 0;

	if (!p->request)
		return;
	int err = lina_net_test(p->request, &done, &bytes);
	FUZZ_CHECK(!r->err || err == r->err);
	if (err) {
		FUZZ_CHECK(!done);
		run_fails(r, err);
	} else if (done) {
		FUZZ_CHECK(bytes >= 0 && (size_t)bytes == p->data.bytes);
		p->request = NULL;
	}
}

/* --- the peer --- */

/* One byte of the stream of frames. */
static void hear(struct run *r, uint8_t byte)
{
	struct lina_wire_data d;

	if (r->payload_left) {
		FUZZ_CHECK(byte == CONTENT);
		r->payload_left--;
		return;
	}
	r->head[r->head_got++] = byte;
	if (r->head_got < sizeof(r->head))
		return;
	r->head_got = 0;
	FUZZ_CHECK(lina_data_decode(r->head, &d) == 0);
	r->payload_left = d.length;
	if (!d.bulk || d.early)
		return;
	r->bulk += d.length;
	FUZZ_CHECK(r->bulk <= r->granted);
}

static void peer_read(struct run *r)
{
	uint8_t bytes[4096];
	ssize_t n;

	while (r->fd >= 0 && (n = recv(r->fd, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
		for (ssize_t i = 0; i < n; i++)
			hear(r, bytes[i]);
}

/* Follows what the peer grants, in whatever way it says so. */
static void said_follow(struct run *r)
{
	struct lina_wire_credit credit;
	struct lina_wire_grant grant = { 0 };
	bool is_grant = lina_is_grant(r->said[0]);

	int n = is_grant ? lina_grant_decode(r->said, r->nsaid, &grant)
			 : lina_credit_decode(r->said, r->nsaid, &credit);
	if (n != 0)
		r->nsaid = 0;
	r->nonsense = n < 0;
	if (grant.bytes > r->granted)
		r->granted = grant.bytes;
}

static void peer_say(struct run *r, const uint8_t *bytes, size_t n)
{
	if (r->fd < 0)
		return;
	evil_send(r->credit_fd, bytes, n);
	for (size_t i = 0; i < n && !r->nonsense; i++) {
		r->said[r->nsaid++] = bytes[i];
		said_follow(r);
	}
}

static void peer_grant(struct run *r, uint64_t bytes)
{
	uint8_t frame[LINA_GRANT_BYTES];

	lina_grant_encode(&(struct lina_wire_grant){ bytes }, frame);
	peer_say(r, frame, sizeof(frame));
}

static void peer_close(struct run *r)
{
	if (r->fd >= 0) {
		evil_reset(r->fd);
		evil_reset(r->credit_fd);
	}
	r->fd = -1;
}

static void step(struct run *r, struct script *s)
{
	size_t n;

	switch (script_byte(s) % STEPS) {
	case POST:
		post(r, s);
		break;
	case SEND: {
		const uint8_t *bytes = script_bytes(s, script_byte(s), &n);
		peer_say(r, bytes, n);
		break;
	}
	case GRANT:
		peer_grant(r, script_byte(s) * UINT64_C(64));
		break;
	case TEST: {
		unsigned which = script_byte(s);
		if (r->nposts)
			test(r, &r->post[which % (unsigned)r->nposts]);
		break;
	}
	case READ:
		peer_read(r);
		break;
	default:
		peer_close(r);
		break;
	}
}

static void data_check(const struct guarded *g)
{
	for (size_t i = 0; i < g->bytes; i++)
		FUZZ_CHECK(guarded_data(g)[i] == CONTENT);
}

static void run_close(struct run *r)
{
	const struct lina_sched *sched =
		((const struct tcp_sender *)r->conn)->flow[LINA_CLASS_BULK].flow.sched;

	peer_read(r);
	peer_close(r);
	(void)lina_net_close_send(r->conn);
	FUZZ_CHECK(sched->latency_queued_bytes == 0 && sched->nbulk == 0);
	FUZZ_CHECK(sched->below_bytes[LINA_CLASS_BULK] == 0);
	FUZZ_CHECK(log_warnings() == (r->err ? 1 : 0));
	for (int i = 0; i < r->nposts; i++) {
		data_check(&r->post[i].data);
		guarded_close(&r->post[i].data);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct run r;

	uint32_t early_bytes = script_byte(&s) * 64u, grant_bytes = script_byte(&s) * 64u;
	run_open(&r, early_bytes, grant_bytes);
	while (s.left)
		step(&r, &s);
	for (int i = 0; i < TESTS_AT_END; i++)
		for (int k = 0; k < r.nposts; k++)
			test(&r, &r.post[k]);
	run_close(&r);
	return 0;
}

/* --- good inputs --- */

static void put_post(struct script_writer *w, int tag, int bytes16)
{
	script_put_byte(w, POST);
	script_put_byte(w, (unsigned)tag);
	script_put_byte(w, (unsigned)bytes16);
}

static void put_test(struct script_writer *w, int post)
{
	script_put_byte(w, TEST);
	script_put_byte(w, (unsigned)post);
}

static void put_credit(struct script_writer *w, int slot, int n, int tag, uint64_t bytes)
{
	struct lina_wire_credit credit = { .slot = (uint16_t)slot, .seq = 1, .n = n };
	uint8_t encoded[LINA_CREDIT_MAX_BYTES];

	for (int i = 0; i < n; i++) {
		credit.entry[i].tag = tag + i;
		credit.entry[i].bytes = bytes;
	}
	size_t size = lina_credit_encode(&credit, encoded);
	script_put_byte(w, SEND);
	script_put_byte(w, (unsigned)size);
	script_put(w, encoded, size);
}

static void put_begin(struct script_writer *w, int early64, int grant64)
{
	script_put_byte(w, (unsigned)early64);
	script_put_byte(w, (unsigned)grant64);
}

/* Credit before and after its message. */
static void seed_credits(struct script_writer *w)
{
	put_begin(w, 0, 255);
	put_credit(w, 0, 1, 3, 1600);
	put_post(w, 3, 100);
	put_test(w, 0);
	put_post(w, 4, 10);
	put_test(w, 1);
	put_credit(w, 1, 1, 4, 4096);
	put_test(w, 1);
	script_put_byte(w, READ);
}

static void seed_group(struct script_writer *w)
{
	put_begin(w, 0, 255);
	for (int i = 0; i < 4; i++)
		put_post(w, 4 - i, i * 10);
	put_credit(w, 2, 4, 1, 4096);
	for (int i = 0; i < 4; i++)
		put_test(w, i);
}

/* Standing credit, used up and given back. */
static void seed_early(struct script_writer *w)
{
	put_begin(w, 8, 255);
	for (int i = 0; i < 6; i++) {
		put_post(w, i % 2, 8);
		put_test(w, i);
	}
	for (int i = 0; i < 6; i++)
		put_credit(w, i, 1, i % 2, 128);
	put_test(w, 5);
}

static void put_grant(struct script_writer *w, int bytes64)
{
	script_put_byte(w, GRANT);
	script_put_byte(w, (unsigned)bytes64);
}

/* Bulk that waits for grants, and latency traffic that passes it. */
static void seed_bulk(struct script_writer *w)
{
	put_begin(w, 0, 8);
	put_credit(w, 0, 1, 3, 4096);
	put_post(w, BULK | 3, 100);
	put_post(w, BULK | 5, 100);
	put_test(w, 0);
	script_put_byte(w, READ);
	put_credit(w, 1, 2, 5, 4096);
	put_post(w, 6, 10);
	put_test(w, 2);
	for (int i = 10; i < 60; i += 7) {
		put_grant(w, i);
		put_test(w, 0);
		put_test(w, 1);
		script_put_byte(w, READ);
	}
}

/* Both classes early, and a grant that goes backwards. */
static void seed_mixed(struct script_writer *w)
{
	put_begin(w, 100, 4);
	for (int i = 0; i < 6; i++)
		put_post(w, (i % 2 ? BULK : 0) | 4, 8);
	for (int i = 0; i < 6; i++)
		put_credit(w, i, 1, 4, 128);
	for (int i = 0; i < 6; i++)
		put_test(w, i);
	script_put_byte(w, READ);
	put_grant(w, 5);
	put_grant(w, 3);
	put_post(w, 9, 255);
	put_test(w, 6);
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static void (*const seeds[])(struct script_writer *) = { seed_credits, seed_group,
		seed_early, seed_bulk, seed_mixed };
	struct script_writer w = { out, 0, room };

	if (i >= sizeof(seeds) / sizeof(*seeds))
		return 0;
	seeds[i](&w);
	return w.used;
}
