#include "collectives/a2a_route.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Below this a part is what rounding left over, and no way. */
#define PART_MIN 1e-9

/* What replicas can take and devices bring that no earlier step has used, of one expert. */
struct balance {
	const struct lina_plan_shape *shape;
	double supply;               /* of each device at first: 1/D */
	double *on_device;           /* [ndevices] share of the replicas on each */
	double *supply_of, *room_of; /* [nnodes] left after the same device was served */
	double room;                 /* left after each node was served, all nodes together */
};

static double least(double a, double b)
{
	return a < b ? a : b;
}

static double ratio(double part, double whole)
{
	return whole > 0 ? part / whole : 0;
}

static void balance_fill(struct balance *b, const int *expert, const double *share, int of)
{
	const struct lina_plan_shape *shape = b->shape;
	int nnodes = lina_plan_nnodes(shape), nslots = lina_plan_nslots(shape);

	memset(b->on_device, 0, (size_t)shape->ndevices * sizeof(*b->on_device));
	memset(b->supply_of, 0, (size_t)nnodes * sizeof(*b->supply_of));
	memset(b->room_of, 0, (size_t)nnodes * sizeof(*b->room_of));
	for (int s = 0; s < nslots; s++)
		if (expert[s] == of)
			b->on_device[lina_plan_device_of(shape, s)] += share[s];
	for (int d = 0; d < shape->ndevices; d++) {
		double served = least(b->supply, b->on_device[d]);
		b->supply_of[lina_plan_node_of(shape, d)] += b->supply - served;
		b->room_of[lina_plan_node_of(shape, d)] += b->on_device[d] - served;
	}
	b->room = 0;
	for (int node = 0; node < nnodes; node++)
		b->room += b->room_of[node] - least(b->supply_of[node], b->room_of[node]);
}

/* The part of a device's tokens that go to a replica of this share. */
static double part_of(const struct balance *b, int from, int to, double share)
{
	int from_node = lina_plan_node_of(b->shape, from),
	    to_node = lina_plan_node_of(b->shape, to);
	double here = least(b->supply, b->on_device[to]);
	double room = share * (1 - ratio(here, b->on_device[to]));
	double in_node = least(b->supply_of[to_node], b->room_of[to_node]);
	double supply = b->supply - least(b->supply, b->on_device[from]);
	double from_in_node = least(b->supply_of[from_node], b->room_of[from_node]);
	double part = from == to ? share * ratio(here, b->on_device[to]) : 0;

	if (from_node == to_node)
		part += ratio(supply, b->supply_of[from_node]) * in_node *
			ratio(room, b->room_of[to_node]);
	supply *= 1 - ratio(from_in_node, b->supply_of[from_node]);
	room *= 1 - ratio(in_node, b->room_of[to_node]);
	part += supply * ratio(room, b->room);
	return part / b->supply;
}

static int way_order(const void *a, const void *b)
{
	const struct lina_way *x = a, *y = b;

	if (x->distance != y->distance)
		return x->distance < y->distance ? -1 : 1;
	return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Parts become a running sum that ends at 1. */
static void ways_settle(struct lina_way *way, int n)
{
	double sum = 0, until = 0;

	qsort(way, (size_t)n, sizeof(*way), way_order);
	for (int i = 0; i < n; i++)
		sum += way[i].until;
	for (int i = 0; i < n; i++) {
		until += way[i].until / sum;
		way[i].until = i == n - 1 ? 1 : least(until, 1);
	}
}

static enum lina_distance distance(const struct lina_plan_shape *shape, int from, int to)
{
	if (from == to)
		return LINA_SAME_DEVICE;
	return lina_plan_node_of(shape, from) == lina_plan_node_of(shape, to) ? LINA_SAME_NODE
									      : LINA_REMOTE;
}

static int expert_ways(const struct balance *b, const int *expert, const double *share, int of,
	int from, struct lina_way *way)
{
	int n = 0, nslots = lina_plan_nslots(b->shape);

	for (int s = 0; s < nslots; s++) {
		int to = lina_plan_device_of(b->shape, s);
		double part = expert[s] == of ? part_of(b, from, to, share[s]) : 0;
		if (part > PART_MIN)
			way[n++] = (struct lina_way){ s, to, distance(b->shape, from, to), part };
	}
	ways_settle(way, n);
	return n;
}

static int balance_open(struct balance *b, const struct lina_plan_shape *shape)
{
	size_t ndevices = (size_t)shape->ndevices, nnodes = (size_t)lina_plan_nnodes(shape);

	*b = (struct balance){ .shape = shape, .supply = 1.0 / shape->ndevices };
	b->on_device = calloc(ndevices + 2 * nnodes, sizeof(double));
	if (b->on_device == NULL)
		return -ENOMEM;
	b->supply_of = b->on_device + ndevices;
	b->room_of = b->supply_of + nnodes;
	return 0;
}

static int route_fill(struct lina_route *route, const struct lina_plan *plan, int layer)
{
	const int *expert = lina_plan_experts(plan, layer);
	const double *share = lina_plan_shares(plan, layer);
	struct balance b;
	int err = balance_open(&b, &plan->shape);

	for (int e = 0; e < route->nexperts && !err; e++) {
		balance_fill(&b, expert, share, e);
		int n = expert_ways(
			&b, expert, share, e, route->device, &route->way[route->first[e]]);
		route->first[e + 1] = route->first[e] + n;
		if (n == 0)
			err = -EINVAL;
	}
	free(b.on_device);
	return err;
}

int lina_route_create(
	const struct lina_plan *plan, int layer, int device, struct lina_route **route_p)
{
	const struct lina_plan_shape *shape = &plan->shape;
	int err = -ENOMEM;

	if (layer < 0 || layer >= shape->nlayers || device < 0 || device >= shape->ndevices)
		return -EINVAL;
	struct lina_route *route = calloc(1, sizeof(*route));
	if (route == NULL)
		return -ENOMEM;
	route->nexperts = shape->nexperts;
	route->ndevices = shape->ndevices;
	route->slots_per_device = shape->slots_per_device;
	route->device = device;
	route->first = calloc((size_t)shape->nexperts + 1, sizeof(*route->first));
	route->way = calloc((size_t)lina_plan_nslots(shape), sizeof(*route->way));
	if (route->first == NULL || route->way == NULL)
		goto destroy;
	err = route_fill(route, plan, layer);
	if (err)
		goto destroy;
	*route_p = route;
	return 0;
destroy:
	lina_route_destroy(route);
	return err;
}

void lina_route_destroy(struct lina_route *route)
{
	if (route == NULL)
		return;
	free(route->way);
	free(route->first);
	free(route);
}

/* Systematic rounding from a start between 0 and 1 that is spread evenly over devices: multiples of
 * the golden ratio (Knuth, TAOCP 6.4), and of another irrational number for experts. */
static double start(int device, int expert)
{
	double at = device * 0.6180339887498949 + expert * 0.7548776662466927;

	return at - floor(at);
}

void lina_route_divide(const struct lina_route *route, int expert, uint32_t n, uint32_t *quota_p)
{
	const struct lina_way *way = &route->way[route->first[expert]];
	int nways = route->first[expert + 1] - route->first[expert];
	double from = start(route->device, expert);
	uint32_t given = 0;

	for (int i = 0; i < nways; i++) {
		double upto = i == nways - 1 ? n : floor(n * way[i].until + from);
		uint32_t until = (uint32_t)least(upto, n);
		quota_p[i] = until - given;
		given = until;
	}
}
