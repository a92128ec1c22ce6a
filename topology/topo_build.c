#include "topology/topo_build.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topology/topo_routes.h"

/* --- collecting --- */

void lina_topo_builder_init(struct lina_topo_builder *builder)
{
	*builder = (struct lina_topo_builder){ 0 };
}

void lina_topo_builder_clear(struct lina_topo_builder *builder)
{
	free(builder->vertex);
	free(builder->net);
	free(builder->cable);
	*builder = (struct lina_topo_builder){ 0 };
}

/* Room for one more of n. */
static int array_grow(void **array_p, int *room_p, int n, size_t item_bytes)
{
	if (n < *room_p)
		return 0;
	if (n >= LINA_TOPO_VERTICES_MAX)
		return -E2BIG;
	int room = *room_p ? *room_p * 2 : 64;
	void *array = realloc(*array_p, (size_t)room * item_bytes);
	if (!array)
		return -ENOMEM;
	*array_p = array;
	*room_p = room;
	return 0;
}

static int vertex_room(struct lina_topo_builder *b)
{
	int room = b->vertices_room;
	int err = array_grow((void **)&b->vertex, &room, b->nvertices, sizeof(*b->vertex));

	if (err)
		return err;
	room = b->vertices_room;
	return array_grow((void **)&b->net, &b->vertices_room, b->nvertices, sizeof(*b->net));
}

int lina_topo_add(
	struct lina_topo_builder *builder, enum lina_vertex_kind kind, int node, const char *name)
{
	struct lina_vertex made = { .kind = kind, .node = node, .numa = -1, .rail = -1 };

	/* Before there is room: it may be that of another vertex, which moves then. */
	(void)snprintf(made.name, sizeof(made.name), "%s", name);
	if (!builder->err)
		builder->err = vertex_room(builder);
	if (builder->err)
		return -1;
	builder->vertex[builder->nvertices] = made;
	builder->net[builder->nvertices] = (struct lina_topo_wire){ 0 };
	return builder->nvertices++;
}

int lina_topo_add_nic(struct lina_topo_builder *builder, int node, const char *name, int rail,
	double bytes_per_s, double latency_ns)
{
	int v = lina_topo_add(builder, LINA_VERTEX_NIC, node, name);

	if (v < 0)
		return v;
	lina_topo_become_nic(builder, v, bytes_per_s, latency_ns);
	builder->vertex[v].rail = rail;
	return v;
}

void lina_topo_become_device(struct lina_topo_builder *builder, int vertex)
{
	builder->vertex[vertex].kind = LINA_VERTEX_DEVICE;
}

void lina_topo_become_nic(
	struct lina_topo_builder *builder, int vertex, double bytes_per_s, double latency_ns)
{
	builder->vertex[vertex].kind = LINA_VERTEX_NIC;
	builder->net[vertex] = (struct lina_topo_wire){
		.kind = LINA_LINK_NET, .bytes_per_s = bytes_per_s, .latency_ns = latency_ns
	};
}

void lina_topo_join(struct lina_topo_builder *builder, int a, int b, struct lina_topo_wire wire)
{
	if (!builder->err)
		builder->err = array_grow((void **)&builder->cable, &builder->cables_room,
			builder->ncables, sizeof(*builder->cable));
	if (builder->err)
		return;
	builder->cable[builder->ncables++] = (struct lina_link){ .kind = wire.kind,
		.from = a,
		.to = b,
		.bytes_per_s = wire.bytes_per_s,
		.latency_ns = wire.latency_ns };
}

/* --- building --- */

int lina_topo_refuse(struct lina_topo_fault *fault, const char *fmt, ...)
{
	va_list args;

	fault->line = fault->column = 0;
	va_start(args, fmt);
	(void)vsnprintf(fault->text, sizeof(fault->text), fmt, args);
	va_end(args);
	return -EINVAL;
}

