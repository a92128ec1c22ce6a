/* Placement tables in: the only place that knows how a plan is read. */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_words.h"

/* A slot whose expert has no share in the text yet. */
static const double EVEN = -1;

/* --- header --- */

/* A line "NAME NUMBER", the number from min to max. */
static int header_number(
	struct lina_words *w, const char *name, uint64_t min, uint64_t max, uint64_t *number_p)
{
	struct lina_word word = { .at = w->end };

	if (!lina_words_next_line(w) || !lina_words_next(w, &word) || !lina_word_is(word, name))
		return lina_words_expected(w, word, "'%s'", name);
	(void)lina_words_next(w, &word);
	if (!lina_word_number(word, max, number_p) || *number_p < min)
		return lina_words_expected(w, word, "a number from %llu to %llu",
			(unsigned long long)min, (unsigned long long)max);
	if (lina_words_next(w, &word))
		return lina_words_expected(w, word, "the end of the line");
	return 0;
}

static int header_int(struct lina_words *w, const char *name, int max, int *number_p)
{
	uint64_t number = 0;
	int err = header_number(w, name, 1, (uint64_t)max, &number);

	if (!err)
		*number_p = (int)number;
	return err;
}

/* What the lines say together, which each by itself allows: said of the last one. */
static int shape_expected(
	struct lina_words *w, const struct lina_plan_shape *shape, uint64_t text_bytes)
{
	struct lina_word line = { .at = w->line_begins, .bytes = (size_t)(w->at - w->line_begins) };
	uint64_t nslots = (uint64_t)shape->ndevices * (uint64_t)shape->slots_per_device;

	if (shape->devices_per_node < 1 || shape->ndevices % shape->devices_per_node != 0)
		return lina_words_expected(
			w, line, "devices-per-node to divide %d devices evenly", shape->ndevices);
	if (nslots < (uint64_t)shape->nexperts)
		return lina_words_expected(
			w, line, "a slot at least for each of %d experts", shape->nexperts);
	/* A slot takes two characters at least. */
	if (nslots * (uint64_t)shape->nlayers > text_bytes / 2 || nslots > INT32_MAX)
		return lina_words_expected(w, line, "no more slots than the text has room for");
	return 0;
}

static int read_header(struct lina_words *w, struct lina_plan_shape *shape, uint64_t *generation)
{
	uint64_t version = 0;
	int err = header_number(
		w, "lina-placement", LINA_PLAN_FILE_VERSION, LINA_PLAN_FILE_VERSION, &version);

	if (!err)
		err = header_int(w, "layers", LINA_LAYERS_MAX, &shape->nlayers);
	if (!err)
		err = header_int(w, "experts", LINA_EXPERTS_MAX, &shape->nexperts);
	if (!err)
		err = header_int(w, "devices", LINA_DEVICES_MAX, &shape->ndevices);
	if (!err)
		err = header_int(w, "devices-per-node", shape->ndevices, &shape->devices_per_node);
	if (!err)
		err = header_int(
			w, "slots-per-device", LINA_SLOTS_PER_DEVICE_MAX, &shape->slots_per_device);
	if (!err)
		err = shape_expected(w, shape, (uint64_t)(w->end - w->text));
	return err ? err : header_number(w, "generation", 0, UINT64_MAX, generation);
}

/* --- layers --- */

