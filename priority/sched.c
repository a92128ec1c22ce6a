#include "priority/sched.h"

#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The time of a call. Callers read the clock before they wait for the lock, so that a call may come
 * with a time before that of the one before it. */
static uint64_t time_of(struct lina_sched *s, uint64_t now_ns)
{
	s->now_ns = max_u64(s->now_ns, now_ns);
	return s->now_ns;
}

void lina_sched_init(struct lina_sched *sched, const struct lina_sched_params *params)
{
	memset(sched, 0, sizeof(*sched));
	sched->params = *params;
	sched->turn = 1;
}

void lina_sched_tune(struct lina_sched *sched, const struct lina_sched_params *params)
{
	sched->params = *params;
}

void lina_sched_outside(struct lina_sched *sched, uint64_t until_ns, uint64_t now_ns)
{
	now_ns = time_of(sched, now_ns);
	until_ns = min_u64(until_ns, now_ns + sched->params.hold_max_ns);
	sched->outside_ns = max_u64(until_ns, min_u64(sched->outside_ns, now_ns));
}

uint64_t lina_sched_pending_until(const struct lina_sched *sched, uint64_t now_ns)
{
	uint64_t until_ns = sched->quiet_ns;

	if (sched->stalled)
		return 0;
	now_ns = max_u64(now_ns, sched->now_ns);
	if (sched->latency_queued_bytes) {
		until_ns = max_u64(until_ns, sched->moved_ns + sched->params.hold_max_ns);
		until_ns = min_u64(until_ns, now_ns + sched->params.hold_max_ns);
	}
	return until_ns > now_ns ? until_ns : 0;
}

static bool is_pending(const struct lina_sched *s, uint64_t now_ns)
{
	if (now_ns < s->outside_ns)
		return true;
	return !s->stalled && (s->latency_queued_bytes || now_ns < s->quiet_ns);
}

/* --- holds --- */

static void hold_begin(struct lina_sched *s, uint64_t now_ns)
{
	s->held = true;
	s->pass_bytes = 0;
	s->held_since_ns = s->waited_since_ns = s->earned_since_ns = now_ns;
	s->counts.holds++;
}

static void hold_end(struct lina_sched *s, uint64_t now_ns)
{
	uint64_t held_ns = now_ns - s->held_since_ns;

	s->held = false;
	s->counts.held_ns += held_ns;
	s->counts.longest_hold_ns = max_u64(s->counts.longest_hold_ns, held_ns);
}

/* --- flows --- */

void lina_flow_init(struct lina_flow *flow, struct lina_sched *sched, enum lina_class cls)
{
	*flow = (struct lina_flow){ .sched = sched, .cls = cls };
}

void lina_flow_below(struct lina_flow *flow, uint64_t bytes)
{
	uint64_t *sum = &flow->sched->below_bytes[flow->cls];

	*sum = *sum - flow->below_bytes + bytes;
	flow->below_bytes = bytes;
}

static void queued_take(struct lina_flow *flow, uint64_t bytes)
{
	struct lina_sched *s = flow->sched;

	if (!bytes)
		return;
	flow->queued_bytes -= bytes;
	if (flow->cls == LINA_CLASS_LATENCY)
		s->latency_queued_bytes -= bytes;
	else if (!flow->queued_bytes)
		s->nbulk--;
}

void lina_flow_drop(struct lina_flow *flow)
{
	struct lina_sched *s = flow->sched;

	queued_take(flow, flow->queued_bytes);
	lina_flow_below(flow, 0);
	flow->turn = 0;
	if (!s->latency_queued_bytes)
		s->stalled = false; /* what did not move is gone; the next may well move */
	if (!s->nbulk)
		s->held = false; /* nobody waits any more; what it was counts for nothing */
}

/* Only receivers have crowds: kept out of what senders post. */
static __attribute__((noinline)) void crowd_see(struct lina_sched *s, uint64_t now_ns)
{
	if (s->nbulk < s->crowd && now_ns - s->crowd_at_ns < s->params.crowd_ns)
		return;
	s->crowd = s->nbulk;
	s->crowd_at_ns = now_ns;
}

/* Bulk that comes after a pause has yet to show that it runs alone. */
static void bulk_posted(struct lina_flow *flow, uint64_t now_ns)
{
	struct lina_sched *s = flow->sched;

	if (!s->nbulk && now_ns - s->bulk_ns >= s->params.relax_ns)
		s->bulk_since_ns = now_ns;
	s->bulk_ns = now_ns;
	s->nbulk += !flow->queued_bytes;
	if (s->params.crowd_flows)
		crowd_see(s, now_ns);
}

