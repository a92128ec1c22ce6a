#include "net/evil.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { WAIT_MS = 30000 };

static struct lina_wire_handle handle_read(const void *handle)
{
	struct lina_wire_handle h;

	int err = lina_handle_decode(handle, &h);
	if (err)
		die("handle: %s", strerror(-err));
	return h;
}

static int room_bytes;
static uint32_t first_grant = UINT32_MAX;

void evil_room(int bytes)
{
	room_bytes = bytes;
}

void evil_first_grant(uint32_t bytes)
{
	first_grant = bytes;
}

static void room_set(int fd)
{
	if (room_bytes && setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room_bytes, sizeof(room_bytes)))
		die("SO_RCVBUF: %s", strerror(errno));
}

/* What is sent goes at once, however little it is. */
static void delay_none(int fd)
{
	const int yes = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes)))
		die("TCP_NODELAY: %s", strerror(errno));
}

int evil_dial(const void *handle)
{
	struct lina_wire_handle h = handle_read(handle);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	room_set(fd);
	if (fd < 0 || connect(fd, &h.addr.sa, sizeof(h.addr.in)))
		die("dial: %s", strerror(errno));
	delay_none(fd);
	return fd;
}

int evil_listen(void *handle)
{
	struct lina_wire_handle h = { .ticket = 0 };
	socklen_t size = sizeof(h.addr.in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	room_set(fd); /* what is accepted inherits it */
	h.addr.in.sin_family = AF_INET;
	h.addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, &h.addr.sa, size) || listen(fd, 64) ||
		getsockname(fd, &h.addr.sa, &size))
		die("listen: %s", strerror(errno));
	memset(h.secret, 0x42, sizeof(h.secret));
	lina_handle_encode(&h, handle);
	return fd;
}

int evil_accept(int listen_fd, struct lina_wire_hello *hello_p)
{
	uint8_t bytes[LINA_HELLO_BYTES];
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		die("accept: %s", strerror(errno));
	delay_none(fd);
	evil_read(fd, bytes, sizeof(bytes), WAIT_MS);
	int err = lina_hello_decode(bytes, hello_p);
	if (err)
		die("hello: %s", strerror(-err));
	return fd;
}

void evil_welcome(int fd, uint64_t conn_id, uint32_t early_bytes)
{
	const struct lina_wire_welcome welcome = {
		.conn_id = conn_id, .early_bytes = early_bytes, .grant_bytes = first_grant
	};
	uint8_t bytes[LINA_WELCOME_BYTES];

	lina_welcome_encode(&welcome, bytes);
	evil_send(fd, bytes, sizeof(bytes));
}

void evil_hello(int fd, const void *handle, uint64_t conn_id, int lane, int nlanes)
{
	struct lina_wire_handle h = handle_read(handle);
	struct lina_wire_hello hello = {
		.conn_id = conn_id, .lane = (uint8_t)lane, .nlanes = (uint8_t)nlanes
	};
	uint8_t bytes[LINA_HELLO_BYTES];

	memcpy(hello.secret, h.secret, sizeof(hello.secret));
	lina_hello_encode(&hello, bytes);
	evil_send(fd, bytes, sizeof(bytes));
}

void evil_send(int fd, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;

	while (n > 0) {
		ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
		if (sent < 0 && errno != EINTR)
			return;
		p += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
}

void evil_read(int fd, void *bytes, size_t n, int ms)
{
	uint8_t *p = bytes;
	uint64_t deadline = now_ms() + (uint64_t)ms;

	while (n > 0) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		(void)poll(&poll_fd, 1, 10);
		ssize_t got = recv(fd, p, n, MSG_DONTWAIT);
		if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
			die("%zu bytes were to come: %s", n, got ? strerror(errno) : "closed");
		if (got < 0 && now_ms() > deadline)
			die("%zu bytes were to come within %d ms", n, ms);
		p += got > 0 ? got : 0;
		n -= got > 0 ? (size_t)got : 0;
	}
}

