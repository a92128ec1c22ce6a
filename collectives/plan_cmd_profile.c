/* lina-plan profile: learns from records of routing, into a model file. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_inputs.h"
#include "collectives/plan_learn.h"
#include "collectives/plan_main.h"
#include "collectives/records/tally.h"

struct options {
	struct lina_plan_inputs inputs;
	enum lina_profile_method method;
	struct lina_loads_settings loads;
	struct lina_paths_settings paths;
	const char *output;
};

enum { KEY_HALF_LIFE = 0x200, KEY_LENGTH, KEY_KEPT, KEY_PATHS_MAX, KEY_SAMPLE_EVERY };

static const struct argp_option known[] = {
	{ "method", 'm', "METHOD", 0,
		"window: mean of the last iterations (the default); mean: of all; decay: older "
		"ones "
		"weigh less; paths: by the experts that tokens had at the last layers",
		0 },
	{ "window", 'w', "N", 0, "Iterations of a window (5)", 0 },
	{ "half-life", KEY_HALF_LIFE, "N", 0, "Iterations until one weighs half (10)", 0 },
	{ "length", KEY_LENGTH, "N", 0, "Layers of a path, 1 to 6 (3)", 0 },
	{ "kept", KEY_KEPT, "N", 0, "Experts kept of each path (8)", 0 },
	{ "paths-max", KEY_PATHS_MAX, "N", 0, "Paths kept at most (262144)", 0 },
	{ "sample-every", KEY_SAMPLE_EVERY, "N", 0, "Learn from one of N tokens (1)", 0 },
	{ "output", 'o', "MODEL", 0, "Where the model goes; '-', the default, is stdout", 0 },
	{ 0 },
};

static void half_life_parse(struct options *o, const char *arg, struct argp_state *state)
{
	char *end;

	o->loads.half_life = strtod(arg, &end);
	if (end == arg || *end || !(o->loads.half_life > 0 && o->loads.half_life < 1e9))
		argp_error(state, "--half-life: must be a number above 0 and below 1e9, not '%s'",
			arg);
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->inputs;
		return 0;
	case 'm':
		if (lina_profile_method_parse(arg, &o->method))
			argp_error(state,
				"--method: must be window, mean, decay or paths, not '%s'", arg);
		return 0;
	case 'w':
		o->loads.window = lina_plan_option_int(state, "--window", arg, 1, 100000);
		return 0;
	case KEY_HALF_LIFE:
		half_life_parse(o, arg, state);
		return 0;
	case KEY_LENGTH:
		o->paths.length = lina_plan_option_int(state, "--length", arg, 1, LINA_PATH_MAX);
		return 0;
	case KEY_KEPT:
		o->paths.kept = lina_plan_option_int(state, "--kept", arg, 1, LINA_PATHS_KEPT_MAX);
		return 0;
	case KEY_PATHS_MAX:
		o->paths.paths_max =
			(uint32_t)lina_plan_option_int(state, "--paths-max", arg, 1, 1 << 30);
		return 0;
	case KEY_SAMPLE_EVERY:
		o->paths.sample_every =
			(uint32_t)lina_plan_option_int(state, "--sample-every", arg, 1, 1 << 30);
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->inputs.nfiles)
			argp_error(state, "--counts: which file?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- loads, one iteration after the other --- */

struct learning {
	const struct options *o;
	struct lina_loads *loads;
	struct lina_paths *paths;
	struct lina_tally *tally; /* of the iteration that has not ended */
	int64_t step;
	bool begun;
	int nlayers, layers[LINA_LAYERS_MAX]; /* of the iterations that have ended */
	bool no_paths;                        /* a record that is none of tokens has come */
};

/* An iteration's loads are numbered by layer: later ones may add layers only behind. -EDOM. */
static int layers_check(struct learning *l)
{
	int layers[LINA_LAYERS_MAX], n = lina_tally_layers(l->tally, layers);

	if (memcmp(layers, l->layers, (size_t)l->nlayers * sizeof(*layers)) != 0)
		return -EDOM;
	memcpy(l->layers, layers, (size_t)n * sizeof(*layers));
	l->nlayers = n;
	return 0;
}

static int iteration_end(struct learning *l)
{
	struct lina_counts *counts;
	int err;

	if (!l->begun)
		return 0;
	err = layers_check(l);
	if (!err)
		err = lina_tally_counts(l->tally, l->o->inputs.nexperts, &counts);
	if (err)
		return err;
	err = lina_loads_add(l->loads, counts);
	lina_counts_destroy(counts);
	lina_tally_clear(l->tally);
	l->begun = false;
	return err;
}

static int loads_take(void *arg, const struct lina_record *record)
{
	struct learning *l = arg;
	int err = l->begun && record->step != l->step ? iteration_end(l) : 0;

	if (err)
		return err;
	l->begun = true;
	l->step = record->step;
	return lina_tally_add(l->tally, record);
}

