/*
 * MoETuner's placement (arXiv 2502.06643): experts to clusters of even load, clusters to devices so
 * that what goes from layer to layer loads the slowest link least. Its two integer programs are
 * solved by CBC, which is optional when Lina is built; the second one exactly, without a solver,
 * where all clusters have the same size and devices are few.
 *
 * CBC keeps its time limit by its own clock and works single-threaded; all else here is pure.
 */
#ifndef LINA_COLLECTIVES_MOETUNER_H
#define LINA_COLLECTIVES_MOETUNER_H

#include "collectives/place.h"

struct lina_moetuner_settings {
	double time_limit_s; /* of the solver, for each integer program; > 0 */
	double gap;          /* relative, at which the solver may stop; the paper has 0.025 */
	bool polish;         /* ours: then swaps experts between nodes while that keeps more tokens
			      * within a node and no device has more than (1 + slack) of the mean,
			      * or of what the first program gave it */
	double slack;
};
struct lina_moetuner_settings lina_moetuner_settings_default(void);

enum lina_moetuner_routing {
	LINA_ROUTING_CHAIN, /* exact */
	LINA_ROUTING_PROGRAM,
	LINA_ROUTING_SWAPS /* local search: too many devices for the others */
};

/* How good the parts are. */
struct lina_moetuner_report {
	double load_gap; /* of the first program: largest (found - bound) / mean load of a device */
	double routing_gap; /* of the second, relative; 0 for the chain, negative: not known */
	enum lina_moetuner_routing routing;
};

/* Whether Lina was built with CBC. */
bool lina_moetuner_available(void);

/* Needs transitions and fabric; makes no replicas. -ENOTSUP: built without CBC. -EINVAL: as for all
 * methods, no transitions, or fewer experts than devices; -ENOENT: no solution in the time given.
 * report_p may be NULL. */
int lina_place_moetuner(const struct lina_place *place,
	const struct lina_moetuner_settings *settings, struct lina_plan **plan_p,
	struct lina_moetuner_report *report_p);

/* --- the parts --- */

/* The first program for one layer: cluster [nexperts] for each expert, each cluster with 1 to
 * capacity experts, so that the loads differ from their mean by the least sum. *gap_p: (found -
 * bound) / mean. -ENOTSUP; -ENOENT: no solution in the time given; -EINVAL: too few or too many
 * experts. */
int lina_moetuner_clusters(const double *tokens, int nexperts, int nclusters, int capacity,
	const struct lina_moetuner_settings *settings, int *cluster, double *gap_p);

/* The second problem: between layers p and p + 1, traffic [npairs][n][n] goes from cluster to
 * cluster, and a byte from device g to h takes byte_ns [n][n] (0 from g to itself). Wanted is a
 * device for each cluster of each layer, device [npairs + 1][n], each layer one to one, for the
 * least sum over pairs of the largest time of any (g, h). */
struct lina_chain {
	int npairs, n;
	const double *traffic, *byte_ns;
};

double lina_chain_cost(const struct lina_chain *chain, const int *device);

/* Exact: dynamic programming over the n! ways of each layer, of which those that a symmetry of the
 * links turns into each other count once. -E2BIG: n above LINA_CHAIN_MAX, or not enough symmetry
 * for this to take seconds. -ENOMEM. */
enum { LINA_CHAIN_MAX = 8 };
int lina_chain_solve(const struct lina_chain *chain, int *device);

/* By CBC; sizes [npairs + 1][n] of the clusters: over all layers no device has more experts than
 * per_device. NULL: they are equal. *gap_p is relative. Errors as for lina_moetuner_clusters. */
int lina_chain_program(const struct lina_chain *chain, const int *sizes, int per_device,
	const struct lina_moetuner_settings *settings, int *device, double *gap_p);

/* Improves device [npairs + 1][n] by swaps until none helps. sizes, per_device: as above. */
void lina_chain_swap(const struct lina_chain *chain, const int *sizes, int per_device, int *device);

/* Ours, see polish: device [nlayers][nexperts] for each expert. -ENOMEM. */
int lina_moetuner_polish(const struct lina_place *place, double slack, int *device);

#endif
