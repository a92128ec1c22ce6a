/*
 * JSON counts: arrays [layers][experts] or [steps][layers][experts], by themselves or as
 * "logical_count" of an object. jansson parses what has a value, one row of experts at a time; what
 * is around the rows is brackets and commas, and of a document of any size no more than a row is
 * held.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/records/format.h"

enum { ROW_BYTES_MAX = 1 << 20, DEPTH_MAX = 64, LEVELS_MAX = 3 };

static const char wanted_key[] = "logical_count";

struct counts {
	bool in_object, seen; /* the wanted array is a member of an object; it has come */
	int levels; /* of arrays around a row, and with it; 0: not known before the first */
	int open;   /* arrays that are open now */
	bool ended; /* the wanted array has */
	int64_t step;
	int layer;
	json_t *row; /* the rest of a row that next gives; NULL: the next row is to be read */
	size_t expert;
};

static bool knows(const char *bytes, size_t n)
{
	size_t i = 0;

	while (i < n && strchr(" \t\r\n", bytes[i]) && bytes[i])
		i++;
	return i < n && (bytes[i] == '[' || bytes[i] == '{');
}

/* --- characters --- */

/* The next character that is no blank, which is not taken; 0 at the end, -errno. */
static int look(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	for (;;) {
		const char *bytes;
		size_t n;
		int err = lina_input_peek(in, 1, &bytes, &n, fault_p);

		if (err || !n)
			return err;
		if (*bytes != ' ' && *bytes != '\t' && *bytes != '\n' && *bytes != '\r')
			return (unsigned char)*bytes ? (unsigned char)*bytes : 256;
		lina_input_skip(in, 1);
	}
}

static int expected(
	struct lina_input *in, const char *what, int c, struct lina_plan_text_fault *fault_p)
{
	char shown[2] = { (char)c };

	if (c < 0)
		return c;
	if (c == 0)
		return lina_input_fault(fault_p, lina_input_at_line(in), lina_input_at_column(in),
			"expected %s, but the file ends", what);
	if (c < ' ' || c > '~')
		*shown = '?';
	return lina_input_fault(fault_p, lina_input_at_line(in), lina_input_at_column(in),
		"expected %s, not '%s'", what, shown);
}

static int take(
	struct lina_input *in, char wanted, const char *what, struct lina_plan_text_fault *fault_p)
{
	int c = look(in, fault_p);

	if (c != wanted)
		return expected(in, what, c, fault_p);
	lina_input_skip(in, 1);
	return 0;
}

/* Looks for the end of a row or a string in its first n bytes, from *at_p on; *quoted_p: within a
 * string there. */
static bool find_end(const char *bytes, size_t n, bool string, size_t *at_p, bool *quoted_p)
{
	for (; *at_p < n; ++*at_p) {
		char c = bytes[*at_p];

		if (*quoted_p && c == '\\')
			++*at_p;
		else if (c == '"')
			*quoted_p = !*quoted_p;
		if (*at_p && !*quoted_p && (string || c == ']'))
			return true;
	}
	return false;
}

/* The bytes up to and with the character that ends a row or a string: *n_p of them are next. */
static int extent(struct lina_input *in, bool string, const char **bytes_p, size_t *n_p,
	struct lina_plan_text_fault *fault_p)
{
	bool quoted = false;
	size_t at = 0, n;

	do {
		int err = lina_input_peek(in, at + 1, bytes_p, &n, fault_p);

		if (err)
			return err;
		if (n <= at)
			return expected(
				in, string ? "the end of a name" : "the end of a row", 0, fault_p);
		if (at >= ROW_BYTES_MAX)
			return lina_input_fault(fault_p, lina_input_at_line(in),
				lina_input_at_column(in), "expected %s that ends within %d bytes",
				string ? "a name" : "a row of counts", ROW_BYTES_MAX);
	} while (!find_end(*bytes_p, n, string, &at, &quoted));
	*n_p = at + 1;
	return 0;
}

