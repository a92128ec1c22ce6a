#include "collectives/plan_report.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_main.h"

static double balance_of(const struct lina_layer_score *s)
{
	return s->mean_load > 0 ? s->max_load / s->mean_load : 1;
}

/* The balance that no plan is below. */
static double bound_of(const struct lina_report *r, int layer)
{
	const struct lina_layer_score *s = &r->layers[layer];

	return s->mean_load > 0 ? r->max_load_bound[layer] / s->mean_load : 1;
}

static double bound_mean(const struct lina_report *r)
{
	double sum = 0;

	for (int l = 0; l < r->plan->shape.nlayers; l++)
		sum += bound_of(r, l);
	return sum / r->plan->shape.nlayers;
}

static void table_print(const struct lina_report *r)
{
	const struct lina_plan_score *s = &r->score;
	const double mb = 1e6, us = 1e3;

	(void)printf("%-6s %8s %8s %10s %10s %10s %13s %11s %6s\n", "layer", "max/mean", "bound",
		"local MB", "within MB", "between MB", "all-to-all us", "compute us", "moves");
	for (int l = 0; l < r->plan->shape.nlayers; l++) {
		const struct lina_layer_score *one = &r->layers[l];

		(void)printf("%-6d %8.3f %8.3f %10.2f %10.2f %10.2f %13.1f %11.1f %6d\n", l,
			balance_of(one), bound_of(r, l), one->local_bytes / mb,
			one->within_bytes / mb, one->between_bytes / mb, one->comm_ns / us,
			one->compute_ns / us, one->moves);
	}
	(void)printf("%-6s %8.3f %8.3f %10.2f %10.2f %10.2f %13.1f %11.1f %6d\n", "all", s->balance,
		bound_mean(r), s->local_bytes / mb, s->within_bytes / mb, s->between_bytes / mb,
		s->comm_ns / us, s->compute_ns / us, s->moves);
	(void)printf("worst max/mean %.3f; time %.1f us, lower bound %.1f us\n", s->worst_balance,
		s->total_ns / us, r->bound_ns / us);
}

static void csv_print(const struct lina_report *r)
{
	(void)printf("layer,max_load,mean_load,max_load_bound,local_bytes,within_bytes,"
		     "between_bytes,comm_ns,compute_ns,move_ns,moves\n");
	for (int l = 0; l < r->plan->shape.nlayers; l++) {
		const struct lina_layer_score *s = &r->layers[l];

		(void)printf("%d,%.10g,%.10g,%.10g,%.10g,%.10g,%.10g,%.10g,%.10g,%.10g,%d\n", l,
			s->max_load, s->mean_load, r->max_load_bound[l], s->local_bytes,
			s->within_bytes, s->between_bytes, s->comm_ns, s->compute_ns, s->move_ns,
			s->moves);
	}
}

static json_t *layer_json(const struct lina_report *r, int layer)
{
	const struct lina_layer_score *s = &r->layers[layer];

	return json_pack("{s:i,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:i}", "layer", layer,
		"max_load", s->max_load, "mean_load", s->mean_load, "max_load_bound",
		r->max_load_bound[layer], "local_bytes", s->local_bytes, "within_bytes",
		s->within_bytes, "between_bytes", s->between_bytes, "comm_ns", s->comm_ns,
		"compute_ns", s->compute_ns, "move_ns", s->move_ns, "moves", s->moves);
}

static int json_print(const struct lina_report *r)
{
	const struct lina_plan_score *s = &r->score;
	json_t *layers = json_array(), *root;
	int failed = 0;

	for (int l = 0; l < r->plan->shape.nlayers && !failed; l++)
		failed = json_array_append_new(layers, layer_json(r, l));
	root = json_pack("{s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:f,s:i,s:o}", "balance", s->balance,
		"balance_bound", bound_mean(r), "worst_balance", s->worst_balance, "local_bytes",
		s->local_bytes, "within_bytes", s->within_bytes, "between_bytes", s->between_bytes,
		"comm_ns", s->comm_ns, "compute_ns", s->compute_ns, "total_ns", s->total_ns,
		"bound_ns", r->bound_ns, "moves", s->moves, "layers", layers);
	failed = failed || !root ||
		 json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(10));
	json_decref(root);
	if (failed)
		return lina_plan_complain("%s", strerror(ENOMEM));
	(void)putchar('\n');
	return EXIT_SUCCESS;
}

int lina_plan_report(const struct lina_report *report, enum lina_report_form form)
{
	if (form == LINA_REPORT_JSON)
		return json_print(report);
	if (form == LINA_REPORT_CSV)
		csv_print(report);
	else
		table_print(report);
	return EXIT_SUCCESS;
}
