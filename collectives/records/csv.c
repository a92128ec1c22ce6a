/* Text with commas: loads, transitions and paths. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/records/format.h"

enum { COLUMNS_MAX = LINA_LAYERS_MAX + 64 };

enum role {
	PASSED_OVER,
	STEP,
	LAYER,
	NEXT_LAYER,
	EXPERT,
	SOURCE,
	NEXT_EXPERT,
	COUNT,
	PATH,
	NROLES
};

struct column {
	enum role role;
	int index; /* of a PATH: which of the layers */
};

struct table {
	enum lina_record_kind kind;
	bool has_next_layer, first_is_data;
	int ncolumns, nlayers;
	struct column *columns; /* [ncolumns] */
	int only_column;        /* -1: none */
	char *only_value;
	int *layers; /* [nlayers], of paths */
	struct lina_ints experts;
};

static const struct {
	const char *name;
	enum role role;
} names[] = {
	{ "step", STEP },
	{ "layer", LAYER },
	{ "layer_slot", LAYER },
	{ "src_layer", LAYER },
	{ "dst_layer", NEXT_LAYER },
	{ "expert", EXPERT },
	{ "source", SOURCE },
	{ "src_expert", SOURCE },
	{ "destination", NEXT_EXPERT },
	{ "dst_expert", NEXT_EXPERT },
	{ "count", COUNT },
	{ "tokens", COUNT },
	{ "token_score", COUNT },
};

/* --- cells --- */

struct cell {
	char *at;
	size_t bytes; /* without blanks around it */
};

/* The cell that begins at *at_p, which then is behind its comma, or NULL behind the last. */
static struct cell cell_next(char **at_p)
{
	char *at = *at_p, *end = at + strcspn(at, ",");

	*at_p = *end ? end + 1 : NULL;
	while (*at == ' ' || *at == '\t')
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct cell){ at, (size_t)(end - at) };
}

static bool cell_is(struct cell cell, const char *text)
{
	return cell.bytes == strlen(text) && memcmp(cell.at, text, cell.bytes) == 0;
}

/* Where a cell is, for messages. */
struct place {
	const char *line_begins;
	int line;
	struct lina_plan_text_fault *fault;
};

static int expected(
	const struct place *place, struct cell cell, const char *what, double least, double most)
{
	int column = (int)(cell.at - place->line_begins) + 1;
	char shown[24];

	lina_records_printable(cell.at, cell.bytes, shown, sizeof(shown));
	if (most > least)
		return lina_input_fault(place->fault, place->line, column,
			"expected %s from %.0f to %.16g, not '%s'", what, least, most, shown);
	return lina_input_fault(
		place->fault, place->line, column, "expected %s, not '%s'", what, shown);
}

static bool number_of(struct cell cell, double *number_p)
{
	char *end;

	if (!cell.bytes || strspn(cell.at, "0123456789+-.eE") < cell.bytes)
		return false;
	*number_p = strtod(cell.at, &end);
	return end == cell.at + cell.bytes && isfinite(*number_p);
}

static int whole(const struct place *place, struct cell cell, const char *what, int least, int most,
	int *number_p)
{
	double number;

	if (!number_of(cell, &number) || number < least || number > most || number != floor(number))
		return expected(place, cell, what, least, most);
	*number_p = (int)number;
	return 0;
}

/* --- the first line --- */

static bool is_blank(const char *line)
{
	return line[strspn(line, " \t")] == '\0' || line[strspn(line, " \t")] == '#';
}

/* "layer7" and "layer_7". */
static bool is_path_name(struct cell cell, int *layer_p)
{
	int n = 0, layer = 0;

	if (cell.bytes < 6 || memcmp(cell.at, "layer", 5) != 0)
		return false;
	for (size_t i = cell.at[5] == '_' ? 6 : 5; i < cell.bytes; i++, n++) {
		if (cell.at[i] < '0' || cell.at[i] > '9' || n == 6)
			return false;
		layer = 10 * layer + cell.at[i] - '0';
	}
	*layer_p = layer;
	return n > 0;
}

