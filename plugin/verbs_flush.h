/*
 * Makes what has arrived in a GPU's memory visible there. A NIC's write may still be on its way
 * through PCI when its completion is in host memory; a read by the same NIC pushes it ahead. So a
 * flush reads a byte back, by a queue pair that each rail has with itself from the
 * first flush on.
 */
#ifndef LINA_PLUGIN_VERBS_FLUSH_H
#define LINA_PLUGIN_VERBS_FLUSH_H

#include "plugin/verbs_conn.h"

struct verbs_flush;

/* As transport.h. Nothing to do for host memory: *request_p = NULL. */
int verbs_flush(struct lina_conn *conn, int n, void *const *data, const int *bytes,
	struct lina_mr *const *mrs, struct lina_request **request_p);

/* Whether request is one of conn's flushes, and its test. */
bool verbs_flush_owns(const struct verbs_conn *conn, const struct lina_request *request);
int verbs_flush_test(struct lina_request *request, int *done_p);

/* Nothing is read any more; requests stay what they are. */
void verbs_flush_stop(struct verbs_conn *conn);
/* Before the rails of conn are closed. */
void verbs_flush_close(struct verbs_conn *conn);

#endif
