#include "plugin/dials.h"

#include <errno.h>
#include <sys/random.h>

#include "plugin/log.h"

void lina_dials_init(struct lina_dials *dials)
{
	pthread_mutex_init(&dials->lock, NULL);
	LIST_INIT(&dials->list);
}

void lina_dials_close(struct lina_dials *dials, const struct lina_transport_ops *ops)
{
	struct lina_dial *dial;

	while ((dial = LIST_FIRST(&dials->list)))
		lina_dial_remove(dials, ops, dial);
	pthread_mutex_destroy(&dials->lock);
}

void lina_dial_remove(
	struct lina_dials *dials, const struct lina_transport_ops *ops, struct lina_dial *dial)
{
	pthread_mutex_lock(&dials->lock);
	LIST_REMOVE(dial, link);
	pthread_mutex_unlock(&dials->lock);
	ops->dial_close(dial);
}

static struct lina_dial *dial_find(struct lina_dials *dials, uint64_t ticket)
{
	struct lina_dial *dial;

	pthread_mutex_lock(&dials->lock);
	LIST_FOREACH(dial, &dials->list, link)
	if (dial->ticket == ticket)
		break;
	pthread_mutex_unlock(&dials->lock);
	return dial;
}

static int ticket_draw(uint64_t *ticket_p)
{
	uint64_t ticket;

	if (getrandom(&ticket, sizeof(ticket), 0) != sizeof(ticket)) {
		lina_warn("connect: the kernel gives no random bytes");
		return -EIO;
	}
	*ticket_p = ticket | 1; /* 0 says that there is none */
	return 0;
}

/* Adds the attempt that the transport has just begun. */
static void dial_add(struct lina_dials *dials, struct lina_dial *dial, uint64_t ticket)
{
	dial->ticket = ticket;
	pthread_mutex_lock(&dials->lock);
	LIST_INSERT_HEAD(&dials->list, dial, link);
	pthread_mutex_unlock(&dials->lock);
}

/* A ticket is looked up, never followed: the handle has passed through other hands. */
int lina_dial_get(struct lina_dials *dials, const struct lina_transport_ops *ops,
	struct lina_transport *transport, int dev, void *handle, struct lina_dial **dial_p)
{
	struct lina_wire_handle wire;
	uint64_t ticket;

	int err = lina_handle_decode(handle, &wire);
	if (err) {
		lina_warn("connect: the handle is %s",
			err == -EPROTO
				? "damaged or not from this plugin"
				: "from another version of this plugin; all ranks need the same");
		return err;
	}
	if (wire.ticket) {
		*dial_p = dial_find(dials, wire.ticket);
		if (*dial_p)
			return 0;
		lina_warn("connect: the handle names an attempt that this communicator did not "
			  "start");
		return -EPROTO;
	}
	err = ticket_draw(&ticket);
	if (!err)
		err = ops->dial(transport, dev, &wire, dial_p);
	if (err)
		return err;
	dial_add(dials, *dial_p, ticket);
	lina_handle_ticket_set(handle, ticket);
	return 0;
}
