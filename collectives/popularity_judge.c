/* How good an estimate is, in the measures of Lina's paper. */
#include <errno.h>
#include <stdlib.h>

#include "collectives/popularity.h"

struct ranked {
	double tokens;
	int expert;
};

static int compare(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->tokens != y->tokens)
		return x->tokens > y->tokens ? -1 : 1;
	return x->expert - y->expert;
}

static void rank(const double *tokens, int nexperts, struct ranked *out)
{
	for (int e = 0; e < nexperts; e++)
		out[e] = (struct ranked){ tokens[e], e };
	qsort(out, (size_t)nexperts, sizeof(*out), compare);
}

int lina_top_agreement(const double *estimate, const double *truth, int nexperts, int topk,
	struct lina_top_agreement *agreement_p)
{
	struct ranked *a = malloc(2 * (size_t)nexperts * sizeof(*a)), *b = a + nexperts;
	struct lina_top_agreement said = { .n = 2 * topk < nexperts ? 2 * topk : nexperts };

	if (!a)
		return -ENOMEM;
	rank(estimate, nexperts, a);
	rank(truth, nexperts, b);
	for (int i = 0; i < said.n; i++) {
		said.same_place += a[i].expert == b[i].expert;
		for (int k = 0; k < said.n; k++)
			said.in_both += a[i].expert == b[k].expert;
	}
	said.same_set = said.in_both == said.n;
	free(a);
	*agreement_p = said;
	return 0;
}

/* Tokens of the topk largest. */
static double top_sum(const double *tokens, int nexperts, int topk, struct ranked *scratch)
{
	double sum = 0;

	rank(tokens, nexperts, scratch);
	for (int i = 0; i < topk && i < nexperts; i++)
		sum += scratch[i].tokens;
	return sum;
}

int lina_group_share(const double *pair, int nexperts, int topk, double *share_p, double *base_p)
{
	struct ranked *scratch = malloc((size_t)nexperts * sizeof(*scratch));
	double *all = calloc((size_t)nexperts, sizeof(*all)), sum = 0, top = 0;
	int err = scratch && all ? 0 : -ENOMEM;

	for (int from = 0; from < nexperts && !err; from++) {
		const double *row = pair + (size_t)from * (size_t)nexperts;

		top += top_sum(row, nexperts, topk, scratch);
		for (int to = 0; to < nexperts; to++) {
			all[to] += row[to];
			sum += row[to];
		}
	}
	if (!err && !(sum > 0))
		err = -ENODATA;
	if (!err) {
		*base_p = top_sum(all, nexperts, topk, scratch) / sum;
		*share_p = top / sum;
	}
	free(scratch);
	free(all);
	return err;
}
