/* What bench_mix measured on one network, and what it comes to. No output, no state of its own. */
#ifndef LINA_PERF_MIX_FIGURES_H
#define LINA_PERF_MIX_FIGURES_H

#include <stddef.h>

enum mix_kind {
	MIX_ALONE,     /* an all-to-all, nothing beside it */
	MIX_ALLREDUCE, /* an allreduce, nothing beside it: one a round */
	MIX_UNDER,     /* an all-to-all that began and ended within an allreduce */
	MIX_AFTER,     /* one that was issued beside an allreduce and outlived it */
	MIX_BOTH, /* an allreduce and the all-to-alls beside it, until both are done: one a round */
	MIX_NKINDS
};

/* "alone", "allreduce", ... */
const char *mix_kind_name(enum mix_kind kind);

/* Times in the order of measurement; the owner of the struct owns the array. */
struct mix_series {
	double *time_us;
	size_t n, capacity;
};

struct mix_samples {
	struct mix_series of[MIX_NKINDS];
};

/* Appends one. -ENOMEM. */
int mix_samples_add(struct mix_samples *samples, enum mix_kind kind, double time_us);
void mix_samples_free(struct mix_samples *samples);

/* Median and spread; NaN where there is no sample. */
struct mix_quantiles {
	double p10_us, p50_us, p90_us, p95_us;
};

struct mix_figures {
	struct mix_quantiles of[MIX_NKINDS];
	double line_share;             /* time at line rate over the median alone; 0: no rate */
	double slowdown, slowdown_p95; /* under an allreduce, over the median alone */
	double allreduce_rate;         /* over the reference network's: median over rounds */
	double need_us;                /* mix_need_us() of the medians alone */
	double both_share; /* need_us over the median of both: 1 where nothing is lost */
};

struct mix_setting {
	int count;      /* all-to-alls beside an allreduce */
	double gap_us;  /* before each */
	double line_us; /* one all-to-all at line rate; 0: no rate */
};

/* `reference`: the samples that the rate of the allreduce is compared with. Both have a sample of
 * MIX_ALONE, MIX_ALLREDUCE and MIX_BOTH at least, and as many allreduces as each other. -ENOMEM. */
int mix_figure(const struct mix_samples *samples, const struct mix_samples *reference,
	const struct mix_setting *setting, struct mix_figures *figures_p);

#endif
