/*
 * Who goes next in one direction of a link: latency work always, bulk in micro-chunks, when no
 * latency work is pending and as far as its window reaches. Pure: time is an argument, nothing is
 * allocated, no lock is taken (callers serialise on the scheduler), every call takes constant time
 * however much is queued. Times are of one clock that does not go backwards; a caller may have read
 * it before it waited for the lock, so a call that comes with an earlier time than one before it
 * happens at that one's.
 *
 * A flow is one class of one connection. Its transport posts what may move (there are data and
 * credit), asks how much of it may be handed down now, says what was handed down, and says what of
 * that is still below (in a kernel or a NIC, where it cannot be called back).
 *
 * The other direction uses the same scheduler: what arrives of latency class is posted when it is
 * announced and sent when it is there; bulk asks how much credit it may grant, and below is what
 * was granted and has not arrived.
 *
 * Bulk is held while latency work is pending:
 *   - data with credit is queued, or
 *   - what was handed down of it still needs the link: byte_ps for each byte, one after the other
 *     and after the bulk that is below, but no longer than all that is below needs, and then
 *     linger_ns, since more of the same is likely to follow, or
 *   - another process on the link says so.
 * Bounds, each counted when it fires:
 *   - share: while it is held bulk earns share_percent of the link's bytes, and a chunk goes
 *     whenever it has earned one;
 *   - hold: bulk that waited hold_max_ns without a byte may send a chunk;
 *   - stall: where no latency work moved for hold_max_ns of a hold, the link is not what it waits
 *     for; perhaps the very bulk that is held is. It does not count as pending any more until it
 *     moves.
 * Where several bulk flows wait, one that has had a chunk in this turn leaves the next to the
 * others for a quarter of the time that it took to come; if nobody wants it, a new turn begins. So
 * every hold ends, and what was granted is never taken back.
 */
#ifndef LINA_PRIORITY_SCHED_H
#define LINA_PRIORITY_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "priority/class.h"

struct lina_sched_params {
	uint64_t hold_max_ns; /* > 0, up to 1 hour */
	uint64_t linger_ns;   /* up to 1 hour */
	uint64_t chunk_bytes; /* > 0, up to 1 GiB: what bulk hands down at once at most */
	/* > 0: chunks are no smaller, however many flows share the window; chunk_bytes and more:
	 * they never are. */
	uint64_t least_chunk_bytes;
	uint64_t window_bytes; /* bulk below, of all flows together; see lina_flow_ask */
	/* Up to 1 hour. When no latency work has been pending for so long, and bulk has been at
	 * work for so long with no pause as long (or there never was latency work), nobody is in
	 * bulk's way, and these hold in place of chunk_bytes and window_bytes where they are
	 * larger: */
	uint64_t relax_ns;
	uint64_t relaxed_chunk_bytes, relaxed_window_bytes;
	/* 0: the window is shared by the bulk flows that have something queued now. Else by the
	 * crowd, as many as had at once at most since this was set, or have when one is posted and
	 * there have not been so many for crowd_ns (up to 1 hour): where what is below comes back
	 * late, flows that come one by one would each get all of it, a half, a third and so on. A
	 * chunk is no larger than a part then. Where a crowd is larger than crowd_flows and nothing
	 * is relaxed, all have less together, window_bytes x crowd_flows / crowd, but no less than
	 * crowd_window_bytes where window_bytes are more: of many some always have something to
	 * send. */
	uint32_t crowd_flows;
	uint64_t crowd_ns, crowd_window_bytes;
	uint32_t share_percent; /* 0..100: of the link, for bulk while it is held */
	uint32_t byte_ps;       /* time of a byte on the link in picoseconds (8000 at 1 Gbit/s); 0:
				 * not known, what is handed down counts as gone, and nothing is
				 * earned by share */
};

/* What an ask of bulk met besides its answer, a bit each. */
enum lina_sched_met {
	LINA_MET_FULL = 1,  /* the window refused it */
	LINA_MET_SHARE = 2, /* a bound fired */
	LINA_MET_HOLD = 4,
	LINA_MET_STALL = 8,
};

/* Since lina_sched_init; never reset. */
struct lina_sched_counts {
	uint64_t bytes[LINA_NCLASSES]; /* sent */
	uint64_t asks;                 /* of bulk that had something queued */
	uint64_t full;                 /* of these, refused by the window */
	uint64_t holds;                /* times that bulk began to wait for latency work */
	uint64_t held_ns;              /* in all, of holds that have ended */
	uint64_t longest_hold_ns;      /* of these */
	uint64_t share_fired, hold_fired;
	uint64_t stall_fired; /* the hold ends with it where no other process prolongs it */
};

