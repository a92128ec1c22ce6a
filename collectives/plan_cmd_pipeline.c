/* lina-plan pipeline: in how many parts a layer's tokens go through all-to-all and experts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/pipeline.h"
#include "collectives/plan_main.h"
#include "collectives/plan_model.h"

enum { LAYERS_MAX = 4096 };

struct options {
	const char *a2a, *gemm, *allgather, *reduce_scatter, *allreduce, *net;
	struct lina_moe_shape shape;
	int layers, node_devices;
	double per_madd, gradient_bytes, chunk_bytes;
};

struct models {
	struct lina_linear a2a, gemm, allgather, reduce_scatter, allreduce;
};

static double option_number(
	struct argp_state *state, const char *option, const char *arg, double min, double max)
{
	char *end;
	double value = strtod(arg, &end);

	if (end == arg || *end || !(value >= min) || !(value <= max))
		argp_error(state, "%s: must be a number from %g to %g, not '%s'", option, min, max,
			arg);
	return value;
}

enum {
	KEY_ALLGATHER = 256,
	KEY_REDUCE_SCATTER,
	KEY_ALLREDUCE,
	KEY_NET,
	KEY_LAYERS,
	KEY_GRADIENT,
	KEY_CHUNK,
	KEY_ELEMENT,
	KEY_NODE,
	KEY_PER_MADD
};

static error_t shape_parse(int key, char *arg, struct argp_state *state)
{
	struct lina_moe_shape *shape = &((struct options *)state->input)->shape;
	const int most = 1 << 24;

	switch (key) {
	case 'B':
		shape->batch = lina_plan_option_int(state, "--batch", arg, 1, most);
		return 0;
	case 'L':
		shape->length = lina_plan_option_int(state, "--length", arg, 1, most);
		return 0;
	case 'M':
		shape->model_width = lina_plan_option_int(state, "--model", arg, 1, most);
		return 0;
	case 'H':
		shape->hidden_width = lina_plan_option_int(state, "--hidden", arg, 1, most);
		return 0;
	case 'k':
		shape->topk = lina_plan_option_int(state, "--topk", arg, 1, 1024);
		return 0;
	case 'f':
		shape->capacity = option_number(state, "--capacity", arg, 0.01, 1000);
		return 0;
	case KEY_ELEMENT:
		shape->element_bytes = lina_plan_option_int(state, "--element-bytes", arg, 1, 16);
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
	case 'g':
		o->gemm = arg;
		return 0;
	case KEY_ALLGATHER:
		o->allgather = arg;
		return 0;
	case KEY_REDUCE_SCATTER:
		o->reduce_scatter = arg;
		return 0;
	case KEY_ALLREDUCE:
		o->allreduce = arg;
		return 0;
	case KEY_NET:
		o->net = arg;
		return 0;
	case KEY_LAYERS:
		o->layers = lina_plan_option_int(state, "--layers", arg, 1, LAYERS_MAX);
		return 0;
	case KEY_NODE:
		o->node_devices = lina_plan_option_int(state, "--node-devices", arg, 1, 65536);
		return 0;
	case KEY_PER_MADD:
		o->per_madd = option_number(state, "--per-madd", arg, 0.01, 100);
		return 0;
	case KEY_GRADIENT:
		o->gradient_bytes = option_number(state, "--gradient", arg, 1, 1e15);
		return 0;
	case KEY_CHUNK:
		o->chunk_bytes = option_number(state, "--chunk", arg, 1, 1e15);
		return 0;
	case ARGP_KEY_END:
		if (!o->a2a || !o->gemm)
			argp_error(state, "--a2a and --gemm are needed");
		if (!o->allgather != !o->reduce_scatter || (o->allreduce && !o->allgather))
			argp_error(
				state, "--allgather, --reduce-scatter and --allreduce go together");
		return 0;
	default:
		return shape_parse(key, arg, state);
	}
}

static int models_read(const struct options *o, struct models *m)
{
	int err = lina_plan_model("--a2a", o->a2a, "alltoall", o->net, stdout, &m->a2a);

	if (!err)
		err = lina_plan_model("--gemm", o->gemm, "gemm", NULL, stdout, &m->gemm);
	if (!err && o->allgather)
		err = lina_plan_model(
			"--allgather", o->allgather, "allgather", o->net, stdout, &m->allgather);
	if (!err && o->reduce_scatter)
		err = lina_plan_model("--reduce-scatter", o->reduce_scatter, "reduce_scatter",
			o->net, stdout, &m->reduce_scatter);
	if (!err && o->allreduce)
		err = lina_plan_model(
			"--allreduce", o->allreduce, "allreduce", o->net, stdout, &m->allreduce);
	return err;
}

static void degree_print(const char *what, int degree, double time_s, double alone_s)
{
	(void)printf("%-18s degree %2d  %10.2f ms  (1: %.2f ms, %.2fx)\n", what, degree,
		time_s * 1e3, alone_s * 1e3, time_s > 0 ? alone_s / time_s : 1);
}

static void pipemoe_print(const struct options *o, const struct models *m)
{
	for (int backward = 0; backward < 2; backward++) {
		struct lina_pipe pipe = {
			.a2a = { m->a2a, lina_moe_a2a_bytes(&o->shape) },
			.expert = { lina_expert_model(m->gemm, backward),
				o->per_madd * lina_moe_product_madds(&o->shape) },
		};
		double time_s;
		int degree = lina_pipe_degree(&pipe, &time_s);
		degree_print(backward ? "PipeMoE backward" : "PipeMoE forward", degree, time_s,
			lina_pipe_time_s(&pipe, 1));
	}
}

/* The experts of a node are cut over its devices: each gathers the tokens of all. */
static struct lina_fsmoe fsmoe_of(const struct options *o, const struct models *m, int backward)
{
	double bytes = lina_moe_a2a_bytes(&o->shape);

