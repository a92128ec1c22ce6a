/*
 * Simple: plain data in slots of several steps; the sender counts filled steps (tail), the
 * receiver emptied ones (head).
 */
#include "exec_prims.h"

#include <string.h>

static char *slot(const struct exec_end *e)
{
	const struct abi_conn *c = e->conn;
	size_t i = e->step % ABI_STEPS;
	if (c->fifo && EXEC_LOAD(&c->fifo[i].mode) == FIFO_MODE_OFFSET)
		return c->buffs[PROTO_SIMPLE] + EXEC_LOAD(&c->fifo[i].offset);
	return c->buffs[PROTO_SIMPLE] + i * (size_t)c->step_size;
}

static bool arrived(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	(void)bytes;
	if (EXEC_LOAD(e->conn->tail) < e->step + (uint64_t)p->steps_per_slice)
		return false;
	e->slot = slot(e);
	return true;
}

static const void *load(const struct exec_end *e, size_t at, size_t bytes, void *buffer)
{
	(void)bytes;
	(void)buffer;
	return e->slot + at;
}

static void claim(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	(void)p;
	e->slot = slot(e);
	if (e->conn->fifo)
		EXEC_STORE(&e->conn->fifo[e->step % ABI_STEPS].size, (ssize_t)bytes);
}

static void *place(const struct exec_end *e, size_t at)
{
	return e->slot + at;
}

static void store(const struct exec_end *e, size_t at, const void *data, size_t bytes)
{
	if (data != e->slot + at)
		memcpy(e->slot + at, data, bytes);
}

static void post(const struct exec_prims *p, struct exec_end *e, size_t bytes)
{
	(void)bytes;
	e->step += (uint64_t)p->steps_per_slice;
	EXEC_STORE(e->conn->tail, e->step);
}

const struct exec_proto exec_simple = { arrived, load, claim, place, store, post };
