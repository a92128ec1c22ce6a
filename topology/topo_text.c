#include "topology/topo_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "topology/topo_hw.h"
#include "topology/topo_routes.h"
#include "topology/topo_words.h"

enum { GROUPS_MAX = 1024, PER_NODE_MAX = 512 };

enum item {
	ITEM_NODES,
	ITEM_GPUS,
	ITEM_NVLINK,
	ITEM_PCIE,
	ITEM_NICS,
	ITEM_RAILS,
	ITEM_PODS,
	ITEM_UPLINK
};

/* A group of nodes; wires of no bandwidth are not there. */
struct group {
	unsigned given; /* bits: 1 << item */
	int nnodes, ngpus, nnics, nrails;
	struct lina_topo_wire nvlink, pcie, nic;
};

struct cluster {
	unsigned given;
	int ngroups;
	struct group *group;
	struct lina_topo_network network;
};

/* --- reading --- */

/* Notes that an item is there, for the first time. */
static int once(struct lina_topo_words *w, struct lina_topo_word word, unsigned *given,
	enum item item, const char *where)
{
	if (*given & (1u << item))
		return lina_topo_expected(
			w, word, "no '%.*s' again %s", (int)word.bytes, word.at, where);
	*given |= 1u << item;
	return 0;
}

static int wire_read(struct lina_topo_words *w, struct lina_topo_wire *wire)
{
	int err = lina_topo_rate(w, &wire->bytes_per_s);

	return err ? err : lina_topo_time_maybe(w, &wire->latency_ns);
}

static bool word_is_one_of(struct lina_topo_word word, const char *one, const char *many)
{
	return lina_topo_word_is(word, one) || lina_topo_word_is(word, many);
}

/* N and what there are N of. */
static int counted_item(struct lina_topo_words *w, struct group *g)
{
	static const char here[] = "in this group";
	int n = 0;
	int err = lina_topo_count(w, LINA_TOPO_NODES_MAX, &n);
	struct lina_topo_word word = lina_topo_peek(w);
	enum item item;

	if (err)
		return err;
	if (word_is_one_of(word, "node", "nodes")) {
		item = ITEM_NODES;
		g->nnodes = n;
	} else if (word_is_one_of(word, "gpu", "gpus") ||
		   word_is_one_of(word, "device", "devices")) {
		item = ITEM_GPUS;
		g->ngpus = n;
	} else if (word_is_one_of(word, "nic", "nics")) {
		item = ITEM_NICS;
		g->nnics = n;
	} else if (word_is_one_of(word, "rail", "rails")) {
		item = ITEM_RAILS;
		g->nrails = n;
	} else {
		return lina_topo_expected(w, word, "'nodes', 'gpus', 'nics' or 'rails'");
	}
	if (item != ITEM_NODES && n > PER_NODE_MAX)
		return lina_topo_expected(
			w, word, "at most %d in a node before this word", PER_NODE_MAX);
	err = once(w, word, &g->given, item, here);
	if (err)
		return err;
	lina_topo_take(w, word);
	return item == ITEM_NICS ? wire_read(w, &g->nic) : 0;
}

static int pods_read(struct lina_topo_words *w, struct lina_topo_network *network)
{
	struct lina_topo_word word = lina_topo_peek(w);
	int err;

	if (!lina_topo_word_is(word, "of"))
		return lina_topo_expected(w, word, "'of'");
	lina_topo_take(w, word);
	err = lina_topo_count(w, LINA_TOPO_NODES_MAX, &network->nodes_per_pod);
	if (err)
		return err;
	word = lina_topo_peek(w);
	if (word_is_one_of(word, "node", "nodes"))
		lina_topo_take(w, word);
	return 0;
}

