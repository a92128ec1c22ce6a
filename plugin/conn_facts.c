#include "plugin/conn_facts.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "priority/class.h"

enum { PROTOCOLS = 3 };

/* Allocations are aligned to 16 bytes at least, and connections are larger than a cache line. */
static size_t bucket_of(const struct lina_conn *conn)
{
	return (size_t)(((uintptr_t)conn >> 6) ^ ((uintptr_t)conn >> 12)) % LINA_CONN_FACTS_BUCKETS;
}

void lina_conn_facts_add(
	struct lina_conn_facts_table *table, const struct lina_conn *conn, int traffic_class)
{
	struct lina_conn_facts *facts = calloc(1, sizeof(*facts));

	if (facts == NULL)
		return;
	facts->conn = conn;
	facts->traffic_class = traffic_class;
	facts->op = -ENOENT;
	LIST_INSERT_HEAD(&table->bucket[bucket_of(conn)], facts, link);
}

struct lina_conn_facts *lina_conn_facts_find(
	struct lina_conn_facts_table *table, const struct lina_conn *conn)
{
	struct lina_conn_facts *facts;

	LIST_FOREACH(facts, &table->bucket[bucket_of(conn)], link)
	if (facts->conn == conn)
		break;
	return facts;
}

void lina_conn_facts_remove(struct lina_conn_facts_table *table, const struct lina_conn *conn)
{
	struct lina_conn_facts *facts = lina_conn_facts_find(table, conn);

	if (facts == NULL)
		return;
	LIST_REMOVE(facts, link);
	free(facts);
}

int lina_op_of_regs(int nregs)
{
	if (nregs <= 0)
		return -ENOENT;
	return nregs < PROTOCOLS ? LINA_OP_SENDRECV : LINA_OP_COLLECTIVE;
}
