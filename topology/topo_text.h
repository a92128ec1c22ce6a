/*
 * A cluster described in a line of text, or a few:
 *
 *     4 nodes, 8 gpus, nvlink 300 GB/s, 8 nics 50 GB/s
 *
 *     CLUSTER = GROUP { ";" GROUP }       groups of nodes that are alike, numbered in this order
 *     GROUP   = ITEM { "," ITEM }         in any order, each once; a line's end is a "," too
 *     ITEM    = N "nodes"                 in the group; 1 where it is left out
 *             | N "gpus"                  in each node; "devices" is the same
 *             | "nvlink" RATE [TIME]      from each GPU into its node's fabric of switches
 *             | "pcie" RATE [TIME]        each cable of a PCI tree
 *             | N "nics" RATE [TIME]      in each node; the cable from NIC to leaf switch
 *             | N "rails"                 NIC i is on rail i modulo N; as many as NICs by default
 *             | "pods of" N "nodes"       that share their leaf switches; by default all do
 *             | "uplink" RATE [TIME]      each leaf switch to the spine; by default no limit
 *     RATE    = NUMBER UNIT               in each direction: B/s or bit/s (b/s), with k, M, G, T
 *                                         or Ki, Mi, Gi, Ti before it
 *     TIME    = NUMBER ("ns" | "us" | "ms")
 *
 * "pods" and "uplink" are of the whole cluster and may be in any group. A number of one may have a
 * word in the singular. NUMBER is decimal, with a point or without. '#' begins a comment up to the
 * line's end.
 *
 * GPUs, NICs and PCI switches go together in order: of 8 GPUs and 4 NICs, GPUs 0 and 1 are at NIC
 * 0. With "pcie" there is a PCI switch for each NIC (or GPU, if those are fewer), below one CPU;
 * without, each GPU has a way to its NICs that limits nothing, and none to other GPUs but NVLink.
 */
#ifndef LINA_TOPOLOGY_TOPO_TEXT_H
#define LINA_TOPOLOGY_TOPO_TEXT_H

#include <stddef.h>

#include "topology/topo_build.h"

/* The topology of a text of bytes characters, which need not end with a zero. -EINVAL: *fault_p
 * says what is wrong and where, and *topo_p is as before; -ENOMEM. */
int lina_topo_parse(
	const char *text, size_t bytes, struct lina_topo **topo_p, struct lina_topo_fault *fault_p);

#endif
