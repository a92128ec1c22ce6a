/*
 * What it costs to be seen: of a message, its post and its end; of a link, a call on its scheduler
 * with a chunk of bulk handed down. With nothing on, with counters, and with counters and a trace.
 * Usage: bench_watch [BATCHES]     of 256 calls each, for each row; 2000 without it
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "perf/die.h"
#include "perf/stats.h"
#include "plugin/link.h"
#include "plugin/watch.h"

enum { BATCH = 256, BATCHES = 2000, CHUNK = 65536 };

static struct {
	struct lina_config config;
	struct lina_watch_conn conn;
	struct lina_watch_request request;
	struct lina_watch_link link;
	struct lina_sched sched;
	struct lina_flow flow;
	uint64_t now_ns;
} b;

static void message(void)
{
	const int moved = CHUNK;

	uint64_t since_ns = lina_watch_begin(&b.conn);
	lina_watch_post(
		&b.conn, &b.request, since_ns, LINA_CLASS_LATENCY, LINA_OP_ALLTOALL, 1, CHUNK);
	lina_watch_end(&b.conn, &b.request, &moved);
}

static void chunk(void)
{
	b.now_ns += 1000;
	b.sched.below_bytes[LINA_CLASS_BULK] ^= CHUNK;
	lina_watch_sent(&b.link, &b.flow, CHUNK, b.now_ns);
}

static const struct row {
	const char *name;
	void (*call)(void);
} rows[] = { { "message", message }, { "chunk on a link", chunk } };

static const struct setting {
	const char *name;
	int stats;
	const char *trace;
} settings[] = {
	{ "off", 0, "" },
	{ "counters", 1, "" },
	{ "counters and trace", 1, "/tmp/bench_watch-%p.json" },
};

static void watch_open(const struct setting *setting)
{
	static char *const no_environment[] = { NULL };
	const struct lina_sched_params params = { .hold_max_ns = 1, .chunk_bytes = CHUNK };

	if (lina_config_read(no_environment, &b.config) != 0)
		die("no config");
	b.config.stats = setting->stats;
	(void)snprintf(b.config.trace, sizeof(b.config.trace), "%s", setting->trace);
	lina_watch_open(&b.config);
	lina_sched_init(&b.sched, &params);
	lina_flow_init(&b.flow, &b.sched, LINA_CLASS_BULK);
	lina_watch_conn_open(&b.conn, "bench", LINA_DIR_SEND, "peer", 1);
	lina_watch_link_open(&b.link, "bench", LINA_DIR_SEND);
	if (b.conn.on != (setting->stats || setting->trace[0]))
		die("%s: cannot be had here", setting->name);
}

static void watch_close(const struct setting *setting)
{
	char path[PATH_MAX];

	lina_watch_conn_close(&b.conn);
	lina_watch_link_close(&b.link, &b.sched);
	lina_watch_close();
	(void)snprintf(path, sizeof(path), "/tmp/bench_watch-%d.json", (int)getpid());
	if (setting->trace[0])
		(void)unlink(path);
}

static double batch_ns(void (*call)(void))
{
	uint64_t from_ns = lina_link_now_ns();

	for (int i = 0; i < BATCH; i++)
		call();
	return (double)(lina_link_now_ns() - from_ns) / BATCH;
}

/* The ring is to have room: a pause after each batch as long as many would take in a job. */
static void row_time(
	const struct row *row, const struct setting *setting, double *samples, size_t n)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	watch_open(setting);
	for (size_t i = 0; i < n; i++) {
		samples[i] = batch_ns(row->call);
		if (setting->trace[0])
			(void)nanosleep(&pause, NULL);
	}
	watch_close(setting);
	stats_sort(samples, n);
	printf("%-16s %-20s %8.1f %8.1f\n", row->name, setting->name,
		stats_quantile(samples, n, 0.5), stats_quantile(samples, n, 0.9));
}

int main(int argc, char **argv)
{
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : BATCHES;
	double *samples = n > 0 ? calloc((size_t)n, sizeof(*samples)) : NULL;

	if (!samples)
		die("how many batches?");
	printf("%-16s %-20s %8s %8s\n", "ns", "seen by", "median", "p90");
	for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++)
		for (size_t s = 0; s < sizeof(settings) / sizeof(*settings); s++)
			row_time(&rows[r], &settings[s], samples, (size_t)n);
	free(samples);
	return 0;
}
