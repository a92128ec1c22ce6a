/*
 * A context's attempts to connect that have not ended: NCCL repeats its call with the same handle,
 * which remembers the attempt by a ticket.
 *
 * Threads: any.
 */
#ifndef LINA_PLUGIN_DIALS_H
#define LINA_PLUGIN_DIALS_H

#include <pthread.h>

#include "plugin/transport.h"

struct lina_dials {
	pthread_mutex_t lock;
	LIST_HEAD(, lina_dial) list; /* Guarded by lock */
};

void lina_dials_init(struct lina_dials *dials);
/* Ends all that are left. */
void lina_dials_close(struct lina_dials *dials, const struct lina_transport_ops *ops);

/* The attempt that handle remembers, or a new one. -EPROTO: the handle is not one of ours, of
 * another version, or of another context; else an error of the transport. */
int lina_dial_get(struct lina_dials *dials, const struct lina_transport_ops *ops,
	struct lina_transport *transport, int dev, void *handle, struct lina_dial **dial_p);

/* Ends one. */
void lina_dial_remove(
	struct lina_dials *dials, const struct lina_transport_ops *ops, struct lina_dial *dial);

#endif
