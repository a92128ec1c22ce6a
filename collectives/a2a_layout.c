#include "collectives/a2a_layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { NO_WAY = -1 };

struct lina_layout_work {
	int32_t *way;         /* [ntokens * nchoices]: which of the route's, NO_WAY: dropped */
	uint32_t *quota;      /* [nslots]: what a way may still take */
	uint32_t *of_expert;  /* [nexperts]: pairs */
	int *open;            /* [nexperts]: first way that has quota left */
	uint32_t *at;         /* [ndevices * slots_per_device]: next pair of each slot */
	uint32_t *next_row;   /* [ndevices] */
	uint32_t *last_token; /* [ndevices]: that went there, LINA_NO_ROW: none yet */
	uint32_t *pair_row;   /* [ntokens * nchoices] row of each pair */
};

static void work_destroy(struct lina_layout_work *work)
{
	if (work == NULL)
		return;
	free(work->way);
	free(work->quota);
	free(work->of_expert);
	free(work->open);
	free(work->at);
	free(work->next_row);
	free(work->last_token);
	free(work->pair_row);
	free(work);
}

static struct lina_layout_work *work_create(const struct lina_layout_shape *shape)
{
	struct lina_layout_work *work = calloc(1, sizeof(*work));
	size_t npairs = shape->max_tokens * (size_t)shape->max_choices;
	size_t nslots = (size_t)shape->ndevices * (size_t)shape->slots_per_device;

	if (work == NULL)
		return NULL;
	work->way = calloc(npairs, sizeof(*work->way));
	work->quota = calloc(nslots, sizeof(*work->quota));
	work->of_expert = calloc((size_t)shape->nexperts, sizeof(*work->of_expert));
	work->open = calloc((size_t)shape->nexperts, sizeof(*work->open));
	work->at = calloc(nslots, sizeof(*work->at));
	work->next_row = calloc((size_t)shape->ndevices, sizeof(*work->next_row));
	work->last_token = calloc((size_t)shape->ndevices, sizeof(*work->last_token));
	work->pair_row = calloc(npairs, sizeof(*work->pair_row));
	if (work->way && work->quota && work->of_expert && work->open && work->at &&
		work->next_row && work->last_token && work->pair_row)
		return work;
	work_destroy(work);
	return NULL;
}

static int shape_check(const struct lina_layout_shape *shape)
{
	if (shape->max_tokens < 1 || shape->max_choices < 1 || shape->nexperts < 1 ||
		shape->ndevices < 1 || shape->slots_per_device < 1)
		return -EINVAL;
	return shape->max_tokens < (size_t)LINA_NO_ROW / (size_t)shape->max_choices ? 0 : -EINVAL;
}

static int arrays_create(struct lina_layout *layout)
{
	const struct lina_layout_shape *shape = &layout->shape;
	size_t npairs = shape->max_tokens * (size_t)shape->max_choices;
	size_t ndevices = (size_t)shape->ndevices;

	layout->row_begin = calloc(ndevices + 1, sizeof(*layout->row_begin));
	layout->pair_begin = calloc(ndevices + 1, sizeof(*layout->pair_begin));
	layout->slot_pairs =
		calloc(ndevices * (size_t)shape->slots_per_device, sizeof(*layout->slot_pairs));
	layout->row_token = calloc(npairs, sizeof(*layout->row_token));
	layout->pair = calloc(npairs, sizeof(*layout->pair));
	layout->term_begin = calloc(shape->max_tokens + 1, sizeof(*layout->term_begin));
	layout->term_row = calloc(npairs, sizeof(*layout->term_row));
	layout->term_weight = calloc(npairs, sizeof(*layout->term_weight));
	layout->work = work_create(shape);
	return layout->row_begin && layout->pair_begin && layout->slot_pairs && layout->row_token &&
			       layout->pair && layout->term_begin && layout->term_row &&
			       layout->term_weight && layout->work
		       ? 0
		       : -ENOMEM;
}

int lina_layout_create(const struct lina_layout_shape *shape, struct lina_layout **layout_p)
{
	int err = shape_check(shape);

	if (err)
		return err;
	struct lina_layout *layout = calloc(1, sizeof(*layout));
	if (layout == NULL)
		return -ENOMEM;
	layout->shape = *shape;
	err = arrays_create(layout);
	if (err) {
		lina_layout_destroy(layout);
		return err;
	}
	*layout_p = layout;
	return 0;
}

void lina_layout_destroy(struct lina_layout *layout)
{
	if (layout == NULL)
		return;
	work_destroy(layout->work);
	free(layout->term_weight);
	free(layout->term_row);
	free(layout->term_begin);
	free(layout->pair);
	free(layout->row_token);
	free(layout->slot_pairs);
	free(layout->pair_begin);
	free(layout->row_begin);
	free(layout);
}

/* ---- what was asked for ---------------------------------------------------------------------- */

