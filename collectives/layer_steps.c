/* The steps by which a layer is improved: two slots change places, a slot gets another replica, two
 * devices change nodes. */
#include "collectives/layer_steps.h"

#include <math.h>
#include <string.h>

/* Groups stay within a node: an expert may be where one of its own group is already. */
bool lina_search_may_hold(const struct lina_layer_search *s, int device, int expert)
{
	const struct lina_plan_shape *shape = &s->place->shape;
	int size = s->nexperts / s->place->ngroups;
	int node = lina_plan_node_of(shape, device);
	int group_first = expert / size * size;

	if (s->place->ngroups == 1 || lina_plan_nnodes(shape) == 1)
		return true;
	for (int e = group_first; e < group_first + size; e++)
		if (s->first[e] >= 0)
			return lina_plan_node_of(shape, s->first[e] / s->per_device) == node;
	return true;
}

static bool is_fixed(const struct lina_layer_search *s, int slot)
{
	return s->place->fixed && s->place->fixed[slot] != LINA_SLOT_EMPTY;
}

static void save(struct lina_layer_search *s)
{
	size_t n = 3 * (size_t)s->ndevices + 2 * (size_t)s->load->nnics;

	memcpy(s->saved->device, s->load->device, n * sizeof(double));
	s->saved->local = s->load->local;
	s->saved->within = s->load->within;
	s->saved->between = s->load->between;
}

/* The saved loads become the loads again; what they were is gone. */
static void restore(struct lina_layer_search *s)
{
	struct lina_layer_load *saved = s->saved;

	s->saved = s->load;
	s->load = saved;
}

static bool moves_allowed(const struct lina_layer_search *s)
{
	int n = 0;

	if (s->place->max_moves < 0 || !s->old)
		return true;
	for (int d = 0; d < s->ndevices; d++)
		n += s->moved[d];
	return n <= s->place->max_moves;
}

/* Takes the expert of a slot and its shares out of the loads. */
static void lift(struct lina_layer_search *s, int expert)
{
	if (expert != LINA_SLOT_EMPTY)
		lina_search_count(s, expert, -1);
}

static void settle(struct lina_layer_search *s, int expert)
{
	if (expert == LINA_SLOT_EMPTY)
		return;
	lina_search_choose_shares(s, expert);
	lina_search_count(s, expert, 1);
}

/* --- two slots change places, or one gets another expert --- */

struct step {
	int slot, other; /* other -1: slot gets expert */
	int expert;
};

static bool step_possible(const struct lina_layer_search *s, const struct step *step)
{
	int a = s->expert[step->slot], d = step->slot / s->per_device;

	if (is_fixed(s, step->slot))
		return false;
	if (step->other < 0)
		return step->expert != a && (a == LINA_SLOT_EMPTY || s->replicas[a] > 1) &&
		       !lina_search_device_has(s, d, step->expert) &&
		       lina_search_may_hold(s, d, step->expert);
	int b = s->expert[step->other], f = step->other / s->per_device;
	if (a == b || d == f || is_fixed(s, step->other))
		return false;
	if (s->place->ngroups > 1 &&
		lina_plan_node_of(&s->place->shape, d) != lina_plan_node_of(&s->place->shape, f))
		return false;
	return (a == LINA_SLOT_EMPTY || !lina_search_device_has(s, f, a)) &&
	       (b == LINA_SLOT_EMPTY || !lina_search_device_has(s, d, b));
}

static void step_do(struct lina_layer_search *s, const struct step *step)
{
	int a = s->expert[step->slot];
	int b = step->other < 0 ? step->expert : s->expert[step->other];

	lift(s, a);
	lift(s, b);
	lina_search_unlink(s, step->slot);
	if (step->other >= 0) {
		lina_search_unlink(s, step->other);
		lina_search_link(s, step->other, a);
		lina_search_count_moves(s, step->other / s->per_device);
	}
	lina_search_link(s, step->slot, b);
	lina_search_count_moves(s, step->slot / s->per_device);
	settle(s, a);
	settle(s, b);
}

/* Undoes a step: slots by the step that leads back, shares and loads as they were. */
static void step_undo(struct lina_layer_search *s, const struct step *step, int a, int b)
{
	lina_search_unlink(s, step->slot);
	if (step->other >= 0) {
		lina_search_unlink(s, step->other);
		lina_search_link(s, step->other, b);
		lina_search_count_moves(s, step->other / s->per_device);
	}
	lina_search_link(s, step->slot, a);
	lina_search_count_moves(s, step->slot / s->per_device);
}

