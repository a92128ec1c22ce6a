#include "plugin/traffic.h"

#include <inttypes.h>
#include <stdio.h>

void lina_traffic_add(struct lina_traffic *traffic, int op, size_t bytes)
{
	int row = op >= 0 && op < LINA_NOPS ? op : LINA_NOPS;
	atomic_fetch_add_explicit(&traffic->sent[row].messages, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&traffic->sent[row].bytes, bytes, memory_order_relaxed);
}

const char *lina_traffic_text(const struct lina_traffic *traffic, char *text, size_t text_bytes)
{
	size_t at = 0;

	snprintf(text, text_bytes, "nothing");
	for (int row = 0; row <= LINA_NOPS && at < text_bytes; row++) {
		uint64_t messages = atomic_load(&traffic->sent[row].messages);
		uint64_t bytes = atomic_load(&traffic->sent[row].bytes);
		if (messages == 0)
			continue;
		enum lina_op op = (enum lina_op)row;
		int n = snprintf(text + at, text_bytes - at,
			"%s%s %" PRIu64 " messages %" PRIu64 " bytes (%s)", at ? ", " : "",
			row < LINA_NOPS ? lina_op_name(op) : "unnamed", messages, bytes,
			lina_class_name(lina_class_of_op(op)));
		at += n > 0 ? (size_t)n : 0;
	}
	return text;
}
