/* MoETuner's two integer programs, as CBC gets them. Without CBC nothing here works. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/moetuner.h"

#ifdef LINA_HAVE_CBC
#include <coin/Cbc_C_Interface.h>
#include <stdio.h>

bool lina_moetuner_available(void)
{
	return true;
}

/* A row while it is put together. */
struct row {
	int n, *column;
	double *value;
};

static int row_create(struct row *row, int room)
{
	row->n = 0;
	row->column = malloc((size_t)room * sizeof(*row->column));
	row->value = malloc((size_t)room * sizeof(*row->value));
	if (row->column && row->value)
		return 0;
	free(row->column);
	free(row->value);
	return -ENOMEM;
}

static void row_destroy(struct row *row)
{
	free(row->column);
	free(row->value);
}

static void row_add(struct row *row, int column, double value)
{
	row->column[row->n] = column;
	row->value[row->n++] = value;
}

/* Hands the row over and begins the next. sense: 'L', 'G' or 'E'. */
static void row_end(struct row *row, Cbc_Model *model, char sense, double value)
{
	Cbc_addRow(model, "", row->n, row->column, row->value, sense, value);
	row->n = 0;
}

static Cbc_Model *model_create(const struct lina_moetuner_settings *settings)
{
	Cbc_Model *model = Cbc_newModel();
	char text[32];

	if (!model)
		return NULL;
	Cbc_setLogLevel(model, 0);
	(void)snprintf(text, sizeof(text), "%g", settings->time_limit_s);
	Cbc_setParameter(model, "seconds", text);
	(void)snprintf(text, sizeof(text), "%g", settings->gap);
	Cbc_setParameter(model, "ratioGap", text);
	return model;
}

static int model_solve(Cbc_Model *model)
{
	(void)Cbc_solve(model);
	return Cbc_bestSolution(model) && !Cbc_isProvenInfeasible(model) ? 0 : -ENOENT;
}

static void add_columns(Cbc_Model *model, int n, double most, double cost, char integer)
{
	for (int i = 0; i < n; i++)
		Cbc_addCol(model, "", 0, most, cost, integer, 0, NULL, NULL);
}

/* --- experts to clusters --- */

/* Columns: x[c][e], then the deviation of each cluster. */
static void clusters_rows(Cbc_Model *model, struct row *row, const double *tokens, int nexperts,
	int nclusters, int capacity)
{
	double mean = 0;

	for (int e = 0; e < nexperts; e++)
		mean += tokens[e] / nclusters;
	for (int e = 0; e < nexperts; e++) {
		for (int c = 0; c < nclusters; c++)
			row_add(row, c * nexperts + e, 1);
		row_end(row, model, 'E', 1);
	}
	for (int c = 0; c < nclusters; c++) {
		for (int e = 0; e < nexperts; e++)
			row_add(row, c * nexperts + e, 1);
		row_end(row, model, 'G', 1);
		for (int e = 0; e < nexperts; e++)
			row_add(row, c * nexperts + e, 1);
		row_end(row, model, 'L', capacity);
		for (int sign = -1; sign <= 1; sign += 2) {
			for (int e = 0; e < nexperts; e++)
				row_add(row, c * nexperts + e, sign * tokens[e] / mean);
			row_add(row, nclusters * nexperts + c, -1);
			row_end(row, model, 'L', sign);
		}
	}
}

int lina_moetuner_clusters(const double *tokens, int nexperts, int nclusters, int capacity,
	const struct lina_moetuner_settings *settings, int *cluster, double *gap_p)
{
	double sum = 0;
	struct row row;
	Cbc_Model *model;
	int err;

	for (int e = 0; e < nexperts; e++) {
		sum += tokens[e];
		cluster[e] = e % nclusters;
	}
	*gap_p = 0;
	if (nexperts < nclusters || nexperts > nclusters * capacity)
		return -EINVAL;
	if (!(sum > 0))
		return 0;
	err = row_create(&row, nexperts + nclusters);
	if (err)
		return err;
	model = model_create(settings);
	err = model ? 0 : -ENOMEM;
	if (!err) {
		add_columns(model, nclusters * nexperts, 1, 0, 1);
		add_columns(model, nclusters, INFINITY, 1, 0);
		/* Clusters are alike: the heaviest expert may as well be in the first. */
		int heaviest = 0;
		for (int e = 1; e < nexperts; e++)
			heaviest = tokens[e] > tokens[heaviest] ? e : heaviest;
		Cbc_setColLower(model, heaviest, 1);
		clusters_rows(model, &row, tokens, nexperts, nclusters, capacity);
		err = model_solve(model);
	}
	const double *x = err ? NULL : Cbc_bestSolution(model);
	for (int i = 0; x && i < nclusters * nexperts; i++)
		if (x[i] > 0.5)
			cluster[i % nexperts] = i / nexperts;
	if (!err)
		*gap_p = fmax(0, Cbc_getObjValue(model) - Cbc_getBestPossibleObjValue(model));
	if (model)
		Cbc_deleteModel(model);
	row_destroy(&row);
	return err;
}

