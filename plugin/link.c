#include "plugin/link.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "plugin/link_state.h"
#include "plugin/log.h"
#include "plugin/rest.h"

enum {
	COST_SAMPLES = 256, /* that the cost is learned from */
	HEAR_NS = 20000,    /* between two looks at what other processes say */
};

uint64_t lina_link_now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whether it is worth new parameters. */
static bool differs(uint64_t a, uint64_t b)
{
	uint64_t difference = a > b ? a - b : b - a;
	return difference > b / 32;
}

/* --- other processes --- */

/* What cannot be shared is not: the link goes on alone, and share.h has said why. */
static void share_open(struct lina_link_dir *dir, const char *name, enum lina_dir which)
{
	char text[LINA_LINK_NAME_BYTES + 8];

	snprintf(text, sizeof(text), "%s-%s", name, which == LINA_DIR_SEND ? "send" : "recv");
	if (!dir->link->config->share || lina_share_open(text, &dir->share))
		dir->share = NULL;
}

/* After any change of what this process has to do, with the lock held; what they know is told again
 * before it runs out. */
static inline void tell(struct lina_link_dir *dir, uint64_t now_ns)
{
	if (!dir->share)
		return;
	uint64_t until_ns = lina_sched_pending_until(&dir->sched, now_ns);
	if (until_ns == dir->told_until_ns && dir->sched.nbulk == dir->told_flows &&
		now_ns - dir->told_ns < LINA_SHARE_LEASE_NS / 4)
		return;
	dir->told_until_ns = until_ns;
	dir->told_flows = dir->sched.nbulk;
	dir->told_ns = now_ns;
	lina_share_tell(dir->share, until_ns, dir->sched.nbulk);
}

static uint64_t window_part(uint64_t window_bytes, uint64_t own_flows, uint64_t other_flows)
{
	own_flows = own_flows ? own_flows : 1;
	return window_bytes * own_flows / (own_flows + other_flows);
}

/* The link carries what all send together. */
static void left_hear(struct lina_link_dir *dir)
{
	uint64_t left = lina_share_left_bytes(dir->share);

	if (left > dir->others_left_bytes)
		dir->unlearned_bytes += left - dir->others_left_bytes;
	dir->others_left_bytes = left;
}

/* Before a decision, with the lock held: others' latency work holds this process's bulk too, and
 * the window is for the bulk of all. */
static inline void hear(struct lina_link_dir *dir, uint64_t now_ns)
{
	struct lina_sched *sched = &dir->sched;

	if (!dir->share || now_ns - dir->heard_ns < HEAR_NS)
		return;
	dir->heard_ns = now_ns;
	bool alone = lina_share_is_alone(dir->share);
	if (alone && !dir->others)
		return;
	dir->others = !alone;
	uint64_t until_ns =
		lina_share_latency_until_ns(dir->share, now_ns, sched->params.hold_max_ns);
	lina_sched_outside(sched, until_ns, now_ns);
	dir->other_flows = lina_share_bulk_flows(dir->share, now_ns);
	if (dir != &dir->link->dir[LINA_DIR_SEND])
		return;
	left_hear(dir);
	sched->params.window_bytes = window_part(dir->window.bytes, sched->nbulk, dir->other_flows);
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
	lina_fit_init(&link->dir[LINA_DIR_SEND].cost, COST_SAMPLES);
	lina_window_init(&link->dir[LINA_DIR_SEND].window, UINT32_MAX);
	lina_hot_init(&link->hot, (uint64_t)config->sndbuf_bytes);
	for (int i = 0; i < LINA_NDIRS; i++) {
		struct lina_sched_params params = lina_link_params(link, (enum lina_dir)i, 1, 1);
		pthread_mutex_init(&link->dir[i].lock, NULL);
		link->dir[i].link = link;
		lina_sched_init(&link->dir[i].sched, &params);
		lina_watch_link_open(&link->dir[i].watch, name, (enum lina_dir)i);
		share_open(&link->dir[i], name, (enum lina_dir)i);
	}
	lina_link_tune(link);
	*link_p = link;
	return 0;
}

const char *lina_link_name(const struct lina_link *link)
{
	return link->name;
}

struct lina_hot *lina_link_hot(struct lina_link *link)
{
	return &link->hot;
}

struct lina_pump *lina_link_pump(const struct lina_link *link)
{
	return link->pump;
}

