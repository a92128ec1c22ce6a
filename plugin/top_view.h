/*
 * What lina-top shows of one process: two samples of its counters, one after the other, as text or
 * JSON. Pure but for the stream that it writes to.
 */
#ifndef LINA_PLUGIN_TOP_VIEW_H
#define LINA_PLUGIN_TOP_VIEW_H

#include <stdio.h>

#include "plugin/stats_read.h"

struct lina_top_sample {
	struct lina_stats_view now;
	const struct lina_stats_view
		*before;   /* of the same segment; NULL: counts since it opened */
	double seconds;    /* between the two; of no before, since it opened */
	double up_seconds; /* since it opened */
};

/* Tables of links and of the rows_max rows that moved most (0: all rows). */
void lina_top_print(FILE *out, const struct lina_top_sample *sample, unsigned rows_max);

/* One JSON object without a newline, of all links and rows: counts since the segment opened, rates
 * and quantiles of the sample's time. */
void lina_top_print_json(FILE *out, const struct lina_top_sample *sample);

enum { LINA_TOP_TEXT_BYTES = 16 };

/* "0", "999", "1.0K", "64.0K", "1.5G": powers of 1024. */
const char *lina_top_size(double bytes, char text[LINA_TOP_TEXT_BYTES]);

/* "850 ns", "1.2 us", "3.4 ms", "5.0 s"; "-" for 0. */
const char *lina_top_time(double ns, char text[LINA_TOP_TEXT_BYTES]);

#endif
