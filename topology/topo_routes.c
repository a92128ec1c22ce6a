#include "topology/topo_routes.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The message by which ways are compared; what all tables together may hold; hops within a node:
 * twice as many, and four of the network, are less than LINA_TOPO_HOPS_MAX. */
static const double probe_bytes = 1 << 20;
enum { TABLES_MAX = 1 << 25, LOCAL_HOPS_MAX = 28 };

/* Ways are equally long when they differ by no more than rounding does. */
static const double equal_part = 1e-9;

static bool is_end(const struct lina_topo *t, int vertex)
{
	return vertex < t->ndevices + t->nnics;
}

static double weight_ns(const struct lina_link *link)
{
	return link->latency_ns + probe_bytes * 1e9 / link->bytes_per_s;
}

/* A way from a vertex that hands on to the end at hand, as long as it was when it was found. */
struct way {
	double ns;
	int vertex;
};

/* What the search of one node needs; by number in the node. */
struct search {
	const struct lina_topo *t;
	int node, nlocal;
	int *vertex; /* [nlocal] */
	int *first,
		*link; /* links that lead to local vertex v: link[first[v]] up to first[v + 1] */
	double *dist;  /* [nlocal], to the end at hand */
	bool *done;    /* [nlocal] */
	int *next;     /* [nlocal] */
	/* A heap, the shortest first; a link finds one way at most. */
	struct way *way;
	int nways;
};

static void search_close(struct search *s)
{
	free(s->vertex);
	free(s->first);
	free(s->link);
	free(s->way);
	free(s->dist);
	free(s->done);
}

/* All vertices and links of a topology, sorted by node; made once for all searches. */
struct by_node {
	int *vertex_first, *vertex; /* vertices of node n: vertex[vertex_first[n]] up to [n + 1] */
	int *link_first, *link;     /* links that lead to vertex v: likewise by vertex */
};

static void by_node_close(struct by_node *b)
{
	free(b->vertex_first);
	free(b->vertex);
	free(b->link_first);
	free(b->link);
}

/* Counting sort of 0 to n - 1 by key (0 to nkeys - 1, or -1 to leave out) into first and order. */
static int sort_by(int n, int nkeys, const int *key, int **first_p, int **order_p)
{
	int *first = calloc((size_t)nkeys + 2, sizeof(*first));
	int *order = calloc((size_t)n + 1, sizeof(*order));

	if (!first || !order) {
		free(first);
		free(order);
		return -ENOMEM;
	}
	for (int i = 0; i < n; i++)
		if (key[i] >= 0)
			first[key[i] + 2]++;
	for (int k = 0; k < nkeys; k++)
		first[k + 2] += first[k + 1];
	for (int i = 0; i < n; i++)
		if (key[i] >= 0)
			order[first[key[i] + 1]++] = i;
	*first_p = first;
	*order_p = order;
	return 0;
}

static int by_node_open(const struct lina_topo *t, struct by_node *b)
{
	int nkeys = t->nvertices > t->nlinks ? t->nvertices : t->nlinks;
	int *key = malloc(((size_t)nkeys + 1) * sizeof(*key));
	int err;

	*b = (struct by_node){ 0 };
	if (!key)
		return -ENOMEM;
	for (int v = 0; v < t->nvertices; v++)
		key[v] = t->vertex[v].node;
	err = sort_by(t->nvertices, t->nnodes, key, &b->vertex_first, &b->vertex);
	if (err)
		goto free_key;
	for (int l = 0; l < t->nlinks; l++)
		key[l] = t->vertex[t->link[l].from].node < 0 ? -1 : t->link[l].to;
	err = sort_by(t->nlinks, t->nvertices, key, &b->link_first, &b->link);
	if (err)
		by_node_close(b);
free_key:
	free(key);
	return err;
}

