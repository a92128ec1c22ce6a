/*
 * The records of routing that a subcommand of lina-plan reads: --counts FILE, as often as one
 * likes, and how to read them. The same options with all subcommands, as an argp child:
 *
 *     struct lina_plan_inputs inputs = { 0 };
 *     const struct argp_child children[] = { { &lina_plan_inputs_argp, 0, "Records:", 0 }, { 0 } };
 *
 * with state->child_inputs[0] = &inputs at ARGP_KEY_INIT.
 */
#ifndef LINA_COLLECTIVES_PLAN_INPUTS_H
#define LINA_COLLECTIVES_PLAN_INPUTS_H

#include <argp.h>
#include <stdbool.h>

#include "collectives/counts.h"
#include "collectives/records/records.h"

enum { LINA_PLAN_INPUTS_MAX = 4096 };

struct lina_plan_inputs {
	const char *file[LINA_PLAN_INPUTS_MAX];
	int nfiles;
	int nexperts; /* at least so many, 0: as many as the records have */
	struct lina_records_options options;
};

extern const struct argp lina_plan_inputs_argp;

/* Takes a record; 0, or -errno, which ends the reading. */
typedef int lina_plan_record_fn(void *arg, const struct lina_record *record);

/* Gives all records of the files, in their order, to take; shows progress. The exit status: 0, or 1
 * after a complaint with file, line and column. */
int lina_plan_inputs_each(
	const struct lina_plan_inputs *inputs, lina_plan_record_fn *take, void *arg);

/* The loads of all files together, and the transitions; transitions_p NULL: they are not wanted;
 * *transitions_p NULL: the files have none. The caller destroys both. 0, or 1 after a complaint. */
int lina_plan_inputs_read(const struct lina_plan_inputs *inputs, struct lina_counts **counts_p,
	struct lina_transitions **transitions_p);

#endif
