/*
 * The listener and several strangers, who may know the secret. Steps:
 *   0  a stranger comes
 *   1  one sends: [who][length][bytes]
 *   2  one sends a right hello, changed: [who][lane][lanes][connection][place][change]
 *   3  accept
 *   4  one goes: [who]
 */
#include <errno.h>
#include <string.h>

#include "fuzz/fuzz.h"
#include "net/evil.h"

const unsigned fuzz_inputs = 3000;

enum { STRANGERS_MAX = 40, ACCEPTS_AT_END = 4, SECRET_AT = 16 };
enum { COME, SEND, HELLO, ACCEPT, GO, STEPS };

struct run {
	struct lina_net *net;
	struct lina_listener *listener;
	uint8_t handle[LINA_HANDLE_BYTES];
	uint8_t secret[LINA_SECRET_BYTES];
	bool secret_shown, accepted;
	int nstrangers, fd[STRANGERS_MAX];
};

static void run_open(struct run *r)
{
	struct lina_wire_handle h;

	*r = (struct run){ .net = fuzz_net("") };
	log_forget();
	if (lina_net_listen(r->net, 0, r->handle, &r->listener) ||
		lina_handle_decode(r->handle, &h))
		die("no listener");
	memcpy(r->secret, h.secret, sizeof(r->secret));
}

static void say(struct run *r, unsigned who, const uint8_t *bytes, size_t n)
{
	int fd = r->nstrangers ? r->fd[who % (unsigned)r->nstrangers] : -1;

	if (fd >= 0)
		evil_send(fd, bytes, n);
}

static void hello(struct run *r, unsigned who, struct script *s)
{
	struct lina_wire_hello h = { 0 };
	uint8_t bytes[LINA_HELLO_BYTES];

	memcpy(h.secret, r->secret, sizeof(h.secret));
	h.lane = script_byte(s);
	h.nlanes = script_byte(s);
	h.conn_id = script_byte(s);
	lina_hello_encode(&h, bytes);
	unsigned place = script_byte(s) % LINA_HELLO_BYTES;
	bytes[place] ^= script_byte(s);
	r->secret_shown |= memcmp(bytes + SECRET_AT, r->secret, sizeof(r->secret)) == 0;
	say(r, who, bytes, sizeof(bytes));
}

/* Only who has shown the secret gets in. */
static void accept_once(struct run *r)
{
	struct lina_conn *conn = NULL;

	if (r->accepted)
		return;
	FUZZ_CHECK(lina_net_accept(r->listener, &conn) == 0);
	if (!conn)
		return;
	FUZZ_CHECK(r->secret_shown);
	r->accepted = true;
	(void)lina_net_close_recv(conn);
}

static void go(struct run *r, unsigned who)
{
	int *fd = r->nstrangers ? &r->fd[who % (unsigned)r->nstrangers] : NULL;

	if (fd && *fd >= 0) {
		evil_reset(*fd);
		*fd = -1;
	}
}

static void step(struct run *r, struct script *s)
{
	int what = script_byte(s) % STEPS;

	if (what == ACCEPT) {
		accept_once(r);
		return;
	}
	if (what == COME) {
		if (r->nstrangers < STRANGERS_MAX)
			r->fd[r->nstrangers++] = evil_dial(r->handle);
		return;
	}
	unsigned who = script_byte(s);
	if (what == SEND) {
		size_t n;
		const uint8_t *bytes = script_bytes(s, script_byte(s), &n);
		say(r, who, bytes, n);
	} else if (what == HELLO) {
		hello(r, who, s);
	} else {
		go(r, who);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct script s = { data, size };
	struct run r;

	run_open(&r);
	while (s.left)
		step(&r, &s);
	for (int i = 0; i < ACCEPTS_AT_END; i++)
		accept_once(&r);
	FUZZ_CHECK(log_warnings() == 0);
	for (int i = 0; i < r.nstrangers; i++)
		go(&r, (unsigned)i);
	(void)lina_net_close_listen(r.listener);
	return 0;
}

/* --- good inputs --- */

static void put_hello(struct script_writer *w, int who, int lane, int nlanes)
{
	const uint8_t bytes[] = { HELLO, (uint8_t)who, (uint8_t)lane, (uint8_t)nlanes, 7, 0, 0 };

	script_put(w, bytes, sizeof(bytes));
}

static void seed_lanes(struct script_writer *w, int nlanes)
{
	for (int i = 0; i < nlanes; i++)
		script_put_byte(w, COME);
	for (int i = 0; i < nlanes; i++) {
		put_hello(w, i, nlanes - 1 - i, nlanes);
		script_put_byte(w, ACCEPT);
	}
}

/* One who says wrong things, one who goes, and the peer. */
static void seed_strangers(struct script_writer *w)
{
	static const uint8_t wrong[] = { SEND, 0, 8, 'L', 'I', 'N', 'A', 0, 1, 0, 1 };

	for (int i = 0; i < 3; i++)
		script_put_byte(w, COME);
	script_put(w, wrong, sizeof(wrong));
	script_put_byte(w, ACCEPT);
	script_put_byte(w, GO);
	script_put_byte(w, 1);
	script_put_byte(w, COME);
	put_hello(w, 2, 0, 2);
	put_hello(w, 3, 1, 2);
	script_put_byte(w, ACCEPT);
}

size_t fuzz_seed(unsigned i, uint8_t *out, size_t room)
{
	struct script_writer w = { out, 0, room };

	if (i == 0)
		seed_lanes(&w, 2);
	else if (i == 1)
		seed_lanes(&w, 17);
	else if (i == 2)
		seed_strangers(&w);
	return w.used;
}
