/*
 * One layer of a plan while it is being improved, for place_best.c: its cost on the common score is
 * kept up to date by every change, and a change that does not pay is taken back.
 */
#ifndef LINA_COLLECTIVES_LAYER_SEARCH_H
#define LINA_COLLECTIVES_LAYER_SEARCH_H

#include "collectives/place.h"

/* What a replica serves in any case, before shares level the loads: the tokens that begin at its
 * device; those that begin in its node. */
enum lina_search_keep { LINA_KEEP_NOTHING, LINA_KEEP_DEVICE, LINA_KEEP_NODE, LINA_NKEEPS };

struct lina_layer_search {
	const struct lina_place *place;
	int layer, nslots, ndevices, nexperts, per_device;
	const double *tokens; /* [nexperts] */
	const double *supply; /* [nexperts][ndevices]; NULL: even */
	const int *old;       /* [nslots of current]; NULL: nothing counts as a move */
	int old_per_device;
	enum lina_search_keep keep;
	struct lina_layer_load *load;
	struct lina_layer_load *saved;
	int *expert;       /* [nslots] */
	double *share;     /* [nslots] */
	int *first, *next; /* [nexperts], [nslots]: the slots of an expert, a list; -1 ends it */
	int *replicas;     /* [nexperts] */
	int *moved;        /* [ndevices] copies against current */
	double *served;    /* [ndevices], for use here */
	int *chosen;       /* [nslots], for use here */
	int nkept, *kept_slot; /* [nslots] shares before a step that is tried */
	double *kept_share;    /* [nslots] */
	long trials;           /* made so far */
};

/* For layers of place. -ENOMEM. */
int lina_layer_search_create(const struct lina_place *place, struct lina_layer_search **search_p);
void lina_layer_search_destroy(struct lina_layer_search *search);

/* Takes up a layer as it is in experts [nslots]: an expert twice on a device is there once, shares
 * are chosen anew. fill: empty slots get further replicas where no moves are counted. */
void lina_layer_search_begin(struct lina_layer_search *search, int layer, const int *experts,
	const double *supply, bool fill);

/* What is to be small: the layer's time, and a little of how uneven all is, so that a step that
 * leaves the busiest as it is may still be one forward. */
double lina_layer_search_cost(const struct lina_layer_search *search);

/* The layer's time on the common score. */
double lina_layer_search_ns(const struct lina_layer_search *search);

/* Chooses the shares of all experts anew, in turn, some times over. */
void lina_layer_search_share(struct lina_layer_search *search, int rounds);

/* Improves until nothing helps or trials have been made. */
void lina_layer_search_improve(struct lina_layer_search *search, long trials);

#endif