	return (struct lina_fsmoe){
		.a2a = { m->a2a, bytes },
		.allgather = { m->allgather, bytes * o->node_devices },
		.reduce_scatter = { m->reduce_scatter, bytes * o->node_devices },
		.expert = { lina_expert_model(m->gemm, backward),
			o->per_madd * lina_moe_product_madds(&o->shape) },
	};
}

static int partition_print(
	const struct options *o, const struct models *m, const char *what, double chunk_bytes)
{
	struct lina_fsmoe layer = fsmoe_of(o, m, 1);
	struct lina_gradient_part *part = calloc((size_t)o->layers, sizeof(*part));
	double rest_bytes, hidden_bytes = 0, time_s;

	if (!part)
		return lina_plan_complain("no memory");
	time_s = lina_gradient_partition(
		&layer, m->allreduce, o->layers, o->gradient_bytes, chunk_bytes, part, &rest_bytes);
	for (int i = 0; i < o->layers; i++)
		hidden_bytes += part[i].bytes;
	(void)printf("%-18s %10.2f ms  for %d layers backward: %.1f MB of gradients within layers, "
		     "%.1f MB after them\n",
		what, time_s * 1e3, o->layers, hidden_bytes / 1e6, rest_bytes / 1e6);
	free(part);
	return EXIT_SUCCESS;
}

