/* The best of all: what other methods make, improved layer by layer on the common score. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/layer_search.h"
#include "collectives/moetuner.h"
#include "collectives/place_parts.h"

struct lina_best_settings lina_best_settings_default(void)
{
	return (struct lina_best_settings){ .trials = 20000 };
}

enum { NSTARTS_MAX = 8, NIMPROVED = 2 };

struct best {
	const struct lina_place *place;
	const struct lina_best_settings *settings;
	struct lina_layer_search *search;
	struct lina_plan *start[NSTARTS_MAX]; /* whole plans to begin with */
	int nstarts;
	struct lina_plan *plan;  /* what has been found */
	double *served, *supply; /* [nexperts][ndevices], with transitions */
	int *experts;            /* [nslots], for use here */
};

static bool limits_moves(const struct lina_place *place)
{
	return place->max_moves >= 0 && place->score.current;
}

/* --- where to begin --- */

/* *plan_p: a plan unless err, which is what making it came to. */
static int add_start(struct best *b, int err, struct lina_plan *const *plan_p)
{
	if (!err)
		b->start[b->nstarts++] = *plan_p;
	return err == -ENOMEM ? err : 0;
}

/* The current placement in a plan of place's shape, which may have more slots. -EINVAL: fewer. */
static int current_in_shape(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_plan *current = place->score.current;
	int old = current->shape.slots_per_device, new = place->shape.slots_per_device;
	int err = old > new ? -EINVAL : lina_place_begin(place, plan_p);

	for (int l = 0; l < place->shape.nlayers && !err; l++)
		for (int d = 0; d < place->shape.ndevices; d++) {
			memcpy(lina_plan_experts(*plan_p, l) + (size_t)d * (size_t) new,
				lina_plan_experts(current, l) + (size_t)d * (size_t)old,
				(size_t)old * sizeof(int));
			memcpy(lina_plan_shares(*plan_p, l) + (size_t)d * (size_t) new,
				lina_plan_shares(current, l) + (size_t)d * (size_t)old,
				(size_t)old * sizeof(double));
		}
	return err;
}

static int make_starts(struct best *b)
{
	const struct lina_proportional_settings proportional = lina_proportional_settings_default();
	const struct lina_hecate_settings hecate = lina_hecate_settings_default();
	static const struct lina_spread_settings spread[] = { { true }, { false } };
	struct lina_plan *plan;
	int err = 0;

	if (b->place->score.current) {
		err = current_in_shape(b->place, &plan);
		if (err && limits_moves(b->place))
			return err;
		err = add_start(b, err, &plan);
	}
	if (err || limits_moves(b->place))
		return err;
	err = add_start(b, lina_place_eplb(b->place, &plan), &plan);
	if (!err)
		err = add_start(b, lina_place_uniform(b->place, &plan), &plan);
	/* These know nothing of groups. */
	for (int i = 0; i < 2 && !err && b->place->ngroups == 1; i++)
		err = add_start(b,
			lina_place_layers(b->place, lina_spread_layer, &spread[i], &plan), &plan);
	if (!err && b->place->ngroups == 1)
		err = add_start(b, lina_place_proportional(b->place, &proportional, &plan), &plan);
	if (!err && b->place->ngroups == 1 && b->settings->moetuner)
		err = add_start(b,
			lina_place_moetuner(b->place, b->settings->moetuner, &plan, NULL), &plan);
	if (!err && b->place->ngroups == 1)
		err = add_start(b, lina_place_hecate(b->place, &hecate, &plan), &plan);
	return err;
}

/* --- fixed experts --- */

static int find_slot(const int *experts, const int *fixed, int nslots, int expert)
{
	for (int s = 0; s < nslots; s++)
		if (experts[s] == expert && fixed[s] == LINA_SLOT_EMPTY)
			return s;
	return -1;
}

static int count(const int *experts, int nslots, int expert)
{
	int n = 0;

	for (int s = 0; s < nslots; s++)
		n += experts[s] == expert;
	return n;
}

/* A slot that is free, or whose expert has others. */
static int find_spare(const int *experts, const int *fixed, int nslots)
{
	int s = find_slot(experts, fixed, nslots, LINA_SLOT_EMPTY);

	for (int i = 0; i < nslots && s < 0; i++)
		if (fixed[i] == LINA_SLOT_EMPTY && count(experts, nslots, experts[i]) > 1)
			s = i;
	return s;
}

/* Puts what is fixed into its slots: what was there goes to where the expert was, or to a slot that
 * can be had. */
