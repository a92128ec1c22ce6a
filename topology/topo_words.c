#include "topology/topo_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Beyond what any link has; below it nothing overflows. */
static const double rate_max = 1e15, time_max_ns = 1e9;

struct lina_topo_words lina_topo_words_of(
	const char *text, size_t bytes, struct lina_topo_fault *fault)
{
	return (struct lina_topo_words){
		.at = text, .end = text + bytes, .line_begins = text, .line = 1, .fault = fault
	};
}

/* Of the C locale, whatever the program's is. */
static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void blanks_skip(struct lina_topo_words *w)
{
	while (w->at < w->end && (*w->at == ' ' || *w->at == '\t' || *w->at == '\r'))
		w->at++;
	if (w->at < w->end && *w->at == '#')
		while (w->at < w->end && *w->at != '\n')
			w->at++;
}

/* How many characters from at belong to the word that begins there. A unit's slash is of it. */
static size_t word_bytes(const char *at, const char *end, bool number)
{
	const char *p = at + 1;

	if (number)
		while (p < end && (is_digit(*p) || *p == '.'))
			p++;
	else if (is_letter(*at))
		while (p < end && (is_letter(*p) || *p == '/'))
			p++;
	return (size_t)(p - at);
}

struct lina_topo_word lina_topo_peek(struct lina_topo_words *w)
{
	struct lina_topo_word word = { .line = w->line };

	blanks_skip(w);
	word.column = (int)(w->at - w->line_begins) + 1;
	if (w->at == w->end)
		return word;
	word.at = w->at;
	word.number = is_digit(*w->at);
	word.bytes = word_bytes(w->at, w->end, word.number);
	return word;
}

void lina_topo_take(struct lina_topo_words *w, struct lina_topo_word word)
{
	if (!word.at)
		return;
	w->at = word.at + word.bytes;
	if (*word.at == '\n') {
		w->line++;
		w->line_begins = w->at;
	}
}

bool lina_topo_word_is(struct lina_topo_word word, const char *text)
{
	return word.at && word.bytes == strlen(text) && memcmp(word.at, text, word.bytes) == 0;
}

/* The word as it may be shown: cut, and without what a terminal would act on. */
static void word_show(struct lina_topo_word word, char *out, size_t room)
{
	size_t n = word.bytes < room - 1 ? word.bytes : room - 1;

	memcpy(out, word.at, n);
	for (size_t i = 0; i < n; i++)
		if (out[i] < ' ' || out[i] > '~')
			out[i] = '?';
	out[n] = '\0';
}

int lina_topo_expected(struct lina_topo_words *w, struct lina_topo_word word, const char *fmt, ...)
{
	char expected[120], shown[24];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(expected, sizeof(expected), fmt, args);
	va_end(args);
	w->fault->line = word.line;
	w->fault->column = word.column;
	if (!word.at || *word.at == '\n') {
		(void)snprintf(w->fault->text, sizeof(w->fault->text), "expected %s, not the end%s",
			expected, word.at ? " of the line" : "");
		return -EINVAL;
	}
	word_show(word, shown, sizeof(shown));
	(void)snprintf(
		w->fault->text, sizeof(w->fault->text), "expected %s, not '%s'", expected, shown);
	return -EINVAL;
}

/* A decimal number. False: it is none, as "1.2.3", or has more than 15 digits before its point. */
static bool number_of(struct lina_topo_word word, double *number_p)
{
	double number = 0, unit = 1;
	size_t points = 0, digits = 0;

	for (size_t i = 0; i < word.bytes; i++) {
		if (word.at[i] == '.') {
			points++;
			continue;
		}
		if (points)
			unit /= 10;
		else
			digits++;
		number = points ? number + unit * (word.at[i] - '0')
				: number * 10 + (word.at[i] - '0');
	}
	if (points > 1 || digits > 15 || word.at[word.bytes - 1] == '.')
		return false;
	*number_p = number;
	return true;
}

int lina_topo_count(struct lina_topo_words *w, int max, int *count_p)
{
	struct lina_topo_word word = lina_topo_peek(w);
	double number;

	if (!word.number || !number_of(word, &number) || number < 1 || number > max ||
		memchr(word.at, '.', word.bytes))
		return lina_topo_expected(w, word, "a number from 1 to %d", max);
	lina_topo_take(w, word);
	*count_p = (int)number;
	return 0;
}

static int positive_number(struct lina_topo_words *w, const char *what, double *number_p)
{
	struct lina_topo_word word = lina_topo_peek(w);

	if (!word.number || !number_of(word, number_p))
		return lina_topo_expected(w, word, "%s", what);
	lina_topo_take(w, word);
	return 0;
}

static const struct {
	char name[3];
	double factor;
} prefixes[] = {
	{ "Ki", 1024.0 },
	{ "Mi", 1048576.0 },
	{ "Gi", 1073741824.0 },
	{ "Ti", 1099511627776.0 },
	{ "k", 1e3 },
	{ "M", 1e6 },
	{ "G", 1e9 },
	{ "T", 1e12 },
	{ "", 1 },
};

static const struct {
	char name[6];
	double bytes;
} units[] = { { "B/s", 1 }, { "b/s", 0.125 }, { "bit/s", 0.125 } };

/* Bytes a second in a unit; 0: it is none. */
static double unit_of(struct lina_topo_word word)
{
	char name[16];

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
		for (size_t j = 0; j < sizeof(units) / sizeof(*units); j++) {
			(void)snprintf(name, sizeof(name), "%s%s", prefixes[i].name, units[j].name);
			if (lina_topo_word_is(word, name))
				return prefixes[i].factor * units[j].bytes;
		}
	return 0;
}

int lina_topo_rate(struct lina_topo_words *w, double *bytes_per_s_p)
{
	struct lina_topo_word first = lina_topo_peek(w), word;
	double number = 0, unit;
	int err = positive_number(w, "a bandwidth, as in '50 GB/s'", &number);

	if (err)
		return err;
	word = lina_topo_peek(w);
	unit = unit_of(word);
	if (unit <= 0)
		return lina_topo_expected(w, word, "a unit of bandwidth, as 'GB/s' or 'Gbit/s'");
	lina_topo_take(w, word);
	if (number * unit < 1 || number * unit > rate_max)
		return lina_topo_expected(w, first, "a bandwidth from 1 B/s to 1000 TB/s");
	*bytes_per_s_p = number * unit;
	return 0;
}

int lina_topo_time_maybe(struct lina_topo_words *w, double *ns_p)
{
	static const struct {
		const char *name;
		double ns;
	} times[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 } };
	struct lina_topo_word first = lina_topo_peek(w), word;
	double number = 0;

	if (!first.number)
		return 0;
	int err = positive_number(w, "a time, as in '2 us'", &number);
	if (err)
		return err;
	word = lina_topo_peek(w);
	for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++) {
		if (!lina_topo_word_is(word, times[i].name))
			continue;
		if (number * times[i].ns > time_max_ns)
			return lina_topo_expected(w, first, "a time up to 1000 ms");
		lina_topo_take(w, word);
		*ns_p = number * times[i].ns;
		return 0;
	}
	return lina_topo_expected(w, word, "'ns', 'us' or 'ms'");
}
