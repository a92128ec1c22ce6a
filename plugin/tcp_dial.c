/*
 * Connecting. Each lane goes through a table of states; a lane that the listener's host turned
 * away (its queue was full, a flood of strangers pushed us out) starts again until time is up.
 */
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "plugin/log.h"
#include "plugin/route.h"
#include "plugin/sock.h"
#include "plugin/tcp_meet.h"

static const uint64_t redial_ns = 20000000; /* pause before a lane starts again */

enum lane_state { LANE_START, LANE_DIAL, LANE_HELLO, LANE_WELCOME, LANE_READY, LANE_NSTATES };

struct dial_lane {
	enum lane_state state;
	int fd;            /* -1: none */
	int err;           /* why it last started again */
	uint64_t start_ns; /* not before */
	size_t moved;      /* bytes of hello sent or of welcome received */
	uint8_t welcome[LINA_WELCOME_BYTES];
};

struct tcp_dial {
	struct lina_dial base;
	const struct lina_config *config;
	union lina_addr from, to;     /* from: of the device */
	bool binds;                   /* to from, or has a source that the kernel chooses */
	struct lina_wire_hello hello; /* but for its lane */
	uint64_t deadline_ns;         /* of lanes that the listener's host has not let in */
	uint64_t who;
	int32_t device;
	struct lina_link *link;
	bool said_late;
	struct lina_wire_welcome welcome; /* the last one */
	struct dial_lane lane[LINA_LANES_MAX];
};

/* The listener was there until now, for longer than the time to reach it: that begins again. */
static void time_again(struct tcp_dial *dial)
{
	uint64_t now_ns = tcp_now_ns();

	if (now_ns >= dial->deadline_ns)
		dial->deadline_ns = now_ns + (uint64_t)dial->config->connect_timeout_ms * 1000000u;
}

/* A step moves its lane to the next state and returns 0, or -EAGAIN, or why the lane failed. */
typedef int lane_step(struct tcp_dial *dial, struct dial_lane *lane);

static int step_start(struct tcp_dial *dial, struct dial_lane *lane)
{
	if (tcp_now_ns() < lane->start_ns)
		return -EAGAIN;
	int err = lina_sock_dial(dial->binds ? &dial->from : NULL, &dial->to, &lane->fd);
	if (err)
		return err;
	lane->moved = 0;
	lane->state = LANE_DIAL;
	return 0;
}

/* From here on it may have to wait for long, and would not hear that the listener's host is gone.
 */
static int step_dial(struct tcp_dial *dial, struct dial_lane *lane)
{
	int err = lina_sock_dialed(lane->fd);
	if (!err)
		err = lina_sock_keepalive(lane->fd, dial->config->peer_timeout_ms);
	if (!err)
		lane->state = LANE_HELLO;
	return err;
}

static int step_hello(struct tcp_dial *dial, struct dial_lane *lane)
{
	uint8_t bytes[LINA_HELLO_BYTES];
	struct lina_wire_hello hello = dial->hello;

	hello.lane = (uint8_t)(lane - dial->lane);
	lina_hello_encode(&hello, bytes);
	struct iovec rest = { bytes + lane->moved, sizeof(bytes) - lane->moved };
	ssize_t n = lina_sock_send(lane->fd, &rest, 1);
	if (n < 0)
		return (int)n;
	lane->moved += (size_t)n;
	if (lane->moved < sizeof(bytes))
		return -EAGAIN;
	lane->moved = 0;
	lane->state = LANE_WELCOME;
	return 0;
}

static int step_welcome(struct tcp_dial *dial, struct dial_lane *lane)
{
	struct lina_wire_welcome welcome;
	struct iovec rest = { lane->welcome + lane->moved, sizeof(lane->welcome) - lane->moved };

	ssize_t n = lina_sock_recv(lane->fd, &rest, 1);
	if (n < 0)
		return (int)n;
	if (!lane->moved)
		time_again(dial);
	lane->moved += (size_t)n;
	if (lane->moved < sizeof(lane->welcome))
		return -EAGAIN;
	int err = lina_welcome_decode(lane->welcome, &welcome);
	if (err)
		return err;
	if (welcome.conn_id != dial->hello.conn_id)
		return -EPROTO;
	dial->welcome = welcome;
	lane->state = LANE_READY;
	return 0;
}