static int path_column(struct table *t, struct column *column, struct cell cell, int layer,
	const struct place *place)
{
	if (layer >= LINA_LAYERS_MAX)
		return expected(place, cell, "the column of a layer below 4096", 0, 0);
	if (t->nlayers && layer <= t->layers[t->nlayers - 1])
		return expected(place, cell, "columns of layers in ascending order", 0, 0);
	t->layers[t->nlayers] = layer;
	*column = (struct column){ PATH, t->nlayers++ };
	return 0;
}

static int name_column(struct table *t, int c, struct cell cell,
	const struct lina_records_options *options, const struct place *place)
{
	int layer;

	if (options->only_column && cell_is(cell, options->only_column))
		t->only_column = c;
	if (is_path_name(cell, &layer))
		return path_column(t, &t->columns[c], cell, layer, place);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (cell_is(cell, names[i].name))
			t->columns[c].role = names[i].role;
	for (int other = 0; other < c; other++)
		if (t->columns[c].role != PASSED_OVER &&
			t->columns[other].role == t->columns[c].role)
			return expected(place, cell, "no second column of the same kind", 0, 0);
	return 0;
}

/* What the columns are good for, all together. */
static int kind_of(struct table *t, const struct place *place)
{
	struct cell line = { (char *)place->line_begins, strlen(place->line_begins) };
	bool has[NROLES] = { false };

	for (int c = 0; c < t->ncolumns; c++)
		has[t->columns[c].role] = true;
	t->has_next_layer = has[NEXT_LAYER];
	if (has[PATH] && !has[LAYER] && !has[COUNT] && !has[EXPERT] && !has[SOURCE])
		t->kind = LINA_RECORD_TOKENS;
	else if (has[LAYER] && has[SOURCE] && has[NEXT_EXPERT] && has[COUNT])
		t->kind = LINA_RECORD_TRANSITION;
	else if (has[LAYER] && has[EXPERT] && has[COUNT] && !has[SOURCE] && !has[NEXT_EXPERT])
		t->kind = LINA_RECORD_COUNT;
	else
		return expected(place, line,
			"columns layer,expert,count or layer,source,destination,count or "
			"layer0,layer1,...",
			0, 0);
	return 0;
}

static int numbers_open(struct table *t, const struct place *place)
{
	static const enum role three[] = { LAYER, EXPERT, COUNT };
	static const enum role four[] = { LAYER, SOURCE, NEXT_EXPERT, COUNT };
	struct cell line = { (char *)place->line_begins, strlen(place->line_begins) };

	if (t->ncolumns != 3 && t->ncolumns != 4)
		return expected(place, line,
			"a line of column names, or 3 numbers (layer, expert, count) or 4 (layer, "
			"source, destination, count)",
			0, 0);
	for (int c = 0; c < t->ncolumns; c++)
		t->columns[c].role = t->ncolumns == 3 ? three[c] : four[c];
	t->first_is_data = true;
	return 0;
}

static int header_parse(struct table *t, char *line, const struct lina_records_options *options,
	const struct place *place)
{
	double number;
	char *at = line;
	int err = 0;

	if (number_of(cell_next(&at), &number))
		err = numbers_open(t, place);
	at = line;
	for (int c = 0; c < t->ncolumns && !err && !t->first_is_data; c++)
		err = name_column(t, c, cell_next(&at), options, place);
	if (!err)
		err = kind_of(t, place);
	if (!err && options->only_column && t->only_column < 0)
		return lina_input_fault(place->fault, place->line, 1,
			"expected a column '%.40s', which is to have a certain value",
			options->only_column);
	return err;
}

/* --- life --- */

static void table_close(void *state)
{
	struct table *t = state;

	free(t->columns);
	free(t->only_value);
	free(t->layers);
	free(t->experts.at);
	free(t);
}

