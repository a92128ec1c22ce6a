#include "collectives/plan_inputs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_main.h"
#include "collectives/records/tally.h"

/* --- options --- */

enum { KEY_COUNTS = 'c', KEY_FORMAT = 0x100, KEY_ONLY, KEY_EXPERTS };

static void only_parse(struct argp_state *state, struct lina_plan_inputs *inputs, char *arg)
{
	char *equals = strchr(arg, '=');

	if (!equals || equals == arg) {
		argp_error(state, "--only: must be COLUMN=VALUE, not '%s'", arg);
		return;
	}
	*equals = '\0';
	inputs->options.only_column = arg;
	inputs->options.only_value = equals + 1;
}

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct lina_plan_inputs *inputs = state->input;

	switch (key) {
	case KEY_COUNTS:
		if (inputs->nfiles == LINA_PLAN_INPUTS_MAX)
			argp_error(state, "--counts: at most %d files", LINA_PLAN_INPUTS_MAX);
		inputs->file[inputs->nfiles++] = arg;
		return 0;
	case KEY_FORMAT:
		if (lina_records_format_parse(arg, &inputs->options.format))
			argp_error(state,
				"--format: must be auto, megatron, vllm, counts or csv, not '%s'",
				arg);
		return 0;
	case KEY_ONLY:
		only_parse(state, inputs, arg);
		return 0;
	case KEY_EXPERTS:
		inputs->nexperts =
			lina_plan_option_int(state, "--experts", arg, 1, LINA_EXPERTS_MAX);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option known[] = {
	{ "counts", KEY_COUNTS, "FILE", 0,
		"Records of routing; '-' is standard input. All files count together", 0 },
	{ "format", KEY_FORMAT, "FORMAT", 0,
		"megatron, vllm, counts or csv; by default what the file looks like", 0 },
	{ "only", KEY_ONLY, "COLUMN=VALUE", 0, "Only the lines of a CSV file that have this value",
		0 },
	{ "experts", KEY_EXPERTS, "N", 0,
		"Experts of a layer, where the records may lack the last ones", 0 },
	{ 0 },
};

const struct argp lina_plan_inputs_argp = { .options = known, .parser = option_parse };

/* --- reading --- */

static int complain_at(const char *path, const struct lina_plan_text_fault *fault)
{
	if (fault->line)
		return lina_plan_complain(
			"%s:%d:%d: %s", path, fault->line, fault->column, fault->text);
	return lina_plan_complain("%s: %s", path, fault->text);
}

/* What a record that was refused has done wrong. */
static int complain_of(const char *path, const struct lina_records *records, int err)
{
	int line = lina_input_at_line(lina_records_input(records));

	if (err == -EDOM)
		return lina_plan_complain("%s:%d: a transition from a layer that others leave for "
					  "another one",
			path, line);
	if (err == -EINVAL)
		return lina_plan_complain(
			"%s:%d: a record of another kind than is needed", path, line);
	return lina_plan_complain("%s:%d: %s", path, line, strerror(-err));
}

static int open_records(const char *path, const struct lina_records_options *options,
	struct lina_records **records_p)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_input *in;

	if (lina_input_open(path, &in, &fault) ||
		lina_records_create(in, options, records_p, &fault)) {
		(void)complain_at(path, &fault);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

static int file_each(const char *path, const struct lina_records_options *options,
	lina_plan_record_fn *take, void *arg)
{
	struct lina_plan_text_fault fault = { 0 };
	struct lina_progress progress;
	struct lina_records *records;
	struct lina_record record;
	int status = open_records(path, options, &records), got, err = 0;

	if (status)
		return status;
	lina_progress_begin(&progress, path);
	while ((got = lina_records_next(records, &record, &fault)) == 1) {
		uint64_t done, all;

		err = take(arg, &record);
		if (err)
			break;
		lina_input_progress(lina_records_input(records), &done, &all);
		lina_progress_step(&progress, (double)done, (double)all);
	}
	lina_progress_end(&progress);
	if (got < 0)
		status = complain_at(path, &fault);
	else if (err)
		status = complain_of(path, records, err);
	lina_records_destroy(records);
	return status;
}

int lina_plan_inputs_each(
	const struct lina_plan_inputs *inputs, lina_plan_record_fn *take, void *arg)
{
	int status = EXIT_SUCCESS;

	for (int i = 0; i < inputs->nfiles && status == EXIT_SUCCESS; i++)
		status = file_each(inputs->file[i], &inputs->options, take, arg);
	return status;
}

static int tally_take(void *arg, const struct lina_record *record)
{
	return lina_tally_add(arg, record);
}

static int tally_give(const struct lina_plan_inputs *inputs, const struct lina_tally *tally,
	struct lina_counts **counts_p, struct lina_transitions **transitions_p)
{
	struct lina_transitions *transitions = NULL;
	struct lina_counts *counts;
	int err = lina_tally_counts(tally, inputs->nexperts, &counts);

	if (err)
		return lina_plan_complain(
			"%s: %s", inputs->file[0], err == -ENODATA ? "no records" : strerror(-err));
	if (transitions_p) {
		err = lina_tally_transitions(tally, inputs->nexperts, &transitions);
		if (err && err != -ENODATA && err != -EDOM) {
			lina_counts_destroy(counts);
			return lina_plan_complain("%s", strerror(-err));
		}
		*transitions_p = transitions;
	}
	*counts_p = counts;
	return EXIT_SUCCESS;
}

int lina_plan_inputs_read(const struct lina_plan_inputs *inputs, struct lina_counts **counts_p,
	struct lina_transitions **transitions_p)
{
	struct lina_plan_inputs joined = *inputs;
	struct lina_tally *tally;
	int status;

	if (lina_tally_create(transitions_p, &tally))
		return lina_plan_complain("%s", strerror(ENOMEM));
	joined.options.join = transitions_p;
	status = lina_plan_inputs_each(&joined, tally_take, tally);
	if (!status)
		status = tally_give(inputs, tally, counts_p, transitions_p);
	lina_tally_destroy(tally);
	return status;
}
