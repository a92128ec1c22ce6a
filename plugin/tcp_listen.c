/*
 * Listening. Whoever connects is a stranger until the first LINA_HELLO_BYTES bytes show the
 * listener's secret. A stranger costs one row of a fixed table and a descriptor; it goes when it
 * says something wrong, says nothing for too long, or the table is full and it has waited longest.
 * The peer dials again if that befalls it, so a flood delays it and does not keep it out.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "plugin/log.h"
#include "plugin/sock.h"
#include "plugin/tcp_meet.h"

enum {
	STRANGERS_MAX = 32,
	ARRIVALS_MAX = 256, /* taken from the kernel's queue by one call of accept */
};

struct stranger {
	int fd; /* -1: free row */
	union lina_addr from;
	uint64_t deadline_ns;
	size_t got;
	uint8_t hello[LINA_HELLO_BYTES];
};

struct tcp_listener {
	struct lina_listener base;
	struct tcp_meet meet; /* but for addr, which is bound to */
	int fd;
	uint8_t secret[LINA_SECRET_BYTES];
	unsigned turned_away; /* strangers */
	struct stranger stranger[STRANGERS_MAX];
	uint64_t conn_id;            /* of the attempt that the lanes below belong to */
	union lina_addr peer;        /* who makes it */
	uint64_t deadline_ns;        /* when its maker has given it up */
	int nlanes;                  /* 0: the peer has not been here */
	int lane_fd[LINA_LANES_MAX]; /* -1: this lane has not been here */
};

static void lanes_close(struct tcp_listener *l)
{
	for (int i = 0; i < LINA_LANES_MAX; i++) {
		lina_sock_close(l->lane_fd[i]);
		l->lane_fd[i] = -1;
	}
	l->nlanes = 0;
}

static void stranger_drop(struct tcp_listener *l, struct stranger *s, const char *why)
{
	char text[LINA_ADDR_TEXT_BYTES];

	if (l->turned_away++ == 0)
		lina_info("turned %s away: it %s (said once for this listener)",
			lina_addr_text(&s->from, text), why);
	lina_sock_close(s->fd);
	s->fd = -1;
}

static void listener_close(struct lina_object *object)
{
	struct tcp_listener *l = (struct tcp_listener *)object;

	if (l->turned_away > 1)
		lina_info("turned %u strangers away", l->turned_away);
	for (int i = 0; i < STRANGERS_MAX; i++)
		lina_sock_close(l->stranger[i].fd);
	lanes_close(l);
	lina_sock_close(l->fd);
	free(l);
}

static int listen_fail(int err, const union lina_addr *addr)
{
	char text[LINA_ADDR_TEXT_BYTES], why[LINA_ERROR_TEXT_BYTES];

	lina_warn("cannot listen or accept on %s: %s", lina_addr_text(addr, text),
		lina_sock_error(err, why));
	return err;
}

int tcp_meet_listen(const struct tcp_meet *meet, struct lina_wire_handle *handle_p,
	struct lina_listener **listener_p)
{
	const union lina_addr *addr = &meet->addr;

	struct tcp_listener *l = calloc(1, sizeof(*l));
	if (!l)
		return listen_fail(-ENOMEM, addr);
	for (int i = 0; i < STRANGERS_MAX; i++)
		l->stranger[i].fd = -1;
	for (int i = 0; i < LINA_LANES_MAX; i++)
		l->lane_fd[i] = -1;
	l->meet = *meet;
	l->base.object.close = listener_close;
	int err = getrandom(l->secret, sizeof(l->secret), 0) < 0 ? -errno : 0;
	if (!err)
		err = lina_sock_listen(addr, &l->fd, &handle_p->addr);
	if (err) {
		free(l);
		return listen_fail(err, addr);
	}
	l->meet.addr = handle_p->addr;
	handle_p->transport = meet->transport;
	memcpy(handle_p->secret, l->secret, sizeof(l->secret));
	*listener_p = &l->base;
	return 0;
}

/* How long the connector tries. */
static uint64_t timeout_ns(const struct tcp_listener *l)
{
	return (uint64_t)l->meet.config->connect_timeout_ms * 1000000u;
}

/* Who does not introduce himself within the connector's time, or ours, is not the connector. */
static uint64_t hello_ns(const struct tcp_listener *l)
{
	const uint64_t ours = TCP_HELLO_TIMEOUT_MS * 1000000ull;
	return timeout_ns(l) < ours ? timeout_ns(l) : ours;
}

/* Takes the same time wherever the difference is. */
static bool secret_equal(const uint8_t *a, const uint8_t *b)
{
	unsigned different = 0;
	for (int i = 0; i < LINA_SECRET_BYTES; i++)
		different |= (unsigned)(a[i] ^ b[i]);
	return different == 0;
}

static struct lina_wire_welcome welcome_of(const struct tcp_listener *l, uint64_t conn_id)
{
	return (struct lina_wire_welcome){
		.conn_id = conn_id,
		.early_bytes = l->meet.early_bytes,
		.grant_bytes = l->meet.grant_bytes,
	};
}

static int welcome_send(const struct tcp_listener *l, int fd, uint64_t conn_id)
{
	const struct lina_wire_welcome welcome = welcome_of(l, conn_id);
	uint8_t bytes[LINA_WELCOME_BYTES];
	struct iovec iov = { bytes, sizeof(bytes) };

	lina_welcome_encode(&welcome, bytes);
	ssize_t n = lina_sock_send(fd, &iov, 1); /* a new socket has room for it */
	return n == (ssize_t)sizeof(bytes) ? 0 : -ECONNRESET;
}

