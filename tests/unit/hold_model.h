/*
 * A model of three hosts that hold bulk traffic for latency traffic, small enough that all its
 * states can be looked at.
 *
 * An allreduce: each host sends two chunks of bulk to the next one in a ring, the second after the
 * first from the host before it has come. A chunk is granted by its receiver, one at a time, then
 * handed to the kernel, then read by the receiver, which always reads what it granted.
 * An all-to-all: each host sends a latency message to each other one, in two parts. What a
 * connection's kernel buffers hold is one part, or one chunk; messages and chunks are on different
 * connections. The receiver reads a part if there is credit for it: a posted receive gives credit
 * for a message, and the standing credit for a first part may be there before.
 * A host's scheduler for what it sends holds chunks while latency work is pending, and its
 * scheduler for what arrives holds grants while a message is there in part.
 * The application of each host starts both operations at once, or all of its all-to-all after its
 * own part in the allreduce, or only the receives of it.
 *
 * Time is left out. The hold bound (and the share) may fire whenever there is a hold; the stall
 * bound whenever none of the latency work that makes the hold can take its next step. So what the
 * model says of a bound holds for every length of it, provided that hosts keep asking and time
 * passes. Credit is there at once.
 */
#ifndef LINA_TESTS_UNIT_HOLD_MODEL_H
#define LINA_TESTS_UNIT_HOLD_MODEL_H

#include <stdbool.h>
#include <stdint.h>

enum { MODEL_HOSTS = 3, MODEL_STATES = 1 << 21 };

enum model_application { MODEL_TOGETHER, MODEL_ALL_AFTER, MODEL_RECEIVES_AFTER, MODEL_NAPPS };

/* Which of a host's latency work counts as pending when it sends. */
enum model_counts {
	MODEL_COUNTS_POSTED,   /* all that the application wants sent, credit or not */
	MODEL_COUNTS_PARTS,    /* parts with credit: a message may stand half sent */
	MODEL_COUNTS_MESSAGES, /* messages with credit for the whole: they never stand half sent,
				* and the standing credit is none or for a whole message */
	MODEL_NCOUNTS
};

struct model {
	enum model_application application[MODEL_HOSTS];
	enum model_counts counts;
	bool standing; /* there is standing credit */
	bool holds;    /* false: nobody ever waits for latency work */
	bool hold_bound, stall_bound;
	bool endless; /* each message is followed by another, which the application has posted */
};

struct model_result {
	uint32_t nstates; /* that can be reached */
	uint32_t nstuck;  /* of these: no way leads on to the end */
	uint32_t stuck;   /* one of them; see model_print */
};

/* The end is that all is done; of an endless model, that all bulk is. Uses static memory. */
struct model_result model_explore(const struct model *m);

void model_print(uint32_t state);

#endif
