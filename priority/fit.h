/*
 * What handing bytes down costs, learned while it is done: a time of alpha for each piece and a
 * time for each byte, and from them how large a chunk has to be. Pure; every call
 * takes constant time. Callers serialise.
 *
 * The line is the least squares fit through all samples, each of which weighs 1 - 1/memory of the
 * one after it, by updated means and sums of squares about them (D. H. D. West, Updating mean and
 * variance estimates, CACM 22(9), 1979), which lose no digits where sums of squares would.
 *
 * What a fit alone does badly:
 *   - Sizes that are all alike say nothing of alpha, and they will be alike once the chunk follows
 *     from the fit. While they differ by too little (1 % about their mean), or the slope is not
 *     ten times its standard error, alpha stays as it was last known and the time of a byte follows
 *     the mean.
 *   - Outliers: a sample that is off the line by more than 4 times the mean deviation (or 1/32 of
 *     what is expected, where that is more) counts as off by that much (P. J. Huber, Robust
 *     estimation of a location parameter, 1964). If the link has changed, the deviation grows with
 *     them, and the line follows after all. Not before the line is known.
 *   - Noise can put alpha below 0: then it is 0, and the time of a byte is the best without it.
 */
#ifndef LINA_PRIORITY_FIT_H
#define LINA_PRIORITY_FIT_H

#include <stdbool.h>
#include <stdint.h>

struct lina_fit {
	double keep;                                 /* of its weight, at each sample */
	double weight, mean_bytes, mean_ns;          /* of the samples */
	double spread_bytes, spread_ns, spread_both; /* sums of squares about the means */
	bool known;
	double alpha_ns; /* when it was last known */
	double noise_ns; /* mean deviation from the line, of samples when they came */
	double noise_weight;
};

struct lina_line {
	uint64_t alpha_ns;
	uint32_t byte_ps; /* > 0 */
};

/* memory: of how many samples, about; 16 or more. */
void lina_fit_init(struct lina_fit *fit, uint32_t memory);

/* Handing down bytes (up to 1 TiB) took ns (up to 1 hour). */
void lina_fit_add(struct lina_fit *fit, uint64_t bytes, uint64_t ns);

/* The line in *line_p. -EAGAIN: the samples so far do not tell alpha from the time of a byte. */
int lina_fit_line(const struct lina_fit *fit, struct lina_line *line_p);

/* The smallest chunk of n bytes, n > 0, of whose time alpha is at most overhead_permille (1..1000):
 * alpha / (alpha + n byte) <= overhead (alpha up to 1 hour). */
uint64_t lina_line_chunk_bytes(const struct lina_line *line, uint32_t overhead_permille);

#endif
