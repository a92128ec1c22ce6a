#include "collectives/plan_bound.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collectives/place_parts.h"

/* One layer: loads in descending order, with sums from the front. */
struct bound {
	const struct lina_place *place;
	bool even;    /* tokens begin evenly on all devices */
	int n, slots; /* experts; slots of all devices */
	double *t;    /* [n] */
	double *sum;  /* [n + 1] of the i heaviest */
	int *order;   /* [n] */
};

/* Slots that an expert needs when no device has more than max. */
static double slots_needed(double tokens, double max)
{
	return fmax(1, ceil(tokens / max * (1 - 1e-12)));
}

static bool slots_suffice(const struct bound *b, double max)
{
	double needed = 0;

	for (int e = 0; e < b->n; e++)
		needed += slots_needed(b->t[e], max);
	return needed <= b->slots;
}

/* Rules 1: between what is not enough and what is, by halving. */
static double max_by_slots(const struct bound *b)
{
	double low = b->sum[b->n] / b->place->shape.ndevices, high = b->t[0];

	if (high <= low || slots_suffice(b, low))
		return low;
	for (int i = 0; i < 60; i++) {
		double middle = (low + high) / 2;

		if (slots_suffice(b, middle))
			high = middle;
		else
			low = middle;
	}
	return low;
}

/* Rule 2. */
static double max_by_company(const struct bound *b)
{
	int k = b->place->shape.slots_per_device, n = b->n;
	double most = 0;

	for (int i = 1; i <= b->place->shape.ndevices; i++) {
		double all = b->sum[n];
		double apart = (b->sum[i] + all - b->sum[n - (k - 1) * i]) / i;
		double together = i < 2 || k < 2
					  ? INFINITY
					  : b->t[i - 2] + b->t[i - 1] + all - b->sum[n - (k - 2)];

		/* With two slots the one that has the heaviest partner says more than the mean. */
		if (k == 2)
			apart = fmax(apart, b->t[i - 1] + b->t[n - i]);
		most = fmax(most, fmin(apart, together));
	}
	return most;
}

/* Rule 3: the most tokens that can stay where they begin, at one of nplaces. */
static double most_kept(const struct bound *b, double max, int nplaces)
{
	double kept = 0, left = b->slots;

	for (int e = 0; e < b->n; e++) {
		double r = slots_needed(b->t[e], max);

		left -= r;
		kept += b->t[e] * fmin(r, nplaces) / nplaces;
	}
	for (int e = 0; e < b->n && left > 0; e++) {
		double more = fmin(left, nplaces - fmin(slots_needed(b->t[e], max), nplaces));

		kept += b->t[e] * more / nplaces;
		left -= more;
	}
	return fmin(kept, b->sum[b->n]);
}

/* Links of one kind: all of them together, and the fastest. */
struct links {
	double bytes_per_ns, fastest_byte_ns;
};

static struct links links_of(const double *byte_ns, int n)
{
	struct links links = { .fastest_byte_ns = INFINITY };

	for (int i = 0; i < n; i++) {
		links.bytes_per_ns += 1 / byte_ns[i];
		links.fastest_byte_ns = fmin(links.fastest_byte_ns, byte_ns[i]);
	}
	return links;
}

/* Rule 4: tokens that come in to the busiest device, which has max, from nplaces - 1 others. */
static double busiest_gets(const struct bound *b, double max, int nplaces)
{
	int slots = b->place->shape.slots_per_device, k = slots < b->n ? slots : b->n;

	return b->slots == b->n ? max * (1 - 1.0 / nplaces) : max - b->sum[k] / nplaces;
}

static double comm_ns(const struct bound *b, double max)
{
	const struct lina_plan_shape *shape = &b->place->shape;
	const struct lina_fabric *fabric = b->place->score.fabric;
	struct links ports = links_of(fabric->port_byte_ns, fabric->ndevices);
	struct links nics = links_of(fabric->nic_byte_ns, fabric->nnics);
	int nnodes = lina_plan_nnodes(shape);
	double all = b->sum[b->n], alpha = fabric->within_alpha_ns, ns;
	double leaves = all - most_kept(b, max, shape->ndevices); /* its device */

	if (!b->even)
		return 0;
	if (nnodes == 1) {
		ns = fmax(leaves / ports.bytes_per_ns,
			busiest_gets(b, max, shape->ndevices) * ports.fastest_byte_ns);
	} else {
		/* Whatever part of what leaves a device stays in the node. */
		ns = fmax((all - most_kept(b, max, nnodes)) / nics.bytes_per_ns,
			leaves / (nics.bytes_per_ns + ports.bytes_per_ns));
		ns = fmax(ns, busiest_gets(b, max, nnodes) * nics.fastest_byte_ns);
		alpha = fmin(alpha, fabric->between_alpha_ns);
	}
	return ns > 1e-9 * all * ports.fastest_byte_ns
		       ? ns * b->place->score.model.token_bytes + alpha
		       : 0;
}

static double layer_ns(const struct bound *b, double max)
{
	return max * b->place->score.model.token_ns +
	       (b->place->score.transitions ? 1 : 2) * comm_ns(b, max);
}

/* The least over M: between two values at which some expert needs one slot less, what must cross is
 * the same and all else grows with M, so these values are enough. */
static double least_ns(const struct bound *b, double least_max)
{
	double best = layer_ns(b, least_max), token_ns = b->place->score.model.token_ns;

	for (int e = 0; e < b->n && b->slots > b->n; e++)
		for (int r = 1; r < b->slots && b->t[e] / r > least_max; r++)
			if (b->t[e] / r * token_ns < best)
				best = fmin(best, layer_ns(b, b->t[e] / r));
	return best;
}

static int bound_layer(struct bound *b, int layer, double *max_p, double *ns_p)
{
	const double *tokens = lina_counts_layer(b->place->score.counts, layer);
	int err = lina_order_descending(tokens, b->n, b->order);

	if (err)
		return err;
	b->even = !b->place->score.transitions || layer == 0;
	b->sum[0] = 0;
	for (int i = 0; i < b->n; i++) {
		b->t[i] = tokens[b->order[i]];
		b->sum[i + 1] = b->sum[i] + b->t[i];
	}
	*max_p = max_by_slots(b);
	if (b->slots == b->n)
		*max_p = fmax(*max_p, max_by_company(b));
	*ns_p = b->sum[b->n] > 0 ? least_ns(b, *max_p) : 0;
	return 0;
}

int lina_plan_bound(const struct lina_place *place, double *max_load, double *bound_ns_p)
{
	int n = place->shape.nexperts,
	    err = place->score.fabric ? lina_place_check(place) : -EINVAL;
	struct bound b = { .place = place, .n = n };
	double sum_ns = 0;

	if (err)
		return err;
	b.slots = lina_plan_nslots(&place->shape);
	b.t = malloc((2 * (size_t)n + 1) * sizeof(*b.t));
	b.order = malloc((size_t)n * sizeof(*b.order));
	b.sum = b.t ? b.t + n : NULL;
	err = b.t && b.order ? 0 : -ENOMEM;
	for (int l = 0; l < place->shape.nlayers && !err; l++) {
		double max = 0, ns = 0;

		err = bound_layer(&b, l, &max, &ns);
		sum_ns += ns;
		if (max_load)
			max_load[l] = max;
	}
	free(b.t);
	free(b.order);
	if (!err)
		*bound_ns_p = sum_ns;
	return err;
}
