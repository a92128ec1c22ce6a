/*
 * Rates of hardware that descriptions name but do not measure: those that NCCL plans with
 * (src/graph/topo.h and topo.cc), so that both see the same machine. Bytes/s in each direction.
 */
#ifndef LINA_TOPOLOGY_TOPO_HW_H
#define LINA_TOPOLOGY_TOPO_HW_H

/* A PCI link of width lanes at gt_per_s (2.5, 5, 8, 16, 32, 64): three quarters of its bits. Where
 * something is unknown (0), 16 lanes, 8 GT/s. */
double lina_hw_pci_bytes_per_s(double gt_per_s, int width);

/* One NVLink of a GPU of compute capability sm (90: 9.0). */
double lina_hw_nvlink_bytes_per_s(int sm);

/* From socket to socket. vendor: as CPUID says it ("GenuineIntel", ...). */
double lina_hw_cpu_bytes_per_s(const char *arch, const char *vendor, int family, int model);

/* Latency of one link: two of a kind make a hop of NCCL's model for rings of its LL protocol, which
 * adds least of its own (src/graph/tuning.cc, hwLatencies): 0.6 us by NVLink, 1 us by PCI, 2.7 us
 * by a network. */
enum { LINA_HW_NVLINK_NS = 300, LINA_HW_PCI_NS = 500, LINA_HW_NIC_NS = 1350 };

/* Leaf to spine: what vendors state for a switch from port to port. */
enum { LINA_HW_UPLINK_NS = 130 };

#endif
