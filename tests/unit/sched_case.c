#include "unit/sched_case.h"

struct sched_case s;

const struct lina_sched_params usual = {
	.hold_max_ns = HOLD,
	.linger_ns = LINGER,
	.chunk_bytes = CHUNK,
	.least_chunk_bytes = CHUNK,
	.window_bytes = WINDOW,
	.relax_ns = RELAX,
	.relaxed_chunk_bytes = 3 * CHUNK,
	.relaxed_window_bytes = 5 * CHUNK,
	.byte_ps = 1000,
};

void begin_with(struct lina_sched_params params)
{
	lina_sched_init(&s.sched, &params);
	lina_flow_init(&s.latency, &s.sched, LINA_CLASS_LATENCY);
	lina_flow_init(&s.latency2, &s.sched, LINA_CLASS_LATENCY);
	lina_flow_init(&s.bulk, &s.sched, LINA_CLASS_BULK);
	lina_flow_init(&s.bulk2, &s.sched, LINA_CLASS_BULK);
}

int begin(void **state)
{
	(void)state;
	begin_with(usual);
	return 0;
}

uint64_t take(struct lina_flow *flow, uint64_t now_ns)
{
	uint64_t bytes = lina_flow_ask(flow, now_ns);

	if (bytes > 0 && flow->cls == LINA_CLASS_LATENCY)
		lina_flow_below(flow, bytes);
	lina_flow_sent(flow, bytes, now_ns);
	return bytes;
}
