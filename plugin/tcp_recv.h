/*
 * The receiving end, shared by tcp_recv.c and tcp_lane.c.
 */
#ifndef LINA_PLUGIN_TCP_RECV_H
#define LINA_PLUGIN_TCP_RECV_H

#include "plugin/tcp.h"

enum {
	STAGE_BYTES = 4096, /* a header and a small message in one system call */
	CREDIT_BUFFER_BYTES = TCP_REQUESTS * LINA_CREDIT_MAX_BYTES, /* those of all in flight */
};

struct recv_request;

/* Where one message goes. */
struct recv_buffer {
	struct recv_request *request;
	uint8_t *data;
	size_t room;
	int tag;
	bool known; /* the message is, and with it its size and class */
	bool bulk;
	uint64_t message_bytes;
	uint64_t begun, got; /* of message_bytes: in chunks that began, in chunks that ended */
};

struct recv_request {
	struct lina_request base;
	enum lina_class cls;            /* as this end sees it: what to expect */
	TAILQ_ENTRY(recv_request) link; /* in posted */
	bool used;
	uint32_t seq;   /* tells this use of the slot from earlier ones */
	uint32_t first; /* number of buffer[0] among all buffers of the connection; wraps */
	int n;
	int left; /* buffers whose message is not complete */
	struct recv_buffer buffer[LINA_RECVS_MAX];
};

/* An early message that had to be taken off its lane before its receive was posted. */
struct recv_early {
	TAILQ_ENTRY(recv_early) link;
	int tag;
	uint32_t seen;
	size_t bytes;
	bool whole;
	struct recv_buffer *buffer; /* NULL: not posted yet */
	uint8_t payload[];
};

TAILQ_HEAD(recv_posted, recv_request);
TAILQ_HEAD(recv_earlies, recv_early);

/* While payload is to come, busy is set and it goes to buffer, or to early. */
struct recv_lane {
	bool ended; /* the peer has closed it */
	bool busy;
	bool ack_due;       /* bulk has come whose sender waits to hear of it */
	bool bulk, granted; /* its class, and whether it came against a grant */
	struct recv_buffer *buffer;
	struct recv_early *early;
	uint8_t *to;
	size_t payload_left;
	uint32_t chunk_bytes;
	size_t from, until; /* what is left in stage */
	uint8_t stage[STAGE_BYTES];
};

struct tcp_receiver {
	struct tcp_conn conn;
	struct lina_link_flow flow[LINA_NCLASSES];
	uint64_t grant_bytes; /* bulk that may be granted ahead of what has come */
	uint64_t granted, bulk_begun, bulk_got; /* bulk in all, but for early messages: granted, in
						 * chunks that began, arrived */
	struct recv_posted posted;              /* requests in use, in the order of their irecv */
	struct recv_earlies earlies;            /* in the order of their arrival */
	int nearlies;      /* at most TCP_EARLIES, all that the peer may have on its way */
	uint32_t nbuffers; /* that receives were posted for; wraps */
	size_t early_left; /* standing credit that early messages without a receive do not occupy */
	size_t early_owed; /* standing credit free again that the sender has not heard of */
	/* An early message heads lane 0 and its receive is not posted: the lane stands still, and
	 * the kernel keeps the payload, until it is posted or another receive needs the lane. */
	bool stalled;
	struct lina_wire_data stall;
	struct recv_lane lane[TCP_DATA_LANES_MAX];
	size_t credit_from, credit_until; /* what is left in credit_buffer */
	uint8_t credit_buffer[CREDIT_BUFFER_BYTES];
	struct recv_request request[TCP_REQUESTS];
};

int tcp_receiver_fail(struct tcp_receiver *r, int err);

/* Gives the buffers of a request that has just been posted the early messages that wait for them.
 */
int tcp_early_meet(struct tcp_receiver *r, struct recv_request *q);

/* Receives on all lanes until they are empty or request is complete. */
int tcp_lanes_pull(struct tcp_receiver *r, const struct recv_request *request);

/* Frees the early messages that nobody asked for. */
void tcp_earlies_free(struct tcp_receiver *r);

#endif
