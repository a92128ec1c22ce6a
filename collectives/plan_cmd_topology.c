/* lina-plan topology: what is understood of a description of a cluster. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectives/plan_main.h"
#include "topology/topo_file.h"

/* Costs of all pairs are looked at up to this many devices, then those of the first device. */
enum { ALL_PAIRS_MAX = 1024, COSTS_MAX = 32 };

struct options {
	int nodes;
	const char *what, *export;
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'n':
		o->nodes = lina_plan_option_int(state, "--nodes", arg, 1, LINA_TOPO_NODES_MAX);
		return 0;
	case 'e':
		o->export = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (o->what)
			argp_error(state, "one description at a time; a text of several words is "
					  "to be quoted");
		o->what = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which topology?");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --- nodes --- */

static void rate_write(char *out, size_t room, double bytes_per_s)
{
	if (isinf(bytes_per_s))
		(void)snprintf(out, room, "no limit");
	else
		(void)snprintf(out, room, "%.2f GB/s", bytes_per_s / 1e9);
}

/* NICs are numbered from this one in a node. */
static int nic_first(const struct lina_topo *t, int node)
{
	int nic = 0;

	while (lina_topo_nic_vertex(t, nic)->node != node)
		nic++;
	return nic;
}

static void device_print(FILE *out, const struct lina_topo *t, int node, int device)
{
	const struct lina_vertex *v = &t->vertex[device];

	(void)fprintf(out, "  gpu %-3d", device - t->node_first[node]);
	if (v->name[0])
		(void)fprintf(out, "  %-12s", v->name);
	if (v->numa >= 0)
		(void)fprintf(out, "  numa %d", v->numa);
	if (t->nic[device] >= 0) {
		const struct lina_vertex *nic = lina_topo_nic_vertex(t, t->nic[device]);
		(void)fprintf(out, "  nic %d", t->nic[device] - nic_first(t, node));
		if (nic->name[0])
			(void)fprintf(out, " %s", nic->name);
		(void)fprintf(out, "  rail %d", nic->rail);
	}
	(void)fputc('\n', out);
}

/* How many links of a node are alike with link l, which is the first of them; 0: one before l is.
 */
static int alike(const struct lina_topo *t, int l)
{
	const struct lina_link *a = &t->link[l];
	int n = 0;

	for (int k = 0; k < t->nlinks; k += 2) {
		const struct lina_link *b = &t->link[k];
		if (a->kind != b->kind || t->vertex[a->from].node != t->vertex[b->from].node ||
			t->vertex[a->from].kind != t->vertex[b->from].kind ||
			t->vertex[a->to].kind != t->vertex[b->to].kind ||
			a->bytes_per_s != b->bytes_per_s || a->latency_ns != b->latency_ns)
			continue;
		if (k < l)
			return 0;
		n++;
	}
	return n;
}

static void link_print(FILE *out, const struct lina_topo *t, int l)
{
	const struct lina_link *link = &t->link[l];
	int n = alike(t, l);
	char ends[48], rate[32];

	if (!n)
		return;
	(void)snprintf(ends, sizeof(ends), "%s - %s",
		lina_vertex_kind_name(t->vertex[link->from].kind),
		lina_vertex_kind_name(t->vertex[link->to].kind));
	rate_write(rate, sizeof(rate), link->bytes_per_s);
	(void)fprintf(out, "  %4d x %-6s %-24s %12s %8.2f us\n", n, lina_link_kind_name(link->kind),
		ends, rate, link->latency_ns / 1e3);
}

/* A node as text, to be freed by the caller. NULL: no memory. */
static char *node_text(const struct lina_topo *t, int node)
{
	char *text = NULL;
	size_t bytes;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return NULL;
	for (int d = t->node_first[node]; d < t->node_first[node + 1]; d++)
		device_print(out, t, node, d);
	for (int l = 0; l < t->nlinks; l += 2)
		if (t->vertex[t->link[l].from].node == node)
			link_print(out, t, l);
	return fclose(out) ? NULL : text;
}

static void nodes_print(int first, int end, const char *text)
{
	if (end - first == 1)
		(void)printf("node %d\n%s", first, text);
	else
		(void)printf("nodes %d to %d, each\n%s", first, end - 1, text);
}

/* Nodes that are alike are shown once. */
static int all_nodes_print(const struct lina_topo *t)
{
	char *shown = NULL, *text = NULL;
	int first = 0;

	for (int node = 0; node < t->nnodes; node++) {
		text = node_text(t, node);
		if (!text)
			goto free_shown;
		if (shown && strcmp(shown, text) != 0) {
			nodes_print(first, node, shown);
			first = node;
		}
		free(shown);
		shown = text;
	}
	nodes_print(first, t->nnodes, shown);
	free(shown);
	return EXIT_SUCCESS;
free_shown:
	free(shown);
	return lina_plan_complain("no memory");
}

/* --- costs --- */

struct cost_row {
	struct lina_topo_cost cost;
	bool within;
	enum lina_link_kind narrowest;
	long pairs;
};

static enum lina_link_kind narrowest_of(const struct lina_topo *t, int from, int to)
{
	int links[LINA_TOPO_HOPS_MAX];
	int n = lina_topo_route(t, from, to, links), best = links[0];