static const struct {
	const char *name;
	lane_step *step;
} states[LANE_NSTATES] = {
	[LANE_START] = { "waiting to dial", step_start },
	[LANE_DIAL] = { "dialing", step_dial },
	[LANE_HELLO] = { "introducing itself", step_hello },
	[LANE_WELCOME] = { "waiting to be let in", step_welcome },
	[LANE_READY] = { "ready", NULL },
};

/* Whether the listener may still let us in on another attempt. */
static bool passing(int err)
{
	return err == -ECONNREFUSED || err == -ECONNRESET || err == -ESHUTDOWN || err == -EPIPE ||
	       err == -ECONNABORTED || err == -ETIMEDOUT || err == -EHOSTUNREACH ||
	       err == -ENETUNREACH;
}

static int dial_fail(const struct tcp_dial *dial, const struct dial_lane *lane, int err)
{
	char to[LINA_ADDR_TEXT_BYTES], why[LINA_ERROR_TEXT_BYTES];

	lina_warn("connecting to %s failed while %s: %s", lina_addr_text(&dial->to, to),
		states[lane->state].name, lina_sock_error(err, why));
	return err;
}

static int lane_run(struct tcp_dial *dial, struct dial_lane *lane)
{
	while (lane->state != LANE_READY) {
		int err = states[lane->state].step(dial, lane);
		if (err == -EAGAIN)
			return err;
		if (err && !passing(err))
			return dial_fail(dial, lane, err);
		if (!err)
			continue;
		if (lane->state == LANE_WELCOME)
			time_again(dial);
		lina_sock_close(lane->fd);
		lane->fd = -1;
		lane->err = err;
		lane->start_ns = tcp_now_ns() + redial_ns;
		lane->state = LANE_START;
	}
	return 0;
}

/* Whether the listener's host has let the lane in and its program has not come to it. It comes when
 * NCCL accepts, which is when all of its own neighbours are there: any rank may be late by minutes,
 * and NCCL's transports wait too. */
static bool lane_is_in(const struct dial_lane *lane)
{
	return lane->state == LANE_WELCOME && !lane->moved;
}

/* Who looks for what hangs a job finds the rank that it waits for. */
static void late_say(struct tcp_dial *dial)
{
	char to[LINA_ADDR_TEXT_BYTES];

	if (dial->said_late || tcp_now_ns() < dial->deadline_ns)
		return;
	dial->said_late = true;
	lina_info("waiting for %s: its host has let this end in, and its program has not accepted "
		  "within LINA_CONNECT_TIMEOUT_MS=%d (said once)",
		lina_addr_text(&dial->to, to), dial->config->connect_timeout_ms);
}

static int timeout_check(const struct tcp_dial *dial, const struct dial_lane *lane)
{
	char to[LINA_ADDR_TEXT_BYTES];

	if (tcp_now_ns() < dial->deadline_ns)
		return -EAGAIN;
	lina_warn("connecting to %s took longer than LINA_CONNECT_TIMEOUT_MS=%d (lane %d of %d was "
		  "%s%s%s)",
		lina_addr_text(&dial->to, to), dial->config->connect_timeout_ms,
		(int)(lane - dial->lane), dial->hello.nlanes, states[lane->state].name,
		lane->err ? "; before that: " : "", lane->err ? strerror(-lane->err) : "");
	return -ETIMEDOUT;
}

/* A link-local address is on the link of the device that dials, whatever number the listener's host
 * gives that link. */
