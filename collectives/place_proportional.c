/* Lina's placement for inference: devices in proportion to popularity. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collectives/place_parts.h"

struct lina_proportional_settings lina_proportional_settings_default(void)
{
	return (struct lina_proportional_settings){ .max_per_device = 4 };
}

/* A layer while it is filled. */
struct fill {
	const struct lina_plan_shape *shape;
	int *experts;
	double *device;  /* [ndevices] what is on each, in devices */
	int *used;       /* [ndevices] slots */
	int room;        /* slots that a device may use */
	double *devices; /* [nexperts] n_e */
	int *replicas;   /* [nexperts] */
	int *order;      /* [nexperts] by size of a replica */
};

static int fill_create(struct fill *f)
{
	size_t nexperts = (size_t)f->shape->nexperts, ndevices = (size_t)f->shape->ndevices;

	f->device = calloc(ndevices + nexperts, sizeof(*f->device));
	f->used = calloc(ndevices + 2 * nexperts, sizeof(*f->used));
	if (!f->device || !f->used) {
		free(f->device);
		free(f->used);
		return -ENOMEM;
	}
	f->devices = f->device + ndevices;
	f->replicas = f->used + ndevices;
	f->order = f->replicas + nexperts;
	return 0;
}

/* n_e and the number of replicas: ceil(n_e), and fewer of those that need the last one least, where
 * there are not slots enough. */
static void size_up(struct fill *f, const double *tokens, double sum)
{
	int nexperts = f->shape->nexperts, ndevices = f->shape->ndevices, n = 0;

	for (int e = 0; e < nexperts; e++) {
		f->devices[e] = sum > 0 ? tokens[e] / sum * ndevices : 0;
		f->replicas[e] = (int)fmin(fmax(1, ceil(f->devices[e] - 1e-9)), ndevices);
		n += f->replicas[e];
	}
	for (; n > ndevices * f->room; n--) {
		int least = -1;

		for (int e = 0; e < nexperts; e++)
			if (f->replicas[e] > 1 &&
				(least < 0 || f->devices[e] / (f->replicas[e] - 1) <
						      f->devices[least] / (f->replicas[least] - 1)))
				least = e;
		f->replicas[least]--;
	}
}

/* The first device that has room for size and does not have the expert; else the lightest with a
 * slot, without the expert where there is such a one. */
static int find_device(const struct fill *f, int expert, double size)
{
	int per_device = f->shape->slots_per_device, lightest = -1;
	bool lightest_has = true;

	for (int d = 0; d < f->shape->ndevices; d++) {
		bool has = lina_plan_has(
			f->experts + (size_t)d * (size_t)per_device, f->used[d], expert);

		if (f->used[d] == f->room)
			continue;
		if (!has && f->device[d] + size <= 1 + 1e-9)
			return d;
		if (lightest < 0 || (lightest_has && !has) ||
			(has == lightest_has && f->device[d] < f->device[lightest])) {
			lightest = d;
			lightest_has = has;
		}
	}
	return lightest;
}

static int emptiest_device(const struct fill *f)
{
	int best = 0;

	for (int d = 1; d < f->shape->ndevices; d++)
		if (f->used[d] < f->used[best])
			best = d;
	return best;
}

static void put(struct fill *f, int expert, double size)
{
	int d = size > 0 ? find_device(f, expert, size) : emptiest_device(f);

	f->experts[d * f->shape->slots_per_device + f->used[d]++] = expert;
	f->device[d] += size;
}

int lina_proportional_layer(
	const struct lina_place *place, const void *settings, int layer, struct lina_plan *plan)
{
	const struct lina_proportional_settings *s = settings;
	const struct lina_plan_shape *shape = &place->shape;
	int least = (shape->nexperts + shape->ndevices - 1) / shape->ndevices;
	struct fill f = { .shape = shape, .experts = lina_plan_experts(plan, layer) };
	int err = s->max_per_device < 1 ? -EINVAL : fill_create(&f);

	if (err)
		return err;
	f.room = s->max_per_device > least ? s->max_per_device : least;
	if (f.room > shape->slots_per_device)
		f.room = shape->slots_per_device;
	lina_layer_clear(plan, layer);
	size_up(&f, lina_counts_layer(place->score.counts, layer),
		lina_counts_sum(place->score.counts, layer));
	for (int e = 0; e < shape->nexperts; e++)
		f.devices[e] /= f.replicas[e]; /* size of a replica from here on */
	err = lina_order_descending(f.devices, shape->nexperts, f.order);
	for (int i = 0; i < shape->nexperts && !err; i++)
		for (int r = 0; r < f.replicas[f.order[i]]; r++)
			put(&f, f.order[i], f.devices[f.order[i]]);
	lina_plan_share_evenly(plan, layer);
	free(f.device);
	free(f.used);
	return err;
}

int lina_place_proportional(const struct lina_place *place,
	const struct lina_proportional_settings *settings, struct lina_plan **plan_p)
{
	return lina_place_layers(place, lina_proportional_layer, settings, plan_p);
}
