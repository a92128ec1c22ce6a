/*
 * How copies of experts get from the devices that have them to those that need them, many experts
 * at once: which device sends what part to which, in rounds. In the other direction the same adds
 * up gradients. Pure.
 *
 * A small expert goes along a binomial tree: in round r the first 2^r devices of its order each
 * send it whole to one that has it not, so it is everywhere after log2(n) rounds. A large one goes
 * along a chain in chunks, each device passing a chunk on in the round after it came: every device
 * sends it once at most, and all links are busy from the (n-2)th round on. Experts of one owner
 * follow one another in its rounds, so that the chain fills once for all of them; or they start
 * together, where that makes fewer rounds.
 *
 * Volume: every device that needs an expert receives it once. That is the least there is, and what
 * SparseAllGather and SparseReduceScatter move (Hecate, arXiv 2502.02581: O(lambda S)).
 */
#ifndef LINA_COLLECTIVES_SPREAD_H

#define LINA_COLLECTIVES_SPREAD_H

#include <stddef.h>

#include <stdint.h>

struct lina_spread_item {
	size_t bytes;      /* a multiple of the unit */
	int owner;         /* the device that has it */
	const int *device; /* [ndevices] those that need it, without the owner, in the order in
			    * which it passes; none twice */
	int ndevices;
};

struct lina_spread_params {
	size_t unit;        /* bytes that stay together: an element's */
	size_t tree_bytes;  /* up to this an item is small */
	size_t chunk_bytes; /* 0: what makes the time least, where a round costs as much as
			     * LINA_SPREAD_ROUND_BYTES of a link's time (perf/results/sparse.md) */
};
enum { LINA_SPREAD_ROUND_BYTES = 8192, LINA_SPREAD_TREE_BYTES = 262144 };

struct lina_transfer {
	int round, item;
	int from, to;
	size_t at, bytes; /* within the item */
};

struct lina_spread {
	int nrounds;
	size_t ntransfers;
	struct lina_transfer *transfer; /* by round, in each by item */
	uint64_t total_bytes;           /* of all transfers */
	uint64_t busiest_bytes;         /* that some device sends or receives, the larger */
	uint64_t rounds_bytes; /* the same of each round, all rounds together: what they take at a
				* link's rate, each waiting for the one before */
};

/* ndevices: all that may occur. -EINVAL: a device out of range or twice, bytes that are no multiple
 * of the unit; -ENOMEM. */
int lina_spread_create(const struct lina_spread_item *item, int nitems, int ndevices,
	const struct lina_spread_params *params, struct lina_spread **spread_p);
void lina_spread_destroy(struct lina_spread *spread);

#endif