/* jansson's value of the next row or string, which is taken. */
static int parse(
	struct lina_input *in, bool string, json_t **value_p, struct lina_plan_text_fault *fault_p)
{
	int line = lina_input_at_line(in), column = lina_input_at_column(in);
	json_error_t wrong;
	const char *bytes = NULL;
	size_t n = 0;
	int err = extent(in, string, &bytes, &n, fault_p);

	if (err)
		return err;
	*value_p = json_loadb(bytes, n, JSON_DECODE_ANY, &wrong);
	if (!*value_p)
		return lina_input_fault(fault_p, line + wrong.line - 1,
			wrong.line > 1 ? wrong.column : column + wrong.column - 1, "%s",
			wrong.text);
	lina_input_skip(in, n);
	return 0;
}

/* --- members that are not wanted --- */

static int skip_word(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	for (;;) {
		const char *bytes;
		size_t n;
		int err = lina_input_peek(in, 1, &bytes, &n, fault_p);

		if (err || !n || !*bytes || strchr(",:]} \t\r\n", *bytes))
			return err;
		lina_input_skip(in, 1);
	}
}

/* Goes behind a value, whatever it is: balanced brackets, strings, words. */
static int skip_value(struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	int depth = 0;

	do {
		json_t *string;
		int c = look(in, fault_p), err = 0;

		if (c <= 0 || c > 255 || (!depth && strchr("]},:", c)))
			return expected(in, "a value", c, fault_p);
		if (c == '"') {
			err = parse(in, true, &string, fault_p);
			if (!err)
				json_decref(string);
		} else if (strchr("[{]},:", c)) {
			depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
			if (depth > DEPTH_MAX)
				return expected(in, "fewer brackets", c, fault_p);
			lina_input_skip(in, 1);
		} else {
			err = skip_word(in, fault_p);
		}
		if (err)
			return err;
	} while (depth);
	return 0;
}

/* --- around the rows --- */

/* Goes on to the value of the wanted member. 0: it is next; 1: there is no more member. */
static int member_find(struct lina_input *in, struct lina_plan_text_fault *fault_p, bool first)
{
	for (;;) {
		json_t *key;
		bool found;
		int c = look(in, fault_p), err;

		if (c == '}') {
			lina_input_skip(in, 1);
			return 1;
		}
		err = first ? 0 : take(in, ',', "',' or '}'", fault_p);
		if (err)
			return err;
		first = false;
		c = look(in, fault_p);
		if (c != '"')
			return expected(in, "a name in quotes", c, fault_p);
		err = parse(in, true, &key, fault_p);
		if (err)
			return err;
		found = strcmp(json_string_value(key), wanted_key) == 0;
		json_decref(key);
		err = take(in, ':', "':'", fault_p);
		if (!err && !found)
			err = skip_value(in, fault_p);
		if (err || found)
			return err;
	}
}

static int file_end(struct counts *s, struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	int c, err = s->in_object ? member_find(in, fault_p, false) : 1;

	if (err < 0)
		return err;
	if (err == 0)
		return expected(in, "no second \"logical_count\"", look(in, fault_p), fault_p);
	c = look(in, fault_p);
	return c ? expected(in, "the end of the file", c, fault_p) : 0;
}

/* Opens arrays up to the row, which then is next. */
static int rows_open(struct counts *s, struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	for (;;) {
		const char *bytes;
		size_t n, at = 1;
		int c = look(in, fault_p), err;

		if (c != '[')
			return expected(in, "'['", c, fault_p);
		/* An array is a row unless its first element is an array. */
		do {
			err = lina_input_peek(in, at + 1, &bytes, &n, fault_p);
			if (err)
				return err;
		} while (n > at && strchr(" \t\r\n", bytes[at]) && bytes[at] &&
			 at++ < ROW_BYTES_MAX);
		if (n <= at || bytes[at] != '[') {
			if (s->levels && s->levels != s->open + 1)
				return expected(in, "arrays as deep as before", '[', fault_p);
			s->levels = s->open + 1;
			if (s->levels < 2)
				return expected(in, "an array of arrays of counts", '[', fault_p);
			return 0;
		}
		if (++s->open == LEVELS_MAX || (s->levels && s->open >= s->levels))
			return expected(in, "a row of counts", '[', fault_p);
		lina_input_skip(in, 1);
	}
}

