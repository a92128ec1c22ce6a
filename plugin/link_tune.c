/*
 * Chunk and window of a link, from what is known of it.
 */
#include "plugin/link_state.h"

enum {
	CHUNK_MIN_BYTES = 8 << 10,
	CHUNK_MAX_BYTES = 1 << 20,
	OVERHEAD_PERMILLE = 20,
	UNKNOWN_COST_NS = 6000,
	CHUNK_MOST_US = 500,
	PUMPED_CHUNK_MOST_US = 375,
	WINDOW_LEAST_US = 500,
	WINDOW_MOST_US = 1000,
	LATE_WINDOW_BYTES = 6 * CHUNK_MIN_BYTES, /* where nobody looks but NCCL's threads */
	GRANT_US = 4000,                         /* a grant has a way to go before it is bulk */
	/* Connections that share what a receiver grants: where two have less than GRANT_US, both
	 * kinds of traffic take longer together; eight need no more than CROWD_LEAST_US in all. A
	 * job's next allreduce comes within CROWD_MS. */
	CROWD_FLOWS = 2,
	CROWD_LEAST_US = 1000,
	CROWD_MS = 1000,
	RELAXED_US = 8000, /* as long as a thread may be late */
	PUMPED_RELAXED_US = 4000,
	RELAXED_MIN_BYTES = 64 << 10,
	UNKNOWN_BYTES_PER_S = 125000000,
	FASTEST_GBYTES_PER_S = 1000,
	PACE_LEAST_NS = 50000,
	PACE_MOST_NS = 500000,
};

static uint64_t between(uint64_t least, uint64_t value, uint64_t most)
{
	if (value < least)
		return least;
	return value < most ? value : most;
}

static uint32_t byte_ps(uint64_t bytes_per_s)
{
	uint64_t ps = UINT64_C(1000000000000) / bytes_per_s;

	return (uint32_t)between(1, ps, UINT32_MAX);
}

/* Of what the link carries in us microseconds; a rate that is not known is taken for 1 Gbit/s. */
static uint64_t carried_bytes(const struct lina_link *link, uint64_t us)
{
	const uint64_t per_s = link->bytes_per_s;

	return (per_s ? per_s : UNKNOWN_BYTES_PER_S) * us / 1000000;
}

/* The smallest chunk that spends no more than OVERHEAD_PERMILLE of its time on the link on what it
 * costs besides its bytes, a system call and what goes with it; but some must fit the window. */
static uint64_t chunk_bytes(const struct lina_link *link, const struct lina_fit *cost)
{
	const uint64_t per_s = link->bytes_per_s;
	const uint64_t us = link->pump ? PUMPED_CHUNK_MOST_US : CHUNK_MOST_US;
	struct lina_line line;

	if (link->config->chunk_bytes)
		return (uint64_t)link->config->chunk_bytes;
	if (lina_fit_line(cost, &line))
		line.alpha_ns = UNKNOWN_COST_NS;
	line.alpha_ns *= 2; /* the other end has as much to do for it */
	line.byte_ps = byte_ps(per_s ? per_s : UNKNOWN_BYTES_PER_S);
	uint64_t most = between(CHUNK_MIN_BYTES, carried_bytes(link, us), CHUNK_MAX_BYTES);
	return between(CHUNK_MIN_BYTES, lina_line_chunk_bytes(&line, OVERHEAD_PERMILLE), most);
}

static void window_bound(const struct lina_link *link, uint64_t chunk, struct lina_window *window)
{
	uint64_t least = carried_bytes(link, WINDOW_LEAST_US);
	uint64_t most = carried_bytes(link, WINDOW_MOST_US);

	least = least > chunk ? least : chunk;
	if (!link->pump) /* on a slow link each flow has hardly a chunk else */
		least = least > LATE_WINDOW_BYTES ? least : LATE_WINDOW_BYTES;
	if (link->config->window_bytes) /* the user's choice */
		least = most = (uint64_t)link->config->window_bytes;
	lina_window_bound(window, least, most);
}

struct lina_sched_params lina_link_params(
	const struct lina_link *link, enum lina_dir dir, uint64_t chunk, uint64_t window)
{
	const struct lina_config *config = link->config;
	const uint64_t per_s = link->bytes_per_s;
	const uint64_t relaxed_us = link->pump ? PUMPED_RELAXED_US : RELAXED_US;
	uint64_t relaxed = between(RELAXED_MIN_BYTES, carried_bytes(link, relaxed_us), UINT32_MAX);
	uint64_t relaxed_chunk = relaxed / 2;

	if (dir == LINA_DIR_RECV) {
		const uint64_t grant = (uint64_t)config->grant_bytes; /* of one connection */
		window = between(4 * chunk, carried_bytes(link, GRANT_US), grant);
		relaxed = between(grant, carried_bytes(link, GRANT_US), UINT32_MAX);
		relaxed_chunk = grant / 2;
	}
	return (struct lina_sched_params){
		.hold_max_ns = (uint64_t)config->hold_max_ms * 1000000u,
		.linger_ns = (uint64_t)config->linger_us * 1000u,
		.chunk_bytes = chunk,
		.least_chunk_bytes = config->chunk_bytes ? chunk : CHUNK_MIN_BYTES,
		.window_bytes = window,
		.relax_ns = (uint64_t)config->relax_ms * 1000000u,
		.relaxed_chunk_bytes = relaxed_chunk,
		.relaxed_window_bytes = relaxed,
		.crowd_flows = dir == LINA_DIR_RECV ? CROWD_FLOWS : 0,
		.crowd_ns = UINT64_C(1000000) * CROWD_MS,
		.crowd_window_bytes = carried_bytes(link, CROWD_LEAST_US),
		.share_percent = (uint32_t)config->bulk_share_percent,
		/* A quarter less than it takes: bulk that is released while the last latency work
		 * is still with the kernel queues up behind it there. */
		.byte_ps = per_s ? byte_ps(per_s + per_s / 4) : 0,
	};
}

/* It looks twice while a chunk leaves. */
static void pump_tune(struct lina_link *link, uint64_t chunk)
{
	const uint64_t per_s = link->bytes_per_s ? link->bytes_per_s : UNKNOWN_BYTES_PER_S;

	if (link->pump)
		lina_pump_pace(link->pump,
			between(PACE_LEAST_NS, chunk * byte_ps(per_s) / 2000, PACE_MOST_NS));
}

void lina_link_tune(struct lina_link *link)
{
	struct lina_link_dir *send = &link->dir[LINA_DIR_SEND];

	pthread_mutex_lock(&send->lock);
	uint64_t chunk = chunk_bytes(link, &send->cost);
	window_bound(link, chunk, &send->window);
	uint64_t window = send->window.bytes;
	pthread_mutex_unlock(&send->lock);
	pump_tune(link, chunk);
	for (int i = 0; i < LINA_NDIRS; i++) {
		struct lina_sched_params params =
			lina_link_params(link, (enum lina_dir)i, chunk, window);
		pthread_mutex_lock(&link->dir[i].lock);
		lina_sched_tune(&link->dir[i].sched, &params);
		pthread_mutex_unlock(&link->dir[i].lock);
	}
}

void lina_link_rate_set(struct lina_link *link, uint64_t bytes_per_s)
{
	const uint64_t most = UINT64_C(1000000000) * FASTEST_GBYTES_PER_S;

	pthread_mutex_lock(&link->lock);
	link->bytes_per_s = bytes_per_s < most ? bytes_per_s : most;
	lina_link_tune(link);
	pthread_mutex_unlock(&link->lock);
}
