#include "collectives/plan_score.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct lina_score_model lina_score_model_default(void)
{
	const double wide = 2048, inner = 1408, operations_per_ns = 400e3;

	return (struct lina_score_model){ .token_bytes = 2 * wide,
		.token_ns = 2 * 3 * wide * inner / operations_per_ns,
		.expert_bytes = 2 * 3 * wide * inner,
		.iterations_per_move = 1000 };
}

/* Who sends what of a layer, and who computes what of an expert. */
struct scorer {
	const struct lina_plan *plan;
	const struct lina_score_input *input;
	struct lina_layer_load *load;
	double *served;   /* [nexperts][ndevices] of the layer, parts of each expert's tokens */
	double *previous; /* the same of the layer before */
	double *supply;   /* [nexperts][ndevices]; NULL: even everywhere */
};

void lina_plan_served(const struct lina_plan *plan, int layer, double *served)
{
	const struct lina_plan_shape *shape = &plan->shape;
	const int *experts = lina_plan_experts(plan, layer);
	const double *shares = lina_plan_shares(plan, layer);
	size_t ndevices = (size_t)shape->ndevices;

	memset(served, 0, (size_t)shape->nexperts * ndevices * sizeof(*served));
	for (int s = 0; s < lina_plan_nslots(shape); s++)
		if (experts[s] != LINA_SLOT_EMPTY)
			served[(size_t)experts[s] * ndevices +
				(size_t)lina_plan_device_of(shape, s)] += shares[s];
}

void lina_supply_from(const struct lina_plan_shape *shape, const double *pair, const double *served,
	double *supply)
{
	size_t nexperts = (size_t)shape->nexperts, n = (size_t)shape->ndevices;

	memset(supply, 0, nexperts * n * sizeof(*supply));
	for (size_t from = 0; from < nexperts; from++)
		for (size_t to = 0; to < nexperts; to++) {
			double tokens = pair[from * nexperts + to];

			for (size_t d = 0; tokens > 0 && d < n; d++)
				supply[to * n + d] += tokens * served[from * n + d];
		}
	for (size_t to = 0; to < nexperts; to++) {
		double sum = 0;

		for (size_t d = 0; d < n; d++)
			sum += supply[to * n + d];
		for (size_t d = 0; d < n; d++)
			supply[to * n + d] = sum > 0 ? supply[to * n + d] / sum : 1 / (double)n;
	}
}

static double longest_move_ns(const struct scorer *s, int layer)
{
	const struct lina_plan_shape *a = &s->input->current->shape, *b = &s->plan->shape;
	const int *old = lina_plan_experts(s->input->current, layer);
	const int *new = lina_plan_experts(s->plan, layer);
	const struct lina_fabric *fabric = s->input->fabric;
	double longest = 0;

	for (int d = 0; d < b->ndevices; d++) {
		int n = 0;
		double byte_ns = fmax(fabric->nic_byte_ns[fabric->nic[d]], fabric->port_byte_ns[d]);

		for (int i = 0; i < b->slots_per_device; i++)
			n += new[d * b->slots_per_device + i] != LINA_SLOT_EMPTY &&
			     !lina_plan_has(old + (size_t)d * (size_t)a->slots_per_device,
				     a->slots_per_device, new[d * b->slots_per_device + i]);
		longest = fmax(longest, n * byte_ns);
	}
	return longest * s->input->model.expert_bytes;
}

static void score_moves(const struct scorer *s, int layer, struct lina_layer_score *out)
{
	out->moves = 0;
	out->move_ns = 0;
	if (!s->input->current)
		return;
	(void)lina_plan_moves(s->input->current, s->plan, layer, &out->moves);
	out->move_ns = longest_move_ns(s, layer) / s->input->model.iterations_per_move;
}

