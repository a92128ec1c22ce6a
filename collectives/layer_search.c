/* A layer being improved: its books. The steps are in layer_steps.c. */
#include "collectives/layer_search.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/layer_steps.h"

int lina_layer_search_create(const struct lina_place *place, struct lina_layer_search **search_p)
{
	const struct lina_plan_shape *shape = &place->shape;
	size_t nslots = (size_t)lina_plan_nslots(shape), ndevices = (size_t)shape->ndevices;
	size_t nexperts = (size_t)shape->nexperts;
	struct lina_layer_search *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->place = place;
	s->nslots = (int)nslots;
	s->ndevices = shape->ndevices;
	s->nexperts = shape->nexperts;
	s->per_device = shape->slots_per_device;
	s->expert = calloc(4 * nslots + 2 * nexperts + ndevices, sizeof(*s->expert));
	s->share = calloc(2 * nslots + ndevices, sizeof(*s->share));
	if (!s->expert || !s->share ||
		lina_layer_load_create(shape, place->score.fabric, &s->load) ||
		lina_layer_load_create(shape, place->score.fabric, &s->saved)) {
		lina_layer_search_destroy(s);
		return -ENOMEM;
	}
	s->next = s->expert + nslots;
	s->first = s->next + nslots;
	s->replicas = s->first + nexperts;
	s->moved = s->replicas + nexperts;
	s->chosen = s->moved + ndevices;
	s->kept_slot = s->chosen + nslots;
	s->served = s->share + nslots;
	s->kept_share = s->served + ndevices;
	*search_p = s;
	return 0;
}

void lina_layer_search_destroy(struct lina_layer_search *search)
{
	if (!search)
		return;
	lina_layer_load_destroy(search->load);
	lina_layer_load_destroy(search->saved);
	free(search->expert);
	free(search->share);
	free(search);
}

/* --- an expert's part of the loads --- */

void lina_search_count(struct lina_layer_search *s, int expert, double sign)
{
	const double *supply = s->supply ? s->supply + (size_t)expert * (size_t)s->ndevices : NULL;

	if (s->tokens[expert] <= 0)
		return;
	memset(s->served, 0, (size_t)s->ndevices * sizeof(*s->served));
	for (int slot = s->first[expert]; slot >= 0; slot = s->next[slot])
		s->served[slot / s->per_device] += s->share[slot];
	lina_layer_load_add(
		s->load, s->place->score.fabric, supply, s->served, sign * s->tokens[expert]);
}

/* What an expert that does not count in the loads would add to a slot's device with its share. */
static double base_of(const struct lina_layer_search *s, int expert, int slot)
{
	return s->load->device[slot / s->per_device] + s->share[slot] * s->tokens[expert];
}

/* Pours tokens of an expert over the devices of n of its slots, as water finds one level, but for
 * least of them that each gets in any case. The slots end up in the order of their loads. */
static void pour(
	struct lina_layer_search *s, int expert, int *slots, int n, double tokens, double least)
{
	double sum = tokens, level = 0;

	for (int i = 1; i < n; i++) {
		int slot = slots[i], at = i;
		double base = base_of(s, expert, slot);

		for (; at > 0 && base_of(s, expert, slots[at - 1]) > base; at--)
			slots[at] = slots[at - 1];
		slots[at] = slot;
	}
	for (int i = 0; i < n; i++) {
		double base = base_of(s, expert, slots[i]);

		if (i > 0 && base + least >= level)
			break;
		sum += base;
		level = (sum - (n - i - 1) * least) / (i + 1);
	}
	for (int i = 0; i < n; i++) {
		double base = base_of(s, expert, slots[i]);

		s->share[slots[i]] += fmax(level - base, least) / s->tokens[expert];
	}
}

/* How far shares may be from a sum of 1: a hundredth of what a table may. */
static const double ROUNDING = LINA_SHARE_PPM * 1e-8;

