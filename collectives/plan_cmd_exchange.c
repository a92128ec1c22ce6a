/* lina-plan export and import: placements in the formats of others. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/exchange.h"
#include "collectives/plan_inputs.h"
#include "collectives/plan_main.h"
#include "collectives/whole_file.h"

struct options {
	struct lina_plan_inputs inputs; /* of export */
	struct lina_exchange_shape shape;
	enum lina_exchange_format format; /* LINA_EXCHANGE_NFORMATS: not given */
	const char *file, *output;
	int layer, first_layer;
	double token_bytes;
};

enum { KEY_FIRST_LAYER = 0x200, KEY_LAYER, KEY_TOKEN_BYTES, KEY_DEVICES, KEY_NODES };

static error_t common_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 't':
		if (lina_exchange_format_parse(arg, &o->format))
			argp_error(state,
				"--format: must be eplb, sglang, trtllm or nccl-tests, not "
				"'%s'",
				arg);
		return 0;
	case 'o':
		o->output = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->file)
			argp_error(state, "one file at a time");
		o->file = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->file || o->format == LINA_EXCHANGE_NFORMATS)
			argp_error(state, "which file, and which format?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- export --- */

static error_t export_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case 'c':
		if (o->inputs.nfiles == LINA_PLAN_INPUTS_MAX)
			argp_error(state, "--counts: at most %d files", LINA_PLAN_INPUTS_MAX);
		o->inputs.file[o->inputs.nfiles++] = arg;
		return 0;
	case KEY_FIRST_LAYER:
		o->first_layer = lina_plan_option_int(state, "--first-layer", arg, 0, 1000000);
		return 0;
	case KEY_LAYER:
		o->layer = lina_plan_option_int(state, "--layer", arg, 0, LINA_LAYERS_MAX - 1);
		return 0;
	case KEY_TOKEN_BYTES:
		o->token_bytes = strtod(arg, &end);
		if (end == arg || *end || !(o->token_bytes > 0 && o->token_bytes < 1e12))
			argp_error(state,
				"--token-bytes: must be a number above 0 and below 1e12, not '%s'",
				arg);
		return 0;
	default:
		return common_parse(key, arg, state);
	}
}

static int placement_export(const struct options *o, const struct lina_plan *plan)
{
	size_t bytes, slot = 0;
	char *text;
	int per_layer = lina_plan_nslots(&plan->shape), status;
	int err = lina_exchange_encode(plan, o->format, o->first_layer, &text, &bytes, &slot);

	if (err == -ENOTSUP)
		return lina_plan_complain("%s: layer %d, slot %d is empty, which %s cannot say",
			o->file, (int)slot / per_layer, (int)slot % per_layer,
			lina_exchange_format_name(o->format));
	if (err)
		return lina_plan_complain("%s", strerror(-err));
	if (lina_exchange_loses_shares(plan))
		(void)lina_plan_complain(
			"%s: note: replicas have uneven shares, which %s cannot say", o->file,
			lina_exchange_format_name(o->format));
	status = lina_plan_save(o->output, text, bytes);
	free(text);
	return status;
}

static int traffic_export(const struct options *o, const struct lina_plan *plan)
{
	struct lina_plan_inputs inputs = o->inputs;
	struct lina_counts *counts;
	double *matrix;
	char *text;
	size_t bytes;
	int status, err;

	if (!inputs.nfiles)
		return lina_plan_complain("a traffic matrix needs --counts");
	if (!inputs.nexperts)
		inputs.nexperts = plan->shape.nexperts;
	status = lina_plan_inputs_read(&inputs, &counts, NULL);
	if (status)
		return status;
	err = lina_exchange_traffic(plan, counts, o->layer, o->token_bytes, &matrix);
	lina_counts_destroy(counts);
	if (err)
		return lina_plan_complain("%s: %s", o->file,
			err == -EINVAL
				? "the records have other layers or experts, or fewer layers "
				  "than --layer"
				: strerror(-err));
	err = lina_exchange_matrix_encode(matrix, plan->shape.ndevices, &text, &bytes);
	free(matrix);
	if (err)
		return lina_plan_complain("%s", strerror(-err));
	status = lina_plan_save(o->output, text, bytes);
	free(text);
	return status;
}

int lina_plan_cmd_export(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "format", 't', "FORMAT", 0, "eplb, sglang, trtllm or nccl-tests", 0 },
		{ "output", 'o', "FILE", 0, "Where it goes; '-', the default, is stdout", 0 },
		{ "first-layer", KEY_FIRST_LAYER, "N", 0,
			"trtllm: the model's number of the first layer (0)", 0 },
		{ "counts", 'c', "FILE", 0, "nccl-tests: records of routing", 0 },
		{ "layer", KEY_LAYER, "N", 0, "nccl-tests: of which layer (0)", 0 },
		{ "token-bytes", KEY_TOKEN_BYTES, "N", 0, "nccl-tests: bytes of a token (4096)",
			0 },
		{ 0 },
	};
	static const struct argp argp = { .options = known,
		.parser = export_parse,
		.args_doc = "TABLE",
		.doc = "Writes a placement as other programs read it, or the traffic of one "
		       "all-to-all under it as a matrix for nccl-tests' alltoallv_perf." };
	struct options o = { .format = LINA_EXCHANGE_NFORMATS, .output = "-", .token_bytes = 4096 };
	struct lina_plan *plan;
	int status;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	status = lina_plan_open(o.file, &plan);
	if (status)
		return status;
	status = o.format == LINA_EXCHANGE_NCCL_TESTS ? traffic_export(&o, plan)
						      : placement_export(&o, plan);
	lina_plan_destroy(plan);
	return status;
}

