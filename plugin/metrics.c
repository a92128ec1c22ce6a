#include "plugin/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <locale.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

/* Upper ends of the buckets are powers of 4 ns: from 1 us to 4.3 s. */
enum { FIRST_BIT = 10, LAST_BIT = 32, BIT_STEP = 2, LABEL_BYTES = 2 * LINA_STATS_NAME_BYTES };

static const char *dir_name(uint32_t dir)
{
	return dir == LINA_DIR_SEND ? "send" : "recv";
}

/* A label's value; the view has printable text only. */
static const char *label(const char *text, char to[LABEL_BYTES])
{
	char *at = to;

	for (; *text; *at++ = *text++)
		if (*text == '\\' || *text == '"')
			*at++ = '\\';
	*at = '\0';
	return to;
}

static void family(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* --- of links --- */

struct link_family {
	const char *name, *type, *help, *extra; /* extra: one more label */
	size_t offset;
	double unit; /* of the counter, in what the name says */
};

#define LINK(field) offsetof(struct lina_stats_link, field)
static const struct link_family link_families[] = {
	{ "lina_holds_total", "counter", "Times that bulk began to wait for latency traffic.", "",
		LINK(holds), 1 },
	{ "lina_held_seconds_total", "counter", "Time that bulk waited for latency traffic.", "",
		LINK(held_ns), 1e-9 },
	{ "lina_held_longest_seconds", "gauge", "The longest of these waits.", "",
		LINK(longest_hold_ns), 1e-9 },
	{ "lina_bounds_fired_total", "counter",
		"Times that bulk went although latency traffic was pending.", ",bound=\"share\"",
		LINK(share_fired), 1 },
	{ "lina_bounds_fired_total", "counter", NULL, ",bound=\"hold\"", LINK(hold_fired), 1 },
	{ "lina_bounds_fired_total", "counter", NULL, ",bound=\"stall\"", LINK(stall_fired), 1 },
	{ "lina_window_full_total", "counter", "Times that bulk met a full window.", "", LINK(full),
		1 },
	{ "lina_chunk_bytes", "gauge", "Micro-chunk of bulk.", "", LINK(chunk_bytes), 1 },
	{ "lina_window_bytes", "gauge", "Bulk that may be below the plugin.", "",
		LINK(window_bytes), 1 },
	{ "lina_byte_seconds", "gauge", "Time of a byte on the link.", "", LINK(byte_ps), 1e-12 },
	{ "lina_latency_pending_bytes", "gauge", "Latency traffic that could move.", "",
		LINK(latency_queued_bytes), 1 },
};
#undef LINK

static void link_family_print(
	FILE *out, const struct lina_stats_view *view, const struct link_family *f)
{
	char name[LABEL_BYTES];

	if (f->help)
		family(out, f->name, f->type, f->help);
	for (uint32_t i = 0; i < view->nlinks; i++) {
		const struct lina_stats_link *link = &view->links[i];
		const void *at = (const char *)link + f->offset;
		double value = (double)lina_stats_get((const _Atomic uint64_t *)at) * f->unit;
		(void)fprintf(out, "%s{link=\"%s\",direction=\"%s\"%s} %.17g\n", f->name,
			label(link->name, name), dir_name(link->dir), f->extra, value);
	}
}

/* --- of rows --- */

struct row_family {
	const char *name, *type, *help;
	size_t offset;
};

#define ROW(field) offsetof(struct lina_stats_row, field)
static const struct row_family row_families[] = {
	{ "lina_bytes_total", "counter", "Bytes of messages that ended.", ROW(bytes) },
	{ "lina_messages_total", "counter", "Messages that ended.", ROW(messages) },
	{ "lina_queued_bytes", "gauge", "Bytes of messages that are posted and not ended.",
		ROW(queued_bytes) },
};
#undef ROW

static void row_family_print(
	FILE *out, const struct lina_stats_view *view, const struct row_family *f)
{
	char link_name[LABEL_BYTES], peer[LABEL_BYTES];

	family(out, f->name, f->type, f->help);
	for (uint32_t i = 0; i < view->nrows; i++) {
		const struct lina_stats_row *row = &view->rows[i];
		const struct lina_stats_link *link = &view->links[row->link];
		const void *at = (const char *)row + f->offset;
		(void)fprintf(out,
			"%s{link=\"%s\",direction=\"%s\",class=\"%s\",peer=\"%s\"} %" PRIu64 "\n",
			f->name, label(link->name, link_name), dir_name(link->dir),
			lina_class_name((enum lina_class)row->cls), label(row->peer, peer),
			lina_stats_get((const _Atomic uint64_t *)at));
	}
}

/* --- waits --- */

struct waits {
	uint64_t bucket[LINA_STATS_BUCKETS];
	double sum_s;
};

static struct waits waits_of(const struct lina_stats_view *view, uint32_t link, uint32_t cls)
{
	struct waits all = { .sum_s = 0 };
	uint64_t one[LINA_STATS_BUCKETS];

	for (uint32_t i = 0; i < view->nrows; i++) {
		const struct lina_stats_row *row = &view->rows[i];
		if (row->link != link || row->cls != cls)
			continue;
		lina_stats_waits(row, NULL, one);
		all.sum_s += (double)lina_stats_get(&row->wait_ns) * 1e-9;
		for (int b = 0; b < LINA_STATS_BUCKETS; b++)
			all.bucket[b] += one[b];
	}
	return all;
}

static void waits_print(FILE *out, const struct lina_stats_view *view, uint32_t i, uint32_t cls)
{
	struct waits waits = waits_of(view, i, cls);
	char name[LABEL_BYTES], labels[LABEL_BYTES + 64];
	uint64_t below = 0;
	int bit = 0;

	(void)snprintf(labels, sizeof(labels), "link=\"%s\",direction=\"%s\",class=\"%s\"",
		label(view->links[i].name, name), dir_name(view->links[i].dir),
		lina_class_name((enum lina_class)cls));
	for (int edge = FIRST_BIT; edge <= LAST_BIT; edge += BIT_STEP) {
		while (bit < edge)
			below += waits.bucket[bit++];
		(void)fprintf(out, "lina_wait_seconds_bucket{%s,le=\"%.9g\"} %" PRIu64 "\n", labels,
			(double)(UINT64_C(1) << edge) * 1e-9, below);
	}
	uint64_t count = lina_stats_count(waits.bucket);
	(void)fprintf(out,
		"lina_wait_seconds_bucket{%s,le=\"+Inf\"} %" PRIu64 "\n"
		"lina_wait_seconds_sum{%s} %.17g\nlina_wait_seconds_count{%s} %" PRIu64 "\n",
		labels, count, labels, waits.sum_s, labels, count);
}

static void all_print(FILE *out, const struct lina_stats_view *view)
{
	char program[LABEL_BYTES];

	family(out, "lina_process_info", "gauge", "The process that these metrics are of.");
	(void)fprintf(out, "lina_process_info{program=\"%s\",pid=\"%" PRIu32 "\"} 1\n",
		label(view->header->program, program), view->header->pid);
	family(out, "lina_rows_lost_total", "counter", "Links and peers that are not counted.");
	(void)fprintf(out, "lina_rows_lost_total %" PRIu32 "\n", view->header->nlost);
	for (size_t i = 0; i < sizeof(row_families) / sizeof(row_families[0]); i++)
		row_family_print(out, view, &row_families[i]);
	family(out, "lina_wait_seconds", "histogram",
		"Time from a message's post to its end, of some messages.");
	for (uint32_t i = 0; i < view->nlinks; i++)
		for (uint32_t cls = 0; cls < LINA_NCLASSES; cls++)
			waits_print(out, view, i, cls);
	for (size_t i = 0; i < sizeof(link_families) / sizeof(link_families[0]); i++)
		link_family_print(out, view, &link_families[i]);
}

/* Numbers with a point, in whatever locale the program is that runs the plugin. */
void lina_metrics_print(FILE *out, const struct lina_stats_view *view)
{
	locale_t before = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));

	all_print(out, view);
	(void)uselocale(before);
}

/* In a folder that others may write to, a link of theirs under the draft's name leads nowhere: what
 * is there goes away, or the draft is not made. */
static FILE *draft_open(const char *draft)
{
	(void)unlink(draft);
	int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return NULL;
	FILE *out = fdopen(fd, "w");
	if (!out)
		(void)close(fd);
	return out;
}

int lina_metrics_save(const char *path, const struct lina_stats_view *view)
{
	char draft[PATH_MAX];

	int n = snprintf(draft, sizeof(draft), "%s.%d.tmp", path, (int)getpid());
	if (n < 0 || (size_t)n >= sizeof(draft))
		return -ENAMETOOLONG;
	FILE *out = draft_open(draft);
	if (!out)
		return -errno;
	lina_metrics_print(out, view);
	int err = ferror(out) ? -EIO : 0;
	if (fclose(out) && !err)
		err = -errno;
	if (!err && rename(draft, path))
		err = -errno;
	if (err)
		(void)unlink(draft);
	return err;
}
