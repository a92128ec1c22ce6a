/* lina-launch: starts N copies of a program as ranks, and ends with all of them gone. */
#include "launch.h"

#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char doc[] =
	"Starts N copies of PROGRAM as ranks and ends with all of them gone.\v"
	"Each rank finds LINA_RANK, LINA_NRANKS and LINA_RENDEZVOUS (a folder of this run's own, "
	"removed at the end) in its environment, on test hosts LINA_HOST (its namespace's name), "
	"and NCCL_HOSTID, HOSTGPU_BUS and, unless it is "
	"set "
	"already, NCCL_SOCKET_IFNAME (=lo, or =eth0 on test hosts), so that each is a node of its "
	"own. The exit status is the worst rank's, 124 when the time is up, 128 and the signal "
	"that "
	"ended the launcher.";

static const struct argp_option options[] = {
	{ "ranks", 'n', "N", 0, "How many to start", 0 },
	{ "hosts", 'H', "PREFIX", 0, "Start rank i in the network namespace PREFIXi", 0 },
	{ "per-host", 'p', "N", 0,
		"With --hosts: start ranks iN to iN+N-1 in the namespace PREFIXi (default: 1)", 0 },
	{ "timeout", 't', "S", 0, "Kill all after S seconds (default: 0, never)", 0 },
	{ "grace", 'g', "S", 0, "Kill all S seconds after the first failure (default: 3)", 0 },
	{ "output", 'o', "DIR", 0, "Keep each rank's output in DIR/rank<i>.log", 0 },
	{ "env", 'e', "NAME=VALUE", 0, "Set a variable for every rank", 0 },
	{ "kill", 'k', "RANK:MS", 0,
		"Kill RANK after MS milliseconds (RANK:+MS: after it made "
		"LINA_RENDEZVOUS/ready.RANK); "
		"its death is no failure",
		0 },
	{ 0 },
};

struct arguments {
	struct launch_options launch;
	size_t nsettings;
};

static double parse_number(
	struct argp_state *state, const char *name, const char *text, double least, double most)
{
	char *end;

	errno = 0;
	double value = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !(value >= least && value <= most))
		argp_error(
			state, "%s: '%s' is not a number from %g to %g", name, text, least, most);
	return value;
}

static void parse_kill(struct argp_state *state, struct launch_options *launch, char *text)
{
	char *colon = strchr(text, ':');

	if (colon == NULL) {
		argp_error(state, "--kill: '%s' is not RANK:MS", text);
		return;
	}
	*colon = '\0';
	launch->kill_when_ready = colon[1] == '+';
	launch->kill_rank = (int)parse_number(state, "--kill RANK", text, 0, LAUNCH_RANKS_MAX - 1);
	launch->kill_ms =
		parse_number(state, "--kill MS", colon + 1 + launch->kill_when_ready, 0, 86400e3);
}

static void check_arguments(struct argp_state *state, const struct launch_options *launch)
{
	if (launch->spec.nranks == 0)
		argp_error(state, "--ranks is missing");
	if (launch->kill_rank >= launch->spec.nranks)
		argp_error(state, "--kill: there is no rank %d among %d", launch->kill_rank,
			launch->spec.nranks);
	if (launch->spec.argv == NULL)
		argp_error(state, "PROGRAM is missing");
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct arguments *arguments = state->input;
	struct launch_options *launch = &arguments->launch;

	switch (key) {
	case 'n':
		launch->spec.nranks =
			(int)parse_number(state, "--ranks", text, 1, LAUNCH_RANKS_MAX);
		break;
	case 'H':
		launch->spec.hosts_prefix = text;
		break;
	case 'p':
		launch->spec.per_host =
			(int)parse_number(state, "--per-host", text, 1, LAUNCH_RANKS_MAX);
		break;
	case 't':
		launch->timeout_s = parse_number(state, "--timeout", text, 0, 86400);
		break;
	case 'g':
		launch->grace_s = parse_number(state, "--grace", text, 0, 86400);
		break;
	case 'o':
		launch->spec.output_dir = text;
		break;
	case 'e':
		if (strchr(text, '=') == NULL || *text == '=')
			argp_error(state, "--env: '%s' is not NAME=VALUE", text);
		launch->spec.settings[arguments->nsettings++] = text;
		break;
	case 'k':
		parse_kill(state, launch, text);
		break;
	case ARGP_KEY_ARGS:
		launch->spec.argv = state->argv + state->next;
		break;
	case ARGP_KEY_SUCCESS:
		check_arguments(state, launch);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct argp argp = { options, parse, "-- PROGRAM [ARG...]", doc, NULL, NULL, NULL };
	struct arguments arguments = {
		.launch = { .spec = { .per_host = 1 }, .kill_rank = -1, .grace_s = 3 }
	};

	arguments.launch.spec.settings = calloc((size_t)argc + 1, sizeof(char *));
	if (arguments.launch.spec.settings == NULL)
		return 1;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &arguments);
	const char *dir = arguments.launch.spec.output_dir;
	if (dir != NULL && mkdir(dir, 0755) < 0 && errno != EEXIST) {
		fprintf(stderr, "lina-launch: cannot make %s: %s\n", dir, strerror(errno));
		return 1;
	}
	int status = launch_run(&arguments.launch);
	free(arguments.launch.spec.settings);
	return status;
}
