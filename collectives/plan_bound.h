/*
 * What no plan can be better than, proven: a lower bound on the score (plan_score.h) over all plans
 * of a shape, with any shares.
 *
 * For each layer, with loads t_e and T = sum of t_e on D devices with S slots in N nodes, let M be
 * the load of the busiest device.
 *   1. M >= T / D, and each expert needs ceil(t_e / M) slots or more, so the sum of these is at
 *      most S.
 *   2. Without spare slots (S = number of experts) the i heaviest experts are on i devices, each
 *      with k - 1 others (k slots each), or two of them share one: M is at least the lesser of
 *      (their sum + that of the (k - 1) i lightest) / i and (the two lightest of them + the k - 2
 *      lightest).
 *   3. An expert with r replicas has at most r / D of its tokens where they begin (r / N of them
 *      within their node), so given M, what must cross is at least T less the most that S slots
 *      can keep, with ceil(t_e / M) of them spent on e. What leaves its node crosses no faster than
 *      all NICs together take it, what leaves its device no faster than these and all ports do.
 *   4. What the busiest device computes and cannot begin there comes in through its own port (NIC):
 *      M less 1 / D (1 / N) of the k heaviest experts; without spare slots exactly M less M / D.
 * The bound is the least over M of computation and communication. 3 and 4 hold where tokens begin
 * evenly; with transitions they count for the first layer alone. Copies count nothing.
 */
#ifndef LINA_COLLECTIVES_PLAN_BOUND_H
#define LINA_COLLECTIVES_PLAN_BOUND_H

#include "collectives/place.h"

/* The bound on lina_plan_score.total_ns in *bound_ns_p; on the largest load of a device per layer
 * in max_load [nlayers], which may be NULL. -EINVAL: as for the methods, or no fabric; -ENOMEM. */
int lina_plan_bound(const struct lina_place *place, double *max_load, double *bound_ns_p);

#endif
