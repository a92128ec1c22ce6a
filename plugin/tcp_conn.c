#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/log.h"
#include "plugin/placement.h"
#include "plugin/sock.h"
#include "plugin/tcp_conn.h"

enum { IDLE_TESTS = 256 }; /* tests without progress between two looks at the clock */
static const uint64_t silence_check_ns = 1000000000;

_Static_assert(
	(int)LINA_STATS_NAME_BYTES >= (int)LINA_ADDR_TEXT_BYTES, "an address is a peer's name");

uint64_t tcp_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int tcp_conn_init(struct tcp_conn *conn, const struct tcp_end *end)
{
	const struct lina_config *config = end->config;

	for (int i = 0; i < end->nlanes; i++) {
		int err = lina_sock_keepalive(end->fd[i], config->peer_timeout_ms);
		if (!err && config->sndbuf_bytes)
			err = lina_sock_sndbuf(end->fd[i], config->sndbuf_bytes);
		if (err)
			return err;
	}
	conn->config = config;
	conn->peer = end->peer;
	(void)snprintf(conn->base.link_name, sizeof(conn->base.link_name), "%s",
		lina_link_name(end->link));
	(void)lina_addr_host_text(&end->peer, conn->base.peer_name);
	conn->nlanes = end->nlanes;
	memcpy(conn->fd, end->fd, (size_t)end->nlanes * sizeof(*end->fd));
	return 0;
}

void tcp_end_flow_peer(const struct tcp_end *end, struct lina_link_flow *flow)
{
	if (end->config->hot_first)
		lina_hot_flow_peer(&flow->hot, end->who, lina_placement_part(end->device));
}

void tcp_conn_close_lanes(struct tcp_conn *conn)
{
	for (int i = 0; i < conn->nlanes; i++) {
		lina_sock_close(conn->fd[i]);
		conn->fd[i] = -1;
	}
}

void tcp_conn_flows_drop(struct tcp_conn *conn)
{
	for (int i = 0; i < conn->nflows; i++)
		lina_link_drop(&conn->flow[i]);
}

/* The sockets go at once: the peer is to hear of it, and this end will do no more with them. */
int tcp_conn_fail_why(struct tcp_conn *conn, int err, const char *what, const char *why)
{
	char peer[LINA_ADDR_TEXT_BYTES];

	if (conn->err)
		return conn->err;
	conn->err = err;
	lina_warn("%s %s failed: %s; %d transfers in flight are lost", what,
		lina_addr_text(&conn->peer, peer), why, conn->in_flight);
	tcp_conn_flows_drop(conn);
	tcp_conn_close_lanes(conn);
	return err;
}

int tcp_conn_fail(struct tcp_conn *conn, int err, const char *what)
{
	const char *why = strerror(-err);

	if (err == -ESHUTDOWN)
		why = "the peer has closed the connection";
	else if (err == -EPROTO)
		why = "the peer does not keep to the protocol";
	return tcp_conn_fail_why(conn, err, what, why);
}

int tcp_conn_fail_size(
	struct tcp_conn *conn, const char *what, int tag, uint64_t bytes, uint64_t room)
{
	char why[160];

	snprintf(why, sizeof(why),
		"message of %llu bytes (tag %d) for a receive of %llu bytes: the ranks do not "
		"agree on a size",
		(unsigned long long)bytes, tag, (unsigned long long)room);
	return tcp_conn_fail_why(conn, -EMSGSIZE, what, why);
}

/* A lane whose peer has been silent for too long is suspect. A probe that has just gone out, after
 * a long pause that the kernel chose, looks the same; so it counts only when nothing has been
 * heard between two checks. */
static int lane_silence_check(struct tcp_conn *conn, int i, uint64_t now_ns)
{
	int silent_ms;

	int err = lina_sock_silence_ms(conn->fd[i], &silent_ms);
	if (err)
		return err;
	uint64_t suspect_ns = conn->suspect_ns[i];
	bool suspect = silent_ms > conn->config->peer_timeout_ms;
	conn->suspect_ns[i] = suspect ? now_ns : 0;
	bool dead = suspect && suspect_ns && now_ns - (uint64_t)silent_ms * 1000000u < suspect_ns;
	return dead ? -ETIMEDOUT : 0;
}

static int silence_check(struct tcp_conn *conn, uint64_t now_ns)
{
	for (int i = 0; i < conn->nlanes; i++) {
		int err = conn->fd[i] < 0 ? 0 : lane_silence_check(conn, i, now_ns);
		if (err)
			return tcp_conn_fail(conn, err, "waiting for");
	}
	return 0;
}

int tcp_conn_idle(struct tcp_conn *conn)
{
	if (++conn->idle % IDLE_TESTS)
		return 0;
	uint64_t now = tcp_now_ns();
	if (now - conn->check_ns < silence_check_ns)
		return 0;
	conn->check_ns = now;
	return silence_check(conn, now);
}

int tcp_reg(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset, int fd,
	struct lina_mr **mr_p)
{
	(void)conn;
	(void)offset;
	if (type != LINA_PTR_HOST || fd >= 0) {
		lina_warn("the tcp transport moves host memory only (type %d), not type %d%s",
			LINA_PTR_HOST, type, fd >= 0 ? " by dmabuf" : "");
		return -EINVAL;
	}
	if (!data && bytes) {
		lina_warn("registration of %zu bytes at NULL", bytes);
		return -EINVAL;
	}
	struct tcp_mr *mr = malloc(sizeof(*mr));
	if (!mr) {
		lina_warn("no memory for a registration");
		return -ENOMEM;
	}
	*mr = (struct tcp_mr){ .data = data, .bytes = bytes };
	*mr_p = &mr->base;
	return 0;
}

int tcp_dereg(struct lina_conn *conn, struct lina_mr *mr)
{
	(void)conn;
	free(mr);
	return 0;
}

int tcp_mr_check(const struct lina_mr *lina_mr, const void *data, size_t bytes)
{
	const struct tcp_mr *mr = (const struct tcp_mr *)lina_mr;

	if (bytes == 0)
		return 0;
	if (!data) {
		lina_warn("transfer of %zu bytes at NULL", bytes);
		return -EINVAL;
	}
	if (!mr || tcp_mr_holds(mr, data, bytes))
		return 0;
	lina_warn("transfer of %zu bytes at %p is outside its registered memory, %zu bytes at %p",
		bytes, data, mr->bytes, (const void *)mr->data);
	return -EINVAL;
}
