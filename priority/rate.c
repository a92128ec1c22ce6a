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

static void sample_begin(struct lina_rate *rate, uint64_t since_ns)
{
	rate->since_ns = since_ns;
	rate->since_bytes = rate->left_bytes;
	rate->lump_bytes = 0;
}

/* The link is no longer what bulk waits for: what was seen until the last look may be enough. */
static void sample_end(struct lina_rate *rate)
{
	uint64_t ns = rate->looked_ns - rate->since_ns;
	uint64_t bytes = rate->left_bytes - rate->since_bytes;

	if (bytes && ns >= LINA_RATE_SHORT_NS && bytes >= LINA_RATE_SHORT_LUMPS * rate->lump_bytes)
		sample_add(rate, bytes, ns);
}

static bool is_complete(const struct lina_rate *rate, uint64_t now_ns)
{
	return now_ns - rate->since_ns >= LINA_RATE_SAMPLE_NS &&
	       rate->left_bytes - rate->since_bytes >= LINA_RATE_SAMPLE_BYTES;
}

void lina_rate_back(struct lina_rate_flow *flow, uint64_t below_bytes)
{
	flow->old_bytes = below_bytes;
}

/* A lump for each flow that comes back would otherwise make a short sample as fast as one likes. */
uint64_t lina_rate_sure(
	const struct lina_rate *rate, struct lina_rate_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	uint64_t old_bytes = flow->seen_ns < rate->since_ns ? flow->old_bytes : 0;

	flow->seen_ns = now_ns;
	flow->old_bytes = 0;
	return bytes > old_bytes ? bytes - old_bytes : 0;
}

void lina_rate_left(struct lina_rate *rate, uint64_t bytes, bool busy, uint64_t now_ns)
{
	if (now_ns < rate->looked_ns)
		now_ns = rate->looked_ns;
	bool sound = is_sound(rate, now_ns);
	if (sound && !busy)
		sample_end(rate);
	rate->left_bytes += bytes;
	rate->looked_ns = now_ns;
	if (bytes > rate->lump_bytes)
		rate->lump_bytes = bytes;
	if (sound && busy && !is_complete(rate, now_ns))
		return;
	if (sound && busy)
		sample_add(rate, rate->left_bytes - rate->since_bytes, now_ns - rate->since_ns);
	sample_begin(rate, busy ? now_ns : 0);
}

uint64_t lina_rate_bytes_per_s(const struct lina_rate *rate)
{
	return rate->nsamples < LINA_RATE_SAMPLES ? 0 : rate->bytes_per_s;
}

void lina_rate_forget(struct lina_rate *rate)
{
	*rate = (struct lina_rate){ .nsamples = 0 };
}
