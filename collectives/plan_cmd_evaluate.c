/* lina-plan evaluate: what a plan costs on a trace, or how good predictions are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/fabric.h"
#include "collectives/plan_bound.h"
#include "collectives/plan_inputs.h"
#include "collectives/plan_learn.h"
#include "collectives/plan_main.h"
#include "collectives/plan_report.h"
#include "topology/topo_file.h"

struct options {
	struct lina_plan_inputs inputs;
	const char *table, *against, *plot, *model, *topology;
	bool groups;
	enum lina_report_form form;
	double port_gbps, nic_gbps;
	struct lina_score_model score;
	int batch_tokens;
};

enum {
	KEY_JSON = 0x200,
	KEY_CSV,
	KEY_PLOT,
	KEY_AGAINST,
	KEY_MODEL,
	KEY_GROUPS,
	KEY_BATCH,
	KEY_PORT,
	KEY_NIC,
	KEY_TOKEN_BYTES
};

static const struct argp_option known[] = {
	{ "json", KEY_JSON, 0, 0, "Say it as JSON", 0 },
	{ "csv", KEY_CSV, 0, 0, "Say it as CSV, a line for each layer", 0 },
	{ "plot", KEY_PLOT, "FILE", 0, "Draw the load of each device and layer, as SVG or .png",
		0 },
	{ "against", KEY_AGAINST, "TABLE", 0, "Count the moves from this placement", 0 },
	{ "model", KEY_MODEL, "MODEL", 0,
		"Instead of a plan, the predictions of a model on the records", 0 },
	{ "groups", KEY_GROUPS, 0, 0,
		"Instead of a plan, how far the expert at a layer tells that at the next", 0 },
	{ "batch", KEY_BATCH, "N", 0,
		"With --model, tokens of a batch where the records have no steps (4096)", 0 },
	{ "topology", 't', "FILE|TEXT", 0,
		"The links, as for 'lina-plan topology'; by default 300 GB/s within nodes and a "
		"NIC "
		"of 50 GB/s for each device",
		0 },
	{ "port-gbps", KEY_PORT, "N", 0, "10^9 bytes/s of a device within its node (300)", 0 },
	{ "nic-gbps", KEY_NIC, "N", 0, "10^9 bytes/s of a device between nodes (50)", 0 },
	{ "token-bytes", KEY_TOKEN_BYTES, "N", 0, "Bytes of a token in an all-to-all (4096)", 0 },
	{ 0 },
};

static double positive(struct argp_state *state, const char *option, const char *arg)
{
	char *end;
	double value = strtod(arg, &end);

	if (end == arg || *end || !(value >= 1e-9 && value <= 1e12))
		argp_error(state, "%s: must be a number from 1e-9 to 1e12, not '%s'", option, arg);
	return value;
}

static void form_parse(struct options *o, struct argp_state *state, enum lina_report_form form)
{
	if (o->form != LINA_REPORT_TABLE && o->form != form)
		argp_error(state, "--json or --csv, and one of them only");
	o->form = form;
}

static void end_check(const struct options *o, struct argp_state *state)
{
	if (!o->inputs.nfiles)
		argp_error(state, "--counts: which file?");
	if (!o->table + !o->model + !o->groups != 2)
		argp_error(state, "a TABLE, or --model, or --groups, and one of them only");
	if (!o->table && (o->plot || o->against || o->form == LINA_REPORT_CSV))
		argp_error(state, "--plot, --against and --csv are for a TABLE");
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->inputs;
		return 0;
	case KEY_JSON:
	case KEY_CSV:
		form_parse(o, state, key == KEY_CSV ? LINA_REPORT_CSV : LINA_REPORT_JSON);
		return 0;
	case KEY_PLOT:
		o->plot = arg;
		return 0;
	case KEY_AGAINST:
		o->against = arg;
		return 0;
	case KEY_MODEL:
		o->model = arg;
		return 0;
	case KEY_GROUPS:
		o->groups = true;
		return 0;
	case KEY_BATCH:
		o->batch_tokens = lina_plan_option_int(state, "--batch", arg, 1, 1 << 30);
		return 0;
	case 't':
		o->topology = arg;
		return 0;
	case KEY_PORT:
		o->port_gbps = positive(state, "--port-gbps", arg);
		return 0;
	case KEY_NIC:
		o->nic_gbps = positive(state, "--nic-gbps", arg);
		return 0;
	case KEY_TOKEN_BYTES:
		o->score.token_bytes = positive(state, "--token-bytes", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (o->table)
			argp_error(state, "one TABLE at a time");
		o->table = arg;
		return 0;
	case ARGP_KEY_END:
		end_check(o, state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- a plan --- */

/* What a plan is scored on, all of it owned. */
struct trial {
	struct lina_plan *plan, *against;
	struct lina_counts *counts;
	struct lina_transitions *transitions;
	struct lina_fabric *fabric;
	struct lina_layer_score *layers; /* [nlayers] */
	double *max_load_bound;          /* [nlayers] */
};

