#include "collectives/cost.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* Bus factor = rounds * (n-1)/n, or 1 where every byte passes each link once. */
static const struct {
	const char *name;
	int rounds; /* 0: the factor is 1 */
} colls[LINA_NCOLLS] = {
	[LINA_COLL_ALLREDUCE] = { "allreduce", 2 },
	[LINA_COLL_ALLGATHER] = { "allgather", 1 },
	[LINA_COLL_REDUCE_SCATTER] = { "reduce_scatter", 1 },
	[LINA_COLL_BROADCAST] = { "broadcast", 0 },
	[LINA_COLL_REDUCE] = { "reduce", 0 },
	[LINA_COLL_ALLTOALL] = { "alltoall", 1 },
	[LINA_COLL_SENDRECV] = { "sendrecv", 0 },
};

const char *lina_coll_name(enum lina_coll coll)
{
	return (unsigned int)coll < LINA_NCOLLS ? colls[coll].name : NULL;
}

int lina_coll_parse(const char *name, enum lina_coll *coll_p)
{
	for (int i = 0; i < LINA_NCOLLS; i++)
		if (strcmp(name, colls[i].name) == 0) {
			*coll_p = (enum lina_coll)i;
			return 0;
		}
	return -EINVAL;
}

double lina_cost_bus_factor(enum lina_coll coll, int nranks)
{
	if ((unsigned int)coll >= LINA_NCOLLS || nranks < 2)
		return 0;
	if (colls[coll].rounds == 0)
		return 1;
	return (double)colls[coll].rounds * (nranks - 1) / nranks;
}

double lina_cost_link_bytes(enum lina_coll coll, int nranks, uint64_t size_bytes)
{
	return lina_cost_bus_factor(coll, nranks) * (double)size_bytes;
}

double lina_cost_line_time_ns(
	enum lina_coll coll, int nranks, uint64_t size_bytes, uint32_t rate_mbps)
{
	if (rate_mbps == 0)
		return 0;
	return lina_cost_link_bytes(coll, nranks, size_bytes) * 8e3 / rate_mbps;
}