	for (int i = 1; i < n; i++)
		if (t->link[links[i]].bytes_per_s < t->link[best].bytes_per_s)
			best = links[i];
	return t->link[best].kind;
}

/* Counts a pair in its row; returns how many rows there are. */
static int cost_count(const struct lina_topo *t, int from, int to, struct cost_row *rows, int nrows)
{
	struct cost_row row = { .cost = lina_topo_cost_of(t, from, to),
		.within = lina_topo_node_of(t, from) == lina_topo_node_of(t, to),
		.narrowest = narrowest_of(t, from, to),
		.pairs = 1 };

	for (int i = 0; i < nrows; i++)
		if (rows[i].within == row.within && rows[i].narrowest == row.narrowest &&
			rows[i].cost.bytes_per_s == row.cost.bytes_per_s &&
			fabs(rows[i].cost.latency_ns - row.cost.latency_ns) < 0.5) {
			rows[i].pairs++;
			return nrows;
		}
	if (nrows < COSTS_MAX)
		rows[nrows++] = row;
	return nrows;
}

static void costs_print(const struct lina_topo *t)
{
	struct cost_row rows[COSTS_MAX];
	int nrows = 0, nfrom = t->ndevices <= ALL_PAIRS_MAX ? t->ndevices : 1;
	char rate[32];

	for (int a = 0; a < nfrom; a++)
		for (int b = 0; b < t->ndevices; b++)
			if (a != b)
				nrows = cost_count(t, a, b, rows, nrows);
	if (!nrows)
		return;
	(void)printf(
		"cost of a message %s\n", nfrom > 1 ? "from gpu to gpu" : "from the first gpu");
	for (int i = 0; i < nrows; i++) {
		rate_write(rate, sizeof(rate), rows[i].cost.bytes_per_s);
		(void)printf("  %8ld pairs %-14s %8.2f us + bytes / %s (%s)\n", rows[i].pairs,
			rows[i].within ? "within a node" : "between nodes",
			rows[i].cost.latency_ns / 1e3, rate,
			lina_link_kind_name(rows[i].narrowest));
	}
}

/* --- the command --- */

static int export(const struct options *o)
{
	struct lina_topo_fault fault;
	char *text;
	size_t bytes;
	int err = lina_topo_export(o->what, &text, &bytes, &fault);

	if (err)
		return lina_plan_complain_topology(o->what, err, &fault);
	err = lina_plan_save(o->export, text, bytes);
	free(text);
	return err;
}

static void count_print(int n, const char *what, const char *behind)
{
	(void)printf("%d %s%s%s", n, what, n == 1 ? "" : "s", behind);
}

static int show(const struct options *o)
{
	struct lina_topo *t;
	int err = lina_plan_open_topology(o->what, o->nodes, &t);

	if (err)
		return err;
	count_print(t->nnodes, "node", ", ");
	count_print(t->ndevices, "gpu", ", ");
	count_print(t->nnics, "nic", ", ");
	count_print(t->nrails, "rail", "\n");
	err = all_nodes_print(t);
	for (int l = 0; l < t->nlinks; l += 2)
		if (t->vertex[t->link[l].from].node < 0)
			link_print(stdout, t, l);
	costs_print(t);
	lina_topo_destroy(t);
	return err;
}

int lina_plan_cmd_topology(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "nodes", 'n', "N", 0, "Take a machine for N nodes alike (1)", 0 },
		{ "export", 'e', "FILE", 0,
			"Write hwloc's XML of the machine, with the speeds of its NICs; '-' is "
			"stdout",
			0 },
		{ 0 },
	};
	static const struct argp argp = { .options = options,
		.parser = option_parse,
		.args_doc = "TEXT|FILE|this|hwloc:TEXT",
		.doc = "Shows what is understood of a description of a cluster: its nodes, links, "
		       "and what messages cost.\v"
		       "TEXT is a line like '4 nodes, 8 gpus, nvlink 300 GB/s, 8 nics 50 GB/s'. "
		       "FILE has "
		       "such a text, NCCL's XML (NCCL_TOPO_DUMP_FILE), or hwloc's (lstopo --of "
		       "xml). "
		       "'this' is the machine at hand, hwloc:TEXT a synthetic description of "
		       "hwloc's.\n\n"
		       "Exit status: 0; 1 the description is wrong, and where." };
	struct options o = { .nodes = 1 };

	(void)argp_parse(&argp, argc, argv, 0, NULL, &o);
	return o.export ? export(&o) : show(&o);
}
