/*
 * In how many parts a mixture-of-experts layer's tokens go through all-to-all, experts and
 * all-to-all again, so that one part is on the wire while another is computed: PipeMoE's degree
 * (INFOCOM 2023; solver.py of its authors' code) and FSMoE's (ASPLOS 2025), and how much of the
 * gradients' allreduce FSMoE hides in the layer. Both of linear times alpha + beta n, fitted to
 * measurements.
 *
 * The authors minimise over real degrees by case analysis and a general solver; degrees are whole
 * and few, so here all are tried. Pure; any thread. Seconds throughout.
 */
#ifndef LINA_COLLECTIVES_PIPELINE_H
#define LINA_COLLECTIVES_PIPELINE_H

#include <stddef.h>

/* The time of an operation of size n (bytes, or multiply-adds): alpha_s + beta_s * n, both >= 0. */
struct lina_linear {
	double alpha_s, beta_s;
};

static inline double lina_linear_s(struct lina_linear model, double n)
{
	return model.alpha_s + model.beta_s * n;
}

/* The least squares line through size[n], time_s[n]; alpha is not below 0 (then beta is the best
 * without it). *r2_p: the part of the variance it explains. -EINVAL: fewer than two sizes differ,
 * or times do not grow with sizes. */
int lina_linear_fit(const double *size, const double *time_s, size_t n, struct lina_linear *model_p,
	double *r2_p);

/* What one device sends and computes in a layer, forward. */
struct lina_moe_shape {
	int batch, length; /* sequences on the device, tokens of one */
	int model_width, hidden_width;
	int topk;
	double capacity; /* factor */
	int element_bytes;
};

/* k int(f B L) M bytes of an element: what an all-to-all sends. */
double lina_moe_a2a_bytes(const struct lina_moe_shape *shape);
/* k int(f B L) M H: multiply-adds of one of an expert's two products. */
double lina_moe_product_madds(const struct lina_moe_shape *shape);

enum { LINA_DEGREE_MAX = 64 };

/* Whole times as functions of their size, and the sizes. */
struct lina_pipe_stage {
	struct lina_linear model;
	double n;
};

/* --- PipeMoE --- */

struct lina_pipe {
	struct lina_pipe_stage a2a;    /* one of the two */
	struct lina_pipe_stage expert; /* all products */
};

/* An expert of two products, each of gemm: alpha and beta are twice its own; backward (with respect
 * to inputs and to weights) twice that again. */
struct lina_linear lina_expert_model(struct lina_linear gemm, int backward);

/* The layer's time in degree parts. With d the all-to-all and e the experts of one part:
 * 2 d + e of one; else 2 r d where e <= d or r e < 2 (r - 1) d, and 2 d + r e. */
double lina_pipe_time_s(const struct lina_pipe *pipe, int degree);

/* The degree from 1 to LINA_DEGREE_MAX that takes least time, the smallest of equals. */
int lina_pipe_degree(const struct lina_pipe *pipe, double *time_s_p);

/* --- FSMoE --- */

/* A layer whose experts are cut over the devices of a node: all-to-all between nodes, allgather and
 * reduce-scatter within them. */
struct lina_fsmoe {
	struct lina_pipe_stage a2a, allgather, reduce_scatter, expert;
};

/* What decides the time of a layer. */
enum lina_fsmoe_case {
	LINA_FSMOE_GRADIENT = 1, /* 2 r a2a + gradients */
	LINA_FSMOE_EXPERT,       /* 2 a2a + ag + rs + r expert */
	LINA_FSMOE_A2A,          /* 2 r a2a + ag + rs */
	LINA_FSMOE_NODE,         /* 2 a2a + r ag + r rs */
};

/* The layer's time in degree parts, with gradient_s of allreduce on the wire between nodes. Each
 * case is the chain of one resource, which all have to be through: the longest decides. (The
 * paper's conditions Q1 to Q7 say which that is.) */
double lina_fsmoe_time_s(const struct lina_fsmoe *layer, int degree, double gradient_s,
	enum lina_fsmoe_case *case_p);
int lina_fsmoe_degree(const struct lina_fsmoe *layer, double gradient_s, double *time_s_p);

/* The time between nodes that a layer leaves free in degree parts: what its allreduce may take and
 * the layer is no longer for it. */
double lina_fsmoe_free_s(const struct lina_fsmoe *layer, int degree);

/* How gradients are spread over the layers of a backward pass. */
struct lina_gradient_part {
	int degree;
	double bytes;  /* reduced within the layer */
	double time_s; /* of the layer, with them */
};

/* Adaptive partition over nlayers equal layers, in the order of the backward pass; after each,
 * bytes_per_layer more are ready. In each layer what is ready and fits into its free time; then
 * what is left, together, after the last: within this model it costs the same wherever it goes, but
 * for an alpha in each place (the paper searches here, by differential evolution).
 * Or, with chunk_bytes > 0, Lina's fixed partition: whole chunks that are ready, as many as fit.
 * part[nlayers]; returns the time of the pass with what is left, *rest_bytes_p. */
double lina_gradient_partition(const struct lina_fsmoe *layer, struct lina_linear allreduce,
	int nlayers, double bytes_per_layer, double chunk_bytes, struct lina_gradient_part *part,
	double *rest_bytes_p);

#endif
