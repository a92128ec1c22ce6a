/*
 * The operation and the class that the plugin gives to what NCCL sends: for each collective one
 * communicator, whose summary in NCCL's log must name that collective and nothing else.
 */
#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 100000, LINE_BYTES = 1024 };

/* What the plugin must say of each collective: told by NCCL (net v11 on), by NCCL's profiler
 * (v10), and guessed from the connection (v8). */
static const struct expected {
	const char *collective, *told, *profiled, *guessed, *cls;
} rows[] = {
	{ "allreduce", "allreduce", "allreduce", "collective", "bulk" },
	{ "reduce", "reduce", "reduce", "collective", "bulk" },
	{ "reducescatter", "reducescatter", "reducescatter", "collective", "bulk" },
	/* NCCL 2.28 and later make no event of it; those that have net v10 at most do. */
	{ "broadcast", "broadcast", "collective", "collective", "bulk" },
	{ "allgather", "allgather", "allgather", "collective", "bulk" },
	{ "alltoall-grouped", "send", "send", "sendrecv", "latency" },
	{ "pairs", "send", "send", "sendrecv", "latency" },
	{ "ring", "send", "send", "sendrecv", "latency" },
	/* NCCL's profiler names what these are made of. */
	{ "alltoall", "alltoall", "send", "sendrecv", "latency" },
	{ "gather", "gather", "send", "sendrecv", "latency" },
	{ "scatter", "scatter", "send", "sendrecv", "latency" },
};
enum { NROWS = sizeof(rows) / sizeof(*rows) };

struct options {
	struct job job;
	int traffic_class; /* of the communicators; -1: not set */
	const char *name;  /* of the communicators */
	const char *cls;   /* that all have; NULL: each its own */
	const char *only;  /* this collective alone; NULL: all */
	bool no_profiler;  /* NCCL was told to use none */
	int nsummaries;    /* in the log so far */
};

static const struct argp_option argp_options[] = {
	{ "traffic", 'T', "N", 0, "Traffic class of the communicators", 0 },
	{ "name", 'N', "NAME", 0, "Name of the communicators", 0 },
	{ "collective", 'c', "NAME", 0, "This one alone (default: all)", 0 },
	{ "no-profiler", 'n', NULL, 0, "NCCL has no profiler", 0 },
	{ "class", 'C', "CLASS", 0, "Class that everything must have", 0 },
	{ 0 },
};

