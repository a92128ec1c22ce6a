/*
 * The ways through a topology, found once when it is built. Between topo_build.c, topo_routes.c and
 * topo.c.
 */
#ifndef LINA_TOPOLOGY_TOPO_ROUTES_H
#define LINA_TOPOLOGY_TOPO_ROUTES_H

#include "topology/topo_build.h"

/* Ends of a node are its devices and its NICs, numbered in this order; every vertex of a node has a
 * number in it. */
struct lina_topo_routes {
	int *nic_first; /* [nnodes + 1]: as node_first, of NICs */
	int *local;     /* [nvertices]: number in its node */
	int *nlocal;    /* [nnodes] */
	int **next;     /* [nnodes][ends][nlocal]: the link to take towards an end; -1: none */
	int *to_leaf;   /* [nnics]: link from the NIC to its leaf */
	int *to_spine;  /* [nvertices]: link from a leaf to the spine; -1 */
};

/* Fills in routes and nic. -EINVAL: two devices cannot reach one another; a node is too large. */
int lina_topo_routes_make(struct lina_topo *topo, struct lina_topo_fault *fault_p);
void lina_topo_routes_destroy(struct lina_topo_routes *routes, int nnodes);

/* The links from a vertex of a node to an end of it; returns how many, -1: there is no way. */
int lina_topo_local_route(const struct lina_topo *topo, int node, int from, int to, int *links);

/* Says what is wrong with a description as a whole; -EINVAL, so that one may return it. */
int lina_topo_refuse(struct lina_topo_fault *fault, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
