#include "priority/fit.h"

#include <errno.h>

/* The weight of samples before anything is known, that of 8 or a few more; the least standard
 * deviation of sizes by their mean, squared; the least slope by its standard error, squared. */
static const double weight_least = 7, spread_least = 1e-4, certain_least = 100;

/* Outliers: by mean deviations, and by what is expected. */
static const double outlier_noises = 4, outlier_part = 1.0 / 32;

struct real_line {
	double alpha_ns, byte_ns;
};

void lina_fit_init(struct lina_fit *fit, uint32_t memory)
{
	*fit = (struct lina_fit){ .keep = 1 - 1.0 / memory };
}

/* Whether the sizes differ enough to tell alpha from the time of a byte. The slope is b / x and its
 * standard error the root of (y - b^2 / x) / (w x), with x, y, b the spreads and w the weight. */
static bool sizes_tell(const struct lina_fit *f)
{
	double mean_square = f->weight * f->mean_bytes * f->mean_bytes;
	double explained = f->spread_both * f->spread_both;
	double noise = f->spread_ns * f->spread_bytes - explained;

	return f->weight >= weight_least && f->spread_bytes > spread_least * mean_square &&
	       f->spread_both > 0 && explained * f->weight > certain_least * noise;
}

/* Where sizes tell. */
static struct real_line line_fitted(const struct lina_fit *f)
{
	struct real_line line = { .byte_ns = f->spread_both / f->spread_bytes };

	line.alpha_ns = f->mean_ns - line.byte_ns * f->mean_bytes;
	if (line.alpha_ns < 0) {
		line.alpha_ns = 0;
		line.byte_ns = (f->spread_both + f->weight * f->mean_bytes * f->mean_ns) /
			       (f->spread_bytes + f->weight * f->mean_bytes * f->mean_bytes);
	}
	return line;
}

/* Where they do not any more: with alpha as it was, but no more than half of the mean time. */
static struct real_line line_through_mean(const struct lina_fit *f)
{
	struct real_line line = { .alpha_ns = f->alpha_ns };

	if (line.alpha_ns > f->mean_ns / 2)
		line.alpha_ns = f->mean_ns / 2;
	line.byte_ns = f->mean_bytes > 0 ? (f->mean_ns - line.alpha_ns) / f->mean_bytes : 0;
	return line;
}

static struct real_line line_of(const struct lina_fit *f)
{
	return sizes_tell(f) ? line_fitted(f) : line_through_mean(f);
}

/* The time of a sample, as far as it is believed. */
static double believed_ns(struct lina_fit *f, double bytes, double ns)
{
	struct real_line line = line_of(f);
	double expected_ns = line.alpha_ns + line.byte_ns * bytes;
	double limit_ns = outlier_noises * f->noise_ns, off_ns = ns - expected_ns;

	if (limit_ns < outlier_part * expected_ns)
		limit_ns = outlier_part * expected_ns;
	if (off_ns > limit_ns)
		off_ns = limit_ns;
	if (off_ns < -limit_ns)
		off_ns = -limit_ns;
	f->noise_weight = f->noise_weight * f->keep + 1;
	f->noise_ns += ((off_ns < 0 ? -off_ns : off_ns) - f->noise_ns) / f->noise_weight;
	return expected_ns + off_ns;
}

static void sample_add(struct lina_fit *f, double bytes, double ns)
{
	double off_bytes = bytes - f->mean_bytes, off_ns = ns - f->mean_ns;

	f->weight = f->weight * f->keep + 1;
	f->mean_bytes += off_bytes / f->weight;
	f->mean_ns += off_ns / f->weight;
	f->spread_bytes = f->spread_bytes * f->keep + off_bytes * (bytes - f->mean_bytes);
	f->spread_ns = f->spread_ns * f->keep + off_ns * (ns - f->mean_ns);
	f->spread_both = f->spread_both * f->keep + off_bytes * (ns - f->mean_ns);
}

void lina_fit_add(struct lina_fit *fit, uint64_t bytes, uint64_t ns)
{
	double time_ns = (double)ns;

	if (fit->known)
		time_ns = believed_ns(fit, (double)bytes, time_ns);
	sample_add(fit, (double)bytes, time_ns);
	if (!sizes_tell(fit))
		return;
	fit->known = true;
	fit->alpha_ns = line_fitted(fit).alpha_ns;
}

int lina_fit_line(const struct lina_fit *fit, struct lina_line *line_p)
{
	if (!fit->known)
		return -EAGAIN;
	struct real_line line = line_of(fit);
	double byte_ps = line.byte_ns * 1000 + 0.5;

	if (byte_ps < 1)
		byte_ps = 1;
	if (byte_ps > UINT32_MAX)
		byte_ps = UINT32_MAX;
	line_p->alpha_ns = (uint64_t)(line.alpha_ns + 0.5);
	line_p->byte_ps = (uint32_t)byte_ps;
	return 0;
}

static uint64_t divide_up(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

uint64_t lina_line_chunk_bytes(const struct lina_line *line, uint32_t overhead_permille)
{
	uint64_t alpha_ps = line->alpha_ns * 1000;
	uint64_t bytes = divide_up(
		alpha_ps * (1000 - overhead_permille), (uint64_t)overhead_permille * line->byte_ps);

	return bytes > 0 ? bytes : 1;
}
