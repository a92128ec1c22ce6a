/*
 * The links that an all-to-all loads, as the planner sees them: a port of each device, which
 * carries what stays within its node, and the NIC that it uses for other nodes, alone or with
 * others. Each carries as much in as out at the same time. Simpler than the topology it is taken
 * from, and quick enough to be asked for every change to a plan.
 *
 * Owns its arrays; never changes once made: any thread.
 */
#ifndef LINA_COLLECTIVES_FABRIC_H
#define LINA_COLLECTIVES_FABRIC_H

struct lina_topo;

struct lina_fabric {
	int ndevices, nnics;
	int *nic;                                 /* [ndevices] */
	double *port_byte_ns;                     /* [ndevices], time of a byte */
	double *nic_byte_ns;                      /* [nnics] */
	double within_alpha_ns, between_alpha_ns; /* of a message within a node, to another one */
};

/* Every device alike, with a NIC of its own: what is assumed where no topology is given. Rates in
 * 10^9 bytes/s, each direction, > 0. -EINVAL, -ENOMEM. */
int lina_fabric_even(
	int ndevices, double port_gbps, double nic_gbps, struct lina_fabric **fabric_p);

/* Of a topology. A port is as fast as the narrowest route between the device and another of its
 * node; a NIC as the narrowest between a device that uses it and another node, or, where that is
 * less, as its part of its leaf's uplink, as if all NICs there sent into other pods at once. The
 * alphas are the largest latencies. Where there is one node, or one device in each, what nothing
 * goes through has the rate of the other. -ENOMEM. */
int lina_fabric_of_topo(const struct lina_topo *topo, struct lina_fabric **fabric_p);

void lina_fabric_destroy(struct lina_fabric *fabric);

#endif
