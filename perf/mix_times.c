#include "perf/mix_times.h"

static double larger(double a, double b)
{
	return a > b ? a : b;
}

struct mix_span mix_span_of_all(const struct mix_span *spans, int nranks, size_t stride)
{
	struct mix_span all = spans[0];

	for (int r = 1; r < nranks; r++) {
		const struct mix_span *span = &spans[(size_t)r * stride];
		all.start_us = larger(all.start_us, span->start_us);
		all.end_us = larger(all.end_us, span->end_us);
	}
	return all;
}

bool mix_span_inside(
	const struct mix_span *spans, const struct mix_span *beside, int nranks, size_t stride)
{
	double start_us = spans[0].start_us, end_us = spans[0].end_us;
	double first_us = beside[0].start_us, last_us = beside[0].end_us;

	for (int r = 1; r < nranks; r++) {
		size_t at = (size_t)r * stride;
		start_us = spans[at].start_us < start_us ? spans[at].start_us : start_us;
		end_us = larger(end_us, spans[at].end_us);
		first_us = larger(first_us, beside[at].start_us);
		last_us = beside[at].end_us < last_us ? beside[at].end_us : last_us;
	}
	return start_us >= first_us && end_us <= last_us;
}

double mix_need_us(int count, double alltoall_us, double gap_us, double allreduce_us)
{
	return count * alltoall_us + larger(allreduce_us, count * gap_us);
}
