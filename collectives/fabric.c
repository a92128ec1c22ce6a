#include "collectives/fabric.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "topology/topo.h"

static int fabric_create(int ndevices, int nnics, struct lina_fabric **fabric_p)
{
	struct lina_fabric *f = malloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct lina_fabric){ .ndevices = ndevices,
		.nnics = nnics,
		.nic = calloc((size_t)ndevices, sizeof(*f->nic)),
		.port_byte_ns = calloc((size_t)ndevices, sizeof(*f->port_byte_ns)),
		.nic_byte_ns = calloc((size_t)nnics, sizeof(*f->nic_byte_ns)) };
	if (!f->nic || !f->port_byte_ns || !f->nic_byte_ns) {
		lina_fabric_destroy(f);
		return -ENOMEM;
	}
	*fabric_p = f;
	return 0;
}

int lina_fabric_even(int ndevices, double port_gbps, double nic_gbps, struct lina_fabric **fabric_p)
{
	int err;

	if (ndevices < 1 || !(port_gbps > 0) || !(nic_gbps > 0))
		return -EINVAL;
	err = fabric_create(ndevices, ndevices, fabric_p);
	for (int d = 0; d < ndevices && !err; d++) {
		(*fabric_p)->nic[d] = d;
		(*fabric_p)->port_byte_ns[d] = 1 / port_gbps;
		(*fabric_p)->nic_byte_ns[d] = 1 / nic_gbps;
	}
	return err;
}

/* --- of a topology --- */

/* Where a description sets no limit, one that is none either. */
static const double least_byte_ns = 1e-6;

/* The larger of a time for a byte and that of a route; the larger latency likewise. */
static void route_count(
	const struct lina_topo *t, int from, int to, double *byte_ns, double *alpha_ns)
{
	struct lina_topo_cost cost = lina_topo_cost_of(t, from, to);

	*byte_ns = fmax(*byte_ns, 1e9 / cost.bytes_per_s);
	*alpha_ns = fmax(*alpha_ns, cost.latency_ns);
}

static void ports_fill(const struct lina_topo *t, struct lina_fabric *f)
{
	for (int d = 0; d < t->ndevices; d++) {
		int node = lina_topo_node_of(t, d);
		for (int peer = t->node_first[node]; peer < t->node_first[node + 1]; peer++) {
			if (peer == d)
				continue;
			route_count(t, d, peer, &f->port_byte_ns[d], &f->within_alpha_ns);
			route_count(t, peer, d, &f->port_byte_ns[d], &f->within_alpha_ns);
		}
	}
}

/* To the next node and to the one half way round, which is in another pod if there are any. */
static void nics_fill(const struct lina_topo *t, struct lina_fabric *f)
{
	for (int d = 0; d < t->ndevices && t->nnodes > 1; d++) {
		int node = lina_topo_node_of(t, d);
		int others[] = { (node + 1) % t->nnodes, (node + t->nnodes / 2) % t->nnodes };
		for (int i = 0; i < 2; i++) {
			int peer = t->node_first[others[i]];
			if (others[i] == node)
				continue;
			route_count(t, d, peer, &f->nic_byte_ns[f->nic[d]], &f->between_alpha_ns);
			route_count(t, peer, d, &f->nic_byte_ns[f->nic[d]], &f->between_alpha_ns);
		}
	}
}

/* NICs share their leaf's uplink. uplink: of each vertex, bytes/s, and then how many NICs. */
static int uplinks_share(const struct lina_topo *t, struct lina_fabric *f)
{
	double *up = calloc((size_t)t->nvertices, sizeof(*up));
	int *nics = calloc((size_t)t->nvertices, sizeof(*nics));

	if (!up || !nics) {
		free(up);
		free(nics);
		return -ENOMEM;
	}
	for (int l = 0; l < t->nlinks; l++) {
		const struct lina_link *link = &t->link[l];
		if (link->kind == LINA_LINK_UP)
			up[link->from] = link->bytes_per_s;
		if (link->kind == LINA_LINK_NET)
			nics[link->to] += t->vertex[link->to].kind == LINA_VERTEX_LEAF;
	}
	for (int l = 0; l < t->nlinks; l++) {
		const struct lina_link *link = &t->link[l];
		if (link->kind != LINA_LINK_NET || t->vertex[link->to].kind != LINA_VERTEX_LEAF)
			continue;
		double *byte_ns = &f->nic_byte_ns[link->from - t->ndevices];
		if (up[link->to] > 0)
			*byte_ns = fmax(*byte_ns, nics[link->to] * 1e9 / up[link->to]);
	}
	free(up);
	free(nics);
	return 0;
}

/* Ports and NICs that nothing goes through. */
static void unused_fill(struct lina_fabric *f)
{
	for (int d = 0; d < f->ndevices; d++) {
		double *port = &f->port_byte_ns[d], *nic = &f->nic_byte_ns[f->nic[d]];
		*port = fmax(*port > 0 ? *port : *nic, least_byte_ns);
		*nic = fmax(*nic > 0 ? *nic : *port, least_byte_ns);
	}
	for (int i = 0; i < f->nnics; i++)
		f->nic_byte_ns[i] = fmax(f->nic_byte_ns[i], least_byte_ns);
}

int lina_fabric_of_topo(const struct lina_topo *topo, struct lina_fabric **fabric_p)
{
	struct lina_fabric *f;
	bool real = topo->nnodes > 1;
	int err = fabric_create(topo->ndevices, real ? topo->nnics : topo->ndevices, &f);

	if (err)
		return err;
	for (int d = 0; d < topo->ndevices; d++)
		f->nic[d] = real ? topo->nic[d] : d;
	ports_fill(topo, f);
	nics_fill(topo, f);
	err = real ? uplinks_share(topo, f) : 0;
	if (err) {
		lina_fabric_destroy(f);
		return err;
	}
	unused_fill(f);
	*fabric_p = f;
	return 0;
}

void lina_fabric_destroy(struct lina_fabric *fabric)
{
	if (!fabric)
		return;
	free(fabric->nic);
	free(fabric->port_byte_ns);
	free(fabric->nic_byte_ns);
	free(fabric);
}
