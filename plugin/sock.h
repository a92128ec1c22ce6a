/*
 * Non-blocking TCP sockets: the system calls the transport uses, with -errno instead of errno.
 * Every descriptor is close-on-exec.
 */
#ifndef LINA_PLUGIN_SOCK_H
#define LINA_PLUGIN_SOCK_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "plugin/wire.h"

enum { LINA_ADDR_TEXT_BYTES = 64 };

/* "10.0.0.1:4242" or "[fd00::1]:4242" in text, which is returned. */
const char *lina_addr_text(const union lina_addr *addr, char text[LINA_ADDR_TEXT_BYTES]);

/* The same without the port: "10.0.0.1" or "fd00::1". */
const char *lina_addr_host_text(const union lina_addr *addr, char text[LINA_ADDR_TEXT_BYTES]);

/* What -err means, in text, which is returned; of too many descriptors with the limit. */
enum { LINA_ERROR_TEXT_BYTES = 128 };
const char *lina_sock_error(int err, char text[LINA_ERROR_TEXT_BYTES]);

/* Listens on addr, port 0, and says in bound_p which port that became. */
int lina_sock_listen(const union lina_addr *addr, int *fd_p, union lina_addr *bound_p);

/* from_p: who it is; known here even if he has left again. -EAGAIN: nobody is waiting. */
int lina_sock_accept(int listen_fd, int *fd_p, union lina_addr *from_p);

/* Begins to connect to to, from the address of from (its port is not used); NULL: from the one that
 * the kernel chooses. */
int lina_sock_dial(const union lina_addr *from, const union lina_addr *to, int *fd_p);

/* 0: connected; -EAGAIN: not yet; else why not. */
int lina_sock_dialed(int fd);

/* Fixes the send buffer, which the kernel otherwise lets grow to megabytes; it takes no more than
 * net.core.wmem_max. */
int lina_sock_sndbuf(int fd, int bytes);

/* Bytes given to the socket that the peer has not acknowledged; 0 where the kernel does not say. */
size_t lina_sock_unacked(int fd);

/* Whether it is connected to the address that it has itself; where that cannot be told it is not.
 */
bool lina_sock_stays(int fd);

/* Acknowledges what has arrived now, not with the next data that goes the other way or up to 40 ms
 * later: the peer counts what is not acknowledged as on its way. */
void lina_sock_ack(int fd);

/* Keepalive finds a peer whose host is gone within silence_ms while nothing else is sent. */
int lina_sock_keepalive(int fd, int silence_ms);

/* Milliseconds since the peer's kernel was last heard of, while it owes an answer: to data, to a
 * keepalive, to a probe of its closed window; 0 while it owes none. A peer that is alive but does
 * not read answers; but a window that stays closed is probed after 0.2 s, 0.4 s and so on up to
 * 2 minutes, and only then. */
int lina_sock_silence_ms(int fd, int *ms_p);

/* Bytes moved; -EAGAIN: none can be; -ESHUTDOWN from recv: the peer has closed. */
ssize_t lina_sock_send(int fd, const struct iovec *iov, int niov);
ssize_t lina_sock_recv(int fd, const struct iovec *iov, int niov);

/* Closes so that bytes already sent reach the peer, however late it reads them, if it says nothing
 * more; for every process that has a copy of the descriptor. fd < 0 is allowed. */
void lina_sock_close(int fd);

#endif
