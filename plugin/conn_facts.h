/*
 * What the core knows of a connection that its transfers do not say again: needed with the net ABIs
 * before v11 only, where NCCL says little, and kept beside the connection, which is the
 * transport's. Threads: a table is guarded by its owner's lock; facts belong to their connection's
 * caller.
 */
#ifndef LINA_PLUGIN_CONN_FACTS_H
#define LINA_PLUGIN_CONN_FACTS_H

#include <sys/queue.h>

struct lina_conn;

struct lina_conn_facts {
	LIST_ENTRY(lina_conn_facts) link;
	const struct lina_conn *conn;
	int traffic_class; /* LINA_TRAFFIC_CLASS_UNSET: none, or the end that accepted */
	int nregs;         /* registrations before the first transfer */
	int op;            /* lina_op, from the first transfer on; before: negative */
};

enum { LINA_CONN_FACTS_BUCKETS = 64 };

/* All zero at first. */
struct lina_conn_facts_table {
	LIST_HEAD(, lina_conn_facts) bucket[LINA_CONN_FACTS_BUCKETS];
};

/* Without memory there are no facts of the connection, and its transfers stay without a name. */
void lina_conn_facts_add(
	struct lina_conn_facts_table *table, const struct lina_conn *conn, int traffic_class);
void lina_conn_facts_remove(struct lina_conn_facts_table *table, const struct lina_conn *conn);
/* NULL: there are none of this connection. */
struct lina_conn_facts *lina_conn_facts_find(
	struct lina_conn_facts_table *table, const struct lina_conn *conn);

/* What the transfers of a connection are of, by how many buffers NCCL registered before the first:
 * a connection of a ring or tree has one for each protocol (LL, LL128, Simple), a connection for
 * sends and receives the shared one and at most one more (NCCL 2.20 to 2.25, transport/net.cc:
 * sendProxyConnect, recvProxyConnect). LINA_OP_COLLECTIVE, LINA_OP_SENDRECV, or -ENOENT where
 * nothing was registered. Pure. */
int lina_op_of_regs(int nregs);

#endif
