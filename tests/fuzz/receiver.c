/*
 * The receiving end and a peer that made a right handshake: [lanes] and steps. A receive that has
 * ended, in whatever way, is the caller's again; no other memory is written to at all.
 *   0  post: [n] and for each buffer [tag][room / 16]
 *   1  the peer sends: [lane][length][bytes]
 *   2  the peer sends what nobody has to spell out: [lane][length / 8]
 *   3  test: [request]
 *   4  the peer closes: [lane]
 *   5  the peer sends a header: [lane][slot][entry][seq][message / 8][offset / 8][length / 8]
 *   6  the same of an early message: [lane][tag][seen][message / 8]
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "net/evil.h"

const unsigned fuzz_inputs = 10000;

enum { POSTS_MAX = 24, LANES_MAX = 4, FED_MAX_BYTES = 32 << 10, TESTS_AT_END = 8 };
enum { POST, SEND, FILL, TEST, CLOSE, PART, EARLY, STEPS };

struct post {
	struct lina_request *request; /* NULL: has ended */
	int n;
	struct guarded buffer[LINA_RECVS_MAX];
};

struct run {
	struct lina_listener *listener;
	struct lina_conn *conn;
	int nlanes, fd[LANES_MAX];
	size_t fed, received; /* bytes that the peer sent; buffers whose message came */
	int nposts, err;
	struct post post[POSTS_MAX];
};

static void run_open(struct run *r, int nlanes)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_net *net = fuzz_net("LINA_EARLY_BYTES=4096");

	*r = (struct run){ .nlanes = nlanes };
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

static void test(struct run *r, struct post *p)
{
	int bytes[LINA_RECVS_MAX], done = 0;

	if (!p->request)
		return;
	int err = lina_net_test(p->request, &done, bytes);
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

static void part(struct run *r, int lane, struct script *s)
{
	struct lina_wire_data d = { .slot = script_byte(s) };

	d.entry = script_byte(s);
	d.seq = script_byte(s);
	d.message_bytes = (uint64_t)script_byte(s) * 8;
	d.offset = (uint64_t)script_byte(s) * 8;
	d.length = script_byte(s) * 8u;
	header(r, lane, &d);
}

static void early(struct run *r, int lane, struct script *s)
{
	struct lina_wire_data d = { .early = true, .tag = script_byte(s) };

	d.seen = script_byte(s);
	d.length = script_byte(s) * 8u;
	d.message_bytes = d.length;
	header(r, lane, &d);
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
	int lane = (int)(which % (unsigned)r->nlanes);
	if (what == SEND) {
		size_t n;
		const uint8_t *bytes = script_bytes(s, script_byte(s), &n);
		feed(r, lane, bytes, n);
	} else if (what == FILL) {
		feed(r, lane, filler, script_byte(s) * (size_t)8);
	} else if (what == TEST && r->nposts) {
		test(r, &r->post[which % (unsigned)r->nposts]);
	} else if (what == PART) {
		part(r, lane, s);
	} else if (what == EARLY) {
		early(r, lane, s);
	} else if (what == CLOSE && r->fd[lane] >= 0) {
		(void)close(r->fd[lane]);
		r->fd[lane] = -1;
	}
}

static void run_close(struct run *r)
{
	for (int i = 0; i < r->nlanes; i++)
		if (r->fd[i] >= 0)
			evil_reset(r->fd[i]);
	(void)lina_net_close_recv(r->conn);
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

/* --- inputs to begin with --- */

static void put_post(struct script_writer *w, int n, int tag, int room16)
{
	script_put_byte(w, POST);
	script_put_byte(w, (unsigned)n - 1);
	for (int i = 0; i < n; i++) {
		script_put_byte(w, (unsigned)(tag + i));
		script_put_byte(w, (unsigned)room16);
	}
}

static void put_test(struct script_writer *w, int post)
{
	script_put_byte(w, TEST);
	script_put_byte(w, (unsigned)post);
}

static void put_part(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	const uint8_t step[] = { PART, (uint8_t)lane, (uint8_t)d->slot, d->entry, (uint8_t)d->seq,
		(uint8_t)(d->message_bytes / 8), (uint8_t)(d->offset / 8),
		(uint8_t)(d->length / 8) };

	script_put(w, step, sizeof(step));
}

static void put_early(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	const uint8_t step[] = { EARLY, (uint8_t)lane, (uint8_t)d->tag, (uint8_t)d->seen,
		(uint8_t)(d->length / 8) };

	script_put(w, step, sizeof(step));
}

static void put_fill(struct script_writer *w, int lane, size_t bytes)
{
	const uint8_t step[] = { FILL, (uint8_t)lane, (uint8_t)(bytes / 8) };

	script_put(w, step, sizeof(step));
}

/* A frame whose payload is a multiple of 8. */
static void put_frame(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	if (d->early)
		put_early(w, lane, d);
	else
		put_part(w, lane, d);
	put_fill(w, lane, d->length);
}

/* The same as bytes, every one of which a mutation can reach. */
static void put_raw(struct script_writer *w, int lane, const struct lina_wire_data *d)
{
	uint8_t head[LINA_DATA_HEAD_BYTES];

	lina_data_encode(d, head);
	script_put_byte(w, SEND);
	script_put_byte(w, (unsigned)lane);
	script_put_byte(w, sizeof(head));
	script_put(w, head, sizeof(head));
	put_fill(w, lane, d->length);
}

static struct lina_wire_data part_of(int slot, int entry, unsigned bytes)
{
	return (struct lina_wire_data){ .slot = (uint16_t)slot,
		.entry = (uint8_t)entry,
		.seq = 1,
		.message_bytes = bytes,
		.length = bytes };
}

static struct lina_wire_data early_of(int tag, unsigned seen, unsigned bytes)
{
	return (struct lina_wire_data){
		.early = true, .tag = tag, .seen = seen, .message_bytes = bytes, .length = bytes
	};
}

/* One message in each of two lanes, and its slot used again. */
static void seed_parts(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 1600);

	script_put_byte(w, 1);
	put_post(w, 1, 5, 100);
	d.length = 800;
	put_frame(w, 0, &d);
	put_test(w, 0);
	d.offset = 800;
	put_frame(w, 1, &d);
	put_test(w, 0);
	put_post(w, 1, 5, 10);
	d = part_of(0, 0, 80);
	d.seq = 2;
	put_frame(w, 0, &d);
	put_test(w, 1);
}

/* A grouped receive of three and another receive that ends before it. */
static void seed_group(struct script_writer *w)
{
	script_put_byte(w, 0);
	put_post(w, 3, 1, 20);
	put_post(w, 1, 9, 20);
	for (int i = 2; i >= 0; i--) {
		struct lina_wire_data d = part_of(0, i, i ? 320 : 0);
		put_frame(w, 0, &d);
		if (i == 2) {
			d = part_of(1, 0, 160);
			put_frame(w, 0, &d);
			put_test(w, 1);
		}
	}
	put_test(w, 0);
}

/* Early messages: posted before, posted after, set aside. */
static void seed_early(struct script_writer *w)
{
	struct lina_wire_data d = early_of(3, 0, 64);

	script_put_byte(w, 0);
	put_post(w, 1, 3, 10);
	put_frame(w, 0, &d);
	put_test(w, 0);
	d = early_of(4, 1, 160);
	put_frame(w, 0, &d);
	put_post(w, 1, 8, 10);
	put_test(w, 1);
	d = early_of(8, 1, 0);
	put_frame(w, 0, &d);
	put_test(w, 1);
	put_post(w, 1, 4, 10);
	put_test(w, 2);
}

/* Both lanes carry payload of one message at the same time, and the later one ends first. */
static void seed_crossed(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 1600);

	script_put_byte(w, 1);
	put_post(w, 1, 5, 100);
	d.length = 800;
	put_part(w, 0, &d);
	put_fill(w, 0, 80);
	put_test(w, 0);
	d.offset = 800;
	put_part(w, 1, &d);
	put_fill(w, 1, 800);
	put_test(w, 0);
	put_fill(w, 0, 720);
	put_test(w, 0);
}

