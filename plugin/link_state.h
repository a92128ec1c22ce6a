/*
 * What a link is made of, for link.c and link_tune.c.
 */
#ifndef LINA_PLUGIN_LINK_STATE_H
#define LINA_PLUGIN_LINK_STATE_H

#include "plugin/link.h"
#include "plugin/share.h"
#include "plugin/watch.h"
#include "priority/fit.h"
#include "priority/rate.h"
#include "priority/window.h"

enum { LINA_LINK_NAME_BYTES = 32 };

struct lina_link_dir {
	pthread_mutex_t lock;
	struct lina_sched sched; /* Guarded by lock */
	/* Of what this end sends. Guarded by lock. */
	struct lina_rate rate;
	struct lina_fit cost; /* of handing down a chunk */
	struct lina_window window;
	uint64_t below_bytes; /* of bulk flows with something queued: what others were last seen to
			       * have below is old */
	bool full;            /* the window was what last kept bulk back */
	struct lina_watch_link watch; /* Guarded by lock */
	struct lina_share *share;     /* with other processes; NULL: alone */
	/* What they were last told, and when. Guarded by lock. */
	uint64_t told_until_ns, told_ns;
	uint32_t told_flows;
	uint64_t heard_ns;    /* when they were last listened to. Guarded by lock */
	bool others;          /* there were any then. Guarded by lock */
	uint32_t other_flows; /* their bulk flows. Guarded by lock */
	/* What has left of their bulk, as it was heard, and what the rate has yet to learn of it.
	 * Guarded by lock */
	uint64_t others_left_bytes, unlearned_bytes;
	struct lina_link *link;
};

struct lina_link {
	const struct lina_config *config;
	char name[LINA_LINK_NAME_BYTES];
	pthread_mutex_t lock;         /* of what follows, taken before those of dir */
	_Atomic uint64_t bytes_per_s; /* 0: not known yet */
	_Atomic unsigned said;        /* bounds whose first time has been logged */
	struct lina_link_dir dir[LINA_NDIRS];
	struct lina_pump *pump; /* NULL: none */
	struct lina_hot hot;    /* Its lock is taken after those of dir */
};

/* Of a direction of the link, with this chunk and, for what it sends, this window. */
struct lina_sched_params lina_link_params(
	const struct lina_link *link, enum lina_dir dir, uint64_t chunk, uint64_t window);

/* Chunk and window of both directions from what is known of the link. Takes the locks of both. */
void lina_link_tune(struct lina_link *link);

/* The link carries so much (0: not known), with all that follows. Takes all locks. */
void lina_link_rate_set(struct lina_link *link, uint64_t bytes_per_s);

#endif
