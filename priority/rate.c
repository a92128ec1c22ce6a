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

/* Whether the sample that is being taken can be used once it is complete. */
static bool is_sound(const struct lina_rate *rate, uint64_t now_ns)
{
	return rate->since_ns && now_ns - rate->looked_ns <= LINA_RATE_GAP_MAX_NS &&
	       now_ns - rate->since_ns <= LINA_RATE_SAMPLE_MAX_NS;
}

void lina_rate_left(struct lina_rate *rate, uint64_t bytes, bool busy, uint64_t now_ns)
{
	bool sound = busy && is_sound(rate, now_ns);

	rate->left_bytes += bytes;
	rate->looked_ns = now_ns;
	uint64_t ns = now_ns - rate->since_ns, sample_bytes = rate->left_bytes - rate->since_bytes;
	if (sound && (ns < LINA_RATE_SAMPLE_NS || sample_bytes < LINA_RATE_SAMPLE_BYTES))
		return;
	if (sound)
		sample_add(rate, sample_bytes, ns);
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