static int fix(const int *fixed, int nslots, int *experts)
{
	for (int s = 0; s < nslots; s++) {
		int old = experts[s], from;

		if (fixed[s] == LINA_SLOT_EMPTY || fixed[s] == old)
			continue;
		from = find_slot(experts, fixed, nslots, fixed[s]);
		experts[s] = fixed[s];
		if (old == LINA_SLOT_EMPTY || count(experts, nslots, old) > 0)
			continue;
		if (from < 0)
			from = find_spare(experts, fixed, nslots);
		if (from < 0)
			return -EINVAL;
		experts[from] = old;
	}
	return 0;
}

/* --- a layer --- */

static int begin(struct best *b, int start, int layer, const double *supply, bool fill,
	enum lina_search_keep keep)
{
	int nslots = lina_plan_nslots(&b->place->shape), err = 0;

	memcpy(b->experts, lina_plan_experts(b->start[start], layer),
		(size_t)nslots * sizeof(*b->experts));
	if (b->place->fixed)
		err = fix(b->place->fixed, nslots, b->experts);
	if (err)
		return err;
	b->search->keep = keep;
	lina_layer_search_begin(b->search, layer, b->experts, supply, fill);
	return 0;
}

static void store(struct best *b, int layer, double *best_ns)
{
	size_t n = (size_t)lina_plan_nslots(&b->place->shape);
	double ns = lina_layer_search_ns(b->search);

	if (ns >= *best_ns)
		return;
	*best_ns = ns;
	memcpy(lina_plan_experts(b->plan, layer), b->search->expert, n * sizeof(int));
	memcpy(lina_plan_shares(b->plan, layer), b->search->share, n * sizeof(double));
}

/* The starts in the order of their cost, filled and shared, in order [nstarts]. */
static int rank_starts(
	struct best *b, int layer, const double *supply, enum lina_search_keep keep, int *order)
{
	double cost[NSTARTS_MAX];

