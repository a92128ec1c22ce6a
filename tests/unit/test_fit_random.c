/* The fit against its twin: weighted least squares by plain sums over samples that were kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>

#include "priority/fit.h"

enum { SAMPLES = 300, RUNS = 300 };

struct twin_line {
	bool told; /* the samples tell alpha from the time of a byte */
	double alpha_ns, byte_ns;
};

static struct {
	uint64_t random;
	uint32_t memory;
	struct lina_fit fit;
	int n;
	double bytes[SAMPLES], ns[SAMPLES]; /* as far as they are believed */
	double off_ns[SAMPLES];             /* the line, when they came; -1: it was not known */
	bool known;
	double alpha_ns;
} r;

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t random_below(uint64_t n)
{
	uint64_t z = (r.random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % n;
}

/* --- the twin --- */

static double weight_of(int sample)
{
	return pow(1 - 1.0 / r.memory, r.n - 1 - sample);
}

struct moments {
	double w, x, y, xx, xy, yy;
};

/* About a point, so that squares of large numbers do not eat the digits. */
static struct moments moments_about(double bytes, double ns)
{
	struct moments m = { 0, 0, 0, 0, 0, 0 };

	for (int i = 0; i < r.n; i++) {
		double w = weight_of(i), x = r.bytes[i] - bytes, y = r.ns[i] - ns;
		m.w += w;
		m.x += w * x;
		m.y += w * y;
		m.xx += w * x * x;
		m.xy += w * x * y;
		m.yy += w * y * y;
	}
	return m;
}

static struct twin_line twin_line(void)
{
	struct moments zero = moments_about(0, 0);
	double x = zero.x / zero.w, y = zero.y / zero.w;
	struct moments m = moments_about(x, y);
	struct twin_line line = { .byte_ns = m.xy / m.xx };
	/* The slope's variance, by its residuals'. */
	double residuals = m.yy - line.byte_ns * m.xy, slope_variance = residuals / m.w / m.xx;

	line.told = m.w >= 7 && sqrt(m.xx / m.w) > 0.01 * x && line.byte_ns > 0 &&
		    line.byte_ns * line.byte_ns > 100 * slope_variance;
	line.alpha_ns = y - line.byte_ns * x;
	if (line.told && line.alpha_ns < 0) {
		line.alpha_ns = 0;
		line.byte_ns = zero.xy / zero.xx;
	} else if (!line.told) {
		line.alpha_ns = fmin(r.alpha_ns, y / 2);
		line.byte_ns = x > 0 ? (y - line.alpha_ns) / x : 0;
	}
	return line;
}

static double twin_noise(void)
{
	double w = 0, sum = 0;

	for (int i = 0; i < r.n; i++) {
		if (r.off_ns[i] < 0)
			continue;
		w += weight_of(i);
		sum += weight_of(i) * r.off_ns[i];
	}
	return w > 0 ? sum / w : 0;
}

static void twin_add(double bytes, double ns)
{
	double off_ns = -1;

	if (r.known) {
		struct twin_line line = twin_line();
		double expected = line.alpha_ns + line.byte_ns * bytes;
		double limit = fmax(4 * twin_noise(), expected / 32);
		ns = fmin(fmax(ns, expected - limit), expected + limit);
		off_ns = fabs(ns - expected);
	}
	r.bytes[r.n] = bytes;
	r.ns[r.n] = ns;
	r.off_ns[r.n++] = off_ns;
	struct twin_line line = twin_line();
	if (line.told) {
		r.known = true;
		r.alpha_ns = line.alpha_ns;
	}
}

/* --- runs --- */

static void agrees(int run)
{
	struct lina_line line = { 0, 0 };
	struct twin_line twins = twin_line();
	int err = lina_fit_line(&r.fit, &line);

	if (err != (r.known ? 0 : -EAGAIN))
		fail_msg("run %d sample %d: %d", run, r.n, err);
	if (!r.known)
		return;
	double byte_ps = fmax(twins.byte_ns * 1000, 1);
	if (fabs((double)line.alpha_ns - twins.alpha_ns) > 1 + 1e-6 * twins.alpha_ns ||
		fabs((double)line.byte_ps - byte_ps) > 1 + 1e-6 * byte_ps)
		fail_msg("run %d sample %d: %f + %f, twin %f + %f", run, r.n, (double)line.alpha_ns,
			line.byte_ps / 1e3, twins.alpha_ns, twins.byte_ns);
}

/* A link with noise and outliers that may change half way, and sizes that may be alike then. */
static void run_with(int run)
{
	uint64_t alpha = random_below(20000);
	uint64_t byte_ps = 10 + random_below(random_below(2) ? 100 : 20000);
	uint64_t noise = 1 + random_below(5000), sizes = 1 + random_below(200000);

	r.n = 0;
	r.known = false;
	r.alpha_ns = 0;
	r.memory = 16 + (uint32_t)random_below(100);
	lina_fit_init(&r.fit, r.memory);
	for (int i = 0; i < SAMPLES; i++) {
		if (i == SAMPLES / 2 && random_below(2))
			byte_ps = 10 + random_below(20000);
		if (i == SAMPLES / 2 && random_below(2))
			alpha = random_below(alpha + 1);
		if (i == SAMPLES / 2 && random_below(2))
			sizes = 1 + random_below(sizes);
		uint64_t bytes = 100000 + random_below(sizes);
		uint64_t ns = alpha + bytes * byte_ps / 1000 + random_below(noise);
		if (random_below(50) == 0)
			ns *= 1 + random_below(30);
		lina_fit_add(&r.fit, bytes, ns);
		twin_add((double)bytes, (double)ns);
		agrees(run);
	}
}

static void the_fit_is_weighted_least_squares(void **state)
{
	(void)state;
	for (int run = 0; run < RUNS; run++)
		run_with(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_fit_is_weighted_least_squares),
	};

	r.random = 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