/* As in C, whatever locale the program has set. The C library's own, which takes no memory. */
static double number_of(const char *text, char **end_p)
{
	return strtod_l(text, end_p, newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

/* "0.25" to 0.25. Of a copy, since strtod wants a zero behind it. */
static int parse_share(struct lina_word word, double *share_p)
{
	char copy[40], *end;

	if (word.bytes == 0 || word.bytes >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, word.at, word.bytes);
	copy[word.bytes] = '\0';
	if (copy[strspn(copy, "0123456789.e+-")] != '\0')
		return -EINVAL;
	*share_p = number_of(copy, &end);
	return *end == '\0' && *share_p >= 0 && *share_p <= 1 ? 0 : -EINVAL;
}

static int read_slot(struct lina_words *w, int nexperts, int *expert_p, double *share_p)
{
	struct lina_word word, head, tail;
	const char *colon;
	uint64_t expert = 0;

	if (!lina_words_next(w, &word))
		return lina_words_expected(w, word, "an expert or '-' for each slot");
	if (lina_word_is(word, "-")) {
		*expert_p = LINA_SLOT_EMPTY;
		*share_p = 0;
		return 0;
	}
	colon = memchr(word.at, ':', word.bytes);
	head = (struct lina_word){ word.at, colon ? (size_t)(colon - word.at) : word.bytes };
	if (!lina_word_number(head, (uint64_t)nexperts - 1, &expert))
		return lina_words_expected(w, word, "an expert from 0 to %d or '-'", nexperts - 1);
	*expert_p = (int)expert;
	*share_p = EVEN;
	if (!colon)
		return 0;
	tail = (struct lina_word){ colon + 1, word.bytes - head.bytes - 1 };
	if (parse_share(tail, share_p))
		return lina_words_expected(w, tail, "a share from 0 to 1");
	return 0;
}

/* A line "NAME NUMBER" or, with colon, "NAME NUMBER:" and more. */
static int read_label(struct lina_words *w, const char *name, int number, const char *colon)
{
	struct lina_word first = { .at = w->end }, second;
	char expected[32];

	(void)snprintf(expected, sizeof(expected), "%d%s", number, colon);
	if (lina_words_next_line(w) && lina_words_next(w, &first) && lina_word_is(first, name) &&
		lina_words_next(w, &second) && lina_word_is(second, expected))
		return 0;
	return lina_words_expected(w, first, "'%s %s'", name, expected);
}

static int expect_line_end(struct lina_words *w)
{
	struct lina_word word;

	return lina_words_next(w, &word) ? lina_words_expected(w, word, "the end of the line") : 0;
}

/* How an expert stands in the layer that is being read. */
struct seen {
	int nreplicas, nshares;
	double sum;
};

/* The shares of the experts of a layer that has been read; said of its last line. */
static int settle_shares(struct lina_words *w, struct lina_plan *plan, int layer, struct seen *seen)
{
	const int *experts = lina_plan_experts(plan, layer);
	double *shares = lina_plan_shares(plan, layer);
	struct lina_word at = { .at = w->at };

	for (int e = 0; e < plan->shape.nexperts; e++) {
		const struct seen *s = &seen[e];

		if (s->nreplicas == 0)
			return lina_words_expected(
				w, at, "a slot with expert %d in layer %d", e, layer);
		if (s->nshares && s->nshares != s->nreplicas)
			return lina_words_expected(w, at,
				"shares at all replicas of expert %d in layer %d or at none", e,
				layer);
		if (s->nshares && fabs(s->sum - 1) > LINA_SHARE_PPM * 1e-6)
			return lina_words_expected(w, at,
				"shares of expert %d in layer %d with a sum of 1, not %.9g", e,
				layer, s->sum);
	}
	for (int s = 0; s < lina_plan_nslots(&plan->shape); s++)
		if (shares[s] == EVEN)
			shares[s] = 1.0 / seen[experts[s]].nreplicas;
	return 0;
}

static int read_device(
	struct lina_words *w, struct lina_plan *plan, int layer, int device, struct seen *seen)
{
	int per_device = plan->shape.slots_per_device, first = device * per_device;
	int *experts = lina_plan_experts(plan, layer);
	double *shares = lina_plan_shares(plan, layer);
	int err = read_label(w, "device", device, ":");

	for (int s = first; s < first + per_device && !err; s++) {
		err = read_slot(w, plan->shape.nexperts, &experts[s], &shares[s]);
		if (err || experts[s] == LINA_SLOT_EMPTY)
			continue;
		seen[experts[s]].nreplicas++;
		seen[experts[s]].nshares += shares[s] != EVEN;
		seen[experts[s]].sum += shares[s] == EVEN ? 0 : shares[s];
	}
	return err ? err : expect_line_end(w);
}

/* seen [nexperts] is for use here. */
static int read_layer(struct lina_words *w, struct lina_plan *plan, int layer, struct seen *seen)
{
	int err = read_label(w, "layer", layer, "");

	if (!err)
		err = expect_line_end(w);
	memset(seen, 0, (size_t)plan->shape.nexperts * sizeof(*seen));
	for (int d = 0; d < plan->shape.ndevices && !err; d++)
		err = read_device(w, plan, layer, d, seen);
	return err ? err : settle_shares(w, plan, layer, seen);
}

static int read_end(struct lina_words *w)
{
	struct lina_word word = { .at = w->end };

	if (!lina_words_next_line(w) || !lina_words_next(w, &word) || !lina_word_is(word, "end"))
		return lina_words_expected(w, word, "'end'");
	if (expect_line_end(w))
		return -EINVAL;
	if (lina_words_next_line(w)) {
		(void)lina_words_next(w, &word);
		return lina_words_expected(w, word, "nothing after 'end'");
	}
	return 0;
}

static int read_layers(struct lina_words *w, struct lina_plan *plan)
{
	struct seen *seen = calloc((size_t)plan->shape.nexperts, sizeof(*seen));
	int err = seen ? 0 : -ENOMEM;

	for (int l = 0; l < plan->shape.nlayers && !err; l++)
		err = read_layer(w, plan, l, seen);
	free(seen);
	return err ? err : read_end(w);
}

int lina_plan_decode(const char *text, size_t bytes, struct lina_plan **plan_p,
	struct lina_plan_text_fault *fault_p)
{
	struct lina_words w = lina_words_of(text, bytes, fault_p);
	struct lina_plan_shape shape = { 0 };
	struct lina_plan *plan = NULL;
	uint64_t generation = 0;
	int err = read_header(&w, &shape, &generation);

	if (!err)
		err = lina_plan_create(&shape, &plan);
	if (!err)
		err = read_layers(&w, plan);
	if (err) {
		lina_plan_destroy(plan);
		return err;
	}
	plan->generation = generation;
	*plan_p = plan;
	return 0;
}
