#include "plugin/link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/log.h"

enum { NAME_BYTES = 32 };

struct lina_link_dir {
	pthread_mutex_t lock;
	struct lina_sched sched; /* Guarded by lock */
};

struct lina_link {
	const struct lina_config *config;
	char name[NAME_BYTES];
	struct lina_link_dir dir[LINA_NDIRS];
};

uint64_t lina_link_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct lina_sched_params params_of(const struct lina_config *config)
{
	return (struct lina_sched_params){
		.hold_max_ns = (uint64_t)config->hold_max_ms * 1000000u,
		.linger_ns = (uint64_t)config->linger_us * 1000u,
		.chunk_bytes = (uint64_t)config->chunk_bytes,
		.window_bytes = (uint64_t)config->window_bytes,
		.share_percent = (uint32_t)config->bulk_share_percent,
		.byte_ps = 8000,
	};
}

int lina_link_open(const struct lina_config *config, const char *name, struct lina_link **link_p)
{
	struct lina_link *link = calloc(1, sizeof(*link));
	if (!link) {
		lina_warn("no memory for link %s", name);
		return -ENOMEM;
	}
	struct lina_sched_params params = params_of(config);
	link->config = config;
	strncpy(link->name, name, sizeof(link->name) - 1);
	for (int i = 0; i < LINA_NDIRS; i++) {
		pthread_mutex_init(&link->dir[i].lock, NULL);
		if (i == LINA_DIR_RECV)
			params.window_bytes = (uint64_t)config->grant_bytes;
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
	for (int i = 0; i < LINA_NDIRS; i++) {
		counts_log(link, (enum lina_dir)i);
		pthread_mutex_destroy(&link->dir[i].lock);
	}
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

uint64_t lina_link_ask(struct lina_link_flow *flow)
{
	uint64_t now_ns = lina_link_now_ns();

	pthread_mutex_lock(&flow->dir->lock);
	uint64_t bytes = lina_flow_ask(&flow->flow, now_ns);
	pthread_mutex_unlock(&flow->dir->lock);
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
	pthread_mutex_lock(&flow->dir->lock);
	lina_flow_below(&flow->flow, bytes);
	pthread_mutex_unlock(&flow->dir->lock);
}