/* The slots of an expert in s->chosen, ascending; each with a share of 0. */
static int gather_slots(struct lina_layer_search *s, int expert)
{
	int n = 0;

	for (int slot = s->first[expert]; slot >= 0; slot = s->next[slot]) {
		int at = n++;

		for (; at > 0 && s->chosen[at - 1] > slot; at--)
			s->chosen[at] = s->chosen[at - 1];
		s->chosen[at] = slot;
		s->share[slot] = 0;
	}
	return n;
}

/* To every node that has replicas what begins there. Returns what is left. */
static double pour_nodes(struct lina_layer_search *s, int expert, int n)
{
	const struct lina_plan_shape *shape = &s->place->shape;
	double tokens = s->tokens[expert], part = tokens / lina_plan_nnodes(shape);
	int per_node = s->per_device * shape->devices_per_node;

	for (int i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (s->chosen[end] / per_node != s->chosen[i] / per_node)
				break;
		pour(s, expert, s->chosen + i, end - i, part, tokens / s->ndevices);
		tokens -= part;
	}
	return fmax(tokens, 0);
}

/* Of an expert whose tokens are next to nothing beside the loads of the devices, rounding has taken
 * a part or all: then what it has left decides, or nothing, and shares are even. */
static void settle_shares(struct lina_layer_search *s, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++) {
		s->share[s->chosen[i]] = fmin(s->share[s->chosen[i]], 1);
		sum += s->share[s->chosen[i]];
	}
	if (fabs(sum - 1) <= ROUNDING)
		return;
	for (int i = 0; i < n; i++)
		s->share[s->chosen[i]] = sum > ROUNDING ? s->share[s->chosen[i]] / sum : 1.0 / n;
}

void lina_search_choose_shares(struct lina_layer_search *s, int expert)
{
	double tokens = s->tokens[expert], left = tokens;
	int n = gather_slots(s, expert);

	if (tokens <= 0 || n == 1) {
		for (int i = 0; i < n; i++)
			s->share[s->chosen[i]] = 1.0 / n;
		return;
	}
	if (s->keep == LINA_KEEP_NODE)
		left = pour_nodes(s, expert, n);
	pour(s, expert, s->chosen, n, left, s->keep == LINA_KEEP_DEVICE ? tokens / s->ndevices : 0);
	settle_shares(s, n);
}

void lina_layer_search_share(struct lina_layer_search *s, int rounds)
{
	for (int r = 0; r < rounds; r++)
		for (int e = 0; e < s->nexperts; e++)
			if (s->replicas[e] > 1) {
				lina_search_count(s, e, -1);
				lina_search_choose_shares(s, e);
				lina_search_count(s, e, 1);
			}
}

/* --- slots --- */

void lina_search_link(struct lina_layer_search *s, int slot, int expert)
{
	s->expert[slot] = expert;
	s->share[slot] = 0;
	if (expert == LINA_SLOT_EMPTY)
		return;
	s->next[slot] = s->first[expert];
	s->first[expert] = slot;
	s->replicas[expert]++;
}

void lina_search_unlink(struct lina_layer_search *s, int slot)
{
	int expert = s->expert[slot];

	s->expert[slot] = LINA_SLOT_EMPTY;
	s->share[slot] = 0;
	if (expert == LINA_SLOT_EMPTY)
		return;
	int *at = &s->first[expert];
	while (*at != slot)
		at = &s->next[*at];
	*at = s->next[slot];
	s->replicas[expert]--;
}

bool lina_search_device_has(const struct lina_layer_search *s, int device, int expert)
{
	return lina_plan_has(
		s->expert + (size_t)device * (size_t)s->per_device, s->per_device, expert);
}

void lina_search_count_moves(struct lina_layer_search *s, int device)
{
	int n = 0;

	for (int slot = device * s->per_device; s->old && slot < (device + 1) * s->per_device;
		slot++)
		n += s->expert[slot] != LINA_SLOT_EMPTY &&
		     !lina_plan_has(s->old + (size_t)device * (size_t)s->old_per_device,
			     s->old_per_device, s->expert[slot]);
	s->moved[device] = n;
}

