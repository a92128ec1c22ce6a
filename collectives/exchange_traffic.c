/* What a placement sends, device to device; and such a matrix in. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "collectives/exchange.h"
#include "collectives/plan_words.h"

/* Where the tokens of an expert are that nobody has served yet, and what may still be served. */
struct rest {
	int ndevices;
	double *supply, *served; /* [ndevices] */
	double *bytes;           /* [ndevices][ndevices] */
};

/* Devices first to first + n - 1 serve one another what they can, in proportion. */
static void exchange_among(struct rest *r, int first, int n, double tokens_bytes)
{
	double supply = 0, served = 0, part;

	for (int d = first; d < first + n; d++) {
		supply += r->supply[d];
		served += r->served[d];
	}
	if (!(supply > 0) || !(served > 0))
		return;
	part = supply < served ? supply : served;
	for (int i = first; i < first + n; i++)
		for (int j = first; j < first + n && r->supply[i] > 0; j++)
			r->bytes[(size_t)i * (size_t)r->ndevices + (size_t)j] +=
				tokens_bytes * part * (r->supply[i] / supply) *
				(r->served[j] / served);
	for (int d = first; d < first + n; d++) {
		r->supply[d] *= 1 - part / supply;
		r->served[d] *= 1 - part / served;
	}
}

static void expert_add(
	struct rest *r, const struct lina_plan *plan, int layer, int expert, double expert_bytes)
{
	const struct lina_plan_shape *shape = &plan->shape;

	for (int d = 0; d < shape->ndevices; d++) {
		r->supply[d] = 1.0 / shape->ndevices;
		r->served[d] = 0;
	}
	for (int s = 0; s < lina_plan_nslots(shape); s++)
		if (lina_plan_experts(plan, layer)[s] == expert)
			r->served[lina_plan_device_of(shape, s)] +=
				lina_plan_shares(plan, layer)[s];
	for (int d = 0; d < shape->ndevices; d++)
		exchange_among(r, d, 1, expert_bytes);
	for (int d = 0; d < shape->ndevices; d += shape->devices_per_node)
		exchange_among(r, d, shape->devices_per_node, expert_bytes);
	exchange_among(r, 0, shape->ndevices, expert_bytes);
}

int lina_exchange_traffic(const struct lina_plan *plan, const struct lina_counts *counts, int layer,
	double token_bytes, double **bytes_p)
{
	size_t n = (size_t)plan->shape.ndevices;
	struct rest r = { .ndevices = plan->shape.ndevices };
	int err = 0;

	if (counts->nexperts != plan->shape.nexperts || counts->nlayers != plan->shape.nlayers ||
		layer < 0 || layer >= counts->nlayers)
		return -EINVAL;
	r.supply = calloc(n, sizeof(double));
	r.served = calloc(n, sizeof(double));
	r.bytes = calloc(n * n, sizeof(double));
	if (!r.supply || !r.served || !r.bytes)
		err = -ENOMEM;
	for (int e = 0; e < counts->nexperts && !err; e++)
		expert_add(&r, plan, layer, e, token_bytes * lina_counts_layer(counts, layer)[e]);
	free(r.supply);
	free(r.served);
	if (err)
		free(r.bytes);
	else
		*bytes_p = r.bytes;
	return err;
}

/* --- a matrix in --- */

/* The numbers of a line behind the n that there are; how many there are then. */
static int row_read(struct lina_words *w, double **bytes, size_t *room, size_t *n)
{
	struct lina_word word;

	while (lina_words_next(w, &word)) {
		uint64_t number;

		if (!lina_word_number(word, UINT64_MAX, &number))
			return lina_words_expected(w, word, "a number of bytes");
		if (*n == *room) {
			double *larger = realloc(*bytes, (2 * *room + 64) * sizeof(double));

			if (!larger)
				return -ENOMEM;
			*bytes = larger;
			*room = 2 * *room + 64;
		}
		(*bytes)[(*n)++] = (double)number;
	}
	return 0;
}

int lina_exchange_matrix_decode(const char *text, size_t size, double **bytes_p, int *n_p,
	struct lina_plan_text_fault *fault_p)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_words w = lina_words_of(text, size, &fault);
	size_t room = 0, n = 0, columns = 0, rows = 0;
	double *bytes = NULL;
	int err = 0;

	while (!err && lina_words_next_line(&w)) {
		struct lina_word line = { w.line_begins, 1 };

		err = row_read(&w, &bytes, &room, &n);
		rows++;
		columns = rows == 1 ? n : columns;
		if (!err && (n != rows * columns || rows > columns || columns > LINA_DEVICES_MAX))
			err = lina_words_expected(
				&w, line, "%zu rows of %zu numbers", columns, columns);
	}
	if (!err && (rows != columns || rows == 0))
		err = lina_words_expected(
			&w, (struct lina_word){ w.at, 0 }, "%zu rows, as many as columns", columns);
	if (err) {
		free(bytes);
		*fault_p = fault;
		return err;
	}
	*bytes_p = bytes;
	*n_p = (int)rows;
	return 0;
}