static void trial_close(struct trial *t)
{
	free(t->max_load_bound);
	free(t->layers);
	lina_fabric_destroy(t->fabric);
	lina_transitions_destroy(t->transitions);
	lina_counts_destroy(t->counts);
	lina_plan_destroy(t->against);
	lina_plan_destroy(t->plan);
}

static int shapes_check(const struct options *o, const struct trial *t)
{
	const struct lina_plan_shape *s = &t->plan->shape;

	if (t->counts->nlayers != s->nlayers || t->counts->nexperts != s->nexperts)
		return lina_plan_complain("%s has %d layers of %d experts, but the records have %d "
					  "of %d (see --experts)",
			o->table, s->nlayers, s->nexperts, t->counts->nlayers, t->counts->nexperts);
	if (t->against && (t->against->shape.nlayers != s->nlayers ||
				  t->against->shape.nexperts != s->nexperts ||
				  t->against->shape.ndevices != s->ndevices))
		return lina_plan_complain(
			"%s and %s differ in layers, experts or devices", o->table, o->against);
	return EXIT_SUCCESS;
}

/* The links between the plan's devices. */
static int fabric_open(const struct options *o, struct trial *t)
{
	int ndevices = t->plan->shape.ndevices, err;
	struct lina_topo *topo;

	if (!o->topology)
		return lina_fabric_even(ndevices, o->port_gbps, o->nic_gbps, &t->fabric)
			       ? lina_plan_complain("%s", strerror(ENOMEM))
			       : EXIT_SUCCESS;
	if (lina_plan_open_topology(o->topology, lina_plan_nnodes(&t->plan->shape), &topo))
		return EXIT_FAILURE;
	err = topo->ndevices == ndevices ? lina_fabric_of_topo(topo, &t->fabric) : -ERANGE;
	if (err == -ERANGE)
		(void)lina_plan_complain("--topology: it has %d devices, but %s has %d",
			topo->ndevices, o->table, ndevices);
	else if (err)
		(void)lina_plan_complain(
			"--topology: %s", err == -EINVAL ? "a device has no NIC" : strerror(-err));
	lina_topo_destroy(topo);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int trial_open(const struct options *o, struct trial *t)
{
	struct lina_plan_inputs inputs = o->inputs;
	size_t nlayers;
	int status = lina_plan_open(o->table, &t->plan);

	if (!status && o->against)
		status = lina_plan_open(o->against, &t->against);
	if (status)
		return status;
	if (!inputs.nexperts)
		inputs.nexperts = t->plan->shape.nexperts;
	status = lina_plan_inputs_read(&inputs, &t->counts, &t->transitions);
	if (!status)
		status = shapes_check(o, t);
	if (status)
		return status;
	nlayers = (size_t)t->plan->shape.nlayers;
	t->layers = calloc(nlayers, sizeof(*t->layers));
	t->max_load_bound = calloc(nlayers, sizeof(double));
	if (!t->layers || !t->max_load_bound)
		return lina_plan_complain("%s", strerror(ENOMEM));
	return fabric_open(o, t);
}

static int trial_run(const struct options *o, struct trial *t)
{
	const struct lina_score_input input = {
		.counts = t->counts, .fabric = t->fabric, .current = t->against, .model = o->score
	};
	const struct lina_place place = {
		.shape = t->plan->shape, .score = input, .ngroups = 1, .max_moves = -1
	};
	struct lina_report report = {
		.plan = t->plan, .layers = t->layers, .max_load_bound = t->max_load_bound
	};
	int err = lina_plan_score(t->plan, &input, t->layers, &report.score);

	if (!err)
		err = lina_plan_bound(&place, t->max_load_bound, &report.bound_ns);
	if (err)
		return lina_plan_complain("%s: %s", o->table, strerror(-err));
	if (o->plot && lina_plan_plot(t->plan, t->counts, o->plot))
		return EXIT_FAILURE;
	return lina_plan_report(&report, o->form);
}

int lina_plan_cmd_evaluate(int argc, char **argv)
{
	static const struct argp_child children[] = { { &lina_plan_inputs_argp, 0, "Records:", 0 },
		{ 0 } };
	static const struct argp argp = { .options = known,
		.parser = option_parse,
		.args_doc = "TABLE\n--model=MODEL\n--groups",
		.doc = "Says what a placement costs on records of routing: max / mean load of the "
		       "devices, bytes within and between nodes, time of the all-to-alls, and what "
		       "no placement of this shape is below. Or how good predictions are.",
		.children = children };
	struct options o = { .port_gbps = 300,
		.nic_gbps = 50,
		.score = lina_score_model_default(),
		.batch_tokens = 4096 };
	struct trial t = { 0 };
	int status;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.model)
		return lina_plan_judge_model(
			o.model, &o.inputs, o.batch_tokens, o.form == LINA_REPORT_JSON);
	if (o.groups)
		return lina_plan_judge_groups(&o.inputs, o.form == LINA_REPORT_JSON);
	status = trial_open(&o, &t);
	if (!status)
		status = trial_run(&o, &t);
	trial_close(&t);
	return status;
}
