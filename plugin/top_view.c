#include "plugin/top_view.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/trace.h"

enum { ESCAPED_BYTES = 2 * LINA_STATS_NAME_BYTES };

const char *lina_top_size(double bytes, char text[LINA_TOP_TEXT_BYTES])
{
	static const char units[] = "\0KMGTPE";
	int unit = 0;

	while (bytes >= 1024 && units[unit + 1]) {
		bytes /= 1024;
		unit++;
	}
	(void)snprintf(text, LINA_TOP_TEXT_BYTES, unit ? "%.1f%c" : "%.0f%c", bytes, units[unit]);
	return text;
}

const char *lina_top_time(double ns, char text[LINA_TOP_TEXT_BYTES])
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	int unit = 0;

	while (ns >= 1000 && unit < 3) {
		ns /= 1000;
		unit++;
	}
	(void)snprintf(text, LINA_TOP_TEXT_BYTES, unit ? "%.1f %s" : "%.0f %s", ns, units[unit]);
	return ns > 0 ? text : "-";
}

static const char *dir_name(uint32_t dir)
{
	return dir == LINA_DIR_SEND ? "send" : "recv";
}

/* --- what happened in the sample's time --- */

static uint64_t gone_by(const _Atomic uint64_t *now, const _Atomic uint64_t *before)
{
	uint64_t a = lina_stats_get(now), b = before ? lina_stats_get(before) : 0;

	return a > b ? a - b : 0;
}

static const struct lina_stats_link *link_before(const struct lina_top_sample *s, uint32_t i)
{
	return s->before && i < s->before->nlinks ? &s->before->links[i] : NULL;
}

static const struct lina_stats_row *row_before(const struct lina_top_sample *s, uint32_t i)
{
	return s->before && i < s->before->nrows ? &s->before->rows[i] : NULL;
}

struct moved {
	uint32_t row; /* index */
	uint64_t bytes, messages;
	double bytes_per_s, p50_ns, p99_ns;
};

static struct moved moved_of(const struct lina_top_sample *s, uint32_t i)
{
	const struct lina_stats_row *row = &s->now.rows[i], *before = row_before(s, i);
	uint64_t waits[LINA_STATS_BUCKETS];
	struct moved m = { .row = i };

	lina_stats_waits(row, before, waits);
	m.bytes = gone_by(&row->bytes, before ? &before->bytes : NULL);
	m.messages = gone_by(&row->messages, before ? &before->messages : NULL);
	m.bytes_per_s = s->seconds > 0 ? (double)m.bytes / s->seconds : 0;
	m.p50_ns = lina_stats_quantile_ns(waits, 0.5);
	m.p99_ns = lina_stats_quantile_ns(waits, 0.99);
	return m;
}

/* --- text --- */

static void link_print(FILE *out, const struct lina_top_sample *s, uint32_t i)
{
	const struct lina_stats_link *l = &s->now.links[i], *b = link_before(s, i);
	char held[LINA_TOP_TEXT_BYTES], longest[LINA_TOP_TEXT_BYTES], chunk[LINA_TOP_TEXT_BYTES];
	char window[LINA_TOP_TEXT_BYTES], speed[LINA_TOP_TEXT_BYTES];
	uint64_t byte_ps = lina_stats_get(&l->byte_ps);

	(void)fprintf(out,
		"%-14s %-4s %7.1f %9" PRIu64 " %9s %9s %6" PRIu64 " %6" PRIu64 " %6" PRIu64
		" %8s %8s %9s%s\n",
		l->name, dir_name(l->dir),
		s->seconds > 0
			? (double)gone_by(&l->held_ns, b ? &b->held_ns : NULL) / 1e7 / s->seconds
			: 0,
		gone_by(&l->holds, b ? &b->holds : NULL),
		lina_top_time((double)lina_stats_get(&l->held_ns), held),
		lina_top_time((double)lina_stats_get(&l->longest_hold_ns), longest),
		lina_stats_get(&l->share_fired), lina_stats_get(&l->hold_fired),
		lina_stats_get(&l->stall_fired),
		lina_top_size((double)lina_stats_get(&l->chunk_bytes), chunk),
		lina_top_size((double)lina_stats_get(&l->window_bytes), window),
		byte_ps ? lina_top_size(1e12 / (double)byte_ps, speed) : "-", byte_ps ? "/s" : "");
}

static void row_print(FILE *out, const struct lina_top_sample *s, const struct moved *m)
{
	const struct lina_stats_row *row = &s->now.rows[m->row];
	const struct lina_stats_link *link = &s->now.links[row->link];
	char rate[LINA_TOP_TEXT_BYTES], all[LINA_TOP_TEXT_BYTES], queued[LINA_TOP_TEXT_BYTES];
	char p50[LINA_TOP_TEXT_BYTES], p99[LINA_TOP_TEXT_BYTES];

	(void)fprintf(out, "%-14s %-4s %-8s %-24s %9s/s %9s %9" PRIu64 " %9s %9s %9s\n", link->name,
		dir_name(link->dir), lina_class_name((enum lina_class)row->cls), row->peer,
		lina_top_size(m->bytes_per_s, rate),
		lina_top_size((double)lina_stats_get(&row->bytes), all), m->messages,
		lina_top_size((double)lina_stats_get(&row->queued_bytes), queued),
		lina_top_time(m->p50_ns, p50), lina_top_time(m->p99_ns, p99));
}

