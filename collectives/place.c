#include "collectives/place.h"

#include <errno.h>
#include <stdlib.h>

#include "collectives/place_parts.h"

static int fixed_check(const struct lina_place *place)
{
	int nslots = lina_plan_nslots(&place->shape);

	for (int s = 0; place->fixed && s < nslots; s++) {
		int expert = place->fixed[s], first = s - s % place->shape.slots_per_device;

		if (expert < LINA_SLOT_EMPTY || expert >= place->shape.nexperts)
			return -EINVAL;
		if (expert != LINA_SLOT_EMPTY &&
			lina_plan_has(place->fixed + first, s - first, expert))
			return -EINVAL;
	}
	return 0;
}

int lina_place_check(const struct lina_place *place)
{
	const struct lina_plan_shape *s = &place->shape;
	const struct lina_score_input *in = &place->score;
	const struct lina_plan *current = in->current;
	size_t where;

	if (lina_plan_shape_check(s) || place->ngroups < 1 || s->nexperts % place->ngroups != 0)
		return -EINVAL;
	if (!in->counts || in->counts->nlayers != s->nlayers ||
		in->counts->nexperts != s->nexperts || lina_counts_check(in->counts, &where))
		return -EINVAL;
	if (in->transitions && (in->transitions->npairs != s->nlayers - 1 ||
				       in->transitions->nexperts != s->nexperts))
		return -EINVAL;
	if (in->fabric && in->fabric->ndevices != s->ndevices)
		return -EINVAL;
	if (current &&
		(current->shape.nlayers != s->nlayers || current->shape.nexperts != s->nexperts ||
			current->shape.ndevices != s->ndevices))
		return -EINVAL;
	return fixed_check(place);
}

int lina_place_begin(const struct lina_place *place, struct lina_plan **plan_p)
{
	const struct lina_plan *current = place->score.current;
	int err = lina_place_check(place);

	if (!err && current && current->generation == UINT64_MAX)
		err = -EOVERFLOW;
	if (!err)
		err = lina_plan_create(&place->shape, plan_p);
	if (!err && current)
		(*plan_p)->generation = current->generation + 1;
	return err;
}

int lina_place_layers(const struct lina_place *place, lina_place_layer_fn *fn, const void *settings,
	struct lina_plan **plan_p)
{
	struct lina_plan *plan;
	int err = lina_place_begin(place, &plan);

	if (err)
		return err;
	for (int l = 0; l < place->shape.nlayers && !err; l++)
		err = fn(place, settings, l, plan);
	if (err)
		lina_plan_destroy(plan);
	else
		*plan_p = plan;
	return err;
}

int lina_place_again(const struct lina_place *place, enum lina_place_method method,
	const bool *changed, struct lina_plan *plan)
{
	static lina_place_layer_fn *const layer_of[] = {
		[LINA_PLACE_UNIFORM] = lina_uniform_layer,
		[LINA_PLACE_EPLB] = lina_eplb_layer,
		[LINA_PLACE_PROPORTIONAL] = lina_proportional_layer,
	};
	const struct lina_proportional_settings proportional = lina_proportional_settings_default();
	int err = lina_place_check(place);

	for (int l = 0; l < place->shape.nlayers && !err; l++)
		if (!changed || changed[l])
			err = layer_of[method](place, &proportional, l, plan);
	return err;
}

/* --- parts --- */

struct keyed {
	double key;
	int number;
};

static int by_descending_key(const void *a, const void *b)
{
	const struct keyed *x = a, *y = b;

	if (x->key != y->key)
		return x->key > y->key ? -1 : 1;
	return (x->number > y->number) - (x->number < y->number);
}

int lina_order_descending(const double *key, int n, int *order)
{
	struct keyed *keyed = malloc((size_t)n * sizeof(*keyed));

	if (!keyed)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		keyed[i] = (struct keyed){ key[i], i };
	qsort(keyed, (size_t)n, sizeof(*keyed), by_descending_key);
	for (int i = 0; i < n; i++)
		order[i] = keyed[i].number;
	free(keyed);
	return 0;
}

int lina_device_put(const struct lina_plan_shape *shape, int *experts, int device, int expert)
{
	int first = device * shape->slots_per_device;

	for (int s = first; s < first + shape->slots_per_device; s++)
		if (experts[s] == LINA_SLOT_EMPTY) {
			experts[s] = expert;
			return 0;
		}
	return -ENOSPC;
}

void lina_layer_clear(struct lina_plan *plan, int layer)
{
	int *experts = lina_plan_experts(plan, layer);
	double *shares = lina_plan_shares(plan, layer);

	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++) {
		experts[s] = LINA_SLOT_EMPTY;
		shares[s] = 0;
	}
}

/* --- uniform --- */

int lina_uniform_layer(
	const struct lina_place *place, const void *settings, int layer, struct lina_plan *plan)
{
	const struct lina_plan_shape *shape = &place->shape;
	int *experts = lina_plan_experts(plan, layer);
	long nexperts = shape->nexperts, ndevices = shape->ndevices;

	(void)settings;
	lina_layer_clear(plan, layer);
	for (long d = 0; d < ndevices; d++) {
		long first = d * nexperts / ndevices, end = (d + 1) * nexperts / ndevices;

		if (end == first)
			end = first + 1;
		for (long e = first; e < end; e++)
			(void)lina_device_put(shape, experts, (int)d, (int)e);
	}
	lina_plan_share_evenly(plan, layer);
	return 0;
}

int lina_place_uniform(const struct lina_place *place, struct lina_plan **plan_p)
{
	return lina_place_layers(place, lina_uniform_layer, NULL, plan_p);
}