static int columns_create(struct table *t, const char *line, const struct place *place)
{
	struct cell cell = { (char *)line, strlen(line) };

	t->ncolumns = 1;
	for (const char *c = line; (c = strchr(c, ',')); c++)
		t->ncolumns++;
	if (t->ncolumns > COLUMNS_MAX)
		return expected(place, cell, "fewer columns", 0, 0);
	t->columns = calloc((size_t)t->ncolumns, sizeof(*t->columns));
	t->layers = calloc((size_t)t->ncolumns, sizeof(*t->layers));
	return t->columns && t->layers ? 0 : lina_records_no_memory(place->fault);
}

static int columns_open(struct table *t, const struct lina_input *in, char *line,
	const struct lina_records_options *options, struct lina_plan_text_fault *fault_p)
{
	const struct place place = { line, lina_input_at_line(in), fault_p };
	int err = columns_create(t, line, &place);

	return err ? err : header_parse(t, line, options, &place);
}

/* The first line that has something, to be freed by the caller. It is not taken: its numbers, if it
 * has numbers, are needed again. NULL: *err_p says why not. */
static char *first_line(struct lina_input *in, int *err_p, struct lina_plan_text_fault *fault_p)
{
	for (;;) {
		const char *bytes, *newline;
		size_t n, length;
		char *line;

		*err_p = lina_input_peek(
			in, (size_t)LINA_RECORDS_LOOK_BYTES * 16, &bytes, &n, fault_p);
		if (*err_p)
			return NULL;
		if (!n) {
			*err_p = lina_input_fault(fault_p, lina_input_at_line(in), 1,
				"expected a line of column names, but the file ends");
			return NULL;
		}
		newline = memchr(bytes, '\n', n);
		length = newline ? (size_t)(newline - bytes) : n;
		line = strndup(bytes, length);
		if (!line) {
			*err_p = lina_records_no_memory(fault_p);
			return NULL;
		}
		line[strcspn(line, "\r")] = '\0';
		if (!is_blank(line))
			return line;
		free(line);
		lina_input_skip(in, length + (newline ? 1 : 0));
	}
}

static int table_open(struct lina_input *in, const struct lina_records_options *options,
	void **state_p, struct lina_plan_text_fault *fault_p)
{
	struct table *t = calloc(1, sizeof(*t));
	char *line;
	size_t n;
	int err;

	if (!t)
		return lina_records_no_memory(fault_p);
	t->only_column = -1;
	line = first_line(in, &err, fault_p);
	if (!line)
		goto close_table;
	err = columns_open(t, in, line, options, fault_p);
	free(line);
	if (!err && !t->first_is_data)
		err = lina_input_line(in, &line, &n, fault_p) < 0 ? -EINVAL : 0;
	if (!err && options->only_value) {
		t->only_value = strdup(options->only_value);
		err = t->only_value ? 0 : lina_records_no_memory(fault_p);
	}
	if (err)
		goto close_table;
	*state_p = t;
	return 0;
close_table:
	table_close(t);
	return err;
}

/* --- lines --- */

/* The experts of a path's layer, all of the same number in a line. */
static int path_parse(struct table *t, int layer, struct cell cell, const struct place *place,
	struct lina_record *record)
{
	char *end = cell.at + cell.bytes;
	int n = 0, err;

	for (char *at = cell.at; at < end || n == 0; n++) {
		size_t length = strcspn(at, " \t;,");
		struct cell word = { at, at + length < end ? length : (size_t)(end - at) };
		size_t index = (size_t)layer * (size_t)record->topk + (size_t)n;

		if (n >= LINA_TOPK_MAX || (layer > 0 && n >= record->topk))
			return expected(
				place, cell, "as many experts as in the other layers", 0, 0);
		err = lina_ints_reserve(&t->experts,
			layer ? (size_t)t->nlayers * (size_t)record->topk : index + 1,
			place->fault);
		if (!err)
			err = whole(place, word, "an expert", LINA_NO_EXPERT, LINA_EXPERTS_MAX - 1,
				&t->experts.at[index]);
		if (err)
			return err;
		at += word.bytes;
		at += strspn(at, " \t;");
	}
	if (layer > 0 && n != record->topk)
		return expected(place, cell, "as many experts as in the other layers", 0, 0);
	record->topk = n;
	return 0;
}