static void way_choose(struct tcp_dial *dial)
{
	bool link_local = dial->to.sa.sa_family == AF_INET6 &&
			  dial->from.sa.sa_family == AF_INET6 &&
			  IN6_IS_ADDR_LINKLOCAL(&dial->to.in6.sin6_addr);

	if (link_local)
		dial->to.in6.sin6_scope_id = dial->from.in6.sin6_scope_id;
	dial->binds = link_local || lina_route_is_by_source(&dial->from, &dial->to);
}

/* Both ends of a connection need the same transport; one of the hosts may have fallen back. */
static int transport_check(const struct tcp_meet *meet, const struct lina_wire_handle *handle)
{
	static const char *const names[] = { [LINA_WIRE_TCP] = "tcp", [LINA_WIRE_VERBS] = "verbs" };
	char to[LINA_ADDR_TEXT_BYTES];

	if (handle->transport == meet->transport)
		return 0;
	lina_warn("cannot connect to %s: its transport is %s and this end's is %s; see "
		  "LINA_TRANSPORT",
		lina_addr_text(&handle->addr, to), names[handle->transport],
		names[meet->transport]);
	return -EPROTO;
}

int tcp_meet_dial(const struct tcp_meet *meet, const struct lina_wire_handle *handle,
	struct lina_dial **dial_p)
{
	const struct lina_config *config = meet->config;

	int other = transport_check(meet, handle);
	if (other)
		return other;
	struct tcp_dial *dial = calloc(1, sizeof(*dial));
	if (!dial) {
		lina_warn("no memory to connect");
		return -ENOMEM;
	}
	dial->config = config;
	dial->link = meet->link;
	dial->from = meet->addr;
	dial->to = handle->addr;
	dial->who = handle->who;
	dial->device = handle->device;
	way_choose(dial);
	dial->hello.nlanes = (uint8_t)meet->nlanes;
	memcpy(dial->hello.secret, handle->secret, sizeof(handle->secret));
	dial->deadline_ns = tcp_now_ns() + (uint64_t)config->connect_timeout_ms * 1000000u;
	for (int i = 0; i < LINA_LANES_MAX; i++)
		dial->lane[i].fd = -1;
	if (getrandom(&dial->hello.conn_id, sizeof(dial->hello.conn_id), 0) < 0) {
		int err = dial_fail(dial, &dial->lane[0], -errno);
		free(dial);
		return err;
	}
	*dial_p = &dial->base;
	return 0;
}

/* The dial has no more to do with the sockets. */
static void dial_finish(struct tcp_dial *dial, struct tcp_end *end_p)
{
	*end_p = (struct tcp_end){ .config = dial->config,
		.link = dial->link,
		.peer = dial->to,
		.who = dial->who,
		.device = dial->device,
		.nlanes = dial->hello.nlanes,
		.welcome = dial->welcome };

	for (int i = 0; i < dial->hello.nlanes; i++) {
		end_p->fd[i] = dial->lane[i].fd;
		dial->lane[i].fd = -1;
	}
}

int tcp_meet_step(struct lina_dial *lina_dial, struct tcp_end *end_p)
{
	struct tcp_dial *dial = (struct tcp_dial *)lina_dial;
	const struct dial_lane *out = NULL;
	bool waits = false;

	for (int i = 0; i < dial->hello.nlanes; i++) {
		int err = lane_run(dial, &dial->lane[i]);
		if (err && err != -EAGAIN)
			return err;
		waits |= err != 0;
		if (err && !lane_is_in(&dial->lane[i]))
			out = &dial->lane[i];
	}
	if (out)
		return timeout_check(dial, out);
	if (waits) {
		late_say(dial);
		return -EAGAIN;
	}
	dial_finish(dial, end_p);
	return 0;
}

void tcp_meet_close(struct lina_dial *lina_dial)
{
	struct tcp_dial *dial = (struct tcp_dial *)lina_dial;

	for (int i = 0; i < LINA_LANES_MAX; i++)
		lina_sock_close(dial->lane[i].fd);
	free(dial);
}