static int search_open(
	const struct lina_topo *t, const struct by_node *b, int node, int *local, struct search *s)
{
	int n = b->vertex_first[node + 1] - b->vertex_first[node], nlinks = 0;

	*s = (struct search){ .t = t, .node = node, .nlocal = n };
	for (int i = 0; i < n; i++) {
		int v = b->vertex[b->vertex_first[node] + i];
		local[v] = i;
		nlinks += b->link_first[v + 1] - b->link_first[v];
	}
	s->vertex = malloc(((size_t)n + 1) * sizeof(*s->vertex));
	s->first = malloc(((size_t)n + 1) * sizeof(*s->first));
	s->link = malloc(((size_t)nlinks + 1) * sizeof(*s->link));
	s->way = malloc(((size_t)nlinks + 1) * sizeof(*s->way));
	s->dist = malloc(((size_t)n + 1) * sizeof(*s->dist));
	s->done = malloc((size_t)n + 1);
	if (!s->vertex || !s->first || !s->link || !s->way || !s->dist || !s->done) {
		search_close(s);
		return -ENOMEM;
	}
	nlinks = 0;
	for (int i = 0; i < n; i++) {
		int v = b->vertex[b->vertex_first[node] + i];
		s->vertex[i] = v;
		s->first[i] = nlinks;
		for (int k = b->link_first[v]; k < b->link_first[v + 1]; k++)
			s->link[nlinks++] = b->link[k];
	}
	s->first[n] = nlinks;
	return 0;
}

/* Of ways that are equally long that of the lower number, for routes that do not depend on how they
 * are found. */
static bool is_before(struct way a, struct way b)
{
	if (a.ns < b.ns)
		return true;
	return !(a.ns > b.ns) && a.vertex < b.vertex;
}

static void way_push(struct search *s, struct way way)
{
	int at = s->nways++;

	for (; at > 0 && is_before(way, s->way[(at - 1) / 2]); at = (at - 1) / 2)
		s->way[at] = s->way[(at - 1) / 2];
	s->way[at] = way;
}

/* The vertex of the shortest way; -1: there are no more. */
static int way_pop(struct search *s)
{
	if (s->nways == 0)
		return -1;
	int vertex = s->way[0].vertex, at = 0;
	struct way last = s->way[--s->nways];
	for (int child = 1; child < s->nways; child = 2 * at + 1) {
		child += child + 1 < s->nways && is_before(s->way[child + 1], s->way[child]);
		if (!is_before(s->way[child], last))
			break;
		s->way[at] = s->way[child];
		at = child;
	}
	s->way[at] = last;
	return vertex;
}

/* Offers the way through local vertex v to all that have a link to it. */
static void offer(struct search *s, const int *local, int v)
{
	for (int k = s->first[v]; k < s->first[v + 1]; k++) {
		int from = local[s->t->link[s->link[k]].from];
		double d = s->dist[v] + weight_ns(&s->t->link[s->link[k]]);
		if (d >= s->dist[from])
			continue;
		s->dist[from] = d;
		s->next[from] = s->link[k];
		if (!is_end(s->t, s->vertex[from]))
			way_push(s, (struct way){ d, from });
	}
}

/* Dijkstra's algorithm from one end backwards, through what hands on. */
static void search_run(struct search *s, const int *local, int end)
{
	for (int i = 0; i < s->nlocal; i++) {
		s->dist[i] = INFINITY;
		s->next[i] = -1;
		s->done[i] = false;
	}
	s->dist[end] = 0;
	s->nways = 0;
	offer(s, local, end);
	s->next[end] = -1;
	for (int v = way_pop(s); v >= 0; v = way_pop(s)) {
		if (s->done[v]) /* a shorter way was found later */
			continue;
		s->done[v] = true;
		offer(s, local, v);
	}
}

/* --- all nodes --- */

static int device_count(const struct lina_topo *t, int node)
{
	return t->node_first[node + 1] - t->node_first[node];
}

static int nic_count(const struct lina_topo *t, int node)
{
	return t->routes->nic_first[node + 1] - t->routes->nic_first[node];
}

/* Number of an end among those of its node. */
static int end_of(const struct lina_topo *t, int node, int vertex)
{
	if (vertex < t->ndevices)
		return vertex - t->node_first[node];
	return device_count(t, node) + vertex - t->ndevices - t->routes->nic_first[node];
}