int lina_link_pump_open(struct lina_link *link)
{
	int err = link->config->pump ? lina_pump_open(link->name, &link->pump) : 0;

	if (err)
		lina_warn("no memory for link %s", link->name);
	lina_link_tune(link);
	return err;
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
	lina_pump_close(link->pump);
	lina_info("link %s: %" PRIu64 " Mbit/s, chunk %" PRIu64 ", window %" PRIu64 " bytes",
		link->name, link->bytes_per_s / 125000, link->dir[0].sched.params.chunk_bytes,
		link->dir[0].sched.params.window_bytes);
	for (int i = 0; i < LINA_NDIRS; i++) {
		counts_log(link, (enum lina_dir)i);
		lina_watch_link_close(&link->dir[i].watch, &link->dir[i].sched);
		lina_share_close(link->dir[i].share);
		pthread_mutex_destroy(&link->dir[i].lock);
	}
	lina_hot_destroy(&link->hot);
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
	flow->hot = (struct lina_hot_flow){ .hot = &link->hot };
	flow->counted_bytes = 0;
	flow->rate = (struct lina_rate_flow){ .seen_ns = 0 };
	flow->stays = false;
	lina_flow_init(&flow->flow, &flow->dir->sched, cls);
}

/* After any change of a flow, with the lock held. */
static inline void recount(struct lina_link_flow *flow)
{
	uint64_t bytes = flow->flow.queued_bytes ? flow->flow.below_bytes : 0;

	if (flow->flow.cls != LINA_CLASS_BULK)
		return;
	flow->dir->below_bytes += bytes - flow->counted_bytes;
	flow->counted_bytes = bytes;
}

void lina_link_drop(struct lina_link_flow *flow)
{
	pthread_mutex_lock(&flow->dir->lock);
	if (flow->hot.peer)
		lina_hot_drop(&flow->hot);
	lina_flow_drop(&flow->flow);
	recount(flow);
	tell(flow->dir, flow->dir->sched.now_ns);
	lina_watch_link(&flow->dir->watch, &flow->dir->sched, flow->dir->sched.now_ns);
	pthread_mutex_unlock(&flow->dir->lock);
}

/* With the lock held. */
static inline void post(struct lina_link_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	if (!flow->flow.queued_bytes && bytes)
		lina_rate_back(&flow->rate, flow->flow.below_bytes);
	lina_flow_post(&flow->flow, bytes, now_ns);
	if (flow->hot.peer)
		lina_hot_post(&flow->hot, bytes, now_ns);
}

void lina_link_post(struct lina_link_flow *flow, uint64_t bytes)
{
	uint64_t now_ns = lina_link_now_ns();

	pthread_mutex_lock(&flow->dir->lock);
	post(flow, bytes, now_ns);
	recount(flow);
	tell(flow->dir, now_ns);
	lina_watch_link(&flow->dir->watch, &flow->dir->sched, now_ns);
	pthread_mutex_unlock(&flow->dir->lock);
}

/* --- bounds --- */

enum { BOUNDS = LINA_MET_SHARE | LINA_MET_HOLD | LINA_MET_STALL };

/* fired: of BOUNDS. */
static void bounds_say(struct lina_link *link, unsigned fired)
{
	const struct lina_config *config = link->config;
	unsigned first = fired & ~atomic_fetch_or(&link->said, fired);

	if (first & LINA_MET_SHARE)
		lina_info("link %s: bulk traffic goes on with its LINA_BULK_SHARE_PERCENT=%d %% "
			  "while latency traffic is pending (said once; counted)",
			link->name, config->bulk_share_percent);
	if (first & LINA_MET_HOLD)
		lina_info("link %s: bulk traffic waited LINA_HOLD_MAX_MS=%d ms for latency "
			  "traffic that does not end, and sends a chunk (said once; counted)",
			link->name, config->hold_max_ms);
	if (first & LINA_MET_STALL)
		lina_info("link %s: bulk traffic waited LINA_HOLD_MAX_MS=%d ms for latency "
			  "traffic that does not move, and goes on (said once; counted)",
			link->name, config->hold_max_ms);
}

/* A hold that is as long as any may be, while all latency work was handed down as long ago, says
 * that the link is thought slower than it is, which bulk that is held could not find out: until it
 * has been learned anew it is taken for twice as fast. One for other processes, for work that moves
 * or for what may follow it says nothing. */
static bool rate_is_wrong(const struct lina_sched *sched, unsigned fired)
{
	return (fired & LINA_MET_HOLD) && !sched->latency_queued_bytes &&
	       sched->now_ns < sched->free_ns &&
	       sched->now_ns - sched->moved_ns >= sched->params.hold_max_ns;
}

