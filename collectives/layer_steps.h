/*
 * Between layer_search.c, which keeps the books of a layer, and layer_steps.c, which changes it.
 */
#ifndef LINA_COLLECTIVES_LAYER_STEPS_H
#define LINA_COLLECTIVES_LAYER_STEPS_H

#include "collectives/layer_search.h"

/* Adds (sign 1) or takes away (-1) what an expert with its shares does to the loads. */
void lina_search_count(struct lina_layer_search *s, int expert, double sign);

/* Shares of an expert that is taken away from the loads. */
void lina_search_choose_shares(struct lina_layer_search *s, int expert);

/* Puts an expert into a slot, takes it out; loads and shares are the caller's affair. */
void lina_search_link(struct lina_layer_search *s, int slot, int expert);
void lina_search_unlink(struct lina_layer_search *s, int slot);

bool lina_search_device_has(const struct lina_layer_search *s, int device, int expert);

/* Whether groups allow an expert on a device. */
bool lina_search_may_hold(const struct lina_layer_search *s, int device, int expert);

/* Counts a device's copies against current anew. */
void lina_search_count_moves(struct lina_layer_search *s, int device);

#endif