/* The peer has shown the secret: its socket becomes a lane. A new attempt replaces an old one, and
 * a lane dialed again its predecessor, since the peer has given those up. */
static void lane_take(
	struct tcp_listener *l, struct stranger *s, const struct lina_wire_hello *hello)
{
	if (l->nlanes && (hello->conn_id != l->conn_id || hello->nlanes != l->nlanes))
		lanes_close(l);
	if (welcome_send(l, s->fd, hello->conn_id)) {
		stranger_drop(l, s, "left before it was let in");
		return;
	}
	if (!l->nlanes)
		l->deadline_ns = tcp_now_ns() + timeout_ns(l);
	l->conn_id = hello->conn_id;
	l->nlanes = hello->nlanes;
	l->peer = s->from;
	lina_sock_close(l->lane_fd[hello->lane]);
	l->lane_fd[hello->lane] = s->fd;
	s->fd = -1;
}

static void hello_check(struct tcp_listener *l, struct stranger *s)
{
	struct lina_wire_hello hello;

	int err = lina_hello_decode(s->hello, &hello);
	if (err == -EPROTONOSUPPORT)
		stranger_drop(l, s, "speaks another version of this plugin's protocol");
	else if (err || hello.nlanes < l->meet.least_lanes)
		stranger_drop(l, s, "does not speak this plugin's protocol");
	else if (!secret_equal(hello.secret, l->secret))
		stranger_drop(l, s, "does not know this listener's secret");
	else
		lane_take(l, s, &hello);
}

static void stranger_hear(struct tcp_listener *l, struct stranger *s, uint64_t now_ns)
{
	struct iovec rest = { s->hello + s->got, sizeof(s->hello) - s->got };

	ssize_t n = lina_sock_recv(s->fd, &rest, 1);
	if (n > 0) {
		s->got += (size_t)n;
		if (s->got == sizeof(s->hello))
			hello_check(l, s);
	} else if (n != -EAGAIN) {
		stranger_drop(l, s, "left without a word");
	} else if (now_ns >= s->deadline_ns) {
		stranger_drop(l, s, "did not introduce itself in time");
	}
}

/* A free row, if need be that of the stranger who has waited longest. */
static struct stranger *row_get(struct tcp_listener *l)
{
	struct stranger *oldest = &l->stranger[0];

	for (int i = 0; i < STRANGERS_MAX; i++) {
		struct stranger *s = &l->stranger[i];
		if (s->fd < 0)
			return s;
		if (s->deadline_ns < oldest->deadline_ns)
			oldest = s;
	}
	stranger_drop(l, oldest, "said nothing while many others came");
	return oldest;
}

static bool stranger_any(const struct tcp_listener *l)
{
	for (int i = 0; i < STRANGERS_MAX; i++)
		if (l->stranger[i].fd >= 0)
			return true;
	return false;
}

static bool lanes_complete(const struct tcp_listener *l)
{
	for (int i = 0; i < l->nlanes; i++)
		if (l->lane_fd[i] < 0)
			return false;
	return l->nlanes > 0;
}

/* Takes in who waits. Without descriptors left the strangers' own are given up first. */
static int arrivals_take(struct tcp_listener *l, uint64_t now_ns)
{
	for (int i = 0; i < ARRIVALS_MAX && !lanes_complete(l); i++) {
		int fd;
		union lina_addr from;
		int err = lina_sock_accept(l->fd, &fd, &from);
		if ((err == -EMFILE || err == -ENFILE) && stranger_any(l)) {
			for (int k = 0; k < STRANGERS_MAX; k++)
				if (l->stranger[k].fd >= 0)
					stranger_drop(
						l, &l->stranger[k], "held a scarce descriptor");
			continue;
		}
		if (err)
			return err == -EAGAIN ? 0 : listen_fail(err, &l->meet.addr);
		struct stranger *s = row_get(l);
		s->fd = fd;
		s->from = from;
		s->got = 0;
		s->deadline_ns = now_ns + hello_ns(l);
		stranger_hear(l, s, now_ns);
	}
	return 0;
}

/* A peer that died between its lanes. */
static int attempt_check(struct tcp_listener *l, uint64_t now_ns)
{
	char text[LINA_ADDR_TEXT_BYTES];
	int here = 0;

	if (!l->nlanes || now_ns < l->deadline_ns)
		return -EAGAIN;
	for (int i = 0; i < l->nlanes; i++)
		here += l->lane_fd[i] >= 0;
	lina_warn("accepting %s failed: only %d of its %d lanes came within "
		  "LINA_CONNECT_TIMEOUT_MS=%d",
		lina_addr_text(&l->peer, text), here, l->nlanes,
		l->meet.config->connect_timeout_ms);
	lanes_close(l);
	return -ETIMEDOUT;
}

int tcp_meet_accept(struct lina_listener *listener, struct tcp_end *end_p)
{
	struct tcp_listener *l = (struct tcp_listener *)listener;
	uint64_t now_ns = tcp_now_ns();

	for (int i = 0; i < STRANGERS_MAX; i++)
		if (l->stranger[i].fd >= 0)
			stranger_hear(l, &l->stranger[i], now_ns);
	int err = arrivals_take(l, now_ns);
	if (err)
		return err;
	if (!lanes_complete(l))
		return attempt_check(l, now_ns);
	*end_p = (struct tcp_end){ .config = l->meet.config,
		.link = l->meet.link,
		.peer = l->peer,
		.nlanes = l->nlanes,
		.welcome = welcome_of(l, l->conn_id) };
	memcpy(end_p->fd, l->lane_fd, sizeof(end_p->fd));
	for (int i = 0; i < l->nlanes; i++)
		l->lane_fd[i] = -1;
	l->nlanes = 0;
	return 0;
}