/* What a chunk takes on the link. */
static uint64_t chunk_ns(const struct lina_sched *sched)
{
	return sched->params.chunk_bytes * sched->params.byte_ps / 1000;
}

void lina_link_cost(struct lina_link_flow *flow, uint64_t bytes, uint64_t ns)
{
	pthread_mutex_lock(&flow->dir->lock);
	lina_fit_add(&flow->dir->cost, bytes, ns);
	pthread_mutex_unlock(&flow->dir->lock);
}

/* Others count it as having left just now, so that what may have left long before is not told. */
static void left_tell(const struct lina_link_flow *flow, uint64_t bytes)
{
	if (flow->dir->others && !flow->stays && bytes > flow->rate.old_bytes)
		lina_share_left(flow->dir->share, bytes - flow->rate.old_bytes);
}

/* What bulk has left tells what the link carries, and whether it runs dry. */
static void bulk_learn(struct lina_link_flow *flow, uint64_t left_bytes, uint64_t now_ns)
{
	struct lina_link_dir *dir = flow->dir;
	bool busy = dir->full && !dir->sched.held;

	left_tell(flow, left_bytes);
	left_bytes = lina_rate_sure(&dir->rate, &flow->rate, left_bytes, now_ns);
	left_bytes += dir->unlearned_bytes;
	dir->unlearned_bytes = 0;
	lina_rate_left(&dir->rate, left_bytes, busy, now_ns);
	if (!busy || lina_sched_relaxed(&dir->sched, now_ns))
		return;
	lina_window_seen(&dir->window, dir->below_bytes, now_ns);
	dir->full = false;
	dir->sched.params.window_bytes =
		window_part(dir->window.bytes, dir->sched.nbulk, dir->other_flows);
}

/* bytes are below now, with the lock held. */
static void below_see(struct lina_link_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	struct lina_link_dir *dir = flow->dir;
	uint64_t before = flow->flow.below_bytes;

	lina_flow_below(&flow->flow, bytes);
	recount(flow);
	if (dir == &dir->link->dir[LINA_DIR_SEND] && flow->flow.cls == LINA_CLASS_BULK)
		bulk_learn(flow, before > bytes ? before - bytes : 0, now_ns);
}

/* Of the rate that is learned by now (0: none yet), without the lock. */
static void rate_see(struct lina_link_dir *dir, uint64_t bytes_per_s)
{
	struct lina_link *link = dir->link;

	if (dir == &link->dir[LINA_DIR_SEND] && bytes_per_s &&
		differs(bytes_per_s, link->bytes_per_s))
		lina_link_rate_set(link, bytes_per_s);
}

void lina_link_below(struct lina_link_flow *flow, uint64_t bytes)
{
	uint64_t now_ns = lina_link_now_ns();
	struct lina_link_dir *dir = flow->dir;

	pthread_mutex_lock(&dir->lock);
	below_see(flow, bytes, now_ns);
	lina_watch_link(&dir->watch, &dir->sched, now_ns);
	uint64_t bytes_per_s = lina_rate_bytes_per_s(&dir->rate);
	pthread_mutex_unlock(&dir->lock);
	rate_see(dir, bytes_per_s);
}

/* What asks say besides their answers. */
struct asked {
	uint64_t rest_ns;
	unsigned fired;       /* bounds */
	bool wrong;           /* the rate is */
	bool looked;          /* at what is below, */
	uint64_t bytes_per_s; /* which the link carries as far as that tells */
};

/* After an ask that was answered with bytes, with the lock held. */
static inline void asked_see(struct lina_link_dir *dir, uint64_t bytes, struct asked *asked)
{
	const struct lina_sched *sched = &dir->sched;
	unsigned fired = sched->met & BOUNDS;

	dir->full = sched->met & LINA_MET_FULL;
	asked->rest_ns = !bytes && sched->held ? chunk_ns(sched) / 2 : 0;
	if (!fired)
		return;
	asked->fired |= fired;
	if (!rate_is_wrong(sched, fired))
		return;
	asked->wrong = true;
	lina_rate_forget(&dir->rate);
}

/* Seldom anything. */
static __attribute__((noinline)) void more_act(struct lina_link_dir *dir, const struct asked *asked)
{
	if (asked->fired)
		bounds_say(dir->link, asked->fired);
	if (asked->wrong)
		lina_link_rate_set(dir->link, dir->link->bytes_per_s * 2);
	else if (asked->looked)
		rate_see(dir, asked->bytes_per_s);
}

