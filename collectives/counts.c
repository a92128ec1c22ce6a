#include "collectives/counts.h"

#include <errno.h>
#include <stdlib.h>

int lina_counts_create(int nlayers, int nexperts, struct lina_counts **counts_p)
{
	struct lina_counts *counts;

	if (nlayers < 1 || nlayers > LINA_LAYERS_MAX || nexperts < 1 || nexperts > LINA_EXPERTS_MAX)
		return -EINVAL;
	counts = malloc(sizeof(*counts));
	if (!counts)
		return -ENOMEM;
	*counts = (struct lina_counts){ .nlayers = nlayers,
		.nexperts = nexperts,
		.tokens = calloc((size_t)nlayers * (size_t)nexperts, sizeof(double)) };
	if (!counts->tokens) {
		free(counts);
		return -ENOMEM;
	}
	*counts_p = counts;
	return 0;
}

void lina_counts_destroy(struct lina_counts *counts)
{
	if (!counts)
		return;
	free(counts->tokens);
	free(counts);
}

int lina_transitions_create(int npairs, int nexperts, struct lina_transitions **transitions_p)
{
	struct lina_transitions *transitions;
	size_t n = (size_t)nexperts;

	if (npairs < 1 || npairs >= LINA_LAYERS_MAX || nexperts < 1 || nexperts > LINA_EXPERTS_MAX)
		return -EINVAL;
	transitions = malloc(sizeof(*transitions));
	if (!transitions)
		return -ENOMEM;
	*transitions = (struct lina_transitions){ .npairs = npairs,
		.nexperts = nexperts,
		.tokens = calloc((size_t)npairs * n * n, sizeof(double)) };
	if (!transitions->tokens) {
		free(transitions);
		return -ENOMEM;
	}
	*transitions_p = transitions;
	return 0;
}

void lina_transitions_destroy(struct lina_transitions *transitions)
{
	if (!transitions)
		return;
	free(transitions->tokens);
	free(transitions);
}

double lina_counts_sum(const struct lina_counts *counts, int layer)
{
	const double *tokens = lina_counts_layer(counts, layer);
	double sum = 0;

	for (int e = 0; e < counts->nexperts; e++)
		sum += tokens[e];
	return sum;
}

int lina_counts_add(struct lina_counts *sum, const struct lina_counts *counts, double weight)
{
	size_t n = (size_t)counts->nlayers * (size_t)counts->nexperts;

	if (sum->nlayers != counts->nlayers || sum->nexperts != counts->nexperts)
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		sum->tokens[i] += weight * counts->tokens[i];
	return 0;
}

int lina_counts_check(const struct lina_counts *counts, size_t *where_p)
{
	size_t n = (size_t)counts->nlayers * (size_t)counts->nexperts;

	for (size_t i = 0; i < n; i++)
		if (!(counts->tokens[i] >= 0 && counts->tokens[i] <= LINA_LOAD_MAX)) {
			*where_p = i;
			return -EINVAL;
		}
	return 0;
}

int lina_transitions_counts(
	const struct lina_transitions *transitions, struct lina_counts **counts_p)
{
	int n = transitions->nexperts;
	int err = lina_counts_create(transitions->npairs + 1, n, counts_p);

	if (err)
		return err;
	for (int p = 0; p < transitions->npairs; p++) {
		const double *pair = lina_transitions_pair(transitions, p);
		double *from = lina_counts_layer(*counts_p, p);

		for (int i = 0; i < n * n; i++)
			from[i / n] += pair[i];
	}
	const double *last = lina_transitions_pair(transitions, transitions->npairs - 1);
	double *to = lina_counts_layer(*counts_p, transitions->npairs);
	for (int i = 0; i < n * n; i++)
		to[i % n] += last[i];
	return 0;
}
