/* Below is the kernel: what it has not sent is what the test says. */
#include <sys/socket.h>

#include "fault/hot.h"
#include "plugin/tcp_send.h"

enum { FULL = 1 << 20, ROOM = 32768 };

static size_t unacked;

size_t __wrap_lina_sock_unacked(int fd);

size_t __wrap_lina_sock_unacked(int fd)
{
	(void)fd;
	return unacked;
}

void below_open(void)
{
	unacked = 0;
}

/* So that the kernel does not take a large message whole. */
void below_join(const struct pair *ends)
{
	const struct tcp_conn *conn = (const struct tcp_conn *)ends->recv;

	MUST(setsockopt(conn->fd[0], SOL_SOCKET, SO_RCVBUF, &(int){ ROOM }, sizeof(int)));
}

void below_stop(void)
{
	unacked = FULL;
}

void below_go(void)
{
	unacked = 0;
}

static size_t begun(const struct lina_conn *conn, size_t bytes)
{
	const struct send_lane *lane = ((const struct tcp_sender *)conn)->lane;

	return lane->request ? (size_t)(lane->payload - lane->chunk) : bytes;
}

bool below_busy(const struct lina_conn *conn, size_t bytes)
{
	return begun(conn, bytes) < bytes;
}

bool below_kept_back(const struct lina_conn *conn, size_t bytes)
{
	return begun(conn, bytes) == 0;
}
