/* What the subcommands of lina-plan share. */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "collectives/plan_io.h"
#include "collectives/plan_main.h"
#include "collectives/whole_file.h"
#include "topology/topo_file.h"

void lina_plan_say(const char *fmt, ...)
{
	va_list args;

	(void)fputs("lina-plan: ", stderr);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

const char *lina_plan_input(const char *path)
{
	return strcmp(path, "-") == 0 ? "/dev/stdin" : path;
}

int lina_plan_open(const char *path, struct lina_plan **plan_p)
{
	struct lina_plan_text_fault fault;

	if (!lina_plan_read(lina_plan_input(path), plan_p, &fault))
		return EXIT_SUCCESS;
	if (!fault.line)
		return lina_plan_complain("%s: %s", path, fault.text);
	return lina_plan_complain("%s:%d:%d: %s", path, fault.line, fault.column, fault.text);
}

int lina_plan_complain_topology(const char *what, int err, const struct lina_topo_fault *fault)
{
	if (err == -ENOMEM)
		return lina_plan_complain("no memory");
	if (fault->line)
		return lina_plan_complain(
			"%s:%d:%d: %s", what, fault->line, fault->column, fault->text);
	return lina_plan_complain("%s: %s", what, fault->text);
}

int lina_plan_open_topology(const char *what, int nnodes, struct lina_topo **topo_p)
{
	struct lina_topo_fault fault;
	int err = lina_topo_open(what, nnodes, topo_p, &fault);

	return err ? lina_plan_complain_topology(what, err, &fault) : EXIT_SUCCESS;
}

int lina_plan_option_int(
	struct argp_state *state, const char *option, const char *arg, int min, int max)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(arg, &end, 10);
	if (end == arg || *end || errno || value < min || value > max)
		argp_error(state, "%s: must be a number from %d to %d, not '%s'", option, min, max,
			arg);
	return (int)value;
}

int lina_plan_save(const char *path, const char *text, size_t bytes)
{
	sigset_t all, before;
	int err;

	if (strcmp(path, "-") == 0) {
		if (fwrite(text, 1, bytes, stdout) == bytes && fflush(stdout) == 0)
			return EXIT_SUCCESS;
		return lina_plan_complain("stdout: %s", strerror(errno));
	}
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	err = lina_file_replace(path, text, bytes);
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
	return err ? lina_plan_complain("%s: %s", path, strerror(-err)) : EXIT_SUCCESS;
}

/* --- progress --- */

static const double QUIET_S = 2, BETWEEN_S = 0.2;

static double now_s(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void lina_progress_begin(struct lina_progress *progress, const char *what)
{
	double now = now_s();

	*progress = (struct lina_progress){
		.what = what, .terminal = isatty(STDERR_FILENO), .began_s = now, .last_s = now
	};
}

void lina_progress_step(struct lina_progress *progress, double done, double all)
{
	double now;

	if (!progress->terminal)
		return;
	now = now_s();
	if (now - progress->began_s < QUIET_S || now - progress->last_s < BETWEEN_S)
		return;
	progress->last_s = now;
	progress->shown = true;
	if (all > 0)
		(void)fprintf(stderr, "\r%s: %3.0f %%, %.0f s ", progress->what, 100 * done / all,
			now - progress->began_s);
	else
		(void)fprintf(stderr, "\r%s: %.0f, %.0f s ", progress->what, done,
			now - progress->began_s);
	(void)fflush(stderr);
}

void lina_progress_end(struct lina_progress *progress)
{
	if (progress->shown)
		(void)fputs("\r\033[K", stderr);
}
