/*
 * A peer that knows the secret and does not keep to the protocol, and the end that has to do with
 * it: opened before a cmocka case and closed after it, with what both must do when the connection
 * fails. A failed setup ends the program.
 */
#ifndef LINA_TESTS_FAULT_PEER_H
#define LINA_TESTS_FAULT_PEER_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/evil.h"

enum { LIMIT_MS = 30000, ROOM = 1000, GUARD = 64, PAYLOAD_BYTES = 4 * ROOM };

/* The case that runs. */
struct peer {
	struct lina_net *net;
	struct lina_conn *conn; /* the honest end */
	int fd[LINA_LANES_MAX]; /* the peer's sockets, first those of data; -1: closed by the case
				 */
	int nlanes;             /* of data */
	int *credit_fd;         /* among fd */
	int fds_before;         /* descriptors open before the case */
	struct {
		uint8_t before[GUARD], data[ROOM], after[GUARD];
	} to;                           /* what is received into */
	struct lina_request *request;   /* the receive that waits */
	struct lina_wire_credit credit; /* of request */
};
extern struct peer peer;

/* What either end sends. */
extern const uint8_t payload[PAYLOAD_BYTES];

/* The honest end receives, with a standing credit of 4096 bytes. */
int open_receiver(void **state);
int open_receiver_of_two_lanes(void **state);
/* The peer has room for a few credits only. */
int open_receiver_from_a_small_window(void **state);
/* The honest end sends, without early messages. */
int open_sender(void **state);
/* What these two are made of: of a context with settings and so many lanes; against a standing
 * credit and a first grant. */
void receiver_open(const char *settings, int lanes);
void sender_open(uint32_t early_bytes, uint32_t grant_bytes);
/* Every case leaves as many descriptors as it found. */
int teardown(void **state);

#define RECEIVER(test)  cmocka_unit_test_setup_teardown(test, open_receiver, teardown)
#define RECEIVER2(test) cmocka_unit_test_setup_teardown(test, open_receiver_of_two_lanes, teardown)
#define SENDER(test)    cmocka_unit_test_setup_teardown(test, open_sender, teardown)

/* Posts a receive of room bytes (ROOM at most) and reads its credit. */
void receive_post(size_t room, int tag);
/* Nothing was written around what is received into. */
void guards_check(void);
/* A whole message of so many bytes for the receive that was posted last. */
struct lina_wire_data frame_of(size_t bytes);

/* The receive fails, once and for all, with one line; the peer is told by the end of its socket. */
void receive_fails(int expected);
/* The frame in head, whose payload may be missing, is refused with expected. */
void frame_is_refused(const struct lina_wire_data *head, int expected);
/* The same for a send. */
void send_fails(struct lina_request *sent, int expected);

#endif
