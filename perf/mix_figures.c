#include "perf/mix_figures.h"

#include "perf/mix_times.h"
#include "perf/stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

const char *mix_kind_name(enum mix_kind kind)
{
	static const char *const names[MIX_NKINDS] = { "alone", "allreduce", "under", "after",
		"both" };

	return names[kind];
}

int mix_samples_add(struct mix_samples *samples, enum mix_kind kind, double time_us)
{
	struct mix_series *series = &samples->of[kind];

	if (series->n == series->capacity) {
		size_t capacity = series->capacity > 0 ? 2 * series->capacity : FIRST_CAPACITY;
		double *larger = realloc(series->time_us, capacity * sizeof(*larger));
		if (larger == NULL)
			return -ENOMEM;
		series->time_us = larger;
		series->capacity = capacity;
	}
	series->time_us[series->n++] = time_us;
	return 0;
}

void mix_samples_free(struct mix_samples *samples)
{
	for (int kind = 0; kind < MIX_NKINDS; kind++)
		free(samples->of[kind].time_us);
	memset(samples, 0, sizeof(*samples));
}

static struct mix_quantiles quantiles(const double *sorted, size_t n)
{
	if (n == 0)
		return (struct mix_quantiles){ (double)NAN, (double)NAN, (double)NAN, (double)NAN };
	return (struct mix_quantiles){
		.p10_us = stats_quantile(sorted, n, 0.1),
		.p50_us = stats_quantile(sorted, n, 0.5),
		.p90_us = stats_quantile(sorted, n, 0.9),
		.p95_us = stats_quantile(sorted, n, 0.95),
	};
}

/* `scratch` has room for every series. */
static struct mix_quantiles quantiles_of(const struct mix_series *series, double *scratch)
{
	if (series->n > 0)
		memcpy(scratch, series->time_us, series->n * sizeof(*scratch));
	stats_sort(scratch, series->n);
	return quantiles(scratch, series->n);
}

static double *scratch_for(const struct mix_samples *samples)
{
	size_t most = 0;

	for (int kind = 0; kind < MIX_NKINDS; kind++)
		most = samples->of[kind].n > most ? samples->of[kind].n : most;
	return malloc(most * sizeof(double));
}

int mix_figure(const struct mix_samples *samples, const struct mix_samples *reference,
	const struct mix_setting *setting, struct mix_figures *figures_p)
{
	struct mix_figures f;
	double *scratch = scratch_for(samples);

	if (scratch == NULL)
		return -ENOMEM;
	for (int kind = 0; kind < MIX_NKINDS; kind++)
		f.of[kind] = quantiles_of(&samples->of[kind], scratch);
	double alone_us = f.of[MIX_ALONE].p50_us;
	f.line_share = setting->line_us / alone_us;
	f.slowdown = f.of[MIX_UNDER].p50_us / alone_us;
	f.slowdown_p95 = f.of[MIX_UNDER].p95_us / alone_us;
	/* Rounds are paired: the ratio of one round compares neighbours in time. */
	const struct mix_series *allreduces = &samples->of[MIX_ALLREDUCE];
	stats_ratios(
		reference->of[MIX_ALLREDUCE].time_us, allreduces->time_us, allreduces->n, scratch);
	f.allreduce_rate = stats_quantile(scratch, allreduces->n, 0.5);
	f.need_us =
		mix_need_us(setting->count, alone_us, setting->gap_us, f.of[MIX_ALLREDUCE].p50_us);
	f.both_share = f.need_us / f.of[MIX_BOTH].p50_us;
	free(scratch);
	*figures_p = f;
	return 0;
}