void lina_layout_clear(struct lina_layout *layout)
{
	size_t ndevices = (size_t)layout->shape.ndevices;
	size_t nslots = ndevices * (size_t)layout->shape.slots_per_device;

	layout->ntokens = layout->npairs = layout->nrows = 0;
	layout->ndropped = 0;
	memset(layout->row_begin, 0, (ndevices + 1) * sizeof(*layout->row_begin));
	memset(layout->pair_begin, 0, (ndevices + 1) * sizeof(*layout->pair_begin));
	memset(layout->slot_pairs, 0, nslots * sizeof(*layout->slot_pairs));
	layout->term_begin[0] = 0;
}

static int in_check(const struct lina_layout *layout, const struct lina_layout_in *in,
	struct lina_layout_fault *fault_p)
{
	const struct lina_layout_shape *shape = &layout->shape;

	if (in->nchoices < 1 || in->nchoices > shape->max_choices ||
		in->ntokens > shape->max_tokens || in->route->nexperts != shape->nexperts ||
		in->route->ndevices != shape->ndevices ||
		in->route->slots_per_device != shape->slots_per_device) {
		*fault_p = (struct lina_layout_fault){ .kind = LINA_LAYOUT_SIZE };
		return -EINVAL;
	}
	return 0;
}

/* Counts the pairs of each expert. */
static int count_experts(struct lina_layout *layout, const struct lina_layout_in *in,
	struct lina_layout_fault *fault_p)
{
	uint32_t *of_expert = layout->work->of_expert;
	size_t npairs = in->ntokens * (size_t)in->nchoices;

	memset(of_expert, 0, (size_t)layout->shape.nexperts * sizeof(*of_expert));
	for (size_t i = 0; i < npairs; i++) {
		int32_t e = in->experts[i];
		if (e < 0 || e >= layout->shape.nexperts) {
			*fault_p = (struct lina_layout_fault){ .kind = LINA_LAYOUT_EXPERT,
				.token = i / (size_t)in->nchoices,
				.choice = (int)(i % (size_t)in->nchoices),
				.expert = e };
			return -EINVAL;
		}
		of_expert[e]++;
	}
	return 0;
}

/* ---- a way for each pair --------------------------------------------------------------------- */

static void divide(struct lina_layout *layout, const struct lina_layout_in *in)
{
	struct lina_layout_work *work = layout->work;
	const int *first = in->route->first;

	for (int e = 0; e < layout->shape.nexperts; e++) {
		uint32_t n = work->of_expert[e];
		if (in->capacity > 0 && n > in->capacity)
			n = in->capacity;
		lina_route_divide(in->route, e, n, &work->quota[first[e]]);
		work->open[e] = first[e];
	}
}

/* The first way that has quota left and leads to a device that the token goes to already; without
 * one, or where duplicates are sent, the first that has quota left. */
static int choose(struct lina_layout_work *work, const struct lina_route *route, int expert,
	const int32_t *chosen, int nchosen)
{
	int end = route->first[expert + 1];

	while (work->open[expert] < end && work->quota[work->open[expert]] == 0)
		work->open[expert]++;
	for (int w = work->open[expert]; w < end && nchosen > 0; w++)
		for (int i = 0; i < nchosen && work->quota[w] > 0; i++)
			if (chosen[i] != NO_WAY &&
				route->way[chosen[i]].device == route->way[w].device)
				return w;
	return work->open[expert] < end ? work->open[expert] : NO_WAY;
}

static int take(struct lina_layout_work *work, int way)
{
	if (way != NO_WAY)
		work->quota[way]--;
	return way;
}

/* Choices that leave no choice come first, so that the others can follow them. */
static void choose_token(struct lina_layout_work *work, const struct lina_layout_in *in, size_t at)
{
	const struct lina_route *route = in->route;
	const int32_t *experts = &in->experts[at];
	int32_t *way = &work->way[at];

	for (int i = 0; i < in->nchoices; i++)
		way[i] = NO_WAY;
	for (int alone = 1; alone >= 0; alone--)
		for (int i = 0; i < in->nchoices; i++) {
			int e = experts[i], nways = route->first[e + 1] - route->first[e];
			if ((nways == 1) == alone)
				way[i] = take(work,
					choose(work, route, e, way, in->dedup ? in->nchoices : 0));
		}
}

/* ---- order ----------------------------------------------------------------------------------- */

static void count_slots(struct lina_layout *layout, const struct lina_layout_in *in)
{
	size_t npairs = in->ntokens * (size_t)in->nchoices;
	const int32_t *way = layout->work->way;

	for (size_t i = 0; i < npairs; i++)
		if (way[i] != NO_WAY)
			layout->slot_pairs[in->route->way[way[i]].slot]++;
		else
			layout->ndropped++;
	for (int d = 0, s = 0; d < layout->shape.ndevices; d++) {
		layout->pair_begin[d + 1] = layout->pair_begin[d];
		for (int i = 0; i < layout->shape.slots_per_device; i++, s++) {
			layout->work->at[s] = layout->pair_begin[d + 1];
			layout->pair_begin[d + 1] += layout->slot_pairs[s];
		}
	}
	layout->npairs = layout->pair_begin[layout->shape.ndevices];
}

