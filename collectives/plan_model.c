#include "collectives/plan_model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_main.h"

enum { ROWS_MAX = 4096, COLUMNS_MAX = 32 };

/* Of alpha and beta, and of a table's numbers: with no more than that all times are finite. */
static const double MODEL_MAX = 1e9, FIELD_MAX = 1e18;

/* A table's columns of interest, and what its rows say. */
struct table {
	const char *path, *op;
	char net[64];                                         /* "": that of the first row */
	int column_op, column_bytes, column_net, column_time; /* -1: not yet known */
	size_t n;
	double bytes[ROWS_MAX], time_s[ROWS_MAX];
};

static int complain(const struct table *t, int line, const char *what, const char *text)
{
	return lina_plan_complain("%s:%d: expected %s, not '%.40s'", t->path, line, what, text);
}

static int split(char *line, char *fields[COLUMNS_MAX])
{
	int n = 0;

	line[strcspn(line, "\r\n")] = '\0';
	for (char *field; n < COLUMNS_MAX && (field = strsep(&line, "\t"));)
		fields[n++] = field;
	return n;
}

static int header_read(struct table *t, int line, char *fields[], int n)
{
	const struct {
		const char *name;
		int *column;
	} wanted[] = { { "op", &t->column_op }, { "bytes", &t->column_bytes },
		{ "net", &t->column_net }, { "p50_us", &t->column_time } };

	for (size_t w = 0; w < sizeof(wanted) / sizeof(*wanted); w++) {
		for (int i = 0; i < n; i++)
			if (strcmp(fields[i], wanted[w].name) == 0)
				*wanted[w].column = i;
		if (*wanted[w].column < 0)
			return complain(t, line, "a line of columns with op, bytes, net and p50_us",
				fields[0]);
	}
	return 0;
}

static int number_read(
	const struct table *t, int line, const char *what, const char *text, double *number_p)
{
	char *end;
	double number = strtod(text, &end);

	if (end == text || *end || !(number >= 0 && number <= FIELD_MAX))
		return complain(t, line, what, text);
	*number_p = number;
	return 0;
}

static int row_read(struct table *t, int line, char *fields[], int n)
{
	if (n <= t->column_op || n <= t->column_bytes || n <= t->column_net || n <= t->column_time)
		return complain(t, line, "as many fields as columns", fields[n - 1]);
	if (strcmp(fields[t->column_op], t->op) != 0)
		return 0;
	if (!t->net[0])
		(void)snprintf(t->net, sizeof(t->net), "%s", fields[t->column_net]);
	if (strcmp(fields[t->column_net], t->net) != 0)
		return 0;
	if (t->n == ROWS_MAX)
		return lina_plan_complain("%s:%d: more than %d rows", t->path, line, ROWS_MAX);
	double us = 0;
	int err = number_read(t, line, "a size", fields[t->column_bytes], &t->bytes[t->n]);
	if (!err)
		err = number_read(t, line, "a time", fields[t->column_time], &us);
	t->time_s[t->n++] = us * 1e-6;
	return err;
}

static int table_read(struct table *t, FILE *in)
{
	char *text = NULL, *fields[COLUMNS_MAX];
	size_t room = 0;
	int err = 0;

	for (int line = 1; !err && getline(&text, &room, in) >= 0; line++) {
		if (text[0] == '#')
			continue;
		int n = split(text, fields);
		err = t->column_op < 0 ? header_read(t, line, fields, n)
				       : row_read(t, line, fields, n);
	}
	free(text);
	return err;
}

static int fit(const char *option, const struct table *t, FILE *say, struct lina_linear *model_p)
{
	double r2;

	if (lina_linear_fit(t->bytes, t->time_s, t->n, model_p, &r2))
		return lina_plan_complain(
			"%s: %s: %zu rows of %s%s%s: no line with times that grow with "
			"sizes goes through them",
			option, t->path, t->n, t->op, t->net[0] ? " on " : "", t->net);
	(void)fprintf(say, "%s: alpha %.4g us, beta %.4g ns/KB, r2 %.4f: %zu sizes of %s on %s\n",
		option, model_p->alpha_s * 1e6, model_p->beta_s * 1e12, r2, t->n, t->op, t->net);
	return 0;
}

static int file_fit(const char *option, const char *path, const char *op, const char *net,
	FILE *say, struct lina_linear *model_p)
{
	FILE *in = fopen(path, "r");
	struct table *t;
	int err;

	if (!in)
		return lina_plan_complain(
			"%s: expected ALPHA,BETA or a table of measurements, not '%s' (%s)", option,
			path, strerror(errno));
	t = calloc(1, sizeof(*t));
	if (!t) {
		(void)fclose(in);
		return lina_plan_complain("no memory");
	}
	t->path = path;
	t->op = op;
	t->column_op = t->column_bytes = t->column_net = t->column_time = -1;
	(void)snprintf(t->net, sizeof(t->net), "%s", net ? net : "");
	err = table_read(t, in);
	(void)fclose(in);
	if (!err)
		err = fit(option, t, say, model_p);
	free(t);
	return err;
}

int lina_plan_model(const char *option, const char *text, const char *op, const char *net,
	FILE *say, struct lina_linear *model_p)
{
	char *end, *last;
	double alpha = strtod(text, &end), beta;

	if (end == text || *end != ',')
		return file_fit(option, text, op, net, say, model_p);
	beta = strtod(end + 1, &last);
	if (last == end + 1 || *last || !(alpha >= 0 && alpha <= MODEL_MAX) ||
		!(beta >= 0 && beta <= MODEL_MAX))
		return lina_plan_complain(
			"%s: expected ALPHA,BETA, two numbers from 0 to %g, not '%s'", option,
			MODEL_MAX, text);
	*model_p = (struct lina_linear){ alpha, beta };
	return 0;
}
