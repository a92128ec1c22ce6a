/*
 * A machine as hwloc sees it: the one at hand, one saved as hwloc's XML (lstopo --of xml, or the
 * export below), or one described by hwloc's synthetic text. One node.
 *
 * Devices are PCI devices of the classes of GPUs and accelerators; VGA counts if NVIDIA's or AMD's,
 * so that a server's console is none. A machine without any has its NUMA nodes for devices, as for
 * jobs on CPUs. NICs are network devices on PCI; one that is there both as RDMA device and as
 * interface is the former. NVLinks come from hwloc's NVML part, where it has one. Rates of PCI
 * links are hwloc's, less what NCCL takes off (topo_hw.h); the speed of a NIC comes from sysfs
 * (topology/nic.h) on the machine at hand and is kept in exported XML ("LinaSpeedMbps"), since
 * hwloc knows none; without it, the NIC is as fast as its PCI link.
 */
#ifndef LINA_TOPOLOGY_TOPO_HWLOC_H
#define LINA_TOPOLOGY_TOPO_HWLOC_H

#include <stddef.h>

#include "topology/topo_build.h"

struct lina_machine; /* hwloc's topology */

/* sysfs_root, where speeds of NICs are looked up: "/sys". -EINVAL with *fault_p, -ENOMEM. */
int lina_machine_read_this(
	const char *sysfs_root, struct lina_machine **machine_p, struct lina_topo_fault *fault_p);
int lina_machine_read_xml(const char *text, size_t bytes, struct lina_machine **machine_p,
	struct lina_topo_fault *fault_p);
int lina_machine_read_synthetic(
	const char *text, struct lina_machine **machine_p, struct lina_topo_fault *fault_p);
void lina_machine_destroy(struct lina_machine *machine);

/* Adds the machine as number node. */
int lina_machine_add(const struct lina_machine *machine, struct lina_topo_builder *builder,
	int node, struct lina_topo_fault *fault_p);

/* hwloc's XML in *text_p, to be freed by the caller. -ENOMEM. */
int lina_machine_encode(const struct lina_machine *machine, char **text_p, size_t *bytes_p);

#endif