static int item_read(struct lina_topo_words *w, struct cluster *c, struct group *g)
{
	struct lina_topo_word word = lina_topo_peek(w);
	struct lina_topo_wire uplink = { .latency_ns = LINA_HW_UPLINK_NS };
	int err;

	if (word.number)
		return counted_item(w, g);
	if (lina_topo_word_is(word, "nvlink")) {
		err = once(w, word, &g->given, ITEM_NVLINK, "in this group");
		lina_topo_take(w, word);
		return err ? err : wire_read(w, &g->nvlink);
	}
	if (word_is_one_of(word, "pcie", "pci")) {
		err = once(w, word, &g->given, ITEM_PCIE, "in this group");
		lina_topo_take(w, word);
		return err ? err : wire_read(w, &g->pcie);
	}
	if (lina_topo_word_is(word, "pods")) {
		err = once(w, word, &c->given, ITEM_PODS, "in the cluster");
		lina_topo_take(w, word);
		return err ? err : pods_read(w, &c->network);
	}
	if (!lina_topo_word_is(word, "uplink"))
		return lina_topo_expected(
			w, word, "a number, 'nvlink', 'pcie', 'pods' or 'uplink'");
	err = once(w, word, &c->given, ITEM_UPLINK, "in the cluster");
	lina_topo_take(w, word);
	if (!err)
		err = wire_read(w, &uplink);
	c->network.uplink_bytes_per_s = uplink.bytes_per_s;
	c->network.uplink_latency_ns = uplink.latency_ns;
	return err;
}

/* A group that is over, at word. */
static int group_check(struct lina_topo_words *w, struct lina_topo_word word, const struct group *g)
{
	if (!g->ngpus)
		return lina_topo_expected(
			w, word, "how many gpus there are, as in '8 gpus', before this");
	if (g->ngpus > 1 && !(g->given & (1u << ITEM_NVLINK | 1u << ITEM_PCIE)))
		return lina_topo_expected(
			w, word, "'nvlink' or 'pcie', which join %d gpus, before this", g->ngpus);
	if ((g->given & 1u << ITEM_RAILS) && g->nrails > g->nnics)
		return lina_topo_expected(
			w, word, "no more rails than the %d nics, before this", g->nnics);
	return 0;
}

static int group_read(struct lina_topo_words *w, struct cluster *c, struct group *g)
{
	struct lina_topo_word word;
	int err;

	*g = (struct group){ .nnodes = 1,
		.nvlink = { LINA_LINK_NVLINK, 0, LINA_HW_NVLINK_NS },
		.pcie = { LINA_LINK_PCI, 0, LINA_HW_PCI_NS },
		.nic = { LINA_LINK_NET, 0, LINA_HW_NIC_NS } };
	for (;;) {
		word = lina_topo_peek(w);
		while (lina_topo_word_is(word, "\n")) {
			lina_topo_take(w, word);
			word = lina_topo_peek(w);
		}
		/* Nothing more is right where something was. */
		if ((!word.at || lina_topo_word_is(word, ";")) && g->given)
			return group_check(w, word, g);
		err = item_read(w, c, g);
		if (err)
			return err;
		word = lina_topo_peek(w);
		if (!word.at || lina_topo_word_is(word, ";"))
			return group_check(w, word, g);
		if (!lina_topo_word_is(word, ",") && !lina_topo_word_is(word, "\n"))
			return lina_topo_expected(w, word, "',' or ';'");
		lina_topo_take(w, word);
	}
}

static int cluster_read(struct lina_topo_words *w, struct cluster *c)
{
	struct lina_topo_word word;
	int err = 0;

	for (;;) {
		struct group *group = realloc(c->group, ((size_t)c->ngroups + 1) * sizeof(*group));
		if (!group)
			return -ENOMEM;
		c->group = group;
		err = group_read(w, c, &c->group[c->ngroups]);
		if (err)
			return err;
		c->ngroups++;
		word = lina_topo_peek(w);
		if (!word.at)
			return 0;
		if (c->ngroups == GROUPS_MAX)
			return lina_topo_expected(w, word, "no more than %d groups", GROUPS_MAX);
		lina_topo_take(w, word);
	}
}