/* inline: a send takes bulk in one call, and this is part of that. */
inline void lina_flow_post(struct lina_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	struct lina_sched *s = flow->sched;

	now_ns = time_of(s, now_ns);
	if (!bytes)
		return;
	if (flow->cls == LINA_CLASS_LATENCY) {
		if (!s->latency_queued_bytes)
			s->moved_ns = now_ns;
		s->latency_queued_bytes += bytes;
	} else {
		bulk_posted(flow, now_ns);
	}
	flow->queued_bytes += bytes;
}

static uint64_t link_ns(const struct lina_sched *s, uint64_t bytes)
{
	return bytes * s->params.byte_ps / 1000;
}

static __attribute__((noinline)) void latency_sent(
	struct lina_sched *s, uint64_t bytes, uint64_t now_ns)
{
	uint64_t bulk_ns = link_ns(s, s->below_bytes[LINA_CLASS_BULK]);
	uint64_t below_ns = link_ns(s, s->below_bytes[LINA_CLASS_LATENCY]);

	s->free_ns = max_u64(s->free_ns, now_ns + bulk_ns) + link_ns(s, bytes);
	s->free_ns = min_u64(s->free_ns, now_ns + bulk_ns + below_ns);
	s->quiet_ns = s->free_ns + s->params.linger_ns;
	s->moved_ns = now_ns;
	s->stalled = false;
}

static void pass_take(struct lina_flow *flow, uint64_t bytes)
{
	struct lina_sched *s = flow->sched;

	if (!s->held || !s->pass_bytes)
		return;
	s->pass_bytes -= min_u64(s->pass_bytes, bytes);
	s->turn += flow->turn == s->turn;
	flow->turn = s->turn;
}

static inline void bulk_sent(struct lina_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	struct lina_sched *s = flow->sched;

	lina_flow_below(flow, flow->below_bytes + bytes);
	pass_take(flow, bytes);
	s->waited_since_ns = s->bulk_ns = now_ns;
	if (s->held && !s->nbulk)
		hold_end(s, now_ns);
}

/* At a time of time_of. */
static inline void sent(struct lina_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	if (!bytes)
		return;
	queued_take(flow, bytes);
	flow->sched->counts.bytes[flow->cls] += bytes;
	if (flow->cls == LINA_CLASS_LATENCY)
		latency_sent(flow->sched, bytes, now_ns);
	else
		bulk_sent(flow, bytes, now_ns);
}

void lina_flow_sent(struct lina_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	sent(flow, bytes, time_of(flow->sched, now_ns));
}

/* --- what the bounds let through --- */

/* The time in which bulk earns a chunk by its share; 0: it never does. */
static uint64_t earn_ns(const struct lina_sched *s)
{
	uint64_t chunk_ps = s->params.chunk_bytes * s->params.byte_ps;

	return s->params.share_percent ? chunk_ps / (s->params.share_percent * UINT64_C(10)) : 0;
}

/* Lets another chunk through when a bound fires. */
static void bounds_check(struct lina_sched *s, uint64_t now_ns)
{
	uint64_t earned_ns = now_ns - s->earned_since_ns, chunk_ns = earn_ns(s);

	if (now_ns - s->waited_since_ns >= s->params.hold_max_ns) {
		s->counts.hold_fired++;
		s->met |= LINA_MET_HOLD;
		s->earned_since_ns = now_ns;
	} else if (chunk_ns && earned_ns >= chunk_ns) {
		s->counts.share_fired++;
		s->met |= LINA_MET_SHARE;
		s->earned_since_ns = now_ns - earned_ns % chunk_ns;
	} else {
		return;
	}
	s->pass_bytes += s->params.chunk_bytes;
	s->fired_ns = now_ns;
}

/* Whether a flow may take what the bounds let through, or has to leave it to others. */
static bool has_turn(const struct lina_flow *flow, uint64_t now_ns)
{
	const struct lina_sched *s = flow->sched;
	uint64_t chunk_ns = earn_ns(s), wait_ns = s->params.hold_max_ns;

	if (flow->turn != s->turn || s->nbulk == 1)
		return true;
	if (chunk_ns)
		wait_ns = min_u64(wait_ns, chunk_ns);
	return now_ns - s->fired_ns >= wait_ns / 4;
}