/* Without the lock. */
static inline void asked_act(struct lina_link_dir *dir, const struct asked *asked)
{
	lina_rest_offer(asked->rest_ns);
	if (asked->fired || asked->looked)
		more_act(dir, asked);
}

uint64_t lina_link_ask(struct lina_link_flow *flow)
{
	uint64_t now_ns = lina_link_now_ns();
	struct lina_link_dir *dir = flow->dir;
	struct asked asked = { .fired = 0 };

	pthread_mutex_lock(&dir->lock);
	hear(dir, now_ns);
	uint64_t bytes = lina_flow_ask(&flow->flow, now_ns);
	asked_see(dir, bytes, &asked);
	tell(dir, now_ns);
	lina_watch_link(&dir->watch, &dir->sched, now_ns);
	pthread_mutex_unlock(&dir->lock);
	asked_act(dir, &asked);
	return bytes;
}

/* bytes have been handed down, with the lock held. */
static inline void sent_see(struct lina_link_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	struct lina_link_dir *dir = flow->dir;

	if (flow->hot.peer)
		lina_hot_sent(&flow->hot, bytes, now_ns);
	recount(flow);
	tell(dir, now_ns);
	/* Bulk wants for data or grants: what the link carries says nothing of what it could, and a
	 * sample that is being taken ends. */
	if (dir->rate.since_ns && bytes && flow->flow.cls == LINA_CLASS_BULK &&
		!flow->flow.queued_bytes)
		lina_rate_left(&dir->rate, 0, false, now_ns);
	lina_watch_sent(&dir->watch, &flow->flow, bytes, now_ns);
}

void lina_link_went(struct lina_link_flow *flow, uint64_t more_bytes, uint64_t bytes)
{
	uint64_t now_ns = lina_link_now_ns();

	pthread_mutex_lock(&flow->dir->lock);
	if (more_bytes)
		post(flow, more_bytes, now_ns);
	lina_flow_sent(&flow->flow, bytes, now_ns);
	sent_see(flow, bytes, now_ns);
	pthread_mutex_unlock(&flow->dir->lock);
}

void lina_link_sent(struct lina_link_flow *flow, uint64_t bytes)
{
	lina_link_went(flow, 0, bytes);
}

/* With the lock held. */
static inline uint64_t take(
	struct lina_link_flow *flow, uint64_t most_bytes, uint64_t now_ns, struct asked *asked)
{
	uint64_t bytes = lina_flow_take(&flow->flow, most_bytes, now_ns);

	asked_see(flow->dir, bytes, asked);
	return bytes;
}

/* The same, once below_bytes were found to be below. */
static __attribute__((noinline)) uint64_t look_and_take(struct lina_link_flow *flow,
	uint64_t most_bytes, uint64_t below_bytes, uint64_t now_ns, struct asked *asked)
{
	below_see(flow, below_bytes, now_ns);
	asked->looked = true;
	asked->bytes_per_s = lina_rate_bytes_per_s(&flow->dir->rate);
	return take(flow, most_bytes, now_ns, asked);
}

uint64_t lina_link_take(
	struct lina_link_flow *flow, uint64_t bytes, uint64_t most_bytes, uint64_t below_bytes)
{
	uint64_t now_ns = lina_link_now_ns();
	struct lina_link_dir *dir = flow->dir;
	struct asked asked = { .fired = 0 };

	pthread_mutex_lock(&dir->lock);
	post(flow, bytes, now_ns);
	hear(dir, now_ns);
	uint64_t taken = take(flow, most_bytes, now_ns, &asked);
	if (!taken && below_bytes < flow->flow.below_bytes)
		taken = look_and_take(flow, most_bytes, below_bytes, now_ns, &asked);
	sent_see(flow, taken, now_ns);
	pthread_mutex_unlock(&dir->lock);
	asked_act(dir, &asked);
	return taken;
}

uint64_t lina_link_grant(struct lina_link_flow *flow, uint64_t ahead_bytes, uint64_t most_bytes)
{
	uint64_t given = 0, n;

	lina_link_below(flow, ahead_bytes);
	uint64_t more = most_bytes - ahead_bytes - flow->flow.queued_bytes;
	for (; (n = lina_link_take(flow, more, UINT64_MAX, UINT64_MAX)) > 0; more = 0)
		given += n;
	return given;
}
