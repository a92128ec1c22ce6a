#include "unit/sched_twin.h"

#include <stdlib.h>
#include <string.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* --- what happened --- */

static const struct twin_event *last(const struct twin *t)
{
	return &t->event[t->n - 1];
}

static bool is_sent(const struct twin *t, const struct twin_event *e, enum lina_class cls)
{
	return e->kind == TWIN_SENT && e->bytes > 0 && t->cls[e->flow] == cls;
}

struct sums {
	uint64_t queued[TWIN_FLOWS], below[TWIN_FLOWS];
};

static struct sums sums(const struct twin *t)
{
	struct sums sum = { { 0 }, { 0 } };

	for (const struct twin_event *e = t->event; e < t->event + t->n; e++) {
		if (e->kind == TWIN_POST)
			sum.queued[e->flow] += e->bytes;
		if (e->kind == TWIN_SENT)
			sum.queued[e->flow] -= e->bytes;
		if (is_sent(t, e, LINA_CLASS_BULK))
			sum.below[e->flow] += e->bytes;
		if (e->kind == TWIN_BELOW)
			sum.below[e->flow] = e->bytes;
		if (e->kind == TWIN_DROP)
			sum.queued[e->flow] = sum.below[e->flow] = 0;
	}
	return sum;
}

uint64_t twin_queued(const struct twin *t, int flow)
{
	return sums(t).queued[flow];
}

/* A call without a time happens at that of the one before it, and so does one that comes late. */
static struct twin_event *happen(
	struct twin *t, enum twin_kind kind, int flow, uint64_t bytes, uint64_t now_ns)
{
	struct twin_event *e = &t->event[t->n];

	if (t->n == TWIN_EVENTS)
		abort();
	*e = (struct twin_event){ .kind = kind, .flow = flow, .bytes = bytes, .now_ns = now_ns };
	if (t->n > 0) {
		e->now_ns = most(now_ns, last(t)->now_ns);
		e->params = last(t)->params;
	}
	t->n++;
	const struct sums sum = sums(t);
	for (int i = 0; i < TWIN_FLOWS; i++) {
		if (t->cls[i] == LINA_CLASS_BULK) {
			e->nbulk += sum.queued[i] > 0;
			e->bulk_below += sum.below[i];
			continue;
		}
		e->latency_queued += sum.queued[i];
		e->latency_below += sum.below[i];
	}
	return e;
}

/* --- latency work --- */

static uint64_t bytes_ns(uint64_t bytes, const struct lina_sched_params *params)
{
	return bytes * params->byte_ps / 1000;
}

/* When the link has carried what was handed down, one after the other, and it lingered. */
static uint64_t quiet_ns(const struct twin *t)
{
	uint64_t free_ns = 0, quiet_ns = 0;

	for (const struct twin_event *e = t->event; e < t->event + t->n; e++) {
		if (!is_sent(t, e, LINA_CLASS_LATENCY))
			continue;
		uint64_t bulk_gone_ns = e->now_ns + bytes_ns(e->bulk_below, &e->params);
		uint64_t all_gone_ns = bulk_gone_ns + bytes_ns(e->latency_below, &e->params);
		free_ns = most(free_ns, bulk_gone_ns) + bytes_ns(e->bytes, &e->params);
		free_ns = least(free_ns, all_gone_ns);
		quiet_ns = free_ns + e->params.linger_ns;
	}
	return quiet_ns;
}

/* When other processes had latency work last: each word of theirs counts until the next. */
static uint64_t outside_ns(const struct twin *t)
{
	uint64_t until_ns = 0, next_ns = UINT64_MAX;

	for (const struct twin_event *e = last(t); e >= t->event; e--) {
		if (e->kind != TWIN_OUTSIDE)
			continue;
		until_ns = most(until_ns, least(e->bytes, next_ns));
		next_ns = e->now_ns;
	}
	return until_ns;
}

/* When latency work last moved, or began to have something that could. */
static uint64_t moved_ns(const struct twin *t)
{
	for (const struct twin_event *e = last(t); e > t->event; e--)
		if (is_sent(t, e, LINA_CLASS_LATENCY) ||
			(e->latency_queued > 0 && e[-1].latency_queued == 0))
			return e->now_ns;
	return 0;
}

static bool is_stalled(const struct twin *t)
{
	for (const struct twin_event *e = last(t); e >= t->event; e--) {
		if (e->stalled)
			return true;
		if (is_sent(t, e, LINA_CLASS_LATENCY) || e->latency_queued == 0)
			return false;
	}
	return false;
}