static int paths_take(void *arg, const struct lina_record *record)
{
	struct lina_token_paths tokens = lina_plan_tokens_of(record);
	struct learning *l = arg;

	l->no_paths = record->kind != LINA_RECORD_TOKENS;
	return l->no_paths ? -EINVAL : lina_paths_add(l->paths, &tokens);
}

/* --- the model --- */

static int profile_layers(struct lina_profile *profile, const int *layers, int n)
{
	profile->layers = malloc((size_t)n * sizeof(*layers));
	if (!profile->layers)
		return -ENOMEM;
	memcpy(profile->layers, layers, (size_t)n * sizeof(*layers));
	return 0;
}

static int loads_finish(struct learning *l, struct lina_profile *profile)
{
	int err = iteration_end(l);

	if (!err)
		err = lina_loads_estimate(l->loads, &profile->counts);
	return err ? err : profile_layers(profile, l->layers, l->nlayers);
}

static int paths_finish(struct learning *l, struct lina_profile *profile)
{
	int nexperts = l->o->inputs.nexperts ? l->o->inputs.nexperts : 1, n = 0, err;

	for (int i = 0; i < LINA_LAYERS_MAX; i++) {
		int some = 0;

		if (!lina_paths_loads(l->paths, i, &some))
			continue;
		l->layers[n++] = i;
		nexperts = some > nexperts ? some : nexperts;
	}
	if (!n)
		return -ENODATA;
	err = lina_counts_create(n, nexperts, &profile->counts);
	for (int i = 0; i < n && !err; i++) {
		int some = 0;
		const double *loads = lina_paths_loads(l->paths, l->layers[i], &some);

		memcpy(lina_counts_layer(profile->counts, i), loads, (size_t)some * sizeof(*loads));
	}
	profile->paths = l->paths;
	l->paths = NULL;
	return err ? err : profile_layers(profile, l->layers, n);
}

static int save(const struct options *o, const struct lina_profile *profile)
{
	size_t bytes;
	char *text;
	int status;

	if (lina_profile_encode(profile, &text, &bytes))
		return lina_plan_complain("%s", strerror(ENOMEM));
	status = lina_plan_save(o->output, text, bytes);
	free(text);
	return status;
}

/* Reads all records and makes the model of them. */
static int learn(struct learning *l, struct lina_profile *profile)
{
	bool paths = l->o->method == LINA_PROFILE_PATHS;
	struct lina_plan_inputs inputs = l->o->inputs;
	int err, status;

	inputs.options.join = paths;
	status = lina_plan_inputs_each(&inputs, paths ? paths_take : loads_take, l);
	if (status && l->no_paths)
		return lina_plan_complain(
			"--method paths needs the paths of tokens (megatron, vllm, "
			"or CSV with layer0,layer1,...)");
	if (status)
		return status;
	err = paths ? paths_finish(l, profile) : loads_finish(l, profile);
	if (err == -EDOM)
		return lina_plan_complain("a layer that earlier steps had not, between theirs");
	if (err)
		return lina_plan_complain("%s", err == -ENODATA ? "no records" : strerror(-err));
	return save(l->o, profile);
}

int lina_plan_cmd_profile(int argc, char **argv)
{
	static const struct argp_child children[] = { { &lina_plan_inputs_argp, 0, "Records:", 0 },
		{ 0 } };
	static const struct argp argp = { .options = known,
		.parser = option_parse,
		.doc = "Learns from records of routing which experts are popular, and writes a "
		       "model "
		       "for 'lina-plan predict'. Steps of the records are iterations.",
		.children = children };
	struct options o = { .method = LINA_PROFILE_WINDOW,
		.loads = lina_loads_settings_default(),
		.paths = lina_paths_settings_default(),
		.output = "-" };
	struct learning l = { .o = &o };
	struct lina_profile *profile = calloc(1, sizeof(*profile));
	int status;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	o.loads.method = o.method == LINA_PROFILE_MEAN    ? LINA_LOADS_MEAN
			 : o.method == LINA_PROFILE_DECAY ? LINA_LOADS_DECAY
							  : LINA_LOADS_WINDOW;
	if (!profile || lina_loads_create(&o.loads, &l.loads) ||
		lina_paths_create(&o.paths, &l.paths) || lina_tally_create(false, &l.tally)) {
		status = lina_plan_complain("%s", strerror(ENOMEM));
	} else {
		profile->method = o.method;
		status = learn(&l, profile);
	}
	lina_profile_destroy(profile);
	lina_tally_destroy(l.tally);
	lina_paths_destroy(l.paths);
	lina_loads_destroy(l.loads);
	return status;
}
