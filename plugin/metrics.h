/*
 * The counters of stats.h in Prometheus's text format (version 0.0.4), as node_exporter's textfile
 * collector and others read it from a file.
 *
 * Waits are histograms per link, direction and class, over all peers: a bucket for each peer would
 * be too many series.
 *
 * Threads: any; two do not write the same file.
 */
#ifndef LINA_PLUGIN_METRICS_H
#define LINA_PLUGIN_METRICS_H

#include <stdio.h>

#include "plugin/stats_read.h"

/* Whether all of it could be written is for the caller to ask with ferror. */
void lina_metrics_print(FILE *out, const struct lina_stats_view *view);

/* Replaces the file at path as a whole, by rename, so that nobody ever reads half of it. -errno. */
int lina_metrics_save(const char *path, const struct lina_stats_view *view);

#endif
