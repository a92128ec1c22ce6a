/* How a benchmark that cannot go on ends. */
#ifndef LINA_PERF_DIE_H
#define LINA_PERF_DIE_H

/* One line on standard error, with the rank that LINA_RANK names, then exit(1). */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
