#include "perf/phases_tokens.h"

#include "collectives/records/records.h"
#include "perf/die.h"

#include <stdlib.h>
#include <string.h>

static size_t row_of(const struct phases_tokens *all)
{
	return (size_t)all->nlayers * (size_t)all->topk;
}

/* The first record says what tokens are like. */
static void take_shape(struct phases_tokens *all, const struct lina_record *record)
{
	all->nlayers = record->nlayers;
	all->topk = record->topk;
	all->layers = calloc((size_t)record->nlayers, sizeof(*all->layers));
	if (all->layers == NULL)
		die("no memory for %d layers", record->nlayers);
	memcpy(all->layers, record->layers, (size_t)record->nlayers * sizeof(*all->layers));
}

static void take(struct phases_tokens *all, const struct lina_record *record, const char *path)
{
	size_t row, n = (size_t)record->ntokens;

	if (all->nlayers == 0)
		take_shape(all, record);
	if (record->nlayers != all->nlayers || record->topk != all->topk)
		die("%s: tokens at %d layers with %d choices after some at %d with %d", path,
			record->nlayers, record->topk, all->nlayers, all->topk);
	row = row_of(all);
	all->experts = realloc(all->experts, (all->ntokens + n) * row * sizeof(*all->experts));
	if (all->experts == NULL)
		die("no memory for %zu tokens", all->ntokens + n);
	memcpy(all->experts + all->ntokens * row, record->experts, n * row * sizeof(*all->experts));
	all->ntokens += n;
}

static void count_experts(struct phases_tokens *all, const char *path)
{
	for (size_t i = 0; i < all->ntokens * row_of(all); i++) {
		if (all->experts[i] < 0)
			die("%s: a token has a choice less than others", path);
		if (all->experts[i] >= all->nexperts)
			all->nexperts = all->experts[i] + 1;
	}
}

static struct lina_token_paths some(const struct phases_tokens *all, size_t first, size_t n)
{
	return (struct lina_token_paths){ (int)n, all->nlayers, all->topk, all->layers,
		all->experts + first * row_of(all) };
}

static void learn(struct phases_tokens *all)
{
	struct lina_paths_settings settings = lina_paths_settings_default();
	struct lina_token_paths half = some(all, 0, all->ntokens / 2);

	if (lina_paths_create(&settings, &all->paths) != 0 ||
		lina_paths_add(all->paths, &half) != 0)
		die("no memory for paths");
}

void phases_tokens_open(struct phases_tokens *all, const char *path)
{
	struct lina_records_options options = { .format = LINA_RECORDS_AUTO, .join = true };
	struct lina_plan_text_fault fault = { 0 };
	struct lina_records *records;
	struct lina_record record;
	struct lina_input *in;
	int more;

	*all = (struct phases_tokens){ 0 };
	if (lina_input_open(path, &in, &fault) != 0 ||
		lina_records_create(in, &options, &records, &fault) != 0)
		die("%s: %s", path, fault.text);
	while ((more = lina_records_next(records, &record, &fault)) == 1)
		if (record.kind == LINA_RECORD_TOKENS)
			take(all, &record, path);
	if (more < 0)
		die("%s:%d:%d: %s", path, fault.line, fault.column, fault.text);
	lina_records_destroy(records);
	if (all->nlayers < 2)
		die("%s has no tokens at two layers", path);
	count_experts(all, path);
	learn(all);
}

void phases_tokens_close(struct phases_tokens *all)
{
	lina_paths_destroy(all->paths);
	free(all->experts);
	free(all->layers);
}

void phases_tokens_at(const struct phases_tokens *all, size_t token, int layer, int32_t *experts_p)
{
	const int *of = all->experts + token * row_of(all) + (size_t)layer * (size_t)all->topk;

	for (int i = 0; i < all->topk; i++)
		experts_p[i] = of[i];
}

void phases_tokens_estimate(
	const struct phases_tokens *all, size_t first, size_t n, int layer, double *load_p)
{
	struct lina_token_paths batch = some(all, first, n);
	int known;

	memset(load_p, 0, (size_t)all->nexperts * sizeof(*load_p));
	lina_paths_predict(all->paths, &batch, layer, all->nexperts, load_p, &known);
}
