/*
 * Times of all-to-alls and an allreduce that all ranks take part in, made of what each rank saw on
 * one clock. Pure: any thread, no state.
 */
#ifndef LINA_PERF_MIX_TIMES_H
#define LINA_PERF_MIX_TIMES_H

#include <stdbool.h>
#include <stddef.h>

/* From the start to the end of an operation. Of one rank; or of all: between the two moments at
 * which the last rank started and the last rank ended. Doubles alone, so that an array of them can
 * be gathered. */
struct mix_span {
	double start_us, end_us;
};

/* One operation's span of all ranks. `spans` is that of rank 0, that of rank r is r x stride
 * further. */
struct mix_span mix_span_of_all(const struct mix_span *spans, int nranks, size_t stride);

/* Whether the operation began on every rank after `beside` had, and ended on every rank before
 * `beside` ended on any. Both as `spans` above. */
bool mix_span_inside(
	const struct mix_span *spans, const struct mix_span *beside, int nranks, size_t stride);

/* What `count` all-to-alls, each after a gap of compute, and an allreduce need together, each at
 * its time alone: the link carries one after the other, and gaps are filled with allreduce as far
 * as there is any. */
double mix_need_us(int count, double alltoall_us, double gap_us, double allreduce_us);

#endif
