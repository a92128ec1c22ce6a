/*
 * The sending end, shared by tcp_credit.c and tcp_send.c.
 */
#ifndef LINA_PLUGIN_TCP_SEND_H
#define LINA_PLUGIN_TCP_SEND_H

#include "plugin/pump.h"
#include "plugin/tcp.h"

enum {
	CREDITS = TCP_REQUESTS * LINA_RECVS_MAX,
	SEND_CREDIT_BUFFER_BYTES = 4096,
};

enum send_state { SEND_FREE, SEND_WAITS, SEND_MOVES, SEND_DONE };

struct send_request {
	struct lina_request base;
	TAILQ_ENTRY(send_request) link; /* in waiting or moving */
	enum send_state state;
	enum lina_class cls;
	uint8_t *data;     /* read only; iovec has no const */
	size_t bytes, cut; /* size, and how much of it has become chunks */
	int tag;
	int chunks;                  /* cut and not yet wholly with the kernel */
	struct lina_wire_data frame; /* as of all its chunks, but for offset and length */
};

struct credit {
	TAILQ_ENTRY(credit) link;
	int tag;
	uint64_t room;
	uint16_t slot;
	uint32_t seq;
	uint8_t entry;
};

/* A message that went before its credit. */
struct early {
	TAILQ_ENTRY(early) link;
	int tag;
	size_t bytes;
};

/* One chunk on its way through one lane. */
struct send_lane {
	struct send_request *request; /* NULL: free */
	uint64_t loaded_ns;           /* when; 0: the kernel did not take it at once */
	uint8_t head[LINA_DATA_HEAD_BYTES];
	size_t head_left;
	uint8_t *chunk, *payload; /* its first byte, and the next to go */
	size_t payload_left;
};

TAILQ_HEAD(send_queue, send_request);
TAILQ_HEAD(credit_queue, credit);
TAILQ_HEAD(early_queue, early);

/* Everything is guarded by the lock of pumped. */
struct tcp_sender {
	struct tcp_conn conn;
	struct lina_pumped pumped;
	struct lina_link_flow flow[LINA_NCLASSES];
	struct send_queue waiting;               /* for credit, in the order of their isend */
	struct send_queue moving[LINA_NCLASSES]; /* with bytes that are not cut yet */
	uint64_t bulk_left; /* bytes of moving[LINA_CLASS_BULK], but for early ones, not cut yet */
	uint64_t bulk_posted;  /* of these, what the link knows of */
	uint64_t grant_left;   /* bulk that the receiver granted and that is not cut yet */
	uint64_t granted;      /* in all */
	unsigned bulk_earlies; /* early bulk messages that are not cut yet */
	struct credit_queue credits, spare_credits;
	struct early_queue earlies, spare_earlies;
	size_t early_bytes, early_left; /* standing credit: all of it, and what is not in use */
	uint32_t seen;                  /* buffers that credit has come for; wraps */
	struct send_lane lane[TCP_DATA_LANES_MAX];
	size_t credit_bytes; /* in credit_buffer, not decoded yet */
	uint8_t credit_buffer[SEND_CREDIT_BUFFER_BYTES];
	struct send_request request[TCP_REQUESTS];
	struct credit credit[CREDITS];
	struct early early[TCP_EARLIES];
};

int tcp_sender_fail(struct tcp_sender *s, int err);

/* Sets up the queues of credit. */
void tcp_credits_init(struct tcp_sender *s);

/* Finds credit for a request that has just been made: it moves or waits. */
int tcp_credit_match(struct tcp_sender *s, struct send_request *r);

/* Reads what credit has arrived. */
int tcp_credits_pull(struct tcp_sender *s);

/* r has its credit: from now on it moves. */
void tcp_send_move(struct tcp_sender *s, struct send_request *r);

/* Tells the link of bulk that has both credit and grant by now. */
void tcp_send_post_bulk(struct tcp_sender *s);

#endif
