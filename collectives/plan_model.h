/*
 * Linear times as the command line gives them: "ALPHA,BETA", or a file of measurements.
 */
#ifndef LINA_COLLECTIVES_PLAN_MODEL_H
#define LINA_COLLECTIVES_PLAN_MODEL_H

#include <stdio.h>

#include "collectives/pipeline.h"

/* The model of an option's text: "ALPHA,BETA" in seconds and seconds for each byte (or
 * multiply-add); or the name of a table as perf/bench_coll writes it (PATH.tsv), of which the rows
 * of operation op on network net (NULL: that of the first such row) are fitted, p50_us against
 * bytes. Says on say what was fitted; complains and returns 1 where that cannot be. */
int lina_plan_model(const char *option, const char *text, const char *op, const char *net,
	FILE *say, struct lina_linear *model_p);

#endif
