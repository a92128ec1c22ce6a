/*
 * The subcommands of lina-plan, and what they share. One file each (plan_cmd_NAME.c) with a run
 * function, options and argp of its own; one row in the table of plan_main.c.
 */
#ifndef LINA_COLLECTIVES_PLAN_MAIN_H
#define LINA_COLLECTIVES_PLAN_MAIN_H

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

struct lina_plan;
struct lina_topo;
struct lina_topo_fault;

/* Runs a subcommand; argv[0] is "lina-plan NAME", for messages. The exit status: 0; 1 something is
 * wrong with the input or could not be done; argp leaves with 64 for a wrong command line. */
typedef int lina_plan_cmd_fn(int argc, char **argv);

lina_plan_cmd_fn lina_plan_cmd_check;
lina_plan_cmd_fn lina_plan_cmd_pipeline;
lina_plan_cmd_fn lina_plan_cmd_pack;
lina_plan_cmd_fn lina_plan_cmd_place;
lina_plan_cmd_fn lina_plan_cmd_topology;
lina_plan_cmd_fn lina_plan_cmd_evaluate;
lina_plan_cmd_fn lina_plan_cmd_export;
lina_plan_cmd_fn lina_plan_cmd_import;
lina_plan_cmd_fn lina_plan_cmd_predict;
lina_plan_cmd_fn lina_plan_cmd_profile;

/* Says "lina-plan: MESSAGE" on stderr. */
void lina_plan_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same, as an expression of the exit status; a macro, so that the compiler sees that it is not
 * 0. */
#define lina_plan_complain(...) (lina_plan_say(__VA_ARGS__), EXIT_FAILURE)

/* What to open for a file that the command line names: '-' is the standard input. */
const char *lina_plan_input(const char *path);

/* Reads a placement table, or complains with file, line and column. */
int lina_plan_open(const char *path, struct lina_plan **plan_p);

/* The same for what lina_topo_open takes, with file, line and column, and for another -errno of
 * topo_file.h, with what was taken. */
int lina_plan_open_topology(const char *what, int nnodes, struct lina_topo **topo_p);
int lina_plan_complain_topology(const char *what, int err, const struct lina_topo_fault *fault);

/* An option's value as a whole number from min to max; leaves through argp_error. */
int lina_plan_option_int(
	struct argp_state *state, const char *option, const char *arg, int min, int max);

/* Replaces a file in one step, or complains. A signal that comes meanwhile acts afterwards, so that
 * Ctrl-C leaves the old file or the new and nothing else. path "-": stdout. */
int lina_plan_save(const char *path, const char *text, size_t bytes);

/* What has been done of something long: on stderr when that is a terminal and two seconds have gone
 * by since begin; nothing otherwise. */
struct lina_progress {
	const char *what;
	bool terminal, shown;
	double began_s, last_s;
};
void lina_progress_begin(struct lina_progress *progress, const char *what);
/* done of all; 0 where nobody knows how much that is. Cheap: it shows five times a second at most.
 */
void lina_progress_step(struct lina_progress *progress, double done, double all);
/* Takes the line away. */
void lina_progress_end(struct lina_progress *progress);

#endif
