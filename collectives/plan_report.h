/* How lina-plan shows what a plan costs: as a table, CSV, JSON or a picture. */
#ifndef LINA_COLLECTIVES_PLAN_REPORT_H
#define LINA_COLLECTIVES_PLAN_REPORT_H

#include "collectives/counts.h"
#include "collectives/plan_score.h"

enum lina_report_form { LINA_REPORT_TABLE, LINA_REPORT_CSV, LINA_REPORT_JSON };

struct lina_report {
	const struct lina_plan *plan;
	const struct lina_layer_score *layers; /* [nlayers] */
	const double *max_load_bound;          /* [nlayers] that no plan of the shape is below */
	struct lina_plan_score score;
	double bound_ns; /* that no plan's score is below */
};

/* To stdout. 0, or 1 after a complaint. */
int lina_plan_report(const struct lina_report *report, enum lina_report_form form);

/* A heat map of the load of each device at each layer, over the layer's mean, by gnuplot: SVG, or
 * PNG if path ends with .png. 0, or 1 after a complaint. */
int lina_plan_plot(
	const struct lina_plan *plan, const struct lina_counts *counts, const char *path);

#endif
