/*
 * A cluster as data: nodes, devices (GPUs and other accelerators), NICs, rails and the links that
 * join them, and what it costs to send bytes from device to device. libc alone.
 *
 * A vertex is a device, a NIC, a switch or a CPU. Every cable is two links, one for each direction,
 * each with the bandwidth of that direction; links 2i and 2i + 1 are opposite. Devices are numbered
 * node by node, as ranks usually are, NICs likewise.
 *
 * A message takes one route:
 *   - Within a node the one on which 1 MiB handed on hop by hop takes the least time, so that wide
 *     links are preferred to narrow ones and short ways to long ones. Switches and CPUs hand on;
 *     devices and NICs do not.
 *   - Between nodes from the device to its NIC, up to the leaf switch that the NIC is on, to the
 *     leaf of the other NIC (through the spine where the leaves differ), and down. A device uses
 *     one NIC, the nearest; devices that have the same several nearest ones take turns. Two NICs
 *     that a device stripes over are described as one with their sum.
 * A rail is the NICs of one number in all nodes; a leaf switch serves one rail of one pod of nodes.
 *
 * A topology never changes once built: all queries are pure, for any thread.
 */
#ifndef LINA_TOPOLOGY_TOPO_H
#define LINA_TOPOLOGY_TOPO_H

#include <stdbool.h>

enum { LINA_TOPO_DEVICES_MAX = 65536, LINA_TOPO_NODES_MAX = 65536, LINA_TOPO_HOPS_MAX = 64 };

enum lina_vertex_kind {
	LINA_VERTEX_DEVICE,
	LINA_VERTEX_NIC,
	LINA_VERTEX_CPU,      /* the root of the PCI buses of a NUMA node */
	LINA_VERTEX_PCI,      /* a PCI switch */
	LINA_VERTEX_NVSWITCH, /* all switches of the device fabric of a node */
	LINA_VERTEX_LEAF,     /* a network switch that NICs are on */
	LINA_VERTEX_SPINE,    /* what joins the leaves */
	LINA_VERTEX_NKINDS
};

enum { LINA_VERTEX_NAME_BYTES = 32 };

struct lina_vertex {
	enum lina_vertex_kind kind;
	int node; /* -1: of no node (leaf, spine) */
	int numa; /* NUMA node as the machine numbers them; -1: not known */
	int rail; /* of a NIC and a leaf, from 0; else -1 */
	char name[LINA_VERTEX_NAME_BYTES]; /* PCI bus id, "mlx5_0", ...; may be empty */
};

enum lina_link_kind {
	LINA_LINK_NVLINK, /* between devices of a node, switched or not */
	LINA_LINK_PCI,
	LINA_LINK_CPU, /* between sockets */
	LINA_LINK_NET, /* NIC to leaf */
	LINA_LINK_UP,  /* leaf to spine */
	LINA_LINK_NKINDS
};

struct lina_link {
	enum lina_link_kind kind;
	int from, to;       /* vertices */
	double bytes_per_s; /* > 0; INFINITY: never what limits */
	double latency_ns;  /* >= 0 */
};

struct lina_topo_routes; /* tables of topo.c */

struct lina_topo {
	int nnodes, ndevices, nnics, nrails;
	int nvertices;
	struct lina_vertex *vertex; /* devices first, then NICs, then the rest */
	int nlinks;
	struct lina_link *link;
	int *node_first; /* [nnodes + 1]: the devices of node n are node_first[n] up to
			  * node_first[n + 1] - 1 */
	int *nic;        /* [ndevices]: which NIC (from 0) a device uses; -1: its node has none */
	struct lina_topo_routes *routes;
};

/* NULL is allowed. */
void lina_topo_destroy(struct lina_topo *topo);

/* "gpu", "nic", ...; "nvlink", ...; NULL outside the enumeration. */
const char *lina_vertex_kind_name(enum lina_vertex_kind kind);
const char *lina_link_kind_name(enum lina_link_kind kind);

static inline int lina_topo_node_of(const struct lina_topo *topo, int device)
{
	return topo->vertex[device].node;
}

/* The vertex of NIC number nic. */
static inline const struct lina_vertex *lina_topo_nic_vertex(const struct lina_topo *topo, int nic)
{
	return &topo->vertex[topo->ndevices + nic];
}

/* The rail of the NIC that a device uses; -1: it has none. */
int lina_topo_rail_of(const struct lina_topo *topo, int device);

/* The links from one device to another, in order, in links[LINA_TOPO_HOPS_MAX]; returns how many: 0
 * where from == to. */
int lina_topo_route(const struct lina_topo *topo, int from, int to, int *links);

/* What a message costs: latency (alpha) and the bandwidth of the narrowest link (1 / beta); 0 and
 * INFINITY where from == to. */
struct lina_topo_cost {
	double latency_ns, bytes_per_s;
};
struct lina_topo_cost lina_topo_cost_of(const struct lina_topo *topo, int from, int to);

/* alpha + beta * bytes, of a message that has its route for itself. */
double lina_topo_time_ns(const struct lina_topo *topo, int from, int to, double bytes);

/* --- many messages at once --- */

/* Adds to load[nlinks], the bytes that each link carries, those of a message. */
void lina_topo_load_add(
	const struct lina_topo *topo, int from, int to, double bytes, double *load_bytes);

/* The bytes on each link in load_bytes[nlinks] when device i sends bytes[i * ndevices + j] to
 * device j, all pairs at once. What a device sends to itself crosses no link. */
void lina_topo_load(const struct lina_topo *topo, const double *bytes, double *load_bytes);

/* The link that needs longest for its load in *link_p (the first of equals; -1 when nothing is
 * loaded), and returns that time. */
double lina_topo_bottleneck_ns(const struct lina_topo *topo, const double *load_bytes, int *link_p);

/* How long the exchange bytes[ndevices][ndevices] takes at least: the time of its bottleneck link
 * and the largest latency of a pair that has bytes. load_bytes[nlinks] is overwritten. */
double lina_topo_exchange_ns(
	const struct lina_topo *topo, const double *bytes, double *load_bytes, int *link_p);

/* Which devices send over a link to some other device: users[ndevices]. Returns how many. Several
 * devices share a link. */
int lina_topo_link_users(const struct lina_topo *topo, int link, bool *users);

#endif
