/* lina-plan evaluate: how good predictions are. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_learn.h"
#include "collectives/plan_main.h"
#include "collectives/records/tally.h"

/* --- a model against what came --- */

/* What the batches so far say of a layer. */
struct verdict {
	int batches, planned_again;
	double places, same_place, in_both;
};

struct judging {
	const struct lina_profile *profile;
	int nexperts, nlayers, batch_tokens;
	double *estimate, *truth; /* [nlayers][nexperts], of the batch */
	int *topk, *ntokens;      /* [nlayers], of the batch; topk 0: nothing came */
	struct verdict *verdict;  /* [nlayers] */
	int64_t step;
};

static int batch_end(struct judging *j)
{
	for (int l = 0; l < j->nlayers; l++) {
		size_t first = (size_t)l * (size_t)j->nexperts;
		struct lina_top_agreement said;
		struct verdict *v = &j->verdict[l];

		if (!j->topk[l])
			continue;
		if (lina_top_agreement(
			    j->estimate + first, j->truth + first, j->nexperts, j->topk[l], &said))
			return -ENOMEM;
		v->batches++;
		v->planned_again += !said.same_set;
		v->places += said.n;
		v->same_place += said.same_place;
		v->in_both += said.in_both;
		j->topk[l] = 0;
		j->ntokens[l] = 0;
	}
	memset(j->estimate, 0, (size_t)j->nlayers * (size_t)j->nexperts * sizeof(double));
	memset(j->truth, 0, (size_t)j->nlayers * (size_t)j->nexperts * sizeof(double));
	return 0;
}

static int layer_of(const struct lina_profile *profile, int number)
{
	for (int l = 0; l < profile->counts->nlayers; l++)
		if (profile->layers[l] == number)
			return l;
	return -1;
}

static void truth_add(struct judging *j, const struct lina_record *r, int at, double *truth)
{
	for (int t = 0; t < r->ntokens; t++)
		for (int k = 0; k < r->topk; k++) {
			int e = r->experts[((size_t)t * (size_t)r->nlayers + (size_t)at) *
						   (size_t)r->topk +
					   (size_t)k];

			if (e >= 0 && e < j->nexperts)
				truth[e]++;
		}
}

static void layer_take(struct judging *j, const struct lina_record *r, int at, int layer)
{
	size_t first = (size_t)layer * (size_t)j->nexperts;
	struct lina_token_paths tokens = lina_plan_tokens_of(r);
	int known;

	if (r->kind == LINA_RECORD_TOKENS)
		truth_add(j, r, at, j->truth + first);
	else if (r->expert < j->nexperts)
		j->truth[first + (size_t)r->expert] += r->tokens;
	if (r->kind == LINA_RECORD_TOKENS && j->profile->paths)
		lina_paths_predict(
			j->profile->paths, &tokens, at, j->nexperts, j->estimate + first, &known);
	else
		memcpy(j->estimate + first, lina_counts_layer(j->profile->counts, layer),
			(size_t)j->nexperts * sizeof(double));
	j->topk[layer] = r->kind == LINA_RECORD_TOKENS ? r->topk : 1;
	j->ntokens[layer] += r->ntokens;
}

static int judging_take(void *arg, const struct lina_record *r)
{
	struct judging *j = arg;
	bool tokens = r->kind == LINA_RECORD_TOKENS;
	bool full = false;
	int err = 0;

	for (int l = 0; l < j->nlayers && !r->has_step; l++)
		full = full || j->ntokens[l] >= j->batch_tokens;
	if (full || r->step != j->step)
		err = batch_end(j);
	j->step = r->step;
	for (int at = 0; at < (tokens ? r->nlayers : 1) && !err; at++) {
		int layer = layer_of(j->profile, tokens ? r->layers[at] : r->layer);

		if (layer >= 0)
			layer_take(j, r, at, layer);
	}
	return err;
}

static void verdict_sum(const struct judging *j, struct verdict *sum)
{
	for (int l = 0; l < j->nlayers; l++) {
		sum->batches += j->verdict[l].batches;
		sum->planned_again += j->verdict[l].planned_again;
		sum->places += j->verdict[l].places;
		sum->same_place += j->verdict[l].same_place;
		sum->in_both += j->verdict[l].in_both;
	}
}

static void verdict_print(const char *name, const struct verdict *v)
{
	(void)printf("%-6s %8d %9.2f %% %9.2f %% %9.2f %%\n", name, v->batches,
		100 * v->same_place / v->places, 100 * v->in_both / v->places,
		100.0 * v->planned_again / v->batches);
}

static json_t *verdict_json(const struct verdict *v)
{
	return json_pack("{s:i,s:f,s:f,s:f}", "batches", v->batches, "accuracy",
		v->same_place / v->places, "overlap", v->in_both / v->places, "planned_again",
		(double)v->planned_again / v->batches);
}

