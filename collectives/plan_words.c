#include "collectives/plan_words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct lina_words lina_words_of(const char *text, size_t bytes, struct lina_plan_text_fault *fault)
{
	return (struct lina_words){
		.text = text, .end = text + bytes, .fault = fault, .at = text, .line_begins = text
	};
}

static void skip_blanks(struct lina_words *w)
{
	while (w->at < w->end && (*w->at == ' ' || *w->at == '\t'))
		w->at++;
}

static bool line_ends(const struct lina_words *w)
{
	return w->at == w->end || *w->at == '\n' || *w->at == '#' ||
	       (*w->at == '\r' && w->end - w->at > 1 && w->at[1] == '\n');
}

/* To the beginning of the next line. False: the text has no more. */
static bool skip_line(struct lina_words *w)
{
	size_t left = (size_t)(w->end - w->at);
	const char *newline = left ? memchr(w->at, '\n', left) : NULL;

	if (w->line == 0) {
		w->line = 1;
		return true;
	}
	w->at = newline ? newline + 1 : w->end;
	if (!newline)
		return false;
	w->line++;
	w->line_begins = w->at;
	return true;
}

bool lina_words_next_line(struct lina_words *w)
{
	while (skip_line(w)) {
		skip_blanks(w);
		if (!line_ends(w))
			return true;
	}
	return false;
}

bool lina_words_next(struct lina_words *w, struct lina_word *word_p)
{
	skip_blanks(w);
	*word_p = (struct lina_word){ .at = w->at };
	while (!line_ends(w) && *w->at != ' ' && *w->at != '\t')
		w->at++;
	word_p->bytes = (size_t)(w->at - word_p->at);
	return word_p->bytes > 0;
}

/* A word as one may print it: short, and with nothing that a terminal takes for an order. */
static void printable(struct lina_word word, char *out, size_t room)
{
	size_t n = word.bytes < room - 1 ? word.bytes : room - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = (char)(word.at[i] < ' ' || word.at[i] > '~' ? '?' : word.at[i]);
	out[n] = '\0';
}

int lina_words_expected(struct lina_words *w, struct lina_word word, const char *fmt, ...)
{
	struct lina_plan_text_fault *fault = w->fault;
	char shown[32], expected[80];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(expected, sizeof(expected), fmt, args);
	va_end(args);
	printable(word, shown, sizeof(shown));
	fault->line = w->line;
	fault->column = (int)(word.at - w->line_begins) + 1;
	if (word.bytes)
		(void)snprintf(
			fault->text, sizeof(fault->text), "expected %s, not '%s'", expected, shown);
	else
		(void)snprintf(fault->text, sizeof(fault->text), "expected %s, but the %s ends",
			expected, word.at == w->end ? "text" : "line");
	return -EINVAL;
}

bool lina_word_is(struct lina_word word, const char *text)
{
	return word.bytes == strlen(text) && memcmp(word.at, text, word.bytes) == 0;
}

bool lina_word_number(struct lina_word word, uint64_t max, uint64_t *number_p)
{
	uint64_t number = 0;

	if (word.bytes == 0)
		return false;
	for (size_t i = 0; i < word.bytes; i++) {
		uint64_t digit = (uint64_t)word.at[i] - '0';

		if (word.at[i] < '0' || word.at[i] > '9' || number > (UINT64_MAX - digit) / 10)
			return false;
		number = 10 * number + digit;
	}
	*number_p = number;
	return number <= max;
}
