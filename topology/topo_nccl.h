/*
 * NCCL's description of a machine in XML, as NCCL_TOPO_DUMP_FILE writes and NCCL_TOPO_FILE reads it
 * (src/graph/xml.cc, topo.cc), and as makers of virtual machines ship it.
 *
 * Read as NCCL does: <pci> makes a PCI switch, with a <gpu> a device, with a <nic> one NIC for each
 * <net>; NVLinks to switches join one fabric for each node; each <cpu> is joined to those of its
 * host; <cpu>s of different host_hash are different nodes. Unlike NCCL, devices of display and
 * network class (0x03, 0x02) without a <gpu> or <nic> count as well, since descriptions shipped for
 * virtual machines have them so. A <net> without a speed is taken to have 10 Gbit/s, as by NCCL.
 * Unknown elements and attributes are skipped, <!DOCTYPE> is refused.
 */
#ifndef LINA_TOPOLOGY_TOPO_NCCL_H
#define LINA_TOPOLOGY_TOPO_NCCL_H

#include <stddef.h>

#include "topology/topo_build.h"

enum { LINA_NCCL_XML_BYTES_MAX = 4 << 20 };

/* Adds the nodes of a text to builder, numbered from node; *nnodes_p says how many. -EINVAL:
 * *fault_p says what is wrong and where; -ENOMEM. After an error the builder holds a part. */
int lina_topo_nccl_add(struct lina_topo_builder *builder, int node, const char *text, size_t bytes,
	int *nnodes_p, struct lina_topo_fault *fault_p);

#endif
