/*
 * What a transport gives the core: one table of functions, and the bases that its objects begin
 * with. tcp is one, verbs another. Errors, threads and ownership are those of net.h.
 */
#ifndef LINA_PLUGIN_TRANSPORT_H
#define LINA_PLUGIN_TRANSPORT_H

#include <sys/queue.h>

#include "plugin/config.h"
#include "plugin/net.h"
#include "plugin/watch.h"
#include "plugin/wire.h"
#include "priority/class.h"

struct lina_transport; /* an open transport: its devices; each transport defines its own */
struct lina_transport_ops;

/* Anything that belongs to a context and goes with it. Guarded by the context's lock. */
struct lina_object {
	LIST_ENTRY(lina_object) link;
	struct lina_net *net;
	void (*close)(struct lina_object *object); /* from any state; frees it. Of a connection: the
						    * core's, which calls the transport's */
};

struct lina_listener {
	struct lina_object object;
	const struct lina_transport_ops *ops;
};

/* An attempt to connect that has not ended. Guarded by the lock of dials.h. */
struct lina_dial {
	LIST_ENTRY(lina_dial) link;
	uint64_t ticket;   /* what the caller's handle remembers the attempt by */
	int traffic_class; /* the core's, from before the first step: what the user wants of it, or
			      LINA_TRAFFIC_CLASS_UNSET */
};

/* Belongs to a connection and goes with it. Guarded by the context's lock. */
struct lina_mr {
	LIST_ENTRY(lina_mr) link;
};

struct lina_conn {
	struct lina_object object;
	const struct lina_transport_ops *ops;
	bool sends;               /* the end that connected */
	LIST_HEAD(, lina_mr) mrs; /* registered and not deregistered */
	/* Who is at the other end, and by which link: the transport's to say. */
	char peer_name[LINA_STATS_NAME_BYTES], link_name[LINA_STATS_NAME_BYTES];
	struct lina_watch_conn watch; /* the core's */
};

/* Readable until the next call on its connection, even when it has ended. */
struct lina_request {
	struct lina_conn *conn;
	struct lina_watch_request watch; /* the core's */
	enum lina_class cls;             /* the core's: as this end sees it */
};

struct lina_transport_ops {
	const char *name;

	/* Finds the devices. config lives until close. -ENODEV: none (it has been said why). */
	int (*open)(const struct lina_config *config, struct lina_transport **transport_p);
	void (*close)(struct lina_transport *transport);
	int (*count)(const struct lina_transport *transport);
	/* Makes one device of ndevs with one port each, numbers at devs; NULL: not possible. May be
	 * called while others use the transport. -EINVAL (logged). */
	int (*merge)(struct lina_transport *transport, int ndevs, const int *devs, int *dev_p);
	void (*props)(
		const struct lina_transport *transport, int dev, struct lina_net_props *props_p);

	int (*listen)(struct lina_transport *transport, int dev, struct lina_wire_handle *handle_p,
		struct lina_listener **listener_p);
	/* -EAGAIN: the peer is not there yet. */
	int (*accept)(struct lina_listener *listener, struct lina_conn **conn_p);

	int (*dial)(struct lina_transport *transport, int dev,
		const struct lina_wire_handle *handle, struct lina_dial **dial_p);
	/* -EAGAIN: not yet. After 0, when its sockets are the connection's, and after any other
	 * error the dial is to be closed. */
	int (*dial_step)(struct lina_dial *dial, struct lina_conn **conn_p);
	void (*dial_close)(struct lina_dial *dial); /* from any state; frees it */

	int (*reg)(struct lina_conn *conn, void *data, size_t bytes, int type, uint64_t offset,
		int fd, struct lina_mr **mr_p);
	int (*dereg)(struct lina_conn *conn, struct lina_mr *mr);
	void (*conn_close)(struct lina_conn *conn); /* from any state; frees it */
	/* cls: of this message, as this end sees it; the other end may see it otherwise. */
	int (*send)(struct lina_conn *conn, enum lina_class cls, void *data, size_t bytes, int tag,
		struct lina_mr *mr, struct lina_request **request_p);
	int (*recv)(struct lina_conn *conn, enum lina_class cls, int n, void *const *data,
		const size_t *bytes, const int *tags, struct lina_mr *const *mrs,
		struct lina_request **request_p);
	int (*flush)(struct lina_conn *conn, int n, void *const *data, const int *bytes,
		struct lina_mr *const *mrs, struct lina_request **request_p);
	int (*test)(struct lina_request *request, int *done_p, int *bytes_p);
};

extern const struct lina_transport_ops lina_tcp_ops, lina_verbs_ops;

#endif