bool evil_is_closed(int fd)
{
	char unwanted[4096];
	ssize_t n;

	do {
		n = recv(fd, unwanted, sizeof(unwanted), MSG_DONTWAIT);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0 || errno != EAGAIN;
}

void evil_reset(int fd)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)))
		die("SO_LINGER: %s", strerror(errno));
	(void)close(fd);
}

void evil_sender(struct lina_listener *listener, const void *handle, int nlanes, int *fd,
	struct lina_conn **conn_p)
{
	uint8_t welcome[LINA_WELCOME_BYTES];

	for (int i = 0; i <= nlanes; i++) {
		fd[i] = evil_dial(handle);
		evil_hello(fd[i], handle, 77, i, nlanes + 1);
	}
	int err = accept_within(listener, WAIT_MS, conn_p);
	if (err)
		die("accept: %s", strerror(-err));
	for (int i = 0; i <= nlanes; i++)
		evil_read(fd[i], welcome, sizeof(welcome), WAIT_MS);
}

void evil_receiver(struct lina_net *net, uint32_t early_bytes, int fd[2], struct lina_conn **conn_p)
{
	uint8_t handle[LINA_HANDLE_BYTES];
	struct lina_wire_hello hello;
	int listen_fd = evil_listen(handle);

	/* Loopback: the hello is sent by the second call at the latest. */
	for (int i = 0; i < 4; i++) {
		int err = lina_net_connect(net, 0, LINA_TRAFFIC_CLASS_UNSET, handle, conn_p);
		if (err)
			die("connect: %s", strerror(-err));
	}
	for (int i = 0; i < 2; i++) {
		int one = evil_accept(listen_fd, &hello);
		evil_welcome(one, hello.conn_id, early_bytes);
		fd[hello.lane] = one;
	}
	int err = connect_within(net, handle, WAIT_MS, conn_p);
	if (err)
		die("connect: %s", strerror(-err));
	(void)close(listen_fd);
}

void evil_data(int fd, const struct lina_wire_data *head, const void *payload, size_t bytes)
{
	uint8_t frame[LINA_DATA_HEAD_BYTES];

	lina_data_encode(head, frame);
	evil_send(fd, frame, sizeof(frame));
	if (payload)
		evil_send(fd, payload, bytes);
}

void evil_credit(int fd, const struct lina_wire_credit *credit)
{
	uint8_t bytes[LINA_CREDIT_MAX_BYTES];

	evil_send(fd, bytes, lina_credit_encode(credit, bytes));
}

void evil_grant(int fd, uint64_t bytes)
{
	uint8_t frame[LINA_GRANT_BYTES];

	lina_grant_encode(&(struct lina_wire_grant){ bytes }, frame);
	evil_send(fd, frame, sizeof(frame));
}

struct lina_wire_credit evil_credit_read(int fd, struct lina_request *request, int ms)
{
	uint8_t bytes[LINA_CREDIT_MAX_BYTES];
	struct lina_wire_credit credit;
	uint64_t deadline = now_ms() + (uint64_t)ms;
	int done = 0;

	while (recv(fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT) < 0) {
		int err = lina_net_test(request, &done, NULL);
		if (err || done || now_ms() > deadline)
			die("no credit within %d ms: %s", ms, strerror(-err));
	}

	evil_read(fd, bytes, LINA_CREDIT_HEAD_BYTES, ms);
	size_t rest = (size_t)bytes[1] * LINA_CREDIT_ENTRY_BYTES;
	if (rest > sizeof(bytes) - LINA_CREDIT_HEAD_BYTES)
		die("credit of %d buffers", bytes[1]);
	evil_read(fd, bytes + LINA_CREDIT_HEAD_BYTES, rest, ms);
	if (lina_credit_decode(bytes, LINA_CREDIT_HEAD_BYTES + rest, &credit) <= 0)
		die("no credit");
	return credit;
}