/* Counts what there is, and numbers the rails that are not given. */
static int measure(struct lina_topo *t, const struct lina_topo_builder *b, int *rails,
	struct lina_topo_fault *fault)
{
	for (int i = 0; i < b->nvertices; i++) {
		const struct lina_vertex *v = &b->vertex[i];
		if (v->node < 0 || v->node >= LINA_TOPO_NODES_MAX)
			return lina_topo_refuse(
				fault, "there are more than %d nodes", LINA_TOPO_NODES_MAX);
		if (v->node >= t->nnodes)
			t->nnodes = v->node + 1;
		t->ndevices += v->kind == LINA_VERTEX_DEVICE;
		t->nnics += v->kind == LINA_VERTEX_NIC;
	}
	if (!t->ndevices)
		return lina_topo_refuse(fault, "there is no device");
	if (t->ndevices > LINA_TOPO_DEVICES_MAX)
		return lina_topo_refuse(
			fault, "there are more than %d devices", LINA_TOPO_DEVICES_MAX);
	int *seen = calloc((size_t)t->nnodes, sizeof(*seen));
	if (!seen)
		return -ENOMEM;
	for (int i = 0; i < b->nvertices; i++) {
		const struct lina_vertex *v = &b->vertex[i];
		if (v->kind != LINA_VERTEX_NIC)
			continue;
		rails[i] = v->rail >= 0 ? v->rail : seen[v->node];
		seen[v->node]++;
		if (rails[i] >= t->nrails)
			t->nrails = rails[i] + 1;
	}
	free(seen);
	return 0;
}

static int rank_of(enum lina_vertex_kind kind)
{
	return kind == LINA_VERTEX_DEVICE ? 0 : kind == LINA_VERTEX_NIC ? 1 : 2;
}

/* Where each vertex goes: devices, NICs, others; within them by node, then as they came. */
static void places_give(struct lina_topo *t, const struct lina_topo_builder *b, int *place)
{
	int n = 0;
	int *first = t->node_first; /* serves as a counter of each node meanwhile */

	for (int rank = 0; rank < 3; rank++) {
		memset(first, 0, ((size_t)t->nnodes + 1) * sizeof(*first));
		for (int i = 0; i < b->nvertices; i++)
			if (rank_of(b->vertex[i].kind) == rank)
				first[b->vertex[i].node + 1]++;
		for (int node = 0; node < t->nnodes; node++)
			first[node + 1] += first[node];
		for (int i = 0; i < b->nvertices; i++)
			if (rank_of(b->vertex[i].kind) == rank)
				place[i] = n + first[b->vertex[i].node]++;
		n += first[t->nnodes];
	}
}

/* The devices of each node, which has some. */
static int nodes_fill(struct lina_topo *t, struct lina_topo_fault *fault)
{
	int device = 0;

	for (int node = 0; node < t->nnodes; node++) {
		t->node_first[node] = device;
		while (device < t->ndevices && t->vertex[device].node == node)
			device++;
		if (device == t->node_first[node])
			return lina_topo_refuse(fault, "node %d has no device", node);
	}
	t->node_first[t->nnodes] = device;
	return 0;
}

static void link_put(struct lina_topo *t, int from, int to, struct lina_topo_wire wire)
{
	for (int back = 0; back < 2; back++)
		t->link[t->nlinks++] = (struct lina_link){ .kind = wire.kind,
			.from = back ? to : from,
			.to = back ? from : to,
			.bytes_per_s = wire.bytes_per_s,
			.latency_ns = wire.latency_ns };
}

/* A vertex of the network, which may be there already; leaves [npods * nrails]. */
static int leaf_of(struct lina_topo *t, int *leaves, int pod, int rail)
{
	int *leaf = &leaves[pod * t->nrails + rail];

	if (*leaf < 0) {
		struct lina_vertex *v = &t->vertex[t->nvertices];
		*v = (struct lina_vertex){
			.kind = LINA_VERTEX_LEAF, .node = -1, .numa = -1, .rail = rail
		};
		(void)snprintf(v->name, sizeof(v->name), "pod %d rail %d", pod, rail);
		*leaf = t->nvertices++;
	}
	return *leaf;
}

static void spine_add(struct lina_topo *t, const struct lina_topo_network *network,
	const int *leaves, int nleaves)
{
	int spine = t->nvertices++;
	struct lina_topo_wire up = { .kind = LINA_LINK_UP,
		.bytes_per_s = network->uplink_bytes_per_s,
		.latency_ns = network->uplink_latency_ns };

	t->vertex[spine] = (struct lina_vertex){
		.kind = LINA_VERTEX_SPINE, .node = -1, .numa = -1, .rail = -1, .name = "spine"
	};
	for (int i = 0; i < nleaves; i++)
		if (leaves[i] >= 0)
			link_put(t, leaves[i], spine, up);
}

static int nodes_per_pod(const struct lina_topo *t, const struct lina_topo_network *network)
{
	if (network->nodes_per_pod > 0 && network->nodes_per_pod < t->nnodes)
		return network->nodes_per_pod;
	return t->nnodes > 0 ? t->nnodes : 1;
}