static int most_first(const void *a, const void *b)
{
	const struct moved *left = a, *right = b;

	if (left->bytes != right->bytes)
		return left->bytes < right->bytes ? 1 : -1;
	return (left->row > right->row) - (left->row < right->row);
}

static void rows_print(FILE *out, const struct lina_top_sample *s, unsigned rows_max)
{
	uint32_t n = s->now.nrows, shown = rows_max && rows_max < n ? rows_max : n;
	struct moved *moved = calloc(n ? n : 1, sizeof(*moved));

	if (!moved)
		return;
	for (uint32_t i = 0; i < n; i++)
		moved[i] = moved_of(s, i);
	qsort(moved, n, sizeof(*moved), most_first);
	for (uint32_t i = 0; i < shown; i++)
		row_print(out, s, &moved[i]);
	if (shown < n)
		(void)fprintf(out, "and %u more (--rows=0: all)\n", (unsigned)(n - shown));
	free(moved);
}

void lina_top_print(FILE *out, const struct lina_top_sample *sample, unsigned rows_max)
{
	const struct lina_stats_view *v = &sample->now;

	(void)fprintf(out, "pid %u  %s  up %.0f s\n", (unsigned)v->header->pid, v->header->program,
		sample->up_seconds);
	if (v->header->nlost)
		(void)fprintf(out, "%u links and peers found no room and are not counted\n",
			(unsigned)v->header->nlost);
	(void)fprintf(out, "%-14s %-4s %7s %9s %9s %9s %6s %6s %6s %8s %8s %11s\n", "LINK", "DIR",
		"HELD %", "HOLDS", "HELD", "LONGEST", "SHARE", "HOLD", "STALL", "CHUNK", "WINDOW",
		"SPEED");
	for (uint32_t i = 0; i < v->nlinks; i++)
		link_print(out, sample, i);
	(void)fprintf(out, "%-14s %-4s %-8s %-24s %11s %9s %9s %9s %9s %9s\n", "LINK", "DIR",
		"CLASS", "PEER", "RATE", "BYTES", "MESSAGES", "QUEUED", "WAIT P50", "WAIT P99");
	rows_print(out, sample, rows_max);
}

/* --- JSON --- */

static void json_link(FILE *out, const struct lina_stats_link *l)
{
	char name[ESCAPED_BYTES];

	(void)fprintf(out, "{\"link\":\"%s\",\"direction\":\"%s\"",
		lina_trace_escape(l->name, name, sizeof(name)), dir_name(l->dir));
#define FIELD(field) (void)fprintf(out, ",\"" #field "\":%" PRIu64, lina_stats_get(&l->field))
	FIELD(holds);
	FIELD(held_ns);
	FIELD(longest_hold_ns);
	FIELD(share_fired);
	FIELD(hold_fired);
	FIELD(stall_fired);
	FIELD(asks);
	FIELD(full);
	FIELD(chunk_bytes);
	FIELD(window_bytes);
	FIELD(byte_ps);
	FIELD(latency_queued_bytes);
	FIELD(bulk_flows);
#undef FIELD
	(void)fprintf(out, "}");
}

static void json_row(FILE *out, const struct lina_top_sample *s, uint32_t i)
{
	const struct lina_stats_row *row = &s->now.rows[i];
	const struct lina_stats_link *link = &s->now.links[row->link];
	char name[ESCAPED_BYTES], peer[ESCAPED_BYTES];
	struct moved m = moved_of(s, i);

	(void)fprintf(out,
		"{\"link\":\"%s\",\"direction\":\"%s\",\"class\":\"%s\",\"peer\":\"%s\","
		"\"bytes\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"queued_bytes\":%" PRIu64
		",\"bytes_per_s\":%.0f,\"p50_ns\":%.0f,\"p99_ns\":%.0f}",
		lina_trace_escape(link->name, name, sizeof(name)), dir_name(link->dir),
		lina_class_name((enum lina_class)row->cls),
		lina_trace_escape(row->peer, peer, sizeof(peer)), lina_stats_get(&row->bytes),
		lina_stats_get(&row->messages), lina_stats_get(&row->queued_bytes), m.bytes_per_s,
		m.p50_ns, m.p99_ns);
}

void lina_top_print_json(FILE *out, const struct lina_top_sample *sample)
{
	const struct lina_stats_view *v = &sample->now;
	char program[ESCAPED_BYTES];

	(void)fprintf(out,
		"{\"pid\":%u,\"program\":\"%s\",\"up_seconds\":%.3f,\"seconds\":%.3f,"
		"\"rows_lost\":%u,\"links\":[",
		(unsigned)v->header->pid,
		lina_trace_escape(v->header->program, program, sizeof(program)), sample->up_seconds,
		sample->seconds, (unsigned)v->header->nlost);
	for (uint32_t i = 0; i < v->nlinks; i++) {
		(void)fputs(i ? "," : "", out);
		json_link(out, &v->links[i]);
	}
	(void)fprintf(out, "],\"rows\":[");
	for (uint32_t i = 0; i < v->nrows; i++) {
		(void)fputs(i ? "," : "", out);
		json_row(out, sample, i);
	}
	(void)fprintf(out, "]}");
}
