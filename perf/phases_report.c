#include "perf/phases_report.h"

#include "perf/die.h"
#include "perf/stats.h"

#include <stdio.h>
#include <stdlib.h>

double phases_skew(const double *load, int nexperts)
{
	double most = 0, sum = 0;

	for (int e = 0; e < nexperts; e++) {
		most = load[e] > most ? load[e] : most;
		sum += load[e];
	}
	return sum > 0 ? most * nexperts / sum : 1;
}

/* Which points, and what of them. */
enum which { ALL, HITS, MISSES };
typedef double (*value_fn)(const struct phases_point *p);

static size_t collect(
	const struct phases_point *points, size_t n, enum which which, value_fn value, double *out)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (which == ALL || points[i].hit == (which == HITS))
			out[found++] = value(&points[i]);
	stats_sort(out, found);
	return found;
}

static void show(const struct phases_point *points, size_t n, enum which which, const char *what,
	const char *unit, value_fn value, double *scratch)
{
	size_t found = collect(points, n, which, value, scratch);

	if (found == 0)
		printf("%-58s none\n", what);
	else
		printf("%-58s %8.3f %s (%.3f to %.3f) of %zu\n", what,
			stats_quantile(scratch, found, 0.5), unit,
			stats_quantile(scratch, found, 0.1), stats_quantile(scratch, found, 0.9),
			found);
}

static double uniform_ms(const struct phases_point *p)
{
	return p->time_ms[PHASES_UNIFORM];
}

static double oracle_ms(const struct phases_point *p)
{
	return p->time_ms[PHASES_ORACLE];
}

static double two_ms(const struct phases_point *p)
{
	return p->time_ms[PHASES_TWO];
}

static double late_ms(const struct phases_point *p)
{
	return p->time_ms[PHASES_LATE];
}

static double of_oracle(const struct phases_point *p)
{
	return two_ms(p) / oracle_ms(p);
}

/* Without the exchange of counts, which the oracle has for nothing. */
static double sent_of_oracle(const struct phases_point *p)
{
	return (two_ms(p) - p->check_us / 1e3) / oracle_ms(p);
}

static double busiest_of_oracle(const struct phases_point *p)
{
	return p->busiest[PHASES_TWO] / p->busiest[PHASES_ORACLE];
}

static double of_late(const struct phases_point *p)
{
	return two_ms(p) / late_ms(p);
}

static double of_uniform(const struct phases_point *p)
{
	return two_ms(p) / uniform_ms(p);
}

static double expect_us(const struct phases_point *p)
{
	return p->expect_us;
}

static double check_us(const struct phases_point *p)
{
	return p->check_us;
}

static double plan_us(const struct phases_point *p)
{
	return p->plan_us;
}

static double fetch_us(const struct phases_point *p)
{
	return p->fetch_us;
}

static double skew_of(const struct phases_point *p)
{
	return p->skew;
}

void phases_report(
	const struct phases_point *points, size_t n, const struct lina_sched_stats *stats)
{
	static const struct {
		enum which which;
		const char *what, *unit;
		value_fn value;
	} lines[] = {
		{ ALL, "busiest expert over the mean", "", skew_of },
		{ ALL, "uniform, no replicas", "ms", uniform_ms },
		{ ALL, "oracle", "ms", oracle_ms },
		{ ALL, "two phases", "ms", two_ms },
		{ ALL, "placed when the gate has chosen", "ms", late_ms },
		{ HITS, "hits: two phases over oracle", "", of_oracle },
		{ HITS, "hits: the same without the exchange of counts", "", sent_of_oracle },
		{ HITS, "hits: choices of the busiest device, over the oracle's", "",
			busiest_of_oracle },
		{ MISSES, "misses: two phases over placed when the gate has chosen", "", of_late },
		{ ALL, "two phases over placed when the gate has chosen", "", of_late },
		{ ALL, "two phases over uniform", "", of_uniform },
		{ ALL, "placing for the estimate (not in the time)", "us", expect_us },
		{ ALL, "counts of all ranks", "us", check_us },
		{ HITS, "hits: comparing", "us", plan_us },
		{ MISSES, "misses: comparing and placing again", "us", plan_us },
		{ MISSES, "misses: fetching experts", "us", fetch_us },
	};
	double *scratch = calloc(n, sizeof(*scratch));
	uint64_t found = stats->hits + stats->again;

	if (scratch == NULL)
		die("no memory for %zu points", n);
	printf("hit rate %.3f, placed again %.3f of %llu; experts fetched by a device for one "
	       "layer: "
	       "%.2f\n",
		(double)stats->hits / (double)found, (double)stats->again / (double)found,
		(unsigned long long)found, (double)stats->fetched / (double)found);
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		show(points, n, lines[i].which, lines[i].what, lines[i].unit, lines[i].value,
			scratch);
	free(scratch);
}
