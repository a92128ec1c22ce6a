/* lina-plan place: makes a placement table from counts of tokens. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/moetuner.h"
#include "collectives/plan_bound.h"
#include "collectives/plan_inputs.h"
#include "collectives/plan_io.h"
#include "collectives/plan_main.h"
#include "collectives/plan_methods.h"
#include "topology/topo_file.h"

enum { PORT_GBPS = 300, NIC_GBPS = 50, TIME_LIMIT_S = 10 };

struct options {
	struct lina_plan_inputs inputs;
	const struct lina_method *method;
	int devices, nodes, groups, slots, moves; /* devices, slots 0: not given; moves -1 */
	int time_limit_s;
	const char *topology, *current, *out;
};

/* What is placed, and what has to be destroyed afterwards. */
struct work {
	struct lina_counts *counts;
	struct lina_transitions *transitions;
	struct lina_topo *topo;
	struct lina_fabric *fabric;
	struct lina_plan *current, *plan;
	struct lina_place place;
};

enum { KEY_DEVICES = 0x200, KEY_NODES, KEY_GROUPS, KEY_SLOTS, KEY_MOVES, KEY_TIME };

static const struct argp_option known[] = {
	{ "method", 'm', "METHOD", 0, "uniform, eplb, lina, hecate, moetuner or best (default)",
		1 },
	{ "devices", KEY_DEVICES, "N", 0, "Devices in all; those of the topology by default", 1 },
	{ "nodes", KEY_NODES, "N", 0, "Nodes that the devices are on; 1 by default", 1 },
	{ "groups", KEY_GROUPS, "N", 0, "Groups of experts, kept within a node where they can be",
		1 },
	{ "slots", KEY_SLOTS, "N", 0,
		"Experts that a device has room for in each layer; as few as hold all by default",
		1 },
	{ "topology", 't', "FILE|TEXT", 0,
		"The links, as for 'lina-plan topology'; by default 300 GB/s within nodes and a "
		"NIC "
		"of 50 GB/s for each device",
		1 },
	{ "current", 'C', "TABLE", 0, "What the devices hold now, which costs copies to change",
		1 },
	{ "moves", KEY_MOVES, "N", 0, "Copies allowed in a layer against the current table (best)",
		1 },
	{ "time-limit", KEY_TIME, "SECONDS", 0, "Of each integer program; 10 by default", 1 },
	{ "output", 'o', "TABLE", 0, "Where the table goes; '-' is standard output", 1 },
	{ 0 },
};

static void method_parse(struct argp_state *state, struct options *o, const char *name)
{
	o->method = lina_method_find(name);
	if (!o->method)
		argp_error(state, "--method: must be one of %s, not '%s'", lina_method_names, name);
}