static int end_vertex(const struct lina_topo *t, int node, int end)
{
	int ndevices = device_count(t, node);

	if (end < ndevices)
		return t->node_first[node] + end;
	return t->ndevices + t->routes->nic_first[node] + end - ndevices;
}

int lina_topo_local_route(const struct lina_topo *topo, int node, int from, int to, int *links)
{
	const struct lina_topo_routes *r = topo->routes;
	const int *next = r->next[node] + (size_t)end_of(topo, node, to) * (size_t)r->nlocal[node];
	int n = 0;

	while (from != to) {
		int link = next[r->local[from]];
		if (link < 0 || n == LOCAL_HOPS_MAX)
			return -1;
		links[n++] = link;
		from = topo->link[link].to;
	}
	return n;
}

/* table_p: what all tables together hold so far. */
static int node_search(struct lina_topo *t, const struct by_node *b, int node, size_t *table_p,
	struct lina_topo_fault *fault)
{
	struct lina_topo_routes *r = t->routes;
	int ends = device_count(t, node) + nic_count(t, node);
	struct search s;
	int err = search_open(t, b, node, r->local, &s);

	if (err)
		return err;
	r->nlocal[node] = s.nlocal;
	*table_p += (size_t)ends * (size_t)s.nlocal;
	if (*table_p > TABLES_MAX) {
		err = lina_topo_refuse(
			fault, "too large: node %d, with %d devices and NICs", node, ends);
		goto close_search;
	}
	r->next[node] = malloc((size_t)ends * (size_t)s.nlocal * sizeof(*r->next[node]));
	if (!r->next[node]) {
		err = -ENOMEM;
		goto close_search;
	}
	for (int end = 0; end < ends; end++) {
		s.next = r->next[node] + (size_t)end * (size_t)s.nlocal;
		search_run(&s, r->local, r->local[end_vertex(t, node, end)]);
	}
close_search:
	search_close(&s);
	return err;
}

static double way_ns(const struct lina_topo *t, int node, int from, int to)
{
	int links[LOCAL_HOPS_MAX];
	int n = lina_topo_local_route(t, node, from, to, links);
	double sum_ns = n < 0 ? INFINITY : 0;

	for (int i = 0; i < n; i++)
		sum_ns += weight_ns(&t->link[links[i]]);
	return sum_ns;
}

/* The nearest NIC of a device, or one of the nearest: turn (from 0) of them, whose first is
 * *first_p. -1: none can be reached. */
static int nic_nearest(const struct lina_topo *t, int device, const int *turns, int *first_p)
{
	int node = t->vertex[device].node, n = 0, turn;
	int begin = t->routes->nic_first[node], end = t->routes->nic_first[node + 1];
	double best_ns = INFINITY;

	*first_p = -1;
	for (int nic = begin; nic < end; nic++) {
		double ns = way_ns(t, node, device, t->ndevices + nic);
		if (ns < best_ns * (1 - equal_part)) {
			best_ns = ns;
			*first_p = nic;
			n = 1;
		} else if (ns < INFINITY && ns <= best_ns * (1 + equal_part)) {
			n++;
		}
	}
	if (*first_p < 0)
		return -1;
	turn = turns[*first_p] % n;
	for (int nic = *first_p; nic < end; nic++)
		if (way_ns(t, node, device, t->ndevices + nic) <= best_ns * (1 + equal_part) &&
			turn-- == 0)
			return nic;
	return *first_p;
}

static int nics_choose(struct lina_topo *t, struct lina_topo_fault *fault)
{
	int *turns = calloc((size_t)t->nnics + 1, sizeof(*turns));
	int err = 0;

	if (!turns)
		return -ENOMEM;
	for (int device = 0; device < t->ndevices && !err; device++) {
		int first;
		t->nic[device] = nic_nearest(t, device, turns, &first);
		if (t->nic[device] >= 0)
			turns[first]++;
		else if (t->nnodes > 1)
			err = lina_topo_refuse(fault, "device %d has no NIC to leave node %d by",
				device - t->node_first[t->vertex[device].node],
				t->vertex[device].node);
	}
	free(turns);
	return err;
}

