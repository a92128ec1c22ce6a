/*
 * Words, numbers and units of a description, with their places: for topo_text.c.
 */
#ifndef LINA_TOPOLOGY_TOPO_WORDS_H
#define LINA_TOPOLOGY_TOPO_WORDS_H

#include <stdbool.h>
#include <stddef.h>

#include "topology/topo_build.h"

/* Where in the text the reader is. */
struct lina_topo_words {
	const char *at, *end;
	const char *line_begins;
	int line;
	struct lina_topo_fault *fault;
};

/* What a text has next: a word of letters, a number, or one character of another kind. */
struct lina_topo_word {
	const char *at; /* NULL: the text is over */
	size_t bytes;
	int line, column;
	bool number;
};

struct lina_topo_words lina_topo_words_of(
	const char *text, size_t bytes, struct lina_topo_fault *fault);

/* The next one, which stays there; and goes behind it. Blanks and comments are skipped; the end of
 * a line is a word. */
struct lina_topo_word lina_topo_peek(struct lina_topo_words *w);
void lina_topo_take(struct lina_topo_words *w, struct lina_topo_word word);

bool lina_topo_word_is(struct lina_topo_word word, const char *text);

/* Says "expected EXPECTED, not 'word'" of it; -EINVAL. */
int lina_topo_expected(struct lina_topo_words *w, struct lina_topo_word word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A number from 1 to max. */
int lina_topo_count(struct lina_topo_words *w, int max, int *count_p);

/* NUMBER UNIT. */
int lina_topo_rate(struct lina_topo_words *w, double *bytes_per_s_p);

/* NUMBER ("ns" | "us" | "ms") if a number is next; else *ns_p stays. */
int lina_topo_time_maybe(struct lina_topo_words *w, double *ns_p);

#endif