/* Every pair is a row. */
static void order_pairs(struct lina_layout *layout, const struct lina_layout_in *in)
{
	struct lina_layout_work *work = layout->work;
	size_t npairs = in->ntokens * (size_t)in->nchoices;

	memcpy(layout->row_begin, layout->pair_begin,
		((size_t)layout->shape.ndevices + 1) * sizeof(*layout->row_begin));
	for (size_t i = 0; i < npairs; i++) {
		if (work->way[i] == NO_WAY)
			continue;
		const struct lina_way *way = &in->route->way[work->way[i]];
		uint32_t row = work->at[way->slot]++;
		layout->row_token[row] = (uint32_t)(i / (size_t)in->nchoices);
		layout->pair[row].row = row - layout->row_begin[way->device];
		layout->pair[row].weight = in->weights ? in->weights[i] : 1;
		work->pair_row[i] = row;
	}
}

static void terms_of_pairs(struct lina_layout *layout, const struct lina_layout_in *in)
{
	const struct lina_layout_work *work = layout->work;
	size_t k = (size_t)in->nchoices;
	uint32_t n = 0;

	for (size_t t = 0; t < in->ntokens; t++) {
		for (size_t i = t * k; i < (t + 1) * k; i++) {
			if (work->way[i] == NO_WAY)
				continue;
			layout->term_row[n] = work->pair_row[i];
			layout->term_weight[n++] = in->weights ? in->weights[i] : 1;
		}
		layout->term_begin[t + 1] = n;
	}
}

/* Calls of this for each pair, in the order of tokens, say which is the first of its token to a
 * device. */
static bool is_first(struct lina_layout_work *work, int device, size_t token)
{
	bool first = work->last_token[device] != (uint32_t)token;

	work->last_token[device] = (uint32_t)token;
	return first;
}

static void forget_tokens(struct lina_layout *layout)
{
	for (int d = 0; d < layout->shape.ndevices; d++)
		layout->work->last_token[d] = LINA_NO_ROW;
}

static void count_rows(struct lina_layout *layout, const struct lina_layout_in *in)
{
	struct lina_layout_work *work = layout->work;
	size_t k = (size_t)in->nchoices;

	forget_tokens(layout);
	for (size_t i = 0; i < in->ntokens * k; i++) {
		int d = work->way[i] == NO_WAY ? -1 : in->route->way[work->way[i]].device;
		if (d >= 0 && is_first(work, d, i / k))
			layout->row_begin[d + 1]++;
	}
	for (int d = 0; d < layout->shape.ndevices; d++) {
		work->next_row[d] = layout->row_begin[d];
		layout->row_begin[d + 1] += layout->row_begin[d];
	}
}

/* A row for each device that a token goes to. */
static void order_rows(struct lina_layout *layout, const struct lina_layout_in *in)
{
	struct lina_layout_work *work = layout->work;
	size_t k = (size_t)in->nchoices;
	uint32_t nterms = 0;

	count_rows(layout, in);
	forget_tokens(layout);
	for (size_t i = 0; i < in->ntokens * k; i++) {
		if (i % k == 0)
			layout->term_begin[i / k] = nterms;
		if (work->way[i] == NO_WAY)
			continue;
		const struct lina_way *way = &in->route->way[work->way[i]];
		int d = way->device;
		if (is_first(work, d, i / k)) {
			layout->row_token[work->next_row[d]] = (uint32_t)(i / k);
			layout->term_weight[nterms] = 1;
			layout->term_row[nterms++] = work->next_row[d]++;
		}
		layout->pair[work->at[way->slot]++] = (struct lina_pair){
			.row = work->next_row[d] - 1 - layout->row_begin[d],
			.weight = in->weights ? in->weights[i] : 1,
		};
	}
	layout->term_begin[in->ntokens] = nterms;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int bound_check(const struct lina_layout *layout, const struct lina_layout_in *in,
	struct lina_layout_fault *fault_p)
{
	for (int d = 0; in->bound > 0 && d < layout->shape.ndevices; d++) {
		uint32_t n = layout->row_begin[d + 1] - layout->row_begin[d];
		if (n <= in->bound)
			continue;
		*fault_p = (struct lina_layout_fault){
			.kind = LINA_LAYOUT_BOUND, .device = d, .nrows = n
		};
		return -EOVERFLOW;
	}
	return 0;
}

int lina_layout_build(struct lina_layout *layout, const struct lina_layout_in *in,
	struct lina_layout_fault *fault_p)
{
	size_t k = (size_t)in->nchoices;
	int err = in_check(layout, in, fault_p);

	lina_layout_clear(layout);
	if (!err)
		err = count_experts(layout, in, fault_p);
	if (err)
		return err;
	divide(layout, in);
	for (size_t t = 0; t < in->ntokens; t++)
		choose_token(layout->work, in, t * k);
	count_slots(layout, in);
	if (in->dedup) {
		order_rows(layout, in);
	} else {
		order_pairs(layout, in);
		terms_of_pairs(layout, in);
	}
	layout->ntokens = in->ntokens;
	layout->nrows = layout->row_begin[layout->shape.ndevices];
	err = bound_check(layout, in, fault_p);
	if (err)
		lina_layout_clear(layout);
	return err;
}
