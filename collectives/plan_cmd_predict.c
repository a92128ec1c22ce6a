/* lina-plan predict: the loads that a model expects, as records that a placement is made for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_learn.h"
#include "collectives/plan_main.h"
#include "collectives/whole_file.h"

struct options {
	struct lina_plan_inputs inputs;
	const char *model, *output;
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->inputs;
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->model)
			argp_error(state, "one MODEL at a time");
		o->model = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which MODEL?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int lina_plan_open_profile(const char *path, struct lina_profile **profile_p)
{
	struct lina_plan_text_fault fault = { 0 };
	size_t bytes;
	char *text;
	int err = lina_file_load(lina_plan_input(path), &text, &bytes);

	if (err)
		return lina_plan_complain("%s: %s", path, strerror(-err));
	err = lina_profile_decode(text, bytes, profile_p, &fault);
	free(text);
	if (err && fault.line)
		return lina_plan_complain(
			"%s:%d:%d: %s", path, fault.line, fault.column, fault.text);
	return err ? lina_plan_complain("%s: %s", path, strerror(-err)) : EXIT_SUCCESS;
}

/* Predictions for all tokens, by layer number. */
struct prediction {
	const struct lina_profile *profile;
	double *shares;  /* [nlayers of the profile][nexperts], in choices */
	double *scratch; /* [nexperts] */
	bool no_paths;
};

/* Which layer of the profile has this number; -1: none. */
static int layer_index(const struct lina_profile *profile, int number)
{
	for (int l = 0; l < profile->counts->nlayers; l++)
		if (profile->layers[l] == number)
			return l;
	return -1;
}

static int prediction_take(void *arg, const struct lina_record *record)
{
	struct lina_token_paths tokens = lina_plan_tokens_of(record);
	struct prediction *p = arg;
	int nexperts = p->profile->counts->nexperts;

	p->no_paths = record->kind != LINA_RECORD_TOKENS;
	if (p->no_paths)
		return -EINVAL;
	for (int at = 0; at < tokens.nlayers; at++) {
		int layer = layer_index(p->profile, tokens.layers[at]), known;

		if (layer < 0)
			continue;
		memset(p->scratch, 0, (size_t)nexperts * sizeof(*p->scratch));
		lina_paths_predict(p->profile->paths, &tokens, at, nexperts, p->scratch, &known);
		for (int e = 0; e < nexperts; e++)
			p->shares[(size_t)layer * (size_t)nexperts + (size_t)e] +=
				record->topk * p->scratch[e];
	}
	return 0;
}

/* The model's counts are replaced by what it predicts for the tokens. */
static int predict_tokens(const struct options *o, struct lina_profile *profile)
{
	size_t n = (size_t)profile->counts->nlayers * (size_t)profile->counts->nexperts;
	struct lina_plan_inputs inputs = o->inputs;
	struct prediction p = { .profile = profile,
		.shares = calloc(n, sizeof(double)),
		.scratch = calloc((size_t)profile->counts->nexperts, sizeof(double)) };
	int status;

	inputs.options.join = true;
	if (!p.shares || !p.scratch)
		status = lina_plan_complain("%s", strerror(ENOMEM));
	else
		status = lina_plan_inputs_each(&inputs, prediction_take, &p);
	if (status && p.no_paths)
		status = lina_plan_complain("a prediction by paths needs the paths of tokens");
	if (!status)
		memcpy(profile->counts->tokens, p.shares, n * sizeof(double));
	free(p.shares);
	free(p.scratch);
	return status;
}

static int save(const char *path, const struct lina_profile *profile)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	int status;

	if (!out)
		return lina_plan_complain("%s", strerror(ENOMEM));
	(void)fputs("layer,expert,count\n", out);
	for (int l = 0; l < profile->counts->nlayers; l++)
		for (int e = 0; e < profile->counts->nexperts; e++)
			(void)fprintf(out, "%d,%d,%.10g\n", profile->layers[l], e,
				lina_counts_layer(profile->counts, l)[e]);
	if (fclose(out))
		status = lina_plan_complain("%s", strerror(ENOMEM));
	else
		status = lina_plan_save(path, text, bytes);
	free(text);
	return status;
}

int lina_plan_cmd_predict(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "output", 'o', "FILE", 0, "Where the loads go; '-', the default, is stdout", 0 },
		{ 0 },
	};
	static const struct argp_child children[] = {
		{ &lina_plan_inputs_argp, 0, "Records of the tokens:", 0 }, { 0 }
	};
	static const struct argp argp = { .options = known,
		.parser = option_parse,
		.args_doc = "MODEL",
		.doc = "Writes the loads that a model of 'lina-plan profile' expects, as CSV that "
		       "--counts of other commands reads. With the method paths and with records, "
		       "the loads of each layer are predicted from the experts that the tokens had "
		       "at the layers before it; otherwise they are those of the model.",
		.children = children };
	struct options o = { .output = "-" };
	struct lina_profile *profile;
	int status;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	status = lina_plan_open_profile(o.model, &profile);
	if (status)
		return status;
	if (o.inputs.nfiles && profile->paths)
		status = predict_tokens(&o, profile);
	else if (o.inputs.nfiles)
		status = lina_plan_complain(
			"%s: method %s predicts without records; leave out --counts", o.model,
			lina_profile_method_name(profile->method));
	if (!status)
		status = save(o.output, profile);
	lina_profile_destroy(profile);
	return status;
}
