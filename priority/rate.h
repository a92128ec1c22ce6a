/*
 * What a link carries, from what is seen of bulk: how much of it has left while the
 * link was what kept more from leaving. Pure; constant time. Callers serialise.
 *
 * Other traffic makes bulk slower and nothing makes it faster than the link but chance: what leaves
 * is seen late and in bursts. So the answer goes a quarter of the way towards a faster sample, and
 * a sixteenth towards a slower one: a high quantile. Of the first samples, when connections still
 * find their pace, the fastest counts. Too high an answer shortens holds by a little, too low a one
 * starves bulk.
 */
#ifndef LINA_PRIORITY_RATE_H
#define LINA_PRIORITY_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
	/* A sample takes so long and has so much at least: what leaves
	 * is seen in lumps of hundreds of kilobytes. */
	LINA_RATE_SAMPLE_NS = 20000000,
	LINA_RATE_SAMPLE_BYTES = 1 << 20,
	/* One that ends early, for want of data, counts from here on, if it is of some lumps. */
	LINA_RATE_SHORT_NS = 1500000,
	LINA_RATE_SHORT_LUMPS = 4,
	LINA_RATE_SAMPLE_MAX_NS = 400000000, /* longer: it says nothing */
	LINA_RATE_GAP_MAX_NS = 30000000,     /* between two calls; longer: nobody looked */
	LINA_RATE_SAMPLES = 4,               /* before there is an answer */
	LINA_RATE_FIRST_SAMPLES = 16,
};

struct lina_rate {
	uint64_t left_bytes;  /* in all */
	uint64_t since_ns;    /* of the sample that is being taken; 0: none */
	uint64_t since_bytes; /* left_bytes then */
	uint64_t looked_ns;   /* the last call */
	uint64_t lump_bytes;  /* the most that left at once in this sample */
	uint64_t bytes_per_s; /* the answer so far */
	unsigned nsamples;    /* up to LINA_RATE_FIRST_SAMPLES */
};

/* What one of several flows has below is looked at only while it has something to send. */
struct lina_rate_flow {
	uint64_t seen_ns;   /* when it was last looked at */
	uint64_t old_bytes; /* that were below when it came back, and may have left long before */
};

/* The flow has something to send again. below_bytes: as it was last seen. */
void lina_rate_back(struct lina_rate_flow *flow, uint64_t below_bytes);

/* bytes of the flow have left since it was last looked at; returns what of them is sure to have
 * left within the sample that is being taken. */
uint64_t lina_rate_sure(
	const struct lina_rate *rate, struct lina_rate_flow *flow, uint64_t bytes, uint64_t now_ns);

/* bytes have left since the last call. busy: it is the link that keeps more from leaving, and was
 * all the time since the last call. Times as in priority/sched.h: one that is earlier than that of
 * the last call counts as that. */
void lina_rate_left(struct lina_rate *rate, uint64_t bytes, bool busy, uint64_t now_ns);

/* 0: not known yet. */
uint64_t lina_rate_bytes_per_s(const struct lina_rate *rate);

/* To be learned anew. */
void lina_rate_forget(struct lina_rate *rate);

#endif
