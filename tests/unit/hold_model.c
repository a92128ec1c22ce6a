#include "unit/hold_model.h"

#include <stdio.h>
#include <string.h>

enum { STEPS_MAX = 3 + 6, CHUNK_STEPS = 3, BULK_END = 2 * CHUNK_STEPS };

/* Of a chunk's three steps bulk's number counts all that were taken: grant, hand down, read. */
enum chunk_step { GRANT, HAND, READ };

/* A message: nothing of it handed down; its first part in the kernel; that was read, and so the
 * receiver knows of the message; all of it was read. */
enum message { NOTHING, ON_THE_WAY, IN_PART, WHOLE };

/* --- a state is a number: 3 bits for the bulk of each host, 2 for each message --- */

static uint32_t bulk_shift(uint32_t host)
{
	return 3 * host;
}

/* From each host to the next (0) and to the one before it (1). */
static uint32_t message_shift(uint32_t from, uint32_t to)
{
	return 9 + 4 * from + ((from + 1) % MODEL_HOSTS == to ? 0 : 2);
}

static uint32_t bulk_of(uint32_t state, uint32_t host)
{
	return state >> bulk_shift(host) & 7;
}

static enum message message_of(uint32_t state, uint32_t from, uint32_t to)
{
	return (enum message)(state >> message_shift(from, to) & 3);
}

static uint32_t before(uint32_t host)
{
	return (host + MODEL_HOSTS - 1) % MODEL_HOSTS;
}

static uint32_t after(uint32_t host)
{
	return (host + 1) % MODEL_HOSTS;
}

/* --- the application --- */

static bool allreduce_ended(uint32_t state, uint32_t host)
{
	return bulk_of(state, host) == BULK_END && bulk_of(state, before(host)) == BULK_END;
}

static bool wants_to_send(const struct model *m, uint32_t state, uint32_t host)
{
	return m->application[host] != MODEL_ALL_AFTER || allreduce_ended(state, host);
}

static bool has_receives(const struct model *m, uint32_t state, uint32_t host)
{
	return m->application[host] == MODEL_TOGETHER || allreduce_ended(state, host);
}

/* --- latency work --- */

/* Whether a message's next step can be taken, given that it was to be sent. */
static bool can_move(const struct model *m, uint32_t state, uint32_t from, uint32_t to)
{
	switch (message_of(state, from, to)) {
	case NOTHING:
		return m->standing || has_receives(m, state, to);
	case IN_PART:
		return m->counts == MODEL_COUNTS_MESSAGES || has_receives(m, state, to);
	case ON_THE_WAY:
		return true;
	case WHOLE:
		break;
	}
	return m->endless;
}

struct pending {
	bool any, moves;
};

static void pending_add(struct pending *p, bool moves)
{
	p->any = true;
	p->moves = p->moves || moves;
}

static struct pending pending_out(const struct model *m, uint32_t state, uint32_t host)
{
	struct pending p = { false, false };

	for (uint32_t to = 0; to < MODEL_HOSTS; to++) {
		if (to == host || !wants_to_send(m, state, host))
			continue;
		bool more = message_of(state, host, to) != WHOLE || m->endless;
		bool moves = can_move(m, state, host, to);
		if (more && (moves || m->counts == MODEL_COUNTS_POSTED))
			pending_add(&p, moves);
	}
	return p;
}

static struct pending pending_in(const struct model *m, uint32_t state, uint32_t host)
{
	struct pending p = { false, false };

	for (uint32_t from = 0; from < MODEL_HOSTS; from++)
		if (from != host && message_of(state, from, host) == IN_PART)
			pending_add(&p, can_move(m, state, from, host));
	return p;
}

/* --- bulk --- */

static bool bulk_may(const struct model *m, struct pending p)
{
	return !m->holds || !p.any || m->hold_bound || (m->stall_bound && !p.moves);
}

