/* Estimates against slow twins that keep everything, and against laws that are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/popularity.h"
#include "popularity/generated.h"

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * (1 + fabs(b));
}

/* --- loads --- */

enum { ITERATIONS = 23, LAYERS = 3, EXPERTS = 7 };

static double history[ITERATIONS][LAYERS * EXPERTS];

static struct lina_counts *iteration(int i)
{
	struct lina_counts *counts;

	assert_int_equal(lina_counts_create(LAYERS, EXPERTS, &counts), 0);
	memcpy(counts->tokens, history[i], sizeof(history[i]));
	return counts;
}

/* What an iteration that came `age` ones ago weighs. */
static double weight_of(const struct lina_loads_settings *s, int age)
{
	if (s->method == LINA_LOADS_WINDOW)
		return age < s->window;
	return s->method == LINA_LOADS_DECAY ? pow(0.5, age / s->half_life) : 1;
}

static void expect_twin(
	const struct lina_loads *loads, const struct lina_loads_settings *s, int upto)
{
	struct lina_counts *estimate;

	assert_int_equal(lina_loads_estimate(loads, &estimate), 0);
	for (int c = 0; c < LAYERS * EXPERTS; c++) {
		double sum = 0, weights = 0;

		for (int i = 0; i <= upto; i++) {
			sum += weight_of(s, upto - i) * history[i][c];
			weights += weight_of(s, upto - i);
		}
		assert_true(near(estimate->tokens[c], sum / weights));
	}
	lina_counts_destroy(estimate);
}

static void loads_are_means_of_what_was(void **state)
{
	static const struct lina_loads_settings settings[] = { { LINA_LOADS_MEAN, 1, 1 },
		{ LINA_LOADS_WINDOW, 5, 1 }, { LINA_LOADS_WINDOW, 1, 1 },
		{ LINA_LOADS_DECAY, 1, 4 } };
	uint64_t random = 3;

	(void)state;
	for (int i = 0; i < ITERATIONS; i++)
		for (int c = 0; c < LAYERS * EXPERTS; c++)
			history[i][c] = (double)random_below(&random, 1000);
	for (size_t k = 0; k < sizeof(settings) / sizeof(*settings); k++) {
		struct lina_loads *loads;
		struct lina_counts *none;

		assert_int_equal(lina_loads_create(&settings[k], &loads), 0);
		assert_int_equal(lina_loads_estimate(loads, &none), -ENODATA);
		for (int i = 0; i < ITERATIONS; i++) {
			struct lina_counts *counts = iteration(i);

			assert_int_equal(lina_loads_add(loads, counts), 0);
			lina_counts_destroy(counts);
			expect_twin(loads, &settings[k], i);
		}
		lina_loads_destroy(loads);
	}
}

/* Hecate's w = 5 is the default; what came six iterations ago counts no more. */
static void default_is_the_mean_of_the_last_five(void **state)
{
	struct lina_loads_settings s = lina_loads_settings_default();
	struct lina_counts *counts, *estimate;
	struct lina_loads *loads;

	(void)state;
	assert_int_equal(lina_loads_create(&s, &loads), 0);
	assert_int_equal(lina_counts_create(1, 2, &counts), 0);
	for (int i = 0; i < 6; i++) {
		counts->tokens[0] = i == 0 ? 1000 : i;
		assert_int_equal(lina_loads_add(loads, counts), 0);
	}
	assert_int_equal(lina_loads_estimate(loads, &estimate), 0);
	assert_true(near(estimate->tokens[0], 3));
	lina_counts_destroy(estimate);
	lina_counts_destroy(counts);
	lina_loads_destroy(loads);
}