static bool is_pending(const struct twin *t, bool stalled, uint64_t now_ns)
{
	bool ours = last(t)->latency_queued > 0 || now_ns < quiet_ns(t);

	return (ours && !stalled) || now_ns < outside_ns(t);
}

/* Since when bulk has been at work: it began where it was posted after a pause of relax_ns in which
 * none was queued, posted or sent. */
static uint64_t bulk_since_ns(const struct twin *t)
{
	uint64_t since_ns = 0, before_ns = 0;

	for (const struct twin_event *e = t->event; e < t->event + t->n; e++) {
		bool posted =
			e->kind == TWIN_POST && e->bytes > 0 && t->cls[e->flow] == LINA_CLASS_BULK;
		if (posted && e[-1].nbulk == 0 && e->now_ns - before_ns >= e->params.relax_ns)
			since_ns = e->now_ns;
		if (posted || is_sent(t, e, LINA_CLASS_BULK))
			before_ns = e->now_ns;
	}
	return since_ns;
}

static bool is_relaxed(const struct twin *t, uint64_t now_ns)
{
	uint64_t pending_ns = most(quiet_ns(t), outside_ns(t));
	uint64_t alone_ns = pending_ns > 0 ? most(pending_ns, bulk_since_ns(t)) : 0;

	return last(t)->latency_queued == 0 && now_ns >= alone_ns &&
	       now_ns - alone_ns >= last(t)->params.relax_ns;
}

uint64_t twin_pending_until(const struct twin *t, uint64_t now_ns)
{
	const struct lina_sched_params *params = &last(t)->params;
	uint64_t until_ns = quiet_ns(t);

	now_ns = most(now_ns, last(t)->now_ns);
	if (last(t)->latency_queued > 0)
		until_ns = least(most(until_ns, moved_ns(t) + params->hold_max_ns),
			now_ns + params->hold_max_ns);
	return is_stalled(t) || until_ns <= now_ns ? 0 : until_ns;
}

/* --- holds --- */

/* The ask with which the hold began that is on after event e, NULL: none is. A hold is asks that
 * were answered so one after the other, and bulk that waits all the while. */
static const struct twin_event *hold_before(const struct twin *t, const struct twin_event *e)
{
	const struct twin_event *hold = NULL;

	for (; e >= t->event; e--) {
		if (e->nbulk == 0 || (e->asked && !e->held))
			break;
		if (e->asked)
			hold = e;
	}
	return hold;
}

static uint64_t waited_since_ns(const struct twin *t, const struct twin_event *hold)
{
	const struct twin_event *e = last(t);

	while (e > hold && !is_sent(t, e, LINA_CLASS_BULK))
		e--;
	return e->now_ns;
}

/* Time for a chunk at the link's rate, by the share; 0: never. */
static uint64_t earn_ns(const struct lina_sched_params *params)
{
	if (params->share_percent == 0)
		return 0;
	return params->chunk_bytes * params->byte_ps / 10 / params->share_percent;
}

/* Since when what was earned has not been let through. */
static uint64_t earned_since_ns(const struct twin *t, const struct twin_event *hold)
{
	uint64_t since_ns = hold->now_ns;

	for (const struct twin_event *e = hold; e <= last(t); e++) {
		uint64_t chunk_ns = earn_ns(&e->params);
		if (e->hold_fired)
			since_ns = e->now_ns;
		else if (e->share_fired && chunk_ns > 0)
			since_ns = e->now_ns - (e->now_ns - since_ns) % chunk_ns;
	}
	return since_ns;
}

/* What was let through and not taken. */
static uint64_t pass_bytes(const struct twin *t, const struct twin_event *hold)
{
	uint64_t bytes = 0;

	for (const struct twin_event *e = hold; e <= last(t); e++) {
		if (e->share_fired || e->hold_fired)
			bytes += e->params.chunk_bytes;
		else if (is_sent(t, e, LINA_CLASS_BULK))
			bytes -= least(bytes, e->bytes);
	}
	return bytes;
}

/* Of the flows that waited, which of them this one has to let go first: whether in the turn that is
 * on it took already. A turn ends when one takes again. */
