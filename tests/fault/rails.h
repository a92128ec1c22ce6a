/*
 * What the tests of several rails share: one connection over RDMA devices of this process, both
 * ends in one thread, and a round of messages that are all in flight at once. A failure of what is
 * not under test ends the case.
 */
#ifndef LINA_TESTS_FAULT_RAILS_H
#define LINA_TESTS_FAULT_RAILS_H

/* In the order that cmocka asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fake/fabric.h"
#include "net/fixture.h"

enum {
	MESSAGES = 8, /* of a round */
	MESSAGE_MAX_BYTES = 700 << 10,
	WAIT_MS = 20000,
};

/* LINA_CLASSES by which all is of one class; beyond RAILS_NCLASSES, latency to a peer that is told
 * apart, and either class where immediates go alone. */
extern const char *const rails_classes[];
enum { RAILS_NCLASSES = 2, RAILS_NWAYS = 5 };

struct message {
	size_t bytes;
	uint8_t *from, *to;
	struct lina_mr *from_mr, *to_mr;
	struct lina_request *send, *recv;
};

struct run {
	struct lina_net *net;
	struct lina_listener *listener;
	struct lina_conn *send, *recv;
	struct message message[MESSAGES];
	uint64_t random;
};

/* Its context on nrails devices, joined; classes: LINA_CLASSES, and more settings after a space. */
void net_make(struct run *r, int nrails, const char *classes);
/* The connection of a context, and its messages' memory, which is registered. */
void run_connect(struct run *r);
/* Both. */
void run_open(struct run *r, int nrails, const char *classes);
/* Checks that nothing is left of it. */
void run_close(struct run *r);

void message_post(struct run *r, struct message *m, int tag);
/* All of a round, of random sizes. */
void messages_post(struct run *r);
/* One test of request; its error. A request that has ended becomes NULL. */
int turn(struct lina_request **request, int *bytes_p);
/* All messages to their end, or to the first error. */
int messages_finish(struct run *r);
void messages_check(const struct run *r);
/* A round from its beginning to its end. */
void messages_arrive(struct run *r);

/* Data that dev has been given since posts were forgotten. */
uint64_t bytes_of(int dev);
/* Messages go on until dev has carried data. */
void used_again(struct run *r, int dev);

#endif
