/*
 * What a plan costs on given loads: the balance of the devices, what crosses which links, and the
 * predicted time of a forward pass. One cost model for all methods, so that plans compare.
 *
 * Where tokens are: without transitions, every device has an even part of each expert's tokens
 * (data parallel ranks), sends them to replicas and gets results back: two all-to-alls a layer.
 * With transitions, the tokens that leave an expert of layer l are at its devices, and go from
 * there to the experts of layer l + 1 (as in MoETuner): one all-to-all a layer; those of layer 0
 * are even.
 *
 * Who serves whom: each expert's tokens go to its replicas in the parts that the shares say,
 * nearest first: a device's own replica takes what it can of that device's tokens, then replicas of
 * a node take what they can of their node's, in proportion; what is left crosses between nodes, in
 * proportion. The all-to-all sends by the same rule.
 *
 * Time of a layer: token_ns times the load of the busiest device, plus the all-to-alls, each the
 * time of the busiest port or NIC, in or out, with its alpha (lina_fabric), plus the copies of
 * experts that differ from the current placement, as an even part of iterations_per_move.
 *
 * Pure: no state, any thread.
 */
#ifndef LINA_COLLECTIVES_PLAN_SCORE_H
#define LINA_COLLECTIVES_PLAN_SCORE_H

#include "collectives/counts.h"
#include "collectives/fabric.h"
#include "collectives/plan.h"

struct lina_score_model {
	double token_bytes;         /* of one token's activations, in an all-to-all */
	double token_ns;            /* of an expert's computation */
	double expert_bytes;        /* of one expert's parameters at one layer */
	double iterations_per_move; /* how long a placement lasts, which its copies are paid in */
};

/* A layer as DeepSeek-V2-Lite's: 2048 wide in 16 bits, experts of 3 matrices of 2048 x 1408 on a
 * device that does 400 * 10^12 operations a second; 1000 iterations. */
struct lina_score_model lina_score_model_default(void);

/* What plans are scored on. All but counts, fabric and model may be NULL. Refers to the objects of
 * the caller. */
struct lina_score_input {
	const struct lina_counts *counts;
	const struct lina_transitions *transitions; /* of the same layers */
	const struct lina_fabric *fabric;
	const struct lina_plan *current; /* what the devices hold now */
	struct lina_score_model model;
};

struct lina_layer_score {
	double max_load, mean_load; /* tokens of the busiest device, of all devices on average */
	double local_bytes, within_bytes, between_bytes; /* dispatched: to the device itself, within
							  * a node, between nodes */
	double comm_ns, compute_ns, move_ns;             /* all all-to-alls of the layer together */
	int moves;                                       /* copies against current */
};

struct lina_plan_score {
	double balance;       /* mean over layers of max / mean load; layers without load count 1 */
	double worst_balance; /* the largest of a layer */
	double local_bytes, within_bytes, between_bytes; /* sums over layers, as the rest */
	double comm_ns, compute_ns, move_ns;
	double total_ns; /* the score: what is to be small */
	int moves;
};

/* Scores a plan that lina_plan_check accepts; layers [nlayers] may be NULL. -EINVAL: counts,
 * transitions, fabric or current do not fit the plan; -ENOMEM. */
int lina_plan_score(const struct lina_plan *plan, const struct lina_score_input *input,
	struct lina_layer_score *layers, struct lina_plan_score *score_p);

/* --- what the search asks for, step by step --- */

/* Which part of each expert's tokens each device computes: served [nexperts][ndevices]. */
void lina_plan_served(const struct lina_plan *plan, int layer, double *served);

/* Where the tokens of a layer begin, when those of the layer before are where served says: supply
 * [to][device] is the sum over from of pair [from][to] times served [from][device], each row
 * brought to a sum of 1; even for an expert to which nothing is known to come. */
void lina_supply_from(const struct lina_plan_shape *shape, const double *pair, const double *served,
	double *supply);

/* Loads of one layer. All arrays are scratch of the object. */
struct lina_layer_load {
	int ndevices, devices_per_node, nnics;
	double *device;                /* [ndevices] tokens */
	double *port_in, *port_out;    /* [ndevices] tokens, within the node */
	double *nic_in, *nic_out;      /* [nnics] tokens, between nodes */
	double local, within, between; /* tokens */
	double *supply, *served;       /* [ndevices], for use by the functions below */
};

/* -ENOMEM. */
int lina_layer_load_create(const struct lina_plan_shape *shape, const struct lina_fabric *fabric,
	struct lina_layer_load **load_p);
void lina_layer_load_destroy(struct lina_layer_load *load);
void lina_layer_load_clear(struct lina_layer_load *load);

/* Adds tokens of one expert, of which part served[d] is computed by device d and part supply[d]
 * begins there (NULL: even); both have a sum of 1, or all is 0. Negative tokens take away. */
void lina_layer_load_add(struct lina_layer_load *load, const struct lina_fabric *fabric,
	const double *supply, const double *served, double tokens);

/* Time of the busiest port or NIC for the loads, in one all-to-all. */
double lina_layer_load_comm_ns(
	const struct lina_layer_load *load, const struct lina_fabric *fabric, double token_bytes);

#endif
