#include "collectives/fabric.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static int fabric_create(int ndevices, int nnics, struct lina_fabric **fabric_p)
{
	struct lina_fabric *f = malloc(sizeof(*f));

	if (!f)
		return -ENOMEM;
	*f = (struct lina_fabric){ .ndevices = ndevices,
		.nnics = nnics,
		.nic = calloc((size_t)ndevices, sizeof(*f->nic)),
		.port_byte_ns = calloc((size_t)ndevices, sizeof(*f->port_byte_ns)),
		.nic_byte_ns = calloc((size_t)nnics, sizeof(*f->nic_byte_ns)) };
	if (!f->nic || !f->port_byte_ns || !f->nic_byte_ns) {
		lina_fabric_destroy(f);
		return -ENOMEM;
	}
	*fabric_p = f;
	return 0;
}

int lina_fabric_even(int ndevices, double port_gbps, double nic_gbps, struct lina_fabric **fabric_p)
{
	int err;

	if (ndevices < 1 || !(port_gbps > 0) || !(nic_gbps > 0))
		return -EINVAL;
	err = fabric_create(ndevices, ndevices, fabric_p);
	for (int d = 0; d < ndevices && !err; d++) {
		(*fabric_p)->nic[d] = d;
		(*fabric_p)->port_byte_ns[d] = 1 / port_gbps;
		(*fabric_p)->nic_byte_ns[d] = 1 / nic_gbps;
	}
	return err;
}

void lina_fabric_destroy(struct lina_fabric *fabric)
{
	if (!fabric)
		return;
	free(fabric->nic);
	free(fabric->port_byte_ns);
	free(fabric->nic_byte_ns);
	free(fabric);
}
