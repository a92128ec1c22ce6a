/* How a benchmark ends when liblina refuses; see die.h. */
#ifndef LINA_PERF_MUST_LINA_H
#define LINA_PERF_MUST_LINA_H

#include <string.h>

#include "collectives/lina.h"
#include "perf/die.h"

/* err: 0 or -errno, as liblina and the planner return it; what was tried. */
static inline void must(int err, const char *what)
{
	if (err)
		die("%s: %s: %s", what, strerror(-err), lina_last_error());
}

#endif
