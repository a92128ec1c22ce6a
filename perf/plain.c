#include "perf/plain.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BLOCK_BYTES = 65536 };

struct plain {
	int rank, nranks;
	int next, before; /* connections */
	size_t sending;   /* bytes that the other thread sends */
	char out[BLOCK_BYTES], in[BLOCK_BYTES];
};

/* ---- open and close -------------------------------------------------------------------------- */

static int must_fd(int fd, const char *what)
{
	if (fd < 0)
		die("%s: %s", what, strerror(errno));
	return fd;
}

/* The first interface that is up and leads to others, or the loopback interface. */
static in_addr_t own_address(void)
{
	in_addr_t found = htonl(INADDR_LOOPBACK);
	struct ifaddrs *all;

	must_fd(getifaddrs(&all), "getifaddrs");
	for (const struct ifaddrs *i = all; i != NULL; i = i->ifa_next)
		if (i->ifa_addr != NULL && i->ifa_addr->sa_family == AF_INET &&
			(i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK)) {
			struct sockaddr_in address;
			memcpy(&address, i->ifa_addr, sizeof(address));
			found = address.sin_addr.s_addr;
			break;
		}
	freeifaddrs(all);
	return found;
}

static int listen_here(struct sockaddr_in *address_p)
{
	int fd = must_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	socklen_t n = sizeof(*address_p);

	*address_p =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = own_address() };
	must_fd(bind(fd, (struct sockaddr *)address_p, n), "bind");
	must_fd(listen(fd, 1), "listen");
	must_fd(getsockname(fd, (struct sockaddr *)address_p, &n), "getsockname");
	return fd;
}

static int connect_to(const double *place)
{
	int on = 1, fd = must_fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = (in_addr_t)place[0],
		.sin_port = (in_port_t)place[1] };

	must_fd(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
	must_fd(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), "TCP_NODELAY");
	return fd;
}

struct plain *plain_open(const struct job *job, ncclComm_t comm, cudaStream_t stream)
{
	size_t n = (size_t)job->nranks, next = ((size_t)job->rank + 1) % n;
	struct plain *plain = calloc(1, sizeof(*plain));
	double *places = calloc(2 * n, sizeof(*places));
	struct sockaddr_in address;

	if (plain == NULL || places == NULL)
		die("no memory for %zu places", n);
	int listener = listen_here(&address);
	const double own[2] = { address.sin_addr.s_addr, address.sin_port };
	job_gather(job, own, 2, places, comm, stream);
	*plain = (struct plain){ .rank = job->rank, .nranks = job->nranks };
	plain->next = connect_to(&places[2 * next]);
	plain->before = must_fd(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept4");
	(void)close(listener);
	free(places);
	return plain;
}

void plain_close(struct plain *plain)
{
	(void)close(plain->next);
	(void)close(plain->before);
	free(plain);
}

/* ---- sending --------------------------------------------------------------------------------- */

static void send_block(const struct plain *plain, const char *block, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		ssize_t n = send(plain->next, block + at, bytes - at, MSG_NOSIGNAL);
		if (n < 0)
			die("send: %s", strerror(errno));
		at += (size_t)n;
	}
}

static size_t block_of(size_t left)
{
	return left < BLOCK_BYTES ? left : BLOCK_BYTES;
}

static void *send_all(void *arg)
{
	const struct plain *plain = arg;

	for (size_t left = plain->sending; left > 0; left -= block_of(left))
		send_block(plain, plain->out, block_of(left));
	return NULL;
}

/* And on to the next, block by block, or not. */
static void receive_all(struct plain *plain, size_t bytes, int forward)
{
	while (bytes > 0) {
		ssize_t n = recv(plain->before, plain->in, block_of(bytes), 0);
		if (n <= 0)
			die("recv: %s", n < 0 ? strerror(errno) : "the rank before has ended");
		if (forward)
			send_block(plain, plain->in, (size_t)n);
		bytes -= (size_t)n;
	}
}

void plain_ring(struct plain *plain, size_t bytes)
{
	pthread_t sender;

	plain->sending = bytes;
	int err = pthread_create(&sender, NULL, send_all, plain);
	if (err != 0)
		die("pthread_create: %s", strerror(err));
	receive_all(plain, bytes, 0);
	pthread_join(sender, NULL);
}

void plain_chain(struct plain *plain, size_t bytes)
{
	plain->sending = bytes;
	if (plain->rank == 0)
		(void)send_all(plain);
	else
		receive_all(plain, bytes, plain->rank + 1 < plain->nranks);
}