/* Cables of nodes, then NICs to leaves, then leaves to the spine. net: of each NIC by its number.
 */
static int network_add(struct lina_topo *t, const struct lina_topo_network *network,
	const struct lina_topo_wire *net)
{
	int per_pod = nodes_per_pod(t, network);
	int nleaves = (t->nnodes + per_pod - 1) / per_pod * t->nrails, first = t->nvertices;
	int *leaves = malloc(((size_t)nleaves + 1) * sizeof(*leaves));

	if (!leaves)
		return -ENOMEM;
	for (int i = 0; i < nleaves; i++)
		leaves[i] = -1;
	for (int nic = 0; nic < t->nnics; nic++) {
		const struct lina_vertex *v = lina_topo_nic_vertex(t, nic);
		link_put(t, t->ndevices + nic, leaf_of(t, leaves, v->node / per_pod, v->rail),
			net[nic]);
	}
	if (t->nvertices - first > 1 && t->nnodes > 1)
		spine_add(t, network, leaves, nleaves);
	free(leaves);
	return 0;
}

/* A topology with room for all and nothing in it. */
static struct lina_topo *topo_alloc(
	const struct lina_topo *counted, const struct lina_topo_builder *b, int nleaves)
{
	struct lina_topo *t = malloc(sizeof(*t));
	size_t nlinks = 2 * ((size_t)b->ncables + (size_t)counted->nnics + (size_t)nleaves);

	if (!t)
		return NULL;
	*t = *counted;
	t->vertex = calloc((size_t)b->nvertices + (size_t)nleaves + 1, sizeof(*t->vertex));
	t->link = calloc(nlinks + 1, sizeof(*t->link));
	t->node_first = calloc((size_t)t->nnodes + 1, sizeof(*t->node_first));
	t->nic = calloc((size_t)t->ndevices + 1, sizeof(*t->nic));
	if (!t->vertex || !t->link || !t->node_first || !t->nic) {
		lina_topo_destroy(t);
		return NULL;
	}
	return t;
}

static int topo_fill(struct lina_topo *t, const struct lina_topo_builder *b,
	const struct lina_topo_network *network, const int *rails, struct lina_topo_fault *fault)
{
	int *place = malloc((size_t)b->nvertices * sizeof(*place));
	struct lina_topo_wire *net = malloc(((size_t)t->nnics + 1) * sizeof(*net));
	int err = -ENOMEM;

	if (!place || !net)
		goto free_place;
	places_give(t, b, place);
	for (int i = 0; i < b->nvertices; i++) {
		t->vertex[place[i]] = b->vertex[i];
		if (b->vertex[i].kind != LINA_VERTEX_NIC)
			continue;
		t->vertex[place[i]].rail = rails[i];
		net[place[i] - t->ndevices] = b->net[i];
	}
	t->nvertices = b->nvertices;
	for (int i = 0; i < b->ncables; i++)
		link_put(t, place[b->cable[i].from], place[b->cable[i].to],
			(struct lina_topo_wire){ b->cable[i].kind, b->cable[i].bytes_per_s,
				b->cable[i].latency_ns });
	err = nodes_fill(t, fault);
	if (!err)
		err = network_add(t, network, net);
free_place:
	free(place);
	free(net);
	return err;
}

int lina_topo_build(const struct lina_topo_builder *builder,
	const struct lina_topo_network *network, struct lina_topo **topo_p,
	struct lina_topo_fault *fault_p)
{
	struct lina_topo counted = { 0 };
	struct lina_topo *t;
	int *rails, err;

	if (builder->err == -E2BIG)
		return lina_topo_refuse(
			fault_p, "there is more than %d of something", LINA_TOPO_VERTICES_MAX);
	if (builder->err)
		return builder->err;
	rails = calloc((size_t)builder->nvertices + 1, sizeof(*rails));
	if (!rails)
		return -ENOMEM;
	err = measure(&counted, builder, rails, fault_p);
	if (err)
		goto free_rails;
	/* Each NIC brings a leaf at most. */
	t = topo_alloc(&counted, builder, counted.nnics);
	err = t ? topo_fill(t, builder, network, rails, fault_p) : -ENOMEM;
	if (!err)
		err = lina_topo_routes_make(t, fault_p);
	if (err)
		lina_topo_destroy(t);
	else
		*topo_p = t;
free_rails:
	free(rails);
	return err;
}