static void iterations_may_grow(void **state)
{
	static const enum lina_loads_method methods[] = { LINA_LOADS_WINDOW, LINA_LOADS_MEAN };

	(void)state;
	for (int m = 0; m < 2; m++) {
		const struct lina_loads_settings s = { methods[m], 5, 1 };
		struct lina_counts *small, *large, *estimate;
		struct lina_loads *loads;

		assert_int_equal(lina_loads_create(&s, &loads), 0);
		assert_int_equal(lina_counts_create(1, 1, &small), 0);
		assert_int_equal(lina_counts_create(2, 3, &large), 0);
		small->tokens[0] = 4;
		large->tokens[0] = 2;
		large->tokens[5] = 8;
		assert_int_equal(lina_loads_add(loads, small), 0);
		assert_int_equal(lina_loads_add(loads, large), 0);
		assert_int_equal(lina_loads_estimate(loads, &estimate), 0);
		assert_int_equal(estimate->nlayers, 2);
		assert_int_equal(estimate->nexperts, 3);
		assert_true(near(estimate->tokens[0], 3));
		assert_true(near(estimate->tokens[5], 4));
		lina_counts_destroy(estimate);
		lina_counts_destroy(small);
		lina_counts_destroy(large);
		lina_loads_destroy(loads);
	}
}

static void settings_out_of_range_are_refused(void **state)
{
	static const struct lina_loads_settings bad[] = { { LINA_LOADS_WINDOW, 0, 1 },
		{ LINA_LOADS_DECAY, 1, 0 }, { (enum lina_loads_method)3, 1, 1 } };
	static const struct lina_paths_settings bad_paths[] = { { 0, 8, 1, 1 }, { 7, 8, 1, 1 },
		{ 3, 0, 1, 1 }, { 3, 257, 1, 1 }, { 3, 8, 0, 1 }, { 3, 8, 1, 0 } };
	struct lina_paths *paths;
	struct lina_loads *loads;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(lina_loads_create(&bad[i], &loads), -EINVAL);
	for (size_t i = 0; i < sizeof(bad_paths) / sizeof(*bad_paths); i++)
		assert_int_equal(lina_paths_create(&bad_paths[i], &paths), -EINVAL);
}

/* --- paths --- */

enum { TOKENS = 3000, PATH_LAYERS = 6, PATH_EXPERTS = 5, TOPK = 2, BATCH = 50 };

static int routed[TOKENS + BATCH][PATH_LAYERS][TOPK];
static const int layer_numbers[PATH_LAYERS] = { 0, 1, 2, 4, 5, 9 };

/* The first choice follows from the last two, with some noise; the second is another one. */
static void route(uint64_t *random, int token)
{
	for (int l = 0; l < PATH_LAYERS; l++) {
		int a = l > 0 ? routed[token][l - 1][0] : 0,
		    b = l > 1 ? routed[token][l - 2][0] : 0;
		int first = (int)random_below(random, PATH_EXPERTS);

		if (l > 1 && random_below(random, 10) < 7)
			first = (2 * a + b + l) % PATH_EXPERTS;
		routed[token][l][0] = first;
		routed[token][l][1] =
			random_below(random, 20) == 0
				? -1
				: (first + 1 + (int)random_below(random, 3)) % PATH_EXPERTS;
	}
}

static struct lina_token_paths tokens_at(int first, int n)
{
	return (struct lina_token_paths){ n, PATH_LAYERS, TOPK, layer_numbers,
		&routed[first][0][0] };
}

static bool shares_end(int a, int b, int at, int length)
{
	for (int l = at - length; l < at; l++)
		if (routed[a][l][0] != routed[b][l][0])
			return false;
	return true;
}

/* P(e | the longest end of the token's path that some learned token had), by looking at all. */
static void twin_predict(int token, int at, int length, double *shares)
{
	for (int n = at < length ? at : length; n >= 0; n--) {
		double count[PATH_EXPERTS] = { 0 }, sum = 0;

		for (int t = 0; t < TOKENS; t++)
			for (int k = 0; k < TOPK && shares_end(token, t, at, n); k++)
				if (routed[t][at][k] >= 0) {
					count[routed[t][at][k]]++;
					sum++;
				}
		for (int e = 0; e < PATH_EXPERTS && sum > 0; e++)
			shares[e] += count[e] / sum;
		if (sum > 0)
			return;
	}
}

