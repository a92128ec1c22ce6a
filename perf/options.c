#include "perf/options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t options_number(
	struct argp_state *state, const char *name, const char *text, uint64_t least, uint64_t most)
{
	static const char units[] = "KMG";
	char *end;
	int shift = 0;

	errno = 0;
	uint64_t value = strtoull(text, &end, 10);
	const char *unit = *end == '\0' ? NULL : strchr(units, *end);
	if (unit != NULL) {
		shift = 10 * (int)(unit - units + 1);
		end++;
	}
	if (errno != 0 || end == text || *end != '\0' || *text == '-' ||
		value > UINT64_MAX >> shift || value << shift < least || value << shift > most)
		argp_error(state, "--%s: '%s' is not a number from %llu to %llu", name, text,
			(unsigned long long)least, (unsigned long long)most);
	return value << shift;
}

double options_real(
	struct argp_state *state, const char *name, const char *text, double least, double most)
{
	char *end;

	errno = 0;
	double value = strtod(text, &end);
	if (errno != 0 || end == text || *end != '\0' || !(value >= least && value <= most))
		argp_error(
			state, "--%s: '%s' is not a number from %g to %g", name, text, least, most);
	return value;
}

int options_words(
	struct argp_state *state, const char *name, char *text, const char **words_p, int most)
{
	char *save;
	int n = 0;

	for (char *word = strtok_r(text, ",", &save); word != NULL;
		word = strtok_r(NULL, ",", &save)) {
		if (n == most)
			argp_error(state, "--%s: more than %d", name, most);
		words_p[n++] = word;
	}
	if (n == 0)
		argp_error(state, "--%s: nothing is named", name);
	return n;
}
