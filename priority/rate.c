#include "priority/rate.h"

enum { FASTER = 4, SLOWER = 16 };

static void sample_add(struct lina_rate *rate, uint64_t bytes, uint64_t ns)
{
	uint64_t bytes_per_s = bytes * 1000000000 / ns;

	bool faster = bytes_per_s > rate->bytes_per_s;
	if (rate->nsamples < LINA_RATE_FIRST_SAMPLES) {
		rate->bytes_per_s = faster ? bytes_per_s : rate->bytes_per_s;
		rate->nsamples++;
	} else if (faster) {
		rate->bytes_per_s += (bytes_per_s - rate->bytes_per_s) / FASTER;
	} else {
		rate->bytes_per_s -= (rate->bytes_per_s - bytes_per_s) / SLOWER;
	}
}

void lina_rate_left(struct lina_rate *rate, uint64_t bytes, bool busy, uint64_t now_ns)
{
	rate->left_bytes += bytes;
	uint64_t ns = now_ns - rate->since_ns;
	bool sampling = rate->since_ns && busy;
	if (sampling && ns < LINA_RATE_SAMPLE_NS)
		return;
	if (sampling && ns <= LINA_RATE_SAMPLE_MAX_NS)
		sample_add(rate, rate->left_bytes - rate->since_bytes, ns);
	rate->since_ns = busy ? now_ns : 0;
	rate->since_bytes = rate->left_bytes;
}

uint64_t lina_rate_bytes_per_s(const struct lina_rate *rate)
{
	return rate->nsamples < LINA_RATE_SAMPLES ? 0 : rate->bytes_per_s;
}

void lina_rate_forget(struct lina_rate *rate)
{
	*rate = (struct lina_rate){ .nsamples = 0 };
}
