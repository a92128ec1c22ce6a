/* Estimates from loads that were seen. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/popularity.h"

struct lina_loads {
	struct lina_loads_settings settings;
	double weight;             /* of the iterations in sum, together */
	struct lina_counts *sum;   /* weighted; NULL before the first */
	struct lina_counts **last; /* [window], of LINA_LOADS_WINDOW; NULL: not there yet */
	uint64_t niterations;
};

struct lina_loads_settings lina_loads_settings_default(void)
{
	return (struct lina_loads_settings){
		.method = LINA_LOADS_WINDOW, .window = 5, .half_life = 10
	};
}

int lina_loads_create(const struct lina_loads_settings *settings, struct lina_loads **loads_p)
{
	struct lina_loads *loads;

	if ((unsigned)settings->method > LINA_LOADS_DECAY || settings->window < 1 ||
		!(settings->half_life > 0))
		return -EINVAL;
	loads = calloc(1, sizeof(*loads));
	if (!loads)
		return -ENOMEM;
	loads->settings = *settings;
	if (settings->method == LINA_LOADS_WINDOW) {
		loads->last = calloc((size_t)settings->window, sizeof(struct lina_counts *));
		if (!loads->last) {
			free(loads);
			return -ENOMEM;
		}
	}
	*loads_p = loads;
	return 0;
}

void lina_loads_destroy(struct lina_loads *loads)
{
	if (!loads)
		return;
	for (int i = 0; loads->last && i < loads->settings.window; i++)
		lina_counts_destroy(loads->last[i]);
	free(loads->last);
	lina_counts_destroy(loads->sum);
	free(loads);
}

static int larger(int a, int b)
{
	return a > b ? a : b;
}

/* sum += counts, where counts may be smaller. */
static void add_to(struct lina_counts *sum, const struct lina_counts *counts)
{
	for (int l = 0; l < counts->nlayers; l++)
		for (int e = 0; e < counts->nexperts; e++)
			lina_counts_layer(sum, l)[e] += lina_counts_layer(counts, l)[e];
}

/* A new object with the contents of counts (NULL: none) and room for more. */
static int copy_with_room(
	const struct lina_counts *counts, int nlayers, int nexperts, struct lina_counts **copy_p)
{
	int err = lina_counts_create(larger(counts ? counts->nlayers : 1, nlayers),
		larger(counts ? counts->nexperts : 1, nexperts), copy_p);

	if (!err && counts)
		add_to(*copy_p, counts);
	return err;
}

static int window_add(struct lina_loads *loads, const struct lina_counts *iteration)
{
	int i = (int)(loads->niterations % (uint64_t)loads->settings.window);
	struct lina_counts *copy;
	int err = copy_with_room(iteration, 1, 1, &copy);

	if (err)
		return err;
	lina_counts_destroy(loads->last[i]);
	loads->last[i] = copy;
	return 0;
}

static int sum_add(struct lina_loads *loads, const struct lina_counts *iteration)
{
	double keep = loads->settings.method == LINA_LOADS_DECAY
			      ? exp2(-1 / loads->settings.half_life)
			      : 1;
	struct lina_counts *sum = loads->sum;
	size_t n;

	if (!sum || sum->nlayers < iteration->nlayers || sum->nexperts < iteration->nexperts) {
		int err = copy_with_room(loads->sum, iteration->nlayers, iteration->nexperts, &sum);

		if (err)
			return err;
		lina_counts_destroy(loads->sum);
		loads->sum = sum;
	}
	n = (size_t)sum->nlayers * (size_t)sum->nexperts;
	for (size_t i = 0; i < n; i++)
		sum->tokens[i] *= keep;
	add_to(sum, iteration);
	loads->weight = loads->weight * keep + 1;
	return 0;
}

int lina_loads_add(struct lina_loads *loads, const struct lina_counts *iteration)
{
	int err = loads->last ? window_add(loads, iteration) : sum_add(loads, iteration);

	if (!err)
		loads->niterations++;
	return err;
}

static int window_sum(const struct lina_loads *loads, struct lina_counts **counts_p, double *n_p)
{
	int nlayers = 1, nexperts = 1, n = 0, err;

	for (int i = 0; i < loads->settings.window && loads->last[i]; i++, n++) {
		nlayers = larger(nlayers, loads->last[i]->nlayers);
		nexperts = larger(nexperts, loads->last[i]->nexperts);
	}
	err = lina_counts_create(nlayers, nexperts, counts_p);
	for (int i = 0; i < n && !err; i++)
		add_to(*counts_p, loads->last[i]);
	*n_p = n;
	return err;
}

int lina_loads_estimate(const struct lina_loads *loads, struct lina_counts **counts_p)
{
	struct lina_counts *counts;
	double weight = loads->weight;
	size_t n;
	int err;

	if (!loads->niterations)
		return -ENODATA;
	err = loads->last ? window_sum(loads, &counts, &weight)
			  : copy_with_room(loads->sum, 1, 1, &counts);
	if (err)
		return err;
	n = (size_t)counts->nlayers * (size_t)counts->nexperts;
	for (size_t i = 0; i < n; i++)
		counts->tokens[i] /= weight;
	*counts_p = counts;
	return 0;
}
