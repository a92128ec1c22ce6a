#include "plugin/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

enum { LOG_LINE_BYTES = 1024 };

static _Atomic(lina_log_fn *) logger;

void lina_log_set(lina_log_fn *fn)
{
	atomic_store(&logger, fn);
}

void lina_log(enum lina_log_level level, unsigned long flags, const char *file, int line,
	const char *fmt, ...)
{
	int saved = errno;
	lina_log_fn *fn = atomic_load(&logger);
	char text[LOG_LINE_BYTES];
	va_list args;

	if (fn != NULL || level == LINA_LOG_WARN) {
		va_start(args, fmt);
		(void)vsnprintf(text, sizeof(text), fmt, args);
		va_end(args);
		if (fn != NULL)
			fn((int)level, flags, file, line, "%s", text);
		else
			(void)fprintf(stderr, "%s:%d: %s\n", file, line, text);
	}
	errno = saved;
}

bool lina_log_gate(
	struct lina_log_gate *gate, uint64_t now_ns, uint64_t interval_ns, uint64_t *nheld_p)
{
	uint64_t next = atomic_load(&gate->next_ns);

	/* Of several threads at the same moment one wins the exchange; the others are held. */
	if (now_ns < next ||
		!atomic_compare_exchange_strong(&gate->next_ns, &next, now_ns + interval_ns)) {
		atomic_fetch_add(&gate->nheld, 1);
		return false;
	}
	*nheld_p = atomic_exchange(&gate->nheld, 0);
	return true;
}
