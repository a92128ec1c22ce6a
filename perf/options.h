/* Values on a benchmark's command line. A value that is none ends the program through argp_error,
 * which names the option, the value and the range. */
#ifndef LINA_PERF_OPTIONS_H
#define LINA_PERF_OPTIONS_H

#include <argp.h>
#include <stdint.h>

/* A whole number from `least` to `most`; a suffix K, M or G multiplies by 2^10, 2^20, 2^30. */
uint64_t options_number(struct argp_state *state, const char *name, const char *text,
	uint64_t least, uint64_t most);

/* A number from `least` to `most`. */
double options_real(
	struct argp_state *state, const char *name, const char *text, double least, double most);

/* Splits `text` at its commas, in place. Returns how many words there are, 1 to `most`; they are
 * in words_p and live as long as `text`. */
int options_words(
	struct argp_state *state, const char *name, char *text, const char **words_p, int most);

#endif