static int cell_parse(struct table *t, const struct column *column, struct cell cell,
	const struct place *place, struct lina_record *r)
{
	double number;

	switch (column->role) {
	case STEP:
		if (!number_of(cell, &number) || number != floor(number) || fabs(number) > 1e15)
			return expected(place, cell, "the number of a step", 0, 0);
		r->has_step = true;
		r->step = (int64_t)number;
		return 0;
	case LAYER:
		return whole(place, cell, "a layer", 0, LINA_LAYERS_MAX - 1, &r->layer);
	case NEXT_LAYER:
		return whole(place, cell, "a layer", 0, LINA_LAYERS_MAX - 1, &r->next_layer);
	case EXPERT:
	case SOURCE:
		return whole(place, cell, "an expert", 0, LINA_EXPERTS_MAX - 1, &r->expert);
	case NEXT_EXPERT:
		return whole(place, cell, "an expert", 0, LINA_EXPERTS_MAX - 1, &r->next_expert);
	case COUNT:
		if (!number_of(cell, &r->tokens) || r->tokens < 0 || r->tokens > LINA_TOKENS_MAX)
			return expected(place, cell, "a count", 0, LINA_TOKENS_MAX);
		return 0;
	case PATH:
		return path_parse(t, column->index, cell, place, r);
	default:
		return 0;
	}
}

/* 1; 0: a line that is not wanted. */
static int line_parse(
	struct table *t, char *line, const struct place *place, struct lina_record *record)
{
	struct lina_record r = { .kind = t->kind };
	bool wanted = true;
	char *at = line;

	for (int c = 0; c < t->ncolumns; c++) {
		char *begins = at;
		struct cell cell;
		int err;

		if (!at)
			return lina_input_fault(place->fault, place->line, (int)strlen(line) + 1,
				"expected %d columns, but the line has %d", t->ncolumns, c);
		cell = cell_next(&at);
		err = cell_parse(t, &t->columns[c], cell, place, &r);
		if (err)
			return err;
		if (c == t->only_column)
			wanted = cell_is(cell, t->only_value);
		if (c == t->ncolumns - 1 && at)
			return lina_input_fault(place->fault, place->line, (int)(at - 1 - line) + 1,
				"expected the end of the line after %d columns", t->ncolumns);
		(void)begins;
	}
	if (t->kind == LINA_RECORD_TRANSITION && !t->has_next_layer)
		r.next_layer = r.layer + 1;
	if (t->kind == LINA_RECORD_TRANSITION && r.next_layer <= r.layer)
		return lina_input_fault(place->fault, place->line, 1,
			"expected a transition to a later layer, not from %d to %d", r.layer,
			r.next_layer);
	r.ntokens = t->kind == LINA_RECORD_TOKENS;
	r.nlayers = t->nlayers;
	r.layers = t->layers;
	r.experts = t->experts.at;
	*record = r;
	return wanted;
}

static int table_next(void *state, struct lina_input *in, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	struct table *t = state;

	for (;;) {
		struct place place;
		char *line;
		size_t n;
		int got = lina_input_line(in, &line, &n, fault_p);

		if (got <= 0)
			return got;
		place = (struct place){ line, lina_input_at_line(in), fault_p };
		if (strlen(line) < n)
			return lina_input_fault(fault_p, place.line, (int)strlen(line) + 1,
				"expected text, not a zero byte");
		if (is_blank(line))
			continue;
		got = line_parse(t, line, &place, record_p);
		if (got)
			return got;
	}
}

/* Text whose first line that is not empty has a comma, or a name that is one of ours. */
static bool table_knows(const char *bytes, size_t n)
{
	const char *end = bytes + n, *at = bytes;

	if (memchr(bytes, '\0', n))
		return false;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;

		if (at < stop && *at != '#' && *at != '\r')
			return memchr(at, ',', (size_t)(stop - at)) ||
			       (stop - at > 5 && memcmp(at, "layer", 5) == 0);
		at = stop + 1;
	}
	return false;
}

const struct lina_records_ops lina_records_csv = { table_knows, table_open, table_next,
	table_close };
