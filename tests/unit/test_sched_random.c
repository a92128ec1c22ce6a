/*
 * The scheduler decides as its twin does, whatever is asked of it.
 * Usage: test_sched_random [SEED]     without one: fixed seeds, and then one by chance
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

#include "unit/sched_twin.h"

enum { FIXED_SEEDS = 30, RUNS = 500 };

static const enum lina_class classes[TWIN_FLOWS] = { LINA_CLASS_LATENCY, LINA_CLASS_LATENCY,
	LINA_CLASS_BULK, LINA_CLASS_BULK, LINA_CLASS_BULK, LINA_CLASS_BULK };

static struct {
	uint64_t seed; /* of the runs that are under way */
	int run;
	uint64_t random;
	uint64_t now_ns;
	int nflows[LINA_NCLASSES]; /* that this run uses */
	uint64_t latency_in_8;     /* posts */
	struct lina_sched_params params;
	struct lina_sched sched;
	struct lina_flow flow[TWIN_FLOWS];
	struct twin twin;
} r;

static uint64_t given_seed;

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t random_next(void)
{
	uint64_t z = (r.random += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t random_below(uint64_t n)
{
	return random_next() % n;
}

/* Often a boundary, or next to one. */
static uint64_t random_near(uint64_t value)
{
	switch (random_below(5)) {
	case 0:
		return 0;
	case 1:
		return value;
	case 2:
		return value - (value > 0);
	case 3:
		return value + 1;
	default:
		return random_below(value + 2);
	}
}

/* The ends of what is allowed: 1 ns to 1 hour, 400 Gbit/s to 1 Mbit/s, 1 byte to 1 GiB. */
static struct lina_sched_params random_ends(void)
{
	static const uint64_t times_ns[] = { 1, 1000000, 100000000, UINT64_C(3600000000000) };
	static const uint64_t chunks[] = { 1, 4096, 8192, 1 << 20, 1 << 30 };
	static const uint32_t rates_ps[] = { 0, 1, 16, 20, 8000, 80000, 8000000 };
	struct lina_sched_params p = {
		.hold_max_ns = times_ns[random_below(4)],
		.linger_ns = random_below(2) ? times_ns[random_below(4)] : 0,
		.chunk_bytes = chunks[random_below(5)],
		.share_percent = (uint32_t)random_near(100) % 101,
		.byte_ps = rates_ps[random_below(7)],
	};

	p.least_chunk_bytes = 1 + random_below(p.chunk_bytes + 1);
	p.window_bytes = random_near(p.chunk_bytes * random_below(8));
	p.relax_ns = times_ns[random_below(4)];
	p.relaxed_chunk_bytes = random_near(2 * p.chunk_bytes);
	p.relaxed_window_bytes = random_near(UINT32_MAX);
	p.crowd_flows = (uint32_t)random_below(4);
	p.crowd_ns = random_below(2) ? times_ns[random_below(4)] : 0;
	p.crowd_window_bytes = random_near(p.window_bytes);
	return p;
}

static struct lina_sched_params random_params(void)
{
	if (random_below(6) == 0)
		return random_ends();
	struct lina_sched_params p = {
		.hold_max_ns = 1 + random_below(random_below(2) ? 20 : 2000),
		.linger_ns = random_below(3) ? random_below(100) : 0,
		.chunk_bytes = 1 + random_below(random_below(2) ? 10 : 300),
		.share_percent = random_below(3) ? (uint32_t)random_below(101) : 0,
		.byte_ps = random_below(4) ? (uint32_t)random_below(2000) : 0,
	};

	p.least_chunk_bytes = 1 + random_below(p.chunk_bytes + 1);
	p.window_bytes = random_near(p.chunk_bytes * random_below(8));
	p.relax_ns = random_near(p.hold_max_ns);
	p.relaxed_chunk_bytes = random_near(2 * p.chunk_bytes);
	p.relaxed_window_bytes = random_near(2 * p.window_bytes);
	p.crowd_flows = (uint32_t)random_below(4);
	p.crowd_ns = random_near(p.hold_max_ns);
	p.crowd_window_bytes = random_near(p.window_bytes);
	return p;
}

static int random_flow(enum lina_class cls)
{
	return (cls == LINA_CLASS_BULK ? 2 : 0) + (int)random_below((uint64_t)r.nflows[cls]);
}

static uint64_t random_step_ns(void)
{
	switch (random_below(8)) {
	case 0:
		return 0;
	case 1:
		return random_near(r.params.hold_max_ns);
	case 2:
		return random_below(4) ? random_near(r.params.linger_ns)
				       : r.params.hold_max_ns * random_below(5);
	case 3:
		return random_near(r.params.chunk_bytes);
	default:
		return random_below(1 + r.params.hold_max_ns / 8);
	}
}

/* A caller may have read the clock before others had their turn. */
static uint64_t random_now(void)
{
	uint64_t late_ns = random_below(8) ? 0 : random_below(50);

	return r.now_ns - (late_ns < r.now_ns ? late_ns : 0);
}

#define same(what, answer, twins)                                                \
	do {                                                                     \
		uint64_t a_ = (answer), b_ = (twins);                            \
		if (a_ != b_)                                                    \
			fail_msg("seed %" PRIu64 " run %d event %d: %s %" PRIu64 \
				 ", twin %" PRIu64,                              \
				r.seed, r.run, r.twin.n, what, a_, b_);          \
	} while (0)

static void step_post(void)
{
	bool latency = random_below(8) < r.latency_in_8;
	int flow = random_flow(latency ? LINA_CLASS_LATENCY : LINA_CLASS_BULK);
	uint64_t bytes = random_near(r.params.chunk_bytes * random_below(6)), now = random_now();

	lina_flow_post(&r.flow[flow], bytes, now);
	twin_post(&r.twin, flow, bytes, now);
}

static void step_below(void)
{
	int flow = random_flow(random_below(3) ? LINA_CLASS_BULK : LINA_CLASS_LATENCY);
	uint64_t bytes = random_near(r.params.window_bytes);

	lina_flow_below(&r.flow[flow], bytes);
	twin_below(&r.twin, flow, bytes);
}

static void step_sent(int flow, uint64_t bytes)
{
	uint64_t now = random_now();

	lina_flow_sent(&r.flow[flow], bytes, now);
	twin_sent(&r.twin, flow, bytes, now);
}

/* All of it, part of it, nothing, or more than was asked for. */
static void step_ask(enum lina_class cls)
{
	int flow = random_flow(cls);
	uint64_t now = random_now();
	uint64_t may = lina_flow_ask(&r.flow[flow], now);

	same("may send", may, twin_ask(&r.twin, flow, now));
	uint64_t dice = random_below(cls == LINA_CLASS_BULK ? 8 : 16);
	if (dice < 4)
		step_sent(flow, may);
	else if (dice == 4)
		step_sent(flow, random_below(may + 1));
	else if (dice == 5)
		step_sent(flow, random_below(twin_queued(&r.twin, flow) + 1));
}

/* All of what may go, or part of it, in one call. */
static void step_take(void)
{
	int flow = random_flow(random_below(4) ? LINA_CLASS_BULK : LINA_CLASS_LATENCY);
	uint64_t most = random_below(2) ? UINT64_MAX : random_near(r.params.chunk_bytes);
	uint64_t now = random_now();

	same("taken", lina_flow_take(&r.flow[flow], most, now),
		twin_take(&r.twin, flow, most, now));
}

static void step_outside(void)
{
	uint64_t now = random_now(), until = now + random_near(r.params.hold_max_ns);

	if (random_below(2))
		until = random_below(3) ? 0 : UINT64_MAX;
	lina_sched_outside(&r.sched, until, now);
	twin_outside(&r.twin, until, now);
}

static void step_tune(void)
{
	r.params = random_params();
	lina_sched_tune(&r.sched, &r.params);
	twin_tune(&r.twin, &r.params);
}

static void step_drop(void)
{
	int flow = (int)random_below(TWIN_FLOWS);

	lina_flow_drop(&r.flow[flow]);
	twin_drop(&r.twin, flow);
}

static void step(void)
{
	uint64_t dice = random_below(64);

	r.now_ns += random_step_ns();
	if (dice < 14)
		step_post();
	else if (dice < 20)
		step_below();
	else if (dice < 22)
		step_outside();
	else if (dice < 23)
		random_below(2) ? step_drop() : step_tune();
	else if (dice < 32)
		step_take();
	else
		step_ask(dice < 36 ? LINA_CLASS_LATENCY : LINA_CLASS_BULK);
	uint64_t now = random_now();
	same("pending until", lina_sched_pending_until(&r.sched, now),
		twin_pending_until(&r.twin, now));
}

static void counts_agree(void)
{
	const struct lina_sched_counts *c = &r.sched.counts, twins = twin_counts(&r.twin);

	same("latency bytes", c->bytes[LINA_CLASS_LATENCY], twins.bytes[LINA_CLASS_LATENCY]);
	same("bulk bytes", c->bytes[LINA_CLASS_BULK], twins.bytes[LINA_CLASS_BULK]);
	same("asks", c->asks, twins.asks);
	same("full", c->full, twins.full);
	same("holds", c->holds, twins.holds);
	same("held", c->held_ns, twins.held_ns);
	same("longest hold", c->longest_hold_ns, twins.longest_hold_ns);
	same("share fired", c->share_fired, twins.share_fired);
	same("hold fired", c->hold_fired, twins.hold_fired);
	same("stall fired", c->stall_fired, twins.stall_fired);
}

/* A step is up to two events. */
static uint64_t run(void)
{
	uint64_t nsteps = 0;

	r.params = random_params();
	r.now_ns = random_below(3) ? random_below(10000) : random_below(2) << 63;
	r.latency_in_8 = random_below(3) ? random_below(7) : 0;
	r.nflows[LINA_CLASS_LATENCY] = 1 + (int)random_below(2);
	r.nflows[LINA_CLASS_BULK] = 1 + (int)random_below(4);
	lina_sched_init(&r.sched, &r.params);
	twin_init(&r.twin, &r.params, classes);
	for (int i = 0; i < TWIN_FLOWS; i++)
		lina_flow_init(&r.flow[i], &r.sched, classes[i]);
	for (; r.twin.n <= TWIN_EVENTS - 2; nsteps++)
		step();
	counts_agree();
	return nsteps;
}

static void runs_with(uint64_t seed)
{
	uint64_t nsteps = 0;

	r.seed = r.random = seed;
	for (r.run = 0; r.run < RUNS; r.run++)
		nsteps += run();
	print_message("seed %" PRIu64 ": %" PRIu64 " steps\n", seed, nsteps);
}

static void fixed_seeds(void **state)
{
	(void)state;
	if (given_seed)
		skip();
	for (uint64_t seed = 1; seed <= FIXED_SEEDS; seed++)
		runs_with(seed);
}

static void a_seed_by_chance(void **state)
{
	uint64_t seed = given_seed;

	(void)state;
	if (!seed)
		assert_int_equal(getrandom(&seed, sizeof(seed), 0), sizeof(seed));
	runs_with(seed);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fixed_seeds),
		cmocka_unit_test(a_seed_by_chance),
	};

	if (argc > 1)
		given_seed = strtoull(argv[1], NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