static void options_check(struct argp_state *state, const struct options *o)
{
	if (!o->inputs.nfiles)
		argp_error(state, "--counts: which file?");
	if (!o->out)
		argp_error(state, "--output: where does the table go?");
	if (!o->devices && !o->topology)
		argp_error(state, "--devices or --topology: how many devices?");
	if (o->moves >= 0 && !o->current)
		argp_error(state, "--moves: against which table? give --current");
	if (o->moves >= 0 && !o->method->keeps_limits)
		argp_error(state, "--moves: only the method best keeps to it, not %s",
			o->method->name);
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &o->inputs;
		return 0;
	case 'm':
		method_parse(state, o, arg);
		return 0;
	case KEY_DEVICES:
		o->devices = lina_plan_option_int(state, "--devices", arg, 1, LINA_DEVICES_MAX);
		return 0;
	case KEY_NODES:
		o->nodes = lina_plan_option_int(state, "--nodes", arg, 1, LINA_DEVICES_MAX);
		return 0;
	case KEY_GROUPS:
		o->groups = lina_plan_option_int(state, "--groups", arg, 1, LINA_EXPERTS_MAX);
		return 0;
	case KEY_SLOTS:
		o->slots =
			lina_plan_option_int(state, "--slots", arg, 1, LINA_SLOTS_PER_DEVICE_MAX);
		return 0;
	case KEY_MOVES:
		o->moves = lina_plan_option_int(state, "--moves", arg, 0, LINA_DEVICES_MAX);
		return 0;
	case KEY_TIME:
		o->time_limit_s = lina_plan_option_int(state, "--time-limit", arg, 1, 86400);
		return 0;
	case 't':
		o->topology = arg;
		return 0;
	case 'C':
		o->current = arg;
		return 0;
	case 'o':
		o->out = arg;
		return 0;
	case ARGP_KEY_END:
		options_check(state, o);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- the problem --- */

static int open_topology(struct options *o, struct work *w)
{
	int err = lina_plan_open_topology(o->topology, o->nodes, &w->topo);

	if (err)
		return err;
	if (o->devices && o->devices != w->topo->ndevices)
		return lina_plan_complain(
			"--devices: %d, but the topology has %d", o->devices, w->topo->ndevices);
	o->devices = w->topo->ndevices;
	o->nodes = w->topo->nnodes;
	for (int n = 0; n < o->nodes; n++)
		if ((w->topo->node_first[n + 1] - w->topo->node_first[n]) * o->nodes != o->devices)
			return lina_plan_complain(
				"--topology: its nodes have different numbers of devices");
	err = lina_fabric_of_topo(w->topo, &w->fabric);
	return err ? lina_plan_complain("--topology: %s",
			     err == -EINVAL ? "a device has no NIC" : strerror(-err))
		   : EXIT_SUCCESS;
}

static int shape_check(const struct options *o, const struct work *w)
{
	const struct lina_plan_shape *s = &w->place.shape;

	if (o->devices % o->nodes)
		return lina_plan_complain(
			"--nodes: %d do not divide %d devices evenly", o->nodes, o->devices);
	if (lina_plan_shape_check(s))
		return lina_plan_complain(
			"--slots: %d on each of %d devices do not hold %d experts",
			s->slots_per_device, s->ndevices, s->nexperts);
	if (s->nexperts % o->groups)
		return lina_plan_complain(
			"--groups: %d do not divide %d experts evenly", o->groups, s->nexperts);
	return EXIT_SUCCESS;
}

static int open_current(const struct options *o, struct work *w)
{
	const struct lina_plan_shape *a, *b = &w->place.shape;

	if (!o->current)
		return EXIT_SUCCESS;
	if (lina_plan_open(o->current, &w->current))
		return EXIT_FAILURE;
	a = &w->current->shape;
	if (a->nlayers != b->nlayers || a->nexperts != b->nexperts || a->ndevices != b->ndevices ||
		a->slots_per_device > b->slots_per_device)
		return lina_plan_complain("%s: is for %d layers, %d experts, %d devices of %d "
					  "slots; wanted are %d, %d, %d of %d",
			o->current, a->nlayers, a->nexperts, a->ndevices, a->slots_per_device,
			b->nlayers, b->nexperts, b->ndevices, b->slots_per_device);
	if (w->current->generation == UINT64_MAX)
		return lina_plan_complain("%s: generation %" PRIu64
					  " is the last there is: no table "
					  "can follow this one",
			o->current, w->current->generation);
	return EXIT_SUCCESS;
}

/* Experts need a layer of a pair each: transitions of fewer pairs are of no use. */
static void transitions_check(struct work *w)
{
	if (w->transitions && (w->transitions->npairs != w->counts->nlayers - 1 ||
				      w->transitions->nexperts != w->counts->nexperts)) {
		lina_transitions_destroy(w->transitions);
		w->transitions = NULL;
	}
}

static int work_open(struct options *o, struct work *w)
{
	int needed;

	if (lina_plan_inputs_read(&o->inputs, &w->counts, &w->transitions))
		return EXIT_FAILURE;
	transitions_check(w);
	if (o->topology && open_topology(o, w))
		return EXIT_FAILURE;
	if (!w->fabric && lina_fabric_even(o->devices, PORT_GBPS, NIC_GBPS, &w->fabric))
		return lina_plan_complain("no memory");
	needed = (w->counts->nexperts + o->devices - 1) / o->devices;
	w->place = (struct lina_place){
		.shape = { .nlayers = w->counts->nlayers,
			.nexperts = w->counts->nexperts,
			.ndevices = o->devices,
			.devices_per_node = o->devices / o->nodes ? o->devices / o->nodes : 1,
			.slots_per_device = o->slots ? o->slots : needed },
		.ngroups = o->groups,
		.max_moves = o->moves,
	};
	if (shape_check(o, w) || open_current(o, w))
		return EXIT_FAILURE;
	w->place.score = (struct lina_score_input){ .counts = w->counts,
		.transitions = w->transitions,
		.fabric = w->fabric,
		.current = w->current,
		.model = lina_score_model_default() };
	return EXIT_SUCCESS;
}

static void work_close(struct work *w)
{
	lina_counts_destroy(w->counts);
	lina_transitions_destroy(w->transitions);
	lina_topo_destroy(w->topo);
	lina_fabric_destroy(w->fabric);
	lina_plan_destroy(w->current);
	lina_plan_destroy(w->plan);
}

/* --- the plan --- */

static void step(void *of, int done, int all)
{
	lina_progress_step(of, done, all);
}

static int make_complain(const struct options *o, const struct work *w, int err)
{
	bool moetuner = strcmp(o->method->name, "moetuner") == 0;

	if (err == -ENOTSUP)
		return lina_plan_complain("%s: this lina-plan was built without CBC "
					  "(coinor-libcbc-dev)",
			o->method->name);
	if (err == -ENOENT && moetuner)
		return lina_plan_complain(
			"moetuner: no solution within %d s; see --time-limit", o->time_limit_s);
	if (err == -EINVAL && moetuner && !w->transitions)
		return lina_plan_complain(
			"moetuner: the files have no transitions between all layers");
	if (err == -EINVAL && moetuner && w->counts->nexperts < o->devices)
		return lina_plan_complain("moetuner: %d experts are too few for %d devices, since "
					  "it makes no replicas",
			w->counts->nexperts, o->devices);
	return lina_plan_complain("%s: %s", o->method->name, strerror(-err));
}

static int make(const struct options *o, struct work *w)
{
	struct lina_progress progress;
	const struct lina_method_options options = {
		.time_limit_s = o->time_limit_s, .step = step, .of = &progress
	};
	int err;

	lina_progress_begin(&progress, "placing experts");
	err = o->method->run(&w->place, &options, &w->plan);
	lina_progress_end(&progress);
	return err ? make_complain(o, w, err) : EXIT_SUCCESS;
}

static int report(const struct options *o, const struct work *w)
{
	FILE *out = strcmp(o->out, "-") == 0 ? stderr : stdout;
	struct lina_plan_score s;
	double bound;

	if (lina_plan_score(w->plan, &w->place.score, NULL, &s) ||
		lina_plan_bound(&w->place, NULL, &bound))
		return lina_plan_complain("no memory");
	(void)fprintf(out, "method          %s\n", o->method->name);
	(void)fprintf(
		out, "load max/mean   %.3f, of the worst layer %.3f\n", s.balance, s.worst_balance);
	(void)fprintf(out, "dispatched      %.4g MB within nodes, %.4g MB between\n",
		s.within_bytes / 1e6, s.between_bytes / 1e6);
	if (w->current)
		(void)fprintf(out, "copies          %d\n", s.moves);
	(void)fprintf(out, "predicted time  %.4g ms: experts %.4g, all-to-all %.4g, copies %.4g\n",
		s.total_ns / 1e6, s.compute_ns / 1e6, s.comm_ns / 1e6, s.move_ns / 1e6);
	(void)fprintf(out, "lower bound     %.4g ms, so the plan is within %.2f %% of the best\n",
		bound / 1e6, bound > 0 ? 100 * (s.total_ns / bound - 1) : 0);
	return EXIT_SUCCESS;
}

static int save(const struct options *o, const struct work *w)
{
	size_t bytes;
	char *text;
	int status;

	if (lina_plan_encode(w->plan, &text, &bytes))
		return lina_plan_complain("no memory");
	status = lina_plan_save(o->out, text, bytes);
	free(text);
	return status;
}

int lina_plan_cmd_place(int argc, char **argv)
{
	static const struct argp_child children[] = {
		{ &lina_plan_inputs_argp, 0, "Records:", 2 },
		{ 0 },
	};
	static const struct argp argp = { .options = known,
		.parser = option_parse,
		.doc = "Makes a placement table from counts of tokens, and says what it is worth.\v"
		       "Exit status: 0, or 1 where something is wrong with the input.",
		.children = children };
	static struct options o = {
		.nodes = 1, .groups = 1, .moves = -1, .time_limit_s = TIME_LIMIT_S
	};
	struct work w = { 0 };
	int status;

	o.method = lina_method_find("best");
	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	status = work_open(&o, &w);
	if (!status)
		status = make(&o, &w);
	if (!status)
		status = report(&o, &w);
	if (!status)
		status = save(&o, &w);
	work_close(&w);
	return status;
}
