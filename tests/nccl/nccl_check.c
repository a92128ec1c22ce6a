/* Runs collectives through NCCL and compares every element of every result with a plain reference.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZES_MAX = 64, LOGS_MAX = 4 };
enum place { PLACE_OUT = 1, PLACE_IN = 2 };

struct options {
	struct job job;
	unsigned long collectives, types, ops; /* bit sets */
	size_t sizes[SIZES_MAX];
	int nsizes;
	unsigned places;
	unsigned long long seed;
	const char *logs[LOGS_MAX]; /* what NCCL's log must have */
	int nlogs;
	bool init_fails;
	unsigned long plant_at;
};

/* ---- options
 * ------------------------------------------------------------------------------------- */

static const char *collective_name(int i)
{
	return collectives[i].name;
}

static const char *type_name(int i)
{
	return value_types[i].name;
}

static const char *op_name(int i)
{
	return value_op_names[i];
}

static const char *place_name(int i)
{
	return i == 0 ? "out" : "in";
}

/* A comma-separated list of names as a bit set. A name that this release lacks is skipped with a
 * trailing '?': one list serves all releases. */
static unsigned long parse_names(
	struct argp_state *state, const char *list, const char *(*name_of)(int), int n)
{
	unsigned long set = 0;
	char *copy = strdup(list), *save = NULL;

	for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
		size_t length = strlen(name);
		bool optional = name[length - 1] == '?';
		int i = 0;
		name[length - optional] = '\0';
		while (i < n && strcmp(name, name_of(i)) != 0)
			i++;
		if (i < n)
			set |= 1ul << i;
		else if (!optional)
			argp_error(state, "there is no '%s' among %s...%s", name, name_of(0),
				name_of(n - 1));
	}
	free(copy);
	return set;
}

static void parse_sizes(struct argp_state *state, struct options *options, char *list)
{
	char *save = NULL, *end;

	options->nsizes = 0;
	for (char *text = strtok_r(list, ",", &save); text; text = strtok_r(NULL, ",", &save)) {
		size_t bytes = strtoull(text, &end, 10);
		if (end != text && (*end == 'K' || *end == 'M'))
			bytes <<= *end++ == 'K' ? 10 : 20;
		if (end != text && *end == '+')
			bytes += strtoull(end + 1, &end, 10);
		if (end == text || *end != '\0' || options->nsizes == SIZES_MAX)
			argp_error(state, "'%s' is not a size like 0, 1000, 64K, 1M+4", text);
		options->sizes[options->nsizes++] = bytes;
	}
}

static const struct argp_option argp_options[] = {
	{ "collectives", 'c', "LIST", 0,
		"Which collectives (default: all); 'name?': if there is one", 0 },
	{ "types", 't', "LIST", 0, "Which types (default: all)", 0 },
	{ "ops", 'o', "LIST", 0, "Which reductions (default: all)", 0 },
	{ "sizes", 's', "LIST", 0, "Bytes per buffer (default: 0,1,1000,64K+1)", 0 },
	{ "places", 'p', "LIST", 0, "out, in (default: both)", 0 },
	{ "seed", 'S', "N", 0, "Of the inputs (default: 1)", 0 },
	{ "log", 'l', "TEXT", 0, "Fail unless NCCL's log has TEXT once there is a communicator",
		1 },
	{ "init-fails", 'f', NULL, 0, "Fail if a communicator can be made; do no more", 1 },
	{ "plant-fault", 'P', "N", 0, "Spoil the last element of the N-th result: must fail", 1 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->job;
		break;
	case 'c':
		options->collectives = parse_names(state, text, collective_name, ncollectives);
		break;
	case 't':
		options->types = parse_names(state, text, type_name, value_ntypes);
		break;
	case 'o':
		options->ops = parse_names(state, text, op_name, NOPS);
		break;
	case 's':
		parse_sizes(state, options, text);
		break;
	case 'p':
		options->places = (unsigned)parse_names(state, text, place_name, 2);
		break;
	case 'S':
		options->seed = strtoull(text, NULL, 0);
		break;
	case 'P':
		options->plant_at = strtoul(text, NULL, 0);
		break;
	case 'f':
		options->init_fails = true;
		break;
	case 'l':
		if (options->nlogs == LOGS_MAX)
			argp_error(state, "more than %d --log", LOGS_MAX);
		options->logs[options->nlogs++] = text;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- the matrix
 * ----------------------------------------------------------------------------------- */

static void run_places(struct check *check, const struct options *options, struct check_spec *spec)
{
	for (int place = 0; place < 2; place++) {
		if (!(options->places >> place & 1) || (place == 1 && !spec->collective->in_place))
			continue;
		spec->in_place = place == 1;
		check_launch(check, spec);
		check_finish(check);
	}
}

/* All that one type and one operation (OP_NONE: all that only moves data) are asked for. */
static void run_pattern(struct check *check, const struct options *options,
	const struct value_type *type, enum value_op op)
{
	struct pattern *pattern = pattern_create(type, op, check->nranks, options->seed);
	struct check_spec spec = { .pattern = pattern };

	if (op != OP_NONE)
		spec.op = check_op_create(check, type, op);
	for (int c = 0; c < ncollectives; c++) {
		spec.collective = &collectives[c];
		if (!(options->collectives >> c & 1) || collectives[c].reduces != (op != OP_NONE))
			continue;
		for (int s = 0; s < options->nsizes; s++) {
			spec.bytes = options->sizes[s];
			run_places(check, options, &spec);
		}
	}
	check_op_destroy(check, op, spec.op);
	pattern_destroy(pattern);
}

static void run_matrix(struct options *options, ncclComm_t comm)
{
	struct check check;

	check_open(&check, &options->job, comm);
	check.plant_at = options->plant_at;
	for (int t = 0; t < value_ntypes; t++)
		for (int op = 0; op < NOPS; op++)
			if (options->types >> t & 1 && options->ops >> op & 1)
				run_pattern(&check, options, &value_types[t], (enum value_op)op);
	check_close(&check);
	if (check.elements == 0)
		FAIL("nothing was compared");
	printf("%lu operations right, %llu elements compared\n", check.operations, check.elements);
}

static void check_logs(const struct options *options)
{
	for (int i = 0; i < options->nlogs; i++)
		if (job_count_log(&options->job, options->logs[i]) == 0)
			FAIL("NCCL's log does not have '%s'", options->logs[i]);
}

int main(int argc, char **argv)
{
	struct argp_child children[] = { { &job_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { argp_options, parse, NULL,
		"Compares the results of NCCL's collectives, element by element.", children, NULL,
		NULL };
	struct options options = { .collectives = ~0ul,
		.types = ~0ul,
		.ops = ~0ul,
		.places = 3,
		.sizes = { 0, 1, 1000, (64 << 10) + 1 },
		.nsizes = 4,
		.seed = 1 };
	ncclComm_t comm;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	job_start(&options.job);
	ncclResult_t result = job_try_comm(&options.job, "check", &comm);
	check_logs(&options);
	if (options.init_fails && result == ncclSuccess)
		FAIL("there is a communicator");
	if (options.init_fails) {
		printf("no communicator: %s\n", ncclGetErrorString(result));
		return 0;
	}
	NCCL(result);
	job_check_network(&options.job);
	run_matrix(&options, comm);
	NCCL(ncclCommDestroy(comm));
	return 0;
}
