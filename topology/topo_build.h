/*
 * How readers of descriptions make a topology: vertices and cables in any order, then all at once
 * checked, numbered and routed. For topo_*.c and tests.
 */
#ifndef LINA_TOPOLOGY_TOPO_BUILD_H
#define LINA_TOPOLOGY_TOPO_BUILD_H

#include <math.h>

#include "topology/topo.h"
#include "topology/topo_hw.h"

enum { LINA_TOPO_VERTICES_MAX = 1 << 20 };

/* How the network beyond the NICs is. */
struct lina_topo_network {
	int nodes_per_pod;         /* 0: all are in one pod */
	double uplink_bytes_per_s; /* of each leaf; INFINITY */
	double uplink_latency_ns;
};

/* All in one pod, and no uplink that limits. */
#define LINA_TOPO_NETWORK_FLAT                                                         \
	{                                                                              \
		.uplink_bytes_per_s = INFINITY, .uplink_latency_ns = LINA_HW_UPLINK_NS \
	}

/* One way; of a cable both are the same. */
struct lina_topo_wire {
	enum lina_link_kind kind;
	double bytes_per_s, latency_ns;
};

struct lina_topo_builder {
	int nvertices, ncables;
	int vertices_room, cables_room;
	struct lina_vertex *vertex;
	struct lina_link *cable;
	struct lina_topo_wire *net; /* [vertices_room]: of each NIC, to its leaf */
	int err;                    /* of the first call that failed; those after it do nothing */
};

void lina_topo_builder_init(struct lina_topo_builder *builder);
void lina_topo_builder_clear(struct lina_topo_builder *builder);

/* Returns the number of the new vertex, for cables; -1 after an error. The kinds of a node only:
 * leaves and the spine follow from the NICs. A name is cut to what has room. */
int lina_topo_add(
	struct lina_topo_builder *builder, enum lina_vertex_kind kind, int node, const char *name);

/* A NIC, with what joins it to its leaf. rail -1: its number among the NICs of the node. */
int lina_topo_add_nic(struct lina_topo_builder *builder, int node, const char *name, int rail,
	double bytes_per_s, double latency_ns);

/* Makes a PCI switch that was added what it turns out to be: a device, or a NIC (as for
 * lina_topo_add_nic). */
void lina_topo_become_device(struct lina_topo_builder *builder, int vertex);
void lina_topo_become_nic(
	struct lina_topo_builder *builder, int vertex, double bytes_per_s, double latency_ns);

/* Joins two vertices of one node. */
void lina_topo_join(struct lina_topo_builder *builder, int a, int b, struct lina_topo_wire wire);

/* What is wrong with a description. */
struct lina_topo_fault {
	int line, column; /* from 1; line 0: of no place */
	char text[160];
};

/* Makes the topology; the builder is to be cleared all the same. Nodes are 0 to the largest that
 * occurs. -EINVAL with *fault_p: there is no device; a node has none; two devices cannot reach one
 * another, or by more than LINA_TOPO_HOPS_MAX hops; too much of something. -ENOMEM. */
int lina_topo_build(const struct lina_topo_builder *builder,
	const struct lina_topo_network *network, struct lina_topo **topo_p,
	struct lina_topo_fault *fault_p);

#endif