static bool can_step(const struct model *m, uint32_t state, uint32_t host)
{
	uint32_t bulk = bulk_of(state, host);

	if (bulk == BULK_END)
		return false;
	switch ((enum chunk_step)(bulk % CHUNK_STEPS)) {
	case GRANT:
		return bulk_may(m, pending_in(m, state, after(host)));
	case HAND:
		if (bulk > CHUNK_STEPS && bulk_of(state, before(host)) < CHUNK_STEPS)
			return false;
		return bulk_may(m, pending_out(m, state, host));
	case READ:
		break;
	}
	return true;
}

/* --- all states --- */

static int messages_next(
	const struct model *m, uint32_t state, uint32_t from, uint32_t next[STEPS_MAX], int n)
{
	for (uint32_t to = 0; to < MODEL_HOSTS; to++) {
		if (to == from || !wants_to_send(m, state, from) || !can_move(m, state, from, to))
			continue;
		uint32_t shift = message_shift(from, to);
		uint32_t message = (message_of(state, from, to) + 1u) % (WHOLE + 1u);
		next[n++] = (state & ~(3u << shift)) | message << shift;
	}
	return n;
}

/* The states that one step leads to. */
static int states_next(const struct model *m, uint32_t state, uint32_t next[STEPS_MAX])
{
	int n = 0;

	for (uint32_t host = 0; host < MODEL_HOSTS; host++) {
		if (can_step(m, state, host))
			next[n++] = state + (1u << bulk_shift(host));
		n = messages_next(m, state, host, next, n);
	}
	return n;
}

static bool is_end(const struct model *m, uint32_t state)
{
	for (uint32_t i = 0; i < MODEL_HOSTS; i++) {
		if (bulk_of(state, i) != BULK_END)
			return false;
		for (uint32_t to = 0; to < MODEL_HOSTS; to++)
			if (to != i && !m->endless && message_of(state, i, to) != WHOLE)
				return false;
	}
	return true;
}

static struct {
	uint32_t state[MODEL_STATES]; /* in the order in which they were reached */
	uint32_t n;
	bool reached[MODEL_STATES], ends[MODEL_STATES];
} all;

static void reach(uint32_t state)
{
	if (all.reached[state])
		return;
	all.reached[state] = true;
	all.state[all.n++] = state;
}

static bool leads_to_end(const struct model *m, uint32_t state)
{
	uint32_t next[STEPS_MAX];
	int n = states_next(m, state, next);

	for (int i = 0; i < n; i++)
		if (all.ends[next[i]])
			return true;
	return is_end(m, state);
}

/* Backwards, the later states mostly are known before those that lead to them. */
static bool ends_spread(const struct model *m)
{
	bool any = false;

	for (uint32_t i = all.n; i-- > 0;) {
		uint32_t state = all.state[i];
		if (all.ends[state] || !leads_to_end(m, state))
			continue;
		all.ends[state] = any = true;
	}
	return any;
}

struct model_result model_explore(const struct model *m)
{
	struct model_result result = { 0, 0, 0 };
	uint32_t next[STEPS_MAX];

	memset(&all, 0, sizeof(all));
	reach(0);
	for (uint32_t i = 0; i < all.n; i++) {
		int n = states_next(m, all.state[i], next);
		for (int k = 0; k < n; k++)
			reach(next[k]);
	}
	while (ends_spread(m))
		;
	result.nstates = all.n;
	for (uint32_t i = 0; i < all.n; i++) {
		if (all.ends[all.state[i]])
			continue;
		result.nstuck++;
		result.stuck = all.state[i];
	}
	return result;
}

void model_print(uint32_t state)
{
	static const char *const messages[] = { "nothing", "on the way", "in part", "whole" };

	for (uint32_t i = 0; i < MODEL_HOSTS; i++) {
		uint32_t bulk = bulk_of(state, i);
		printf("  host %u: chunks granted %u, handed down %u, read %u; message to %u %s, "
		       "to %u "
		       "%s\n",
			i, (bulk + 2) / 3, (bulk + 1) / 3, bulk / 3, after(i),
			messages[message_of(state, i, after(i))], before(i),
			messages[message_of(state, i, before(i))]);
	}
}