static struct lina_paths *learned(const struct lina_paths_settings *s)
{
	struct lina_token_paths tokens = tokens_at(0, TOKENS);
	struct lina_paths *paths;
	uint64_t random = 7;

	for (int t = 0; t < TOKENS + BATCH; t++)
		route(&random, t);
	assert_int_equal(lina_paths_create(s, &paths), 0);
	assert_int_equal(lina_paths_add(paths, &tokens), 0);
	return paths;
}

/* All tokens of the batch at one layer. */
static void paths_agree_at(const struct lina_paths *paths, int length, int at)
{
	struct lina_token_paths batch = tokens_at(TOKENS, BATCH);
	double said[PATH_EXPERTS] = { 0 }, twin[PATH_EXPERTS] = { 0 }, sum = 0;
	int known;

	lina_paths_predict(paths, &batch, at, PATH_EXPERTS, said, &known);
	for (int t = TOKENS; t < TOKENS + BATCH; t++)
		twin_predict(t, at, length, twin);
	assert_int_equal(known, BATCH);
	for (int e = 0; e < PATH_EXPERTS; e++) {
		assert_true(near(said[e], twin[e]));
		sum += said[e];
	}
	assert_true(near(sum, BATCH));
}

static void paths_agree_with_their_twin(void **state)
{
	(void)state;
	for (int length = 1; length <= 4; length++) {
		const struct lina_paths_settings s = { length, PATH_EXPERTS, 100000, 1 };
		struct lina_paths *paths = learned(&s);

		for (int at = 0; at < PATH_LAYERS; at++)
			paths_agree_at(paths, length, at);
		lina_paths_destroy(paths);
	}
}

/* The law goes back two layers: one is too few, and beyond two nothing is gained. */
static void longer_paths_predict_a_law_that_goes_back_two_layers(void **state)
{
	double hits[3] = { 0 };

	(void)state;
	for (int length = 1; length <= 2; length++) {
		const struct lina_paths_settings s = { length, PATH_EXPERTS, 100000, 1 };
		struct lina_paths *paths = learned(&s);

		for (int t = TOKENS; t < TOKENS + BATCH; t++) {
			struct lina_token_paths one = tokens_at(t, 1);
			double shares[PATH_EXPERTS] = { 0 };
			int known;

			lina_paths_predict(paths, &one, 4, PATH_EXPERTS, shares, &known);
			hits[length] += shares[routed[t][4][0]];
		}
		lina_paths_destroy(paths);
	}
	/* At best: half of (0.7 + 0.3 / 5), for the second choice has the other half. */
	assert_true(hits[2] / BATCH > 0.32);
	assert_true(hits[1] / BATCH < 0.27);
}

static void few_kept_experts_keep_the_frequent(void **state)
{
	const struct lina_paths_settings s = { 1, 3, 100, 1 };
	const int layers[] = { 0, 1 };
	struct lina_paths *paths;
	struct lina_path path;
	uint64_t random = 5;

	(void)state;
	assert_int_equal(lina_paths_create(&s, &paths), 0);
	for (int i = 0; i < 5000; i++) {
		int next = random_below(&random, 10) < 5 ? 17 : (int)random_below(&random, 1000);
		const int experts[] = { 0, next };
		struct lina_token_paths token = { 1, 2, 1, layers, experts };

		assert_int_equal(lina_paths_add(paths, &token), 0);
	}
	assert_int_equal(lina_paths_get(paths, 0, &path), 0);
	assert_int_equal(path.total, 5000);
	assert_int_equal(path.nnext, 3);
	int found = -1;
	for (int k = 0; k < path.nnext; k++)
		found = path.next[k] == 17 ? k : found;
	assert_true(found >= 0);
	assert_true(path.count[found] >= 2400 && path.count[found] <= 2600 + 5000 / 3);
	lina_paths_destroy(paths);
}