static bool had_turn(const struct twin *t, int flow)
{
	int turn = 1, in[TWIN_FLOWS] = { 0 };

	for (const struct twin_event *e = t->event; e <= last(t); e++) {
		if (e->kind == TWIN_DROP)
			in[e->flow] = 0;
		if (!e->took)
			continue;
		if (in[e->flow] == turn)
			turn++;
		in[e->flow] = turn;
	}
	return in[flow] == turn;
}

/* Since what is there to take was let through. */
static uint64_t fired_ns(const struct twin *t)
{
	const struct twin_event *e = last(t);

	while (e > t->event && !e->share_fired && !e->hold_fired)
		e--;
	return e->now_ns;
}

/* It is left to others for a quarter of the shorter of the times that the bounds take. */
static bool is_left_to_others(const struct twin *t, int flow, uint64_t since_ns, uint64_t now_ns)
{
	uint64_t hold_ns = last(t)->params.hold_max_ns, chunk_ns = earn_ns(&last(t)->params);

	if (last(t)->nbulk == 1 || !had_turn(t, flow))
		return false;
	return now_ns - since_ns < least(hold_ns, chunk_ns > 0 ? chunk_ns : hold_ns) / 4;
}

/* --- answers --- */

static bool has_stalled(const struct twin *t, const struct twin_event *hold, uint64_t now_ns)
{
	uint64_t hold_max_ns = last(t)->params.hold_max_ns;

	return hold && last(t)->latency_queued > 0 && !is_stalled(t) &&
	       now_ns - moved_ns(t) >= hold_max_ns && now_ns - hold->now_ns >= hold_max_ns;
}

/* What bulk may take while latency work is pending. */
static uint64_t held_ask(const struct twin *t, int flow, const struct twin_event *hold,
	uint64_t wanted, struct twin_event *verdict)
{
	const struct lina_sched_params *params = &last(t)->params;
	uint64_t now_ns = verdict->now_ns;

	verdict->held = true;
	if (!hold)
		return 0;
	uint64_t pass = pass_bytes(t, hold), chunk_ns = earn_ns(params);
	if (pass < wanted) {
		verdict->hold_fired = now_ns - waited_since_ns(t, hold) >= params->hold_max_ns;
		verdict->share_fired = !verdict->hold_fired && chunk_ns > 0 &&
				       now_ns - earned_since_ns(t, hold) >= chunk_ns;
	}
	bool fired = verdict->hold_fired || verdict->share_fired;
	if (fired)
		pass += params->chunk_bytes;
	return is_left_to_others(t, flow, fired ? now_ns : fired_ns(t), now_ns) ? 0 : pass;
}

/* The most bulk flows that had something queued at once, of which none is older than crowd_ns when
 * more is posted, as far as a crowd was looked for; or those that have now. */
static uint64_t crowd(const struct twin *t)
{
	const struct twin_event *most_of = NULL;

	for (const struct twin_event *e = t->event; e <= last(t); e++) {
		if (e->kind != TWIN_POST || e->bytes == 0 || t->cls[e->flow] != LINA_CLASS_BULK ||
			e->params.crowd_flows == 0)
			continue;
		if (!most_of || e->nbulk >= most_of->nbulk ||
			e->now_ns >= most_of->now_ns + e->params.crowd_ns)
			most_of = e;
	}
	return most(most_of ? (uint64_t)most_of->nbulk : 0, (uint64_t)last(t)->nbulk);
}

/* Of the window, for a flow. */
static uint64_t part_bytes(const struct twin *t, uint64_t window_bytes, bool relaxed)
{
	uint64_t few = last(t)->params.crowd_flows;

	if (few == 0)
		return window_bytes / (uint64_t)last(t)->nbulk;
	if (relaxed || crowd(t) <= few)
		return window_bytes / crowd(t);
	return most(window_bytes * few / crowd(t),
		       least(window_bytes, last(t)->params.crowd_window_bytes)) /
	       crowd(t);
}

