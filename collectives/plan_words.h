/*
 * A placement table's text as lines of words, with the place of each: for plan_decode.c.
 */
#ifndef LINA_COLLECTIVES_PLAN_WORDS_H
#define LINA_COLLECTIVES_PLAN_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collectives/plan_io.h"

/* The words of a text. All but the first three are where the reader is. */
struct lina_words {
	const char *text, *end;
	struct lina_plan_text_fault *fault; /* filled in once, by whoever finds something wrong */
	const char *at;                     /* behind the last word */
	const char *line_begins;
	int line; /* from 1; 0 before the first */
};

struct lina_word {
	const char *at;
	size_t bytes;
};

struct lina_words lina_words_of(const char *text, size_t bytes, struct lina_plan_text_fault *fault);

/* Goes to the next line that has a word. False: there is none. */
bool lina_words_next_line(struct lina_words *w);

/* The next word of the line. False: there is none; the word is then empty, where the line ends. A
 * colon ends a word that it belongs to ("0:"). */
bool lina_words_next(struct lina_words *w, struct lina_word *word_p);

/* Says that something is wrong at a word: "expected EXPECTED, not 'word'" with the format filled
 * in; -EINVAL, so that one may return it. */
int lina_words_expected(struct lina_words *w, struct lina_word word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

bool lina_word_is(struct lina_word word, const char *text);

/* The word as a whole number from 0 to max. False: it is none. */
bool lina_word_number(struct lina_word word, uint64_t max, uint64_t *number_p);

#endif