	for (int i = 0; i < b->nstarts; i++) {
		int err = begin(b, i, layer, supply, true, keep);

		if (err)
			return err;
		cost[i] = lina_layer_search_cost(b->search);
	}
	for (int i = 0; i < b->nstarts; i++) {
		int at = i;

		for (; at > 0 && cost[order[at - 1]] > cost[i]; at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
	return 0;
}

/* The best starts of one way to share, improved. */
static int plan_layer_keeping(struct best *b, int layer, const double *supply,
	enum lina_search_keep keep, double *best_ns)
{
	int order[NSTARTS_MAX];
	int err = rank_starts(b, layer, supply, keep, order);

	for (int i = 0; i < b->nstarts && i < NIMPROVED && !err; i++) {
		err = begin(b, order[i], layer, supply, true, keep);
		if (err)
			break;
		store(b, layer, best_ns);
		lina_layer_search_improve(b->search, b->settings->trials);
		store(b, layer, best_ns);
	}
	return err;
}

static int plan_layer(struct best *b, int layer, const double *supply)
{
	int nkeeps = lina_plan_nnodes(&b->place->shape) > 1 ? LINA_NKEEPS : LINA_KEEP_NODE;
	double best_ns = INFINITY;
	int err = 0;

	for (int keep = 0; keep < nkeeps && !err; keep++)
		err = plan_layer_keeping(b, layer, supply, (enum lina_search_keep)keep, &best_ns);
	return err;
}

/* --- plans as their methods made them --- */

static bool keeps_groups(const struct lina_place *place, const int *experts)
{
	const struct lina_plan_shape *shape = &place->shape;
	int size = shape->nexperts / place->ngroups;

	for (int s = 0; place->ngroups > 1 && s < lina_plan_nslots(shape); s++)
		for (int t = 0; experts[s] != LINA_SLOT_EMPTY && t < s; t++)
			if (experts[t] != LINA_SLOT_EMPTY &&
				experts[t] / size == experts[s] / size &&
				lina_plan_node_of(shape, lina_plan_device_of(shape, s)) !=
					lina_plan_node_of(shape, lina_plan_device_of(shape, t)))
				return false;
	return true;
}

static bool keeps_limits(const struct best *b, const struct lina_plan *plan, int layer)
{
	const struct lina_place *place = b->place;
	const int *experts = lina_plan_experts(plan, layer);
	int moves;

	for (int s = 0; place->fixed && s < lina_plan_nslots(&place->shape); s++)
		if (place->fixed[s] != LINA_SLOT_EMPTY && place->fixed[s] != experts[s])
			return false;
	if (limits_moves(place) && (lina_plan_moves(place->score.current, plan, layer, &moves) ||
					   moves > place->max_moves))
		return false;
	return keeps_groups(place, experts);
}

static double layer_ns(const struct lina_layer_score *score)
{
	return score->comm_ns + score->compute_ns + score->move_ns;
}

static void copy_layer(struct lina_plan *to, const struct lina_plan *from, int layer)
{
	size_t n = (size_t)lina_plan_nslots(&to->shape);

	memcpy(lina_plan_experts(to, layer), lina_plan_experts(from, layer), n * sizeof(int));
	memcpy(lina_plan_shares(to, layer), lina_plan_shares(from, layer), n * sizeof(double));
}

/* Layers stand alone where tokens begin evenly: of each the best that is known is taken. */
static int take_layers_as_made(struct best *b)
{
	struct lina_layer_score *mine = malloc((size_t)b->place->shape.nlayers * sizeof(*mine));
	struct lina_plan_score score;
	int err = mine ? lina_plan_score(b->plan, &b->place->score, mine, &score) : -ENOMEM;

	for (int i = 0; i < b->nstarts && !err; i++) {
		struct lina_layer_score *made =
			malloc((size_t)b->place->shape.nlayers * sizeof(*made));

		err = made ? lina_plan_score(b->start[i], &b->place->score, made, &score) : -ENOMEM;
		for (int l = 0; l < b->place->shape.nlayers && !err; l++)
			if (layer_ns(&made[l]) < layer_ns(&mine[l]) &&
				keeps_limits(b, b->start[i], l)) {
				copy_layer(b->plan, b->start[i], l);
				mine[l] = made[l];
			}
		free(made);
	}
	free(mine);
	return err;
}

/* With transitions a layer depends on the one before: whole plans are compared. */
static int take_plan_as_made(struct best *b)
{
	struct lina_plan_score mine, made;
	int err = lina_plan_score(b->plan, &b->place->score, NULL, &mine);

	for (int i = 0; i < b->nstarts && !err; i++) {
		bool keeps = true;

		err = lina_plan_score(b->start[i], &b->place->score, NULL, &made);
		for (int l = 0; l < b->place->shape.nlayers && keeps; l++)
			keeps = keeps_limits(b, b->start[i], l);
		if (err || !keeps || made.total_ns >= mine.total_ns)
			continue;
		mine = made;
		for (int l = 0; l < b->place->shape.nlayers; l++)
			copy_layer(b->plan, b->start[i], l);
	}
	return err;
}

/* --- all layers --- */

static const double *supply_of(struct best *b, int layer)
{
	const struct lina_transitions *transitions = b->place->score.transitions;

	if (!transitions || layer == 0)
		return NULL;
	lina_plan_served(b->plan, layer - 1, b->served);
	lina_supply_from(&b->place->shape, lina_transitions_pair(transitions, layer - 1), b->served,
		b->supply);
	return b->supply;
}

static int plan_layers(struct best *b)
{
	int nlayers = b->place->shape.nlayers, err = 0;

	for (int l = 0; l < nlayers && !err; l++) {
		err = plan_layer(b, l, supply_of(b, l));
		if (b->settings->step)
			b->settings->step(b->settings->of, l + 1, nlayers);
	}
	if (err)
		return err;
	return b->place->score.transitions ? take_plan_as_made(b) : take_layers_as_made(b);
}

static int best_create(struct best *b)
{
	size_t n = (size_t)b->place->shape.nexperts * (size_t)b->place->shape.ndevices;
	int err = lina_place_begin(b->place, &b->plan);

	if (!err)
		err = lina_layer_search_create(b->place, &b->search);
	if (!err && b->place->score.transitions) {
		b->served = malloc(2 * n * sizeof(*b->served));
		b->supply = b->served ? b->served + n : NULL;
		err = b->served ? 0 : -ENOMEM;
	}
	b->experts = malloc((size_t)lina_plan_nslots(&b->place->shape) * sizeof(*b->experts));
	if (!err && !b->experts)
		err = -ENOMEM;
	return err ? err : make_starts(b);
}

/* All but the plan. */
static void best_destroy(struct best *b)
{
	for (int i = 0; i < b->nstarts; i++)
		lina_plan_destroy(b->start[i]);
	lina_layer_search_destroy(b->search);
	free(b->served);
	free(b->experts);
}

int lina_place_best(const struct lina_place *place, const struct lina_best_settings *settings,
	struct lina_plan **plan_p)
{
	struct best b = { .place = place, .settings = settings };
	int err = place->score.fabric && settings->trials >= 0 ? lina_place_check(place) : -EINVAL;

	if (err)
		return err;
	err = best_create(&b);
	if (!err)
		err = plan_layers(&b);
	best_destroy(&b);
	if (err)
		lina_plan_destroy(b.plan);
	else
		*plan_p = b.plan;
	return err;
}
