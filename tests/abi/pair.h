/*
 * Two ends of a connection through the real plugin, in one process: what the sending end's table
 * sends, the receiving end's receives. Everything asserts, and nothing waits longer than
 * PAIR_SECONDS.
 */
#ifndef LINA_TESTS_ABI_PAIR_H
#define LINA_TESTS_ABI_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plugin/nccl_abi/drive.h"

enum { PAIR_SECONDS = 20 };

/* A table and its context. */
struct end {
	struct drive drive;
	void *ctx;
	int dev;
};

/* Loads the plugin (PLUGIN) and initialises it; the device is the first. */
void end_open(struct end *end_p, int version);
void end_close(struct end *end);

struct pair {
	struct end *sender, *receiver;          /* may be the same */
	void *listener, *send_conn, *recv_conn; /* NULL: closed */
};

void pair_open(struct pair *pair_p, struct end *sender, struct end *receiver);

/* Each may be called in any order, once. */
void pair_close_listener(struct pair *pair);
void pair_close_sender(struct pair *pair);
void pair_close_receiver(struct pair *pair);
void pair_close(struct pair *pair); /* what is open still */

/* A buffer at one end, registered. Its bytes follow from the seed. */
struct buffer {
	unsigned char *data;
	size_t bytes;
	void *mr;
};
struct buffer buffer_make(const struct end *end, void *conn, size_t bytes);
void buffer_free(const struct end *end, void *conn, struct buffer *buffer);
void buffer_fill(struct buffer *buffer, unsigned seed);

/* The first bytes are those that buffer_fill makes of seed, the rest is 0. */
void buffer_check(const struct buffer *buffer, unsigned seed, size_t bytes);

/* Starts a transfer, asking again while nothing is done; returns the request. */
void *pair_send(struct pair *pair, const struct buffer *from, int tag);
void *pair_recv(struct pair *pair, int n, const struct buffer *to, int *tags);

/* Moves both on until the end of both; sizes as test gives them. A request that is NULL has ended.
 */
void pair_finish(
	struct pair *pair, void *send_request, void *recv_request, int *sent_p, int *received_p);

/* Open descriptors and threads of the process. */
struct census {
	int nfds, nthreads;
};
struct census census_take(void);

/* Fails, later or at once, when PAIR_SECONDS have passed since the last call with true. */
void pair_clock(bool restart);

#endif
