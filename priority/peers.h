/*
 * How latency traffic of one link divides among its peers. Some get more than others, in one
 * all-to-all after the other. Where each transfer gets the same part of the link, the small ones
 * end first, and the large ones, which meet at a busy receiver, have only begun by then; where each
 * gets a part in proportion to its bytes, all end together, when the busiest link has carried its
 * bytes (weighted shuffle scheduling: Chowdhury et al., "Managing Data Transfers in Computer
 * Clusters with Orchestra", SIGCOMM 2011).
 *
 * What is posted does not tell how much is to come, since NCCL posts a few steps ahead. So a peer's
 * share is learned from one exchange to the next: what is sent until nothing is queued for gap_ns.
 * Exchanges that carry less than a quarter of what is usual (counts ahead of tokens) do not count.
 * Of the shares a running mean is kept and how far they are from it (mean and absolute deviation,
 * an eighth and a quarter of the newest), and the difference between two peers counts as far as it
 * exceeds both deviations: where each exchange is another, peers are alike. A peer
 * whose first exchange has not ended is like the hottest.
 *
 * What is asked is how a peer compares to the hottest of those that have something queued, or that
 * had until linger_ns ago, since NCCL is likely to post more: that one goes first and as fast as it
 * can. One that has something queued and has not moved for stuck_ns waits for something else than
 * the link and does not count until it moves.
 *
 * What follows from it: while a hotter peer counts, a colder one has less below (with the kernel,
 * or with a device), where nothing can be called back. Where what is below shares a queue, less in
 * proportion, LINA_PEERS_COLD_BYTES at the least. Where each peer has a queue of its own and these
 * take turns, what is there says nothing of who gets how much: a colder peer then has
 * LINA_PEERS_WORTH_BYTES there, and more where it has got less in this exchange, in proportion,
 * than the hottest. Either way it goes on at any time, and the hottest has as much below as it
 * likes. Peers that differ by less than a fifth are treated alike.
 *
 * Pure: time is an argument, nothing is allocated, no lock is taken (callers serialise). A call
 * takes O(log n) in the number of peers with something queued, and O(n) in all peers once in an
 * exchange.
 */
#ifndef LINA_PRIORITY_PEERS_H
#define LINA_PRIORITY_PEERS_H

#include <stdbool.h>
#include <stdint.h>

enum {
	LINA_PEERS_MAX = 1024, /* of a link; further ones are not told apart */
	LINA_PEERS_HOTTEST = 1000,
	LINA_PEERS_COLD_BYTES = 32 << 10, /* below, that any peer may have */
	LINA_PEERS_WORTH_BYTES = 8 << 10, /* are worth handing down */
};

struct lina_peers_times {
	uint64_t gap_ns, stuck_ns, linger_ns; /* see above */
};

struct lina_peer {
	uint64_t key;           /* who it is; the caller's */
	bool known;             /* whether something is: */
	double mean, deviation; /* of its part of an exchange */
	uint64_t sent_bytes;    /* in this exchange */
	uint64_t queued_bytes;  /* posted and not sent */
	uint64_t moved_ns;      /* when some of it was last sent, or had to begin to be */
	uint32_t place;         /* in the heap, from 1; 0: not in it */
};

struct lina_peers {
	struct lina_peers_times times;
	uint64_t now_ns;       /* of the latest call that came with a time */
	uint64_t queued_bytes; /* of all */
	uint64_t sent_bytes;   /* in this exchange */
	uint64_t moved_ns;     /* when some of it was last sent */
	uint64_t usual_bytes;  /* of an exchange; 0: there was none yet */
	bool expects;          /* parts that have yet to be made a sum of 1 */
	uint32_t npeers, nheap;
	struct lina_peer peer[LINA_PEERS_MAX];
	uint32_t heap[LINA_PEERS_MAX]; /* of those that count; none above its parent */
};

/* Times as in priority/sched.h: those that go backwards count as the latest. */
void lina_peers_init(struct lina_peers *peers, const struct lina_peers_times *times);

/* The peer of this key, made where there is none; it stays where it is. NULL: there are too many.
 */
struct lina_peer *lina_peers_find(struct lina_peers *peers, uint64_t key);

/* What part of an exchange the peer is expected to get, > 0, with a sum of about 1 over all. Counts
 * for nothing where something is known of the peer, or where it has something queued. */
void lina_peer_expect(struct lina_peers *peers, struct lina_peer *peer, double part);

void lina_peer_post(
	struct lina_peers *peers, struct lina_peer *peer, uint64_t bytes, uint64_t now_ns);

/* bytes, at most what was queued, have been handed down. */
void lina_peer_sent(
	struct lina_peers *peers, struct lina_peer *peer, uint64_t bytes, uint64_t now_ns);

/* bytes, at most what was queued, will not be sent. */
void lina_peer_drop(struct lina_peers *peers, struct lina_peer *peer, uint64_t bytes);

/* What the peer gets at most in thousandths of what the hottest of those that count gets at least,
 * 0 to LINA_PEERS_HOTTEST; the latter too where nobody counts or too little is known. */
uint32_t lina_peer_permille(
	struct lina_peers *peers, const struct lina_peer *peer, uint64_t now_ns);

/* How much a sender may have below of what goes to the peer, where the hottest has use for
 * hottest_bytes, > 0; UINT64_MAX: as much as it likes. */
uint64_t lina_peer_most_bytes(struct lina_peers *peers, const struct lina_peer *peer,
	uint64_t hottest_bytes, uint64_t now_ns);

/* The same where each peer has a queue of its own, and what is sent has left it. lead_bytes: that
 * the hottest is likely to have got and nobody has heard of. */
uint64_t lina_peer_turn_bytes(struct lina_peers *peers, const struct lina_peer *peer,
	uint64_t lead_bytes, uint64_t now_ns);

/* How much of left_bytes may go below now, where there are below_bytes and may be most_bytes; what
 * is too little to be worth its while is nothing, unless it is all that is left. With nothing below
 * it is never nothing. */
uint64_t lina_peers_may(uint64_t most_bytes, uint64_t below_bytes, uint64_t left_bytes);

#endif
