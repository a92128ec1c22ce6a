/*
 * What a decision of the scheduler costs, as it is and behind the lock of a link, with how much is
 * queued. A decision: more is posted, the flow asks, and what it may send is handed down; with
 * "held" the flow asks and latency work is in its way.
 * Usage: bench_sched [BATCHES]     of 64 decisions each, for each row; 2000 without it
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "perf/die.h"
#include "perf/stats.h"
#include "plugin/link.h"

enum { FLOWS_MAX = 256, BATCH = 64, BATCHES = 2000, CHUNK = 65536, STEP_NS = 1000 };

static struct {
	struct lina_sched sched;
	struct lina_flow flow[LINA_NCLASSES][FLOWS_MAX];
	struct lina_config config;
	struct lina_link *link;
	struct lina_link_flow link_flow[LINA_NCLASSES][FLOWS_MAX];
	uint64_t now_ns;
	uint64_t sent_bytes; /* by which a decision is seen to have been made */
} b;

/* --- one decision each --- */

static void decide(struct lina_flow *flow)
{
	b.now_ns += STEP_NS;
	lina_flow_post(flow, CHUNK, b.now_ns);
	uint64_t bytes = lina_flow_ask(flow, b.now_ns);
	lina_flow_sent(flow, bytes, b.now_ns);
	lina_flow_below(flow, 0);
	b.sent_bytes += bytes;
}

static void decide_bulk(int i)
{
	decide(&b.flow[LINA_CLASS_BULK][i]);
}

static void decide_latency(int i)
{
	decide(&b.flow[LINA_CLASS_LATENCY][i]);
}

static void decide_held(int i)
{
	b.now_ns += STEP_NS;
	b.sent_bytes += lina_flow_ask(&b.flow[LINA_CLASS_BULK][i], b.now_ns);
}

static void decide_on_link(struct lina_link_flow *flow)
{
	b.sent_bytes += lina_link_take(flow, CHUNK, UINT64_MAX, 0);
	lina_link_below(flow, 0);
}

static void decide_bulk_on_link(int i)
{
	decide_on_link(&b.link_flow[LINA_CLASS_BULK][i]);
}

static void decide_latency_on_link(int i)
{
	decide_on_link(&b.link_flow[LINA_CLASS_LATENCY][i]);
}

/* --- what is queued --- */

static void queue_open(void)
{
	static char *const no_environment[] = { NULL };
	/* Nothing lingers and no bound fires, so that every decision of a row is of one kind. */
	const struct lina_sched_params params = {
		.hold_max_ns = UINT64_C(3600000000000),
		.chunk_bytes = CHUNK,
		.least_chunk_bytes = CHUNK,
		.window_bytes = 4 * (uint64_t)CHUNK,
		.relax_ns = UINT64_C(3600000000000),
		.byte_ps = 80,
	};

	b.now_ns = 0;
	lina_sched_init(&b.sched, &params);
	if (lina_config_read(no_environment, &b.config) != 0 ||
		lina_link_open(&b.config, "bench", &b.link) != 0)
		die("no link");
	for (int cls = 0; cls < LINA_NCLASSES; cls++) {
		for (int i = 0; i < FLOWS_MAX; i++) {
			lina_flow_init(&b.flow[cls][i], &b.sched, (enum lina_class)cls);
			lina_link_flow_init(
				b.link, LINA_DIR_SEND, (enum lina_class)cls, &b.link_flow[cls][i]);
		}
	}
}

static void queue_fill(enum lina_class cls, int requests, int nflows)
{
	for (int i = 0; i < requests; i++) {
		lina_flow_post(&b.flow[cls][i % nflows], CHUNK, b.now_ns);
		lina_link_post(&b.link_flow[cls][i % nflows], CHUNK);
	}
}

static void queue_close(void)
{
	for (int cls = 0; cls < LINA_NCLASSES; cls++)
		for (int i = 0; i < FLOWS_MAX; i++)
			lina_link_drop(&b.link_flow[cls][i]);
	lina_link_close(b.link);
}

/* --- rows --- */

static const struct row {
	const char *name;
	enum lina_class queued;
	int latency_requests; /* besides */
	void (*decide)(int flow);
} rows[] = {
	{ "bulk", LINA_CLASS_BULK, 0, decide_bulk },
	{ "bulk held", LINA_CLASS_BULK, 1, decide_held },
	{ "latency", LINA_CLASS_LATENCY, 0, decide_latency },
	{ "bulk, on a link", LINA_CLASS_BULK, 0, decide_bulk_on_link },
	{ "latency, on a link", LINA_CLASS_LATENCY, 0, decide_latency_on_link },
};

static double batch_ns(const struct row *row, int nflows)
{
	static int at;
	uint64_t from_ns = lina_link_now_ns();

	for (int i = 0; i < BATCH; i++)
		row->decide(at++ % nflows);
	at %= nflows;
	return (double)(lina_link_now_ns() - from_ns) / BATCH;
}

/* Returns the median. */
static double row_time(const struct row *row, int requests, double *samples, size_t n)
{
	int nflows = requests < FLOWS_MAX ? requests : FLOWS_MAX;

	queue_open();
	queue_fill(row->queued, requests, nflows);
	queue_fill(LINA_CLASS_LATENCY, row->latency_requests, 1);
	b.sent_bytes = 0;
	for (size_t i = 0; i < n; i++)
		samples[i] = batch_ns(row, nflows);
	if ((b.sent_bytes == 0) != (row->latency_requests > 0))
		die("%s: %" PRIu64 " bytes were sent", row->name, b.sent_bytes);
	queue_close();
	stats_sort(samples, n);
	double median = stats_quantile(samples, n, 0.5);
	printf("%-20s %8d %6d %8.1f %8.1f\n", row->name, requests, nflows, median,
		stats_quantile(samples, n, 0.9));
	return median;
}

int main(int argc, char **argv)
{
	static const int requests[] = { 1, 16, 256, 4096 };
	long n = argc > 1 ? strtol(argv[1], NULL, 10) : BATCHES;
	double *samples = n > 0 ? calloc((size_t)n, sizeof(*samples)) : NULL;

	if (!samples)
		die("how many batches?");
	printf("%-20s %8s %6s %8s %8s\n", "ns per decision", "queued", "flows", "median", "p90");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		double least = 0, most = 0;
		for (size_t k = 0; k < sizeof(requests) / sizeof(*requests); k++) {
			double median = row_time(&rows[i], requests[k], samples, (size_t)n);
			least = k == 0 || median < least ? median : least;
			most = median > most ? median : most;
		}
		printf("%-20s slowest by fastest: %.2f\n", rows[i].name, most / least);
	}
	free(samples);
	return 0;
}
