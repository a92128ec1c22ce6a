/*
 * Where the transfers of a context come from: the operation and the communicator of each, from the
 * best source there is, the class that follows by the user's rules, and a count of it all. The
 * sources: what NCCL says of a transfer (net v11 on), what its profiler knows (v10, and the names
 * of communicators), how its connection was set up.
 *
 * Threads: any, but a connection has one caller at a time.
 */
#ifndef LINA_PLUGIN_ORIGIN_H
#define LINA_PLUGIN_ORIGIN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugin/conn_facts.h"
#include "plugin/net.h"
#include "plugin/traffic.h"
#include "priority/class_rules.h"

struct lina_origin {
	struct lina_net_params params;
	const struct lina_class_rules *rules;
	uint64_t number; /* of this origin, in the process: no other has or will have it */
	bool asks;       /* the profiler, whose each transfer is */
	struct lina_traffic sent, received;
	pthread_mutex_t lock;
	int nconns;                         /* Guarded by lock */
	struct lina_conn_facts_table facts; /* empty where NCCL names operations. Guarded by lock */
};

/* Part of a context, zeroed. rules: constant until close. */
void lina_origin_open(struct lina_origin *origin, const struct lina_net_params *params,
	const struct lina_class_rules *rules);
/* Logs what was sent and received. */
void lina_origin_close(struct lina_origin *origin);

/* What NCCL says of the transfers that follow on this thread: a mask of operations. */
void lina_origin_told(const struct lina_origin *origin, uint32_t ops);

/* traffic_class: of this connection, LINA_TRAFFIC_CLASS_UNSET: not known. */
void lina_origin_conn_add(
	struct lina_origin *origin, const struct lina_conn *conn, int traffic_class);
void lina_origin_conn_remove(struct lina_origin *origin, const struct lina_conn *conn);
/* A buffer was registered with the connection. */
void lina_origin_reg(struct lina_origin *origin, const struct lina_conn *conn);

struct lina_source {
	int op; /* lina_op, negative: not known */
	enum lina_class cls;
};

/* Of the transfer that NCCL asks for now, on this thread. profile: its handle, may be NULL. */
struct lina_source lina_origin_find(
	struct lina_origin *origin, const struct lina_conn *conn, void *profile);

/* Whether a context that is open asks the profiler. */
bool lina_origin_asks_profiler(void);

#endif
