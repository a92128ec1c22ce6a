#include "fuzz/topo_check.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum { PAIRS_MAX = 500 };

static void route_check(const struct lina_topo *t, int from, int to)
{
	int links[LINA_TOPO_HOPS_MAX], at = from;
	int n = lina_topo_route(t, from, to, links);

	FUZZ_CHECK(n >= 0 && n <= LINA_TOPO_HOPS_MAX);
	for (int i = 0; i < n; i++) {
		FUZZ_CHECK(links[i] >= 0 && links[i] < t->nlinks);
		FUZZ_CHECK(t->link[links[i]].from == at);
		at = t->link[links[i]].to;
	}
	FUZZ_CHECK(at == to);
	double ns = lina_topo_time_ns(t, from, to, 1e6);
	FUZZ_CHECK(isfinite(ns) && ns >= 0);
}

static void links_check(const struct lina_topo *t)
{
	for (int l = 0; l < t->nlinks; l++) {
		FUZZ_CHECK(t->link[l].bytes_per_s > 0 && t->link[l].latency_ns >= 0);
		FUZZ_CHECK(t->link[l].from == t->link[l ^ 1].to);
	}
	for (int d = 0; d < t->ndevices; d++) {
		FUZZ_CHECK(t->nic[d] >= -1 && t->nic[d] < t->nnics);
		FUZZ_CHECK(lina_topo_rail_of(t, d) < t->nrails);
	}
}

void topo_check(int err, struct lina_topo *topo, const struct lina_topo_fault *fault)
{
	if (err) {
		FUZZ_CHECK(err == -EINVAL && !topo);
		FUZZ_CHECK(fault->line >= 0 && fault->column >= 0);
		FUZZ_CHECK(strnlen(fault->text, sizeof(fault->text)) < sizeof(fault->text));
		FUZZ_CHECK(fault->text[0]);
		return;
	}
	FUZZ_CHECK(topo);
	links_check(topo);
	for (int i = 0; i < PAIRS_MAX; i++)
		route_check(topo, i % topo->ndevices, i * 7 % topo->ndevices);
	lina_topo_destroy(topo);
}