static void seed_raw(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 1, 320);

	script_put_byte(w, 0);
	put_post(w, 2, 1, 20);
	put_raw(w, 0, &d);
	d = early_of(1, 0, 320);
	put_raw(w, 0, &d);
	put_test(w, 0);
}

/* Nearly right: a message of no bytes comes twice, and stands for its neighbour. */
static void seed_twice(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 0);

	script_put_byte(w, 0);
	put_post(w, 2, 1, 20);
	put_part(w, 0, &d);
	put_part(w, 0, &d);
	put_test(w, 0);
}

/* Nearly right: the whole message on one lane while another still carries a part of it. */
static void seed_overlap(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 160);

	script_put_byte(w, 1);
	put_post(w, 1, 5, 10);
	put_post(w, 1, 6, 10);
	d.length = 80;
	put_part(w, 0, &d);
	put_test(w, 0);
	d.length = 160;
	put_frame(w, 1, &d);
	put_test(w, 0);
	put_fill(w, 0, 80);
	put_test(w, 1);
}

/* Nearly right: a slot that no receive has. */
static void seed_unused(struct script_writer *w)
{
	struct lina_wire_data d = part_of(1, 0, 0);

	script_put_byte(w, 0);
	put_post(w, 1, 5, 10);
	put_part(w, 0, &d);
	put_test(w, 0);
}

/* The peer leaves in the middle of a message. */
static void seed_close(struct script_writer *w)
{
	struct lina_wire_data d = part_of(0, 0, 320);

	script_put_byte(w, 0);
	put_post(w, 1, 3, 20);
	d.length = 160;
	put_frame(w, 0, &d);
	put_test(w, 0);
	script_put_byte(w, CLOSE);
	script_put_byte(w, 0);
	put_test(w, 0);
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	static void (*const seeds[])(struct script_writer *) = { seed_parts, seed_group, seed_early,
		seed_crossed, seed_raw, seed_close, seed_twice, seed_overlap, seed_unused };
	struct script_writer w = { out, 0, room };

	if (i >= sizeof(seeds) / sizeof(*seeds))
		return 0;
	seeds[i](&w);
	return w.used;
}
