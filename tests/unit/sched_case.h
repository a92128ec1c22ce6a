/* A scheduler with two flows of each class, and what its tests say of it. */
#ifndef LINA_TESTS_UNIT_SCHED_CASE_H
#define LINA_TESTS_UNIT_SCHED_CASE_H

#include <stdint.h>

#include "priority/sched.h"

#define US     UINT64_C(1000)
#define CHUNK  UINT64_C(1000)
#define WINDOW (4 * CHUNK)
#define HOLD   (100 * US)
#define LINGER (5 * US)
#define RELAX  (1000 * US)

struct sched_case {
	struct lina_sched sched;
	struct lina_flow latency, latency2, bulk, bulk2;
};

extern struct sched_case s;

/* The constants above; a byte takes a nanosecond, bulk has no share. */
extern const struct lina_sched_params usual;

/* All anew: with the usual parameters before each test. */
void begin_with(struct lina_sched_params params);
int begin(void **state);

/* Asks and sends all that may go; latency work is all below then. */
uint64_t take(struct lina_flow *flow, uint64_t now_ns);

#define expect_ask(flow, now_ns, bytes) assert_int_equal(lina_flow_ask(&(flow), now_ns), bytes)
#define expect_count(name, n)           assert_int_equal(s.sched.counts.name, n)
#define EACH(test)                      cmocka_unit_test_setup(test, begin)

#endif
