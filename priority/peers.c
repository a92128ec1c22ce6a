#include "priority/peers.h"

#include <string.h>

enum {
	LEARN_MEAN = 8, /* the newest exchange is one in so many */
	LEARN_DEVIATION = 4,
	USUAL = 4, /* an exchange of less than one in so many of the usual bytes does not count */
	FORGET = 64,
	EVEN_PERMILLE = 800, /* peers that differ by less are treated alike */
};

void lina_peers_init(struct lina_peers *peers, const struct lina_peers_times *times)
{
	memset(peers, 0, sizeof(*peers));
	peers->times = *times;
}

struct lina_peer *lina_peers_find(struct lina_peers *peers, uint64_t key)
{
	for (uint32_t i = 0; i < peers->npeers; i++)
		if (peers->peer[i].key == key)
			return &peers->peer[i];
	if (peers->npeers == LINA_PEERS_MAX)
		return NULL;
	struct lina_peer *peer = &peers->peer[peers->npeers++];
	*peer = (struct lina_peer){ .key = key };
	return peer;
}

/* --- the heap --- */

static struct lina_peer *at(struct lina_peers *peers, uint32_t place)
{
	return &peers->peer[peers->heap[place - 1]];
}

/* What the peer gets at least. It changes only while the peer is not in the heap. */
static double key_of(const struct lina_peer *peer)
{
	return peer->mean - peer->deviation;
}

static void put(struct lina_peers *peers, uint32_t place, struct lina_peer *peer)
{
	peers->heap[place - 1] = (uint32_t)(peer - peers->peer);
	peer->place = place;
}

static void sift_up(struct lina_peers *peers, struct lina_peer *peer)
{
	uint32_t place = peer->place;

	while (place > 1 && key_of(at(peers, place / 2)) < key_of(peer)) {
		put(peers, place, at(peers, place / 2));
		place /= 2;
	}
	put(peers, place, peer);
}

static void sift_down(struct lina_peers *peers, struct lina_peer *peer)
{
	uint32_t place = peer->place;

	for (uint32_t child = 2 * place; child <= peers->nheap; child = 2 * place) {
		if (child < peers->nheap && key_of(at(peers, child + 1)) > key_of(at(peers, child)))
			child++;
		if (key_of(at(peers, child)) <= key_of(peer))
			break;
		put(peers, place, at(peers, child));
		place = child;
	}
	put(peers, place, peer);
}

static void enter(struct lina_peers *peers, struct lina_peer *peer)
{
	if (peer->place)
		return;
	peer->place = ++peers->nheap;
	sift_up(peers, peer);
}

static void leave(struct lina_peers *peers, struct lina_peer *peer)
{
	uint32_t place = peer->place;

	if (!place)
		return;
	peer->place = 0;
	struct lina_peer *last = at(peers, peers->nheap--);
	if (last == peer)
		return;
	put(peers, place, last);
	sift_up(peers, last);
	sift_down(peers, last);
}

static void clear(struct lina_peers *peers)
{
	while (peers->nheap)
		at(peers, peers->nheap--)->place = 0;
}

/* --- what is learned --- */

/* Whether an exchange of so many bytes counts; what is usual follows it. */
static bool is_usual(struct lina_peers *peers, uint64_t bytes)
{
	bool usual = bytes >= peers->usual_bytes / USUAL;
	uint64_t part = usual ? USUAL : FORGET;

	if (!peers->usual_bytes)
		peers->usual_bytes = bytes;
	peers->usual_bytes = peers->usual_bytes - peers->usual_bytes / part + bytes / part;
	return usual;
}

/* What is expected of a table with other devices in it becomes parts of what goes to these. */
static void expectations_scale(struct lina_peers *peers)
{
	double sum = 0;

	for (uint32_t i = 0; i < peers->npeers; i++)
		sum += peers->peer[i].mean;
	for (uint32_t i = 0; i < peers->npeers; i++)
		peers->peer[i].mean /= sum;
	peers->expects = false;
}

/* The first exchange is believed with much doubt. */
static void learn_first(struct lina_peer *peer, double part)
{
	peer->known = part > 0;
	peer->mean = part;
	peer->deviation = part / 2;
}

static void learn(struct lina_peer *peer, double part)
{
	double off = part > peer->mean ? part - peer->mean : peer->mean - part;

	peer->deviation += (off - peer->deviation) / LEARN_DEVIATION;
	peer->mean += (part - peer->mean) / LEARN_MEAN;
}

static void exchange_learn(struct lina_peers *peers)
{
	for (uint32_t i = 0; i < peers->npeers; i++) {
		struct lina_peer *peer = &peers->peer[i];
		double part = (double)peer->sent_bytes / (double)peers->sent_bytes;
		if (peer->known)
			learn(peer, part);
		else
			learn_first(peer, part);
	}
}

