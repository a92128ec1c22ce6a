#include "a2a/world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>

static void *array(size_t n, size_t each)
{
	void *made = calloc(n + 1, each);

	assert_non_null(made);
	return made;
}

double world_expert(int e, double value)
{
	return value * (e + 2);
}

static void device_open(struct world *w, uint64_t *random, int d, size_t max_tokens)
{
	struct world_device *device = &w->device[d];
	const struct lina_plan_shape *shape = &w->plan->shape;
	size_t k = (size_t)w->nchoices,
	       n = case_below(random, 4) ? case_below(random, max_tokens + 1) : 0;
	struct lina_layout_shape layout = { max_tokens, w->nchoices, shape->nexperts,
		shape->ndevices, shape->slots_per_device };

	device->ntokens = n;
	device->experts = array(n * k, sizeof(*device->experts));
	device->weights = array(n * k, sizeof(*device->weights));
	device->token = array(n, sizeof(*device->token));
	device->result = array(n, sizeof(*device->result));
	case_routing(random, (enum case_skew)case_below(random, CASE_NSKEWS), shape->nexperts, n,
		w->nchoices, device->experts, device->weights);
	for (size_t t = 0; t < n; t++)
		device->token[t] = (double)case_below(random, 1000);
	assert_int_equal(lina_route_create(w->plan, w->layer, d, &device->route), 0);
	assert_int_equal(lina_layout_create(&layout, &device->layout), 0);
	assert_int_equal(
		lina_arrival_create(shape->ndevices, shape->slots_per_device, &device->arrival), 0);
}

void world_open(struct world *w, uint64_t *random, int ndevices, size_t max_tokens)
{
	struct lina_plan_shape shape = case_shape(random, ndevices, 3);

	*w = (struct world){ .plan = case_plan(random, &shape) };
	w->nchoices = 1 + (int)case_below(random, WORLD_CHOICES);
	w->layer = (int)case_below(random, (uint64_t)shape.nlayers);
	w->dedup = case_below(random, 2);
	for (int d = 0; d < ndevices; d++)
		device_open(w, random, d, max_tokens);
}

void world_close(struct world *w)
{
	for (int d = 0; d < w->plan->shape.ndevices; d++) {
		struct world_device *device = &w->device[d];
		lina_arrival_destroy(device->arrival);
		lina_layout_destroy(device->layout);
		lina_route_destroy(device->route);
		free(device->result);
		free(device->token);
		free(device->weights);
		free(device->experts);
	}
	lina_plan_destroy(w->plan);
}

/* What device d receives from each other, one after the other. */
static size_t receive(struct world *w, int d)
{
	struct world_device *to = &w->device[d];
	const struct lina_plan_shape *shape = &w->plan->shape;
	uint32_t base = 0;
	size_t npairs = 0;

	for (int p = 0; p < shape->ndevices; p++) {
		const struct lina_layout *from = w->device[p].layout;
		to->parcel[p] = (struct lina_parcel){
			.nrows = from->row_begin[d + 1] - from->row_begin[d],
			.base = base,
			.slot_pairs =
				&from->slot_pairs[(size_t)d * (size_t)shape->slots_per_device],
			.pair = w->dedup ? &from->pair[from->pair_begin[d]] : NULL,
		};
		base += to->parcel[p].nrows;
		npairs += from->pair_begin[d + 1] - from->pair_begin[d];
	}
	assert_int_equal(lina_arrival_reserve(to->arrival, npairs, base), 0);
	return base;
}

static double *rows_received(const struct world *w, int d, size_t nrows)
{
	double *rows = array(nrows, sizeof(*rows));

	for (int p = 0; p < w->plan->shape.ndevices; p++) {
		const struct world_device *from = &w->device[p];
		const struct lina_parcel *parcel = &w->device[d].parcel[p];
		for (uint32_t r = 0; r < parcel->nrows; r++)
			rows[parcel->base + r] =
				from->token[from->layout
						    ->row_token[from->layout->row_begin[d] + r]];
	}
	return rows;
}

/* The experts of device d work; what goes back to each source lies in its rows' order. */
static double *rows_returned(const struct world *w, int d, const double *rows)
{
	const struct lina_arrival *arrival = w->device[d].arrival;
	const int *expert = lina_plan_experts(w->plan, w->layer) +
			    (size_t)d * (size_t)w->plan->shape.slots_per_device;
	double *made = array(arrival->npairs, sizeof(*made));
	double *back = array(arrival->nrows, sizeof(*back));

	for (int s = 0; s < arrival->nslots; s++)
		for (uint32_t i = arrival->slot_begin[s]; i < arrival->slot_begin[s + 1]; i++)
			made[i] = world_expert(expert[s], rows[arrival->pair_row[i]]);
	for (size_t r = 0; r < arrival->nrows; r++)
		for (uint32_t i = arrival->term_begin[r]; i < arrival->term_begin[r + 1]; i++)
			back[r] += (w->dedup ? arrival->term_weight[i] : 1) *
				   made[arrival->term_pair[i]];
	free(made);
	return back;
}

static void take_back(struct world *w, int source, int d, const double *back)
{
	struct world_device *device = &w->device[source];
	const struct lina_layout *layout = device->layout;

	for (size_t t = 0; t < device->ntokens; t++)
		for (uint32_t i = layout->term_begin[t]; i < layout->term_begin[t + 1]; i++) {
			uint32_t row = layout->term_row[i];
			if (row < layout->row_begin[d] || row >= layout->row_begin[d + 1])
				continue;
			device->result[t] +=
				layout->term_weight[i] *
				back[w->device[d].parcel[source].base + row - layout->row_begin[d]];
		}
}

void world_run(struct world *w)
{
	int ndevices = w->plan->shape.ndevices, source;
	struct lina_layout_fault fault;

	for (int d = 0; d < ndevices; d++) {
		struct world_device *device = &w->device[d];
		struct lina_layout_in in = { device->route, device->experts, device->weights,
			device->ntokens, w->nchoices, w->dedup, w->capacity, 0 };
		assert_int_equal(lina_layout_build(device->layout, &in, &fault), 0);
	}
	for (int d = 0; d < ndevices; d++) {
		double *rows = rows_received(w, d, receive(w, d));
		assert_int_equal(
			lina_arrival_build(w->device[d].arrival, w->device[d].parcel, &source), 0);
		double *back = rows_returned(w, d, rows);
		for (int p = 0; p < ndevices; p++)
			take_back(w, p, d, back);
		free(back);
		free(rows);
	}
}