/* What can be said only of all together. */
static int cluster_check(const struct cluster *c, struct lina_topo_fault *fault)
{
	long nodes = 0, devices = 0;

	for (int i = 0; i < c->ngroups; i++) {
		nodes += c->group[i].nnodes;
		devices += (long)c->group[i].nnodes * c->group[i].ngpus;
	}
	if (nodes > LINA_TOPO_NODES_MAX || devices > LINA_TOPO_DEVICES_MAX)
		return lina_topo_refuse(fault, "%ld nodes with %ld gpus are more than %d", nodes,
			devices, LINA_TOPO_DEVICES_MAX);
	for (int i = 0; nodes > 1 && i < c->ngroups; i++)
		if (!c->group[i].nnics)
			return lina_topo_refuse(fault,
				"%ld nodes, but no 'nics' in group %d: expected how many join it "
				"to "
				"the others, as in '8 nics 50 GB/s'",
				nodes, i + 1);
	return 0;
}

/* --- building --- */

/* The NICs of part number part of a node's GPUs, on the switch at, or (at < 0) on the GPU itself.
 */
static void nics_join(struct lina_topo_builder *b, const struct group *g, const int *nic, int part,
	int nparts, int at, int gpu)
{
	static const struct lina_topo_wire no_limit = { LINA_LINK_PCI, INFINITY, 0 };

	for (int k = 0; k < g->nnics; k++) {
		if ((int)((long)k * nparts / g->nnics) != part)
			continue;
		if (at >= 0)
			lina_topo_join(b, nic[k], at, g->pcie);
		else
			lina_topo_join(b, gpu, nic[k], no_limit);
	}
}

/* GPUs and NICs in order on what joins them. nic[]: room for the NICs. */
static void node_build(struct lina_topo_builder *b, int node, const struct group *g, int *nic)
{
	bool pcie = g->given & (1u << ITEM_PCIE);
	int nparts = g->nnics && g->nnics < g->ngpus ? g->nnics : g->ngpus;
	int fabric = -1, cpu = -1, part = -1, at = -1;

	if (g->given & (1u << ITEM_NVLINK) && g->ngpus > 1)
		fabric = lina_topo_add(b, LINA_VERTEX_NVSWITCH, node, "");
	if (pcie)
		cpu = lina_topo_add(b, LINA_VERTEX_CPU, node, "");
	for (int k = 0; k < g->nnics; k++)
		nic[k] = lina_topo_add_nic(b, node, "", g->nrails ? k % g->nrails : k,
			g->nic.bytes_per_s, g->nic.latency_ns);
	for (int i = 0; i < g->ngpus; i++) {
		int gpu = lina_topo_add(b, LINA_VERTEX_DEVICE, node, "");
		int its = (int)((long)i * nparts / g->ngpus);
		if (fabric >= 0)
			lina_topo_join(b, gpu, fabric, g->nvlink);
		if (pcie && its != part) {
			at = lina_topo_add(b, LINA_VERTEX_PCI, node, "");
			lina_topo_join(b, at, cpu, g->pcie);
		}
		if (pcie)
			lina_topo_join(b, gpu, at, g->pcie);
		if (!pcie || its != part)
			nics_join(b, g, nic, its, nparts, at, gpu);
		part = its;
	}
}

static int cluster_build(
	const struct cluster *c, struct lina_topo **topo_p, struct lina_topo_fault *fault)
{
	struct lina_topo_builder b;
	int nic[PER_NODE_MAX] = { 0 }, node = 0, err;

	lina_topo_builder_init(&b);
	for (int i = 0; i < c->ngroups; i++)
		for (int k = 0; k < c->group[i].nnodes; k++)
			node_build(&b, node++, &c->group[i], nic);
	err = lina_topo_build(&b, &c->network, topo_p, fault);
	lina_topo_builder_clear(&b);
	return err;
}

int lina_topo_parse(
	const char *text, size_t bytes, struct lina_topo **topo_p, struct lina_topo_fault *fault_p)
{
	struct lina_topo_words w = lina_topo_words_of(text, bytes, fault_p);
	struct cluster c = { .network = LINA_TOPO_NETWORK_FLAT };
	int err = cluster_read(&w, &c);

	if (!err)
		err = cluster_check(&c, fault_p);
	if (!err)
		err = cluster_build(&c, topo_p, fault_p);
	free(c.group);
	return err;
}
