#include "collectives/plan_methods.h"

#include <stdio.h>
#include <string.h>

#include "collectives/moetuner.h"

static int run_uniform(const struct lina_place *place, const struct lina_method_options *options,
	struct lina_plan **plan_p)
{
	(void)options;
	return lina_place_uniform(place, plan_p);
}

static int run_eplb(const struct lina_place *place, const struct lina_method_options *options,
	struct lina_plan **plan_p)
{
	(void)options;
	return lina_place_eplb(place, plan_p);
}

static int run_lina(const struct lina_place *place, const struct lina_method_options *options,
	struct lina_plan **plan_p)
{
	const struct lina_proportional_settings settings = lina_proportional_settings_default();

	(void)options;
	return lina_place_proportional(place, &settings, plan_p);
}

static int run_hecate(const struct lina_place *place, const struct lina_method_options *options,
	struct lina_plan **plan_p)
{
	const struct lina_hecate_settings settings = lina_hecate_settings_default();

	(void)options;
	return lina_place_hecate(place, &settings, plan_p);
}

static int run_moetuner(const struct lina_place *place, const struct lina_method_options *options,
	struct lina_plan **plan_p)
{
	static const char *const how[] = { [LINA_ROUTING_CHAIN] = "exactly",
		[LINA_ROUTING_PROGRAM] = "by the integer program",
		[LINA_ROUTING_SWAPS] = "by swaps, with no bound" };
	struct lina_moetuner_settings settings = lina_moetuner_settings_default();
	struct lina_moetuner_report report;
	int err;

	settings.time_limit_s = options->time_limit_s;
	err = lina_place_moetuner(place, &settings, plan_p, &report);
	if (!err)
		(void)fprintf(stderr,
			"moetuner: loads within %.2f %% of the mean of the best clusters; devices "
			"chosen %s, gap %.2f %%\n",
			100 * report.load_gap, how[report.routing],
			100 * (report.routing_gap > 0 ? report.routing_gap : 0));
	return err;
}

static int run_best(const struct lina_place *place, const struct lina_method_options *options,
	struct lina_plan **plan_p)
{
	struct lina_best_settings settings = lina_best_settings_default();
	struct lina_moetuner_settings moetuner = lina_moetuner_settings_default();

	moetuner.time_limit_s = options->time_limit_s;
	settings.step = options->step;
	settings.of = options->of;
	if (place->score.transitions && lina_moetuner_available())
		settings.moetuner = &moetuner;
	return lina_place_best(place, &settings, plan_p);
}

static const struct lina_method methods[] = {
	{ "uniform", "experts in order, evenly", run_uniform, false },
	{ "eplb", "DeepSeek's load balancer", run_eplb, false },
	{ "lina", "devices in proportion to load", run_lina, false },
	{ "hecate", "sparse materialisation over sharding", run_hecate, false },
	{ "moetuner", "integer programs for load and routing", run_moetuner, false },
	{ "best", "search on the common score", run_best, true },
};

const char lina_method_names[] = "uniform, eplb, lina, hecate, moetuner, best";

const struct lina_method *lina_method_find(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}