/* All devices of a node reach one another, and their NICs both ways. */
static int node_check(const struct lina_topo *t, int node, struct lina_topo_fault *fault)
{
	int links[LOCAL_HOPS_MAX], first = t->node_first[node], end = t->node_first[node + 1];

	for (int a = first; a < end; a++) {
		for (int b = first; b < end; b++)
			if (lina_topo_local_route(t, node, a, b, links) < 0)
				return lina_topo_refuse(fault,
					"device %d of node %d cannot reach device %d: no links, or "
					"more than %d hops",
					a - first, node, b - first, LOCAL_HOPS_MAX);
		if (t->nic[a] >= 0 &&
			lina_topo_local_route(t, node, t->ndevices + t->nic[a], a, links) < 0)
			return lina_topo_refuse(fault,
				"device %d of node %d cannot be reached from its NIC", a - first,
				node);
	}
	return 0;
}

static int routes_alloc(struct lina_topo *t)
{
	struct lina_topo_routes *r = calloc(1, sizeof(*r));
	size_t nnodes = (size_t)t->nnodes;

	t->routes = r;
	if (!r)
		return -ENOMEM;
	r->nic_first = calloc(nnodes + 1, sizeof(*r->nic_first));
	r->local = calloc((size_t)t->nvertices, sizeof(*r->local));
	r->nlocal = calloc(nnodes, sizeof(*r->nlocal));
	r->next = calloc(nnodes, sizeof(*r->next));
	r->to_leaf = calloc((size_t)t->nnics + 1, sizeof(*r->to_leaf));
	r->to_spine = malloc((size_t)t->nvertices * sizeof(*r->to_spine));
	if (!r->nic_first || !r->local || !r->nlocal || !r->next || !r->to_leaf || !r->to_spine)
		return -ENOMEM;
	return 0;
}

static void network_fill(struct lina_topo *t)
{
	struct lina_topo_routes *r = t->routes;

	for (int nic = 0; nic < t->nnics; nic++)
		r->nic_first[lina_topo_nic_vertex(t, nic)->node + 1]++;
	for (int node = 0; node < t->nnodes; node++)
		r->nic_first[node + 1] += r->nic_first[node];
	for (int v = 0; v < t->nvertices; v++)
		r->to_spine[v] = -1;
	for (int l = 0; l < t->nlinks; l++) {
		const struct lina_link *link = &t->link[l];
		if (link->kind == LINA_LINK_NET && is_end(t, link->from))
			r->to_leaf[link->from - t->ndevices] = l;
		if (link->kind == LINA_LINK_UP && t->vertex[link->from].kind == LINA_VERTEX_LEAF)
			r->to_spine[link->from] = l;
	}
}

int lina_topo_routes_make(struct lina_topo *topo, struct lina_topo_fault *fault_p)
{
	struct by_node b;
	size_t table = 0;
	int err = routes_alloc(topo);

	if (err)
		return err;
	network_fill(topo);
	err = by_node_open(topo, &b);
	if (err)
		return err;
	for (int node = 0; node < topo->nnodes && !err; node++)
		err = node_search(topo, &b, node, &table, fault_p);
	by_node_close(&b);
	if (!err)
		err = nics_choose(topo, fault_p);
	for (int node = 0; node < topo->nnodes && !err; node++)
		err = node_check(topo, node, fault_p);
	return err;
}

void lina_topo_routes_destroy(struct lina_topo_routes *routes, int nnodes)
{
	if (!routes)
		return;
	for (int node = 0; routes->next && node < nnodes; node++)
		free(routes->next[node]);
	free(routes->nic_first);
	free(routes->local);
	free(routes->nlocal);
	free(routes->next);
	free(routes->to_leaf);
	free(routes->to_spine);
	free(routes);
}