static int fsmoe_print(const struct options *o, const struct models *m)
{
	static const char *const cases[] = { "", "gradients", "experts", "all-to-all",
		"within nodes" };
	enum lina_fsmoe_case which;
	double time_s;

	for (int backward = 0; backward < 2; backward++) {
		struct lina_fsmoe layer = fsmoe_of(o, m, backward);
		int degree = lina_fsmoe_degree(&layer, 0, &time_s);
		degree_print(backward ? "FSMoE backward" : "FSMoE forward", degree, time_s,
			lina_fsmoe_time_s(&layer, 1, 0, &which));
		(void)lina_fsmoe_time_s(&layer, degree, 0, &which);
		(void)printf("%-18s decided by %s, free between nodes %.2f ms\n", "", cases[which],
			lina_fsmoe_free_s(&layer, degree) * 1e3);
	}
	if (!o->allreduce || o->gradient_bytes <= 0)
		return EXIT_SUCCESS;
	if (partition_print(o, m, "adaptive partition", 0))
		return EXIT_FAILURE;
	return partition_print(o, m, "fixed partition", o->chunk_bytes);
}

int lina_plan_cmd_pipeline(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ 0, 0, 0, 0,
			"Times: ALPHA,BETA in seconds, or a table of measurements (PATH.tsv of "
			"perf/bench_coll)",
			1 },
		{ "a2a", 'a', "MODEL", 0, "All-to-all, of bytes sent", 1 },
		{ "gemm", 'g', "MODEL", 0, "One matrix product, of multiply-adds", 1 },
		{ "per-madd", KEY_PER_MADD, "N", 0,
			"What a multiply-add counts in the model of --gemm (1): 2 where that is of "
			"FLOP, 4 for "
			"the constants that PipeMoE's authors give",
			1 },
		{ "allgather", KEY_ALLGATHER, "MODEL", 0,
			"Within nodes, of bytes received; for FSMoE", 1 },
		{ "reduce-scatter", KEY_REDUCE_SCATTER, "MODEL", 0,
			"Within nodes, of bytes sent; for FSMoE", 1 },
		{ "allreduce", KEY_ALLREDUCE, "MODEL", 0, "Of gradients; for FSMoE", 1 },
		{ "net", KEY_NET, "NAME", 0,
			"Network whose rows of a table count (that of the first)", 1 },
		{ 0, 0, 0, 0, "The layer, of one device", 2 },
		{ "batch", 'B', "N", 0, "Sequences (8)", 2 },
		{ "length", 'L', "N", 0, "Tokens of one (1024)", 2 },
		{ "model", 'M', "N", 0, "Width of the model (1024)", 2 },
		{ "hidden", 'H', "N", 0, "Width within an expert (4096)", 2 },
		{ "topk", 'k', "N", 0, "Experts of a token (2)", 2 },
		{ "capacity", 'f', "FACTOR", 0, "Capacity factor (1)", 2 },
		{ "element-bytes", KEY_ELEMENT, "N", 0, "Bytes of an element (4)", 2 },
		{ "node-devices", KEY_NODE, "N", 0,
			"Devices of a node that an expert is cut over; for FSMoE (1)", 2 },
		{ 0, 0, 0, 0, "Gradients, for FSMoE's partition", 3 },
		{ "layers", KEY_LAYERS, "N", 0, "Layers (12)", 3 },
		{ "gradient", KEY_GRADIENT, "BYTES", 0, "To be reduced for each layer", 3 },
		{ "chunk", KEY_CHUNK, "BYTES", 0, "Of the fixed partition beside it (30e6, Lina's)",
			3 },
		{ 0 },
	};
	static const struct argp argp = { .options = options,
		.parser = option_parse,
		.doc = "Finds in how many parts the tokens of a mixture-of-experts layer are best "
		       "sent, "
		       "computed and sent back, forward and backward, by PipeMoE's model and, with "
		       "--allgather and --reduce-scatter, by FSMoE's." };
	struct options o = { .shape = { 8, 1024, 1024, 4096, 2, 1.0, 4 },
		.layers = 12,
		.node_devices = 1,
		.per_madd = 1,
		.chunk_bytes = 30e6 };
	struct models m = { 0 };

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (models_read(&o, &m))
		return EXIT_FAILURE;
	pipemoe_print(&o, &m);
	return o.allgather ? fsmoe_print(&o, &m) : EXIT_SUCCESS;
}