/* --- import --- */

static error_t import_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case KEY_DEVICES:
		o->shape.ndevices =
			lina_plan_option_int(state, "--devices", arg, 1, LINA_DEVICES_MAX);
		return 0;
	case KEY_NODES:
		o->shape.nnodes = lina_plan_option_int(state, "--nodes", arg, 1, LINA_DEVICES_MAX);
		return 0;
	case 'e':
		o->shape.nexperts =
			lina_plan_option_int(state, "--experts", arg, 1, LINA_EXPERTS_MAX);
		return 0;
	case ARGP_KEY_END:
		if (!o->shape.ndevices && o->format != LINA_EXCHANGE_NCCL_TESTS)
			argp_error(state, "--devices: how many?");
		return common_parse(key, arg, state);
	default:
		return common_parse(key, arg, state);
	}
}

/* What each rank sends to others and receives, as CSV. */
static int matrix_import(
	const struct options *o, const char *text, size_t bytes, struct lina_plan_text_fault *fault)
{
	char *out = NULL;
	size_t size = 0;
	double *matrix;
	FILE *f;
	int n, status, err = lina_exchange_matrix_decode(text, bytes, &matrix, &n, fault);

	if (err)
		return err;
	f = open_memstream(&out, &size);
	if (f)
		(void)fputs("rank,sent_bytes,received_bytes\n", f);
	for (int i = 0; i < n && f; i++) {
		double sent = 0, received = 0;

		for (int j = 0; j < n; j++) {
			sent += j == i ? 0 : matrix[(size_t)i * (size_t)n + (size_t)j];
			received += j == i ? 0 : matrix[(size_t)j * (size_t)n + (size_t)i];
		}
		(void)fprintf(f, "%d,%.0f,%.0f\n", i, sent, received);
	}
	free(matrix);
	if (!f || fclose(f))
		return -ENOMEM;
	status = lina_plan_save(o->output, out, size);
	free(out);
	return status ? -EIO : 0;
}

static int placement_import(
	const struct options *o, const char *text, size_t bytes, struct lina_plan_text_fault *fault)
{
	struct lina_plan *plan;
	char *table;
	size_t size;
	int status, err = lina_exchange_decode(text, bytes, o->format, &o->shape, &plan, fault);

	if (err)
		return err;
	err = lina_plan_encode(plan, &table, &size);
	lina_plan_destroy(plan);
	if (err)
		return err;
	status = lina_plan_save(o->output, table, size);
	free(table);
	return status ? -EIO : 0;
}

int lina_plan_cmd_import(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "format", 't', "FORMAT", 0, "eplb, sglang, trtllm or nccl-tests", 0 },
		{ "devices", KEY_DEVICES, "N", 0, "Devices that the slots are of", 0 },
		{ "nodes", KEY_NODES, "N", 0, "Nodes that the devices are on (1)", 0 },
		{ "experts", 'e', "N", 0, "Experts, where the last ones may be missing", 0 },
		{ "output", 'o', "FILE", 0, "Where it goes; '-', the default, is stdout", 0 },
		{ 0 },
	};
	static const struct argp argp = { .options = known,
		.parser = import_parse,
		.args_doc = "FILE",
		.doc = "Makes a placement table of a placement that another program wrote; of a "
		       "matrix for nccl-tests a table of what each rank sends and receives." };
	struct options o = {
		.format = LINA_EXCHANGE_NFORMATS, .output = "-", .shape = { .nnodes = 1 }
	};
	struct lina_plan_text_fault fault = { 0 };
	size_t bytes;
	char *text;
	int err;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	err = lina_file_load(lina_plan_input(o.file), &text, &bytes);
	if (err)
		return lina_plan_complain("%s: %s", o.file, strerror(-err));
	err = o.format == LINA_EXCHANGE_NCCL_TESTS ? matrix_import(&o, text, bytes, &fault)
						   : placement_import(&o, text, bytes, &fault);
	free(text);
	if (err == -EIO)
		return EXIT_FAILURE; /* which has been said */
	if (err && fault.line)
		return lina_plan_complain(
			"%s:%d:%d: %s", o.file, fault.line, fault.column, fault.text);
	return err ? lina_plan_complain(
			     "%s: %s", o.file, fault.text[0] ? fault.text : strerror(-err))
		   : EXIT_SUCCESS;
}
