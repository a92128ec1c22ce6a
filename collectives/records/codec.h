/* How the bytes of a file become those that were compressed: for input.c. */
#ifndef LINA_COLLECTIVES_RECORDS_CODEC_H
#define LINA_COLLECTIVES_RECORDS_CODEC_H

#include <stdbool.h>
#include <stddef.h>

struct lina_codec_step {
	const char *in;
	size_t nin; /* of in, what is left */
	char *out;
	size_t nout; /* room at out, what is left */
};

struct lina_codec {
	const char *name; /* "gzip" */
	/* Whether a file that begins with these bytes is compressed so. */
	bool (*knows)(const unsigned char *bytes, size_t n);
	/* NULL: no memory. */
	void *(*open)(void);
	/* Turns in into out as far as both go. *whole_p: nothing is missing if the file ends here.
	 * NULL, or what is wrong. */
	const char *(*step)(void *state, struct lina_codec_step *step, bool *whole_p);
	void (*close)(void *state);
};

/* Of a file that begins with these bytes, 4 if it has as many; one that copies where none knows. */
const struct lina_codec *lina_codec_find(const unsigned char *bytes, size_t n);

#endif
