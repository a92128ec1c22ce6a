/*
 * LL128: lines of 128 bytes, 120 of data and a flag, the number of the step plus one. The proxy
 * that sends a slot waits for the tail and looks at the flags; it is sent in whole groups of 16
 * lines, as a warp writes them. Within a group the order of the data is the kernels' own affair:
 * here it is as it comes. [src/device/prims_ll128.h, src/transport/net.cc]
 */
#include "exec_prims.h"

#include <string.h>

enum { LINE_BYTES = 128, LINE_DATA = 120, GROUP_LINES = 16 };

static size_t lines_of(size_t bytes)
{
	return (bytes + LINE_DATA - 1) / LINE_DATA;
}

static size_t group_lines_of(size_t bytes)
{
	return (lines_of(bytes) + GROUP_LINES - 1) / GROUP_LINES * GROUP_LINES;
}

static uint64_t *flag_at(const struct exec_end *e, size_t line)
{
	return (uint64_t *)(void *)(e->slot + line * LINE_BYTES + LINE_DATA);
}

static char *slot(const struct exec_prims *p, const struct exec_end *e)
{
	return e->conn->buffs[PROTO_LL128] + e->step % ABI_STEPS * p->step_bytes;
}

/*
 * A GPU trusts the network to write 128 bytes in order; the copy out of a socket promises no
 * such thing. Where a proxy receives, its word that all is here comes first.
 */
static bool arrived(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	size_t lines = lines_of(bytes), i = e->arrived;
	if (lines && e->conn->fifo && EXEC_LOAD(e->conn->tail) <= e->step)
		return false;
	e->slot = slot(p, e);
	while (i < lines && EXEC_LOAD(flag_at(e, i)) == e->step + 1)
		i++;
	e->arrived = i;
	return i == lines;
}

static const void *load(const struct exec_end *e, size_t at, size_t bytes, void *buffer)
{
	const char *line = e->slot + at / LINE_DATA * LINE_BYTES;
	char *to = buffer;
	for (size_t done = 0; done < bytes; done += LINE_DATA, line += LINE_BYTES) {
		if (bytes - done >= LINE_DATA)
			memcpy(to + done, line, LINE_DATA);
		else
			memcpy(to + done, line, bytes - done);
	}
	return buffer;
}

static void claim(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	e->slot = slot(p, e);
	if (e->conn->fifo)
		EXEC_STORE(&e->conn->fifo[e->step % ABI_STEPS].size,
			(ssize_t)(group_lines_of(bytes) * LINE_BYTES));
}

static void *place(const struct exec_end *e, size_t at)
{
	(void)e;
	(void)at;
	return NULL;
}

static void store(const struct exec_end *e, size_t at, const void *data, size_t bytes)
{
	size_t line = at / LINE_DATA;
	const char *from = data;
	for (size_t done = 0; done < bytes; done += LINE_DATA, line++) {
		if (bytes - done >= LINE_DATA)
			memcpy(e->slot + line * LINE_BYTES, from + done, LINE_DATA);
		else
			memcpy(e->slot + line * LINE_BYTES, from + done, bytes - done);
		EXEC_STORE(flag_at(e, line), e->step + 1);
	}
}

static void post(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	(void)p;
	for (size_t i = lines_of(bytes); i < group_lines_of(bytes); i++)
		EXEC_STORE(flag_at(e, i), e->step + 1);
	e->step++;
	if (e->conn->fifo)
		EXEC_STORE(e->conn->tail, e->step);
}

const struct exec_proto exec_ll128 = { arrived, load, claim, place, store, post };