/* Behind a row: to the next one. 1: it is next; 0: there is none. */
static int rows_next(struct counts *s, struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	for (;;) {
		int c = look(in, fault_p), err;

		if (c != ',' && c != ']')
			return expected(in, "',' or ']'", c, fault_p);
		lina_input_skip(in, 1);
		if (c == ']') {
			if (--s->open == 0)
				return 0;
			continue;
		}
		if (s->open == s->levels - 1) {
			s->layer++;
		} else {
			s->step++;
			s->layer = 0;
		}
		err = rows_open(s, in, fault_p);
		return err ? err : 1;
	}
}

static int row_read(struct counts *s, struct lina_input *in, struct lina_plan_text_fault *fault_p)
{
	int line = lina_input_at_line(in), column = lina_input_at_column(in);
	int err = parse(in, false, &s->row, fault_p);

	if (err)
		return err;
	s->expert = 0;
	if (s->layer >= LINA_LAYERS_MAX || json_array_size(s->row) > LINA_EXPERTS_MAX)
		return lina_input_fault(fault_p, line, column,
			"expected at most %d layers of at most %d experts", LINA_LAYERS_MAX,
			LINA_EXPERTS_MAX);
	for (size_t e = 0; e < json_array_size(s->row); e++)
		if (!json_is_number(json_array_get(s->row, e)) ||
			json_number_value(json_array_get(s->row, e)) < 0 ||
			json_number_value(json_array_get(s->row, e)) > LINA_TOKENS_MAX)
			return lina_input_fault(fault_p, line, column,
				"expected counts, numbers from 0 to %.0f, but element %zu of this "
				"row is none",
				LINA_TOKENS_MAX, e);
	return 0;
}

static int counts_next(void *state, struct lina_input *in, struct lina_record *record_p,
	struct lina_plan_text_fault *fault_p)
{
	struct counts *s = state;

	while (!s->row || s->expert == json_array_size(s->row)) {
		int more = 1;

		if (s->ended)
			return 0;
		if (s->row)
			more = rows_next(s, in, fault_p);
		json_decref(s->row);
		s->row = NULL;
		if (more > 0)
			more = row_read(s, in, fault_p);
		else if (more == 0) {
			s->ended = true;
			more = file_end(s, in, fault_p);
		}
		if (more < 0)
			return more;
	}
	*record_p = (struct lina_record){ .kind = LINA_RECORD_COUNT,
		.has_step = s->levels == LEVELS_MAX,
		.step = s->step,
		.layer = s->layer,
		.expert = (int)s->expert,
		.tokens = json_number_value(json_array_get(s->row, s->expert)) };
	s->expert++;
	return 1;
}

static void counts_close(void *state)
{
	struct counts *s = state;

	json_decref(s->row);
	free(s);
}

static int counts_open(struct lina_input *in, const struct lina_records_options *options,
	void **state_p, struct lina_plan_text_fault *fault_p)
{
	struct counts *s = calloc(1, sizeof(*s));
	int err = 0, c;

	(void)options;
	if (!s)
		return lina_records_no_memory(fault_p);
	c = look(in, fault_p);
	s->in_object = c == '{';
	if (s->in_object) {
		lina_input_skip(in, 1);
		err = member_find(in, fault_p, true);
		if (err == 1)
			err = expected(
				in, "a member \"logical_count\"", look(in, fault_p), fault_p);
	} else if (c != '[') {
		err = expected(in, "'[' or '{'", c, fault_p);
	}
	if (!err)
		err = rows_open(s, in, fault_p);
	if (err) {
		free(s);
		return err;
	}
	*state_p = s;
	return 0;
}

const struct lina_records_ops lina_records_counts = { knows, counts_open, counts_next,
	counts_close };