static int json_print(json_t *root)
{
	int failed = !root || json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(10));

	json_decref(root);
	if (failed)
		return lina_plan_complain("%s", strerror(ENOMEM));
	(void)putchar('\n');
	return EXIT_SUCCESS;
}

static int judging_report(const struct judging *j, bool json)
{
	struct verdict sum = { 0 };
	json_t *layers = json_array();
	char name[16];

	verdict_sum(j, &sum);
	if (!sum.batches) {
		json_decref(layers);
		return lina_plan_complain("no record of a layer that the model knows");
	}
	if (!json)
		(void)printf("layer   batches    accuracy     overlap  planned again\n");
	for (int l = 0; l < j->nlayers; l++) {
		if (!j->verdict[l].batches)
			continue;
		(void)snprintf(name, sizeof(name), "%d", j->profile->layers[l]);
		if (!json)
			verdict_print(name, &j->verdict[l]);
		json_t *one = verdict_json(&j->verdict[l]);
		(void)json_object_set_new(one, "layer", json_integer(j->profile->layers[l]));
		(void)json_array_append_new(layers, one);
	}
	if (json)
		return json_print(
			json_pack("{s:o,s:o}", "all", verdict_json(&sum), "layers", layers));
	json_decref(layers);
	verdict_print("all", &sum);
	return EXIT_SUCCESS;
}

static int judge(struct judging *j, const struct lina_plan_inputs *inputs, bool json)
{
	struct lina_plan_inputs joined = *inputs;
	size_t nlayers = (size_t)j->nlayers, n = nlayers * (size_t)j->nexperts;
	int status;

	j->estimate = calloc(n, sizeof(double));
	j->truth = calloc(n, sizeof(double));
	j->topk = calloc(nlayers, sizeof(int));
	j->ntokens = calloc(nlayers, sizeof(int));
	j->verdict = calloc(nlayers, sizeof(*j->verdict));
	joined.options.join = true;
	if (!j->estimate || !j->truth || !j->topk || !j->ntokens || !j->verdict)
		status = lina_plan_complain("%s", strerror(ENOMEM));
	else
		status = lina_plan_inputs_each(&joined, judging_take, j);
	if (!status && batch_end(j))
		status = lina_plan_complain("%s", strerror(ENOMEM));
	if (!status)
		status = judging_report(j, json);
	free(j->estimate);
	free(j->truth);
	free(j->topk);
	free(j->ntokens);
	free(j->verdict);
	return status;
}

int lina_plan_judge_model(
	const char *model_path, const struct lina_plan_inputs *inputs, int batch_tokens, bool json)
{
	struct judging j = { .batch_tokens = batch_tokens };
	struct lina_profile *profile;
	int status = lina_plan_open_profile(model_path, &profile);

	if (status)
		return status;
	j.profile = profile;
	j.nlayers = profile->counts->nlayers;
	j.nexperts = profile->counts->nexperts;
	status = judge(&j, inputs, json);
	lina_profile_destroy(profile);
	return status;
}

/* --- groups --- */

/* Of a pair of layers: "0 -> 7  top-1 0.133 (all tokens 0.052)  top-2 ...". */
static int pair_report(const struct lina_transitions *t, int pair, json_t *pairs)
{
	json_t *one = json_pack("{s:i}", "pair", pair);

	if (!pairs)
		(void)printf("%4d -> %-4d", pair, pair + 1);
	for (int topk = 1; topk <= 2; topk++) {
		double share, base;
		char name[16];

		if (lina_group_share(
			    lina_transitions_pair(t, pair), t->nexperts, topk, &share, &base)) {
			json_decref(one);
			return lina_plan_complain("layer %d: no transitions", pair);
		}
		if (!pairs)
			(void)printf("  top-%d %.3f (all tokens %.3f)", topk, share, base);
		(void)snprintf(name, sizeof(name), "top%d", topk);
		(void)json_object_set_new(
			one, name, json_pack("{s:f,s:f}", "share", share, "base", base));
	}
	if (pairs)
		return json_array_append_new(pairs, one) ? EXIT_FAILURE : EXIT_SUCCESS;
	json_decref(one);
	(void)putchar('\n');
	return EXIT_SUCCESS;
}

int lina_plan_judge_groups(const struct lina_plan_inputs *inputs, bool json)
{
	struct lina_transitions *transitions = NULL;
	struct lina_counts *counts = NULL;
	json_t *pairs = json ? json_array() : NULL;
	int status = lina_plan_inputs_read(inputs, &counts, &transitions);

	if (!status && !transitions)
		status = lina_plan_complain(
			"%s: no transitions between layers that follow one another",
			inputs->file[0]);
	for (int p = 0; !status && p < transitions->npairs; p++)
		status = pair_report(transitions, p, pairs);
	if (!status && json)
		status = json_print(json_incref(pairs));
	json_decref(pairs);
	lina_transitions_destroy(transitions);
	lina_counts_destroy(counts);
	return status;
}
