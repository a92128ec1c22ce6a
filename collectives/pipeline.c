#include "collectives/pipeline.h"

#include <errno.h>
#include <math.h>

int lina_linear_fit(const double *size, const double *time_s, size_t n, struct lina_linear *model_p,
	double *r2_p)
{
	double mean_n = 0, mean_s = 0, nn = 0, ns = 0, ss = 0, off = 0;
	struct lina_linear model;

	for (size_t i = 0; i < n; i++) {
		mean_n += size[i] / (double)n;
		mean_s += time_s[i] / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		nn += (size[i] - mean_n) * (size[i] - mean_n);
		ns += (size[i] - mean_n) * (time_s[i] - mean_s);
		ss += (time_s[i] - mean_s) * (time_s[i] - mean_s);
	}
	if (n < 2 || !(nn > 0) || !(ns > 0))
		return -EINVAL;
	model.beta_s = ns / nn;
	model.alpha_s = mean_s - model.beta_s * mean_n;
	if (model.alpha_s < 0) {
		model.alpha_s = 0;
		model.beta_s =
			(ns + (double)n * mean_n * mean_s) / (nn + (double)n * mean_n * mean_n);
	}
	for (size_t i = 0; i < n; i++)
		off += pow(time_s[i] - lina_linear_s(model, size[i]), 2);
	*r2_p = 1 - off / ss;
	*model_p = model;
	return 0;
}

static double tokens(const struct lina_moe_shape *shape)
{
	return shape->topk * floor(shape->capacity * shape->batch * shape->length);
}

double lina_moe_a2a_bytes(const struct lina_moe_shape *shape)
{
	return tokens(shape) * shape->model_width * shape->element_bytes;
}

double lina_moe_product_madds(const struct lina_moe_shape *shape)
{
	return tokens(shape) * shape->model_width * shape->hidden_width;
}

struct lina_linear lina_expert_model(struct lina_linear gemm, int backward)
{
	double times = backward ? 4 : 2;

	return (struct lina_linear){ times * gemm.alpha_s, times * gemm.beta_s };
}

/* One part of several. */
static double part_s(const struct lina_pipe_stage *stage, int degree)
{
	return lina_linear_s(stage->model, stage->n / degree);
}

/* --- PipeMoE --- */

double lina_pipe_time_s(const struct lina_pipe *pipe, int degree)
{
	double d = part_s(&pipe->a2a, degree), e = part_s(&pipe->expert, degree);

	if (degree == 1)
		return 2 * d + e;
	if (e <= d || degree * e < 2 * (degree - 1) * d)
		return 2 * degree * d;
	return 2 * d + degree * e;
}

int lina_pipe_degree(const struct lina_pipe *pipe, double *time_s_p)
{
	int best = 1;

	*time_s_p = lina_pipe_time_s(pipe, 1);
	for (int degree = 2; degree <= LINA_DEGREE_MAX; degree++) {
		double time_s = lina_pipe_time_s(pipe, degree);
		if (time_s >= *time_s_p)
			continue;
		*time_s_p = time_s;
		best = degree;
	}
	return best;
}

/* --- FSMoE --- */

double lina_fsmoe_time_s(
	const struct lina_fsmoe *layer, int degree, double gradient_s, enum lina_fsmoe_case *case_p)
{
	double a2a = part_s(&layer->a2a, degree), ag = part_s(&layer->allgather, degree);
	double rs = part_s(&layer->reduce_scatter, degree), e = part_s(&layer->expert, degree);
	double times[] = { 2 * degree * a2a + gradient_s, 2 * a2a + ag + rs + degree * e,
		2 * degree * a2a + ag + rs, 2 * a2a + degree * (ag + rs) };
	int longest = 0;

	for (int i = 1; i < 4; i++)
		if (times[i] > times[longest])
			longest = i;
	*case_p = (enum lina_fsmoe_case)(longest + 1);
	return times[longest];
}

int lina_fsmoe_degree(const struct lina_fsmoe *layer, double gradient_s, double *time_s_p)
{
	enum lina_fsmoe_case which;
	int best = 1;

	*time_s_p = lina_fsmoe_time_s(layer, 1, gradient_s, &which);
	for (int degree = 2; degree <= LINA_DEGREE_MAX; degree++) {
		double time_s = lina_fsmoe_time_s(layer, degree, gradient_s, &which);
		if (time_s >= *time_s_p)
			continue;
		*time_s_p = time_s;
		best = degree;
	}
	return best;
}

double lina_fsmoe_free_s(const struct lina_fsmoe *layer, int degree)
{
	enum lina_fsmoe_case which;

	return lina_fsmoe_time_s(layer, degree, 0, &which) -
	       2 * degree * part_s(&layer->a2a, degree);
}

/* The bytes of ready ones that an allreduce gets through in free_s. */
static double bytes_that_fit(
	struct lina_linear allreduce, double free_s, double ready_bytes, double chunk_bytes)
{
	if (chunk_bytes > 0) {
		double chunk_s = lina_linear_s(allreduce, chunk_bytes);
		double chunks = fmin(floor(free_s / chunk_s), floor(ready_bytes / chunk_bytes));
		return chunks * chunk_bytes;
	}
	if (free_s <= allreduce.alpha_s || ready_bytes <= 0)
		return 0;
	return fmin(ready_bytes, (free_s - allreduce.alpha_s) / allreduce.beta_s);
}

/* In messages of chunk_bytes, or in one. */
static double allreduce_s(struct lina_linear allreduce, double bytes, double chunk_bytes)
{
	double messages = bytes > 0 ? 1 : 0;

	if (chunk_bytes > 0)
		messages = ceil(bytes / chunk_bytes);
	return messages * allreduce.alpha_s + allreduce.beta_s * bytes;
}

double lina_gradient_partition(const struct lina_fsmoe *layer, struct lina_linear allreduce,
	int nlayers, double bytes_per_layer, double chunk_bytes, struct lina_gradient_part *part,
	double *rest_bytes_p)
{
	double alone_s, ready_bytes = 0, sum_s = 0;
	int degree = lina_fsmoe_degree(layer, 0, &alone_s);
	double free_s = lina_fsmoe_free_s(layer, degree);
	enum lina_fsmoe_case which;

	for (int i = 0; i < nlayers; i++) {
		double bytes = bytes_that_fit(allreduce, free_s, ready_bytes, chunk_bytes);
		part[i] = (struct lina_gradient_part){ .degree = degree, .bytes = bytes };
		part[i].time_s = lina_fsmoe_time_s(
			layer, degree, allreduce_s(allreduce, bytes, chunk_bytes), &which);
		sum_s += part[i].time_s;
		ready_bytes += bytes_per_layer - bytes;
	}
	*rest_bytes_p = ready_bytes;
	return sum_s + allreduce_s(allreduce, ready_bytes, chunk_bytes);
}