static void keep_shares(struct lina_layer_search *s, int expert)
{
	for (int i = expert < 0 ? -1 : s->first[expert]; i >= 0; i = s->next[i]) {
		s->kept_slot[s->nkept] = i;
		s->kept_share[s->nkept++] = s->share[i];
	}
}

/* What a step would make of the cost. All is as before afterwards. */
static double step_try(struct lina_layer_search *s, const struct step *step)
{
	int a = s->expert[step->slot];
	int b = step->other < 0 ? step->expert : s->expert[step->other];
	double cost;

	s->nkept = 0;
	keep_shares(s, a);
	keep_shares(s, b);
	save(s);
	step_do(s, step);
	cost = moves_allowed(s) ? lina_layer_search_cost(s) : INFINITY;
	step_undo(s, step, a, b);
	for (int i = 0; i < s->nkept; i++)
		s->share[s->kept_slot[i]] = s->kept_share[i];
	restore(s);
	s->trials++;
	return cost;
}

/* --- which steps to try --- */

static double load_in(const struct lina_layer_search *s, int slot)
{
	return s->expert[slot] == LINA_SLOT_EMPTY ? 0 : s->share[slot] * s->tokens[s->expert[slot]];
}

/* Whether a swap can lower the load of the busiest device without raising the other to it. The
 * shares that are chosen anew afterwards make this a guess, where experts have replicas. */
static bool is_promising(const struct lina_layer_search *s, int slot, int other)
{
	double gain = load_in(s, slot) - load_in(s, other);
	const double *device = s->load->device;

	return gain > 0 && device[other / s->per_device] + gain < device[slot / s->per_device];
}

struct best_step {
	struct step step;
	double cost;
};

static void consider(struct lina_layer_search *s, const struct step *step, struct best_step *best)
{
	double cost;

	if (!step_possible(s, step))
		return;
	cost = step_try(s, step);
	if (cost < best->cost)
		*best = (struct best_step){ *step, cost };
}

/* Steps that take something from one slot of a device: another slot's expert for it, or its expert
 * to another slot as well. */
static void consider_slot(
	struct lina_layer_search *s, int slot, bool by_load, long trials, struct best_step *best)
{
	int expert = s->expert[slot];

	for (int other = 0; other < s->nslots && s->trials < trials; other++) {
		struct step swap = { .slot = slot, .other = other };
		struct step copy = { .slot = other, .other = -1, .expert = expert };

		if (other / s->per_device == slot / s->per_device)
			continue;
		if (!by_load || is_promising(s, slot, other))
			consider(s, &swap, best);
		if (expert != LINA_SLOT_EMPTY)
			consider(s, &copy, best);
	}
}

/* The device with the most load; that with the busiest NIC or port. */
static int busiest_by_load(const struct lina_layer_search *s)
{
	int best = 0;

	for (int d = 1; d < s->ndevices; d++)
		if (s->load->device[d] > s->load->device[best])
			best = d;
	return best;
}

static double comm_of(const struct lina_layer_search *s, int device)
{
	const struct lina_fabric *fabric = s->place->score.fabric;
	const struct lina_layer_load *load = s->load;
	int nic = fabric->nic[device];

	return fmax(fmax(load->nic_in[nic], load->nic_out[nic]) * fabric->nic_byte_ns[nic],
		fmax(load->port_in[device], load->port_out[device]) * fabric->port_byte_ns[device]);
}

static int busiest_by_comm(const struct lina_layer_search *s)
{
	int best = 0;

	for (int d = 1; d < s->ndevices; d++)
		if (comm_of(s, d) > comm_of(s, best))
			best = d;
	return best;
}

static bool improve_device(struct lina_layer_search *s, int device, bool by_load, long trials)
{
	double now = lina_layer_search_cost(s);
	struct best_step best = { .cost = now };

	for (int i = 0; i < s->per_device; i++)
		consider_slot(s, device * s->per_device + i, by_load, trials, &best);
	if (!(best.cost < now * (1 - 1e-7)))
		return false;
	step_do(s, &best.step);
	return true;
}

void lina_layer_search_improve(struct lina_layer_search *s, long trials)
{
	bool better = true;

	trials += s->trials;
	while (better && s->trials < trials) {
		int by_load = busiest_by_load(s), by_comm = busiest_by_comm(s);

		better = improve_device(s, by_load, true, trials);
		if (!better && by_comm != by_load)
			better = improve_device(s, by_comm, false, trials);
		if (better)
			lina_layer_search_share(s, 2);
	}
	lina_layer_search_share(s, 20);
}
