/*
 * The placement methods by the names that lina-plan knows them by.
 */
#ifndef LINA_COLLECTIVES_PLAN_METHODS_H
#define LINA_COLLECTIVES_PLAN_METHODS_H

#include "collectives/place.h"

/* What the command line may say to a method. */
struct lina_method_options {
	double time_limit_s;
	void (*step)(void *of, int done, int all);
	void *of;
};

struct lina_method {
	const char *name;
	const char *help;
	int (*run)(const struct lina_place *place, const struct lina_method_options *options,
		struct lina_plan **plan_p);
	bool keeps_limits; /* looks at max_moves and fixed */
};

/* NULL: there is none of that name. */
const struct lina_method *lina_method_find(const char *name);

/* "uniform, eplb, ..." */
extern const char lina_method_names[];

#endif
