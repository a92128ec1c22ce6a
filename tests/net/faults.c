#include "net/faults.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "net/fixture.h"

static long countdown, live, sends;
static bool met;
static const char *name;
static uint64_t pieces;
static int silence_ms = -1;
static unsigned owed_unacked, owed_probes;

void faults_at(long n)
{
	countdown = n;
	met = false;
	name = "";
}

bool faults_met(void)
{
	return met;
}

const char *faults_name(void)
{
	return name;
}

void faults_pieces(uint64_t seed)
{
	pieces = seed;
}

long faults_sends(void)
{
	return sends;
}

long faults_live(void)
{
	return live;
}

void faults_silence(int ms, unsigned unacked, unsigned probes)
{
	silence_ms = ms;
	owed_unacked = unacked;
	owed_probes = probes;
}

static bool fails(const char *call, int err)
{
	if (countdown == 0 || --countdown > 0)
		return false;
	met = true;
	name = call;
	errno = err;
	return true;
}

/* What the linker puts in place of each call, and the call itself. */
#define WRAP(type, call, ...)            \
	type __real_##call(__VA_ARGS__); \
	type __wrap_##call(__VA_ARGS__); \
	type __wrap_##call(__VA_ARGS__)

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */

WRAP(void *, malloc, size_t n)
{
	void *p = fails("malloc", ENOMEM) ? NULL : __real_malloc(n);
	live += p != NULL;
	return p;
}

WRAP(void *, calloc, size_t n, size_t size)
{
	void *p = fails("calloc", ENOMEM) ? NULL : __real_calloc(n, size);
	live += p != NULL;
	return p;
}

WRAP(void, free, void *p)
{
	live -= p != NULL;
	__real_free(p);
}

WRAP(int, socket, int domain, int type, int protocol)
{
	return fails("socket", ENFILE) ? -1 : __real_socket(domain, type, protocol);
}

WRAP(int, bind, int fd, const struct sockaddr *addr, socklen_t size)
{
	return fails("bind", EADDRNOTAVAIL) ? -1 : __real_bind(fd, addr, size);
}

WRAP(int, listen, int fd, int backlog)
{
	return fails("listen", EADDRINUSE) ? -1 : __real_listen(fd, backlog);
}

WRAP(int, getsockname, int fd, struct sockaddr *addr, socklen_t *size)
{
	return fails("getsockname", ENOBUFS) ? -1 : __real_getsockname(fd, addr, size);
}

WRAP(int, accept4, int fd, struct sockaddr *addr, socklen_t *size, int flags)
{
	return fails("accept4", ENOMEM) ? -1 : __real_accept4(fd, addr, size, flags);
}

WRAP(int, connect, int fd, const struct sockaddr *addr, socklen_t size)
{
	return fails("connect", EADDRNOTAVAIL) ? -1 : __real_connect(fd, addr, size);
}

WRAP(int, setsockopt, int fd, int level, int option, const void *value, socklen_t size)
{
	return fails("setsockopt", ENOMEM) ? -1 : __real_setsockopt(fd, level, option, value, size);
}

static void tcp_info_set(struct tcp_info *info)
{
	info->tcpi_last_ack_recv = info->tcpi_last_data_recv = (unsigned)silence_ms;
	info->tcpi_unacked = owed_unacked;
	info->tcpi_probes = (uint8_t)owed_probes;
}

WRAP(int, getsockopt, int fd, int level, int option, void *value, socklen_t *size)
{
	if (fails("getsockopt", ENOBUFS))
		return -1;
	int result = __real_getsockopt(fd, level, option, value, size);
	if (result == 0 && level == IPPROTO_TCP && option == TCP_INFO && silence_ms >= 0)
		tcp_info_set(value);
	return result;
}

WRAP(ssize_t, getrandom, void *to, size_t n, unsigned flags)
{
	return fails("getrandom", ENOSYS) ? -1 : __real_getrandom(to, n, flags);
}

/* How much of n bytes moves: -1 for none, with errno set. */
static ssize_t piece(size_t n)
{
	uint64_t dice = random_next(&pieces);
	size_t most = dice >> 32;

	switch (dice % 8) {
	case 0:
		errno = EAGAIN;
		return -1;
	case 1:
		errno = EINTR;
		return -1;
	case 2:
	case 3:
	case 4:
		most = 1 + most % 9;
		break;
	default:
		most = 1 + most % 70000;
	}
	return (ssize_t)(most < n ? most : n);
}

/* The same message, of n bytes at most. iov has room for two. */
static struct msghdr message_cut(const struct msghdr *msg, size_t n, struct iovec iov[2])
{
	struct msghdr cut = *msg;

	if (msg->msg_iovlen > 2)
		die("a message of %zu pieces", (size_t)msg->msg_iovlen);
	cut.msg_iov = iov;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		iov[i] = msg->msg_iov[i];
		if (iov[i].iov_len > n)
			iov[i].iov_len = n;
		n -= iov[i].iov_len;
	}
	return cut;
}

static size_t message_bytes(const struct msghdr *msg)
{
	size_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		n += msg->msg_iov[i].iov_len;
	return n;
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *msg, int flags)
{
	struct iovec iov[2];

	sends++;
	if (fails("sendmsg", ECONNRESET))
		return -1;
	if (!pieces)
		return __real_sendmsg(fd, msg, flags);
	ssize_t n = piece(message_bytes(msg));
	if (n < 0)
		return n;
	struct msghdr cut = message_cut(msg, (size_t)n, iov);
	return __real_sendmsg(fd, &cut, flags);
}

WRAP(ssize_t, recvmsg, int fd, struct msghdr *msg, int flags)
{
	struct iovec iov[2];

	if (fails("recvmsg", ECONNRESET))
		return -1;
	if (!pieces)
		return __real_recvmsg(fd, msg, flags);
	ssize_t n = piece(message_bytes(msg));
	if (n < 0)
		return n;
	struct msghdr cut = message_cut(msg, (size_t)n, iov);
	return __real_recvmsg(fd, &cut, flags);
}

/* NOLINTEND(bugprone-reserved-identifier) */
