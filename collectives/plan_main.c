/* lina-plan: the planner's command line. What the subcommands do is in a file of each. */
#include "collectives/plan_main.h"

#include <argp.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One row each, in the order of the help. */
static const struct {
	const char *name;
	lina_plan_cmd_fn *run;
	const char *help;
} commands[] = {
	{ "profile", lina_plan_cmd_profile, "learn from records which experts are popular" },
	{ "predict", lina_plan_cmd_predict, "write the loads that a model expects" },
	{ "place", lina_plan_cmd_place, "make a placement table from counts of tokens" },
	{ "evaluate", lina_plan_cmd_evaluate,
		"say what a placement costs on a trace, or how good predictions are" },
	{ "export", lina_plan_cmd_export, "write a placement as other programs read it" },
	{ "import", lina_plan_cmd_import, "make a table of a placement that others wrote" },
	{ "check", lina_plan_cmd_check,
		"say whether a placement table is right, and what is wrong" },
	{ "pipeline", lina_plan_cmd_pipeline,
		"find in how many parts a layer overlaps all-to-all and experts" },
	{ "pack", lina_plan_cmd_pack,
		"find how many experts a device should have, as Lina packs them" },
	{ "topology", lina_plan_cmd_topology,
		"show what is understood of a description of a cluster" },
};

enum { NCOMMANDS = sizeof(commands) / sizeof(*commands) };

static void print_help(FILE *out)
{
	(void)fputs("Usage: lina-plan COMMAND [OPTION...]\n"
		    "Plans where the experts of a mixture of experts lie.\n\n",
		out);
	for (int i = 0; i < NCOMMANDS; i++)
		(void)fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
	(void)fputs(
		"\n'lina-plan COMMAND --help' says more of a command, 'lina-plan --version' which\n"
		"release this is.\n",
		out);
}

/* For argp, which is in the C library and looks for it. */
__attribute__((visibility("default"))) const char *argp_program_version = "lina-plan " LINA_VERSION;

static bool is_asked_for_version(const char *arg)
{
	return strcmp(arg, "--version") == 0 || strcmp(arg, "-V") == 0;
}

/* A report that nobody got is no success. */
static int finish(int status)
{
	errno = 0;
	if (status == EXIT_SUCCESS && (fflush(stdout) != 0 || ferror(stdout)))
		return lina_plan_complain("stdout: %s", strerror(errno ? errno : EIO));
	return status;
}

int main(int argc, char **argv)
{
	char name[64];

	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_help(argc < 2 ? stderr : stdout);
		return argc < 2 ? 64 : finish(EXIT_SUCCESS);
	}
	if (is_asked_for_version(argv[1])) {
		(void)puts(argp_program_version);
		return finish(EXIT_SUCCESS);
	}
	for (int i = 0; i < NCOMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0) {
			(void)snprintf(name, sizeof(name), "lina-plan %s", commands[i].name);
			argv[1] = name;
			return finish(commands[i].run(argc - 1, argv + 1));
		}
	(void)lina_plan_complain("no command '%s'; 'lina-plan --help' names them", argv[1]);
	return 64;
}
