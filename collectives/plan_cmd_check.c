/* lina-plan check: whether placement tables are right. */
#include <stdio.h>
#include <stdlib.h>

#include "collectives/plan.h"
#include "collectives/plan_main.h"

struct options {
	bool quiet;
	char **files;
	int nfiles;
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	(void)arg;
	switch (key) {
	case 'q':
		o->quiet = true;
		return 0;
	case ARGP_KEY_ARGS:
		o->files = state->argv + state->next;
		o->nfiles = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which table?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int check(const char *path, bool quiet)
{
	struct lina_plan *plan;

	if (lina_plan_open(path, &plan))
		return EXIT_FAILURE;
	if (!quiet)
		(void)printf("%s: good: %d layers, %d experts, %d devices (%d a node), %d slots "
			     "each, generation %llu\n",
			path, plan->shape.nlayers, plan->shape.nexperts, plan->shape.ndevices,
			plan->shape.devices_per_node, plan->shape.slots_per_device,
			(unsigned long long)plan->generation);
	lina_plan_destroy(plan);
	return EXIT_SUCCESS;
}

int lina_plan_cmd_check(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "quiet", 'q', 0, 0, "Say nothing of tables that are right", 0 },
		{ 0 },
	};
	static const struct argp argp = { .options = options,
		.parser = option_parse,
		.args_doc = "TABLE...",
		.doc = "Says whether placement tables are right, and where one is not, with line "
		       "and column.\vExit status: 0 all are right, 1 some are not." };
	struct options o = { 0 };
	int status = EXIT_SUCCESS;

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	for (int i = 0; i < o.nfiles; i++)
		if (check(o.files[i], o.quiet))
			status = EXIT_FAILURE;
	return status;
}
