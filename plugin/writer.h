/*
 * The thread that writes the trace and the metrics file. It exists only where the user asked for
 * one of them, takes no signal, and touches nothing that transfers wait for.
 */
#ifndef LINA_PLUGIN_WRITER_H
#define LINA_PLUGIN_WRITER_H

#include "plugin/stats.h"
#include "plugin/trace.h"

enum { LINA_WRITER_TRACE_MS = 50, LINA_WRITER_METRICS_MS = 2000 };

struct lina_writer;

/* trace: NULL for none; metrics: a pattern as for lina_trace_path, "" for none; stats: what metrics
 * are of. All live until close. What cannot be written is warned of, once each. -errno. */
int lina_writer_open(struct lina_trace *trace, const char *metrics, struct lina_stats *stats,
	struct lina_writer **writer_p);

/* Ends the thread and writes what there is now. What comes later is written when it is closed. */
void lina_writer_stop(struct lina_writer *writer);

/* Ends the thread and writes for the last time. NULL is allowed. */
void lina_writer_close(struct lina_writer *writer);

#endif
