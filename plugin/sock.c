#include "plugin/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKLOG = 4096, /* a flood of strangers must not crowd the peer out; the kernel has its own
			   cap */
	UNWANTED_BYTES = 16 << 10,
	UNWANTED_READS = 2048, /* 32 MiB: more than a receive buffer holds */
};

static socklen_t addr_size(const union lina_addr *addr)
{
	return addr->sa.sa_family == AF_INET6 ? sizeof(addr->in6) : sizeof(addr->in);
}

static void port_set(union lina_addr *addr, in_port_t port)
{
	if (addr->sa.sa_family == AF_INET6)
		addr->in6.sin6_port = port;
	else
		addr->in.sin_port = port;
}

const char *lina_addr_text(const union lina_addr *addr, char text[LINA_ADDR_TEXT_BYTES])
{
	char host[INET6_ADDRSTRLEN];

	if (addr->sa.sa_family == AF_INET6) {
		inet_ntop(AF_INET6, &addr->in6.sin6_addr, host, sizeof(host));
		snprintf(text, LINA_ADDR_TEXT_BYTES, "[%s]:%u", host, ntohs(addr->in6.sin6_port));
	} else {
		inet_ntop(AF_INET, &addr->in.sin_addr, host, sizeof(host));
		snprintf(text, LINA_ADDR_TEXT_BYTES, "%s:%u", host, ntohs(addr->in.sin_port));
	}
	return text;
}

const char *lina_addr_host_text(const union lina_addr *addr, char text[LINA_ADDR_TEXT_BYTES])
{
	if (addr->sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &addr->in6.sin6_addr, text, LINA_ADDR_TEXT_BYTES);
	else
		inet_ntop(AF_INET, &addr->in.sin_addr, text, LINA_ADDR_TEXT_BYTES);
	return text;
}

const char *lina_sock_error(int err, char text[LINA_ERROR_TEXT_BYTES])
{
	struct rlimit limit = { 0 };

	getrlimit(RLIMIT_NOFILE, &limit);
	if (err == -EMFILE)
		snprintf(text, LINA_ERROR_TEXT_BYTES,
			"%s (this process may have %llu descriptors: ulimit -n)", strerror(-err),
			(unsigned long long)limit.rlim_cur);
	else
		snprintf(text, LINA_ERROR_TEXT_BYTES, "%s", strerror(-err));
	return text;
}

static int option_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

static int socket_open(int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}

int lina_sock_listen(const union lina_addr *addr, int *fd_p, union lina_addr *bound_p)
{
	union lina_addr bound = *addr;
	socklen_t size = sizeof(bound);

	int fd = socket_open(addr->sa.sa_family);
	if (fd < 0)
		return fd;
	port_set(&bound, 0);
	if (bind(fd, &bound.sa, addr_size(&bound)) || listen(fd, BACKLOG) ||
		getsockname(fd, &bound.sa, &size)) {
		int err = -errno;
		close(fd);
		return err;
	}
	*fd_p = fd;
	*bound_p = bound;
	return 0;
}

int lina_sock_accept(int listen_fd, int *fd_p, union lina_addr *from_p)
{
	union lina_addr from;
	socklen_t size = sizeof(from);

	memset(&from, 0, sizeof(from));
	int fd = accept4(listen_fd, &from.sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
	int err = option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (err) {
		close(fd);
		return err;
	}
	*fd_p = fd;
	*from_p = from;
	return 0;
}

/* The port is chosen at connect, when the peer is known: thousands of connections to different
 * peers may share one. */
static int bind_to(int fd, const union lina_addr *from)
{
	union lina_addr local = *from;

	port_set(&local, 0);
	int err = option_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
	if (!err && bind(fd, &local.sa, addr_size(&local)))
		err = -errno;
	return err;
}

int lina_sock_dial(const union lina_addr *from, const union lina_addr *to, int *fd_p)
{
	int fd = socket_open(to->sa.sa_family);
	if (fd < 0)
		return fd;
	int err = option_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (!err && from)
		err = bind_to(fd, from);
	if (!err && connect(fd, &to->sa, addr_size(to)) && errno != EINPROGRESS)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	*fd_p = fd;
	return 0;
}

int lina_sock_dialed(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int failure = 0;
	socklen_t size = sizeof(failure);

	if (poll(&p, 1, 0) <= 0)
		return -EAGAIN;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size))
		return -errno;
	return -failure;
}

int lina_sock_sndbuf(int fd, int bytes)
{
	return option_set(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}

size_t lina_sock_unacked(int fd)
{
	int bytes = 0;

	return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? (size_t)bytes : 0;
}

bool lina_sock_stays(int fd)
{
	union lina_addr here, there;
	socklen_t here_bytes = sizeof(here), there_bytes = sizeof(there);
	char here_text[LINA_ADDR_TEXT_BYTES], there_text[LINA_ADDR_TEXT_BYTES];

	memset(&here, 0, sizeof(here));
	memset(&there, 0, sizeof(there));
	if (getsockname(fd, &here.sa, &here_bytes) || getpeername(fd, &there.sa, &there_bytes))
		return false;
	return strcmp(lina_addr_host_text(&here, here_text),
		       lina_addr_host_text(&there, there_text)) == 0;
}

void lina_sock_ack(int fd)
{
	(void)option_set(fd, IPPROTO_TCP, TCP_QUICKACK, 1);
}

int lina_sock_keepalive(int fd, int silence_ms)
{
	/* First probe after a third of the time, then probes so that the last of three goes out
	 * at its end. The kernel counts in seconds. */
	int third_s = silence_ms / 3000 > 0 ? silence_ms / 3000 : 1;
	int probe_s = silence_ms * 2 / 9000 > 0 ? silence_ms * 2 / 9000 : 1;

	int err = option_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (!err)
		err = option_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, third_s);
	if (!err)
		err = option_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, probe_s);
	if (!err)
		err = option_set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
	return err;
}

int lina_sock_silence_ms(int fd, int *ms_p)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
		return -errno;
	unsigned heard = info.tcpi_last_ack_recv < info.tcpi_last_data_recv
				 ? info.tcpi_last_ack_recv
				 : info.tcpi_last_data_recv;
	bool owed = info.tcpi_unacked > 0 || info.tcpi_probes > 0;
	if (!owed)
		heard = 0;
	*ms_p = heard < INT32_MAX ? (int)heard : INT32_MAX;
	return 0;
}

ssize_t lina_sock_send(int fd, const struct iovec *iov, int niov)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)niov };
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n >= 0)
		return n;
	return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

ssize_t lina_sock_recv(int fd, const struct iovec *iov, int niov)
{
	struct msghdr msg = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)niov };
	ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (n > 0)
		return n;
	if (n == 0)
		return -ESHUTDOWN;
	return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
}

static void unwanted_read(int fd)
{
	char unwanted[UNWANTED_BYTES];
	struct iovec iov = { .iov_base = unwanted, .iov_len = sizeof(unwanted) };

	for (int i = 0; i < UNWANTED_READS && lina_sock_recv(fd, &iov, 1) > 0; i++)
		;
}

/* Closing a socket with unread bytes resets the connection, which can destroy what the peer has not
 * read yet; so the end is announced first and the bytes that nobody wants are read. What comes
 * later is answered with a reset from then on: close alone does that only when no child made by
 * fork has a copy of the descriptor. */
void lina_sock_close(int fd)
{
	if (fd < 0)
		return;
	shutdown(fd, SHUT_WR);
	unwanted_read(fd);
	shutdown(fd, SHUT_RD);
	close(fd);
}