/* Latency work that had the whole of a hold to move and did not. */
static bool has_stalled(const struct lina_sched *s, uint64_t now_ns)
{
	return s->latency_queued_bytes && !s->stalled &&
	       now_ns - s->moved_ns >= s->params.hold_max_ns &&
	       now_ns - s->held_since_ns >= s->params.hold_max_ns;
}

bool lina_sched_relaxed(const struct lina_sched *sched, uint64_t now_ns)
{
	uint64_t alone_ns = max_u64(sched->quiet_ns, sched->outside_ns);

	if (alone_ns)
		alone_ns = max_u64(alone_ns, sched->bulk_since_ns);
	return !sched->latency_queued_bytes && now_ns >= alone_ns + sched->params.relax_ns;
}

/* How much bulk may go while latency work is pending, or was when it was last asked, where less
 * than least_bytes is of no use. Kept apart: what is not held pays nothing for it. */
static __attribute__((noinline)) uint64_t held_allowed(
	const struct lina_flow *flow, uint64_t chunk_bytes, uint64_t least_bytes, uint64_t now_ns)
{
	struct lina_sched *s = flow->sched;

	if (s->held && has_stalled(s, now_ns)) {
		s->stalled = true;
		s->counts.stall_fired++;
		s->met |= LINA_MET_STALL;
	}
	if (is_pending(s, now_ns)) {
		if (!s->held)
			hold_begin(s, now_ns);
		if (s->pass_bytes < least_bytes)
			bounds_check(s, now_ns);
		return has_turn(flow, now_ns) ? min_u64(s->pass_bytes, chunk_bytes) : 0;
	}
	if (s->held)
		hold_end(s, now_ns);
	return chunk_bytes;
}

/* What a flow has of the window. */
static inline uint64_t part_of(const struct lina_sched *s, uint64_t window_bytes, bool relaxed)
{
	const uint64_t few = s->params.crowd_flows, most_bytes = window_bytes;

	if (!few)
		return window_bytes / s->nbulk;
	const uint64_t crowd = max_u64(s->crowd, s->nbulk); /* few may be new */
	if (!relaxed && crowd > few)
		window_bytes = max_u64(most_bytes * few / crowd,
			min_u64(most_bytes, s->params.crowd_window_bytes));
	return window_bytes / crowd;
}

/* What a flow has for a chunk where its part of the window is smaller than that. */
static uint64_t small_chunk(const struct lina_sched *s, uint64_t chunk_bytes, uint64_t part_bytes)
{
	uint64_t most = s->params.crowd_flows ? part_bytes : 2 * part_bytes;

	return min_u64(chunk_bytes, max_u64(most, s->params.least_chunk_bytes));
}

/* At a time of time_of. */
static inline uint64_t ask(struct lina_flow *flow, uint64_t now_ns)
{
	struct lina_sched *s = flow->sched;

	s->met = 0;
	if (flow->cls == LINA_CLASS_LATENCY || !flow->queued_bytes)
		return flow->queued_bytes;
	s->counts.asks++;
	uint64_t chunk = s->params.chunk_bytes, window = s->params.window_bytes;
	bool relaxed = lina_sched_relaxed(s, now_ns);
	if (relaxed) {
		chunk = max_u64(chunk, s->params.relaxed_chunk_bytes);
		window = max_u64(window, s->params.relaxed_window_bytes);
	}
	uint64_t part = part_of(s, window, relaxed);
	if (part < chunk)
		chunk = small_chunk(s, chunk, part);
	uint64_t least = min_u64(flow->queued_bytes, (chunk + 1) / 2), bytes = chunk;
	if (s->held || (!relaxed && is_pending(s, now_ns)))
		bytes = held_allowed(flow, chunk, least, now_ns);
	if (bytes < least)
		return 0;
	part = max_u64(part, chunk);
	uint64_t room = part > flow->below_bytes ? part - flow->below_bytes : 0;
	if (room < least) {
		s->counts.full++;
		s->met |= LINA_MET_FULL;
		return 0;
	}
	return min_u64(min_u64(bytes, room), flow->queued_bytes);
}

uint64_t lina_flow_ask(struct lina_flow *flow, uint64_t now_ns)
{
	return ask(flow, time_of(flow->sched, now_ns));
}

uint64_t lina_flow_take(struct lina_flow *flow, uint64_t most_bytes, uint64_t now_ns)
{
	now_ns = time_of(flow->sched, now_ns);
	uint64_t taken = min_u64(ask(flow, now_ns), most_bytes);
	sent(flow, taken, now_ns);
	return taken;
}