static uint64_t bulk_ask(
	const struct twin *t, int flow, uint64_t queued, struct twin_event *verdict)
{
	const struct lina_sched_params *params = &last(t)->params;
	bool relaxed = is_relaxed(t, verdict->now_ns);
	uint64_t chunk = most(params->chunk_bytes, relaxed ? params->relaxed_chunk_bytes : 0);
	uint64_t window = most(params->window_bytes, relaxed ? params->relaxed_window_bytes : 0);
	uint64_t part = part_bytes(t, window, relaxed);
	if (part < chunk) /* then twice of it is a number */
		chunk = least(chunk, most(params->crowd_flows > 0 ? part : part + part,
					     params->least_chunk_bytes));
	part = most(part, chunk);
	uint64_t room = part - least(part, sums(t).below[flow]), may = chunk;
	uint64_t wanted = least(queued, chunk / 2 + chunk % 2);
	const struct twin_event *hold = hold_before(t, last(t));

	verdict->asked = true;
	verdict->stalled = has_stalled(t, hold, verdict->now_ns);
	if (is_pending(t, is_stalled(t) || verdict->stalled, verdict->now_ns))
		may = least(may, held_ask(t, flow, hold, wanted, verdict));
	verdict->full = may >= wanted && room < wanted;
	may = least(may, least(room, queued));
	return may < wanted ? 0 : may;
}

uint64_t twin_ask(struct twin *t, int flow, uint64_t now_ns)
{
	uint64_t queued = twin_queued(t, flow), may = queued;
	struct twin_event verdict = { .now_ns = most(now_ns, last(t)->now_ns) };

	if (t->cls[flow] == LINA_CLASS_BULK && queued > 0)
		may = bulk_ask(t, flow, queued, &verdict);
	struct twin_event *e = happen(t, TWIN_ASK, flow, 0, now_ns);
	e->asked = verdict.asked;
	e->held = verdict.held;
	e->stalled = verdict.stalled;
	e->share_fired = verdict.share_fired;
	e->hold_fired = verdict.hold_fired;
	e->full = verdict.full;
	return may;
}

void twin_init(struct twin *t, const struct lina_sched_params *params, const enum lina_class *cls)
{
	t->n = 0;
	memcpy(t->cls, cls, sizeof(t->cls));
	twin_tune(t, params);
}

void twin_tune(struct twin *t, const struct lina_sched_params *params)
{
	happen(t, TWIN_TUNE, -1, 0, 0)->params = *params;
}

void twin_outside(struct twin *t, uint64_t until_ns, uint64_t now_ns)
{
	struct twin_event *e = happen(t, TWIN_OUTSIDE, -1, 0, now_ns);

	e->bytes = least(until_ns, e->now_ns + e->params.hold_max_ns);
}

void twin_drop(struct twin *t, int flow)
{
	happen(t, TWIN_DROP, flow, 0, 0);
}

void twin_post(struct twin *t, int flow, uint64_t bytes, uint64_t now_ns)
{
	happen(t, TWIN_POST, flow, bytes, now_ns);
}

void twin_sent(struct twin *t, int flow, uint64_t bytes, uint64_t now_ns)
{
	const struct twin_event *hold = hold_before(t, last(t));
	bool passes = hold && bytes > 0 && pass_bytes(t, hold) > 0;

	happen(t, TWIN_SENT, flow, bytes, now_ns)->took = passes && t->cls[flow] == LINA_CLASS_BULK;
}

uint64_t twin_take(struct twin *t, int flow, uint64_t most_bytes, uint64_t now_ns)
{
	uint64_t taken = least(twin_ask(t, flow, now_ns), most_bytes);
	twin_sent(t, flow, taken, now_ns);
	return taken;
}

void twin_below(struct twin *t, int flow, uint64_t bytes)
{
	happen(t, TWIN_BELOW, flow, bytes, 0);
}

/* A hold that was on before e ended with it, but not because what waited was dropped. */
static void count_hold(
	const struct twin *t, const struct twin_event *e, struct lina_sched_counts *c)
{
	const struct twin_event *before = e > t->event ? hold_before(t, e - 1) : NULL;
	const struct twin_event *after = hold_before(t, e);

	if (after == e)
		c->holds++;
	if (!before || after || e->kind == TWIN_DROP)
		return;
	c->held_ns += e->now_ns - before->now_ns;
	c->longest_hold_ns = most(c->longest_hold_ns, e->now_ns - before->now_ns);
}

struct lina_sched_counts twin_counts(const struct twin *t)
{
	struct lina_sched_counts c = { .asks = 0 };

	for (const struct twin_event *e = t->event; e < t->event + t->n; e++) {
		c.asks += e->asked;
		c.full += e->full;
		c.share_fired += e->share_fired;
		c.hold_fired += e->hold_fired;
		c.stall_fired += e->stalled;
		if (e->kind == TWIN_SENT)
			c.bytes[t->cls[e->flow]] += e->bytes;
		count_hold(t, e, &c);
	}
	return c;
}
