#include "topology/topo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topology/topo_routes.h"

static const char *const vertex_kinds[LINA_VERTEX_NKINDS] = {
	[LINA_VERTEX_DEVICE] = "gpu",
	[LINA_VERTEX_NIC] = "nic",
	[LINA_VERTEX_CPU] = "cpu",
	[LINA_VERTEX_PCI] = "pci switch",
	[LINA_VERTEX_NVSWITCH] = "nvswitch",
	[LINA_VERTEX_LEAF] = "leaf",
	[LINA_VERTEX_SPINE] = "spine",
};

static const char *const link_kinds[LINA_LINK_NKINDS] = {
	[LINA_LINK_NVLINK] = "nvlink",
	[LINA_LINK_PCI] = "pci",
	[LINA_LINK_CPU] = "cpu",
	[LINA_LINK_NET] = "net",
	[LINA_LINK_UP] = "uplink",
};

const char *lina_vertex_kind_name(enum lina_vertex_kind kind)
{
	return (unsigned)kind < LINA_VERTEX_NKINDS ? vertex_kinds[kind] : NULL;
}

const char *lina_link_kind_name(enum lina_link_kind kind)
{
	return (unsigned)kind < LINA_LINK_NKINDS ? link_kinds[kind] : NULL;
}

void lina_topo_destroy(struct lina_topo *topo)
{
	if (!topo)
		return;
	lina_topo_routes_destroy(topo->routes, topo->nnodes);
	free(topo->vertex);
	free(topo->link);
	free(topo->node_first);
	free(topo->nic);
	free(topo);
}

int lina_topo_rail_of(const struct lina_topo *topo, int device)
{
	return topo->nic[device] < 0 ? -1 : lina_topo_nic_vertex(topo, topo->nic[device])->rail;
}

/* From NIC to NIC, through the spine where their leaves differ. */
static int network_route(const struct lina_topo *t, int from_nic, int to_nic, int *links)
{
	int up = t->routes->to_leaf[from_nic], down = t->routes->to_leaf[to_nic] ^ 1;
	int from_leaf = t->link[up].to, to_leaf = t->link[down].from, n = 0;

	links[n++] = up;
	if (from_leaf != to_leaf) {
		links[n++] = t->routes->to_spine[from_leaf];
		links[n++] = t->routes->to_spine[to_leaf] ^ 1;
	}
	links[n++] = down;
	return n;
}

int lina_topo_route(const struct lina_topo *topo, int from, int to, int *links)
{
	int from_node = lina_topo_node_of(topo, from), to_node = lina_topo_node_of(topo, to);

	if (from_node == to_node)
		return lina_topo_local_route(topo, from_node, from, to, links);
	int from_nic = topo->nic[from], to_nic = topo->nic[to];
	int n = lina_topo_local_route(topo, from_node, from, topo->ndevices + from_nic, links);
	n += network_route(topo, from_nic, to_nic, links + n);
	return n + lina_topo_local_route(topo, to_node, topo->ndevices + to_nic, to, links + n);
}

struct lina_topo_cost lina_topo_cost_of(const struct lina_topo *topo, int from, int to)
{
	struct lina_topo_cost cost = { .bytes_per_s = INFINITY };
	int links[LINA_TOPO_HOPS_MAX];
	int n = lina_topo_route(topo, from, to, links);

	for (int i = 0; i < n; i++) {
		const struct lina_link *link = &topo->link[links[i]];
		cost.latency_ns += link->latency_ns;
		if (link->bytes_per_s < cost.bytes_per_s)
			cost.bytes_per_s = link->bytes_per_s;
	}
	return cost;
}

double lina_topo_time_ns(const struct lina_topo *topo, int from, int to, double bytes)
{
	struct lina_topo_cost cost = lina_topo_cost_of(topo, from, to);

	return cost.latency_ns + bytes * 1e9 / cost.bytes_per_s;
}

void lina_topo_load_add(
	const struct lina_topo *topo, int from, int to, double bytes, double *load_bytes)
{
	int links[LINA_TOPO_HOPS_MAX];
	int n = lina_topo_route(topo, from, to, links);

	for (int i = 0; i < n; i++)
		load_bytes[links[i]] += bytes;
}

void lina_topo_load(const struct lina_topo *topo, const double *bytes, double *load_bytes)
{
	int n = topo->ndevices;

	for (int l = 0; l < topo->nlinks; l++)
		load_bytes[l] = 0;
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			if (bytes[(size_t)i * (size_t)n + (size_t)j] > 0)
				lina_topo_load_add(topo, i, j,
					bytes[(size_t)i * (size_t)n + (size_t)j], load_bytes);
}

double lina_topo_bottleneck_ns(const struct lina_topo *topo, const double *load_bytes, int *link_p)
{
	double most_ns = 0;

	*link_p = -1;
	for (int l = 0; l < topo->nlinks; l++) {
		double ns = load_bytes[l] * 1e9 / topo->link[l].bytes_per_s;
		if (ns > most_ns) {
			most_ns = ns;
			*link_p = l;
		}
	}
	return most_ns;
}

double lina_topo_exchange_ns(
	const struct lina_topo *topo, const double *bytes, double *load_bytes, int *link_p)
{
	size_t n = (size_t)topo->ndevices;
	double latency_ns = 0;

	lina_topo_load(topo, bytes, load_bytes);
	for (int i = 0; i < topo->ndevices; i++)
		for (int j = 0; j < topo->ndevices; j++) {
			if (bytes[(size_t)i * n + (size_t)j] <= 0)
				continue;
			double ns = lina_topo_cost_of(topo, i, j).latency_ns;
			if (ns > latency_ns)
				latency_ns = ns;
		}
	return latency_ns + lina_topo_bottleneck_ns(topo, load_bytes, link_p);
}

int lina_topo_link_users(const struct lina_topo *topo, int link, bool *users)
{
	int links[LINA_TOPO_HOPS_MAX], nusers = 0;

	for (int i = 0; i < topo->ndevices; i++) {
		users[i] = false;
		for (int j = 0; j < topo->ndevices && !users[i]; j++) {
			int n = lina_topo_route(topo, i, j, links);
			for (int k = 0; k < n; k++)
				users[i] |= links[k] == link;
		}
		nusers += users[i];
	}
	return nusers;
}