static error_t parse(int key, char *text, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &options->job;
		return 0;
	case 'T':
		options->traffic_class = atoi(text);
		return 0;
	case 'N':
		options->name = text;
		return 0;
	case 'c':
		options->only = text;
		return 0;
	case 'n':
		options->no_profiler = true;
		return 0;
	case 'C':
		options->cls = text;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static ncclComm_t open_comm(struct options *options, const char *what)
{
	ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
	ncclComm_t comm;

#if NCCL_VERSION_CODE >= 22700
	if (options->traffic_class >= 0)
		config.trafficClass = options->traffic_class;
	if (options->name != NULL)
		config.commName = options->name;
#endif
	NCCL(job_try_comm_config(&options->job, what, &config, &comm));
	return comm;
}

/* As often as there are ranks, so that each is the root once and has something to send. */
static void run_on(struct options *options, ncclComm_t comm, const struct collective *collective)
{
	int t = 0;
	struct check check;

	while (value_types[t].nccl != ncclFloat32)
		t++;
	check_open(&check, &options->job, comm);
	struct pattern *pattern = pattern_create(
		&value_types[t], collective->reduces ? OP_SUM : OP_NONE, check.nranks, 1);
	const struct check_spec spec = {
		.collective = collective, .pattern = pattern, .op = ncclSum, .bytes = BYTES
	};
	for (int i = 0; i < check.nranks; i++) {
		check_launch(&check, &spec);
		check_finish(&check);
	}
	pattern_destroy(pattern);
	check_close(&check);
}

/* The last summary in the log, from behind verb on, without the newline. Returns how many there
 * are. */
static int read_summary(const struct options *options, const char *verb, char summary[LINE_BYTES])
{
	char line[LINE_BYTES];
	int n = 0;
	FILE *log = fopen(options->job.log_path, "r");

	if (log == NULL)
		FAIL("NCCL wrote no log");
	summary[0] = '\0';
	while (fgets(line, sizeof(line), log) != NULL) {
		const char *at = strstr(line, "NET/Lina: communicator ");

		if (at == NULL || (at = strstr(at, verb)) == NULL)
			continue;
		n++;
		snprintf(summary, LINE_BYTES, "%s", at + strlen(verb));
		summary[strcspn(summary, "\n")] = '\0';
	}
	fclose(log);
	return n;
}

static void need_summary(
	const struct options *options, const char *verb, const char *op, const char *cls)
{
	char summary[LINE_BYTES], said_op[32] = "", said_cls[32] = "";
	unsigned long messages = 0, bytes = 0;
	int end = 0;

	int n = read_summary(options, verb, summary);
	if (n != options->nsummaries + 1)
		FAIL("%d lines '%s' of one communicator", n - options->nsummaries, verb);
	(void)sscanf(summary, "%31s %lu messages %lu bytes (%31[a-z])%n", said_op, &messages,
		&bytes, said_cls, &end);
	if (end == 0 || summary[end] != '\0' || strcmp(said_op, op) != 0 ||
		strcmp(said_cls, cls) != 0)
		FAIL("the plugin%s'%s', not %s (%s) alone", verb, summary, op, cls);
	if (messages == 0 || bytes < BYTES / 4)
		FAIL("the plugin%s'%s', which is too little", verb, summary);
}

static const char *expected_op(const struct options *options, const struct expected *row)
{
	int abi = job_abi(&options->job);

	if (abi >= 11)
		return row->told;
	return abi == 10 && !options->no_profiler ? row->profiled : row->guessed;
}

static void run_row(struct options *options, const struct expected *row)
{
	int c = 0;

	while (c < ncollectives && strcmp(collectives[c].name, row->collective) != 0)
		c++;
	if (c == ncollectives ||
		(options->only != NULL && strcmp(options->only, row->collective) != 0))
		return; /* this release may have none */
	ncclComm_t comm = open_comm(options, row->collective);
	run_on(options, comm, &collectives[c]);
	/* Some ranks are done with a reduction earlier than others. */
	job_barrier(&options->job, row->collective);
	NCCL(ncclCommDestroy(comm));

	const char *op = expected_op(options, row);
	const char *cls = options->cls != NULL ? options->cls : row->cls;
	need_summary(options, " sent ", op, cls);
	/* Before net v11 nobody tells the end that receives a traffic class. */
	if (options->traffic_class >= 0 && job_abi(&options->job) < 11)
		cls = row->cls;
	need_summary(options, " received ", strcmp(op, "send") == 0 ? "recv" : op, cls);
	options->nsummaries++;
	printf("%s: %s\n", row->collective, op);
}

int main(int argc, char **argv)
{
	struct argp_child children[] = { { &job_argp, 0, NULL, 0 }, { 0 } };
	const struct argp argp = { argp_options, parse, NULL,
		"Checks how the plugin classifies what NCCL sends.", children, NULL, NULL };
	struct options options = { .traffic_class = -1 };

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	job_start(&options.job);
	for (int c = 0; c < ncollectives; c++) {
		int i = 0;

		while (i < NROWS && strcmp(rows[i].collective, collectives[c].name) != 0)
			i++;
		if (i == NROWS)
			FAIL("nothing is said of %s", collectives[c].name);
	}
	for (int i = 0; i < NROWS; i++)
		run_row(&options, &rows[i]);
	job_check_network(&options.job);
	if (options.nsummaries == 0)
		FAIL("there is no such collective");
	return 0;
}