struct lina_sched {
	struct lina_sched_params params;
	uint64_t now_ns;                     /* of the latest call that came with a time */
	uint64_t latency_queued_bytes;       /* posted and not sent */
	uint64_t below_bytes[LINA_NCLASSES]; /* of all flows */
	uint32_t nbulk;                      /* bulk flows with something queued */
	uint32_t crowd;                      /* as crowd_flows has it; 0: none was seen */
	uint64_t crowd_at_ns;                /* when there were last so many */
	uint64_t free_ns;                    /* when the link has carried all latency work sent */
	uint64_t quiet_ns;                   /* the same and linger_ns; 0: there was none */
	uint64_t outside_ns;    /* other processes have or had latency work until then */
	uint64_t bulk_ns;       /* when bulk was last posted or sent */
	uint64_t bulk_since_ns; /* since when it has been at work without a pause of relax_ns */
	uint64_t moved_ns;      /* when latency work last moved, or had to begin to */
	bool stalled;           /* it does not, so that it does not count */
	bool held;
	uint64_t held_since_ns;   /* of this hold */
	uint64_t waited_since_ns; /* the same, or when bulk last sent something */
	uint64_t earned_since_ns; /* what it earned by share since then has not been let through */
	uint64_t pass_bytes;      /* what the bounds let through that nobody has taken yet */
	uint64_t fired_ns;        /* when a bound last let something through */
	uint32_t turn;            /* in which each flow takes it once */
	unsigned met;             /* by the latest ask: lina_sched_met */
	struct lina_sched_counts counts;
};

struct lina_flow {
	struct lina_sched *sched;
	enum lina_class cls;
	uint64_t queued_bytes;
	uint64_t below_bytes;
	uint32_t turn; /* in which it last took what a bound let through; 0: never */
};

void lina_sched_init(struct lina_sched *sched, const struct lina_sched_params *params);

/* Takes effect from the next call on. */
void lina_sched_tune(struct lina_sched *sched, const struct lina_sched_params *params);

/* Other processes' latency work is pending on this link until until_ns as far as they say; what
 * lies more than hold_max_ns ahead of now_ns is cut. */
void lina_sched_outside(struct lina_sched *sched, uint64_t until_ns, uint64_t now_ns);

/* Until when latency work of this scheduler's own flows is pending as far as it can know, for other
 * processes; 0: none is. What is queued counts for hold_max_ns after latency work last moved, so
 * that work which does not move stops holding up other processes even if this one has no bulk that
 * would find it stalled; while some is queued, at most now_ns + hold_max_ns. */
uint64_t lina_sched_pending_until(const struct lina_sched *sched, uint64_t now_ns);

/* Whether the relaxed sizes hold: bulk has been alone for so long that no latency work is likely to
 * come soon. */
bool lina_sched_relaxed(const struct lina_sched *sched, uint64_t now_ns);

void lina_flow_init(struct lina_flow *flow, struct lina_sched *sched, enum lina_class cls);

/* Takes back all that the flow has queued and below; it may be used again as if new. */
void lina_flow_drop(struct lina_flow *flow);

/* bytes more may move. */
void lina_flow_post(struct lina_flow *flow, uint64_t bytes, uint64_t now_ns);

/* How much of what is queued may be handed down now; 0: nothing, ask again. Latency: all of it.
 * Bulk: at most a chunk, and what is left of the flow's part of the window: window_bytes by the
 * number of bulk flows with something queued, or by the crowd, but a chunk at the least, so that
 * one whose owner is slow to ask does not stop the others. A chunk is chunk_bytes, or twice the
 * flow's part of the window (once where there may be a crowd) where that is smaller, so that many
 * flows have no more than two windows below, but least_chunk_bytes at the least. Less than half a
 * chunk is not worth its header: the answer is 0 then, unless it is all that is queued, whether the
 * window or a bound lets no more through. */
uint64_t lina_flow_ask(struct lina_flow *flow, uint64_t now_ns);

/* bytes, at most what was queued, have been handed down; 0: nothing happened. More than was asked
 * for is allowed: a chunk that was begun must end before other work of its connection can move. */
void lina_flow_sent(struct lina_flow *flow, uint64_t bytes, uint64_t now_ns);

/* Both in one: of what may be handed down now at most most_bytes have been. Returns how much that
 * is. */
uint64_t lina_flow_take(struct lina_flow *flow, uint64_t most_bytes, uint64_t now_ns);

/* bytes of the flow are below now, as its transport sees it. For latency flows to be called before
 * lina_flow_sent, and at need only: what is below of them is not counted by lina_flow_sent. */
void lina_flow_below(struct lina_flow *flow, uint64_t bytes);

#endif
