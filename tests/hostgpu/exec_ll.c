/*
 * LL: every 4 bytes of data are followed by a 4-byte flag, the number of the step plus one, so an
 * aligned 8-byte word says by itself whether it has arrived. The proxy that sends a slot looks at
 * the flags too, and only then is its size used. [src/device/prims_ll.h, src/transport/net.cc]
 */
#include "exec_prims.h"

#include <string.h>

enum { LINE_DATA = 8, LINE_WORDS = 2, LINE_BYTES = 16 };

/* The flag is 32 bits and comes round again: in these steps all lines are written, so that none
 * keeps a flag from the time before. [NCCL_LL_CLEAN_MASK] */
#define CLEAN_MASK 0x7ffffff8U

static size_t lines_of(size_t bytes)
{
	return (bytes + LINE_DATA - 1) / LINE_DATA;
}

static bool cleans(uint64_t step)
{
	return (step & CLEAN_MASK) == CLEAN_MASK;
}

static uint64_t flag_of(const struct exec_end *e)
{
	return (uint64_t)(uint32_t)(e->step + 1) << 32;
}

static char *slot(const struct exec_prims *p, const struct exec_end *e)
{
	return e->conn->buffs[PROTO_LL] + e->step % ABI_STEPS * p->step_bytes;
}

static bool arrived(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	e->slot = slot(p, e);
	const uint64_t *word = (const uint64_t *)(const void *)e->slot;
	uint64_t flag = flag_of(e);
	size_t lines = lines_of(bytes), i = e->arrived;
	for (; i < lines; i++) {
		uint64_t a = EXEC_LOAD(&word[i * LINE_WORDS]),
			 b = EXEC_LOAD(&word[i * LINE_WORDS + 1]);
		if (((a ^ flag) | (b ^ flag)) >> 32)
			break;
	}
	e->arrived = i;
	return i == lines;
}

static const void *load(const struct exec_end *e, size_t at, size_t bytes, void *buffer)
{
	const uint64_t *word =
		(const uint64_t *)(const void *)e->slot + at / LINE_DATA * LINE_WORDS;
	char *to = buffer;
	size_t whole = bytes / LINE_DATA, rest = bytes % LINE_DATA;
	for (size_t i = 0; i <= whole; i++) {
		if (i == whole && !rest)
			break;
		uint64_t data = (uint32_t)word[i * LINE_WORDS] | word[i * LINE_WORDS + 1] << 32;
		memcpy(to + i * LINE_DATA, &data, i < whole ? LINE_DATA : rest);
	}
	return buffer;
}

static void claim(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	size_t size = cleans(e->step) ? p->step_bytes : lines_of(bytes) * LINE_BYTES;
	e->slot = slot(p, e);
	if (e->conn->fifo)
		EXEC_STORE(&e->conn->fifo[e->step % ABI_STEPS].size, (ssize_t)size);
}

static void *place(const struct exec_end *e, size_t at)
{
	(void)e;
	(void)at;
	return NULL;
}

static void line_store(uint64_t *word, uint64_t data, uint64_t flag)
{
	__atomic_store_n(&word[0], (uint32_t)data | flag, __ATOMIC_RELEASE);
	__atomic_store_n(&word[1], data >> 32 | flag, __ATOMIC_RELEASE);
}

static void store(const struct exec_end *e, size_t at, const void *data, size_t bytes)
{
	uint64_t *word = (uint64_t *)(void *)e->slot + at / LINE_DATA * LINE_WORDS;
	uint64_t flag = flag_of(e);
	const char *from = data;
	size_t whole = bytes / LINE_DATA, rest = bytes % LINE_DATA;
	for (size_t i = 0; i < whole; i++) {
		uint64_t line;
		memcpy(&line, from + i * LINE_DATA, LINE_DATA);
		line_store(word + i * LINE_WORDS, line, flag);
	}
	if (rest) {
		uint64_t line = 0;
		memcpy(&line, from + whole * LINE_DATA, rest);
		line_store(word + whole * LINE_WORDS, line, flag);
	}
}

static void post(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	if (cleans(e->step)) {
		uint64_t *word = (uint64_t *)(void *)e->slot;
		for (size_t i = lines_of(bytes); i < p->step_bytes / LINE_BYTES; i++)
			line_store(word + i * LINE_WORDS, 0, flag_of(e));
	}
	e->step++;
}

const struct exec_proto exec_ll = { arrived, load, claim, place, store, post };
