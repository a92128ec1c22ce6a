/*
 * What the kernel says of one network interface: speed, PCI device, NUMA node. Pure reading of a
 * sysfs tree, whose root is an argument so that a captured tree serves as well.
 */
#ifndef LINA_TOPOLOGY_NIC_H
#define LINA_TOPOLOGY_NIC_H

#include <limits.h>
#include <stdbool.h>

struct lina_nic {
	int speed_mbps;          /* link speed, 0 where the driver does not say (virtual links) */
	int numa_node;           /* -1 where there is none */
	char pci_path[PATH_MAX]; /* absolute sysfs path of the PCI device, "" for a virtual link */
};

/* Reads interface name below sysfs_root ("/sys"). A fact that is not there is left unknown; that is
 * no error. -EINVAL: name is empty or has a slash; -ENAMETOOLONG. */
int lina_nic_read(const char *sysfs_root, const char *name, struct lina_nic *nic_p);

/* The same of any device that has a directory in sysfs, as an RDMA device; without its speed, which
 * is unknown. A directory that is not there has no facts. */
void lina_nic_read_dir(const char *dir, struct lina_nic *nic_p);

/* Of a PCI device the first function of its card, which all ports of the card have in common, into
 * card[PATH_MAX]; with join_vfs a virtual function's card is that of the function it is part of. A
 * path that has no such relative is its own card, and "" is none. */
void lina_nic_card_path(const char *pci_path, bool join_vfs, char *card);

#endif
