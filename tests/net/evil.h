/*
 * Peers that do not keep to the protocol, made of plain blocking sockets. A failure of the helper
 * itself ends the program (die).
 */
#ifndef LINA_TESTS_NET_EVIL_H
#define LINA_TESTS_NET_EVIL_H

#include "net/fixture.h"
#include "plugin/wire.h"

/* Sockets that are dialed or listen from now on get a receive buffer of so many bytes; 0: the
 * system's. */
void evil_room(int bytes);

/* Bulk that is granted with a welcome from now on; at first UINT32_MAX. */
void evil_first_grant(uint32_t bytes);

/* Connects to where handle says. */
int evil_dial(const void *handle);

/* A listening socket on 127.0.0.1, and a handle of the right form for it. */
int evil_listen(void *handle);

/* Waits for whoever dials and reads the hello. */
int evil_accept(int listen_fd, struct lina_wire_hello *hello_p);

void evil_welcome(int fd, uint64_t conn_id, uint32_t early_bytes);

/* A whole hello with the handle's secret. */
void evil_hello(int fd, const void *handle, uint64_t conn_id, int lane, int nlanes);

/* Sends all; a peer that has gone is no failure. */
void evil_send(int fd, const void *bytes, size_t n);

/* Reads n bytes within ms, or ends the program. */
void evil_read(int fd, void *bytes, size_t n, int ms);

/* Whether the other end has closed or reset: reads away what comes, without waiting. */
bool evil_is_closed(int fd);

/* Closes with a reset instead of an end. */
void evil_reset(int fd);

/* Becomes the sending end of a connection to listener, which is accepted as *conn_p: data goes on
 * fd[0..nlanes), credits come on fd[nlanes]. */
void evil_sender(struct lina_listener *listener, const void *handle, int nlanes, int *fd,
	struct lina_conn **conn_p);

/* Becomes the receiving end of a connection that net dials: data comes on fd[0], credits go on
 * fd[1]. */
void evil_receiver(
	struct lina_net *net, uint32_t early_bytes, int fd[2], struct lina_conn **conn_p);

/* A data frame with its payload (NULL: none is sent). */
void evil_data(int fd, const struct lina_wire_data *head, const void *payload, size_t bytes);

void evil_credit(int fd, const struct lina_wire_credit *credit);
void evil_grant(int fd, uint64_t bytes);
/* The next credit that comes, while request is tested: it is not to end. */
struct lina_wire_credit evil_credit_read(int fd, struct lina_request *request, int ms);

#endif
