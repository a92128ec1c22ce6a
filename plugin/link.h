/*
 * The engine of one link: what all connections of the process that share a device have to agree on,
 * whichever communicator and thread they belong to. A link has two directions with a scheduler each
 * (priority/sched.h); a connection has a flow for each class in its direction.
 *
 * Threads: any, at the cost of a lock that is held for some tens of nanoseconds; a flow belongs to
 * its connection's caller, or to the link's thread while that has the connection's lock (pump.h).
 */
#ifndef LINA_PLUGIN_LINK_H
#define LINA_PLUGIN_LINK_H

#include <pthread.h>
#include <stdint.h>

#include "plugin/config.h"
#include "plugin/hot.h"
#include "plugin/pump.h"
#include "priority/rate.h"
#include "priority/sched.h"

struct lina_link;
struct lina_link_dir;

struct lina_link_flow {
	struct lina_flow flow;
	struct lina_link_dir *dir;
	struct lina_hot_flow hot; /* of latency class and sending; its owner says who the peer is */
	uint64_t counted_bytes;   /* of what is below, in the sum of the direction */
	struct lina_rate_flow rate; /* of bulk class and sending */
	bool stays; /* on this host: its owner says so. What others send does not make room for it
		     */
};

/* name: the interface's, for messages. config lives until close. -ENOMEM. */
int lina_link_open(const struct lina_config *config, const char *name, struct lina_link **link_p);

const char *lina_link_name(const struct lina_link *link);

/* The peers of what it sends, for its transport to say what is below. */
struct lina_hot *lina_link_hot(struct lina_link *link);

/* A transport whose flows have it says so before the first: what is kept back goes when it may, and
 * no longer only when those it belongs to look. -ENOMEM (logged). */
int lina_link_pump_open(struct lina_link *link);
/* NULL: there is none. */
struct lina_pump *lina_link_pump(const struct lina_link *link);

/* After the last flow was dropped. Logs what the link did. NULL is allowed. */
void lina_link_close(struct lina_link *link);

uint64_t lina_link_now_ns(void);

/* Bulk that a receiving end grants ahead of what has arrived, one connection: at most. */
uint64_t lina_link_grant_bytes(const struct lina_link *link);

void lina_link_flow_init(struct lina_link *link, enum lina_dir dir, enum lina_class cls,
	struct lina_link_flow *flow);

/* As their namesakes in priority/sched.h, at the present time. */
void lina_link_drop(struct lina_link_flow *flow);
void lina_link_post(struct lina_link_flow *flow, uint64_t bytes);
uint64_t lina_link_ask(struct lina_link_flow *flow);
void lina_link_sent(struct lina_link_flow *flow, uint64_t bytes);
/* The first and the last in one: more_bytes may move, and bytes have been handed down. */
void lina_link_went(struct lina_link_flow *flow, uint64_t more_bytes, uint64_t bytes);
/* All in one, at one time and under one lock: bytes more may move (0: none more), and of what may
 * be handed down now at most most_bytes count as sent, which is the answer. 0: nothing, ask again.
 * below_bytes are below, which is looked at only where nothing may move and it may be what hinders.
 * Who can then not hand it down drops the flow. */
uint64_t lina_link_take(
	struct lina_link_flow *flow, uint64_t bytes, uint64_t most_bytes, uint64_t below_bytes);
/* Handing a chunk of bytes down took ns: the chunk follows from what it costs besides its bytes. */
void lina_link_cost(struct lina_link_flow *flow, uint64_t bytes, uint64_t ns);
void lina_link_below(struct lina_link_flow *flow, uint64_t bytes); /* may change chunk and window */

/* Of a bulk flow that receives, with ahead_bytes granted that have not come: what the link lets it
 * grant now, so that most_bytes, at least as many, are ahead at the most. */
uint64_t lina_link_grant(struct lina_link_flow *flow, uint64_t ahead_bytes, uint64_t most_bytes);

#endif
