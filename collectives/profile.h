/*
 * The model file: what lina-plan profile has learned, as text.
 *
 *     lina-profile 1
 *     method paths
 *     experts 64
 *     length 3
 *     kept 8
 *     loads 5 17 0 3.5 ...
 *     path 5 total 15 after 7 12 3 next 4 10 8 2
 *     end
 *
 * "loads LAYER N..." has the estimated load of each expert of a layer, in ascending order of
 * layers. With the method "paths" each line "path" is a path before a layer: how many choices came
 * next, which experts it consists of, the oldest first, and which experts came next how often. With
 * the other methods (mean, window, decay) there are no such lines, nor length and kept. Words,
 * comments and lines are as in a placement table (plan_io.h).
 */
#ifndef LINA_COLLECTIVES_PROFILE_H
#define LINA_COLLECTIVES_PROFILE_H

#include <stddef.h>

#include "collectives/plan_io.h"
#include "collectives/popularity.h"

enum { LINA_PROFILE_VERSION = 1 };

enum lina_profile_method {
	LINA_PROFILE_MEAN,
	LINA_PROFILE_WINDOW,
	LINA_PROFILE_DECAY,
	LINA_PROFILE_PATHS,
	LINA_PROFILE_NMETHODS
};

/* "mean", ...; NULL for a value outside the enumeration. */
const char *lina_profile_method_name(enum lina_profile_method method);
/* -EINVAL: there is none of that name. */
int lina_profile_method_parse(const char *name, enum lina_profile_method *method_p);

struct lina_profile {
	enum lina_profile_method method;
	int *layers;                /* [counts->nlayers], ascending, as the records number them */
	struct lina_counts *counts; /* estimated loads */
	struct lina_paths *paths;   /* NULL but for LINA_PROFILE_PATHS; with the loads of counts */
};

/* Frees the profile and all it has. NULL is allowed. */
void lina_profile_destroy(struct lina_profile *profile);

/* The text, ended with a zero that *bytes_p does not count; the caller frees it. -ENOMEM. */
int lina_profile_encode(const struct lina_profile *profile, char **text_p, size_t *bytes_p);

/* The profile of a text of bytes characters. -EINVAL: *fault_p says where it is wrong; -ENOMEM.
 * Takes memory in proportion to the text. */
int lina_profile_decode(const char *text, size_t bytes, struct lina_profile **profile_p,
	struct lina_plan_text_fault *fault_p);

#endif
