#include "plugin/link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/log.h"
#include "priority/rate.h"

enum {
	NAME_BYTES = 32,
	CHUNK_MIN_BYTES = 16 << 10,
	CHUNK_MAX_BYTES = 1 << 20,
	CHUNK_FIXED_NS = 6000,
	CHUNK_PARTS = 50,
	WINDOW_US = 500,
	GRANT_US = 1000, /* a grant has a way to go before it is bulk */
	RELAXED_BYTES = 512 << 10,
};

struct lina_link_dir {
	pthread_mutex_t lock;
	struct lina_sched sched; /* Guarded by lock */
	struct lina_rate rate;   /* of what this end sends; guarded by lock */
	struct lina_link *link;
};

struct lina_link {
	const struct lina_config *config;
	char name[NAME_BYTES];
	pthread_mutex_t lock; /* of what follows, taken before those of dir */
	uint64_t bytes_per_s; /* 0: not known yet */
	struct lina_link_dir dir[LINA_NDIRS];
};

uint64_t lina_link_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* --- what the link can carry --- */

static uint64_t between(uint64_t least, uint64_t value, uint64_t most)
{
	if (value < least)
		return least;
	return value < most ? value : most;
}

/* The chunk that spends CHUNK_FIXED_NS, a system call and what goes with it, on no more than
 * 1/CHUNK_PARTS of its time on the link. */
static uint64_t chunk_bytes(const struct lina_link *link)
{
	const uint64_t per_s = link->bytes_per_s;

	if (link->config->chunk_bytes)
		return (uint64_t)link->config->chunk_bytes;
	return between(CHUNK_MIN_BYTES, per_s * CHUNK_FIXED_NS / 1000000000 * CHUNK_PARTS,
		CHUNK_MAX_BYTES);
}

/* What the link carries while the sender does something else. */
static uint64_t window_bytes(const struct lina_link *link, uint64_t chunk)
{
	const uint64_t per_s = link->bytes_per_s;

	if (link->config->window_bytes)
		return (uint64_t)link->config->window_bytes;
	return between(2 * chunk, per_s * WINDOW_US / 1000000, UINT32_MAX);
}

static struct lina_sched_params params_of(const struct lina_link *link, enum lina_dir dir)
{
	const struct lina_config *config = link->config;
	const uint64_t per_s = link->bytes_per_s;
	uint64_t chunk = chunk_bytes(link);
	uint64_t window = window_bytes(link, chunk);
	uint64_t relaxed = window > RELAXED_BYTES ? window : RELAXED_BYTES;

	if (dir == LINA_DIR_RECV) {
		relaxed = (uint64_t)config->grant_bytes;
		window = per_s ? between(4 * chunk, per_s * GRANT_US / 1000000, relaxed) : relaxed;
	}
	return (struct lina_sched_params){
		.hold_max_ns = (uint64_t)config->hold_max_ms * 1000000u,
		.linger_ns = (uint64_t)config->linger_us * 1000u,
		.chunk_bytes = chunk,
		.window_bytes = window,
		.relax_ns = (uint64_t)config->relax_ms * 1000000u,
		.relaxed_chunk_bytes = relaxed / 2 > chunk ? relaxed / 2 : chunk,
		.relaxed_window_bytes = relaxed,
		.share_percent = (uint32_t)config->bulk_share_percent,
		.byte_ps = per_s ? (uint32_t)(1000000000000 / per_s) : 0,
	};
}

static void tune(struct lina_link *link)
{
	for (int i = 0; i < LINA_NDIRS; i++) {
		struct lina_sched_params params = params_of(link, (enum lina_dir)i);
		pthread_mutex_lock(&link->dir[i].lock);
		lina_sched_tune(&link->dir[i].sched, &params);
		pthread_mutex_unlock(&link->dir[i].lock);
	}
}

static void rate_set(struct lina_link *link, uint64_t bytes_per_s)
{
	pthread_mutex_lock(&link->lock);
	link->bytes_per_s = bytes_per_s;
	tune(link);
	pthread_mutex_unlock(&link->lock);
}

/* Whether it is worth new parameters. */
static bool differs(uint64_t a, uint64_t b)
{
	uint64_t difference = a > b ? a - b : b - a;
	return difference > b / 32;
}

int lina_link_open(const struct lina_config *config, const char *name, struct lina_link **link_p)
{
	struct lina_link *link = calloc(1, sizeof(*link));
	if (!link) {
		lina_warn("no memory for link %s", name);
		return -ENOMEM;
	}
	link->config = config;
	pthread_mutex_init(&link->lock, NULL);
	strncpy(link->name, name, sizeof(link->name) - 1);
	for (int i = 0; i < LINA_NDIRS; i++) {
		struct lina_sched_params params = params_of(link, (enum lina_dir)i);
		pthread_mutex_init(&link->dir[i].lock, NULL);
		link->dir[i].link = link;
		lina_sched_init(&link->dir[i].sched, &params);
	}
	*link_p = link;
	return 0;
}

