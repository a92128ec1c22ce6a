/*
 * What a fuzz target offers and what it may use. A target is one source file: it runs one input
 * and ends the program when something is wrong (FUZZ_CHECK, a sanitizer, a fixture that fails).
 */
#ifndef LINA_TESTS_FUZZ_FUZZ_H
#define LINA_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/fixture.h"

enum { FUZZ_INPUT_MAX = 4096 };

/* --- of the target --- */

/* How many inputs the driver makes where nobody says: what takes some seconds with a sanitizer. */
extern const unsigned fuzz_inputs;

/* libFuzzer's name and contract: runs one input, returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes good input i, at most room (FUZZ_INPUT_MAX) bytes, to out and returns its size; 0: there
 * are no more. There is at least one. */
size_t fuzz_seed(unsigned i, uint8_t *out, size_t room);

/* --- for the target --- */

#define FUZZ_CHECK(condition)                                                     \
	do {                                                                      \
		if (!(condition))                                                 \
			die("%s:%d: not so: %s", __FILE__, __LINE__, #condition); \
	} while (0)

/* An input read from its front; what is not there reads as 0. */
struct script {
	const uint8_t *p;
	size_t left;
};

uint8_t script_byte(struct script *s);
/* The next n bytes, or fewer; *n_p says how many. */
const uint8_t *script_bytes(struct script *s, size_t n, size_t *n_p);

/* Writes an input; what finds no room ends the program. */
struct script_writer {
	uint8_t *out;
	size_t used, room;
};

void script_put(struct script_writer *w, const void *bytes, size_t n);
void script_put_byte(struct script_writer *w, unsigned byte);

/* Memory that is watched: bytes of data between guards. */
enum { GUARD_BYTES = 64, GUARD = 0xaa };
struct guarded {
	size_t bytes;
	bool sealed;
	uint8_t *memory; /* GUARD_BYTES, bytes, GUARD_BYTES */
};

void guarded_open(struct guarded *g, size_t bytes);
/* Ends the program if a guard was written to. */
void guarded_check(const struct guarded *g);
/* From now on nobody may write to the data either. */
void guarded_seal(struct guarded *g);
void guarded_close(struct guarded *g);
static inline uint8_t *guarded_data(const struct guarded *g)
{
	return g->memory + GUARD_BYTES;
}

/* The context that all inputs share, opened with settings by the first. */
struct lina_net *fuzz_net(const char *settings);

#endif
