/*
 * Which of a link's peers are hot (priority/peers.h): what is known of them, and what latency flows
 * may have below in consequence. All flows that send on the link share it.
 *
 * Threads: any; a flow belongs to its connection's caller. Times are those of lina_link_now_ns.
 */
#ifndef LINA_PLUGIN_HOT_H
#define LINA_PLUGIN_HOT_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "priority/peers.h"

struct lina_hot {
	pthread_mutex_t lock;
	struct lina_peers peers; /* Guarded by lock */
	uint64_t hottest_bytes;  /* that the hottest has use for below; 0: not known, and all peers
				  * are alike */
	bool completes;          /* a device is below: what has left is told by lina_hot_left, */
	uint64_t lead_bytes;     /* when it may have sent so much more */
};

struct lina_hot_flow {
	struct lina_hot *hot;
	struct lina_peer *peer; /* whom it sends to; NULL: not told apart */
	uint64_t bytes;         /* posted and, as far as peers know, not sent */
};

/* As a kernel is below: what it takes counts as sent. */
void lina_hot_init(struct lina_hot *hot, uint64_t hottest_bytes);
void lina_hot_destroy(struct lina_hot *hot);

/* Before any flow: a device is below, with a port of mbps and a queue for each connection, and says
 * when something has left. A hot peer counts as long as its bytes are there. */
void lina_hot_completes(struct lina_hot *hot, uint64_t mbps);

/* The flow sends to the process `who`. part: of lina_peer_expect; 0: not known. */
void lina_hot_flow_peer(struct lina_hot_flow *flow, uint64_t who, double part);

/* How much the flow's connection may have below of it on a queue of the link; UINT64_MAX: as much
 * as it likes. */
uint64_t lina_hot_most_bytes(struct lina_hot_flow *flow, uint64_t now_ns);

/* Of a flow with a peer. Its bytes were posted; handed down; have left the device; will not be
 * sent, whatever of it was posted and has not. */
void lina_hot_post(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns);
void lina_hot_sent(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns);
void lina_hot_left(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns);
void lina_hot_drop(struct lina_hot_flow *flow);

#endif
