/*
 * A unit is one strand of a channel's work: what one group of a kernel's threads does on a GPU.
 * It is a state, not a thread: exec_unit_advance() does what can be done now and returns.
 */
#ifndef HOSTGPU_EXEC_UNIT_H
#define HOSTGPU_EXEC_UNIT_H

#include "exec_function.h"
#include "exec_pat.h"
#include "exec_prims.h"

enum exec_progress { EXEC_BLOCKED, EXEC_MOVED, EXEC_ENDED };

/* Where a work runs. */
struct exec_context {
	struct exec_function fn;
	struct abi_comm *comm;
	struct abi_channel *channel;
	int channel_id;
};

/* A channel's share of a collective, in elements. */
struct exec_part {
	int64_t count; /* of all channels: the data of one rank */
	int64_t offset, n;
	int64_t chunk;
};

struct exec_unit {
	enum exec_progress (*advance)(struct exec_unit *u);
	/* The algorithm's next step; false: there is none. Used where advance is
	 * exec_prims_unit_advance(). */
	bool (*next)(struct exec_unit *u, struct exec_op *op);
	struct exec_prims prims;
	struct exec_part part;
	int64_t at;   /* elements of the part that are done */
	int64_t loop; /* elements of one turn of the algorithm: all its steps */
	int turn;     /* steps of it done */
	int nranks, rank, root;
	const struct abi_ring *ring;
	struct exec_pat pat;
	struct abi_bcast *bcasts; /* works of the batch, updated as they go */
	int nbcasts;
};

/*
 * Each sets up the units of one work (of one batch of broadcasts) in units, which are zeroed or
 * used before, and returns how many: up to EXEC_WORK_UNITS. Work that is not supported aborts.
 */
enum { EXEC_WORK_UNITS = 2 };
int exec_ring_start(
	struct exec_unit *units, const struct exec_context *x, const struct abi_coll *w);
int exec_tree_start(
	struct exec_unit *units, const struct exec_context *x, const struct abi_coll *w);
int exec_pat_start(struct exec_unit *units, const struct exec_context *x, const struct abi_coll *w);
int exec_p2p_start(struct exec_unit *units, const struct exec_context *x, const struct abi_p2p *w);
int exec_bcast_start(
	struct exec_unit *units, const struct exec_context *x, struct abi_bcast *w, int n);

/* Clears a unit and fills in what all collectives have in common. */
void exec_unit_init(struct exec_unit *u, const struct exec_context *x, const struct abi_coll *w);

/* A unit that is nothing but a sequence of steps from next(). */
enum exec_progress exec_prims_unit_advance(struct exec_unit *u);

/* Connections to a peer on the unit's channel. collective: conn 0, point to point: conn 1. */
struct abi_conn *exec_recv_conn(const struct exec_context *x, int peer, int conn);
struct abi_conn *exec_send_conn(const struct exec_context *x, int peer, int conn);

#endif
