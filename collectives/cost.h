/*
 * What a collective costs on the wire: how many bytes each rank must send over its link at least,
 * and so how fast it can be at a given link rate.
 *
 * Sizes are counted as nccl-tests does (doc/PERFORMANCE.md, "Bandwidth"): allreduce, broadcast,
 * reduce and sendrecv by the buffer of one rank; allgather by the whole received buffer,
 * reduce-scatter by the whole sent buffer; all-to-all by what one rank sends to all, itself
 * included. Algorithm bandwidth is that size over the time; bus bandwidth is algorithm bandwidth
 * times the factor below, which makes it comparable with the link's rate in one direction.
 *
 * All functions are pure: any thread, no state.
 */
#ifndef LINA_COLLECTIVES_COST_H
#define LINA_COLLECTIVES_COST_H

#include <stdint.h>

enum lina_coll {
	LINA_COLL_ALLREDUCE,
	LINA_COLL_ALLGATHER,
	LINA_COLL_REDUCE_SCATTER,
	LINA_COLL_BROADCAST,
	LINA_COLL_REDUCE,
	LINA_COLL_ALLTOALL,
	LINA_COLL_SENDRECV,
	LINA_NCOLLS
};

/* "allreduce", "reduce_scatter", ...; NULL for a value outside the enumeration. */
const char *lina_coll_name(enum lina_coll coll);

/* The collective of that name in *coll_p. -EINVAL: there is none. */
int lina_coll_parse(const char *name, enum lina_coll *coll_p);

/* Bus bandwidth over algorithm bandwidth: 2(n-1)/n for allreduce; (n-1)/n for allgather,
 * reduce-scatter and all-to-all; 1 for broadcast, reduce and sendrecv. 0 where nothing crosses a
 * link: fewer than 2 ranks, or a value outside the enumeration. */
double lina_cost_bus_factor(enum lina_coll coll, int nranks);

/* Bytes the busiest rank sends over its link for a collective of size_bytes. */
double lina_cost_link_bytes(enum lina_coll coll, int nranks, uint64_t size_bytes);

/* Time those bytes take at rate_mbps (10^6 bit/s, all of it payload). 0 when rate_mbps is 0. */
double lina_cost_line_time_ns(
	enum lina_coll coll, int nranks, uint64_t size_bytes, uint32_t rate_mbps);

#endif
