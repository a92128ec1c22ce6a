/* lina-plan pack: how many experts Lina's packing puts on a device, step by step, as a table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/pack.h"
#include "collectives/pipeline.h"
#include "collectives/plan_io.h"
#include "collectives/plan_main.h"
#include "collectives/plan_model.h"

enum { STEPS_MAX = 200 };

struct options {
	int experts, devices, nodes, layers, hidden_width, element_bytes;
	double chunk_bytes;
	const char *a2a, *local, *gemm, *net, *output;
};

struct models {
	struct lina_linear a2a, local, gemm;
};

enum { KEY_NET = 256, KEY_CHUNK, KEY_ELEMENT, KEY_LOCAL };

static error_t size_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'e':
		o->experts = lina_plan_option_int(state, "--experts", arg, 1, LINA_EXPERTS_MAX);
		return 0;
	case 'd':
		o->devices = lina_plan_option_int(state, "--devices", arg, 1, LINA_DEVICES_MAX);
		return 0;
	case 'n':
		o->nodes = lina_plan_option_int(state, "--nodes", arg, 1, LINA_DEVICES_MAX);
		return 0;
	case 'l':
		o->layers = lina_plan_option_int(state, "--layers", arg, 1, LINA_LAYERS_MAX);
		return 0;
	case 'H':
		o->hidden_width = lina_plan_option_int(state, "--hidden", arg, 1, 1 << 24);
		return 0;
	case KEY_CHUNK:
		o->chunk_bytes = lina_plan_option_int(state, "--chunk", arg, 1, 1 << 30);
		return 0;
	case KEY_ELEMENT:
		o->element_bytes = lina_plan_option_int(state, "--element-bytes", arg, 1, 16);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'a':
		o->a2a = arg;
		return 0;
	case KEY_LOCAL:
		o->local = arg;
		return 0;
	case 'g':
		o->gemm = arg;
		return 0;
	case KEY_NET:
		o->net = arg;
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->experts || !o->devices || !o->a2a || !o->gemm)
			argp_error(state, "--experts, --devices, --a2a and --gemm are needed");
		if (o->devices % o->nodes)
			argp_error(state, "--nodes must divide the %d devices", o->devices);
		return 0;
	default:
		return size_parse(key, arg, state);
	}
}

/* A micro-op of the all-to-all: what goes to other nodes, and what stays in the node, beside it. */
static double a2a_s(const struct options *o, const struct models *m, int group)
{
	int per_node = o->devices / o->nodes;
	int near = group < per_node ? group : per_node;
	double local_bytes = o->chunk_bytes * (near - 1) / group;
	double far_bytes = o->chunk_bytes * (group - near) / group;
	double local_s = near > 1 ? lina_linear_s(m->local, local_bytes) : 0;
	double far_s = group > near ? lina_linear_s(m->a2a, far_bytes) : 0;

	return fmax(local_s, far_s);
}

/* The experts' micro-batch: two products for each expert on the device, of the same tokens in all.
 */
static double expert_s(const struct options *o, const struct models *m, int per_device)
{
	double madds = o->chunk_bytes / o->element_bytes * o->hidden_width;

	return per_device * 2 * m->gemm.alpha_s + 2 * m->gemm.beta_s * madds;
}

/* Steps until nothing changes at a decision that it could. */
static void decide(
	const struct options *o, const struct models *m, struct lina_pack *pack, FILE *say)
{
	for (int step = 1; step <= STEPS_MAX; step++) {
		int before = pack->per_device, due = pack->steps + 1 == pack->due;
		double expert = expert_s(o, m, before);
		double a2a = a2a_s(o, m, lina_pack_group(pack));
		bool doubled = lina_pack_step(pack, expert, a2a);
		if (!due)
			continue;
		(void)fprintf(say,
			"step %3d: %3d on each device: experts %.3f ms, all-to-all %.3f ms: %s\n",
			step, before, expert * 1e3, a2a * 1e3,
			doubled         ? "double"
			: expert >= a2a ? "enough"
					: "no more can be packed");
		if (!doubled)
			return;
	}
}

static int table_write(const struct options *o, const struct lina_pack *pack)
{
	struct lina_plan *plan;
	char *text;
	size_t bytes;
	int err = lina_pack_plan(pack, o->layers, o->devices / o->nodes, &plan);

	if (err)
		return lina_plan_complain("no placement of this size: %s", strerror(-err));
	err = lina_plan_encode(plan, &text, &bytes);
	lina_plan_destroy(plan);
	if (err)
		return lina_plan_complain("no memory");
	err = lina_plan_save(o->output, text, bytes);
	free(text);
	return err;
}

static int run(const struct options *o)
{
	struct models m = { 0 };
	struct lina_pack pack;
	/* A table on stdout stands alone there. */
	FILE *say = o->output && strcmp(o->output, "-") == 0 ? stderr : stdout;

	if (lina_pack_init(&pack, o->experts, o->devices))
		return lina_plan_complain(
			"%d experts on %d devices: one number must divide the other", o->experts,
			o->devices);
	if (lina_plan_model("--a2a", o->a2a, "alltoall", o->net, say, &m.a2a) ||
		lina_plan_model("--gemm", o->gemm, "gemm", NULL, say, &m.gemm))
		return EXIT_FAILURE;
	m.local = m.a2a;
	if (o->local && lina_plan_model("--local", o->local, "alltoall", o->net, say, &m.local))
		return EXIT_FAILURE;
	decide(o, &m, &pack, say);
	(void)fprintf(say, "%d on each device, all-to-all among %d devices\n", pack.per_device,
		lina_pack_group(&pack));
	return o->output ? table_write(o, &pack) : EXIT_SUCCESS;
}

int lina_plan_cmd_pack(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "experts", 'e', "N", 0, "Experts of a layer", 1 },
		{ "devices", 'd', "N", 0, "Devices", 1 },
		{ "nodes", 'n', "N", 0, "Nodes that the devices are in (1)", 1 },
		{ "layers", 'l', "N", 0, "Layers of the table (1)", 1 },
		{ "hidden", 'H', "N", 0, "Width within an expert (4096)", 2 },
		{ "element-bytes", KEY_ELEMENT, "N", 0, "Bytes of an element (2)", 2 },
		{ "chunk", KEY_CHUNK, "BYTES", 0, "Of a micro-op of the all-to-all (30000000)", 2 },
		{ "a2a", 'a', "MODEL", 0,
			"All-to-all between nodes, of bytes sent: ALPHA,BETA in seconds, or a "
			"table of measurements",
			3 },
		{ "local", KEY_LOCAL, "MODEL", 0, "All-to-all within a node (as between them)", 3 },
		{ "gemm", 'g', "MODEL", 0, "One matrix product, of multiply-adds", 3 },
		{ "net", KEY_NET, "NAME", 0,
			"Network whose rows of a table count (that of the first)", 3 },
		{ "output", 'o', "TABLE", 0, "Write the placement table; '-' is stdout", 4 },
		{ 0 },
	};
	static const struct argp argp = { .options = options,
		.parser = option_parse,
		.doc = "Doubles the experts on each device, as Lina does, until their micro-batch "
		       "takes "
		       "as long as a micro-op of the all-to-all, and shows each decision." };
	struct options o = { .nodes = 1,
		.layers = 1,
		.hidden_width = 4096,
		.element_bytes = 2,
		.chunk_bytes = 30e6 };

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	return run(&o);
}
