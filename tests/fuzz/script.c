#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

uint8_t script_byte(struct script *s)
{
	if (!s->left)
		return 0;
	s->left--;
	return *s->p++;
}

const uint8_t *script_bytes(struct script *s, size_t n, size_t *n_p)
{
	const uint8_t *p = s->p;

	*n_p = n < s->left ? n : s->left;
	s->left -= *n_p;
	s->p += *n_p;
	return p;
}

void script_put(struct script_writer *w, const void *bytes, size_t n)
{
	if (n > w->room - w->used)
		die("a seed of more than %zu bytes", w->room);
	memcpy(w->out + w->used, bytes, n);
	w->used += n;
}

void script_put_byte(struct script_writer *w, unsigned byte)
{
	const uint8_t b = (uint8_t)byte;

	script_put(w, &b, 1);
}

void guarded_open(struct guarded *g, size_t bytes)
{
	g->bytes = bytes;
	g->memory = malloc(bytes + 2 * (size_t)GUARD_BYTES);
	if (!g->memory)
		die("no memory");
	memset(g->memory, GUARD, bytes + 2 * (size_t)GUARD_BYTES);
}

static bool is_guard(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != GUARD)
			return false;
	return true;
}

void guarded_check(const struct guarded *g)
{
	FUZZ_CHECK(is_guard(g->memory, GUARD_BYTES));
	FUZZ_CHECK(is_guard(g->memory + GUARD_BYTES + g->bytes, GUARD_BYTES));
}

void guarded_seal(struct guarded *g)
{
	guarded_check(g);
	memset(g->memory, GUARD, g->bytes + 2 * (size_t)GUARD_BYTES);
	g->sealed = true;
}

void guarded_close(struct guarded *g)
{
	guarded_check(g);
	if (g->sealed)
		FUZZ_CHECK(is_guard(guarded_data(g), g->bytes));
	free(g->memory);
}

struct lina_net *fuzz_net(const char *settings)
{
	static struct lina_net *net;

	if (!net && net_open(settings, &net))
		die("no context with '%s'", settings);
	return net;
}