/* The expert with the most load for each replica that device has not, allowed there. */
static int neediest(const struct lina_layer_search *s, int device)
{
	int best = LINA_SLOT_EMPTY;
	double most = -1;

	for (int e = 0; e < s->nexperts; e++)
		if (s->tokens[e] / (s->replicas[e] + 1) > most &&
			lina_search_may_hold(s, device, e) &&
			!lina_search_device_has(s, device, e)) {
			most = s->tokens[e] / (s->replicas[e] + 1);
			best = e;
		}
	return best;
}

static void fill_slots(struct lina_layer_search *s)
{
	for (int slot = 0; slot < s->nslots; slot++)
		if (s->expert[slot] == LINA_SLOT_EMPTY) {
			int e = neediest(s, slot / s->per_device);

			if (e != LINA_SLOT_EMPTY)
				lina_search_link(s, slot, e);
		}
}

void lina_layer_search_begin(
	struct lina_layer_search *s, int layer, const int *experts, const double *supply, bool fill)
{
	const struct lina_plan *current = s->place->score.current;

	s->layer = layer;
	s->tokens = lina_counts_layer(s->place->score.counts, layer);
	s->supply = supply;
	s->old = current ? lina_plan_experts(current, layer) : NULL;
	s->old_per_device = current ? current->shape.slots_per_device : 0;
	for (int e = 0; e < s->nexperts; e++) {
		s->first[e] = -1;
		s->replicas[e] = 0;
	}
	for (int slot = 0; slot < s->nslots; slot++)
		lina_search_link(s, slot, LINA_SLOT_EMPTY);
	for (int slot = 0; s->place->fixed && slot < s->nslots; slot++)
		lina_search_link(s, slot, s->place->fixed[slot]);
	for (int slot = 0; slot < s->nslots; slot++)
		if (s->expert[slot] == LINA_SLOT_EMPTY &&
			!lina_search_device_has(s, slot / s->per_device, experts[slot]))
			lina_search_link(s, slot, experts[slot]);
	if (fill && (s->place->max_moves < 0 || !current))
		fill_slots(s);
	lina_layer_load_clear(s->load);
	for (int e = 0; e < s->nexperts; e++) {
		lina_search_choose_shares(s, e);
		lina_search_count(s, e, 1);
	}
	for (int d = 0; d < s->ndevices; d++)
		lina_search_count_moves(s, d);
	lina_layer_search_share(s, 10);
}

/* --- cost --- */

static double move_ns(const struct lina_layer_search *s)
{
	const struct lina_fabric *fabric = s->place->score.fabric;
	double longest = 0;

	for (int d = 0; s->old && d < s->ndevices; d++)
		longest = fmax(longest, s->moved[d] * fmax(fabric->nic_byte_ns[fabric->nic[d]],
							      fabric->port_byte_ns[d]));
	return longest * s->place->score.model.expert_bytes /
	       s->place->score.model.iterations_per_move;
}

double lina_layer_search_ns(const struct lina_layer_search *s)
{
	const struct lina_score_model *model = &s->place->score.model;
	double max = 0;

	for (int d = 0; d < s->ndevices; d++)
		max = fmax(max, s->load->device[d]);
	return max * model->token_ns + move_ns(s) +
	       (s->place->score.transitions ? 1 : 2) *
		       lina_layer_load_comm_ns(s->load, s->place->score.fabric, model->token_bytes);
}

static double root_of_squares(const double *values, int n)
{
	double sum = 0;

	for (int i = 0; i < n; i++)
		sum += values[i] * values[i];
	return sqrt(sum / n);
}

double lina_layer_search_cost(const struct lina_layer_search *s)
{
	static const double little = 1e-3;
	const struct lina_fabric *fabric = s->place->score.fabric;
	const struct lina_score_model *model = &s->place->score.model;
	double uneven = root_of_squares(s->load->device, s->ndevices) * model->token_ns;

	uneven += model->token_bytes *
		  (root_of_squares(s->load->nic_in, s->load->nnics) * fabric->nic_byte_ns[0] +
			  root_of_squares(s->load->port_in, s->ndevices) * fabric->port_byte_ns[0]);
	return lina_layer_search_ns(s) + little * uneven;
}
