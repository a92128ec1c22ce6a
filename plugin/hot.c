#include "plugin/hot.h"

/* Compute between two all-to-alls takes longer than a gap; a thread that has its next step to post,
 * or a kernel that has room again, does not take as long as the others. */
static const struct lina_peers_times times = {
	.gap_ns = 1000000, .stuck_ns = 20000000, .linger_ns = 2000000
};
enum { DEVICE_US = 20 }; /* from the end of a transfer until its sender has looked */

void lina_hot_init(struct lina_hot *hot, uint64_t hottest_bytes)
{
	pthread_mutex_init(&hot->lock, NULL);
	lina_peers_init(&hot->peers, &times);
	hot->hottest_bytes = hottest_bytes;
	hot->completes = false;
	hot->lead_bytes = 0;
}

void lina_hot_destroy(struct lina_hot *hot)
{
	pthread_mutex_destroy(&hot->lock);
}

void lina_hot_completes(struct lina_hot *hot, uint64_t mbps)
{
	hot->completes = true;
	hot->lead_bytes = mbps * DEVICE_US / 8;
	hot->peers.times.linger_ns = 0;
}

void lina_hot_flow_peer(struct lina_hot_flow *flow, uint64_t who, double part)
{
	struct lina_hot *hot = flow->hot;

	pthread_mutex_lock(&hot->lock);
	flow->peer = lina_peers_find(&hot->peers, who);
	if (flow->peer && part > 0)
		lina_peer_expect(&hot->peers, flow->peer, part);
	pthread_mutex_unlock(&hot->lock);
}

uint64_t lina_hot_most_bytes(struct lina_hot_flow *flow, uint64_t now_ns)
{
	struct lina_hot *hot = flow->hot;

	if (!flow->peer || (!hot->completes && !hot->hottest_bytes))
		return UINT64_MAX;
	pthread_mutex_lock(&hot->lock);
	uint64_t most =
		hot->completes
			? lina_peer_turn_bytes(&hot->peers, flow->peer, hot->lead_bytes, now_ns)
			: lina_peer_most_bytes(&hot->peers, flow->peer, hot->hottest_bytes, now_ns);
	pthread_mutex_unlock(&hot->lock);
	return most;
}

void lina_hot_post(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	pthread_mutex_lock(&flow->hot->lock);
	lina_peer_post(&flow->hot->peers, flow->peer, bytes, now_ns);
	pthread_mutex_unlock(&flow->hot->lock);
	flow->bytes += bytes;
}

static void gone(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	if (!bytes)
		return;
	pthread_mutex_lock(&flow->hot->lock);
	lina_peer_sent(&flow->hot->peers, flow->peer, bytes, now_ns);
	pthread_mutex_unlock(&flow->hot->lock);
	flow->bytes -= bytes;
}

void lina_hot_sent(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	if (!flow->hot->completes)
		gone(flow, bytes, now_ns);
}

void lina_hot_left(struct lina_hot_flow *flow, uint64_t bytes, uint64_t now_ns)
{
	gone(flow, bytes, now_ns);
}

void lina_hot_drop(struct lina_hot_flow *flow)
{
	pthread_mutex_lock(&flow->hot->lock);
	lina_peer_drop(&flow->hot->peers, flow->peer, flow->bytes);
	pthread_mutex_unlock(&flow->hot->lock);
	flow->bytes = 0;
}
