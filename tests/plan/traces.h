/*
 * Real routing data, from a directory beside the repository that not everybody has.
 */
#ifndef LINA_TESTS_PLAN_TRACES_H
#define LINA_TESTS_PLAN_TRACES_H

#include <stdbool.h>

#include "collectives/counts.h"

struct trace {
	char name[48]; /* "dsv2lite law", "olmoe c4", ... */
	struct lina_counts *counts;
};

/* Every trace of loads in *traces_p, and how many; 0, having said so on stdout: they are not here.
 * A file that cannot be read ends the program. */
int traces_open(struct trace **traces_p);
void traces_close(struct trace *traces, int n);

/* The transitions between layers 0, 7 and 15 (Mixtral: 31) that a model's crosslayer_top1 file of a
 * domain has, between nexperts experts. NULL: it is not here. */
struct lina_transitions *trace_transitions(const char *model, const char *domain, int nexperts);

#endif