/* Nothing is queued and has not been for a while: the exchange that there was has ended. */
static void exchange_end(struct lina_peers *peers)
{
	clear(peers);
	if (peers->expects)
		expectations_scale(peers);
	if (is_usual(peers, peers->sent_bytes))
		exchange_learn(peers);
	for (uint32_t i = 0; i < peers->npeers; i++)
		peers->peer[i].sent_bytes = 0;
	peers->sent_bytes = 0;
}

void lina_peer_expect(struct lina_peers *peers, struct lina_peer *peer, double part)
{
	if (peer->known || peer->place)
		return;
	peer->known = peers->expects = true;
	peer->mean = part;
}

/* --- what is queued --- */

static uint64_t time_of(struct lina_peers *peers, uint64_t now_ns)
{
	if (now_ns > peers->now_ns)
		peers->now_ns = now_ns;
	return peers->now_ns;
}

void lina_peer_post(
	struct lina_peers *peers, struct lina_peer *peer, uint64_t bytes, uint64_t now_ns)
{
	now_ns = time_of(peers, now_ns);
	if (!bytes)
		return;
	if (!peers->queued_bytes && peers->sent_bytes &&
		now_ns - peers->moved_ns >= peers->times.gap_ns)
		exchange_end(peers);
	if (!peer->queued_bytes) {
		peer->moved_ns = now_ns;
		enter(peers, peer);
	}
	peer->queued_bytes += bytes;
	peers->queued_bytes += bytes;
}

void lina_peer_sent(
	struct lina_peers *peers, struct lina_peer *peer, uint64_t bytes, uint64_t now_ns)
{
	now_ns = time_of(peers, now_ns);
	if (!bytes)
		return;
	peer->sent_bytes += bytes;
	peers->sent_bytes += bytes;
	peer->moved_ns = peers->moved_ns = now_ns;
	peer->queued_bytes -= bytes;
	peers->queued_bytes -= bytes;
	enter(peers, peer);
}

void lina_peer_drop(struct lina_peers *peers, struct lina_peer *peer, uint64_t bytes)
{
	peer->queued_bytes -= bytes;
	peers->queued_bytes -= bytes;
	if (!peer->queued_bytes)
		leave(peers, peer);
}

/* Whether it does not count any more. */
static bool is_over(const struct lina_peers *peers, const struct lina_peer *peer)
{
	uint64_t age_ns = peers->now_ns - peer->moved_ns;

	return age_ns >= (peer->queued_bytes ? peers->times.stuck_ns : peers->times.linger_ns);
}

uint32_t lina_peer_permille(struct lina_peers *peers, const struct lina_peer *peer, uint64_t now_ns)
{
	(void)time_of(peers, now_ns);
	while (peers->nheap && is_over(peers, at(peers, 1)))
		leave(peers, at(peers, 1));
	if (!peers->nheap || !peer->known)
		return LINA_PEERS_HOTTEST;
	double most = peer->mean + peer->deviation, least = key_of(at(peers, 1));
	if (most >= least)
		return LINA_PEERS_HOTTEST;
	return (uint32_t)(most / least * LINA_PEERS_HOTTEST);
}

uint64_t lina_peer_most_bytes(struct lina_peers *peers, const struct lina_peer *peer,
	uint64_t hottest_bytes, uint64_t now_ns)
{
	uint32_t permille = lina_peer_permille(peers, peer, now_ns);

	if (permille >= EVEN_PERMILLE)
		return UINT64_MAX;
	uint64_t most = hottest_bytes * permille / LINA_PEERS_HOTTEST;
	return most > LINA_PEERS_COLD_BYTES ? most : LINA_PEERS_COLD_BYTES;
}

uint64_t lina_peer_turn_bytes(struct lina_peers *peers, const struct lina_peer *peer,
	uint64_t lead_bytes, uint64_t now_ns)
{
	uint32_t permille = lina_peer_permille(peers, peer, now_ns);

	if (permille >= EVEN_PERMILLE)
		return UINT64_MAX;
	uint64_t due = (at(peers, 1)->sent_bytes + lead_bytes) * permille / LINA_PEERS_HOTTEST;
	uint64_t behind = due > peer->sent_bytes ? due - peer->sent_bytes : 0;
	return LINA_PEERS_WORTH_BYTES + behind;
}

uint64_t lina_peers_may(uint64_t most_bytes, uint64_t below_bytes, uint64_t left_bytes)
{
	uint64_t room = most_bytes > below_bytes ? most_bytes - below_bytes : 0;

	if (room >= left_bytes)
		return left_bytes;
	return room >= LINA_PEERS_WORTH_BYTES ? room : 0;
}
