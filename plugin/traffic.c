#include "plugin/traffic.h"

#include <inttypes.h>
#include <stdio.h>

void lina_traffic_add(struct lina_traffic *traffic, int op, enum lina_class cls, size_t bytes)
{
	int row = op >= 0 && op < LINA_NOPS ? op : LINA_NOPS;

	atomic_fetch_add_explicit(&traffic->cell[row][cls].messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&traffic->cell[row][cls].bytes, bytes, memory_order_relaxed);
}

bool lina_traffic_is_none(const struct lina_traffic *traffic)
{
	for (int row = 0; row <= LINA_NOPS; row++)
		for (enum lina_class cls = LINA_CLASS_LATENCY; cls < LINA_NCLASSES; cls++)
			if (atomic_load(&traffic->cell[row][cls].messages) != 0)
				return false;
	return true;
}

void lina_traffic_clear(struct lina_traffic *traffic)
{
	for (int row = 0; row <= LINA_NOPS; row++) {
		for (enum lina_class cls = LINA_CLASS_LATENCY; cls < LINA_NCLASSES; cls++) {
			atomic_store(&traffic->cell[row][cls].messages, 0);
			atomic_store(&traffic->cell[row][cls].bytes, 0);
		}
	}
}

/* Returns where the text goes on, which may be beyond its end. */
static size_t cell_append(const struct lina_traffic *traffic, int row, enum lina_class cls,
	char *text, size_t text_bytes, size_t at)
{
	uint64_t messages = atomic_load(&traffic->cell[row][cls].messages);
	uint64_t bytes = atomic_load(&traffic->cell[row][cls].bytes);

	if (messages == 0 || at >= text_bytes)
		return at;
	int n = snprintf(text + at, text_bytes - at,
		"%s%s %" PRIu64 " messages %" PRIu64 " bytes (%s)", at ? ", " : "",
		row < LINA_NOPS ? lina_op_name((enum lina_op)row) : "unnamed", messages, bytes,
		lina_class_name(cls));
	return at + (n > 0 ? (size_t)n : 0);
}

const char *lina_traffic_text(const struct lina_traffic *traffic, char *text, size_t text_bytes)
{
	size_t at = 0;

	(void)snprintf(text, text_bytes, "nothing");
	for (int row = 0; row <= LINA_NOPS; row++)
		for (enum lina_class cls = LINA_CLASS_LATENCY; cls < LINA_NCLASSES; cls++)
			at = cell_append(traffic, row, cls, text, text_bytes, at);
	return text;
}
