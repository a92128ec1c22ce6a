/* lina-top: shows what the processes of a job that runs the plugin do, while they do it. */
#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "plugin/top_view.h"

enum { ROWS_DEFAULT = 30 };

/* For argp, which is in the C library and looks for it. */
__attribute__((visibility("default"))) const char *argp_program_version = "lina-top " LINA_VERSION;

struct options {
	bool once, json;
	int pid; /* 0: all */
	unsigned rows;
	double interval_s;
	const char *directory;
};

/* A process as it was last time. */
struct seen {
	struct lina_stats_found found;
	void *copy;
	struct lina_stats_view view;
};

struct screen {
	const struct options *options;
	struct lina_stats_found found[LINA_STATS_FOUND_MAX];
	struct seen last[LINA_STATS_FOUND_MAX];
	int nlast;
	double last_s; /* when it was */
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static const struct lina_stats_view *view_before(const struct screen *s, const char *path)
{
	for (int i = 0; i < s->nlast; i++)
		if (strcmp(s->last[i].found.path, path) == 0)
			return &s->last[i].view;
	return NULL;
}

/* --- one look --- */

static bool is_chosen(const struct options *o, const struct lina_stats_found *found)
{
	return !o->pid || o->pid == (int)found->pid;
}

/* False: it has gone, is not ready, or is not what it should be; the last is said. */
static bool look(const struct lina_stats_found *found, struct seen *seen)
{
	size_t bytes;
	int err = lina_stats_load(found->path, &seen->copy, &bytes);

	if (!err) {
		err = lina_stats_check(seen->copy, bytes, &seen->view);
		if (err)
			free(seen->copy);
	}
	if (err == -EPROTONOSUPPORT)
		(void)fprintf(stderr, "%s: from another version of Lina\n", found->path);
	else if (err == -EPROTO)
		(void)fprintf(stderr, "%s: not the counters of a process\n", found->path);
	seen->found = *found;
	return !err;
}

static void show(const struct screen *s, const struct seen *seen, double at_s, bool first)
{
	const struct lina_stats_view *before = view_before(s, seen->found.path);
	double up_s = at_s - (double)seen->view.header->opened_ns * 1e-9;
	struct lina_top_sample sample = { .now = seen->view,
		.before = before,
		.seconds = before ? at_s - s->last_s : up_s,
		.up_seconds = up_s };

	if (s->options->json) {
		(void)fputs(first ? "" : ",", stdout);
		lina_top_print_json(stdout, &sample);
		return;
	}
	(void)fputs(first ? "" : "\n", stdout);
	lina_top_print(stdout, &sample, s->options->rows);
}

static void remember(struct screen *s, const struct seen *seen, int n, double at_s)
{
	for (int i = 0; i < s->nlast; i++)
		free(s->last[i].copy);
	memcpy(s->last, seen, (size_t)n * sizeof(*seen));
	s->nlast = n;
	s->last_s = at_s;
}

/* What goes elsewhere is read later, and a terminal that knows no escape sequences shows them. */
static bool can_be_cleared(void)
{
	const char *kind = getenv("TERM");

	return kind && *kind && strcmp(kind, "dumb") != 0 && isatty(STDOUT_FILENO);
}

/* Of what was shown before. */
static void separate(const struct screen *s)
{
	if (s->options->json || s->options->once)
		return;
	if (can_be_cleared())
		(void)fputs("\033[H\033[2J", stdout);
	else if (s->nlast)
		(void)fputs("\n", stdout);
}

/* Shows all there is; returns how many processes that were, or -errno. */
static int frame(struct screen *s)
{
	const struct options *o = s->options;
	static struct seen seen[LINA_STATS_FOUND_MAX];
	int n = 0, nremoved;

	int nfound = lina_stats_find(o->directory, s->found, LINA_STATS_FOUND_MAX, &nremoved);
	if (nfound < 0)
		return nfound;
	double at_s = now_s();
	for (int i = 0; i < nfound; i++)
		if (is_chosen(o, &s->found[i]) && look(&s->found[i], &seen[n]))
			n++;
	separate(s);
	(void)fputs(o->json && n ? "[" : "", stdout);
	for (int i = 0; i < n; i++)
		show(s, &seen[i], at_s, i == 0);
	(void)fputs(o->json && n ? "]\n" : "", stdout);
	remember(s, seen, n, at_s);
	return fflush(stdout) || ferror(stdout) ? -EIO : n;
}

static int report_none(const struct options *o, int err)
{
	if (err < 0)
		(void)fprintf(stderr, "lina-top: %s: %s\n", o->directory, strerror(-err));
	else if (o->pid)
		(void)fprintf(stderr,
			"lina-top: process %d has no counters of Lina that you may see\n", o->pid);
	else
		(void)fprintf(stderr,
			"lina-top: no process here has counters of Lina that you may see\n");
	(void)fprintf(stderr,
		"A job has them while a communicator is open on this host, when NCCL took the "
		"plugin\n"
		"(NCCL_DEBUG=INFO says: Using network lina) and LINA_STATS is not 0. Only its "
		"user\n"
		"and root see them, and in a container only with the same /dev/shm.\n");
	return EXIT_FAILURE;
}

static int run(const struct options *o)
{
	static struct screen screen;
	const struct timespec pause = { .tv_sec = (time_t)o->interval_s,
		.tv_nsec = (long)((o->interval_s - (double)(time_t)o->interval_s) * 1e9) };

	screen.options = o;
	for (;;) {
		int n = frame(&screen);
		if (n == -EIO)
			return EXIT_FAILURE;
		if (n <= 0)
			return report_none(o, n);
		if (o->once)
			return EXIT_SUCCESS;
		(void)nanosleep(&pause, NULL);
	}
}

/* --- options --- */

static double number(struct argp_state *state, const char *arg, double least, double most)
{
	char *end;
	double value = strtod(arg, &end);

	if (end == arg || *end || !(value >= least && value <= most))
		argp_error(state, "%s: must be a number from %g to %g", arg, least, most);
	return value;
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'o':
		o->once = true;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'p':
		o->pid = (int)number(state, arg, 1, 1 << 30);
		return 0;
	case 'r':
		o->rows = (unsigned)number(state, arg, 0, 1 << 20);
		return 0;
	case 'i':
		o->interval_s = number(state, arg, 0.05, 86400);
		return 0;
	case 'd':
		o->directory = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	static const struct argp_option known[] = {
		{ "once", 'o', NULL, 0, "Show it once, with averages since the start, and end", 0 },
		{ "interval", 'i', "S", 0, "Seconds between two looks (1)", 0 },
		{ "pid", 'p', "PID", 0, "This process only", 0 },
		{ "rows", 'r', "N", 0, "Peers to show, those that moved most (30); 0: all", 0 },
		{ "json", 'j', NULL, 0, "A JSON array a look, on one line, of all processes", 0 },
		{ "directory", 'd', "DIR", 0, "Where the counters are (" LINA_STATS_DIRECTORY ")",
			0 },
		{ 0 },
	};
	static const struct argp argp = { known, option_parse, NULL,
		"Shows what jobs that run Lina do: links, classes and peers.\v"
		"Exit status: 0, or 1 when no process has counters.",
		NULL, NULL, NULL };
	struct options o = {
		.rows = ROWS_DEFAULT, .interval_s = 1, .directory = LINA_STATS_DIRECTORY
	};

	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return EXIT_FAILURE;
	return run(&o);
}