static void a_full_table_falls_back_to_shorter_paths(void **state)
{
	const struct lina_paths_settings s = { 3, PATH_EXPERTS, 1, 1 };
	struct lina_paths *paths = learned(&s);
	struct lina_path path;
	int longer = 0;

	(void)state;
	for (size_t i = 0; !lina_paths_get(paths, i, &path); i++)
		longer += path.length > 1;
	assert_int_equal(longer, 0);
	lina_paths_destroy(paths);
}

static void samples_are_one_of_so_many_tokens(void **state)
{
	const struct lina_paths_settings s = { 3, PATH_EXPERTS, 100000, 10 };
	struct lina_paths *paths = learned(&s);
	const double *loads;
	double sum = 0;
	int n;

	(void)state;
	loads = lina_paths_loads(paths, 9, &n);
	for (int e = 0; e < n; e++)
		sum += loads[e];
	assert_true(sum > TOKENS / 10.0 * (TOPK - 1) && sum <= TOKENS / 10.0 * TOPK);
	lina_paths_destroy(paths);
}

static void what_was_never_seen_has_no_prediction(void **state)
{
	const struct lina_paths_settings s = lina_paths_settings_default();
	struct lina_paths *paths = learned(&s);
	const int layers[] = { 100 }, experts[] = { 0 };
	struct lina_token_paths token = { 1, 1, 1, layers, experts };
	double share = 0;
	int known;

	(void)state;
	lina_paths_predict(paths, &token, 0, 1, &share, &known);
	assert_int_equal(known, 0);
	assert_true(share == 0);
	lina_paths_destroy(paths);
}

/* --- judging --- */

static void lists_of_the_top_are_compared(void **state)
{
	const double estimate[] = { 9, 8, 7, 6, 1, 0 }, truth[] = { 9, 7, 8, 0, 6, 0 };
	struct lina_top_agreement said;

	(void)state;
	assert_int_equal(lina_top_agreement(estimate, truth, 6, 1, &said), 0);
	assert_int_equal(said.n, 2);
	assert_int_equal(said.same_place, 1);
	assert_int_equal(said.in_both, 1);
	assert_false(said.same_set);
	assert_int_equal(lina_top_agreement(estimate, truth, 6, 2, &said), 0);
	assert_int_equal(said.n, 4);
	assert_int_equal(said.same_place, 1);
	assert_int_equal(said.in_both, 3);
	assert_int_equal(lina_top_agreement(estimate, truth, 6, 100, &said), 0);
	assert_int_equal(said.n, 6);
	assert_true(said.same_set);
}

static void groups_have_favourites(void **state)
{
	/* Group 0: 6 of 10; group 1: 7 of 10; all: 8 of 20. */
	const double pair[] = { 6, 1, 3, 2, 1, 7, 0, 0, 0 };
	double share, base;

	(void)state;
	assert_int_equal(lina_group_share(pair, 3, 1, &share, &base), 0);
	assert_true(near(share, 13.0 / 20));
	assert_true(near(base, 10.0 / 20));
	assert_int_equal(lina_group_share(pair, 3, 2, &share, &base), 0);
	assert_true(near(share, 18.0 / 20));
	assert_int_equal(lina_group_share(pair + 6, 1, 1, &share, &base), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loads_are_means_of_what_was),
		cmocka_unit_test(default_is_the_mean_of_the_last_five),
		cmocka_unit_test(iterations_may_grow),
		cmocka_unit_test(settings_out_of_range_are_refused),
		cmocka_unit_test(paths_agree_with_their_twin),
		cmocka_unit_test(longer_paths_predict_a_law_that_goes_back_two_layers),
		cmocka_unit_test(few_kept_experts_keep_the_frequent),
		cmocka_unit_test(a_full_table_falls_back_to_shorter_paths),
		cmocka_unit_test(samples_are_one_of_so_many_tokens),
		cmocka_unit_test(what_was_never_seen_has_no_prediction),
		cmocka_unit_test(lists_of_the_top_are_compared),
		cmocka_unit_test(groups_have_favourites),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