static void counts_log(const struct lina_link *link, enum lina_dir dir)
{
	const struct lina_sched_counts *c = &link->dir[dir].sched.counts;

	lina_info("link %s %s: latency %" PRIu64 " bytes, bulk %" PRIu64 " bytes, held %" PRIu64
		  " times, %.1f ms in all, %.1f ms at most; bounds: share %" PRIu64
		  ", hold %" PRIu64 ", stalled %" PRIu64 "; asks %" PRIu64 ", window full %" PRIu64,
		link->name, dir == LINA_DIR_SEND ? "sending" : "receiving",
		c->bytes[LINA_CLASS_LATENCY], c->bytes[LINA_CLASS_BULK], c->holds,
		(double)c->held_ns / 1e6, (double)c->longest_hold_ns / 1e6, c->share_fired,
		c->hold_fired, c->stall_fired, c->asks, c->full);
}

void lina_link_close(struct lina_link *link)
{
	if (!link)
		return;
	lina_info("link %s: %" PRIu64 " Mbit/s, chunk %" PRIu64 ", window %" PRIu64 " bytes",
		link->name, link->bytes_per_s / 125000, link->dir[0].sched.params.chunk_bytes,
		link->dir[0].sched.params.window_bytes);
	for (int i = 0; i < LINA_NDIRS; i++) {
		counts_log(link, (enum lina_dir)i);
		pthread_mutex_destroy(&link->dir[i].lock);
	}
	pthread_mutex_destroy(&link->lock);
	free(link);
}

uint64_t lina_link_grant_bytes(const struct lina_link *link)
{
	return (uint64_t)link->config->grant_bytes;
}

void lina_link_flow_init(
	struct lina_link *link, enum lina_dir dir, enum lina_class cls, struct lina_link_flow *flow)
{
	flow->dir = &link->dir[dir];
	lina_flow_init(&flow->flow, &flow->dir->sched, cls);
}

void lina_link_drop(struct lina_link_flow *flow)
{
	pthread_mutex_lock(&flow->dir->lock);
	lina_flow_drop(&flow->flow);
	pthread_mutex_unlock(&flow->dir->lock);
}

void lina_link_post(struct lina_link_flow *flow, uint64_t bytes)
{
	uint64_t now_ns = lina_link_now_ns();

	pthread_mutex_lock(&flow->dir->lock);
	lina_flow_post(&flow->flow, bytes, now_ns);
	pthread_mutex_unlock(&flow->dir->lock);
}

/* A bound that fires with nothing queued says that the link was thought slower than it is, which
 * bulk that is held could not find out: it is to be learned anew. */
static bool rate_is_wrong(const struct lina_sched *sched, uint64_t hold_fired)
{
	return sched->counts.hold_fired > hold_fired && !sched->latency_queued_bytes;
}

uint64_t lina_link_ask(struct lina_link_flow *flow)
{
	uint64_t now_ns = lina_link_now_ns();
	struct lina_link_dir *dir = flow->dir;

	pthread_mutex_lock(&dir->lock);
	uint64_t hold_fired = dir->sched.counts.hold_fired;
	uint64_t bytes = lina_flow_ask(&flow->flow, now_ns);
	bool wrong = rate_is_wrong(&dir->sched, hold_fired);
	if (wrong)
		lina_rate_forget(&dir->rate);
	pthread_mutex_unlock(&dir->lock);
	if (wrong)
		rate_set(dir->link, 0);
	return bytes;
}

void lina_link_sent(struct lina_link_flow *flow, uint64_t bytes)
{
	uint64_t now_ns = lina_link_now_ns();

	pthread_mutex_lock(&flow->dir->lock);
	lina_flow_sent(&flow->flow, bytes, now_ns);
	pthread_mutex_unlock(&flow->dir->lock);
}

void lina_link_below(struct lina_link_flow *flow, uint64_t bytes)
{
	uint64_t now_ns = lina_link_now_ns(), before = flow->flow.below_bytes;
	struct lina_link_dir *dir = flow->dir;

	pthread_mutex_lock(&dir->lock);
	lina_flow_below(&flow->flow, bytes);
	if (flow->flow.cls == LINA_CLASS_BULK)
		lina_rate_left(&dir->rate, before > bytes ? before - bytes : 0,
			dir->sched.below_bytes[LINA_CLASS_BULK] > 0, now_ns);
	uint64_t bytes_per_s = lina_rate_bytes_per_s(&dir->rate);
	pthread_mutex_unlock(&dir->lock);
	if (dir == &dir->link->dir[LINA_DIR_SEND] && differs(bytes_per_s, dir->link->bytes_per_s))
		rate_set(dir->link, bytes_per_s);
}