static void score_layer(struct scorer *s, int layer, struct lina_layer_score *out)
{
	const struct lina_score_model *model = &s->input->model;
	const struct lina_transitions *transitions = s->input->transitions;
	const double *tokens = lina_counts_layer(s->input->counts, layer);
	size_t n = (size_t)s->plan->shape.ndevices;
	double *swap = s->previous, max = 0;

	s->previous = s->served;
	s->served = swap;
	lina_plan_served(s->plan, layer, s->served);
	if (transitions && layer > 0)
		lina_supply_from(&s->plan->shape, lina_transitions_pair(transitions, layer - 1),
			s->previous, s->supply);
	lina_layer_load_clear(s->load);
	for (size_t e = 0; e < (size_t)s->plan->shape.nexperts; e++)
		lina_layer_load_add(s->load, s->input->fabric,
			transitions && layer > 0 ? s->supply + e * n : NULL, s->served + e * n,
			tokens[e]);
	for (size_t d = 0; d < n; d++)
		max = fmax(max, s->load->device[d]);
	*out = (struct lina_layer_score){ .max_load = max,
		.mean_load = lina_counts_sum(s->input->counts, layer) / (double)n,
		.local_bytes = s->load->local * model->token_bytes,
		.within_bytes = s->load->within * model->token_bytes,
		.between_bytes = s->load->between * model->token_bytes,
		.compute_ns = max * model->token_ns,
		.comm_ns = (transitions ? 1 : 2) *
			   lina_layer_load_comm_ns(s->load, s->input->fabric, model->token_bytes) };
	score_moves(s, layer, out);
}

static void sum_up(struct lina_plan_score *sum, const struct lina_layer_score *layer, int nlayers)
{
	double balance = layer->mean_load > 0 ? layer->max_load / layer->mean_load : 1;

	sum->balance += balance / nlayers;
	sum->worst_balance = fmax(sum->worst_balance, balance);
	sum->local_bytes += layer->local_bytes;
	sum->within_bytes += layer->within_bytes;
	sum->between_bytes += layer->between_bytes;
	sum->comm_ns += layer->comm_ns;
	sum->compute_ns += layer->compute_ns;
	sum->move_ns += layer->move_ns;
	sum->moves += layer->moves;
	sum->total_ns += layer->comm_ns + layer->compute_ns + layer->move_ns;
}

static int fits(const struct lina_plan *plan, const struct lina_score_input *input)
{
	const struct lina_plan_shape *s = &plan->shape;
	const struct lina_plan *current = input->current;

	return input->counts->nlayers == s->nlayers && input->counts->nexperts == s->nexperts &&
	       input->fabric->ndevices == s->ndevices &&
	       (!input->transitions || (input->transitions->npairs == s->nlayers - 1 &&
					       input->transitions->nexperts == s->nexperts)) &&
	       (!current || (current->shape.nlayers == s->nlayers &&
				    current->shape.nexperts == s->nexperts &&
				    current->shape.ndevices == s->ndevices));
}

int lina_plan_score(const struct lina_plan *plan, const struct lina_score_input *input,
	struct lina_layer_score *layers, struct lina_plan_score *score_p)
{
	size_t n = (size_t)plan->shape.nexperts * (size_t)plan->shape.ndevices;
	struct scorer s = { .plan = plan, .input = input };
	struct lina_plan_score sum = { 0 };
	struct lina_layer_score layer;
	int err = -EINVAL;

	if (!fits(plan, input))
		return err;
	err = lina_layer_load_create(&plan->shape, input->fabric, &s.load);
	if (err)
		return err;
	s.served = malloc(3 * n * sizeof(*s.served));
	if (!s.served) {
		lina_layer_load_destroy(s.load);
		return -ENOMEM;
	}
	double *arrays = s.served;
	s.previous = arrays + n;
	s.supply = arrays + 2 * n;
	for (int l = 0; l < plan->shape.nlayers; l++) {
		score_layer(&s, l, &layer);
		sum_up(&sum, &layer, plan->shape.nlayers);
		if (layers)
			layers[l] = layer;
	}
	free(arrays);
	lina_layer_load_destroy(s.load);
	*score_p = sum;
	return 0;
}