/* --- clusters to devices --- */

static int column_of(const struct lina_chain *chain, int layer, int cluster, int device)
{
	return (layer * chain->n + cluster) * chain->n + device;
}

static void one_to_one_rows(Cbc_Model *model, struct row *row, const struct lina_chain *chain)
{
	for (int l = 0; l <= chain->npairs; l++)
		for (int i = 0; i < chain->n; i++) {
			for (int j = 0; j < chain->n; j++)
				row_add(row, column_of(chain, l, i, j), 1);
			row_end(row, model, 'E', 1);
			for (int j = 0; j < chain->n; j++)
				row_add(row, column_of(chain, l, j, i), 1);
			row_end(row, model, 'E', 1);
		}
}

/* t[pair] >= time of (g, h) if c is on g and d on h: the product of two columns, linearised. */
static void time_rows(
	Cbc_Model *model, struct row *row, const struct lina_chain *chain, double scale)
{
	int n = chain->n, ncolumns = (chain->npairs + 1) * n * n;

	for (int p = 0; p < chain->npairs; p++)
		for (int i = 0; i < n * n * n * n; i++) {
			int c = i / n / n / n, d = i / n / n % n, g = i / n % n, h = i % n;
			double t = chain->traffic[(p * n + c) * n + d] * chain->byte_ns[g * n + h] /
				   scale;

			if (t <= 0)
				continue;
			row_add(row, column_of(chain, p, c, g), t);
			row_add(row, column_of(chain, p + 1, d, h), t);
			row_add(row, ncolumns + p, -1);
			row_end(row, model, 'L', t);
		}
}

static void size_rows(Cbc_Model *model, struct row *row, const struct lina_chain *chain,
	const int *sizes, int per_device)
{
	for (int g = 0; sizes && g < chain->n; g++) {
		for (int i = 0; i < (chain->npairs + 1) * chain->n; i++)
			row_add(row, i * chain->n + g, sizes[i]);
		row_end(row, model, 'L', per_device);
	}
}

int lina_chain_program(const struct lina_chain *chain, const int *sizes, int per_device,
	const struct lina_moetuner_settings *settings, int *device, double *gap_p)
{
	int n = chain->n, ncolumns = (chain->npairs + 1) * n * n;
	double scale = 0;
	struct row row;
	Cbc_Model *model;
	int err = row_create(&row, ncolumns + 3);

	if (err)
		return err;
	for (int i = 0; i < chain->npairs * n * n; i++)
		scale = fmax(scale, chain->traffic[i]);
	model = model_create(settings);
	err = model ? 0 : -ENOMEM;
	if (!err) {
		add_columns(model, ncolumns, 1, 0, 1);
		add_columns(model, chain->npairs, INFINITY, 1, 0);
		one_to_one_rows(model, &row, chain);
		time_rows(model, &row, chain, scale);
		size_rows(model, &row, chain, sizes, per_device);
		err = model_solve(model);
	}
	const double *y = err ? NULL : Cbc_bestSolution(model);
	for (int i = 0; y && i < ncolumns; i++)
		if (y[i] > 0.5)
			device[i / n] = i % n;
	if (!err) {
		double found = Cbc_getObjValue(model), bound = Cbc_getBestPossibleObjValue(model);

		*gap_p = found > 0 ? fmax(0, (found - bound) / found) : 0;
	}
	if (model)
		Cbc_deleteModel(model);
	row_destroy(&row);
	return err;
}

#else

bool lina_moetuner_available(void)
{
	return false;
}

int lina_moetuner_clusters(const double *tokens, int nexperts, int nclusters, int capacity,
	const struct lina_moetuner_settings *settings, int *cluster, double *gap_p)
{
	(void)tokens, (void)nexperts, (void)nclusters, (void)capacity, (void)settings,
		(void)cluster, (void)gap_p;
	return -ENOTSUP;
}

int lina_chain_program(const struct lina_chain *chain, const int *sizes, int per_device,
	const struct lina_moetuner_settings *settings, int *device, double *gap_p)
{
	(void)chain, (void)sizes, (void)per_device, (void)settings, (void)device, (void)gap_p;
	return -ENOTSUP;
}

#endif
