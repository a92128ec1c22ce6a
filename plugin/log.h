/*
 * What the plugin says to its user goes through NCCL's logger, so that NCCL_DEBUG governs it.
 *
 * Threads: all of this may be called from any thread. errno is kept.
 */
#ifndef LINA_PLUGIN_LOG_H
#define LINA_PLUGIN_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* NCCL's values (ncclDebugLogLevel, ncclDebugLogSubSys); net_abi.c asserts that they agree. */
enum lina_log_level { LINA_LOG_WARN = 2, LINA_LOG_INFO = 3, LINA_LOG_TRACE = 5 };
enum lina_log_subsys { LINA_LOG_INIT = 0x1, LINA_LOG_NET = 0x10, LINA_LOG_ANY = ~0 };

/* The shape of ncclDebugLogger_t. level: lina_log_level; flags: bit set of lina_log_subsys. */
typedef void lina_log_fn(
	int level, unsigned long flags, const char *file, int line, const char *fmt, ...);

/* From now on messages go to fn. NULL: warnings go to stderr and the rest nowhere, as before the
 * first call. */
void lina_log_set(lina_log_fn *fn);

/* Behind the macros below. A line longer than 1 KiB is cut, as NCCL's logger does. */
void lina_log(enum lina_log_level level, unsigned long flags, const char *file, int line,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* fmt must be a literal. One message is one line, without the newline. */
#define lina_warn(...)                                                           \
	lina_log(LINA_LOG_WARN, (unsigned long)LINA_LOG_ANY, __FILE__, __LINE__, \
		"NET/Lina: " __VA_ARGS__)
#define lina_info(...)                                                            \
	lina_log(LINA_LOG_INFO, LINA_LOG_INIT | LINA_LOG_NET, __FILE__, __LINE__, \
		"NET/Lina: " __VA_ARGS__)

/* Nothing but a check of the format unless built with LINA_TRACE, like NCCL's own TRACE. */
#ifdef LINA_TRACE
enum { LINA_TRACING = 1 };
#else
enum { LINA_TRACING = 0 };
#endif
#define lina_trace(...)                                                            \
	do {                                                                       \
		if (LINA_TRACING)                                                  \
			lina_log(LINA_LOG_TRACE, LINA_LOG_NET, __FILE__, __LINE__, \
				"NET/Lina: " __VA_ARGS__);                         \
	} while (0)

/* Warns the first time only; said_p is an atomic_bool of the caller, false at first. */
#define lina_warn_once(said_p, ...)                 \
	do {                                        \
		if (!atomic_exchange(said_p, true)) \
			lina_warn(__VA_ARGS__);     \
	} while (0)

/* Lets one message per interval_ns pass and counts the rest, for what a stranger can cause as often
 * as he likes. All zero at first. */
struct lina_log_gate {
	_Atomic uint64_t next_ns; /* 0: never used */
	_Atomic uint64_t nheld;   /* since the last that passed */
};

/* True: say it now; *nheld_p is how many were held back since the last time. now_ns > 0. */
bool lina_log_gate(
	struct lina_log_gate *gate, uint64_t now_ns, uint64_t interval_ns, uint64_t *nheld_p);

#endif
